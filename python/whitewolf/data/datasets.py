"""Datasets of images with labels: scikit-learn's digits, and MNIST from a folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .._errors import FileFormatError
from ..device import Array
from .dataset import TensorDataset
from .idx import read_idx
from .loader import permutation


def digits(train: bool = True, *, seed: int = 0) -> TensorDataset:
    """The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn carries (UCI, Alpaydin and Kaynak 1998).

    Args:
        train: the 1,438 images to train on; False gives the 359 that are held out, a fifth.
        seed: fixes which ones are held out.

    Returns:
        Pairs of image, float32 [1, 8, 8] in [0, 1], and label, int64.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise ImportError("digits: the images come with scikit-learn, which is not installed: pip install scikit-learn") from None
    found = load_digits()
    images = (np.asarray(found.images, np.float32) / np.float32(16)).reshape(-1, 1, 8, 8)
    order = permutation(len(images), seed)
    held_out = len(images) // 5
    rows = np.sort(order[held_out:] if train else order[:held_out])
    return TensorDataset(images[rows], np.asarray(found.target, np.int64)[rows])


def mnist(folder: str | os.PathLike[str], train: bool = True) -> TensorDataset:
    """MNIST (LeCun, Cortes and Burges) from a folder with its four IDX files, plain or with .gz, under their published names.

    Args:
        folder: holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte.
        train: the 60,000 images to train on; False gives the 10,000 to test on.

    Returns:
        Pairs of image, float32 [1, 28, 28] in [0, 1], and label, int64.

    Raises:
        FileNotFoundError: a file is not there; the text names it.
        ww.FileFormatError: a file is damaged or of another shape; the text names it, what was expected and what was found.
    """
    which = "train" if train else "t10k"
    images_path, labels_path = _find(folder, f"{which}-images-idx3-ubyte"), _find(folder, f"{which}-labels-idx1-ubyte")
    images, labels = read_idx(images_path), read_idx(labels_path)
    _check(images_path, images, images.ndim == 3 and images.shape[1:] == (28, 28) and len(images) > 0, "(n, 28, 28), n >= 1")
    _check(labels_path, labels, labels.shape == images.shape[:1], f"({len(images)},), a label for each image")
    if labels.size and labels.max() > 9:
        raise FileFormatError(f"mnist: {labels_path}: expected labels from 0 to 9, got {labels.max()}")
    scaled = np.multiply(images.reshape(-1, 1, 28, 28), np.float32(1 / 255), dtype=np.float32)
    return TensorDataset(scaled, labels.astype(np.int64))


def _find(folder: str | os.PathLike[str], name: str) -> Path:
    # Some copies are named with a dot where the published files have a hyphen.
    candidates = [Path(folder) / (stem + end) for stem in (name, name.replace("-idx", ".idx")) for end in (".gz", "")]
    for path in candidates:
        if path.is_file():
            return path
    raise FileNotFoundError(f"mnist: expected {name} or {name}.gz in {folder}, found neither")


def _check(path: Path, array: Array, right: bool, shape: str) -> None:
    if array.dtype != np.uint8 or not right:
        raise FileFormatError(f"mnist: {path}: expected uint8 of shape {shape}, got {array.dtype} of shape {array.shape}")

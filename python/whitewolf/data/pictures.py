"""Colour pictures: a folder with a folder of files for each class, and CIFAR-10's binary files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import FileFormatError
from ..device import Array
from .dataset import Dataset, TensorDataset

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".tif", ".tiff")
_CIFAR_ROW = 1 + 3 * 32 * 32  # a label, then the planes red, green, blue
_CIFAR_NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()


class ImageFolder(Dataset):
    """Pictures of a folder that has a folder for each class, decoded when they are asked for (with Pillow).

    As in Krizhevsky, Sutskever and Hinton 2012, section 2: the shorter side is scaled to `size`, the middle square is cut out.

    Args:
        folder: holds a folder for each class, named after it; classes are numbered in the order of their names.
        size: height and width of the pictures.
        classes: names of the classes, if they shall be those of another folder.

    Sample i is the pair of picture, uint8 [3, size, size], and label, int64.

    Raises:
        FileNotFoundError: the folder, its class folders or the pictures in one of them are not there; the text names what is missing.
        ImportError: Pillow is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], size: int, classes: list[str] | None = None) -> None:
        try:
            import PIL.Image  # noqa: F401  (only to see that it is there)
        except ImportError:
            raise ImportError("ImageFolder: pictures are read with Pillow, which is not installed: pip install pillow") from None
        root = Path(folder)
        if not root.is_dir():
            raise FileNotFoundError(f"ImageFolder: expected a folder with a folder for each class at {root}, found none")
        self.size = size
        self.classes = classes or sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"ImageFolder: expected a folder for each class in {root}, found none")
        self.paths: list[Path] = []
        labels = []
        for label, name in enumerate(self.classes):
            inside = root / name
            found = sorted(p for p in inside.glob("*") if p.suffix.lower() in ENDINGS)
            if not found:
                raise FileNotFoundError(f"ImageFolder: expected pictures ({', '.join(ENDINGS[:3])}, ...) in {inside}, found none")
            self.paths += found
            labels += [label] * len(found)
        self.labels = np.array(labels, np.int64)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Array, Any]:
        return self._read(self.paths[index]), self.labels[index]

    def in_memory(self) -> TensorDataset:
        """All pictures, decoded once: for small ones."""
        pictures = np.empty((len(self), 3, self.size, self.size), np.uint8)
        for at, path in enumerate(self.paths):
            pictures[at] = self._read(path)
        return TensorDataset(pictures, self.labels)

    def _read(self, path: Path) -> Array:
        from PIL import Image

        try:
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise FileFormatError(f"ImageFolder: {path}: expected a picture, got {' '.join(str(error).split())}") from None
        width, height = picture.size
        scale = self.size / min(width, height)
        if scale != 1:
            wide, high = max(self.size, round(width * scale)), max(self.size, round(height * scale))
            picture = picture.resize((wide, high), Image.Resampling.BILINEAR)
        left, top = (picture.size[0] - self.size) // 2, (picture.size[1] - self.size) // 2
        pixels = np.asarray(picture.crop((left, top, left + self.size, top + self.size)))
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def cifar10(folder: str | os.PathLike[str], train: bool = True) -> TensorDataset:
    """CIFAR-10 (Krizhevsky 2009) from the folder `cifar-10-batches-bin` of its binary version.

    Args:
        folder: holds data_batch_1.bin to data_batch_5.bin and test_batch.bin.
        train: the 50,000 pictures to train on; False gives the 10,000 to test on.

    Returns:
        Pairs of picture, uint8 [3, 32, 32], and label, int64.

    Raises:
        FileNotFoundError: a file is not there; the text names it.
        ww.FileFormatError: a file is truncated or something else.
    """
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
    rows = []
    for name in names:
        path = Path(folder) / name
        if not path.is_file():
            raise FileNotFoundError(f"cifar10: expected {name} of CIFAR-10's binary version in {folder}, found none")
        content = np.fromfile(path, np.uint8)
        if not content.size or content.size % _CIFAR_ROW:
            raise FileFormatError(f"cifar10: {path}: expected rows of {_CIFAR_ROW} bytes, got {content.size} bytes: truncated")
        rows.append(content.reshape(-1, _CIFAR_ROW))
        if rows[-1][:, 0].max() >= len(_CIFAR_NAMES):
            raise FileFormatError(f"cifar10: {path}: expected labels from 0 to 9, got {rows[-1][:, 0].max()}")
    table = np.concatenate(rows)
    return TensorDataset(table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0].astype(np.int64))

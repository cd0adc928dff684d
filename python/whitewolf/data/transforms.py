"""Random changes to batches of images, for a DataLoader's `transform`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array
from ..ops._common import check_count


class RandomShift:
    """Moves each image of a batch by up to `pixels` along height and width, each image by its own; zeros come in at the edges.

    Args:
        pixels: the largest shift; every one from -pixels to pixels is equally likely.

    The batch is `(images, ...)` with images [N, C, H, W], or the images alone.

    Raises:
        ValueError: the batch is another.
        IndexError: the batch is empty.

    >>> import whitewolf as ww
    >>> ww.data.RandomShift(1).pixels
    1
    """

    def __init__(self, pixels: int = 2) -> None:
        self.pixels = check_count("RandomShift", "pixels", pixels)

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        if isinstance(batch, (tuple, list)):
            return type(batch)((self(batch[0], rng), *batch[1:]))
        if batch.ndim != 4:
            raise ValueError(f"RandomShift: expected images of shape (N, C, H, W), got {batch.shape}")
        n, _, height, width = batch.shape
        edge = (self.pixels, self.pixels)
        padded = np.pad(batch, ((0, 0), (0, 0), edge, edge))
        dy, dx = rng.integers(0, 2 * self.pixels + 1, (2, n))
        return np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))[np.arange(n), :, dy, dx]


class Compose:
    """Several transforms, one after the other.

    Args:
        transforms: each is called as `transform(batch, rng)`.

    >>> import whitewolf as ww
    >>> len(ww.data.Compose(ww.data.RandomFlip(), ww.data.RandomShift(1)).transforms)
    2
    """

    def __init__(self, *transforms: Any) -> None:
        self.transforms = transforms

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        for transform in self.transforms:
            batch = transform(batch, rng)
        return batch


class RandomCrop:
    """Cuts a square of `size` pixels out of each image of a batch, each at its own place; every place is equally likely.

    Raises:
        ValueError: the batch is not (images [N, C, H, W], ...), or the images are smaller.

    >>> import whitewolf as ww
    >>> ww.data.RandomCrop(8).size
    8
    """

    def __init__(self, size: int) -> None:
        self.size = check_count("RandomCrop", "size", size)

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        images, *others = batch
        n, _, height, width = images.shape
        if min(height, width) < self.size:
            raise ValueError(f"RandomCrop: expected images of at least {self.size} x {self.size}, got {height} x {width}")
        top, left = rng.integers(0, height - self.size + 1, n), rng.integers(0, width - self.size + 1, n)
        windows = np.lib.stride_tricks.sliding_window_view(images, (self.size, self.size), axis=(2, 3))
        return (windows[np.arange(n), :, top, left], *others)


class RandomFlip:
    """Mirrors each image of a batch left to right with probability one half.

    Raises:
        ValueError: the batch is not (images [N, C, H, W], ...).
        IndexError: it has fewer dimensions.

    >>> import whitewolf as ww
    >>> type(ww.data.Compose(ww.data.RandomFlip())).__name__
    'Compose'
    """

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        images, *others = batch
        chosen = rng.random(len(images)) < 0.5
        return (np.where(chosen[:, None, None, None], images[..., ::-1], images), *others)


class Normalize:
    """Bytes to float32: (x / 255 - mean) / std, for each channel.

    Args:
        mean, std: float32 [C].

    Raises:
        ValueError: the batch is not (images [N, C, H, W], ...).
    """

    def __init__(self, mean: Array, std: Array) -> None:
        for name, values in (("mean", mean), ("std", std)):
            if np.ndim(values) != 1:
                raise ValueError(f"Normalize: expected {name} of one dimension, the channels, got shape {np.shape(values)}")
        self.factor = (1 / (255 * np.asarray(std, np.float32)))[:, None, None]
        self.shift = (-np.asarray(mean, np.float32) / np.asarray(std, np.float32))[:, None, None]

    def __call__(self, batch: Any, rng: np.random.Generator | None = None) -> Any:
        images, *others = batch
        return (images * self.factor + self.shift, *others)


class ColourJitter:
    """Adds to each image of a batch, to all of its pixels, a random step along the principal components of the colours.

    As in Krizhevsky, Sutskever and Hinton 2012, section 4.1: the step is the sum over components of p_i s_i a_i, with a_i drawn from
    a normal distribution of standard deviation `amount` and s_i the standard deviation of the colours along p_i.

    Args:
        components: float32 [C, C], a component in each column.
        spread: float32 [C], s_i, in the units of the images.
        amount: 0.1 in the paper.

    Raises:
        ValueError: the batch is not (images [N, C, H, W], ...); components or spread are not finite.
        IndexError: components and spread are not of C colours.
    """

    def __init__(self, components: Array, spread: Array, amount: float = 0.1) -> None:
        for name, given in (("components", components), ("spread", spread)):
            if np.iscomplexobj(given) or not np.isfinite(given).all():
                raise ValueError(f"ColourJitter: expected {name} of finite real numbers, got others")
        self.steps = np.asarray(components * spread, np.float32)
        self.amount = amount

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        images, *others = batch
        drawn = rng.normal(0, self.amount, (len(images), self.steps.shape[1])).astype(np.float32)
        return (images + (drawn @ self.steps.T)[:, :, None, None], *others)

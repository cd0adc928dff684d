"""Random changes to batches of images, for a DataLoader's `transform`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops._common import check_count


class RandomShift:
    """Moves each image of a batch by up to `pixels` along height and width, each image by its own; zeros come in at the edges.

    Args:
        pixels: the largest shift; every one from -pixels to pixels is equally likely.

    The batch is `(images, ...)` with images [N, C, H, W], or the images alone.
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

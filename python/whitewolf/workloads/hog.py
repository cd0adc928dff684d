"""Histograms of oriented gradients (Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005)."""

from __future__ import annotations

import numpy as np

from ..device import Array

BINS = 9  # of unsigned orientation, 20 degrees each
CLIP = 0.2  # no part of a block may dominate it (Lowe 2004, section 6.1)


def hog(images: Array, cell: int) -> Array:
    """The features of grey images, a row for each.

    Each pixel votes with the length of its gradient, shared between the two nearest orientations, in the histogram of its cell.
    The histograms of each 2 x 2 neighbouring cells are one block, which is scaled to length 1, clipped at 0.2 and scaled again.

    Args:
        images: float32 [N, H, W].
        cell: height and width of a cell in pixels.

    Returns:
        float32 [N, (H // cell - 1) * (W // cell - 1) * 36].

    Raises:
        ValueError: the images are smaller than one block.
    """
    n, height, width = images.shape
    rows, columns = height // cell, width // cell
    if min(rows, columns) < 2:
        raise ValueError(f"hog: expected images of at least {2 * cell} x {2 * cell} for cells of {cell}, got {height} x {width}")
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    length = np.hypot(across, down)
    place = np.arctan2(down, across) * (BINS / np.pi) % BINS  # of the orientation, in bins
    cells = np.empty((n, rows, columns, BINS), np.float32)
    for b in range(BINS):
        apart = np.abs(place - b)
        votes = length * np.maximum(0, 1 - np.minimum(apart, BINS - apart))
        cells[..., b] = votes[:, : rows * cell, : columns * cell].reshape(n, rows, cell, columns, cell).sum(axis=(2, 4))
    blocks = np.concatenate([cells[:, y : rows - 1 + y, x : columns - 1 + x] for y in (0, 1) for x in (0, 1)], axis=-1)
    for step in range(2):
        blocks /= np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + 1e-6)
        if step == 0:
            np.minimum(blocks, CLIP, out=blocks)
    return blocks.reshape(n, -1)

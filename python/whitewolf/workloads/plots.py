"""Pictures of a run, where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cases import Array
from ..environment import has

Panels = dict[str, dict[str, Callable[[dict[str, Any]], float]]]


def available() -> bool:
    """Whether matplotlib is installed."""
    return has("matplotlib")


def figure(width: float, height: float) -> Any:
    """A figure of that many inches, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


ERROR = {"training": lambda e: 1 - e["train_accuracy"], "held out": lambda e: e["test_error"]}
LOSS = {"training": lambda e: e["loss"], "held out": lambda e: e["test_loss"]}
LOSS_AND_ERROR: Panels = {"loss (nats)": LOSS, "error (fraction)": ERROR}


def curves(history: list[dict[str, Any]], path: Path, panels: Panels = LOSS_AND_ERROR) -> Path:
    """Figures by epoch, side by side: for each panel its name, and for each of its lines the figure of an entry of the history."""
    page = figure(4.5 * len(panels), 3.6)
    epochs = [e["epoch"] for e in history]
    for axes, (name, lines) in zip(page.subplots(1, len(panels), squeeze=False)[0], panels.items()):
        for label, value in lines.items():
            axes.plot(epochs, [value(e) for e in history], marker=".", label=label)
        shown = [v for line in axes.lines for v in line.get_ydata()]
        axes.set_yscale("log" if 0 < 10 * min(shown) < max(shown) else "linear")
        axes.locator_params(axis="x", integer=True)
        if len(epochs) == 1:
            axes.set_xticks(epochs)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.legend()
    page.savefig(path, dpi=120)
    return path


def filters(weight: Array, path: Path, names: Sequence[str] = ()) -> Path:
    """The first layer's filters [K, C, R, S], one tile each: in colour where C is 3, else their mean over C with zero in grey.

    `names` stand above them.
    """
    columns = min(len(weight), 10 if len(weight) <= 50 else 16)
    rows = -(-len(weight) // columns)
    page = figure(columns * 0.7, rows * (0.9 if names else 0.7))
    limit = float(abs(weight).max()) or 1.0
    for at, axes in enumerate(page.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if at < len(weight) and weight.shape[1] == 3:
            axes.imshow(weight[at].transpose(1, 2, 0) / (2 * limit) + 0.5)
        elif at < len(weight):
            axes.imshow(weight[at].mean(axis=0), cmap="gray", vmin=-limit, vmax=limit)
        if at < len(names):
            axes.set_title(names[at], fontsize=8)
    page.savefig(path, dpi=120)
    return path


def evenly(n: int, count: int) -> Array:
    """`count` of n samples, from the first to the last: all classes, where a file has them one after another."""
    return np.linspace(0, n - 1, min(count, n)).astype(np.int64)


def square(left: float, top: float, width: float, colour: str) -> Any:
    """The outline of a square, for `axes.add_patch`."""
    from matplotlib.patches import Rectangle

    return Rectangle((left, top), width, width, fill=False, color=colour, linewidth=0.8)


def grid(pictures: Array, columns: int, path: Path, names: Sequence[str] = ()) -> Path:
    """Grey pictures [N, H, W] from 0 to 1, so many in a row; `names` are those of the rows."""
    rows = -(-len(pictures) // columns)
    page = figure(columns * 0.7, rows * 0.7)
    for at, axes in enumerate(page.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if at < len(pictures):
            axes.imshow(pictures[at], cmap="gray", vmin=0, vmax=1)
        if at % columns == 0 and at // columns < len(names):
            axes.text(-0.15, 0.5, names[at // columns], fontsize=7, rotation=90, ha="right", va="center", transform=axes.transAxes)
    page.savefig(path, dpi=120)
    return path

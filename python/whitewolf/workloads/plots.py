"""Pictures of a run, where matplotlib is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..cases import Array
from ..environment import has


def available() -> bool:
    """Whether matplotlib is installed."""
    return has("matplotlib")


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def curves(history: list[dict[str, Any]], path: Path) -> Path:
    """Loss and error by epoch, on training and held-out data."""
    figure = _figure(9, 3.6)
    epochs = [e["epoch"] for e in history]
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [e["loss"] for e in history], marker=".", label="training")
    left.plot(epochs, [e["test_loss"] for e in history], marker=".", label="held out")
    right.plot(epochs, [1 - e["train_accuracy"] for e in history], marker=".", label="training")
    right.plot(epochs, [e["test_error"] for e in history], marker=".", label="held out")
    for axes, name in ((left, "loss (nats)"), (right, "error (fraction)")):
        axes.set_yscale("log" if all(v > 0 for line in axes.lines for v in line.get_ydata()) else "linear")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
    return path


def filters(weight: Array, path: Path) -> Path:
    """The first layer's filters [K, C, R, S], one tile each; grey is zero."""
    columns = min(len(weight), 10)
    rows = -(-len(weight) // columns)
    figure = _figure(columns * 0.7, rows * 0.7)
    limit = float(abs(weight).max())
    tiles = figure.subplots(rows, columns, squeeze=False)
    for at, axes in enumerate(tiles.flat):
        axes.axis("off")
        if at < len(weight):
            axes.imshow(weight[at].mean(axis=0), cmap="gray", vmin=-limit, vmax=limit)
    figure.savefig(path, dpi=120)
    return path

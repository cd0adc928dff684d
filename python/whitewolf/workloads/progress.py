"""A bar with loss, accuracy and samples a second on a terminal; a line for each epoch elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from .. import console


class Progress:
    """The progress of `total` steps, of which `done` were done before; `unit` says what their samples are."""

    def __init__(self, total: int, done: int = 0, unit: str = "images") -> None:
        self.total, self.done, self.unit = total, done, unit
        self._bar: Any = None
        self._task: Any = None
        self._samples = 0
        self._since = time.perf_counter()
        self._shown = 0.0

    def __enter__(self) -> Progress:
        if console.fancy():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                transient=True,
                console=Console(file=console.stream()),
            )
            self._task = self._bar.add_task("", total=self.total, completed=self.done)
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def step(self, samples: int, *, epoch: int, loss: float, accuracy: float | None) -> None:
        """One step more."""
        self.done += 1
        self._samples += samples
        now = time.perf_counter()
        if self._bar is None or now - self._shown < 0.1:
            return
        self._shown = now
        rate = self._samples / (now - self._since)
        hits = "" if accuracy is None else f"  accuracy {accuracy:.4f}"
        text = f"epoch {epoch}  loss {loss:.4f}{hits}  {rate:.0f} {self.unit}/s"
        self._bar.update(self._task, completed=self.done, description=text)

    def line(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            console.line(text)

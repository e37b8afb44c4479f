"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

# Seconds between two plain lines that report an evaluation, and between two that only show life.
LINE_SECONDS = 1.0
ALIVE_SECONDS = 30.0


class Status(NamedTuple):
    """What there is to tell between two evaluations."""

    step: int
    epoch: float
    fraction: float  # of the whole training, from 0 to 1
    loss: float  # mean over the items since the last evaluation
    items_per_second: float
    seconds_left: float | None


class Progress(Protocol):
    """What the loop tells while it runs."""

    def start(self, items: str, score: str) -> None: ...

    def advance(self, status: Status) -> None:
        """Called a few times a second."""
        ...

    def evaluated(self, record: Mapping[str, Any], status: Status) -> None:
        """An evaluation: its line of metrics.jsonl."""
        ...

    def note(self, text: str) -> None: ...

    def stop(self) -> None: ...


def progress_on(stream: TextIO | None = None, *, quiet: bool = False) -> Progress | None:
    """The progress fit for a stream (stderr): a bar on a terminal, lines elsewhere, None if `quiet`."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        return None
    if stream.isatty():
        return Bar(stream)
    return Lines(lambda line: print(line, file=stream, flush=True))


class Lines:
    """Plain lines, each given to `write`: for files and pipes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write
        self.items = self.score = ""
        self._last = -ALIVE_SECONDS
        self._held = ""

    def start(self, items: str, score: str) -> None:
        self.items, self.score = items, score

    def advance(self, status: Status) -> None:
        if time.monotonic() - self._last >= ALIVE_SECONDS:
            self._print(f"step {status.step:,}  train_loss {status.loss:.4f}  {_pace(status, self.items)}")

    def evaluated(self, record: Mapping[str, Any], status: Status) -> None:
        self._held = f"{evaluation_line(record, self.score)}  {_pace(status, self.items)}"
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._print(self._held)

    def note(self, text: str) -> None:
        self.write(text)

    def stop(self) -> None:
        """The last evaluation is always told."""
        if self._held:
            self._print(self._held)

    def _print(self, line: str) -> None:
        self._last, self._held = time.monotonic(), ""
        self.write(line)


class Bar:
    """A bar that moves, with a line above it for each evaluation (at most one a second)."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (BarColumn(bar_width=16), TextColumn("{task.description}"))
        self._bar: RichProgress = Progress(*columns, console=Console(file=stream), auto_refresh=False)
        self._task = self._bar.add_task("", total=1.0)
        self._lines = Lines(self._above)
        self._scores = ""

    def start(self, items: str, score: str) -> None:
        self._lines.start(items, score)
        self._bar.start()

    def advance(self, status: Status) -> None:
        parts = [  # what a narrow terminal cuts off stands last
            *([] if status.seconds_left is None else [f"{duration(status.seconds_left)} left"]),
            f"step {status.step:,}  loss {status.loss:.4f}{self._scores}",
            f"{status.items_per_second:,.0f} {self._lines.items}/s",
        ]
        self._bar.update(self._task, completed=status.fraction, description="  ".join(parts))
        self._bar.refresh()

    def evaluated(self, record: Mapping[str, Any], status: Status) -> None:
        value = record.get(self._lines.score)
        self._scores = "" if value is None else f"  {self._lines.score} {value:.4f}"
        self._lines.evaluated(record, status)
        self.advance(status)

    def note(self, text: str) -> None:
        self._lines.note(text)

    def stop(self) -> None:
        self._lines.stop()
        self._bar.stop()

    def _above(self, line: str) -> None:
        self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


def evaluation_line(record: Mapping[str, Any], score: str) -> str:
    """One evaluation in one line.

    >>> record = {"step": 1200, "epoch": 3.0, "train_loss": 1.52, "validation_loss": 1.61, "accuracy": 0.5}
    >>> evaluation_line(record, "accuracy")
    'epoch 3  step 1,200  train_loss 1.5200  validation_loss 1.6100  accuracy 0.5000'
    """
    parts = [f"epoch {record['epoch']:.4g}", f"step {record['step']:,}"]
    parts += [
        f"{name} {record[name]:.4f}"
        for name in dict.fromkeys(("train_loss", "validation_loss", score))
        if record.get(name) is not None
    ]
    return "  ".join(parts)


def _pace(status: Status, items: str) -> str:
    left = "" if status.seconds_left is None else f"  {duration(status.seconds_left)} left"
    return f"{status.items_per_second:,.0f} {items}/s{left}"


def duration(seconds: float) -> str:
    """A time to read.

    >>> duration(59.7), duration(3723)
    ('1:00', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

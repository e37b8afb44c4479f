"""How a training ends before its time: by a signal, or because its numbers are no longer finite."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from elman.errors import InputError


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived; the step was finished and the checkpoint of `run` saved."""

    def __init__(self, run: Path, step: int) -> None:
        super().__init__(f"interrupted at step {step}; the checkpoint is saved in {run}")
        self.run = run
        self.step = step


class Diverged(InputError):  # noqa: N818 (a state of the training, not a fault of the program)
    """The loss or a gradient is NaN or infinite; the message names the step and the layer or parameter."""


class Signals:
    """Turns the first SIGINT or SIGTERM into `caught`; a second one acts as if this class were not there.

    Signals reach the main thread only; in any other this does nothing.
    """

    def __init__(self) -> None:
        self.caught = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._catch) or signal.SIG_DFL
        return self

    def _catch(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.caught = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

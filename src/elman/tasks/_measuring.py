"""How well a network foretells a text, over windows that fit into memory: the sums of which scores are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Symbols: TypeAlias = NDArray[Any]
States: TypeAlias = Mapping[str, Any]

_SCORES = 1 << 24  # scores held at once while measuring


class Measured(Protocol):
    """What is measured: a language model's network, of torch or of the runtime. Sums and states are its own numbers."""

    @property
    def vocabulary_size(self) -> int: ...

    def counted(
        self, symbols: Symbols, targets: Symbols, state: States | None = None
    ) -> tuple[Any, Any, States]:
        """Sum of -ln P in nats and right guesses over the targets (B, T), -1 none, and the state at the end."""

    def warmed(self, text: Symbols, starts: NDArray[np.int64], length: int) -> States:
        """The state of every row before its first symbol: zeros for the first row, else after the `length` before."""


def measure(
    network: Measured, text: Symbols, *, rows: int = 1, warm_up: int = 1000
) -> tuple[float, int, int]:
    """Sum of -ln P in nats, right guesses and number of targets when the network reads a text from end to end.

    Every symbol after the first is a target once. rows=1 carries the state through the whole text, exactly; more rows
    are read side by side, each after the first with a state warmed up on the `warm_up` symbols before it: faster, and
    the same up to what the network remembers from further back. Deterministic.
    """
    targets = len(text) - 1
    length = -(-targets // max(1, min(rows, targets)))
    starts = np.arange(0, targets, length)
    state = network.warmed(text, starts, min(warm_up, length)) if len(starts) > 1 else None
    nats, right = 0.0, 0
    step = max(1, min(1024, _SCORES // (len(starts) * network.vocabulary_size)))
    for offset in range(0, length, step):
        place = starts[:, None] + np.arange(offset, min(offset + step, length))
        inside = place < targets
        place = np.minimum(place, targets - 1)
        following = np.where(inside, np.asarray(text[place + 1], np.int64), -1)
        lost, guessed, state = network.counted(np.asarray(text[place], np.int64), following, state)
        nats, right = nats + lost, right + guessed
    return float(nats), int(right), targets


def measure_windows(network: Measured, text: Symbols, length: int) -> tuple[float, int, int]:
    """The sums of `measure` over every window of `length` symbols, each from state zero, each with its successors."""
    windows = np.lib.stride_tricks.sliding_window_view(text, length + 1)
    step = max(1, min(256, _SCORES // (length * network.vocabulary_size)))
    nats, right = 0.0, 0
    for start in range(0, len(windows), step):
        part = windows[start : start + step].astype(np.int64)
        lost, guessed, _ = network.counted(part[:, :-1], part[:, 1:])
        nats, right = nats + lost, right + guessed
    return float(nats), int(right), len(windows) * length

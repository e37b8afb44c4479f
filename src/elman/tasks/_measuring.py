"""How well a network foretells a text, over windows that fit into memory: the sums of which scores are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elman.data import in_batches, pad

Symbols: TypeAlias = NDArray[Any]
States: TypeAlias = Mapping[str, Any]

_SCORES = 1 << 24  # scores held at once while measuring
_TOGETHER = 256  # texts that are read side by side


class Measured(Protocol):
    """What is measured: a language model's network, of torch or of the runtime. Sums and states are its own numbers."""

    @property
    def vocabulary_size(self) -> int: ...

    def counted(
        self,
        symbols: Symbols,
        targets: Symbols,
        state: States | None = None,
        condition: NDArray[np.float32] | None = None,
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


def measure_rows(
    network: Measured, rows: Sequence[Symbols], conditions: NDArray[np.float32] | None = None
) -> tuple[float, int, int]:
    """The sums of `measure` over texts that stand alone, with their ends; conditions: (N, F) of each text."""
    nats, right = 0.0, 0
    for batch in in_batches([len(row) for row in rows], _TOGETHER):
        inputs, targets = marked([rows[k] for k in batch], network.vocabulary_size - 1)
        beside = None if conditions is None else conditions[batch]
        state: States | None = None
        step = max(1, _SCORES // (len(batch) * network.vocabulary_size))
        for at in range(0, inputs.shape[1], step):
            read, wanted = (np.ascontiguousarray(side[:, at : at + step]) for side in (inputs, targets))
            lost, guessed, state = network.counted(read, wanted, state, beside)
            nats, right = nats + lost, right + guessed
    return float(nats), int(right), sum(len(row) + 1 for row in rows)


def marked(rows: Sequence[Symbols], mark: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is read of texts and what follows each step, (B, T + 1): the mark before a text, and behind it; -1 in the
    padding.

    >>> [part.tolist() for part in marked([np.array([1, 2]), np.array([0])], 9)]
    [[[9, 1, 2], [9, 0, 0]], [[1, 2, 9], [0, 9, -1]]]
    """
    inputs, _ = pad([np.r_[mark, row] for row in rows], np.int64)
    targets, _ = pad([np.r_[row, mark] + 1 for row in rows], np.int64)
    return inputs, targets - 1

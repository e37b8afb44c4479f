"""Rows of any length through a network, in batches that suit the machine and change no number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.data import in_batches, pad

if TYPE_CHECKING:
    import torch

    from elman.nn.classifier import SequenceNetwork

Rows = Sequence[NDArray[Any]]

_CELLS = 1 << 16  # steps of a batch, padding included, read without learning
_FEWEST = 8  # rows of such a batch, and at most:
_ROWS = 512


class ByArrays(Protocol):
    """A network at work, of torch or of the runtime."""

    def arrays(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Its outputs by name, of inputs by name."""


def padded(rows: Rows) -> dict[str, NDArray[Any]]:
    """Sequences, each symbols (t,) or features (t, F), padded as they need it: what a network reads, by name."""
    x, lengths = pad(rows, np.int64 if rows[0].dtype.kind in "iu" else np.float32)
    return {"x": x, "lengths": lengths}


def read(network: SequenceNetwork, rows: Rows) -> torch.Tensor:
    """Scores (B, K) of some sequences, with gradients, as torch computes them."""
    import torch

    device = network.output.weight.device
    scores: torch.Tensor = network(*(torch.from_numpy(a).to(device) for a in padded(rows).values()))
    return scores


def scores_of(network: ByArrays, rows: Rows) -> NDArray[np.float64]:
    """Scores (N, K) of all sequences, at least one, in batches of like length; the same in whatever company."""
    found: list[Any] = [None] * len(rows)
    for batch in _batches([len(row) for row in rows]):
        # few rows go with copies of themselves: small products are summed in another order than large ones
        chosen = [rows[k] for k in (batch if len(batch) >= _FEWEST else np.resize(batch, _FEWEST))]
        for row, scores in zip(batch, network.arrays(padded(chosen))["scores"], strict=False):
            found[row] = scores
    return np.array(found, np.float64)


def _batches(lengths: Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Batches of like length, longest first, whose cells stay within bounds, however long a sequence is."""
    order = next(in_batches(lengths, max(1, len(lengths))), np.empty(0, np.int64))
    start = 0
    while start < len(order):
        rows = order[start : start + min(_ROWS, max(1, _CELLS // max(1, lengths[order[start]])))]
        yield rows
        start += len(rows)

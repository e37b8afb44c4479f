"""Rows of any length through a network, in batches that suit the machine and change no number. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elman.data import in_batches, pad
from elman.nn.classifier import SequenceNetwork

_CELLS = 1 << 16  # steps of a batch, padding included, read without learning
_FEWEST = 8  # rows of such a batch, and at most:
_ROWS = 512


def read(network: SequenceNetwork, rows: Sequence[NDArray[Any]]) -> torch.Tensor:
    """Scores (B, K) of some sequences, each symbols (t,) or features (t, F), padded as they need it."""
    padded, lengths = pad(rows, np.int64 if network.embedding is not None else np.float32)
    device = network.output.weight.device
    scores: torch.Tensor = network(torch.from_numpy(padded).to(device), torch.from_numpy(lengths).to(device))
    return scores


@torch.inference_mode()
def scores_of(network: SequenceNetwork, rows: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Scores (N, K) of all sequences, dropout off, in batches of like length; the same in whatever company."""
    found = np.empty((len(rows), network.output.out_features))
    training = network.training
    network.eval()
    for batch in _batches([len(row) for row in rows]):
        # few rows go with copies of themselves: small products are summed in another order than large ones
        chosen = [rows[k] for k in (batch if len(batch) >= _FEWEST else np.resize(batch, _FEWEST))]
        found[batch] = read(network, chosen)[: len(batch)].double().cpu().numpy()
    network.train(training)
    return found


def _batches(lengths: Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Batches of like length, longest first, whose cells stay within bounds, however long a sequence is."""
    order = next(in_batches(lengths, max(1, len(lengths))), np.empty(0, np.int64))
    start = 0
    while start < len(order):
        rows = order[start : start + min(_ROWS, max(1, _CELLS // max(1, lengths[order[start]])))]
        yield rows
        start += len(rows)

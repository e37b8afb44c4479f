"""Scores of rows stand alone, and long rows are read few at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman.nn import Recurrent
from elman.nn.classifier import SequenceNetwork
from elman.nn.ngrams import NgramEmbedding, frequent_ngrams
from elman.nn.pooling import POOLINGS
from elman.tasks._row_scores import scores_of


@pytest.mark.parametrize("kind", POOLINGS)
def test_scores_do_not_depend_on_company(kind: str) -> None:
    """To the last digit, whatever else is in the batch and however much padding it brings."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 40, length) for length in (3, 50, 1, 17, 0, 120, 8)]
    embedding = NgramEmbedding(40, 16, ngrams=2, codes=frequent_ngrams(rows * 2, 2))
    torch.nn.init.normal_(embedding.runs.weight)  # type: ignore[union-attr]
    network = SequenceNetwork(
        Recurrent("gru", 16, 24, bidirectional=True), 5, embedding=embedding, pooling=kind
    )
    together = scores_of(network, rows)
    for row, alone in zip(rows, together, strict=True):
        assert (scores_of(network, [row])[0] == alone).all()
    assert (scores_of(network, rows[::-1])[::-1] == together).all()


def test_long_sequences_are_read_few_at_a_time() -> None:
    network = SequenceNetwork(Recurrent("rnn", 1, 2), 1)
    seen: list[int] = []
    network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    scores_of(network, [np.zeros((length, 1), np.float32) for length in [40_000] * 3 + [1] * 600])
    assert seen[:3] == [8, 8, 8]  # each with copies of itself
    assert sum(seen[3:]) == 600

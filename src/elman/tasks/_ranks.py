"""Scores of guesses by the rank of what was hidden, and those of the models that count."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.tasks._ngram import BothSides, Sides

Rows = list[NDArray[np.int64]]

_TOP = 5
_CELLS = 1 << 22  # probabilities of a counting model held at once
_COUNTED: dict[Sides, str] = {
    "both": "trigrams, both sides",
    "left": "trigram, left side",
    "none": "unigram",
}


def rank_scores(nats: float, ranks: NDArray[np.int64]) -> dict[str, float]:
    """Scores of a sum of nats over the known items and of the rank of every item, -1 for an unknown one."""
    known = int((ranks >= 0).sum())
    if not known:
        raise InputError("the text has no item of the vocabulary, expected some to judge.")
    first, five = int((ranks == 0).sum()), int(((ranks >= 0) & (ranks < _TOP)).sum())
    loss = nats / known
    return {
        "loss": loss,
        "perplexity": math.exp(loss) if loss < 700 else math.inf,
        "accuracy": first / len(ranks),
        "top_5": five / len(ranks),
        "known_accuracy": first / known,
        "known_top_5": five / known,
    }


def parts(rows: Rows, items: int) -> Iterator[Rows]:
    """The rows in order, some at a time: about so many items, one row at least."""
    part: Rows = []
    count = 0
    for row in rows:
        if part and count + len(row) > items:
            yield part
            part, count = [], 0
        part.append(row)
        count += len(row)
    yield part


def counted_scores(training: Rows, judged: Rows, size: int, first: int) -> dict[str, dict[str, float]]:
    """Scores of `BothSides`, fitted to the training rows, on the judged ones, by name of the model."""
    model = BothSides(training, size, first)
    known = np.concatenate(judged) >= first
    scores = {}
    for sides, who in _COUNTED.items():
        found = [_ranked(model, part, sides, first) for part in parts(judged, _CELLS // size)]
        ranks = np.full(len(known), -1)
        ranks[known] = np.concatenate([rank for rank, _ in found])
        scores[who] = rank_scores(sum(nats for _, nats in found), ranks)
    return scores


def _ranked(model: BothSides, rows: Rows, sides: Sides, first: int) -> tuple[NDArray[np.int64], float]:
    """The rank of each known item by a counting model (of equals the one with the lower number first), and the nats."""
    shares = model.probabilities(rows, sides)
    wanted = np.concatenate(rows) - first
    wanted = wanted[wanted >= 0]
    own = shares[np.arange(len(wanted)), wanted][:, None]
    before = (shares == own) & (np.arange(shares.shape[1]) < wanted[:, None])
    return (shares > own).sum(1) + before.sum(1), -float(np.log(own).sum())

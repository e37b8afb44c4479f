"""The baselines against the definition, summed over with plain loops."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from elman.tasks import _ngram
from elman.tasks._ngram import Bigram


def bigram_table(text: list[int], size: int) -> np.ndarray:
    """P(b | a), (V, V), by the formula of the docstring, in plain Python."""
    pairs = Counter(itertools.pairwise(text))
    times = Counter(pairs.values())
    discount = times[1] / (times[1] + 2 * times[2]) if times[1] and times[2] else 0.5
    spread = [(sum(1 for pair in pairs if pair[1] == b) + 1) / (len(pairs) + size) for b in range(size)]
    table = np.zeros((size, size))
    for a in range(size):
        followed = [count for pair, count in pairs.items() if pair[0] == a]
        for b in range(size):
            if followed:
                kept = max(pairs[a, b] - discount, 0) if (a, b) in pairs else 0
                table[a, b] = (kept + discount * len(followed) * spread[b]) / sum(followed)
            else:
                table[a, b] = spread[b]
    return table


@pytest.fixture(params=["dense", "sparse", "chunks"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways a text is counted: all pairs in one table, only those found, and in pieces."""
    if request.param != "dense":
        monkeypatch.setattr(_ngram, "_DENSE", 0)
    if request.param == "chunks":
        monkeypatch.setattr(_ngram, "_CHUNK", 7)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_bigram_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    text, judged = rng.integers(0, 5, 60) % rng.integers(1, 6, 60), rng.integers(0, 7, 40)
    table = bigram_table(text.tolist(), 7)
    assert table.sum(1) == pytest.approx(np.ones(7), abs=1e-12)
    expected = np.mean([-math.log(table[a, b]) for a, b in itertools.pairwise(judged)])
    model = Bigram.count(text.astype(np.uint8), 7)
    assert model.bigram(judged.astype(np.uint8)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.usefixtures("way")
def test_unigram_is_the_formula() -> None:
    text, judged = [0, 0, 1, 2, 0], [3, 0, 1, 3]
    expected = np.mean([-math.log((text.count(b) + 1) / (len(text) + 4)) for b in judged[1:]])
    assert Bigram.count(np.array(text), 4).unigram(np.array(judged)) == pytest.approx(expected, abs=1e-12)


def test_bigram_beats_unigram_where_order_matters() -> None:
    text = np.array([0, 1, 2] * 50)
    model = Bigram.count(text, 3)
    assert model.bigram(text) < 0.1 < 1.0 < model.unigram(text)

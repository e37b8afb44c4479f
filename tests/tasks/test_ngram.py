"""The baselines against the definition, summed over with plain loops."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from elman.tasks import _ngram
from elman.tasks._ngram import Bigram, BothSides


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


def both_sides_table(
    rows: list[list[int]], judged: list[int], size: int, first: int
) -> dict[str, list[list[float]]]:
    """P (N, A) of the items of one judged row, by the formulas of the docstring, in plain Python."""
    counts: dict[tuple[object, ...], Counter[int]] = {}

    def around(row: list[int], t: int) -> dict[str, tuple[object, ...]]:
        padded = [size, size, *row, size, size]
        a, b, _, c, d = padded[t : t + 5]
        return {"l1": ("l1", b), "l2": ("l2", a, b), "r1": ("r1", c), "r2": ("r2", c, d), "lr": ("lr", b, c)}

    unigram = Counter(w for row in rows for w in row if w >= first)
    for row in rows:
        for t, w in enumerate(row):
            if w >= first:
                for context in around(row, t).values():
                    counts.setdefault(context, Counter())[w] += 1

    def upon(context: tuple[object, ...], lower: list[float]) -> list[float]:
        found = counts.get(context)
        if found is None:
            return lower
        total, kinds = sum(found.values()), len(found)
        return [(found[w] + kinds * lower[w - first]) / (total + kinds) for w in range(first, size)]

    table: dict[str, list[list[float]]] = {"none": [], "left": [], "right": [], "both": []}
    alone = [(unigram[w] + 1) / (sum(unigram.values()) + size - first) for w in range(first, size)]
    for t, w in enumerate(judged):
        if w >= first:
            at = around(judged, t)
            left, right = (upon(at[f"{s}2"], upon(at[f"{s}1"], alone)) for s in "lr")
            product = [a * b / c for a, b, c in zip(left, right, alone, strict=True)]
            both = upon(at["lr"], [p / sum(product) for p in product])
            for name, shares in (("none", alone), ("left", left), ("right", right), ("both", both)):
                table[name].append(shares)
    return table


@pytest.mark.parametrize("first", [0, 1])
def test_both_sides_is_the_formula(first: int) -> None:
    rng = np.random.default_rng(3)
    rows = [rng.integers(0, 6, length) for length in (1, 5, 9, 0, 4, 12, 7)]
    judged = rng.integers(0, 7, 15)
    model = BothSides(rows, 7, first)
    table = both_sides_table([row.tolist() for row in rows], judged.tolist(), 7, first)
    for sides in ("none", "left", "right", "both"):
        found = model.probabilities([judged], sides)  # type: ignore[arg-type]
        assert found == pytest.approx(np.array(table[sides]), abs=1e-12)
        assert found.sum(1) == pytest.approx(np.ones(len(found)))


def test_the_right_side_tells_what_the_left_cannot() -> None:
    rows = [np.array([0, 1, 2]), np.array([0, 3, 4])] * 9
    model = BothSides(rows, 5)
    (left, both) = (model.probabilities(rows[:1], sides)[1] for sides in ("left", "both"))
    assert both[1] > 0.9 > 0.6 > left[1]

"""CTC decoding beside all paths written out, and torch's loss."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from elman.data.ctc import Decoded, Decoder, Greedy, PrefixBeam, steps_needed

Symbols = tuple[int, ...]


def _logs(steps: int, symbols: int, seed: int, sharpness: float = 1.5) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(size=(steps, symbols + 1)) * sharpness
    return scores - np.logaddexp.reduce(scores, 1, keepdims=True)


def _joined(path: Sequence[int], blank: int) -> tuple[Symbols, list[tuple[int, int]]]:
    """The symbols of a path, and the steps of each."""
    found, spans = [], []
    for step, symbol in enumerate(path):
        if symbol != blank and (step == 0 or path[step - 1] != symbol):
            found.append(symbol)
            spans.append((step, step + 1))
        elif symbol != blank:
            spans[-1] = (spans[-1][0], step + 1)
    return tuple(found), spans


def _all(logs: np.ndarray) -> tuple[dict[Symbols, float], dict[Symbols, tuple[float, Any]]]:
    """ln P of every sequence, and its best path with its spans, over all paths one by one."""
    sums: dict[Symbols, float] = defaultdict(lambda: -math.inf)
    best: dict[Symbols, tuple[float, Any]] = {}
    blank = logs.shape[1] - 1
    for path in itertools.product(range(blank + 1), repeat=len(logs)):
        log = sum(logs[step, symbol] for step, symbol in enumerate(path))
        symbols, spans = _joined(path, blank)
        sums[symbols] = np.logaddexp(sums[symbols], log)
        if log > best.get(symbols, (-math.inf, None))[0]:
            best[symbols] = log, spans
    return dict(sums), best


def _decoded(decoder: Decoder, logs: np.ndarray, cuts: Sequence[int] = ()) -> Decoded:
    for part in np.split(logs, list(cuts)):
        decoder.push(part)
    return decoder.decoded(final=True)


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_finds_the_likeliest_of_all(seed: int) -> None:
    logs = _logs(6, 2 + seed % 2, seed)
    sums, paths = _all(logs)
    found = _decoded(PrefixBeam(500), logs)
    assert found.symbols == max(sums, key=lambda symbols: sums[symbols])
    assert found.score == pytest.approx(sums[found.symbols], abs=1e-12)
    assert list(zip(found.starts, found.stops, strict=True)) == paths[found.symbols][1]


def test_every_beginning_knows_its_sum_and_its_best_path() -> None:
    logs = _logs(5, 2, 7)
    sums, paths = _all(logs)
    beam = PrefixBeam(500)
    beam.push(logs)
    found = {prefix.symbols(): told for prefix, told in beam._beam.items()}
    assert found.keys() == sums.keys()
    for symbols, told in found.items():
        assert told.total == pytest.approx(sums[symbols], abs=1e-12)
        assert max(told.best_blank, told.best_symbol) == pytest.approx(paths[symbols][0], abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_greedy_is_the_best_path(seed: int) -> None:
    logs = _logs(6, 3, seed)
    _, paths = _all(logs)
    symbols = max(paths, key=lambda symbols: paths[symbols][0])
    found = _decoded(Greedy(), logs)
    assert found.symbols == symbols
    assert found.score == pytest.approx(paths[symbols][0], abs=1e-12)
    assert list(zip(found.starts, found.stops, strict=True)) == paths[symbols][1]


def test_the_score_of_a_beam_is_torchs_loss() -> None:
    logs = _logs(9, 3, 5)
    found = _decoded(PrefixBeam(20000), logs)
    nats = torch.nn.functional.ctc_loss(
        torch.from_numpy(logs)[:, None],
        torch.tensor([found.symbols]),
        torch.tensor([9]),
        torch.tensor([len(found.symbols)]),
        blank=3,
        reduction="sum",
    )
    assert found.score == pytest.approx(-float(nats), abs=1e-10)


def test_a_wider_beam_is_no_worse_and_a_narrow_one_misses_something() -> None:
    """Sums find what no single path is best for."""
    scores: dict[int, list[float]] = {1: [], 3: [], 200: []}
    for seed in range(40):
        logs = _logs(7, 3, seed)
        sums, _ = _all(logs)
        for width, row in scores.items():
            row.append(sums[_decoded(PrefixBeam(width), logs).symbols])
    assert all(a <= b + 1e-12 for a, b in zip(scores[3], scores[200], strict=True))
    assert sum(scores[1]) < sum(scores[3]) <= sum(scores[200])


@pytest.mark.parametrize("decoder", [Greedy, lambda: PrefixBeam(4)])
@pytest.mark.parametrize("cuts", [[1, 2, 3], [5], [0, 11, 20]])
def test_pieces_are_the_whole(decoder: Any, cuts: list[int]) -> None:
    logs = _logs(20, 4, 3)
    assert _decoded(decoder(), logs, cuts) == _decoded(decoder(), logs)


class _Table:
    """A language of three symbols in which what follows depends on the last one."""

    def __init__(self) -> None:
        self.logs = _logs(4, 3, 99)  # row: the last symbol, or 3 at the start; column 3: the end
        self.asked = 0

    def begin(self) -> tuple[Any, np.ndarray]:
        return (), self.logs[3]

    def follow(self, states: Sequence[Any], symbols: Sequence[int]) -> list[tuple[Any, np.ndarray]]:
        self.asked += 1
        return [((*s, k), self.logs[k]) for s, k in zip(states, symbols, strict=True)]

    def of(self, symbols: Symbols) -> float:
        pairs = zip((3, *symbols), (*symbols, 3), strict=True)
        return sum(float(self.logs[last, following]) for last, following in pairs)


@pytest.mark.parametrize(("weight", "bonus"), [(1.0, 0.0), (0.5, 1.5), (3.0, -0.5)])
@pytest.mark.parametrize("seed", range(4))
def test_language_and_bonus_are_added(seed: int, weight: float, bonus: float) -> None:
    logs, language = _logs(6, 3, seed), _Table()
    sums, _ = _all(logs)
    ranks = {s: log + weight * language.of(s) + bonus * len(s) for s, log in sums.items()}
    best = max(ranks, key=lambda symbols: ranks[symbols])
    found = _decoded(PrefixBeam(2000, language, weight=weight, bonus=bonus), logs)
    assert found.symbols == best
    assert found.score == pytest.approx(ranks[best], abs=1e-10)
    assert language.asked <= 6


def test_a_bonus_makes_longer_texts() -> None:
    lengths = [
        sum(len(_decoded(PrefixBeam(50, bonus=bonus), _logs(7, 3, seed)).symbols) for seed in range(10))
        for bonus in (-2.0, 0.0, 2.0)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


@pytest.mark.parametrize("symbols", [(), (0,), (1, 1), (0, 1, 0), (2, 2, 2), (1, 1, 0, 0)])
def test_steps_needed_is_the_shortest_path(symbols: Symbols) -> None:
    shortest = next(
        steps
        for steps in range(8)
        if any(_joined(path, 3)[0] == symbols for path in itertools.product(range(4), repeat=steps))
    )
    assert steps_needed(symbols) == shortest


def test_no_steps_are_no_symbols() -> None:
    for decoder in (Greedy(), PrefixBeam(3)):
        found = _decoded(decoder, np.empty((0, 4)))
        assert (found.symbols, found.starts, found.stops) == ((), (), ())


def test_a_long_sound_keeps_no_more_than_the_beam() -> None:
    """Beginnings that fell out of the beam are gone, so that hours of sound can be read."""
    beam = PrefixBeam(5)
    for seed in range(30):
        beam.push(_logs(40, 6, seed, sharpness=3.0))
    needed = set()
    for prefix in beam._beam:
        place = prefix
        while place not in needed:
            needed.add(place)
            place = place.parent or place
    children = [child for prefix in needed for child in (prefix._children or {}).values()]
    assert len(needed) > 800
    assert set(children) <= needed

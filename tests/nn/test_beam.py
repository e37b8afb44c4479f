"""Beam search beside all sequences there are, counted one by one; penalties, limits and bans by their definition."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from elman.nn import Recurrent, beam, paths
from elman.nn.attention import Attention
from elman.nn.beam import draw, largest, search
from elman.nn.decoder import Carried, Decoder
from elman.nn.stepper import Stepper

SYMBOLS, LIMIT = 3, 4


@dataclass
class Looking:
    beam_size: int = 1
    n_best: int = 1
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    min_length: int = 0
    no_repeat: int = 0


def decoder(seed: int = 0, feeding: bool = True, scale: float = 3.0) -> Decoder:
    torch.manual_seed(seed)
    recurrent = Recurrent("gru", 8 if feeding else 4, 5)
    network = Decoder(nn.Embedding(SYMBOLS + 1, 4), recurrent, Attention("additive", 5, 6, 5)).eval()
    with torch.no_grad():
        network.embedding.weight *= scale  # scores far enough apart to make a choice
    return network


def begun(network: Decoder, rows: int = 3, seed: int = 1) -> Carried:
    torch.manual_seed(seed)
    lengths = torch.tensor([5, 2, 4, 1, 3][:rows])
    return network.begin(torch.randn(rows, 5, 6), lengths, {"h": torch.randn(1, rows, 5)})


@torch.no_grad()
def judged(
    network: Decoder, carried: Carried, symbols: tuple[int, ...], whole: bool
) -> tuple[float, np.ndarray]:
    """ln P of a sequence (and its end), and the attention (T, S) at its steps."""
    inputs = torch.tensor([[network.end, *symbols]])
    readouts, weights = network(inputs, torch.tensor([inputs.shape[1]]), carried)
    logs = network.scores(readouts).log_softmax(2)[0].double().numpy()
    total = sum(logs[t, symbol] for t, symbol in enumerate(symbols)) + (logs[-1, network.end] if whole else 0)
    return float(total), weights[0].double().numpy()


def every(
    network: Decoder, carried: Carried, looking: Looking, limit: int = LIMIT
) -> list[tuple[float, tuple[int, ...]]]:
    """All sequences that end before the limit, best first, by the definition of the score."""
    found = []
    for length in range(looking.min_length, limit):
        for symbols in itertools.product(range(SYMBOLS), repeat=length):
            log, weights = judged(network, carried, symbols, True)
            score = log / ((5 + length + 1) / 6) ** looking.length_penalty
            covered = weights.sum(0)[carried.memory.inside[0].numpy()]
            score += looking.coverage_penalty * float(np.log(np.minimum(1, covered)).sum())
            found.append((score, symbols))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize(
    "looking",
    [
        Looking(500, 5),
        Looking(500, 5, length_penalty=1.0),
        Looking(500, 5, coverage_penalty=0.7),
        Looking(500, 3, min_length=2),
        Looking(500, 1),
    ],
    ids=str,
)
def test_a_wide_beam_finds_the_best_there_are(looking: Looking, feeding: bool) -> None:
    network = decoder(feeding=feeding)
    carried = begun(network)
    found = search(network, carried, [LIMIT] * 3, looking)
    for row in range(3):
        best = every(network, carried.rows(torch.tensor([row])), looking)[: looking.n_best]
        whole = [each for each in found[row] if each.whole]
        told = {tuple(each.symbols): each.score for each in whole}
        for score, symbols in best:
            if score > min(each.score for each in found[row]):
                assert told[symbols] == pytest.approx(score, abs=1e-4)
        assert [each.score for each in found[row]] == sorted(
            (each.score for each in found[row]), reverse=True
        )
        assert len(found[row]) == looking.n_best
        for each in found[row]:
            log, _ = judged(network, carried.rows(torch.tensor([row])), tuple(each.symbols), each.whole)
            assert each.log_probability == pytest.approx(log, abs=1e-4)


def test_greedy_takes_the_best_symbol_each_time() -> None:
    ends = []
    for seed in range(8):
        network = decoder(seed)
        carried = begun(network, 5)
        for row, (best,) in enumerate(search(network, carried, [7] * 5, Looking())):
            symbols, ended = followed(network, carried.rows(torch.tensor([row])), 7)
            assert (best.symbols, best.whole) == (symbols, ended)
            ends.append(ended)
    assert set(ends) == {True, False}


@torch.no_grad()
def followed(network: Decoder, carried: Carried, limit: int) -> tuple[list[int], bool]:
    """The best symbol at each step, and whether the end came."""
    symbols, symbol = [], network.end
    while len(symbols) < limit:
        scores, carried = network.step(torch.tensor([[symbol]]), carried)
        symbol = int(scores.argmax())
        if symbol == network.end:
            return symbols, True
        symbols.append(symbol)
    return symbols, False


@pytest.mark.parametrize("size", [1, 3])
def test_rows_do_not_see_each_other(size: int) -> None:
    network = decoder(2)
    carried = begun(network, 5)
    limits = [3, 9, 6, 2, 9]
    together = search(network, carried, limits, Looking(size, size))
    for row in range(5):
        alone = search(
            network, carried.rows(torch.tensor([row])), limits[row : row + 1], Looking(size, size)
        )[0]
        assert [each.symbols for each in alone] == [each.symbols for each in together[row]]
        assert [each.score for each in alone] == pytest.approx(
            [each.score for each in together[row]], abs=1e-5
        )
        assert [each.looked for each in alone] == [each.looked for each in together[row]]
        assert all(len(each.symbols) <= limits[row] for each in alone)


def test_a_row_stops_when_it_is_done() -> None:
    network = decoder(2)
    steps = []
    advance = network.advance

    def counted(symbols: torch.Tensor, *others: Any) -> Carried:
        steps.append(len(symbols))
        return advance(symbols, *others)

    network.advance = counted  # type: ignore[method-assign]
    search(network, begun(network, 5), [1, 1, 1, 1, 12], Looking(no_repeat=0, min_length=12))
    assert steps == [5] + [1] * 11


def test_a_row_does_not_go_on_when_nothing_better_can_come() -> None:
    network = decoder(2)
    with torch.no_grad():
        network.bias[network.end] = 50
    steps = []
    advance = network.advance

    def counted(symbols: torch.Tensor, *others: Any) -> Carried:
        steps.append(len(symbols))
        return advance(symbols, *others)

    network.advance = counted  # type: ignore[method-assign]
    found = search(network, begun(network), [30] * 3, Looking(4, 1))
    assert [row[0].symbols for row in found] == [[]] * 3
    assert steps == [3]


def test_what_is_looked_at_is_where_the_attention_is() -> None:
    network = decoder(3)
    carried = begun(network)
    for row, hypotheses in enumerate(search(network, carried, [6] * 3, Looking(3, 3))):
        for each in hypotheses:
            _, weights = judged(network, carried.rows(torch.tensor([row])), tuple(each.symbols), True)
            assert each.looked == weights.argmax(1)[: len(each.symbols)].tolist()


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("runs", [1, 2, 3])
def test_no_run_comes_twice(size: int, runs: int) -> None:
    network = decoder(6)
    free = search(network, begun(network), [20] * 3, Looking(size, size, min_length=20))
    bound = search(network, begun(network), [20] * 3, Looking(size, size, no_repeat=runs))

    def repeats(symbols: list[int]) -> bool:
        seen = [tuple(symbols[k : k + runs]) for k in range(len(symbols) - runs + 1)]
        return len(set(seen)) < len(seen)

    assert any(repeats(each.symbols) for row in free for each in row)
    assert not any(repeats(each.symbols) for row in bound for each in row)
    assert all(row for row in bound)


def test_what_is_forbidden_is_not_written() -> None:
    network = decoder(6)
    free = search(network, begun(network), [9] * 3, Looking(3, 3, min_length=9))
    used = free[0][0].symbols[0]
    found = search(network, begun(network), [9] * 3, Looking(3, 3, min_length=9), forbidden=[used])
    assert not any(used in each.symbols for row in found for each in row)


def test_a_length_penalty_makes_longer() -> None:
    network = decoder(8)
    lengths = [
        np.mean(
            [
                len(row[0].symbols)
                for row in search(network, begun(network, 5), [12] * 5, Looking(6, 1, weight))
            ]
        )
        for weight in (0.0, 3.0)
    ]
    assert lengths[0] < lengths[1]


def test_without_attention_nothing_is_looked_at() -> None:
    torch.manual_seed(0)
    network = Decoder(nn.Embedding(SYMBOLS + 1, 4), Recurrent("lstm", 4, 5)).eval()
    found = search(
        network, network.begin(None, torch.tensor([1, 1])), [5, 5], Looking(2, 2, coverage_penalty=1.0)
    )
    assert [each.looked for row in found for each in row] == [[]] * 4
    assert found[0] == found[1]


def test_drawing_follows_the_probabilities() -> None:
    network = decoder(5, scale=1.0)
    carried = begun(network, 1)
    rng = np.random.default_rng(0)
    seen: list[np.ndarray] = []

    def choose(scores: np.ndarray) -> int:
        seen.append(scores)
        return int(rng.integers(0, SYMBOLS))

    written = [symbol for symbol, _ in draw(network, carried, 6, choose, forbidden=[1])]
    assert len(written) == 6
    log = 0.0
    for t, symbol in enumerate(written):
        assert math.isinf(seen[t][1])
        if symbol != 1:
            free, _ = judged(network, carried, tuple(written[: t + 1]), False)
            before, _ = judged(network, carried, tuple(written[:t]), False)
            expected = free - before
            shares = seen[t] - seen[t][0]
            other, _ = judged(network, carried, (*written[:t], 0), False)
            assert shares[symbol] == pytest.approx(expected - (other - before), abs=1e-4)
            log += expected
    assert log < 0


def test_drawing_ends_at_the_end_mark() -> None:
    network = decoder()
    chosen = iter([2, 0, network.end])
    drawn = list(draw(network, begun(network, 1), 9, lambda scores: next(chosen)))
    assert [symbol for symbol, _ in drawn] == [2, 0]
    assert all(0 <= place < 5 for _, place in drawn if place is not None)


@pytest.mark.parametrize("symbols", [1, 4, 63, 64, 65, 300])
@pytest.mark.parametrize("count", [1, 10, 700])
@pytest.mark.parametrize("scattered", [False, True])
def test_the_largest_are_those_of_all(symbols: int, count: int, scattered: bool) -> None:
    torch.manual_seed(symbols)
    scores, before = torch.randn(3, 4, symbols), (0.1 if scattered else 3) * torch.randn(3, 4)
    scores[:, :, ::64] += 9 * scattered  # each in a block of its own
    scores[scores < -1] = -torch.inf
    before[1, 2] = -torch.inf
    found, places = largest(scores, before, count)
    every = (scores + before[:, :, None]).flatten(1)
    assert found.equal(every.topk(min(count, 4 * symbols)).values)
    assert every.gather(1, places).equal(found)
    assert all(len(set(row)) == len(row) for row in places.tolist())


@pytest.mark.parametrize("feeding", [True, False])
def test_the_stepped_layers_are_the_layers(feeding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypotheses, scores and looks through the packed weights are those of a call of the layers for each step."""
    network = decoder(4, feeding)
    looking = Looking(4, 3, length_penalty=0.6)
    packed = search(network, begun(network, 5), [12, 3, 7, 1, 9], looking)
    monkeypatch.setattr(Stepper, "_chosen", lambda _: paths.TEXT)
    plain = search(network, begun(network, 5), [12, 3, 7, 1, 9], looking)
    for ours, theirs in zip(packed, plain, strict=True):
        assert [(one.symbols, one.looked) for one in ours] == [(one.symbols, one.looked) for one in theirs]
        assert [one.score for one in ours] == pytest.approx([one.score for one in theirs], abs=1e-5)


def test_scores_made_in_parts_are_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    network, looking = decoder(5), Looking(4, 2, no_repeat=2, min_length=2)
    whole = search(network, begun(network, 5), [9] * 5, looking, forbidden=[1])
    monkeypatch.setattr(beam, "_SCORED", 1)
    parts = search(network, begun(network, 5), [9] * 5, looking, forbidden=[1])
    assert [[one.symbols for one in row] for row in parts] == [[one.symbols for one in row] for row in whole]

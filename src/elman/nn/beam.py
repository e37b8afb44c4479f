"""Writing with a decoder: the most likely sequences by beam search, or one that is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.nn.decoder import Carried, Decoder
from elman.nn.stepper import Stepper

_CLEARED = 0.75  # share of the rows that must go on, or those that are done are cleared away,
_IDLE = 16  # as they are when they have so many hypotheses
_BLOCK = 64  # scores of which the largest is found first
_SCORED = 1 << 19  # scores made at once: what fits into the second-level cache is read again at no cost


class Rules(Protocol):
    """How sequences are looked for; n_best is at most beam_size, which is 1 for a greedy search."""

    beam_size: int
    n_best: int
    length_penalty: float
    coverage_penalty: float
    min_length: int
    no_repeat: int


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that was found.

    score: (ln P) / ((5 + T + 1) / 6)^length_penalty + coverage_penalty * sum over s of ln min(1, sum over t of a_ts)
    (Wu et al. 2016), T + 1 steps with the end; log_probability: ln P in nats; looked: the step of the memory that each
    symbol was written from, empty without attention; whole: whether it came to its end before the limit.
    """

    symbols: list[int]
    score: float
    log_probability: float
    looked: list[int]
    whole: bool


@torch.inference_mode()
def search(
    decoder: Decoder, carried: Carried, limits: Sequence[int], rules: Rules, forbidden: Sequence[int] = ()
) -> list[list[Hypothesis]]:
    """The best sequences of each of B rows, best first, at most `rules.n_best` of each.

    All rows go on together, each until no hypothesis that is left could, at its present length, be among its best, or
    until it has as many symbols as its limit. Deterministic.

    Args:
        decoder, carried: where the rows begin, one hypothesis each (`Decoder.begin`).
        limits: (B,) most symbols of each row.
        rules: beam and penalties.
        forbidden: symbols that are never written.

    >>> from types import SimpleNamespace
    >>> from torch import nn
    >>> from elman.nn import Recurrent
    >>> decoder = Decoder(nn.Embedding(5, 3), Recurrent("gru", 3, 4))
    >>> rules = SimpleNamespace(beam_size=2, n_best=2, length_penalty=0, coverage_penalty=0, min_length=3, no_repeat=0)
    >>> found = search(decoder, decoder.begin(None, torch.tensor([1])), [4], rules)
    >>> len(found[0]), all(len(each.symbols) in (3, 4) for each in found[0])
    (2, True)
    """
    beam = _Beam(decoder, carried, limits, rules, forbidden)
    while len(beam.numbers):
        beam.advance()
    return beam.found


@torch.inference_mode()
def draw(
    decoder: Decoder,
    carried: Carried,
    limit: int,
    choose: Callable[[NDArray[np.float64]], int],
    forbidden: Sequence[int] = (),
) -> Iterator[tuple[int, int | None]]:
    """The symbols of one row, each chosen from the scores (V + 1,) in its turn, and the step of the memory it was
    written from; ends before the end mark, or at the limit."""
    symbol, layers = decoder.end, Stepper(decoder.recurrent)
    for _ in range(limit):
        given = torch.full((1, 1), symbol, device=decoder.bias.device)
        scores, carried = decoder.step(given, carried, layers)
        scores[..., list(forbidden)] = -torch.inf
        symbol = choose(scores[0, 0].double().cpu().numpy())
        if symbol == decoder.end:
            return
        yield symbol, None if carried.looked is None else int(carried.looked[0, 0, 0].argmax())


def largest(scores: Tensor, before: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest sums (B, count) of scores (B, K, V) and what was before (B, K), largest first, and the place
    of each among the K * V of its row; fewer where there are fewer.

    The largest of each block of scores are found first: in no other blocks than those of the `count` largest of them
    can one of the sums lie. Of equal sums any.

    >>> sums, places = largest(torch.tensor([[[0.0, 5.0, 1.0], [4.0, 0.0, 9.0]]]), torch.tensor([[0.0, -3.0]]), 2)
    >>> sums.tolist(), places.tolist()
    ([[6.0, 5.0]], [[5, 1]])
    """
    rows, width, symbols = scores.shape
    blocks, rest = divmod(symbols, _BLOCK)
    number = torch.arange(width * symbols, device=scores.device)
    places = number.view(width, symbols)[:, symbols - rest :].reshape(1, -1).expand(rows, -1)
    if blocks:
        whole = scores[:, :, : symbols - rest].reshape(rows, width, blocks, _BLOCK)
        highest = (whole.amax(3) + before[:, :, None]).flatten(1)
        kept = highest.topk(min(count, highest.shape[1]), sorted=False).indices
        first = kept // blocks * symbols + kept % blocks * _BLOCK
        places = torch.cat([places, (first[:, :, None] + number[:_BLOCK]).flatten(1)], 1)
    sums = scores.flatten(1).gather(1, places) + before.gather(1, places // symbols)
    found, best = sums.topk(min(count, sums.shape[1]))
    return found, places.gather(1, best)


class _Beam:
    """The search under way: B rows that go on, K hypotheses of t symbols each.

    numbers: (B,) which of the rows at the beginning each is; open: (B,) False where a row is done; worst: (B,) score
    that must be beaten; symbols, looked: (B, K, t), `looked` empty without attention; logs: (B, K) ln P.
    """

    def __init__(
        self,
        decoder: Decoder,
        carried: Carried,
        limits: Sequence[int],
        rules: Rules,
        forbidden: Sequence[int],
    ) -> None:
        self.decoder, self.carried, self.rules, self.forbidden = decoder, carried, rules, list(forbidden)
        self.layers = Stepper(decoder.recurrent)
        device, rows = carried.fed.device, len(limits)
        self.found: list[list[Hypothesis]] = [[] for _ in limits]
        self.numbers = torch.arange(rows, device=device)
        self.limits = torch.tensor(limits, device=device)
        self.last = torch.full((rows, 1), decoder.end, device=device)
        self.symbols = self.looked = torch.zeros((rows, 1, 0), dtype=torch.long, device=device)
        self.logs = torch.zeros((rows, 1), device=device)
        self.worst = torch.full((rows,), -torch.inf, device=device)
        self.open = torch.ones(rows, dtype=torch.bool, device=device)

    def advance(self) -> None:
        """One symbol more for every hypothesis; rows that are done are put away."""
        logs, chosen, parents = self._candidates()
        ended = chosen == self.decoder.end
        first = torch.arange(logs.shape[1], device=logs.device) < self.rules.beam_size
        closing = ended & first & logs.isfinite()
        looked = self._looks()
        if closing.any():
            self._close(closing, logs, parents)
        on = ended.to(torch.int8).argsort(dim=1, stable=True)[:, : self.rules.beam_size]
        self.logs = logs.masked_fill(ended, -torch.inf).gather(1, on)
        self.last, parents = chosen.gather(1, on), parents.gather(1, on)
        self.carried = self.carried.hypotheses(parents)
        row = torch.arange(len(parents), device=parents.device)[:, None]
        self.symbols = torch.cat([self.symbols[row, parents], self.last[:, :, None]], 2)
        self.looked = self.looked[row, parents]
        if looked is not None:
            self.looked = torch.cat([self.looked, looked[row, parents][:, :, None]], 2)
        self._put_away()

    def _candidates(self) -> tuple[Tensor, Tensor, Tensor]:
        """ln P (B, 2 K), the last symbol and the parent of the best continuations, best first."""
        self.carried = self.decoder.advance(self.last, self.carried, self.layers)
        rows, width = self.last.shape
        size = max(1, _SCORED // (width * (self.decoder.end + 1)))
        parts = [self._best(slice(start, start + size)) for start in range(0, rows, size)]
        best, symbols, parents = map(torch.cat, zip(*parts, strict=True))
        return best, symbols, parents

    def _best(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """`_candidates` of some rows."""
        scores = self.decoder.scores_of(self.carried, rows)
        before = self.logs[rows] - scores.logsumexp(2)
        if self.forbidden:
            scores[:, :, self.forbidden] = -torch.inf
        if self.symbols.shape[2] < self.rules.min_length:
            scores[:, :, self.decoder.end] = -torch.inf
        if self.rules.no_repeat:
            self._forbid_repeats(scores, self.symbols[rows])
        best, places = largest(scores, before, 2 * self.rules.beam_size)
        return best, places % scores.shape[2], places // scores.shape[2]

    def _forbid_repeats(self, scores: Tensor, symbols: Tensor) -> None:
        """No symbol that would make a run of `no_repeat` symbols which the hypothesis holds already."""
        before, size = symbols.shape[2], self.rules.no_repeat
        if before < size:
            return
        runs = symbols.unfold(2, size, 1)  # (B, K, runs, size)
        same = (runs[..., :-1] == symbols[:, :, None, before - size + 1 :]).all(3)
        row, column, run = same.nonzero(as_tuple=True)
        scores[row, column, runs[row, column, run, -1]] = -torch.inf

    def _looks(self) -> Tensor | None:
        looked = self.carried.looked
        return None if looked is None else looked[:, :, 0].argmax(2)

    def _penalized(self, logs: Tensor) -> Tensor:
        """ln P of hypotheses with t + 1 steps, divided by the penalty on short ones."""
        penalty: float = ((6 + self.symbols.shape[2]) / 6) ** self.rules.length_penalty
        return logs / penalty

    def _coverage(self, row: int) -> Tensor:
        """(K,): how much of its memory each hypothesis of a row has not looked at, at most 0."""
        looked, memory = self.carried.looked, self.carried.memory
        if looked is None or memory is None or not self.rules.coverage_penalty:
            return self.logs.new_zeros(self.carried.fed.shape[1])
        sums = looked[row, :, 1].clamp(1e-9, 1).log() * memory.inside[row]
        return self.rules.coverage_penalty * sums.sum(1)

    def _close(self, closing: Tensor, logs: Tensor, parents: Tensor) -> None:
        """Keep the hypotheses that have come to their end."""
        scores = self._penalized(logs)
        for row, place in closing.nonzero().tolist():
            parent = int(parents[row, place])
            score = scores[row, place] + self._coverage(row)[parent]
            self._keep(row, parent, float(score), float(logs[row, place]), True)

    def _keep(self, row: int, column: int, score: float, log: float, whole: bool) -> None:
        found = self._found_of(row)
        found.append(
            Hypothesis(
                self.symbols[row, column].tolist(), score, log, self.looked[row, column].tolist(), whole
            )
        )
        found.sort(key=lambda each: -each.score)
        del found[self.rules.n_best :]
        if len(found) == self.rules.n_best:
            self.worst[row] = found[-1].score

    def _found_of(self, row: int) -> list[Hypothesis]:
        return self.found[int(self.numbers[row])]

    def _put_away(self) -> None:
        """At its limit a row keeps what it has; rows that are done leave when they are many."""
        best = self._penalized(self.logs.amax(1))
        full = self.open & (self.limits <= self.symbols.shape[2])
        for row in full.nonzero().flatten().tolist():
            self._cut(row)
        self.open &= ~full & (best > self.worst)
        self.logs = self.logs.masked_fill(~self.open[:, None], -torch.inf)
        count, still = len(self.open), int(self.open.sum())
        if still <= _CLEARED * count or (count - still) * self.logs.shape[1] >= _IDLE:
            self._clear(self.open.nonzero().flatten())

    def _cut(self, row: int) -> None:
        scores = self._penalized(self.logs[row]) + self._coverage(row)
        for column in range(len(scores) if len(self._found_of(row)) < self.rules.n_best else 0):
            if bool(scores[column].isfinite()):
                self._keep(row, column, float(scores[column]), float(self.logs[row, column]), False)

    def _clear(self, rows: Tensor) -> None:
        self.carried = self.carried.rows(rows)
        for name in ("numbers", "limits", "worst", "open", "symbols", "looked", "logs", "last"):
            setattr(self, name, getattr(self, name)[rows])

"""What a network must beat: models that count, of the next symbol and of the symbol between others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elman.data.corpus import Rows

_CHUNK = 1 << 20
_DENSE = 1 << 22

Symbols = NDArray[Any]
Integers = NDArray[np.int64]
Sides: TypeAlias = Literal["none", "left", "right", "both"]


@dataclass(frozen=True)
class Bigram:
    """Counts of the symbols and of the pairs of a text; probabilities of the next symbol from them.

    unigram: P(b) = (c(b) + 1) / (N + V).
    bigram, interpolated by absolute discounting: P(b | a) = max(c(a b) - d, 0) / c(a .) + d n(a .) / c(a .) Q(b),
    with Q(b) = (n(. b) + 1) / (n(. .) + V) and d = n1 / (n1 + 2 n2). After an `a` never seen, P(b | a) = Q(b).

    c counts, n counts distinct pairs, n1 and n2 are the pairs seen once and twice, V is the size of the vocabulary.
    Source: Kneser and Ney, Improved backing-off for m-gram language modeling (1995), interpolated form of Chen and
    Goodman (1999); deviation: Q adds one to every count, so that a symbol never seen has a probability.

    >>> round(Bigram.count(np.array([0, 1, 0, 1, 0]), 2).bigram(np.array([0, 1, 0])), 3)
    0.134
    """

    size: int
    counts: Integers
    pairs: Integers
    pair_counts: Integers

    @classmethod
    def count(cls, symbols: Symbols, size: int) -> Bigram:
        """Count a text of at least two symbols 0..size-1; memory grows with the number of distinct pairs alone."""
        counts = np.zeros(size, np.int64)
        counts[int(symbols[0])] = 1
        for _, after in _pieces(symbols):
            counts += np.bincount(after, minlength=size)
        return cls(size, counts, *_count_pairs(symbols, size))

    def unigram(self, symbols: Symbols) -> float:
        """Mean of -ln P(b) in nats over the symbols after the first, the targets a model of the text has too."""
        nats = np.log(self.counts.sum() + self.size) - np.log(self.counts + 1.0)
        return sum(float(nats[b].sum()) for _, b in _pieces(symbols)) / (len(symbols) - 1)

    def bigram(self, symbols: Symbols) -> float:
        """Mean of -ln P(b | a) in nats over the pairs of `symbols`."""
        size = self.size
        before, after = np.divmod(self.pairs, size)
        total = np.bincount(before, self.pair_counts, minlength=size)
        kinds = np.bincount(before, minlength=size)
        once, twice = (int((self.pair_counts == times).sum()) for times in (1, 2))
        discount = once / (once + 2 * twice) if once and twice else 0.5
        spread = (np.bincount(after, minlength=size) + 1.0) / (len(self.pairs) + size)
        backoff = np.where(total > 0, discount * kinds / np.maximum(total, 1), 1.0)
        nats = 0.0
        for a, b in _pieces(symbols):
            code = a * size + b
            place = np.minimum(np.searchsorted(self.pairs, code), len(self.pairs) - 1)
            kept = np.where(self.pairs[place] == code, self.pair_counts[place] - discount, 0.0)
            nats -= float(np.log(kept / np.maximum(total[a], 1) + backoff[a] * spread[b]).sum())
        return nats / (len(symbols) - 1)


def _pieces(symbols: Symbols) -> Iterator[tuple[Integers, Integers]]:
    """The pairs of a text, as (first symbols, second symbols), some at a time."""
    rows = Rows(symbols)
    for start in range(0, len(symbols) - 1, _CHUNK):
        width = min(_CHUNK + 1, len(symbols) - start)
        piece = rows.read(np.array([start]), width)[0].astype(np.int64)
        yield piece[:-1], piece[1:]


def _count_pairs(symbols: Symbols, size: int) -> tuple[Integers, Integers]:
    """Distinct pairs, each as a * size + b in ascending order, and their counts."""
    dense = np.zeros(size * size if size * size <= _DENSE else 0, np.int64)
    pairs, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for before, after in _pieces(symbols):
        codes = before * size + after
        if len(dense):
            dense += np.bincount(codes, minlength=len(dense))
        else:
            found, times = np.unique(codes, return_counts=True)
            pairs, place = np.unique(np.concatenate([pairs, found]), return_inverse=True)
            summed = np.bincount(place, np.concatenate([counts, times]), minlength=len(pairs))
            counts = summed.astype(np.int64)
    if len(dense):
        pairs = np.flatnonzero(dense)
        counts = dense[pairs]
    return pairs, counts


class BothSides:
    """Probabilities of an item from two items on each side, by counts.

    left: P(w | a b) of the two items before it, right: of the two behind it, both interpolated by Witten and Bell:
    P(w | C) = (c(C w) + n(C) P(w | C')) / (c(C) + n(C)), where C' has the nearer item alone, then none: the unigram
    (c(w) + 1) / (N + A). both: P_b(w) = P(w | left) P(w | right) / P(w), scaled to sum 1, as if the sides were
    independent given w; and upon it, with C the next item on each side, (c(C w) + n(C) P_b(w)) / (c(C) + n(C)).

    c counts, n counts distinct items in a context. Beyond both ends of a row stands a mark, `size`; items below `first`
    are context only, and A are the others.
    Source: Witten and Bell, The zero-frequency problem (1991), method C, as interpolated by Chen and Goodman (1999).

    >>> rows = [np.array([0, 1, 2]), np.array([0, 1, 2])]
    >>> BothSides(rows, 3).probabilities([np.array([0, 1, 2])], "both").argmax(1)
    array([0, 1, 2])
    """

    _PLACES: ClassVar[dict[str, tuple[tuple[int, ...], ...]]] = {
        "left": ((-1,), (-2, -1)),
        "right": ((1,), (1, 2)),
    }

    def __init__(self, rows: Sequence[Symbols], size: int, first: int = 0) -> None:
        self._size, self._first = size, first
        text, places = self._laid_out(rows)
        counts = np.bincount(text[places] - first, minlength=size - first)
        self._unigram = (counts + 1.0) / (counts.sum() + size - first)
        around = {*itertools.chain.from_iterable(self._PLACES.values()), (-1, 1)}
        self._followers = {where: _Followers.count(*self._pairs(text, places, where)) for where in around}

    def probabilities(self, rows: Sequence[Symbols], sides: Sides) -> NDArray[np.float64]:
        """P (N, A) of every item of `rows` that is not below `first`, in order, each from the others."""
        text, places = self._laid_out(rows)
        whole = np.broadcast_to(self._unigram, (len(places), len(self._unigram)))
        if sides == "none":
            return whole
        if sides != "both":
            for where in self._PLACES[sides]:
                whole = self._followers[where].interpolate(self._code(text, places, where), whole)
            return whole
        product = self.probabilities(rows, "left") * self.probabilities(rows, "right") / self._unigram
        product /= product.sum(1, keepdims=True)
        return self._followers[-1, 1].interpolate(self._code(text, places, (-1, 1)), product)

    def _laid_out(self, rows: Sequence[Symbols]) -> tuple[Integers, Integers]:
        """The rows as one text, two marks before and behind each, and the places of what can be an answer."""
        edge = np.full(2, self._size, np.int64)
        text = np.concatenate([edge, *itertools.chain.from_iterable((row, edge) for row in rows)])
        return text, np.flatnonzero((text >= self._first) & (text < self._size))

    def _code(self, text: Integers, places: Integers, where: tuple[int, ...]) -> Integers:
        code = np.zeros(len(places), np.int64)
        for offset in where:
            code = code * (self._size + 1) + text[places + offset]
        return code

    def _pairs(self, text: Integers, places: Integers, where: tuple[int, ...]) -> tuple[Integers, Integers]:
        return self._code(text, places, where), text[places] - self._first


@dataclass(frozen=True)
class _Followers:
    """What occurs in each context: contexts in ascending order; the items of context k and their counts stand from
    starts[k] up to starts[k+1]."""

    contexts: Integers
    starts: Integers
    items: Integers
    counts: Integers

    @classmethod
    def count(cls, contexts: Integers, items: Integers) -> _Followers:
        order = np.lexsort((items, contexts))
        contexts, items = contexts[order], items[order]
        new = np.flatnonzero(np.r_[True, (np.diff(contexts) != 0) | (np.diff(items) != 0)][: len(items)])
        counts = np.diff(np.r_[new, len(items)])
        distinct, starts = np.unique(contexts[new], return_index=True)
        return cls(distinct, np.r_[starts, len(new)], items[new], counts)

    def interpolate(self, contexts: Integers, lower: NDArray[np.float64]) -> NDArray[np.float64]:
        """(c(C w) + n(C) lower(w)) / (c(C) + n(C)) for each context, (N, A); `lower` where it never occurred."""
        out = lower.copy()
        place = np.minimum(np.searchsorted(self.contexts, contexts), len(self.contexts) - 1)
        seen = np.flatnonzero(self.contexts[place] == contexts)
        start, kinds = self.starts[place[seen]], np.diff(self.starts)[place[seen]]
        total = np.add.reduceat(self.counts, self.starts[:-1])[place[seen]]
        out[seen] *= (kinds / (total + kinds))[:, None]
        entry = np.repeat(start - np.r_[0, np.cumsum(kinds)[:-1]], kinds) + np.arange(kinds.sum())
        weight = np.repeat(1.0 / (total + kinds), kinds)
        out[np.repeat(seen, kinds), self.items[entry]] += self.counts[entry] * weight
        return out

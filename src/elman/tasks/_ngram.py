"""What a language model must beat: the unigram and the interpolated bigram, counted in one pass each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.corpus import Rows

_CHUNK = 1 << 20
_DENSE = 1 << 22

Symbols = NDArray[Any]
Integers = NDArray[np.int64]


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

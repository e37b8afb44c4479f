"""Vectors of symbols that know what stands before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.described import Description

LARGEST = 1 << 16
"""n-grams that have a vector, at most."""

_FACTOR = 0x5851F42D4C957F2D  # odd: the multiplier of Knuth's MMIX; products wrap around at 64 bits
_LEAST = 2  # occurrences of an n-gram that has a vector


def frequent_ngrams(rows: Sequence[NDArray[Any]], ngrams: int) -> NDArray[np.int64]:
    """Codes, ascending, of the most frequent runs of 2 to `ngrams` symbols in texts (t,): at most LARGEST, none that is
    there once only. What begins before the start of a text counts as well."""
    found = [code for row in rows for code in _codes(np.asarray(row, np.int64), ngrams)]
    codes, counts = np.unique(np.concatenate([np.empty(0, np.int64), *found]), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:LARGEST]
    return np.sort(codes[order[counts[order] >= _LEAST]])


class NgramEmbedding(nn.Module):
    """A vector for each symbol of a text, made of those of the 1- to n-grams that end with it.

    e_t = (v(x_t) + sum over m = 2..n of w(x_{t-m+1} .. x_t)) / sqrt(n), where w is 0 for an n-gram that has no vector.

    Source: the bags of n-grams of Joulin et al., Bag of Tricks for Efficient Text Classification, 2017,
    https://aclanthology.org/E17-2068; here they keep their places, and only frequent ones have a vector.

    Args:
        vocabulary_size: V, number of symbols, 0..V-1.
        size: E, features of a vector.
        ngrams: n, at least 1.
        codes: of `frequent_ngrams`; kept with the weights, so that only their number matters where these are loaded.
        dropout: probability in [0, 1) of leaving out an n-gram of two symbols or more in training; the others then
            count 1 / (1 - dropout) times, so that none is learned by heart.

    Input: symbols (B, T) integers. Output: (B, T, E).

    >>> text = np.array([0, 1, 2, 0, 1])
    >>> NgramEmbedding(3, 5, ngrams=2, codes=frequent_ngrams([text], 2))(torch.from_numpy(text)[None]).shape
    torch.Size([1, 5, 5])
    """

    codes: Tensor

    def __init__(
        self,
        vocabulary_size: int,
        size: int,
        *,
        ngrams: int = 1,
        codes: NDArray[np.int64] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.ngrams, self.dropout = ngrams, dropout
        self.symbols = nn.Embedding(vocabulary_size, size)
        self.runs = None
        if codes is not None and len(codes):
            self.register_buffer("codes", torch.from_numpy(codes))
            self.runs = nn.Embedding(len(codes), size)
            nn.init.zeros_(self.runs.weight)  # until it is learned, an n-gram says nothing

    def forward(self, symbols: Tensor) -> Tensor:
        vectors: Tensor = self.symbols(symbols)
        if self.runs is None:
            return vectors
        # one look-up for all lengths: each would have a gradient of the size of the table
        codes = torch.stack(list(_codes(symbols, self.ngrams)))
        places = torch.searchsorted(self.codes, codes).clamp(max=len(self.codes) - 1)
        known = (self.codes[places] == codes)[..., None].to(vectors.dtype)
        if self.training and self.dropout:
            known = F.dropout(known, self.dropout)
        mixed: Tensor = vectors + (self.runs(places) * known).sum(0)
        return mixed / float(self.ngrams**0.5)

    def describe(self, d: Description, symbols: str) -> str:
        """The vectors (B, T, E) of symbols (B, T)."""
        vectors = d.embedded(symbols, self.symbols)
        if self.runs is None:
            return vectors
        codes, last = d.tensor(self.codes), len(self.codes) - 1
        code = d.add(symbols, 1)
        for length in range(2, self.ngrams + 1):
            before = d.pad(code, [0, 1, 0, -1])
            code = d.add(d.mul(before, _FACTOR), d.add(symbols, length))
            place = d.mul(symbols, 0)  # how many codes are smaller, bit by bit
            for bit in reversed(range(last.bit_length() + 1)):
                looked_at = d.gather(codes, d.min(d.add(place, (1 << bit) - 1), last))
                place = d.where(d.less(looked_at, code), d.add(place, 1 << bit), place)
            place = d.min(place, last)
            known = d.unsqueeze(d.equal(d.gather(codes, place), code), [2])
            vectors = d.add(vectors, d.where(known, d.embedded(place, self.runs), 0.0))
        return d.div(vectors, float(self.ngrams**0.5))


def _codes(symbols: Any, ngrams: int) -> Iterator[Any]:
    """Codes (..., T) of the 2-grams, 3-grams, ... that end at each symbol (..., T) of an array or a tensor."""
    code = symbols + 1  # 0 stands before the start
    for length in range(2, ngrams + 1):
        before = code * 0
        before[..., 1:] = code[..., :-1]
        code = before * _FACTOR + symbols + length
        yield code

"""Attention: where in a memory a decoder looks, and what it reads there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import check_choice

KINDS = ("additive", "multiplicative", "location")

_WIDTH = 15  # steps around each place at which `location` sees where the decoder looked


@dataclass(frozen=True)
class Memory:
    """What B rows may look at.

    values: (B, S, E); keys: (B, S, A), what a query is compared with; inside: (B, S), False in the padding; symbols:
    (B, S) integers, what stands at each place, where it may be copied.
    """

    values: Tensor
    keys: Tensor
    inside: Tensor
    symbols: Tensor | None = None

    def rows(self, rows: Tensor | slice) -> Memory:
        """The memory of some rows, in that order."""
        symbols = None if self.symbols is None else self.symbols[rows]
        return Memory(self.values[rows], self.keys[rows], self.inside[rows], symbols)


class Attention(nn.Module):
    """A weighted mean of what lies in a memory, weighted by how well it fits a query.

    a_ks = exp(e_ks) / sum over j of exp(e_kj);  context_k = sum over s of a_ks m_s;  the scores e by `kind`:

    additive: e_ks = v . tanh(W q_k + U m_s + b) (Bahdanau, Cho and Bengio 2015);
    multiplicative: e_ks = q_k . U m_s (Luong, Pham and Manning 2015, "general");
    location: additive, with F * [a_(k-1), sum over j < k of a_j] inside of tanh, a convolution of where the decoder
    looked before, 15 steps wide (Chorowski et al. 2015): a memory may then be walked through in order, however long.

    Args:
        kind: one of KINDS.
        query_size: Q, features of a query.
        memory_size: E, features of the memory.
        size: A, features in which the two are compared; multiplicative: A = Q, and size is not read.

    Shapes: query (B, K, Q); before (B, K, 2, S), read where `steered` says so: the weights of the step before, and the
    sum of all. Returns contexts (B, K, E) and weights (B, K, S), zero in the padding; a memory of length 0 gives zeros.

    >>> attention = Attention("additive", 3, 5, 4)
    >>> context, weights = attention(torch.ones(2, 1, 3), attention.read(torch.ones(2, 6, 5), torch.tensor([6, 1])))
    >>> context.shape, weights[1].tolist()
    (torch.Size([2, 1, 5]), [[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    """

    def __init__(self, kind: str, query_size: int, memory_size: int, size: int) -> None:
        super().__init__()
        self.kind, self.memory_size = check_choice("attention", kind, KINDS), memory_size
        self.steered = kind == "location"
        dot = kind == "multiplicative"
        self.keys = nn.Linear(memory_size, query_size if dot else size, bias=False)
        self.query = None if dot else nn.Linear(query_size, size)
        self.score = None if dot else nn.Linear(size, 1, bias=False)
        self.places = nn.Linear(2 * _WIDTH, size, bias=False) if self.steered else None

    def read(self, memory: Tensor, lengths: Tensor) -> Memory:
        """A memory (B, S, E), of which row b has `lengths[b]` steps, ready to be looked at any number of times."""
        inside = torch.arange(memory.shape[1], device=memory.device) < lengths.to(memory.device)[:, None]
        return Memory(memory, self.keys(memory), inside)

    def forward(self, query: Tensor, memory: Memory, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scores = self._scores(query, memory, before)
        inside = memory.inside[:, None]
        weights = torch.softmax(scores.masked_fill(~inside, torch.finfo(scores.dtype).min), 2) * inside
        return weights @ memory.values, weights

    def _scores(self, query: Tensor, memory: Memory, before: Tensor | None) -> Tensor:
        if self.query is None or self.score is None:
            return query @ memory.keys.transpose(1, 2)
        fit = self.query(query)[:, :, None] + memory.keys[:, None]
        if self.places is not None:
            assert before is not None
            around = F.pad(before, (_WIDTH // 2, _WIDTH // 2)).unfold(3, _WIDTH, 1)  # (B, K, 2, S, W)
            fit = fit + self.places(around.transpose(2, 3).flatten(3))
        scores: Tensor = self.score(fit.tanh_()).squeeze(3)  # in place: fresh memory costs as much again
        return scores

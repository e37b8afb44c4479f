"""Linear-chain conditional random field: tags of a sentence chosen together, by scores of words and of neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEVER = -1e30
"""The score of what cannot be: finite, so that a difference of two is a number."""


class Crf(nn.Module):
    """The probability of a sequence of K tags, given the scores (emissions) of each tag at each word.

    score(y) = begin[y_0] + sum over t of emissions[t, y_t] + sum over t > 0 of follow[y_{t-1}, y_t] + end[y_{T-1}],
    P(y) = exp(score(y) - log Z), Z = sum over all y of exp(score(y)).

    Source: Lafferty, McCallum and Pereira 2001; the sum over all paths as in Rabiner 1989, in logarithms. Here is what
    training needs; the best paths and the probabilities of tags are `elman.tasks._chain.Chain`'s.

    Args:
        tags: K.
        legal: what may begin, follow (from, to) and end, booleans (K,), (K, K), (K,): the rest has probability 0, in
            training too; None: all.
        learned: with parameters; else begin, follow and end are 0 and only `legal` ties the tags of a sentence.

    Shapes: emissions (B, T, K), lengths (B,) from 0 to T in any order; what lies behind a row's length has no effect.
        The empty sequence has score and log Z 0.
    Parameters: begin (K,), follow (K, K), end (K,), at first uniform within 0.1 of 0.
    Cost: T steps of B K^2 operations, each over the whole batch.

    Not covered: scores of neighbours that depend on the words, chains of second order.

    >>> crf = Crf(2, learned=False)
    >>> emissions = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])
    >>> round(float(crf.nats(emissions, torch.tensor([[1, 0]]), torch.tensor([2])).exp()), 4)  # 1 / P(1, 0)
    1.553
    """

    def __init__(
        self, tags: int, *, legal: tuple[Tensor, Tensor, Tensor] | None = None, learned: bool = True
    ) -> None:
        super().__init__()
        self.tags, self.learned = tags, learned
        shapes = {"begin": (tags,), "follow": (tags, tags), "end": (tags,)}
        for place, (name, shape) in enumerate(shapes.items()):
            if learned:
                self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-0.1, 0.1)))
            else:
                self.register_buffer(name, torch.zeros(shape), persistent=False)
            allowed = torch.ones(shape, dtype=torch.bool) if legal is None else legal[place]
            self.register_buffer(f"illegal_{name}", ~allowed, persistent=False)

    def nats(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """-ln P of the tags (B, T) summed over the batch; over all that a tag of -1, which is not known, could be."""
        inside = torch.arange(tags.shape[1], device=tags.device) < lengths[:, None]
        unknown = (tags < 0) & inside
        if bool(unknown.any()):
            apart = F.one_hot(tags.clamp(min=0), emissions.shape[2]) == 0
            known = emissions.masked_fill(apart & ~unknown.unsqueeze(2), NEVER)
            scores = self.log_partition(known, lengths)
        else:
            scores = self.score(emissions, tags, lengths)
        return (self.log_partition(emissions, lengths) - scores).sum()

    def score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """The scores (B,) of whole paths, tags (B, T)."""
        begin, follow, end = self._scores()
        inside = torch.arange(tags.shape[1], device=tags.device) < lengths[:, None]
        tags = tags.where(inside, 0)
        last = tags.gather(1, (lengths - 1).clamp(min=0)[:, None])[:, 0]
        here = emissions.gather(2, tags.unsqueeze(2))[..., 0]
        pairs = follow[tags[:, :-1], tags[:, 1:]]
        total = here.where(inside, 0).sum(1) + pairs.where(inside[:, 1:], 0).sum(1)
        return torch.where(lengths > 0, total + begin[tags[:, 0]] + end[last], 0)

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """log Z (B,)."""
        alphas = self._forward(emissions, lengths)
        return torch.where(lengths > 0, torch.logsumexp(alphas[-1] + self._scores()[2], 1), 0)

    def ties_learned(self) -> dict[str, Tensor]:
        """begin, follow and end by name, where they are learned."""
        return {name: getattr(self, name) for name in ("begin", "follow", "end")} if self.learned else {}

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """begin, follow, end, with NEVER for what is not legal."""
        names = ("begin", "follow", "end")
        begin, follow, end = (
            getattr(self, name).masked_fill(getattr(self, f"illegal_{name}"), NEVER) for name in names
        )
        return begin, follow, end

    def _forward(self, emissions: Tensor, lengths: Tensor) -> list[Tensor]:
        """Logarithms of the sums over all beginnings that end in each tag, (B, K) for each step."""
        begin, follow, _ = self._scores()
        words = emissions.unbind(1)
        alphas = [begin + words[0]]
        for t, word in enumerate(words[1:], 1):
            step = torch.logsumexp(alphas[-1].unsqueeze(2) + follow, 1) + word
            alphas.append(torch.where((t < lengths)[:, None], step, alphas[-1]))
        return alphas

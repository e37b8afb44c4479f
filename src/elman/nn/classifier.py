"""The network of many-to-one tasks: a sequence in, scores of classes (or a number) out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.described import DOUBLE, FLOAT, Described, Description
from elman.nn.dropout import Dropout
from elman.nn.ngrams import NgramEmbedding
from elman.nn.pooling import Pooling
from elman.nn.recurrent import Recurrent


class SequenceNetwork(Described):
    """K scores of each sequence of a batch.

    symbol -> embedding -> dropout, or features as they are -> hidden steps -> recurrent layers -> pooling -> dropout ->
    linear: s = W v + b.

    Outside of training what comes after the layers is computed in float64 and then rounded, so that the scores of a
    sequence do not depend on what it shares a batch with.

    Args:
        recurrent: the layers, of one direction or two, reading E or F features.
        outputs: K, scores of a sequence.
        pooling: "last", "mean", "max" or "attention": see `Pooling`.
        embedding: of symbols, as the E features that the layers read; None: the input is features. The vectors of one
            with n-grams are also read without regard to their order: sum over t of e_t / sqrt(t_b) stands beside what
            is pooled.
        dropout: probability in [0, 1) of dropping a feature of the embedding and of the pooled vector.
        variational: drop the same features of the embedding at every step of a row.
        step_dropout: probability in [0, 1) of hiding a step from the layers: all its features are 0.

    Input: symbols (B, T) integers or features (B, T, F); lengths (B,). Output: scores (B, K).

    >>> network = SequenceNetwork(Recurrent("gru", 5, 7), 3, embedding=NgramEmbedding(11, 5))
    >>> network(torch.zeros(2, 4, dtype=torch.long), torch.tensor([4, 2])).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        recurrent: Recurrent,
        outputs: int,
        *,
        pooling: str = "last",
        embedding: NgramEmbedding | None = None,
        dropout: float = 0.0,
        variational: bool = False,
        step_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.input_dropout = Dropout(0.0 if embedding is None else dropout, variational)
        self.step_dropout = step_dropout
        self.recurrent = recurrent
        self.pooling = Pooling(pooling, recurrent)
        self.pooled_dropout = nn.Dropout(dropout)
        self.bag = embedding is not None and embedding.runs is not None
        self.output = nn.Linear(self.pooling.size + self.bag * recurrent.input_size, outputs)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if self.embedding is not None:
            x = self.embedding(x)
        if self.training and self.step_dropout:
            x = x * (torch.rand_like(x[:, :, :1]) >= self.step_dropout)
        output, state = self.recurrent(self.input_dropout(x), lengths=lengths)
        if not self.training:
            output, x = output.double(), x.double()
        pooled = self.pooling(output, state, lengths)
        if self.bag:
            valid = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[:, :, None]
            pooled = torch.cat([pooled, (x * valid).sum(1) / lengths.clamp(min=1)[:, None].sqrt()], 1)
        if self.training:
            scores: Tensor = self.output(self.pooled_dropout(pooled))
            return scores
        return F.linear(pooled.double(), self.output.weight.double(), self.output.bias.double()).float()

    def describe(self, d: Description) -> None:
        """x: symbols (B, T) or features (B, T, F); lengths (B,); scores (B, K)."""
        if self.embedding is None:
            x = d.input("x", "float32", ("batch", "time", self.recurrent.input_size))
        else:
            x = self.embedding.describe(d, d.input("x", "int64", ("batch", "time")))
        lengths = d.input("lengths", "int64", ("batch",))
        output, state = d.layers(x, self.recurrent, lengths)
        valid = d.unsqueeze(d.within(x, lengths), [2])
        last = d.cast(d.last_states(state[0], self.recurrent), to=DOUBLE)
        pooled = self.pooling.describe(d, d.cast(output, to=DOUBLE), last, lengths, valid)
        if self.bag:
            root = d.sqrt(d.cast(d.max(lengths, 1), to=DOUBLE))
            kept = d.where(valid, d.cast(x, to=DOUBLE), d.constant(np.float64(0)))
            bag = d.div(d.reduce_sum(kept, [1], keepdims=0), d.unsqueeze(root, [1]))
            pooled = d.concat(pooled, bag, axis=1)
        scores = d.cast(d.linear(pooled, self.output, DOUBLE), to=FLOAT)
        d.output("scores", scores, "float32", ("batch", self.output.out_features))

    def answer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"scores": self(inputs["x"], inputs["lengths"])}

"""The network of a blank filler: every item of a sequence, from the items on its two sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.nn.cross_entropy import linear_cross_entropy
from elman.nn.described import Described, Description
from elman.nn.dropout import Dropout
from elman.nn.recurrent import Recurrent

TOP = 5
"""How many guesses `judge` looks at."""


class BlankNetwork(Described):
    """Scores of every item of a batch of sequences, none of which has seen the item itself.

    l_t = forward layers over edge, x_1, ..., x_(t-1);  r_t = backward layers over edge, x_n, ..., x_(t+1);
    v_t = tanh(W [l_t, E x_(t-1), r_t, E x_(t+1)] + b);  s_t = E v_t + c;
    P(x_t = k) = exp(s_t[k]) / sum over j of exp(s_t[j]).

    E is the embedding matrix, which the layers read too (Press and Wolf 2017); `edge` stands beyond both ends of a
    sequence. The directions meet only in v_t: with several layers each has a stack of its own, since a second layer
    that read both would have seen x_t.

    Args:
        vocabulary_size: V, number of symbols, 0..V-1.
        left, right: the layers that read what stands left and right of an item, one direction each, E features in, of
            equal hidden size; None leaves that side out, not both.
        embedding_size: E.
        unknown: symbol 0 is `<unk>`: it is read, but never an answer, and a hidden item is read as it; else a hidden
            item has a vector of its own.
        dropout: probability in [0, 1) on the outputs of the last layers.
        variational: drop the same features at every step of a row.
        input_dropout: probability in [0, 1) on the embedding.
        hide: probability in [0, 1) with which an item is hidden from its neighbours while training.

    Input: symbols (B, T) integers, lengths (B,). Output: scores (N, A) of the N items asked for, in the order of the
    rows; A answers, symbol 1 on where 0 is unknown, else symbol 0 on.

    Not covered: sampled or adaptive softmax for very large vocabularies.

    >>> network = BlankNetwork(5, Recurrent("gru", 3, 7), Recurrent("gru", 3, 7), embedding_size=3)
    >>> network(torch.zeros(2, 4, dtype=torch.long), torch.tensor([4, 1])).shape
    torch.Size([5, 5])
    """

    def __init__(
        self,
        vocabulary_size: int,
        left: Recurrent | None,
        right: Recurrent | None,
        *,
        embedding_size: int,
        unknown: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        input_dropout: float = 0.0,
        hide: float = 0.0,
    ) -> None:
        super().__init__()
        sides = [side for side in (left, right) if side is not None]
        if not sides:
            raise InputError("BlankNetwork: left and right are both None, expected the layers of one side.")
        self.first, self.last = int(unknown), vocabulary_size
        self.edge = vocabulary_size
        self.hidden = 0 if unknown else vocabulary_size + 1
        self.hide = hide
        self.embedding = nn.Embedding(vocabulary_size + 1 + (not unknown), embedding_size)
        self.input_dropout = Dropout(input_dropout, variational)
        self.left, self.right = left, right
        self.output_dropout = Dropout(dropout, variational)
        self.join = nn.Linear(sum(side.hidden_size + embedding_size for side in sides), embedding_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size - self.first))
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)

    def forward(self, symbols: Tensor, lengths: Tensor, asked: Tensor | None = None) -> Tensor:
        """Scores (N, A) of the items where `asked` (B, T) is True; of all within the lengths when None."""
        if asked is None:
            asked = within(symbols, lengths)
        return F.linear(self._vectors(symbols, lengths, asked), self._answers, self.bias)

    def count(self, symbols: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, int]:
        """Sum of -ln P(item) in nats and first guesses that are right over the known items, and how many these are."""
        known = within(symbols, lengths) & (symbols >= self.first)
        wanted = symbols[known] - self.first
        vectors = self._vectors(symbols, lengths, known)
        nats, right = linear_cross_entropy(vectors, self._answers, self.bias, wanted)
        return nats, right, len(wanted)

    def describe(self, d: Description) -> None:
        """symbols (B, T), lengths (B,), places (N, 2): row and step of the items asked for; scores (N, A) of these."""
        symbols = d.input("symbols", "int64", ("batch", "time"))
        lengths = d.input("lengths", "int64", ("batch",))
        places = d.input("places", "int64", ("items", 2))
        sides = []
        if self.left is not None:
            sides += self._describe_side(d, self.left, symbols, lengths)
        if self.right is not None:
            mirror = {"batch_axis": 0, "time_axis": 1}
            turned = d.reverse_sequence(symbols, lengths, **mirror)
            parts = self._describe_side(d, self.right, turned, lengths)
            sides += [d.reverse_sequence(part, lengths, **mirror) for part in parts]
        states = d.gather_nd(d.concat(*sides, axis=2), places)
        vectors = d.tanh(d.linear(states, self.join))
        answers = d.slice(d.tensor(self.embedding.weight), [self.first], [self.last], [0])
        scores = d.add(d.mat_mul(vectors, d.transpose(answers, perm=[1, 0])), d.tensor(self.bias))
        d.output("scores", scores, "float32", ("items", self.last - self.first))

    def _describe_side(self, d: Description, layers: Recurrent, symbols: str, lengths: str) -> list[str]:
        nearest = d.embedded(d.pad(symbols, [0, 1, 0, -1], self.edge), self.embedding)
        return [d.layers(nearest, layers, lengths)[0], nearest]

    def answer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        vectors = self._vectors(inputs["symbols"], inputs["lengths"], inputs["places"].unbind(1))
        return {"scores": F.linear(vectors, self._answers, self.bias)}

    def judge(
        self, inputs: Mapping[str, NDArray[Any]], wanted: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.int64]]:
        """How the items asked for are guessed, without dropout. inputs: as `describe` has them; wanted (N,): answers.

        Returns the sum of -ln P in nats, and (N,) the rank of each among the guesses: 0 the first, ..., 4; 5: not among
        the first five.
        """
        with self.at_work() as device:
            scores = self.answer({name: torch.from_numpy(a).to(device) for name, a in inputs.items()})[
                "scores"
            ]
            right = torch.from_numpy(wanted).to(device)
            nats = F.cross_entropy(scores, right, reduction="sum")
            best = scores.topk(min(TOP, scores.shape[1])).indices == right[:, None]
            return float(nats), torch.where(best.any(1), best.int().argmax(1), TOP).cpu().numpy()

    @property
    def _answers(self) -> Tensor:
        return self.embedding.weight[self.first : self.last]

    def _vectors(self, symbols: Tensor, lengths: Tensor, asked: Tensor | tuple[Tensor, ...]) -> Tensor:
        if self.training and self.hide:
            hidden = torch.rand(symbols.shape, device=symbols.device) < self.hide
            symbols = symbols.masked_fill(hidden, self.hidden)
        states = torch.cat(self._sides(symbols, lengths), -1)
        vectors: Tensor = torch.tanh(self.join(states[asked]))
        return vectors

    def _sides(self, symbols: Tensor, lengths: Tensor) -> list[Tensor]:
        """What each side knows at every item, (B, T, H + E) each: the output after the items before it, or behind it,
        and the nearest of them once more."""
        sides = []
        if self.left is not None:
            sides.append(self._read(self.left, symbols, lengths))
        if self.right is not None:
            steps = torch.arange(symbols.shape[1], device=symbols.device)
            mirror = (lengths[:, None] - 1 - steps).clamp(min=0)
            states = self._read(self.right, symbols.gather(1, mirror), lengths)
            sides.append(states.gather(1, mirror[:, :, None].expand_as(states)))
        return sides

    def _read(self, layers: Recurrent, symbols: Tensor, lengths: Tensor) -> Tensor:
        shifted = torch.cat([torch.full_like(symbols[:, :1], self.edge), symbols[:, :-1]], 1)
        nearest = self.input_dropout(self.embedding(shifted))
        output, _ = layers(nearest, lengths=lengths)
        return torch.cat([self.output_dropout(output), nearest], -1)


def within(symbols: Tensor, lengths: Tensor) -> Tensor:
    """(B, T): True where a step is one of its row's, False in the padding."""
    return torch.arange(symbols.shape[1], device=symbols.device) < lengths[:, None]

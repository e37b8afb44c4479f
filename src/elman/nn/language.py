"""The network of a language model: symbols in, scores of the next symbol out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.nn.described import Described, Description
from elman.nn.dropout import Dropout
from elman.nn.recurrent import Recurrent

States = Mapping[str, Tensor]
Symbols = NDArray[Any]

_READ = 1024  # symbols of a prompt read at once


class LanguageNetwork(Described):
    """Scores of the symbol that follows, at every step of a batch of texts.

    symbol -> one-hot or embedding -> dropout -> recurrent layers -> dropout -> linear: s_t = W h_t + b, and
    P(next = k) = exp(s_t[k]) / sum over j of exp(s_t[j]).

    With a condition v the layers read [x_t, v] at every step (Mikolov and Zweig 2012; v reaches the gates alone, not
    the output). On surnames given their language this was as good as a first state tanh(W v + b), perplexity 7.06
    beside 7.08, mean of three seeds, and unlike that it cannot fade.

    Args:
        vocabulary_size: V, number of symbols, 0..V-1.
        recurrent: the layers, one direction, reading E features, or V symbols where there is no embedding, and F more.
        embedding_size: E, features of a symbol's learned vector; 0: one-hot, V features.
        tie_weights: W is the embedding's matrix (Press and Wolf 2017); asks for E = H.
        dropout: probability in [0, 1) on the outputs of the last layer.
        variational: drop the same features at every step of a row.
        input_dropout: probability in [0, 1) on the embedding; asks for E > 0.
        condition_size: F, features of the condition; 0: there is none.

    Input: symbols (B, T) integers; state by name, each (L, B, H), or None for zeros; condition (B, F), if there is one.
    Output: scores (B, T, V), state.

    Not covered: sampled or adaptive softmax for very large vocabularies.

    >>> scores, state = LanguageNetwork(5, Recurrent("gru", 5, 7))(torch.zeros(2, 3, dtype=torch.long))
    >>> scores.shape, state["h"].shape
    (torch.Size([2, 3, 5]), torch.Size([1, 2, 7]))
    """

    def __init__(
        self,
        vocabulary_size: int,
        recurrent: Recurrent,
        *,
        embedding_size: int = 0,
        tie_weights: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        input_dropout: float = 0.0,
        condition_size: int = 0,
    ) -> None:
        super().__init__()
        hidden_size = recurrent.hidden_size
        if tie_weights and embedding_size != hidden_size:
            raise InputError(
                f"tie_weights uses one matrix for input and output: embedding is {embedding_size or 'one-hot'},"
                f" expected {hidden_size}, the hidden size."
            )
        if input_dropout and not embedding_size:
            raise InputError(
                "input_dropout drops features of an embedding: set embedding to a size, not one-hot."
            )
        self.condition_size = condition_size
        self.embedding = nn.Embedding(vocabulary_size, embedding_size) if embedding_size else None
        self.input_dropout = Dropout(input_dropout, variational)
        self.recurrent = recurrent
        self.output_dropout = Dropout(dropout, variational)
        self.output = nn.Linear(hidden_size, vocabulary_size)
        if tie_weights and self.embedding is not None:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.output.weight = self.embedding.weight

    def forward(
        self,
        symbols: Tensor,
        state: States | None = None,
        condition: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores (B, T, V) of what follows each symbol (B, T), and the state after each row, `lengths` (B,) long."""
        hidden, state = self._hidden(symbols, state, condition, lengths)
        return self.output(hidden), state

    def advance(
        self, symbols: Tensor, state: States | None = None, condition: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores (B, V) of what follows the last of the symbols (B, T), T at least 1, and the state after it."""
        hidden, state = self._hidden(symbols, state, condition)
        return self.output(hidden[:, -1]), state

    def count(
        self,
        symbols: Tensor,
        targets: Tensor,
        state: States | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Sum of -ln P(target) in nats and number of right guesses over `targets` (B, T), and the state at the end.

        A target of -1 is padding and counts nothing.
        """
        scores, after = self(symbols, state, condition)
        flat, wanted = scores.flatten(0, 1), targets.flatten()
        nats = F.cross_entropy(flat, wanted, ignore_index=-1, reduction="sum")
        return nats, (flat.detach().argmax(-1) == wanted).sum(), after

    def describe(self, d: Description) -> None:
        """symbols (B, T), the `condition` (B, F) if there is one, and the state before them, `h_0` (and `c_0`),
        (L, B, H), zeros if left out; scores (B, T, V) and the state after them, `h_n` (and `c_n`)."""
        layers, vocabulary = self.recurrent, self.output.out_features
        symbols = x = d.input("symbols", "int64", ("batch", "time"))
        condition = None
        if self.condition_size:
            condition = d.input("condition", "float32", ("batch", self.condition_size))
        sizes = {name: (layers.num_layers, "batch", size) for name, size in layers.state_sizes.items()}
        state = [d.input(f"{name}_0", "float32", axes, optional=True) for name, axes in sizes.items()]
        if self.embedding is not None:
            x = d.embedded(symbols, self.embedding)
        if condition is not None:
            if self.embedding is None:
                x = d.one_hot(symbols, vocabulary, np.array([0, 1], np.float32))
            size = d.concat(d.shape(symbols), [self.condition_size], axis=0)
            x = d.concat(x, d.expand(d.unsqueeze(condition, [1]), size), axis=2)
        output, after = d.layers(x, layers, state=state)
        d.output("scores", d.linear(output, self.output), "float32", ("batch", "time", vocabulary))
        for (name, axes), value in zip(sizes.items(), after, strict=True):
            d.output(f"{name}_n", value, "float32", axes)

    def answer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        state = {name.removesuffix("_0"): value for name, value in inputs.items() if name.endswith("_0")}
        scores, after = self(inputs["symbols"], state or None, inputs.get("condition"))
        return {"scores": scores, **{f"{name}_n": value for name, value in after.items()}}

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self.output.out_features

    def counted(
        self,
        symbols: Symbols,
        targets: Symbols,
        state: States | None = None,
        condition: NDArray[np.float32] | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """`count` of arrays, the nats float64, without gradients and dropout."""
        with self.at_work() as device:
            read, wanted = (torch.from_numpy(part).to(device) for part in (symbols, targets))
            beside = None if condition is None else torch.from_numpy(condition).to(device)
            nats, right, after = self.count(read, wanted, state, beside)
            return nats.double(), right, after

    def warmed(self, text: Symbols, starts: NDArray[np.int64], length: int) -> dict[str, Tensor]:
        """`warm`, without gradients and dropout."""
        with self.at_work():
            return warm(self, text, starts, length)

    def continuation(self, condition: NDArray[np.float32] | None = None) -> Continuation:
        """What reads symbols one after the other, from state zero; condition: (F,)."""
        return Continuation(self, condition)

    def _hidden(
        self,
        symbols: Tensor,
        state: States | None,
        condition: Tensor | None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = symbols if self.embedding is None else self.input_dropout(self.embedding(symbols))
        if condition is not None:
            if self.embedding is None:
                x = F.one_hot(symbols, self.vocabulary_size).to(condition.dtype)
            x = torch.cat([x, condition[:, None].expand(-1, x.shape[1], -1)], 2)
        output, after = self.recurrent(x, state, lengths)
        return self.output_dropout(output), after


def warm(
    network: LanguageNetwork, text: Symbols, starts: NDArray[np.int64], length: int
) -> dict[str, Tensor]:
    """The state of every row before its first symbol: zeros for the first row, else after the `length` before it."""
    place = np.maximum(starts[:, None] + np.arange(-length, 0), 0)
    symbols = torch.from_numpy(np.asarray(text[place], np.int64)).to(network.output.weight.device)
    _, state = network.advance(symbols)
    for part in state.values():
        part[:, 0] = 0
    return state


class Continuation:
    """A network that reads symbols one after the other and keeps its state: constant time and memory for each."""

    def __init__(self, network: LanguageNetwork, condition: NDArray[np.float32] | None = None) -> None:
        self._network = network.eval()
        self._device = network.output.weight.device
        self._condition = None if condition is None else torch.from_numpy(condition).to(self._device)[None]
        self.reset()

    def reset(self) -> None:
        """Begin again, from state zero."""
        layers = self._network.recurrent
        sizes = layers.state_sizes.items()
        self._state = {n: torch.zeros(layers.num_layers, 1, size, device=self._device) for n, size in sizes}

    @torch.inference_mode()
    def read(self, symbols: Sequence[int]) -> NDArray[np.float64]:
        """Read at least one symbol; returns the scores (V,) of what follows, float64."""
        for start in range(0, len(symbols), _READ):
            part = torch.tensor([symbols[start : start + _READ]], device=self._device)
            scores, self._state = self._network.advance(part, self._state, self._condition)
        return scores[0].double().cpu().numpy()

    @property
    def state(self) -> dict[str, NDArray[np.float32]]:
        """A copy of the state by name, each (L, 1, H)."""
        return {name: part.cpu().numpy().copy() for name, part in self._state.items()}

    @state.setter
    def state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._state = {
            n: torch.tensor(part, dtype=torch.float32, device=self._device) for n, part in state.items()
        }

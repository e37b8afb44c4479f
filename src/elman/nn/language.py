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
from elman.nn.dropout import Dropout
from elman.nn.recurrent import Recurrent

States = Mapping[str, Tensor]
Symbols = NDArray[Any]


_SCORES = 1 << 24  # scores held at once while measuring
_READ = 1024  # symbols of a prompt read at once


class LanguageNetwork(nn.Module):
    """Scores of the symbol that follows, at every step of a batch of texts.

    symbol -> one-hot or embedding -> dropout -> recurrent layers -> dropout -> linear: s_t = W h_t + b, and
    P(next = k) = exp(s_t[k]) / sum over j of exp(s_t[j]).

    Args:
        vocabulary_size: V, number of symbols, 0..V-1.
        recurrent: the layers, one direction, reading E features, or V symbols where there is no embedding.
        embedding_size: E, features of a symbol's learned vector; 0: one-hot, V features.
        tie_weights: W is the embedding's matrix (Press and Wolf 2017); asks for E = H.
        dropout: probability in [0, 1) on the outputs of the last layer.
        variational: drop the same features at every step of a row.
        input_dropout: probability in [0, 1) on the embedding; asks for E > 0.

    Input: symbols (B, T) integers; state by name, each (L, B, H), or None for zeros. Output: scores (B, T, V), state.

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
        self.embedding = nn.Embedding(vocabulary_size, embedding_size) if embedding_size else None
        self.input_dropout = Dropout(input_dropout, variational)
        self.recurrent = recurrent
        self.output_dropout = Dropout(dropout, variational)
        self.output = nn.Linear(hidden_size, vocabulary_size)
        if tie_weights and self.embedding is not None:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.output.weight = self.embedding.weight

    def forward(self, symbols: Tensor, state: States | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores (B, T, V) of what follows each symbol (B, T), and the state after the last."""
        hidden, state = self._hidden(symbols, state)
        return self.output(hidden), state

    def advance(self, symbols: Tensor, state: States | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores (B, V) of what follows the last of the symbols (B, T), T at least 1, and the state after it."""
        hidden, state = self._hidden(symbols, state)
        return self.output(hidden[:, -1]), state

    def count(
        self, symbols: Tensor, targets: Tensor, state: States | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Sum of -ln P(target) in nats and number of right guesses over `targets` (B, T), and the state at the end.

        A target of -1 is padding and counts nothing.
        """
        scores, after = self(symbols, state)
        flat, wanted = scores.flatten(0, 1), targets.flatten()
        nats = F.cross_entropy(flat, wanted, ignore_index=-1, reduction="sum")
        return nats, (flat.detach().argmax(-1) == wanted).sum(), after

    def _hidden(self, symbols: Tensor, state: States | None) -> tuple[Tensor, dict[str, Tensor]]:
        x = symbols if self.embedding is None else self.input_dropout(self.embedding(symbols))
        output, after = self.recurrent(x, state)
        return self.output_dropout(output), after


@torch.inference_mode()
def measure(
    network: LanguageNetwork, text: Symbols, *, rows: int = 1, warm_up: int = 1000
) -> tuple[float, int, int]:
    """Sum of -ln P in nats, right guesses and number of targets when the network reads a text from end to end.

    Every symbol after the first is a target once. rows=1 carries the state through the whole text, exactly; more rows
    are read side by side, each after the first with a state warmed up on the `warm_up` symbols before it: faster, and
    the same up to what the network remembers from further back. Dropout is off. Deterministic.
    """
    targets = len(text) - 1
    length = -(-targets // max(1, min(rows, targets)))
    starts = np.arange(0, targets, length)
    device = network.output.weight.device
    training = network.training
    network.eval()
    state = _warm(network, text, starts, min(warm_up, length)) if len(starts) > 1 else None
    nats, right = (
        torch.zeros((), dtype=torch.float64, device=device),
        torch.zeros((), dtype=torch.long, device=device),
    )
    step = max(1, min(1024, _SCORES // (len(starts) * network.output.out_features)))
    for offset in range(0, length, step):
        place = starts[:, None] + np.arange(offset, min(offset + step, length))
        inside = place < targets
        place = np.minimum(place, targets - 1)
        symbols = torch.from_numpy(np.asarray(text[place], np.int64))
        following = torch.from_numpy(np.where(inside, np.asarray(text[place + 1], np.int64), -1))
        lost, guessed, state = network.count(symbols.to(device), following.to(device), state)
        nats += lost
        right += guessed
    network.train(training)
    return float(nats), int(right), targets


@torch.inference_mode()
def measure_windows(network: LanguageNetwork, text: Symbols, length: int) -> tuple[float, int, int]:
    """The sums of `measure` over every window of `length` symbols, each from state zero, each with its successors."""
    device = network.output.weight.device
    training = network.training
    network.eval()
    windows = np.lib.stride_tricks.sliding_window_view(text, length + 1)
    step = max(1, min(256, _SCORES // (length * network.output.out_features)))
    nats, right = 0.0, 0
    for start in range(0, len(windows), step):
        part = torch.from_numpy(windows[start : start + step].astype(np.int64)).to(device)
        lost, guessed, _ = network.count(part[:, :-1], part[:, 1:])
        nats, right = nats + float(lost), right + int(guessed)
    network.train(training)
    return nats, right, len(windows) * length


def _warm(
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

    def __init__(self, network: LanguageNetwork) -> None:
        self._network = network.eval()
        self._state: dict[str, Tensor] | None = None

    @torch.inference_mode()
    def read(self, symbols: Sequence[int]) -> NDArray[np.float64]:
        """Read at least one symbol; returns the scores (V,) of what follows, float64."""
        device = self._network.output.weight.device
        for start in range(0, len(symbols), _READ):
            part = torch.tensor([symbols[start : start + _READ]], device=device)
            scores, self._state = self._network.advance(part, self._state)
        return scores[0].double().cpu().numpy()

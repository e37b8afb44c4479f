"""The network of a translator: a sequence is read to its end, then another one is written."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from elman.nn.decoder import Carried, Decoder
from elman.nn.dropout import Dropout
from elman.nn.recurrent import Recurrent


class Encoder(nn.Module):
    """The outputs of recurrent layers over symbols, as a memory (B, S, D * H), and what the last layer ends with.

    Args:
        embedding: of the symbols.
        recurrent: the layers, of one direction or two, reading the E features of a symbol.
        dropout: probability in [0, 1) on the outputs of the last layer; input_dropout: on the embedding.
        variational: drop the same features at every step of a row.

    >>> encoder = Encoder(nn.Embedding(9, 4), Recurrent("gru", 4, 5, bidirectional=True))
    >>> memory, vector = encoder(torch.zeros(2, 3, dtype=torch.long), torch.tensor([3, 1]))
    >>> memory.shape, vector.shape, encoder.size
    (torch.Size([2, 3, 10]), torch.Size([2, 10]), 10)
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        recurrent: Recurrent,
        *,
        dropout: float = 0.0,
        variational: bool = False,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding, self.recurrent = embedding, recurrent
        self.directions = 1 + recurrent.bidirectional
        self.size = recurrent.hidden_size * self.directions
        self.input_dropout = Dropout(input_dropout, variational)
        self.output_dropout = Dropout(dropout, variational)

    def forward(self, symbols: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = self.input_dropout(self.embedding(symbols))
        output, state = self.recurrent(x, lengths=lengths)
        vector = torch.cat(state["h"][-self.directions :].unbind(0), 1)
        return self.output_dropout(output), vector


class Reader(Protocol):
    """What a decoder may follow: `Encoder` for symbols, `nn.picture.Picture` for images."""

    size: int

    def __call__(self, sources: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """A memory (B, S, E) and vectors (B, E) of sources; lengths (B,) of the memory; E is `size`."""
        ...


class Start(nn.Module):
    """The first state of a decoder's layers from one vector: tanh(W v + b), a part for each layer and state.

    States other than `h` and `c` of a cell begin at zero: what they hold is no activation.

    Shapes: vector (B, F); returns the state by name, (L, B, H).

    >>> Start(7, Recurrent("lstm", 3, 5, num_layers=2))(torch.zeros(4, 7))["c"].shape
    torch.Size([2, 4, 5])
    """

    def __init__(self, size: int, recurrent: Recurrent) -> None:
        super().__init__()
        sizes, self.layers = recurrent.state_sizes, recurrent.num_layers
        names = sizes if set(sizes) <= {"h", "c"} else ("h",)
        self.parts = nn.ModuleDict({name: nn.Linear(size, self.layers * sizes[name]) for name in names})

    def forward(self, vector: Tensor) -> dict[str, Tensor]:
        return {
            name: torch.tanh(part(vector)).view(len(vector), self.layers, -1).transpose(0, 1).contiguous()
            for name, part in self.parts.items()
        }


class EncoderDecoder(nn.Module):
    """Scores of a target given a source: P(y_t | y_1 .. y_(t-1), x).

    encoder -> its outputs are the memory of the decoder, its last ones make the decoder's first state.

    Args:
        decoder: writes.
        encoder: reads; None: nothing is read, and the decoder is a language model of the targets.

    Sutskever, Vinyals and Le 2014; Cho et al. 2014; with attention Bahdanau, Cho and Bengio 2015.

    >>> encoder = Encoder(nn.Embedding(9, 4), Recurrent("gru", 4, 5))
    >>> network = EncoderDecoder(Decoder(nn.Embedding(8, 4), Recurrent("gru", 4, 6)), encoder)
    >>> symbols, lengths = torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1])
    >>> nats, right, count = network.count(symbols, lengths, symbols, lengths)
    >>> count
    5
    """

    def __init__(self, decoder: Decoder, encoder: Reader | None = None) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.start = None if encoder is None else Start(encoder.size, decoder.recurrent)

    def begin(self, sources: Tensor, lengths: Tensor) -> Carried:
        """Read sources (B, S), of which row b has `lengths[b]` steps; the decoder before its first symbol."""
        if self.encoder is None or self.start is None:
            return self.decoder.begin(None, lengths)
        memory, vector = self.encoder(sources, lengths)
        return self.decoder.begin(memory, lengths, self.start(vector), sources)

    def forward(
        self, sources: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Scores (B, T + 1, V + 1) of each target symbol and of the end, and the attention (B, T + 1, S)."""
        inputs, _ = self.decoder.shifted(targets, target_lengths)
        carried = self.begin(sources, lengths)
        readouts, weights = self.decoder(inputs, target_lengths + 1, carried)
        return self.decoder.scores(readouts, weights, carried.memory), weights

    def count(
        self, sources: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> tuple[Tensor, Tensor, int]:
        """Sum of the losses of targets (B, T) and their ends (`Decoder.learn`), right first guesses, and the count."""
        return self.decoder.learn(self.begin(sources, lengths), targets, target_lengths)

"""Tasks that write: the options of a decoder, how sequences are looked for, and the texts that come of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from elman.data import Vocabulary, pad
from elman.errors import InputError
from elman.options import check, option
from elman.tasks._options import ModelOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from elman.nn.decoder import Carried, Decoder
    from elman.nn.encoder_decoder import EncoderDecoder

_LARGEST = 700.0  # nats whose exponential is a number
_ATTENTIONS = ("additive", "multiplicative", "location", "none")


@dataclass(kw_only=True)
class DecoderOptions(ModelOptions):
    """What writes."""

    embedding: int = option(128, "features of a symbol's learned vector, in input and output", minimum=1)
    attention: Literal["additive", "multiplicative", "location", "none"] = option(
        "additive",
        "how places to look at are found; location: also by where it looked before; none: the first state is all",
        choices=_ATTENTIONS,
    )
    input_feeding: bool = option(
        True, "each step of the decoder reads what the one before made of the attention; slower, better"
    )
    input_dropout: float = option(
        0.0, "probability of dropping a feature of the embedding", minimum=0, maximum=0.99
    )
    label_smoothing: float = option(
        0.0, "share of the loss that asks for all symbols alike", minimum=0, maximum=0.99
    )
    scheduled_sampling: float = option(
        0.0,
        "probability of reading in training what the decoder would write, in place of the truth",
        minimum=0,
        maximum=1,
    )
    sampling_steps: int = option(1000, "updates in which that probability is reached, from 0 on", minimum=1)

    def decoder(self, embedding: nn.Embedding, memory_size: int | None, *, copying: bool = False) -> Decoder:
        """The decoder of the symbols and the end mark in `embedding`; memory_size: None without a memory."""
        from elman.nn.attention import Attention
        from elman.nn.decoder import Decoder

        attention = None
        if self.attention != "none" and memory_size is not None:
            attention = Attention(self.attention, self.hidden_size, memory_size, self.hidden_size)
        return Decoder(
            embedding,
            self.recurrent(self.embedding * (2 if self.input_feeding else 1)),
            attention,
            dropout=self.dropout,
            variational=self.variational,
            input_dropout=self.input_dropout,
            copying=copying,
            smoothing=self.label_smoothing,
            sampling=self.scheduled_sampling,
            sampling_steps=self.sampling_steps,
        )


@dataclass(kw_only=True)
class Beam:
    """How a text is looked for."""

    beam_size: int = option(5, "hypotheses that are followed at once; 1: greedy", minimum=1)
    n_best: int = option(1, "answers told of each input, at most beam_size", minimum=1)
    length_penalty: float = option(
        0.6, "0: the most likely text; more: longer texts (Wu et al. 2016)", minimum=0
    )
    coverage_penalty: float = option(0.0, "price of parts that were never looked at", minimum=0)
    min_length: int = option(0, "fewest symbols of an answer", minimum=0)
    max_length: int | None = option(
        None,
        "most symbols [ten more than the longest in training, or than twice a text that is read]",
        minimum=1,
    )
    no_repeat: int = option(0, "no N symbols in a row come twice; 0: they may", minimum=0, metavar="N")

    def checked(self) -> Self:
        """These options; InputError where one is out of range or goes ill with another."""
        check(self)
        if self.n_best > self.beam_size:
            raise InputError(f"n_best is {self.n_best}, expected at most the beam_size, {self.beam_size}.")
        if self.max_length is not None and self.min_length > self.max_length:
            raise InputError(
                f"min_length is {self.min_length}, expected at most {self.max_length}, max_length."
            )
        return self


@dataclass(kw_only=True)
class Searching(Beam):
    """How an answer to a text is looked for."""

    copy_unknown: bool = option(True, "write the source in place of an unknown symbol, by the attention")


@dataclass(frozen=True)
class Written:
    """A text that was written, and its score (see `elman.nn.beam.Hypothesis`); whole: it came to its end."""

    text: str
    score: float
    whole: bool
    symbols: Sequence[int] = ()

    def values(self) -> dict[str, Any]:
        """For a program."""
        return {"text": self.text, "score": round(self.score, 4), "whole": self.whole}


def write(
    decoder: Decoder,
    carried: Carried,
    limits: Sequence[int],
    vocabulary: Vocabulary,
    how: Beam,
    source: Callable[[int, int], str] | None = None,
) -> list[list[Written]]:
    """The best texts of each row, best first.

    source: the text at a place of a row's memory, which stands in for an unknown symbol; None: none is written.
    """
    from elman.nn.beam import search

    copying = how if source and isinstance(how, Searching) else None
    found = search(decoder, carried, limits, how, forbidden(decoder, vocabulary, copying))
    texts = []
    for row, hypotheses in enumerate(found):
        written = []
        for each in hypotheses:
            copies = (
                source(row, place)
                for symbol, place in zip(each.symbols, each.looked, strict=False)
                if source and symbol == vocabulary.unknown_id
            )
            written.append(
                Written(spelled(vocabulary, each.symbols, copies), each.score, each.whole, each.symbols)
            )
        texts.append(written)
    return texts


def forbidden(decoder: Decoder, vocabulary: Vocabulary, how: Searching | None) -> list[int]:
    """The unknown symbol, unless something can be copied in its place."""
    copies = how is not None and how.copy_unknown and decoder.attention is not None
    return [] if copies or vocabulary.unknown_id is None else [vocabulary.unknown_id]


def spelled(vocabulary: Vocabulary, symbols: Sequence[int], copies: Any = ()) -> str:
    """The text of symbols, with copies in place of the unknown ones."""
    text = vocabulary.decode(symbols)
    if vocabulary.unknown_id is None:
        return text
    mark = vocabulary.decode([vocabulary.unknown_id])
    for copy in copies:
        text = text.replace(mark, copy, 1)
    return text


def padded(rows: Sequence[Any], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (t,) or (t, F) as one tensor, and their lengths."""
    import torch

    array, lengths = pad(rows)
    return torch.from_numpy(array).to(device), torch.from_numpy(lengths).to(device)


def next_symbol_scores(
    network: EncoderDecoder, batches: Iterable[Sequence[torch.Tensor]]
) -> dict[str, float]:
    """Scores of the next symbol, all those before it known, outside of training.

    batches: what `network.count` takes.
    """
    import torch

    nats, right, count = 0.0, 0, 0
    training = network.training
    network.eval()
    with torch.inference_mode():
        for given in batches:
            lost, guessed, items = network.count(*given)
            nats, right, count = nats + float(lost), right + int(guessed), count + items
    network.train(training)
    loss = nats / count
    perplexity = math.exp(loss) if loss < _LARGEST else math.inf
    return {"loss": loss, "perplexity": perplexity, "accuracy": right / count}

"""The groups of options that tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from elman import cells, data
from elman.errors import InputError
from elman.options import option

if TYPE_CHECKING:
    from elman.nn import Recurrent


@dataclass(kw_only=True)
class ModelOptions:
    """What the recurrent layers are."""

    cell: str = option("lstm", f"recurrence: {', '.join(cells.names())}", metavar="NAME")
    hidden_size: int = option(256, "units of each layer", minimum=1)
    num_layers: int = option(1, "layers, each reading the outputs of the one before", minimum=1)
    dropout: float = option(
        0.0, "probability of dropping an output of a layer in training", minimum=0, maximum=0.99
    )
    variational: bool = option(False, "drop the same outputs at every step of a sequence")
    recurrent_dropout: float = option(
        0.0, "probability of dropping a recurrent weight for one update", minimum=0, maximum=0.99
    )
    init: Literal["elman", "torch"] = option(
        "elman",
        "initial weights: orthogonal with forget bias 1, or torch's uniform law",
        choices=("elman", "torch"),
    )

    def recurrent(self, input_size: int, *, bidirectional: bool = False) -> Recurrent:
        """The layers over inputs of `input_size` features; dropout after the last of them is the network's."""
        from elman.nn import Recurrent

        return Recurrent(
            self.cell,
            input_size,
            self.hidden_size,
            num_layers=self.num_layers,
            bidirectional=bidirectional,
            dropout=self.dropout if self.num_layers > 1 else 0.0,
            variational=self.variational and self.num_layers > 1 and self.dropout > 0,
            recurrent_dropout=self.recurrent_dropout,
            init=self.init,
        )


@dataclass(kw_only=True)
class DataOptions:
    """What is learned from, and what is held out."""

    validation: float | str = option(
        0.1, "held-out data: a file, or the fraction of the data", metavar="FILE|FRACTION"
    )
    train_fraction: float = option(
        1.0, "share of the training part that is learned from; the held-out part stays", minimum=0, maximum=1
    )


@dataclass(kw_only=True)
class SymbolOptions:
    """What a text is made of."""

    vocabulary: Literal["grapheme", "character", "byte", "word", "subword"] = option(
        "grapheme", "what a symbol is; a grapheme is what a reader calls a character", choices=data.KINDS
    )
    jamo: bool = option(False, "take Korean syllables apart into jamo")
    vocabulary_size: int | None = option(None, "at most this many symbols, the most frequent", minimum=2)
    min_count: int = option(1, "only symbols that occur this often", minimum=1)

    def build_vocabulary(self, text: Any, *, unknown: bool) -> data.Vocabulary:
        """The symbols of a text, or of one in pieces; unknown: with a symbol for what it lacks."""
        return data.Vocabulary.build(
            self.vocabulary,
            text,
            jamo=self.jamo,
            max_size=self.vocabulary_size,
            min_count=self.min_count,
            unknown=unknown,
        )


def check_fractions(validation: float | str, train_fraction: float) -> None:
    """Raise InputError for shares of the data that leave nothing."""
    if isinstance(validation, float) and not 0 <= validation < 1:
        raise InputError(f"validation is {validation}, expected a file or a fraction from 0 up to 1.")
    if train_fraction == 0:
        raise InputError("train_fraction is 0, expected more: there would be nothing to learn from.")

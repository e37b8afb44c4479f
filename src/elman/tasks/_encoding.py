"""What a network reads of an example: symbols of a text, or normalised features of numbers or of sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from elman.data import Vocabulary, audio, sequences
from elman.errors import InputError
from elman.options import option
from elman.tasks._options import SymbolOptions

Arrays = list[NDArray[Any]]
_JOINED = 1000  # texts that are counted at once


@dataclass(kw_only=True)
class SoundOptions:
    """What is read of a sound: the logarithm of its power in mel bands, in windows of 25 ms (`data.audio.log_mel`)."""

    sample_rate: int | None = option(
        None, "audio: samples a second [those of the first file]", minimum=1000, maximum=192000
    )
    mels: int = option(40, "audio: mel bands", minimum=2, maximum=512)
    hop: float = option(0.01, "audio: seconds from one window to the next", minimum=0.001, maximum=1)
    center: bool = option(
        True, "audio: subtract from each band its mean over the sound, which forgets loudness and microphone"
    )


@dataclass(kw_only=True)
class ReadingOptions(SymbolOptions, SoundOptions):
    """Options of one kind of data are refused with another."""

    embedding: int = option(128, "text: features of a symbol's learned vector", minimum=1)
    ngrams: int = option(
        1,
        "text: symbols are read with the ones before them, as n-grams of up to this length",
        minimum=1,
        maximum=8,
    )
    max_length: int | None = option(
        None,
        "read the first steps of a longer sequence only; a step is a symbol, a row or a window",
        minimum=1,
    )


_OF_KIND = {
    "text": ("embedding", "ngrams", *(field.name for field in fields(SymbolOptions))),
    "audio": tuple(field.name for field in fields(SoundOptions)),
}


def check_kind(options: Any, kind: str) -> None:
    """Raise InputError for an option that is set though the data are of a kind that has no use for it."""
    defaults = {field.name: field.default for field in fields(options)}
    for other, names in _OF_KIND.items():
        for name in names:
            if other != kind and getattr(options, name) != defaults[name]:
                raise InputError(
                    f"{name} is {getattr(options, name)}, but it is about {other}, and the data are {kind}; "
                    f"leave out --{name.replace('_', '-')}."
                )


@dataclass(frozen=True)
class Encoder:
    """From examples to arrays: texts to symbols (t,), numbers and sounds to features (t, F).

    Features are normalised: mean 0 and standard deviation 1 over all steps of the training part; one that never changes
    there is 0.

    Attributes:
        kind: "text", "numbers" or "audio".
        vocabulary: of texts.
        rate, mels, hop, center: of sounds; see `SoundOptions`.
        mean, scale: (F,) of features: what is subtracted, and what multiplies the rest.
        max_length: steps of a sequence that are read.
    """

    kind: str
    vocabulary: Vocabulary | None = None
    rate: int = 0
    mels: int = 0
    hop: float = 0.0
    center: bool = False
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    max_length: int | None = None

    @classmethod
    def learn(cls, kind: str, inputs: Sequence[Any], options: ReadingOptions) -> tuple[Self, Arrays]:
        """The encoder of a training part, and that part encoded."""
        check_kind(options, kind)
        if kind == "text":
            listed = options.vocabulary in ("grapheme", "character", "word")
            vocabulary = options.build_vocabulary(_joined(inputs), unknown=listed)
            encoder = cls(kind, vocabulary, max_length=options.max_length)
            return encoder, encoder.encode(inputs)
        rate = 0
        if kind == "audio":
            rate = options.sample_rate or audio.read_audio(inputs[0])[1]
        raw = cls(kind, None, rate, options.mels, options.hop, options.center, max_length=options.max_length)
        rows = raw.encode(inputs)
        widths = {row.shape[1] for row in rows}
        if len(widths) != 1:
            raise InputError(f"sequences of {sorted(widths)} features, expected the same number in all.")
        steps = np.concatenate(rows)
        if not len(steps):
            raise InputError("no sequence has a step, expected some numbers to learn from.")
        mean = steps.mean(0, dtype=np.float64)
        scale = np.sqrt(((steps - mean) ** 2).mean(0))
        scale[scale < 1e-8 * (1 + np.abs(mean))] = np.inf
        encoder = replace(raw, mean=tuple(mean.tolist()), scale=tuple((1 / scale).tolist()))
        return encoder, [encoder._normal(row) for row in rows]

    @property
    def size(self) -> int:
        """F, features of a step; of texts, V."""
        return len(self.vocabulary) if self.vocabulary is not None else len(self.mean)

    def encode(self, inputs: Sequence[Any]) -> Arrays:
        """Arrays of texts, of arrays (t, F) or (t,), or of sound files (paths)."""
        return [self._one(value) for value in inputs]

    def values(self) -> dict[str, Any]:
        """What is written to a run; the vocabulary has a file of its own."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "vocabulary"}

    @classmethod
    def restored(cls, values: Any, vocabulary: Vocabulary | None) -> Self:
        """What `values` gave; raises KeyError, TypeError or ValueError for anything else."""
        given = dict(values)
        mean, scale = (tuple(float(number) for number in given.pop(name)) for name in ("mean", "scale"))
        if len(mean) != len(scale) or (not mean and vocabulary is None):
            raise ValueError("mean and scale do not fit")
        return cls(vocabulary=vocabulary, mean=mean, scale=scale, **given)

    def _one(self, value: Any) -> NDArray[Any]:
        if self.kind == "text":
            if not isinstance(value, str) or self.vocabulary is None:
                raise InputError(f"{type(value).__name__}, expected a text: the model reads texts.")
            return self.vocabulary.encode(value, "map")[: self.max_length]
        if self.kind == "audio":
            if not isinstance(value, str | Path):
                raise InputError(f"{type(value).__name__}, expected the path of a sound file.")
            samples, rate = audio.read_audio(value, self.rate)
            bands = audio.log_mel(samples, rate, mels=self.mels, hop=self.hop)[: self.max_length]
            return self._normal(bands - bands.mean(0) if self.center else bands)
        row = np.asarray(value, np.float32)
        row = row[:, None] if row.ndim == 1 else row
        if row.ndim != 2 or (self.mean and row.shape[1] != len(self.mean)):
            raise InputError(
                f"a sequence of shape {row.shape}, expected (steps, {len(self.mean) or 'features'}) as in training."
            )
        sequences.check_finite([row], lambda _: "a sequence")
        return self._normal(row[: self.max_length])

    def _normal(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.mean:
            return row
        return np.asarray((row - np.array(self.mean)) * np.array(self.scale), np.float32)


def _joined(texts: Sequence[str]) -> Iterator[str]:
    """Texts in large pieces, each on a line."""
    for start in range(0, len(texts), _JOINED):
        yield "".join(f"{text}\n" for text in texts[start : start + _JOINED])

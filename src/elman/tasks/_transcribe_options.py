"""What can be said of a transcriber: how it reads, hears, learns and decodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.data.augment import Augmentation
from elman.errors import InputError
from elman.options import check, option


@dataclass(kw_only=True)
class RecordingOptions:
    """Where sounds and texts stand in a table."""

    audio_column: str | None = option(
        None, "column of the sound files, as seen from the table's folder [the one whose names end in .wav, ...]",
        metavar="NAME",
    )  # fmt: skip
    text_column: str | None = option(
        None, "column of what is said [text, transcript, or the only other one]", metavar="NAME"
    )
    group_column: str | None = option(
        None, "column of who speaks: a group is held out whole or not at all []", metavar="NAME"
    )


@dataclass(kw_only=True)
class HearingOptions:
    """What is heard: the logarithm of the power in mel bands, in windows of 25 ms, some of them a step."""

    sample_rate: int | None = option(
        None, "samples a second [those of the first file]", minimum=1000, maximum=192000
    )
    mels: int = option(40, "mel bands", minimum=2, maximum=512)
    hop: float = option(0.01, "seconds from one window to the next", minimum=0.001, maximum=1)
    center: Literal["auto", "running", "sound", "none"] = option(
        "auto",
        "subtract from each band its mean: up to now, over the whole sound, or not; "
        "auto: sound with both directions, else running",
        choices=("auto", "running", "sound", "none"),
    )
    time_reduction: int = option(
        3, "windows side by side that make a step of the network", minimum=1, maximum=64
    )
    bidirectional: bool = option(
        True,
        "a second set of layers reads each sound from its end; without it a sound can be heard as it comes",
    )

    @property
    def centered(self) -> str:
        """What `center` comes to."""
        if self.center == "auto":
            return "sound" if self.bidirectional else "running"
        return self.center


@dataclass(kw_only=True)
class AugmentationOptions:
    """How sounds are changed in training, anew each time they are heard: see `data.augment.Augmentation`."""

    speed: float = option(
        0.0,
        "largest change of speed and pitch, as a share; 0.1: from 0.91 to 1.1 times",
        minimum=0,
        maximum=1,
    )
    vocal_tract: float = option(
        0.0,
        "largest change of the speaker's size, as a share: frequencies are warped",
        minimum=0,
        maximum=0.5,
    )
    gain: float = option(0.0, "largest change of loudness, in decibels", minimum=0, maximum=60)
    noise: float | None = option(
        None, "white noise, by so many decibels or more below the signal []", minimum=-20, maximum=50
    )
    time_masks: int = option(0, "stretches of time that are blotted out, each of up to a tenth", minimum=0)
    frequency_masks: int = option(0, "ranges of bands that are blotted out, each of up to a fifth", minimum=0)

    def augmentation(self) -> Augmentation | None:
        """What is done to the sounds of the training part; None: nothing."""
        found = Augmentation(
            speed=self.speed, warp=self.vocal_tract, gain=self.gain, noise=self.noise,
            time_masks=self.time_masks, frequency_masks=self.frequency_masks,
        )  # fmt: skip
        return None if found == Augmentation() else found


@dataclass(kw_only=True)
class Decoding:
    """How probabilities become a text: see `data.ctc`."""

    beam_size: int = option(
        1, "beginnings of the text that are kept; 1: the likeliest symbol of each step", minimum=1
    )
    language_model: str | None = option(
        None,
        "run of a language-model of the same kind of symbols, which says what is likely []",
        metavar="RUN",
    )
    language_weight: float | None = option(None, "what its logarithms are multiplied by [0.5]", minimum=0)
    symbol_bonus: float = option(0.0, "added to the logarithm for each symbol; above 0: longer texts")

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that does nothing."""
        check(self)
        if self.language_weight is not None and self.language_model is None:
            raise InputError("language_weight is of a language model; give --language-model RUN.")
        if self.beam_size == 1 and (self.language_model is not None or self.symbol_bonus):
            raise InputError(
                "language_model and symbol_bonus choose between texts, but beam_size is 1; give --beam-size 8."
            )


@dataclass(kw_only=True)
class Telling(Decoding):
    """What is told of a sound."""

    times: bool = option(False, "a line for each word: sound, start and end in seconds, word")
    stream: bool = option(False, "a line whenever the text changes, with the seconds heard by then")


@dataclass(kw_only=True)
class Judging(Decoding):
    """How texts are judged."""

    unwritable: Literal["error", "count"] = option(
        "error",
        "a text with an unseen symbol, or too long for its sound: stop, or count what is wrong with it",
        choices=("error", "count"),
    )

"""One sound from samples to text, whole or as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elman.data import Vocabulary
from elman.data.audio import Floats
from elman.data.ctc import Decoded, Decoder
from elman.tasks._transcribe_frames import Frames, FrameStream

if TYPE_CHECKING:
    from elman.nn.transcriber import TranscriberNetwork


@dataclass(frozen=True)
class Word:
    """A word and when it is heard, in seconds from the beginning."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """What is said in a sound: the text, its words, ln of how likely it is, and how long the sound is in seconds."""

    text: str
    words: tuple[Word, ...]
    log_probability: float
    seconds: float

    def values(self) -> dict[str, Any]:
        """What a program is told."""
        words = [{"word": w.word, "start": round(w.start, 3), "end": round(w.end, 3)} for w in self.words]
        return {
            "seconds": round(self.seconds, 3),
            "text": self.text,
            "words": words,
            "log_probability": self.log_probability,
        }


class Listener:
    """A sound that comes piece by piece: what is cut into pieces changes nothing of the result, to the bit.

    With a network of one direction each piece costs in proportion to its own length, and `text` grows as it comes.

    Attributes:
        seconds: heard up to now.
    """

    def __init__(
        self, frames: Frames, network: TranscriberNetwork, vocabulary: Vocabulary, decoder: Decoder, rate: int
    ) -> None:
        from elman.nn.transcriber import Hearing

        self._vocabulary, self._decoder, self._rate = vocabulary, decoder, rate
        self._stream, self._hearing = FrameStream(frames, rate), Hearing(network)
        self._step = frames.seconds * network.time_reduction
        self._samples = 0

    @property
    def seconds(self) -> float:
        return self._samples / self._rate

    @property
    def text(self) -> str:
        """What was said up to now; it may still change where the decoder keeps several beginnings."""
        return self._vocabulary.decode(self._decoder.decoded().symbols).strip()

    def push(self, samples: Floats) -> str:
        """Hear samples (n,), one channel at the rate of the sound; returns `text`."""
        self._samples += len(samples)
        self._decoder.push(self._hearing.push(self._stream.push(samples)))
        return self.text

    def finish(self) -> Transcript:
        """The sound is over."""
        self._decoder.push(self._hearing.push(self._stream.finish()))
        self._decoder.push(self._hearing.finish())
        decoded = self._decoder.decoded(final=True)
        words = words_of(decoded, self._vocabulary, self._step, self.seconds)
        text = self._vocabulary.decode(decoded.symbols).strip()
        return Transcript(text, tuple(words), decoded.score, self.seconds)


def words_of(decoded: Decoded, vocabulary: Vocabulary, step: float, seconds: float) -> list[Word]:
    """The words of a text, between blanks, and when they are heard; `step` and the whole sound in seconds."""
    groups: list[list[int]] = []
    fresh = True
    for place, symbol in enumerate(decoded.symbols):
        text = vocabulary.decode([symbol])
        if text.strip():
            if fresh or vocabulary.kind == "word" or text[0].isspace():
                groups.append([])
            groups[-1].append(place)
        fresh = not text.strip()
    return [_word(group, decoded, vocabulary, step, seconds) for group in groups]


def _word(
    places: Sequence[int], decoded: Decoded, vocabulary: Vocabulary, step: float, seconds: float
) -> Word:
    text = vocabulary.decode([decoded.symbols[place] for place in places]).strip()
    start, stop = decoded.starts[places[0]] * step, decoded.stops[places[-1]] * step
    return Word(text, min(start, seconds), min(stop, seconds))

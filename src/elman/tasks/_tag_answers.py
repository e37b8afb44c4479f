"""What is told of a tagged sentence: to a reader, to a program, in a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elman.data.conll import Sentence
from elman.data.spans import Span, spans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Tagging:
    """The most likely sequences of tags of a sentence, best first, and how sure they are.

    words: (T,); paths: the n sequences, T tags each, and their probabilities; sure: probability of each tag of the
    first, (T,); shares: probability of every tag at every word, (T, K).
    joint: what stands between two words of a text.
    """

    words: Sequence[str]
    paths: list[list[str]]
    probabilities: list[float]
    sure: list[float]
    shares: NDArray[np.float32]
    joint: str = " "

    def values(self, *, of_spans: bool) -> dict[str, Any]:
        """What a program is told. A span is as sure as its least sure word."""
        tags = self.paths[0]
        values: dict[str, Any] = {"words": list(self.words), "tags": tags, "confidences": self.sure}
        if of_spans:
            values["spans"] = [
                {
                    "kind": kind,
                    "start": start,
                    "stop": stop,
                    "text": self.joint.join(self.words[start:stop]),
                    "confidence": min(self.sure[start:stop]),
                }
                for kind, start, stop in spans(tags)
            ]
        if len(self.paths) > 1:
            values["n_best"] = [
                {"tags": path, "probability": round(probability, 6)}
                for path, probability in zip(self.paths, self.probabilities, strict=True)
            ]
        return values

    def text(self, n: int, *, show_spans: bool) -> str:
        """The words with their tags, or with their spans; of n sequences one a line, behind its probability."""
        lines = []
        for path, probability in zip(self.paths, self.probabilities, strict=True):
            pairs = " ".join(f"{word}/{tag}" for word, tag in zip(self.words, path, strict=True))
            line = in_text(self.words, spans(path), self.joint) if show_spans else pairs
            lines.append(f"{probability:.4f}\t{line}" if n > 1 else line)
        return "\n".join(lines)

    def in_file(self, sentence: Sentence, n: int) -> str:
        """The lines of the sentence with its tags; n sequences one behind the other, each after a comment with its
        probability."""
        texts = [sentence.written(path) for path in self.paths]
        if n == 1 or not sentence.words:
            return texts[0]
        told = zip(self.probabilities, texts, strict=True)
        return "\n".join(f"{sentence.mark} probability = {share:.4f}\n{text}" for share, text in told)


def in_text(words: Sequence[str], found: Iterable[Span], joint: str) -> str:
    """The words with each span as <words:KIND>.

    >>> in_text(["Mr", "Ada", "runs"], [Span("PER", 0, 2)], " ")
    '<Mr Ada:PER> runs'
    """
    parts: list[str] = []
    place = 0
    for kind, start, stop in found:
        parts += [*words[place:start], f"<{joint.join(words[start:stop])}:{kind}>"]
        place = stop
    return joint.join([*parts, *words[place:]])

"""What is known of texts that are most like one that is asked: to compare a model with, or to be read by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from elman.data import Vocabulary
from elman.tasks._pairs import Pairs

_ROWS = 256  # texts compared at once


class Nearest:
    """Finds among texts those most like another: cosine of the tf-idf of character n-grams of length 1 to `ngrams`.

    Upper and lower case count as the same. Each text is compared with all that are known: meant for up to some 100,000.

    >>> Nearest(["a river", "the sea"]).find(["the river", "see the sea"])
    [[0], [1]]
    """

    def __init__(self, texts: Sequence[str], ngrams: int = 4) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            self._places.setdefault(text, []).append(place)
        self._reader = TfidfVectorizer(
            analyzer="char", ngram_range=(1, ngrams), sublinear_tf=True, dtype=np.float32
        )
        self._known = self._reader.fit_transform(texts).T.tocsc()

    def find(self, asked: Sequence[str], count: int = 1, *, others: bool = False) -> list[list[int]]:
        """Numbers of at most `count` texts for each one asked, the most like it first, of equals the first.

        others: never the text itself.
        """
        count = min(count, self._known.shape[1])
        found: list[list[int]] = []
        for start in range(0, len(asked), _ROWS):
            part = asked[start : start + _ROWS]
            likeness = (self._reader.transform(part) @ self._known).toarray()
            for row, text in enumerate(part if others else ()):
                likeness[row, self._places.get(text, [])] = -1
            rows, best = np.arange(len(part)), np.zeros((len(part), count), np.int64)
            values = np.zeros(best.shape)
            for k in range(count):
                best[:, k] = likeness.argmax(1)
                values[:, k] = likeness[rows, best[:, k]]
                likeness[rows, best[:, k]] = -1
            found += [numbers[value >= 0].tolist() for numbers, value in zip(best, values, strict=True)]
        return found


@dataclass(frozen=True)
class Recall:
    """Different sources, each with a target; with one that is asked the `count` most like it, by n-grams, are read.

    A translation memory, read by the network: Bulte and Tezcan, Neural Fuzzy Repair, 2019.
    """

    sources: list[str]
    targets: list[str]
    count: int
    ngrams: int

    @classmethod
    def of(cls, pairs: Pairs, count: int, ngrams: int) -> Self:
        """What some pairs say; of the targets of a source the first."""
        first = {source: targets[0] for source, targets in pairs.references().items()}
        return cls(list(first), list(first.values()), count, ngrams)

    def parts(self, texts: Sequence[str], *, others: bool = False) -> list[list[str]]:
        """What is read for each text: itself, and source and target of each that is like it, the most like it first.

        others: never those of the text itself, as for an unseen one.
        """
        texts = [text.strip() for text in texts]
        if not self.count:
            return [[text] for text in texts]
        found = self._nearest.find(texts, self.count, others=others)
        return [
            [text, *(part for k in numbers for part in (self.sources[k], self.targets[k]))]
            for text, numbers in zip(texts, found, strict=True)
        ]

    def values(self) -> dict[str, list[str]]:
        """What is written to a run."""
        return {"sources": self.sources, "targets": self.targets}

    @classmethod
    def restored(cls, values: Any, count: int, ngrams: int) -> Self:
        """What `values` gave; raises KeyError, TypeError or ValueError for anything else."""
        sources, targets = values["sources"], values["targets"]
        if not sources or len(sources) != len(targets):
            raise ValueError(f"{len(sources)} sources and {len(targets)} targets")
        if not all(isinstance(text, str) for text in (*sources, *targets)):
            raise TypeError("sources and targets that are not all texts")
        return cls(sources, targets, count, ngrams)

    @cached_property
    def _nearest(self) -> Nearest:
        return Nearest(self.sources, self.ngrams)


def encoded(vocabulary: Vocabulary, parts: Sequence[str]) -> NDArray[np.int64]:
    """The symbols of what is read for a text; where that is several parts each ends with the end mark, symbol V."""
    rows = [vocabulary.encode(part, "map") for part in parts]
    ends = [len(vocabulary)] if len(rows) > 1 else []
    return np.concatenate([np.array([*row, *ends], np.int64) for row in rows])


def symbols(vocabulary: Vocabulary, parts: Sequence[str]) -> list[str]:
    """The text of each of them, none of an end mark."""
    found = [
        [vocabulary.symbol_at(part, place) for place in range(len(vocabulary.encode(part, "map")))]
        for part in parts
    ]
    return found[0] if len(found) == 1 else [symbol for each in found for symbol in (*each, "")]

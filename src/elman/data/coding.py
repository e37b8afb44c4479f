"""Sentences of words as the arrays a tagger reads: words, their characters, and pairs of neighbours by number."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elman.data.buckets import pad
from elman.data.vocabulary import UNKNOWN, Vocabulary

Integers: TypeAlias = NDArray[np.int64]
Pair: TypeAlias = tuple[str, str]
EDGE = ""
"""What stands before the first word and behind the last."""

_LONGEST = 64  # characters of a word that are read: of a longer one the first and the last
_KEPT = 1 << 16  # spellings kept


def _nothing() -> Integers:
    return np.zeros((0, 0), np.int64)


@dataclass(frozen=True)
class CodedWords:
    """A batch of sentences.

    Attributes:
        words: (B, T) numbers of the words, zero behind a row's length.
        lengths: (B,).
        pairs: (B, T, 2) numbers of each word's pairs with the word before it and the one behind it.
        forms: (B, T) which of the U different words of the batch each is.
        characters: (U, C) characters of these; spelled: (U,) how many.
    """

    words: Integers
    lengths: Integers
    pairs: Integers = field(default_factory=_nothing)
    forms: Integers = field(default_factory=_nothing)
    characters: Integers = field(default_factory=_nothing)
    spelled: Integers = field(default_factory=_nothing)

    def arrays(self) -> dict[str, Integers]:
        """Those that are there, by name."""
        return {name: array for name, array in vars(self).items() if array.shape != (0, 0)}


class WordCoder:
    """Numbers of words, characters and pairs; what it has not learned has number 0.

    Args:
        words: the vocabulary, its first symbol standing for the unknown.
        characters: of which words are made; None: words are not spelled.
        pairs: of neighbours, in the order of their numbers from 1 on; None: pairs are not numbered.
        lowercase: the case of a word counts in its characters only.

    >>> coder = WordCoder.learn([["A", "rose", "is", "a", "rose"]], lowercase=True)
    >>> coder.code([["a", "daisy"]]).words.tolist(), coder.knows("ROSE")
    ([[1, 0]], True)
    """

    def __init__(
        self,
        words: Vocabulary,
        characters: Vocabulary | None = None,
        *,
        pairs: Sequence[Pair] | None = None,
        lowercase: bool = False,
    ) -> None:
        self.words, self.characters, self.pairs, self.lowercase = words, characters, pairs, lowercase
        self._words = {word: number for number, word in enumerate(words.symbols)}
        self._pairs = {pair: number for number, pair in enumerate(pairs or (), 1)}
        self._spell = functools.lru_cache(_KEPT)(self._spelling)

    @classmethod
    def learn(
        cls,
        sentences: Sequence[Sequence[str]],
        *,
        characters: bool = False,
        jamo: bool = False,
        pairs: bool = False,
        lowercase: bool = False,
        min_count: int = 1,
    ) -> WordCoder:
        """The words that occur `min_count` times in the sentences, and the characters and pairs that occur twice."""
        forms = Counter(word for sentence in sentences for word in sentence)
        counts = Counter[str]()
        for form, count in forms.items():
            counts[_lower(form, lowercase)] += count
        words = Vocabulary("word", (UNKNOWN, *_frequent(counts, min_count)))
        spelled = None
        if characters:
            text = (form * min(count, 2) for form, count in forms.items())
            spelled = Vocabulary.build("character", text, jamo=jamo, min_count=2, unknown=True)
        seen = Counter(
            pair for s in sentences for pair in _neighbours([_lower(word, lowercase) for word in s])
        )
        return cls(words, spelled, pairs=_frequent(seen, 2) if pairs else None, lowercase=lowercase)

    def knows(self, word: str) -> bool:
        """Whether the word is in the vocabulary."""
        return _lower(word, self.lowercase) in self._words

    def counts(self, sentences: Iterable[Sequence[str]]) -> Integers:
        """How often each word occurs in the sentences, (V,)."""
        counts = np.zeros(len(self.words), np.int64)
        for sentence in sentences:
            for word in sentence:
                counts[self._words.get(_lower(word, self.lowercase), 0)] += 1
        return counts

    def code(self, sentences: Sequence[Sequence[str]]) -> CodedWords:
        """The arrays of some sentences, at least one."""
        plain = [[_lower(word, self.lowercase) for word in sentence] for sentence in sentences]
        words, lengths = pad([_array(self._words.get(word, 0) for word in sentence) for sentence in plain])
        pairs = forms = characters = spelled = _nothing()
        if self.pairs is not None:
            numbers = [_array(self._pairs.get(pair, 0) for pair in _neighbours(s)) for s in plain]
            pairs, _ = pad([np.stack([n[:-1], n[1:]], 1) for n in numbers])
        if self.characters is not None:
            places: dict[str, int] = {}
            rows = [_array(places.setdefault(word, len(places)) for word in s) for s in sentences]
            forms, _ = pad(rows)
            characters, spelled = pad([self._spell(form) for form in places] or [_array(())])
        return CodedWords(words, lengths, pairs, forms, characters, spelled)

    def _spelling(self, form: str) -> Integers:
        assert self.characters is not None
        ids = self.characters.encode(form, "map").astype(np.int64)
        if len(ids) > _LONGEST:
            ids = np.concatenate([ids[: _LONGEST // 2], ids[-_LONGEST // 2 :]])
        return ids


def _lower(word: str, lowercase: bool) -> str:
    return word.lower() if lowercase else word


def _neighbours(sentence: Sequence[str]) -> list[Pair]:
    """Each word with the one before it, and the last with the edge: one more than there are words."""
    return list(zip([EDGE, *sentence], [*sentence, EDGE], strict=True))


def _frequent(counts: Counter[Any], least: int) -> tuple[Any, ...]:
    """What occurs at least so often, most frequent first; the mark of the unknown is no word."""
    found = sorted(counts, key=lambda item: (-counts[item], item))
    return tuple(item for item in found if counts[item] >= least and item != UNKNOWN)


def _array(numbers: Iterable[int]) -> Integers:
    return np.fromiter(numbers, np.int64)

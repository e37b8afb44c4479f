"""A text with blanks in it: its symbols, where the blanks are, and what a blank inside a word must fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.data import Vocabulary

_LISTED = """
    은 는 이 가 을 를 의 에 에서 에게 에게서 께 께서 한테 으로 로 와 과 랑 이랑 도 만 까지 부터 보다 처럼 만큼 마다
    조차 마저 밖에 이나 나 이라 라 이라도 라도 이든 든 이며 며
"""
PARTICLES = frozenset(_LISTED.split())
"""Korean particles, which end a word: behind a blank each is the end of the word that is missing."""


@dataclass(frozen=True)
class Blank:
    """A place (from 0) among the symbols of a text, and how its symbol must begin and end, but for the missing part."""

    place: int
    before: str = ""
    after: str = ""

    def fits(self, text: str) -> bool:
        return (
            len(text) > len(self.before) + len(self.after)
            and text.startswith(self.before)
            and text.endswith(self.after)
        )

    def missing(self, text: str) -> str:
        """The part of a fitting symbol that the text lacks."""
        return text[len(self.before) : len(text) - len(self.after)]


def read_blanks(text: str, mark: str, vocabulary: Vocabulary) -> tuple[NDArray[np.int64], list[Blank]]:
    """The symbols of a text, unknown ones mapped and 0 in each blank, and its blanks from left to right.

    Words: what touches the mark is part of the missing word, and so is a Korean particle behind the mark that is no
    word of the vocabulary: "[ ] 을" is read as "[ ]을". Subwords: the space before the mark begins the missing piece.

    >>> words = Vocabulary.build("word", "the river runs")
    >>> read_blanks("the [ ]s away", "[ ]", words)[1]
    [Blank(place=1, before='', after='s')]
    """
    if vocabulary.kind == "word":
        tokens = _join_particles(_tokens(text, mark), vocabulary)
        words = [token if isinstance(token, str) else "" for token in tokens]
        index = {word: number for number, word in enumerate(vocabulary.symbols)}
        symbols = np.array([index.get(word, 0) for word in words], np.int64)
        return symbols, [Blank(k, *ends) for k, ends in enumerate(tokens) if not isinstance(ends, str)]
    parts: list[NDArray[np.int64]] = []
    blanks: list[Blank] = []
    *leading, last = text.split(mark)
    for part in leading:
        spaced = vocabulary.kind == "subword" and part.endswith(" ")
        parts.append(vocabulary.encode(part[:-1] if spaced else part, "map").astype(np.int64))
        blanks.append(Blank(sum(map(len, parts)), " " if spaced else ""))
        parts.append(np.zeros(1, np.int64))
    parts.append(vocabulary.encode(last, "map").astype(np.int64))
    return np.concatenate(parts), blanks


def _tokens(text: str, mark: str) -> list[str | tuple[str, str]]:
    """The words of a text; for one with a blank what stands before and after the mark."""
    escaped = re.escape(mark)
    part = rf"((?:(?!{escaped})\S)*)"
    found = re.finditer(rf"{part}{escaped}{part}|\S+", text)
    return [match.group() if match[1] is None else (match[1], match[2]) for match in found]


def _join_particles(
    tokens: Sequence[str | tuple[str, str]], vocabulary: Vocabulary
) -> list[str | tuple[str, str]]:
    joined: list[str | tuple[str, str]] = []
    for token in tokens:
        before = joined[-1] if joined else ""
        if (
            isinstance(token, str)
            and not isinstance(before, str)
            and not before[1]
            and token in PARTICLES
            and token not in vocabulary.symbols
        ):
            joined[-1] = (before[0], token)
        else:
            joined.append(token)
    return joined

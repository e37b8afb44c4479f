"""Text to words: what stands between blanks, and the line end as a symbol of its own.

For text that is tokenised already, such as WikiText, this gives the customary count of tokens: those of
`line.split()` and one line end per line; `<unk>` in the text is the unknown symbol. In other text punctuation stays
with its word: tokenise it first, or use subwords.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt


class Words:
    """Encodes text for a vocabulary of words."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._index = {symbol: number for number, symbol in enumerate(symbols)}

    def encode(self, text: str) -> npt.NDArray[np.integer]:
        """Ids of the words and line ends of `text`, -1 where the vocabulary lacks one."""
        words = split(text)
        return np.fromiter(map(self._index.get, words, itertools.repeat(-1)), np.int32, len(words))

    def locate(self, text: str, number: int) -> tuple[int, str]:
        """Position (code points) and text of word `number` of `text`."""
        word = next(itertools.islice(re.finditer(r"\S+|\n", text), number, None))
        return word.start(), word.group()


def split(text: str) -> list[str]:
    """The words and line ends of `text`."""
    first, *others = text.split("\n")
    words = first.split()
    for line in others:
        words.append("\n")
        words += line.split()
    return words


def count(blocks: Iterable[str]) -> Counter[str]:
    """How often each word, and the line end, occurs in the text."""
    counts = Counter[str]()
    for text in blocks:
        counts.update(split(text))
    return counts

"""How near captions come to what they should be, and what is reached without looking, or by looking for the like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elman.tasks._caption_data import Array
from elman.tasks._text_scores import text_scores

_ROWS = 64  # images compared at once


def caption_scores(found: Sequence[str], wanted: Sequence[Sequence[str]]) -> dict[str, float]:
    """`text_scores`, and first_word: the share of captions whose first word is that of one of their references.

    >>> caption_scores(["red fox", "cat"], [["red dog"], ["dog", "cat"]])["first_word"]
    1.0
    """
    right = [_first(text) in map(_first, refs) for text, refs in zip(found, wanted, strict=True)]
    return {"first_word": float(np.mean(right)), **text_scores(found, wanted)}


def most_frequent(texts: Sequence[str]) -> str:
    """The text that is there most often; of several the one that begins with the most frequent word.

    >>> most_frequent(["a cat", "the dog", "the fox"])
    'the dog'
    """
    whole, first = Counter(texts), Counter(map(_first, texts))
    return max(texts, key=lambda text: (whole[text], first[_first(text)]))


def nearest_pictures(known: Sequence[Array], asked: Sequence[Array]) -> list[int]:
    """For each picture asked the number of the known one that is nearest by the squares of all differences; of several
    feature vectors their mean.

    >>> black, white = np.zeros((2, 2, 3)), np.ones((2, 2, 3))
    >>> nearest_pictures([black, white], [0.9 * white, 0.2 * white])
    [1, 0]
    """
    flat, found = _flat(known), list[int]()
    norms = (flat**2).sum(1)
    for start in range(0, len(asked), _ROWS):
        distances = norms - 2 * _flat(asked[start : start + _ROWS]) @ flat.T
        found += distances.argmin(1).tolist()
    return found


def _flat(pictures: Sequence[Array]) -> NDArray[np.float32]:
    """(N, D): all values of an image (H, W, 3), the mean of vectors (S, F)."""
    rows = [picture.mean(0) if picture.ndim == 2 else picture.reshape(-1) for picture in pictures]
    return np.stack(rows).astype(np.float32)


def _first(text: str) -> str:
    return text.split(maxsplit=1)[0] if text.strip() else ""

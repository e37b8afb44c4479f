"""Text to symbols that are characters: code points, grapheme clusters, and Korean syllables taken apart into jamo.

A grapheme cluster is what a reader calls one character: e with a combining accent, a flag, a family emoji, CR LF
(Unicode Standard Annex 29). Nearly all text has clusters of one code point only, so a table look-up in NumPy does the
work and the `regex` package cuts only the places where code points may join.

Jamo: a precomposed syllable becomes its two or three conjoining jamo, its canonical decomposition (the Unicode
Standard, section 3.12). Jamo that stand in the text already, next to other Korean, stay whole clusters, so that putting
syllables together again gives exactly the text that was there.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from types import ModuleType

import numpy as np
import numpy.typing as npt

from elman.data.extras import extra

Integers = npt.NDArray[np.integer]

_POINTS = 0x110000
_FIRST_SYLLABLE, _SYLLABLES = 0xAC00, 11172
_OF_A_VOWEL = 28  # syllables in a row that begin alike: one without, 27 with a trailing consonant
_JAMO = r"\p{GCB=L}\p{GCB=V}\p{GCB=T}"
_JOINING = r"\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=Regional_Indicator}" + _JAMO


class Characters:
    """Encodes text for a vocabulary of `symbols`, each one code point or one grapheme cluster."""

    def __init__(self, symbols: Sequence[str], *, graphemes: bool, jamo: bool) -> None:
        self._cutter = Cutter(graphemes=graphemes, jamo=jamo)
        # A cluster of several code points gets a number of its own past the last code point; the one after them all
        # stands for every cluster the vocabulary lacks.
        clusters = [symbol for symbol in symbols if len(symbol) > 1]
        self._clusters = {cluster: _POINTS + number for number, cluster in enumerate(clusters)}
        self._table = np.full(_POINTS + len(clusters) + 1, -1, np.int32)
        points = [ord(symbol) if len(symbol) == 1 else self._clusters[symbol] for symbol in symbols]
        self._table[points] = np.arange(len(symbols))
        self._parts = self._table[_all_jamo()] if jamo else None

    def encode(self, text: str) -> Integers:
        """Ids of the symbols of `text`, -1 where the vocabulary lacks one."""
        points = code_points(text)
        inner = self._cutter.inner(text, points)
        if len(inner):
            heads, clusters = _clusters(text, inner)
            points = points.astype(np.uint32)
            points[heads] = [self._clusters.get(cluster, len(self._table) - 1) for cluster in clusters]
            points = np.delete(points, inner)
        ids = self._table.take(points)
        return ids if self._parts is None else _expand(points, ids, self._parts)

    def locate(self, text: str, number: int) -> tuple[int, str]:
        """Position (code points) and text of symbol `number` of `text`; a jamo stands where its syllable does."""
        inner = self._cutter.inner(text, code_points(text))
        starts = np.delete(np.arange(len(text)), inner).tolist()
        for start, stop in zip(starts, [*starts[1:], len(text)], strict=True):
            symbol = text[start:stop]
            parts = [symbol] if self._parts is None else jamo_of(symbol)
            if number < len(parts):
                return start, parts[number]
            number -= len(parts)
        raise IndexError(number)


class Cutter:
    """Finds where symbols start: every code point, or every grapheme cluster, or (jamo) every Korean cluster."""

    def __init__(self, *, graphemes: bool, jamo: bool) -> None:
        self._graphemes = graphemes
        self._classes = _JOINING if graphemes else _JAMO if jamo else ""

    def inner(self, text: str, points: Integers) -> Integers:
        """Positions at which no symbol starts, ascending.

        Only code points that may join, with the neighbours they may join to, are given to `regex`; between two others
        there is always a boundary (rule GB999), CR LF apart (rule GB3).
        """
        inner: Integers = np.empty(0, np.int64)
        if self._classes and not text.isascii():
            inner = self._cut(text, np.flatnonzero(_joining(self._classes)[points]))
        if self._graphemes and "\r\n" in text:
            line_ends = 1 + np.flatnonzero((points[1:] == ord("\n")) & (points[:-1] == ord("\r")))
            inner = np.union1d(inner, line_ends)
        return inner

    @staticmethod
    def _cut(text: str, joining: Integers) -> Integers:
        """Positions inside the clusters around the code points at `joining`."""
        if not len(joining):
            return joining
        gaps = np.flatnonzero(np.diff(joining) > 2)
        firsts = joining[np.append(0, gaps + 1)] - 1
        lasts = joining[np.append(gaps, -1)] + 1
        clusters = _regex().compile(r"\X")
        inner: list[int] = []
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            start = max(first, 0)
            for cluster in clusters.findall(text[start : last + 1]):
                stop = start + len(cluster)
                inner += range(start + 1, stop)
                start = stop
        return np.array(inner, np.int64)


def count(blocks: Iterable[str], *, graphemes: bool, jamo: bool) -> Counter[str]:
    """How often each symbol occurs in the text."""
    cutter = Cutter(graphemes=graphemes, jamo=jamo)
    found, counts = np.zeros(1, np.int64), Counter[str]()
    for text in blocks:
        points = code_points(text)
        inner = cutter.inner(text, points)
        if len(inner):
            heads, clusters = _clusters(text, inner)
            counts.update(clusters)
            points = np.delete(points, np.append(inner, heads))
        of_block = np.bincount(points, minlength=len(found))
        of_block[: len(found)] += found
        found = of_block
    for point in np.flatnonzero(found).tolist():
        for symbol in jamo_of(chr(point)) if jamo else chr(point):
            counts[symbol] += int(found[point])
    return counts


def code_points(text: str) -> Integers:
    """The code points of `text`, one integer each; UnicodeEncodeError for half a surrogate pair."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def jamo_of(symbol: str) -> list[str]:
    """The jamo of a precomposed syllable; any other symbol as it is."""
    syllable = len(symbol) == 1 and 0 <= ord(symbol) - _FIRST_SYLLABLE < _SYLLABLES
    return list(unicodedata.normalize("NFD", symbol)) if syllable else [symbol]


@functools.cache
def _all_jamo() -> Integers:
    """(syllables, 3) code points: leading consonant, vowel, trailing consonant or 0."""
    syllables = map(chr, range(_FIRST_SYLLABLE, _FIRST_SYLLABLE + _SYLLABLES))
    return np.array([[*map(ord, jamo_of(syllable)), 0][:3] for syllable in syllables])


def _expand(points: Integers, ids: Integers, parts: Integers) -> Integers:
    """`ids` of `points`, each syllable replaced by the ids of its jamo, which are rows of `parts`."""
    at = np.flatnonzero((points >= _FIRST_SYLLABLE) & (points < _FIRST_SYLLABLE + _SYLLABLES))
    if not len(at):
        return ids
    syllables = points[at].astype(np.int64) - _FIRST_SYLLABLE
    closed = syllables % _OF_A_VOWEL > 0
    more = 1 + closed
    sizes = np.ones(len(points), np.int64)
    sizes[at] += more
    expanded = np.repeat(ids, sizes)
    first = at + np.cumsum(more) - more
    expanded[first] = parts[syllables, 0]
    expanded[first + 1] = parts[syllables, 1]
    expanded[first[closed] + 2] = parts[syllables[closed], 2]
    return expanded


def _clusters(text: str, inner: Integers) -> tuple[Integers, list[str]]:
    """The symbols of several code points: where they start, and their text."""
    gaps = np.flatnonzero(np.diff(inner) > 1)
    starts = inner[np.append(0, gaps + 1)] - 1
    stops = inner[np.append(gaps, -1)] + 1
    return starts, [text[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]


@functools.cache
def _joining(classes: str) -> npt.NDArray[np.bool_]:
    """True for each code point of the given Grapheme_Cluster_Break classes."""
    table = np.zeros(_POINTS, bool)
    pattern = _regex().compile(f"[{classes}]+")
    # Planes 2 to 13 hold ideographs or nothing, planes 15 and 16 private characters: nothing that joins.
    for first, last in ((0, 0x20000), (0xE0000, 0xE1000)):
        for match in pattern.finditer("".join(map(chr, range(first, last)))):
            table[first + match.start() : first + match.end()] = True
    return table


def _regex() -> ModuleType:
    return extra("regex", "grapheme clusters")

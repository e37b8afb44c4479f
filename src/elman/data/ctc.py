"""From probabilities at every step to symbols: connectionist temporal classification, decoded as the steps come.

Graves et al., Connectionist Temporal Classification, 2006. At each step a network gives K + 1 probabilities: of K
symbols and, last, of the blank. A path takes one at each step; its symbols are those left when repeats are joined and
blanks are taken out. The probability of a sequence of symbols is the sum over all its paths.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Logs: TypeAlias = NDArray[np.floating[Any]]
"""Logarithms of probabilities (S, K + 1) of S steps, the blank last."""

Symbols: TypeAlias = NDArray[np.int64]
"""Numbers from 0 to K - 1."""

_NONE = -math.inf


@dataclass(frozen=True)
class Decoded:
    """Symbols, the steps from `starts` up to `stops` at which each is heard, and `score`, the natural logarithm of how
    likely they are: of their best path (`Greedy`), of all paths the beam kept with what was added (`PrefixBeam`)."""

    symbols: tuple[int, ...]
    starts: tuple[int, ...]
    stops: tuple[int, ...]
    score: float


class Decoder(Protocol):
    """What takes the steps of a sound as they come."""

    def push(self, logs: Logs) -> None:
        """Read some steps."""

    def decoded(self, final: bool = False) -> Decoded:
        """What was heard up to now; `final`: and nothing more comes."""
        ...


class Language(Protocol):
    """A model of what follows, symbol after symbol."""

    def begin(self) -> tuple[Any, NDArray[np.float64]]:
        """The state before the first symbol, and ln P (K + 1,) of each symbol there and, last, of the end."""
        ...

    def follow(self, states: Sequence[Any], symbols: Sequence[int]) -> list[tuple[Any, NDArray[np.float64]]]:
        """The same after one more symbol each."""
        ...


def steps_needed(symbols: Sequence[int]) -> int:
    """The fewest steps a path of these symbols has: one each, and a blank between equal neighbours.

    >>> steps_needed([3, 3, 4])
    4
    """
    return len(symbols) + sum(a == b for a, b in itertools.pairwise(symbols))


class Greedy:
    """The most likely path: at each step the most likely symbol.

    >>> greedy = Greedy()
    >>> greedy.push(np.log([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.6, 0.4]]))
    >>> greedy.decoded().symbols, greedy.decoded().starts, greedy.decoded().stops
    ((0, 0), (0, 3), (2, 4))
    """

    def __init__(self) -> None:
        self._symbols: list[int] = []
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._steps, self._last, self._score = 0, -1, 0.0

    def push(self, logs: Logs) -> None:
        """Read some steps (S, K + 1)."""
        blank = logs.shape[1] - 1
        for best, log in zip(logs.argmax(1).tolist(), logs.max(1).tolist(), strict=True):
            if best != blank and best == self._last:
                self._stops[-1] = self._steps + 1
            elif best != blank:
                self._symbols.append(best)
                self._starts.append(self._steps)
                self._stops.append(self._steps + 1)
            self._last = best
            self._steps += 1
            self._score += log

    def decoded(self, final: bool = False) -> Decoded:  # noqa: ARG002
        """What was heard up to now."""
        return Decoded(tuple(self._symbols), tuple(self._starts), tuple(self._stops), self._score)


class PrefixBeam:
    """The most likely symbols, all paths of each added up: the `width` best beginnings are kept from step to step.

    Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs, 2014.
    A sequence y of n symbols is ranked by ln P(y | sound) + weight ln P_language(y) + bonus n; a finished one also has
    the language's end. Each step of a kept beginning may be followed by the `width` likeliest symbols of that step.
    Where symbols are heard is told by the best path the beam saw. The cost of a step does not grow with the steps
    before it.

    Args:
        width: beginnings kept.
        language: what is said about what follows; see `Language`.
        weight: of the language.
        bonus: for each symbol; languages favour few symbols.

    >>> beam = PrefixBeam(4)
    >>> beam.push(np.log([[0.4, 0.6], [0.4, 0.6]]))  # 0: 0.4 x 0.4 + 0.4 x 0.6 + 0.6 x 0.4; nothing: 0.6 x 0.6
    >>> beam.decoded().symbols, round(math.exp(beam.decoded().score), 4)
    ((0,), 0.64)
    """

    def __init__(
        self, width: int, language: Language | None = None, *, weight: float = 0.0, bonus: float = 0.0
    ) -> None:
        self._width, self._language, self._weight, self._bonus = width, language, weight, bonus
        root = _Prefix(None, -1)
        if language is not None:
            root.state, root.following = language.begin()
        self._beam = {root: _Paths(blank=0.0, best_blank=0.0)}
        self._steps = 0

    def push(self, logs: Logs) -> None:
        """Read some steps (S, K + 1)."""
        for step in np.asarray(logs, np.float64):
            self._read(step)
            self._steps += 1

    def decoded(self, final: bool = False) -> Decoded:
        """What is the likeliest up to now; `final`: the language says that it ends here."""

        def rank(prefix: _Prefix) -> float:
            ended = self._weight * prefix.following[-1] if final and prefix.following is not None else 0.0
            return self._beam[prefix].total + prefix.added + float(ended)

        best = max(self._beam, key=rank)  # the first of equals: the beam is in order
        paths = self._beam[best]
        spans = []
        place = paths.spans if paths.best_symbol > paths.best_blank else paths.spans_blank
        while place is not None:
            place, start, stop = place
            spans.append((start, stop))
        starts, stops = tuple(zip(*reversed(spans), strict=True)) or ((), ())
        return Decoded(best.symbols(), starts, stops, rank(best))

    def _read(self, logs: NDArray[np.float64]) -> None:
        """One step: every kept beginning goes on with a blank, its last symbol again, or a new one."""
        blank, now = float(logs[-1]), self._steps
        likely = np.argsort(-logs[:-1], kind="stable")[: self._width].tolist()
        found: dict[_Prefix, _Paths] = {}
        for prefix, before in self._beam.items():
            stay = found.setdefault(prefix, _Paths())
            stay.add_blank(before, blank)
            if prefix.symbol >= 0:
                again = float(logs[prefix.symbol])
                spans = before.spans and (before.spans[0], before.spans[1], now + 1)
                stay.add_symbol(before.symbol + again, before.best_symbol + again, spans)
            for symbol in likely:
                log = float(logs[symbol])
                total, best, spans = before.total, before.best_symbol, before.spans
                if symbol == prefix.symbol:  # only a blank parts it from its like
                    total = before.blank
                if symbol == prefix.symbol or before.best_blank >= before.best_symbol:
                    best, spans = before.best_blank, before.spans_blank
                if total > _NONE:
                    longer = found.setdefault(prefix.child(symbol, self._added(prefix, symbol)), _Paths())
                    longer.add_symbol(total + log, best + log, (spans, now, now + 1))
        kept = sorted(found, key=lambda prefix: -(found[prefix].total + prefix.added))[: self._width]
        self._beam = {prefix: found[prefix] for prefix in kept}
        self._look_ahead(kept)

    def _added(self, prefix: _Prefix, symbol: int) -> float:
        """What the language and the bonus add to a beginning for one more symbol."""
        said = 0.0 if prefix.following is None else self._weight * float(prefix.following[symbol])
        return said + self._bonus

    def _look_ahead(self, kept: Sequence[_Prefix]) -> None:
        """Ask the language what follows the beginnings that are new, all at once."""
        new = [prefix for prefix in kept if prefix.following is None]
        if self._language is None or not new:
            return
        told = self._language.follow([p.parent.state for p in new if p.parent], [p.symbol for p in new])
        for prefix, (state, following) in zip(new, told, strict=True):
            prefix.state, prefix.following = state, following


_Spans: TypeAlias = Any
"""Where the symbols of a path are: (spans before, start, stop) of the last one, or None."""


class _Prefix:
    """A beginning: a symbol behind a shorter one. Each is there once, as long as somebody needs it."""

    __slots__ = ("__weakref__", "_children", "added", "following", "parent", "state", "symbol")

    def __init__(self, parent: _Prefix | None, symbol: int, added: float = 0.0) -> None:
        self.parent, self.symbol, self.added = parent, symbol, added
        self.state: Any = None
        self.following: NDArray[np.float64] | None = None
        self._children: weakref.WeakValueDictionary[int, _Prefix] | None = None

    def child(self, symbol: int, more: float) -> _Prefix:
        """The beginning with one more symbol, which adds `more` to its rank."""
        if self._children is None:
            self._children = weakref.WeakValueDictionary()
        found = self._children.get(symbol)
        if found is None:
            found = self._children[symbol] = _Prefix(self, symbol, self.added + more)
        return found

    def symbols(self) -> tuple[int, ...]:
        found: list[int] = []
        place = self
        while place.parent is not None:
            found.append(place.symbol)
            place = place.parent
        return tuple(reversed(found))


@dataclass(slots=True)
class _Paths:
    """The paths of a beginning that end in a blank, and in its last symbol: sums, and the best one of each."""

    blank: float = _NONE
    symbol: float = _NONE
    best_blank: float = _NONE
    best_symbol: float = _NONE
    spans_blank: _Spans = None
    spans: _Spans = None

    @property
    def total(self) -> float:
        return _add(self.blank, self.symbol)

    def add_blank(self, before: _Paths, log: float) -> None:
        self.blank = before.total + log
        ends_in_symbol = before.best_symbol > before.best_blank
        self.best_blank = (before.best_symbol if ends_in_symbol else before.best_blank) + log
        self.spans_blank = before.spans if ends_in_symbol else before.spans_blank

    def add_symbol(self, total: float, best: float, spans: _Spans) -> None:
        self.symbol = _add(self.symbol, total)
        if best > self.best_symbol:
            self.best_symbol, self.spans = best, spans


def _add(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    high, low = (a, b) if a > b else (b, a)
    return high if low == _NONE else high + math.log1p(math.exp(low - high))

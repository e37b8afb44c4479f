"""A random order of any number of things that is computed where it is needed, never stored as a whole."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


class Shuffle:
    """A permutation of 0 ... size-1, read by slices.

    The numbers are dealt like cards into C = ceil(size / class_size) classes, number i into class i mod C, so that
    every class is spread over the whole range. The classes come in a random order, and each is shuffled in itself when
    it is reached. With one class every permutation is equally likely; memory is one class and one integer for each.

    Args:
        size: how many things.
        seed: numbers (0 or more) that decide the order; the same numbers, the same order.
        class_size: how many things are shuffled at once.

    >>> sorted(Shuffle(5, (0, 1)).slice(0, 5).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, size: int, seed: tuple[int, ...], class_size: int = 1 << 16) -> None:
        classes = -(-size // class_size)
        self._size, self._seed = size, seed
        self._order = np.random.default_rng(seed).permutation(classes)
        self._ends = np.cumsum((size - self._order + classes - 1) // max(classes, 1))
        self._loaded: tuple[int, Indices] | None = None

    def slice(self, start: int, stop: int) -> Indices:
        """The things at positions start ... stop-1."""
        parts = []
        stop = min(stop, self._size)
        place = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            end = int(self._ends[place])
            members = self._members(place)
            first = end - len(members)
            parts.append(members[start - first : stop - first])
            start, place = end, place + 1
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])

    def _members(self, place: int) -> Indices:
        if self._loaded is None or self._loaded[0] != place:
            first, classes = int(self._order[place]), len(self._order)
            members = np.arange(first, self._size, classes, dtype=np.int64)
            np.random.default_rng((*self._seed, 1 + place)).shuffle(members)
            self._loaded = place, members
        return self._loaded[1]

"""Batches of sequences of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.shuffle import Indices, Shuffle
from elman.errors import InputError


class BucketBatches:
    """The rows of each batch, by number; in an epoch every row once, in an order that the seed decides.

    The rows are shuffled and cut into pools of `pool` batches; within a pool they are sorted by length and cut into
    batches, and the batches come in random order. pool=1 shuffles freely, without a look at the lengths.

    Args:
        lengths: (N,) steps of each row.
        batch_size: B, rows of a batch over all processes; the last batch of an epoch may be smaller.
        seed: decides the order.
        pool: batches that are sorted together.
        rank, world: of `world` processes, process `rank` gets rows rank, rank+world, ... of every batch; of a batch
            smaller than `world` some get none.

    Attributes:
        padding: share of the cells of the first epoch's batches that are padding.

    >>> batches = BucketBatches([3, 9, 3, 9], 2, pool=2)
    >>> sorted(sorted(rows.tolist()) for rows in batches.epoch(0)), batches.padding
    ([[0, 2], [1, 3]], 0.0)
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[Any],
        batch_size: int,
        *,
        seed: int = 0,
        pool: int = 64,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < world:
            raise InputError(
                f"batch_size is {batch_size}, expected at least one row for each of {world} processes."
            )
        self._lengths = np.asarray(lengths, np.int64)
        self._batch_size, self._seed, self._pool = batch_size, seed, pool
        self._rank, self._world = rank, world
        cells = sum(len(rows) * int(self._lengths[rows].max()) for rows in self._all(0, 0))
        self.padding = 1 - int(self._lengths.sum()) / cells if cells else 0.0

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._batch_size)

    def epoch(self, number: int, start: int = 0) -> Iterator[Indices]:
        """The rows of batch `start`, `start + 1`, ... of epoch `number`."""
        for rows in self._all(number, start):
            yield rows[self._rank :: self._world]

    def _all(self, number: int, start: int) -> Iterator[Indices]:
        order = Shuffle(len(self._lengths), (self._seed, number))
        size = self._pool * self._batch_size
        for pool in range(start // self._pool, -(-len(self) // self._pool)):
            rows = order.slice(pool * size, (pool + 1) * size)
            if self._pool > 1:
                rows = rows[np.argsort(self._lengths[rows], kind="stable")]
            cuts = np.arange(0, len(rows), self._batch_size)
            drawn = np.random.default_rng((self._seed, number, pool, 1)).permutation(cuts)
            for cut in drawn[max(0, start - pool * self._pool) :]:
                yield rows[cut : cut + self._batch_size]


def in_batches(lengths: Sequence[int] | NDArray[Any], batch_size: int) -> Iterator[Indices]:
    """Every row once, longest first, in batches of like length: the order for reading without learning."""
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def pad(rows: Sequence[NDArray[Any]], dtype: Any = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Rows (t_b, ...) as one array (B, T, ...), zero after each row's end, and the lengths (B,). T is at least 1.

    >>> pad([np.array([1, 2]), np.array([3])])
    (array([[1, 2],
           [3, 0]]), array([2, 1]))
    """
    lengths = np.array([len(row) for row in rows], np.int64)
    first = rows[0]
    out = np.zeros((len(rows), max(1, int(lengths.max())), *first.shape[1:]), dtype or first.dtype)
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
    return out, lengths

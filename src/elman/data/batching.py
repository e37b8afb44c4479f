"""A text cut into batches, in two ways: as streams with the state carried along, and as windows that stand alone.

Letters: N symbols, B rows of a batch, L symbols of a row. Every row predicts: targets are the inputs shifted by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elman.data.corpus import Ids, Rows
from elman.data.shuffle import Shuffle
from elman.errors import InputError

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """What one training step reads.

    Attributes:
        inputs: (B, L) int64.
        targets: (B, L) int64.
        fresh: carried state must be reset before this batch; False where rows go on from the batch before.
    """

    inputs: Int64
    targets: Int64
    fresh: bool = True


class StreamBatches:
    """B rows of consecutive text read side by side, chunk after chunk, for truncated back-propagation through time.

    With S = (N-1) // B, row b predicts symbols b*S+1 ... (b+1)*S, in chunks of L; the last chunk holds what is left of
    S and may be shorter. Each symbol is predicted once in an epoch, but for the first of the text and the last
    (N-1) mod B. State is carried from chunk to chunk: only the first chunk of an epoch is `fresh`.

    Args:
        ids: (N,) the text.
        batch_size: B, rows of all ranks together.
        sequence_length: L.
        seed: decides the random starts.
        random_start: begin each epoch at a random one of the first L symbols, so that the cuts fall elsewhere each
            time; S is then (N-L) // B, and up to L+B-2 symbols are left out of an epoch.
        rank, world: of `world` processes, process `rank` gets rows rank, rank+world, ... of every batch.

    Raises:
        InputError: the text is too short for one symbol in each row, or a size below 1.

    >>> [batch.inputs.tolist() for batch in StreamBatches(np.arange(8, dtype=np.uint8), 2, 2).epoch(0)]
    [[[0, 1], [3, 4]], [[2], [5]]]
    """

    def __init__(
        self,
        ids: Ids,
        batch_size: int,
        sequence_length: int,
        *,
        seed: int = 0,
        random_start: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check_sizes(batch_size, sequence_length, rank, world)
        self._rows, self._length, self._seed = Rows(ids), sequence_length, seed
        self._starts = sequence_length if random_start else 1
        self._steps = (len(ids) - self._starts) // batch_size
        self._mine = np.arange(rank, batch_size, world)
        if self._steps < 1:
            raise InputError(
                f"the text has {len(ids)} symbols, too few for {batch_size} rows; expected at least "
                f"{batch_size + self._starts}. Take a longer text or a smaller batch_size."
            )

    def __len__(self) -> int:
        return -(-self._steps // self._length)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Chunk after chunk of epoch `number`, from chunk `start` on."""
        first = int(np.random.default_rng((self._seed, number)).integers(self._starts))
        for chunk in range(start, len(self)):
            done = chunk * self._length
            starts = first + self._mine * self._steps + done
            yield _shifted(
                self._rows.read(starts, min(self._length, self._steps - done) + 1), fresh=chunk == 0
            )


class WindowBatches:
    """Every window of L symbols, each with its successor as the target, in a new random order each epoch.

    Window k reads symbols k*stride ... k*stride+L-1 and predicts those one further on. An epoch holds every window
    once; its last batch may be smaller. Windows stand alone: every batch is `fresh`.

    Args:
        ids: (N,) the text.
        batch_size: B, rows of all ranks together.
        sequence_length: L.
        seed: decides the order.
        stride: symbols from one window to the next.
        rank, world: of `world` processes, process `rank` gets rows rank, rank+world, ... of every batch; of a last
            batch smaller than `world` some get none, (0, L).

    Raises:
        InputError: the text is shorter than one window and its successor, or a size below 1.

    >>> batch = next(WindowBatches(np.arange(4, dtype=np.uint8), 8, 3).epoch(0))
    >>> batch.inputs.tolist(), batch.targets.tolist()
    ([[0, 1, 2]], [[1, 2, 3]])
    """

    def __init__(
        self,
        ids: Ids,
        batch_size: int,
        sequence_length: int,
        *,
        seed: int = 0,
        stride: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check_sizes(batch_size, sequence_length, rank, world)
        if stride < 1:
            raise InputError(f"stride is {stride}, expected at least 1.")
        if len(ids) <= sequence_length:
            raise InputError(
                f"the text has {len(ids)} symbols, too short for one window; expected at least "
                f"{sequence_length + 1}. Take a longer text or a smaller sequence_length."
            )
        self._rows, self._length, self._stride = Rows(ids), sequence_length, stride
        self._windows = (len(ids) - sequence_length - 1) // stride + 1
        self._batch_size, self._seed = batch_size, seed
        self._rank, self._world = rank, world

    def __len__(self) -> int:
        return -(-self._windows // self._batch_size)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` from batch `start` on."""
        order = Shuffle(self._windows, (self._seed, number))
        for place in range(start * self._batch_size, self._windows, self._batch_size):
            chosen = order.slice(place, place + self._batch_size)[self._rank :: self._world]
            yield _shifted(self._rows.read(chosen * self._stride, self._length + 1), fresh=True)


def _shifted(rows: Ids, *, fresh: bool) -> Batch:
    return Batch(rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64), fresh=fresh)


def _check_sizes(batch_size: int, sequence_length: int, rank: int, world: int) -> None:
    for name, value in (("batch_size", batch_size), ("sequence_length", sequence_length)):
        if value < 1:
            raise InputError(f"{name} is {value}, expected at least 1.")
    if not 0 <= rank < world:
        raise InputError(f"rank is {rank}, expected 0 to {world - 1} for {world} processes.")
    if batch_size < world:
        raise InputError(
            f"batch_size is {batch_size}, expected at least one row for each of {world} processes."
        )

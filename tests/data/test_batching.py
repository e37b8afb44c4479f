"""Streams and windows: every symbol once, targets shifted by one, any start, any number of processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import Batch, StreamBatches, WindowBatches
from elman.errors import InputError


def distinct(count: int) -> Any:
    """A text in which every symbol occurs once: a symbol tells its position."""
    return np.arange(count, dtype=np.uint16)


def equal(one: Batch, two: Batch) -> bool:
    same = np.array_equal(one.inputs, two.inputs) and np.array_equal(one.targets, two.targets)
    return same and one.fresh == two.fresh


def cut(kind: str, ids: Any, batch_size: int, length: int, **options: Any) -> StreamBatches | WindowBatches:
    if kind == "windows":
        return WindowBatches(ids, batch_size, length, **options)
    return StreamBatches(ids, batch_size, length, random_start=kind == "stream-random-start", **options)


KINDS = ["stream", "stream-random-start", "windows"]
SIZES = {"count": st.integers(60, 300), "batch_size": st.integers(1, 9), "length": st.integers(1, 20)}


@pytest.mark.parametrize("kind", KINDS)
@given(**SIZES, start=st.integers(0, 400), seed=st.integers(0, 9))
def test_epoch_resumes_anywhere(
    kind: str, count: int, batch_size: int, length: int, start: int, seed: int
) -> None:
    batches = cut(kind, distinct(count), batch_size, length, seed=seed)
    for number in (0, 3):
        whole, again = list(batches.epoch(number)), cut(kind, distinct(count), batch_size, length, seed=seed)
        rest = list(again.epoch(number, start))
        assert len(whole) == len(batches)
        assert len(rest) == max(len(batches) - start, 0)
        assert all(map(equal, whole[start:], rest))


@pytest.mark.parametrize("kind", KINDS)
@given(**SIZES)
def test_targets_are_the_next_symbols(kind: str, count: int, batch_size: int, length: int) -> None:
    for batch in cut(kind, distinct(count), batch_size, length).epoch(1):
        assert np.array_equal(batch.targets, batch.inputs + 1)
        assert batch.inputs.dtype == batch.targets.dtype == np.int64
        assert batch.inputs.flags.c_contiguous
        assert batch.targets.flags.c_contiguous


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("world", [2, 3])
@given(**SIZES)
def test_ranks_together_are_one(kind: str, world: int, count: int, batch_size: int, length: int) -> None:
    batch_size += world - 1
    one = list(cut(kind, distinct(count), batch_size, length, seed=4).epoch(2))
    parts = [
        list(cut(kind, distinct(count), batch_size, length, seed=4, rank=rank, world=world).epoch(2))
        for rank in range(world)
    ]
    for batch, *shares in zip(one, *parts, strict=True):
        for rank, share in enumerate(shares):
            assert np.array_equal(share.inputs, batch.inputs[rank::world])
            assert np.array_equal(share.targets, batch.targets[rank::world])
            assert share.fresh == batch.fresh


@pytest.mark.parametrize("random_start", [False, True])
@given(**SIZES, number=st.integers(0, 5))
def test_stream_predicts_every_symbol_once(
    random_start: bool, count: int, batch_size: int, length: int, number: int
) -> None:
    batches = StreamBatches(distinct(count), batch_size, length, random_start=random_start)
    epoch = list(batches.epoch(number))
    rows = np.concatenate([batch.targets for batch in epoch], axis=1)
    predicted = rows.ravel()
    first = predicted[0]
    assert np.array_equal(predicted, first + np.arange(len(predicted)))
    left_out = count - 1 - len(predicted)
    assert 0 <= left_out < batch_size + (length - 1 if random_start else 0)
    assert first == 1 or random_start
    assert all(batch.inputs.shape == (batch_size, length) for batch in epoch[:-1])
    assert 1 <= epoch[-1].inputs.shape[1] <= length
    assert [batch.fresh for batch in epoch] == [True] + [False] * (len(epoch) - 1)


def test_random_start_moves_the_cuts() -> None:
    batches = StreamBatches(distinct(500), 4, 16, random_start=True)
    starts = {int(next(batches.epoch(number)).inputs[0, 0]) for number in range(300)}
    assert starts == set(range(16))


@given(**SIZES, stride=st.integers(1, 30), number=st.integers(0, 5))
def test_windows_are_all_there_once(
    count: int, batch_size: int, length: int, stride: int, number: int
) -> None:
    batches = WindowBatches(distinct(count), batch_size, length, stride=stride)
    epoch = list(batches.epoch(number))
    windows = np.concatenate([batch.inputs for batch in epoch])
    starts = np.sort(windows[:, 0])
    assert starts.tolist() == [start for start in range(0, count, stride) if start + length < count]
    assert np.array_equal(windows, windows[:, :1] + np.arange(length))
    assert all(len(batch.inputs) == batch_size for batch in epoch[:-1])
    assert all(batch.fresh for batch in epoch)


def test_windows_come_in_another_order_each_epoch_and_seed() -> None:
    def order(seed: int, number: int) -> list[int]:
        batches = WindowBatches(distinct(200), 16, 10, seed=seed)
        return [int(start) for batch in batches.epoch(number) for start in batch.inputs[:, 0]]

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(*key)) for key in ((0, 0), (0, 1), (1, 0), (1, 1))} | {tuple(range(190))}) == 5


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        InputError, match="the text has 10 symbols, too few for 10 rows; expected at least 11"
    ):
        StreamBatches(distinct(10), 10, 5)
    assert len(StreamBatches(distinct(11), 10, 5)) == 1
    with pytest.raises(InputError, match="too few for 8 rows; expected at least 13"):
        StreamBatches(distinct(12), 8, 5, random_start=True)
    assert len(StreamBatches(distinct(13), 8, 5, random_start=True)) == 1
    with pytest.raises(
        InputError, match="the text has 10 symbols, too short for one window; expected at least 11"
    ):
        WindowBatches(distinct(10), 4, 10)
    with pytest.raises(InputError, match="stride is 0"):
        WindowBatches(distinct(10), 4, 5, stride=0)
    for kind in KINDS:
        for sizes, options, message in (
            ((0, 5), {}, "batch_size is 0"),
            ((4, 0), {}, "sequence_length is 0"),
            ((4, 5), {"rank": 2, "world": 2}, "rank is 2"),
            ((1, 5), {"world": 2}, "at least one row for each of 2"),
        ):
            with pytest.raises(InputError, match=message):
                cut(kind, distinct(100), *sizes, **options)

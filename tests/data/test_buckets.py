"""Batches of like length: every row once, little padding, any starting point, each process its share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import BucketBatches, in_batches, pad
from elman.errors import InputError

LENGTHS = np.random.default_rng(0).integers(0, 90, 1003)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3))
def test_every_row_once_an_epoch(batch_size: int, pool: int, number: int) -> None:
    batches = BucketBatches(LENGTHS, batch_size, pool=pool)
    rows = list(batches.epoch(number))
    assert len(rows) == len(batches)
    assert sorted(np.concatenate(rows)) == list(range(len(LENGTHS)))
    assert max(map(len, rows)) <= batch_size


def test_any_start_continues_the_epoch() -> None:
    batches = BucketBatches(LENGTHS, 8, pool=5)
    whole = list(batches.epoch(2))
    for start in (0, 1, 4, 5, 6, 19, len(batches)):
        rest = list(batches.epoch(2, start))
        assert len(rest) == len(whole) - start
        for a, b in zip(rest, whole[start:], strict=True):
            np.testing.assert_array_equal(a, b)


def test_epochs_and_seeds_differ_and_repeat() -> None:
    def order(seed: int, number: int) -> list[int]:
        return np.concatenate(list(BucketBatches(LENGTHS, 8, seed=seed).epoch(number))).tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_batches_do_not_come_by_length() -> None:
    means = [LENGTHS[rows].mean() for rows in BucketBatches(LENGTHS, 8).epoch(0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_padding_is_little_and_told() -> None:
    sorted_, free = BucketBatches(LENGTHS, 16), BucketBatches(LENGTHS, 16, pool=1)
    cells = [len(rows) * LENGTHS[rows].max() for rows in free.epoch(0)]
    assert free.padding == pytest.approx(1 - LENGTHS.sum() / sum(cells))
    assert sorted_.padding < 0.05 < 0.4 < free.padding


def test_processes_share_a_batch() -> None:
    whole = list(BucketBatches(LENGTHS, 6).epoch(1))
    parts = [list(BucketBatches(LENGTHS, 6, rank=rank, world=3).epoch(1)) for rank in range(3)]
    for rows, *shares in zip(whole, *parts, strict=True):
        for rank, share in enumerate(shares):
            np.testing.assert_array_equal(share, rows[rank::3])
    with pytest.raises(InputError, match="at least one row for each of 3 processes"):
        BucketBatches(LENGTHS, 2, world=3)


def test_reading_order_is_by_length() -> None:
    rows = np.concatenate(list(in_batches(LENGTHS, 16)))
    assert sorted(rows) == list(range(len(LENGTHS)))
    assert (np.diff(LENGTHS[rows]) <= 0).all()


def test_padding_is_zero_and_empty_rows_have_a_step() -> None:
    rows, lengths = pad([np.ones((2, 3)), np.ones((0, 3))])
    assert rows.shape == (2, 2, 3)
    assert (lengths.tolist(), rows[1].any()) == ([2, 0], False)
    assert pad([np.zeros(0, np.uint8)], np.int64)[0].shape == (1, 1)

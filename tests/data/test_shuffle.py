"""The computed permutation: every number once, read by any slices, and shuffled well."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from elman.data.shuffle import Shuffle


@given(size=st.integers(0, 500), class_size=st.integers(1, 80), seed=st.integers(0, 5))
def test_every_number_comes_once(size: int, class_size: int, seed: int) -> None:
    order = Shuffle(size, (seed,), class_size).slice(0, size)
    assert np.array_equal(np.sort(order), np.arange(size))


@given(st.integers(1, 300), st.integers(1, 80), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300))))
def test_slices_are_parts_of_one_order(size: int, class_size: int, slices: list[tuple[int, int]]) -> None:
    shuffle = Shuffle(size, (1, 2), class_size)
    whole = Shuffle(size, (1, 2), class_size).slice(0, size)
    for start, stop in slices:
        assert np.array_equal(shuffle.slice(start, stop), whole[start:stop])


def test_every_order_is_as_likely_as_another() -> None:
    counts = np.zeros((6, 6))
    for seed in range(3000):
        counts[np.arange(6), Shuffle(6, (seed,)).slice(0, 6)] += 1
    assert np.abs(counts / 3000 - 1 / 6).max() < 0.035  # five standard deviations


def test_many_classes_are_shuffled_well() -> None:
    order = Shuffle(20_000, (3,), 1000).slice(0, 20_000)
    assert abs(np.corrcoef(np.arange(20_000), order)[0, 1]) < 0.04
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.04
    for batch in order.reshape(-1, 200):  # each batch is drawn from the whole range
        assert np.histogram(batch, bins=4, range=(0, 20_000))[0].min() > 20


def test_memory_is_constant() -> None:
    tracemalloc.start()
    shuffle = Shuffle(10**9, (0,))
    assert len(np.unique(shuffle.slice(5 * 10**8, 5 * 10**8 + 100_000))) == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20

"""How the next symbol is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elman.errors import InputError
from elman.options import check
from elman.tasks import Sampling

SCORES = np.log(np.array([0.1, 0.5, 0.15, 0.25]))


def frequencies(**options: Any) -> np.ndarray:
    rng, sampling = np.random.default_rng(0), Sampling(**options)
    drawn = [sampling.choose(SCORES, rng) for _ in range(20_000)]
    return np.bincount(drawn, minlength=4) / len(drawn)


def test_temperature_one_draws_from_the_model() -> None:
    assert frequencies() == pytest.approx(np.exp(SCORES), abs=0.015)


def test_temperature_sharpens() -> None:
    expected = np.exp(SCORES * 2) / np.exp(SCORES * 2).sum()
    assert frequencies(temperature=0.5) == pytest.approx(expected, abs=0.015)


def test_temperature_zero_is_greedy() -> None:
    assert frequencies(temperature=0).tolist() == [0, 1, 0, 0]


def test_top_k_keeps_the_best() -> None:
    assert frequencies(top_k=2) == pytest.approx([0, 2 / 3, 0, 1 / 3], abs=0.015)
    assert frequencies(top_k=1).tolist() == [0, 1, 0, 0]
    assert frequencies(top_k=9) == pytest.approx(np.exp(SCORES), abs=0.015)


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.0, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.95, 4), (1.0, 4)]
)
def test_top_p_keeps_the_fewest_that_reach_it(top_p: float, kept: int) -> None:
    order = [1, 3, 2, 0]
    assert set(np.flatnonzero(frequencies(top_p=top_p))) == set(order[:kept])


def test_minus_infinity_is_never_chosen() -> None:
    rng = np.random.default_rng(0)
    scores = np.array([-np.inf, 0.0, -np.inf, 0.0])
    assert {Sampling(temperature=5.0).choose(scores, rng) for _ in range(200)} == {1, 3}


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 1.5}, {"top_k": -1}, {"length": -1}])
def test_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        check(Sampling(**wrong))  # type: ignore[arg-type]

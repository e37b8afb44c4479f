"""Sounds changed at random: what changes, by how much at most, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from elman.data.augment import Augmentation


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _tone(seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * 500 * np.arange(round(8000 * seconds)) / 8000).astype(np.float32)


def _pitch(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * 8000 / len(samples))


def test_nothing_asked_changes_nothing() -> None:
    nothing, frames = Augmentation(), np.ones((9, 4), np.float32)
    assert np.array_equal(nothing.samples(_tone(), _rng()), _tone())
    assert nothing.masked(frames, _rng()) is frames
    assert nothing.drawn_warp(_rng()) == 1


def test_speed_changes_length_and_pitch_together_within_its_bound() -> None:
    factors = []
    for seed in range(40):
        found = Augmentation(speed=0.25).samples(_tone(), _rng(seed))
        factors.append(4000 / len(found))
        assert _pitch(found) == pytest.approx(500 * factors[-1], abs=5)
    assert min(factors) > 0.79
    assert max(factors) < 1.26
    assert min(factors) < 0.9 < 1.1 < max(factors)


def test_gain_and_noise_are_in_decibels() -> None:
    levels, above = [], []
    for seed in range(60):
        found = Augmentation(gain=6).samples(_tone(), _rng(seed))
        levels.append(20 * np.log10(np.abs(found).max()))
        noise = Augmentation(noise=20).samples(_tone(), _rng(seed)) - _tone()
        above.append(10 * np.log10(np.mean(_tone() ** 2) / np.mean(noise**2)))
    assert -6.01 < min(levels) < -4
    assert 4 < max(levels) < 6.01
    assert 19.5 < min(above) < 23
    assert 45 < max(above) < 50.5


def test_warps_are_few_and_within_their_bound() -> None:
    drawn = {Augmentation(warp=0.2).drawn_warp(_rng(seed)) for seed in range(200)}
    assert 20 < len(drawn) <= 40
    assert min(drawn) == pytest.approx(0.83, abs=0.02)
    assert max(drawn) == pytest.approx(1.2, abs=0.02)


def test_masks_are_whole_stretches_and_ranges() -> None:
    widths = []
    for seed in range(40):
        frames = np.ones((100, 20), np.float32)
        found = Augmentation(time_masks=1, frequency_masks=1).masked(frames, _rng(seed))
        assert (frames == 1).all()  # the ones given stay
        rows, columns = (found == 0).all(1), (found == 0).all(0)
        assert np.array_equal(found == 0, rows[:, None] | columns)
        for hidden in (rows, columns):
            assert np.abs(np.diff(hidden.astype(int))).sum() <= 2
        widths.append((rows.sum(), columns.sum()))
    assert np.max(widths, 0).tolist() == [10, 4]


def test_silence_and_a_single_sample_are_survived() -> None:
    changes = Augmentation(speed=0.3, gain=3, noise=10, time_masks=2, frequency_masks=2)
    assert not changes.samples(np.zeros(100, np.float32), _rng()).any()
    assert len(changes.samples(np.ones(1, np.float32), _rng())) <= 1
    assert changes.masked(np.ones((1, 2), np.float32), _rng()).shape == (1, 2)

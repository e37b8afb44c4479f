"""Scores against closed forms and scikit-learn; widened intervals hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn import metrics

from elman.tasks import _forecast_scores as scores
from elman.tasks._forecast_scores import HIGH, LEVELS, LOW, MEDIAN, Judged

RNG = np.random.default_rng(3)
TRUTH, FORECAST = RNG.normal(5, 2, (7, 4)), RNG.normal(5, 2, (7, 4))


def test_against_scikit_learn() -> None:
    assert scores.mae(TRUTH, FORECAST) == pytest.approx(metrics.mean_absolute_error(TRUTH, FORECAST))
    assert scores.rmse(TRUTH, FORECAST) == pytest.approx(
        metrics.root_mean_squared_error(TRUTH.ravel(), FORECAST.ravel())
    )
    levels = [0.0, *LEVELS, 1.0]
    pinball = [
        metrics.mean_pinball_loss(TRUTH.ravel(), FORECAST.ravel() + min(max(level, 0.05), 0.95), alpha=level)
        for level in levels
    ]
    found = scores.crps(TRUTH, FORECAST[..., None] + np.array(LEVELS)).mean()
    assert found == pytest.approx(2 * integrate.trapezoid(pinball, levels))


def test_by_hand() -> None:
    truth, forecast = np.array([[100.0, 200.0]]), np.array([[110.0, 180.0]])
    assert scores.smape(truth, forecast) == pytest.approx((200 * 10 / 210 + 200 * 20 / 380) / 2)
    assert scores.mase(truth, forecast, np.array([5.0])) == 3.0
    assert scores.scale(np.array([1.0, np.nan, 4.0, 6.0]), 1) == 2.0
    assert scores.scale(np.array([1.0, 2.0]), 12) == 1.0
    assert math.isnan(scores.scale(np.array([3.0, 3.0, 3.0]), 1))


def test_unknown_truths_count_nothing() -> None:
    truth = TRUTH.copy()
    truth[2, 1:] = np.nan
    kept = ~np.isnan(truth)
    assert scores.mae(truth, FORECAST) == pytest.approx(np.abs(TRUTH - FORECAST)[kept].mean())
    quantiles = FORECAST[..., None] + np.linspace(-2, 2, len(LEVELS))
    inside = (quantiles[..., LOW] <= TRUTH) & (quantiles[..., HIGH] >= TRUTH)
    assert scores.coverage(truth, quantiles) == inside[kept].mean()


def test_crps_of_a_normal_law_is_near_its_closed_form() -> None:
    """Gneiting and Raftery 2007: s (z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi)); nineteen quantiles come within 1 %."""
    y = np.linspace(-2, 2, 41)
    exact = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / math.sqrt(math.pi)
    found = scores.crps(y, np.tile(stats.norm.ppf(LEVELS), (41, 1)))
    assert found.mean() == pytest.approx(exact.mean(), rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_widened_intervals_hold_what_they_promise(factor: float) -> None:
    """Quantiles that are too narrow or too wide by a factor; judged on other draws than those they are widened by."""
    spread = np.array([1.0, 2.0, 5.0])
    quantiles = np.tile(stats.norm.ppf(LEVELS) * spread[:, None] / factor, (4000, 1, 1))
    drawn = RNG.normal(0, spread, (8000, 3))
    factors = scores.widening(drawn[:4000], quantiles)
    assert factors == pytest.approx(factor, rel=0.08)
    assert scores.coverage(drawn[4000:], scores.widened(quantiles, factors)) == pytest.approx(0.8, abs=0.02)


def test_widening_leaves_the_median() -> None:
    quantiles = np.sort(RNG.normal(size=(5, 3, len(LEVELS))))
    wider = scores.widened(quantiles, np.array([1.0, 2.0, 3.0]))
    assert np.allclose(wider[..., MEDIAN], quantiles[..., MEDIAN])
    assert np.allclose(np.diff(wider), np.diff(quantiles) * np.array([1.0, 2.0, 3.0])[:, None])


def test_scores_of_a_point_forecast_have_no_coverage() -> None:
    places, scale = np.array([[0, 5], [1, 5]]), np.array([1.0, 2.0])
    judged = Judged(places, TRUTH[:2], np.repeat(FORECAST[:2, :, None], len(LEVELS), 2), scale)
    found = judged.scores()
    assert "coverage_80" not in found
    assert found["crps"] == pytest.approx(found["mae"])
    assert judged.of(1).scores()["mase"] == pytest.approx(np.abs(TRUTH[1] - FORECAST[1]).mean() / 2)

"""The baselines of forecasts."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.forecasting.theta import ThetaModel

from elman.tasks._statistics import ETS, Failures, Theta, methods, remembered

RNG = np.random.default_rng(0)
TIME = np.arange(72.0)
SEASONAL = 50 + 0.5 * TIME + 8 * np.sin(2 * np.pi * TIME / 12) + RNG.normal(0, 0.3, 72)


def test_ets_finds_trend_and_season() -> None:
    failures = Failures()
    ets = ETS(12, failures)
    forecast = ets(SEASONAL[:60], 12)
    assert ets.form is not None
    assert ets.form["seasonal"] == "add"
    assert ets.form["trend"] == "add"
    assert np.abs(forecast - SEASONAL[60:]).max() < 2
    assert failures.fallbacks == 0


def test_ets_keeps_its_form_and_fits_anew() -> None:
    ets = ETS(12, Failures())
    first = ets(SEASONAL[:48], 3)
    form = ets.form
    assert not np.allclose(ets(SEASONAL[:60] * 2, 3), first)
    assert ets.form is form


def test_theta_is_that_of_statsmodels() -> None:
    expected = ThetaModel(SEASONAL[:60], period=12).fit().forecast(5)
    assert np.allclose(Theta(12, Failures())(SEASONAL[:60], 5), expected)


@pytest.mark.parametrize("values", [np.array([3.0]), np.array([1.0, 2.0]), np.full(30, 4.0)], ids=len)
def test_short_or_constant_series_are_forecast_all_the_same(values: np.ndarray) -> None:
    for method in methods(12, {}).values():
        forecast = method(values, 4)
        assert forecast.shape == (4,)
        assert np.isfinite(forecast).all()


def test_a_fit_that_fails_is_counted() -> None:
    failures: dict[str, Failures] = {}
    methods(12, failures)["theta"](np.array([1.0, 2.0]), 3)
    assert failures["theta"].fallbacks == 1


def test_gaps_take_the_value_before_them_and_memory_is_bounded() -> None:
    assert remembered(np.array([np.nan, 1, np.nan, 3]), 1).tolist() == [1, 1, 3]
    assert remembered(np.arange(2000.0), 12).tolist() == list(range(1500, 2000))
    assert len(remembered(np.arange(2000.0), 168)) == 8 * 168

"""What a forecaster must beat: naive, seasonal naive, ETS and Theta, fitted anew at every origin."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.extras import extra

Values = NDArray[np.float64]
_REMEMBERED = 500  # steps a method is fitted to at most, or this many cycles if that is more: bounds the time
_CYCLES = 8


@dataclass
class Failures:
    """How often a method fell back on the seasonal naive forecast, or its optimiser stopped short."""

    fallbacks: int = 0
    unconverged: int = 0


def naive(values: Values, horizon: int) -> Values:
    """The last value.

    >>> naive(np.array([1.0, 2.0]), 2)
    array([2., 2.])
    """
    return np.full(horizon, values[-1])


def seasonal_naive(values: Values, horizon: int, period: int) -> Values:
    """The last cycle again; the last value where the series is shorter than a cycle.

    >>> seasonal_naive(np.array([1.0, 2.0, 3.0]), 4, 2)
    array([2., 3., 2., 3.])
    """
    period = period if len(values) >= period else 1
    return values[-period:][np.arange(horizon) % period]


@dataclass
class ETS:
    """Exponential smoothing (Hyndman et al. 2008) of the form that has the lowest corrected AIC at the first origin.

    Forms: trend none, additive or damped; season none, additive or, where all values are positive, multiplicative.
    Parameters are estimated anew at every origin. statsmodels does the work.
    """

    period: int
    failures: Failures
    form: dict[str, Any] | None = None

    def __call__(self, values: Values, horizon: int) -> Values:
        if self.form is None:
            fitted = [(form, self._fit(values, form)) for form in self._forms(values)]
            scored = [(result.aicc, k) for k, (_, result) in enumerate(fitted) if result is not None]
            scored = [pair for pair in scored if math.isfinite(pair[0])]
            self.form = fitted[min(scored)[1]][0] if scored else {}
        result = self._fit(values, self.form)
        forecast = None if result is None else np.asarray(result.forecast(horizon))
        return _or_seasonal(forecast, values, horizon, self.period, self.failures)

    def _forms(self, values: Values) -> list[dict[str, Any]]:
        seasons: list[str | None] = [None]
        if self.period > 1 and len(values) >= 2 * self.period + 2:
            seasons += ["add", "mul"] if (values > 0).all() else ["add"]
        trends: list[dict[str, Any]] = [{}, {"trend": "add"}, {"trend": "add", "damped_trend": True}]
        return [
            trend | ({} if season is None else {"seasonal": season, "seasonal_periods": self.period})
            for season in seasons
            for trend in trends
        ]

    def _fit(self, values: Values, form: dict[str, Any]) -> Any:
        from statsmodels.tsa.holtwinters import ExponentialSmoothing

        def fit() -> Any:
            return ExponentialSmoothing(values, initialization_method="heuristic", **form).fit()

        return _quietly(fit, self.failures)


@dataclass
class Theta:
    """Theta (Assimakopoulos and Nikolopoulos 2000), theta 2, after taking off the season where a test finds one."""

    period: int
    failures: Failures

    def __call__(self, values: Values, horizon: int) -> Values:
        from statsmodels.tsa.forecasting.theta import ThetaModel

        seasonal = self.period > 1 and len(values) >= 2 * self.period + 2

        def fit() -> Any:
            model = ThetaModel(values, period=self.period if seasonal else 1, deseasonalize=seasonal)
            return np.asarray(model.fit().forecast(horizon))

        forecast = _quietly(fit, self.failures) if len(values) >= 4 else None
        return _or_seasonal(forecast, values, horizon, self.period, self.failures)


def methods(period: int, failures: dict[str, Failures]) -> dict[str, Callable[[Values, int], Values]]:
    """The methods by name, new for one series; InputError where the package that has two of them is missing."""
    extra("statsmodels", "the baselines ETS and Theta (--no-baselines leaves them out)")
    for name in ("ets", "theta"):
        failures.setdefault(name, Failures())
    return {
        "seasonal_naive": lambda values, horizon: seasonal_naive(values, horizon, period),
        "naive": naive,
        "ets": ETS(period, failures["ets"]),
        "theta": Theta(period, failures["theta"]),
    }


def remembered(values: Values, period: int) -> Values:
    """What a method is fitted to: the end of the series without a gap: each takes the value before it."""
    known = ~np.isnan(values)
    first = int(known.argmax())
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), first))
    return values[last][first:][-max(_REMEMBERED, _CYCLES * period) :]


def _quietly(fit: Callable[[], Any], failures: Failures) -> Any:
    """The result of a fit, None where it fails; a warning that the optimiser stopped short is counted, not shown."""
    with warnings.catch_warnings(record=True) as told, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            result = fit()
        except (ValueError, ArithmeticError, IndexError, np.linalg.LinAlgError):
            return None
    failures.unconverged += any("onverge" in str(each.message) for each in told)
    return result


def _or_seasonal(
    forecast: Values | None, values: Values, horizon: int, period: int, failures: Failures
) -> Values:
    if forecast is not None and np.isfinite(forecast).all():
        return forecast
    failures.fallbacks += 1
    return seasonal_naive(values, horizon, period)

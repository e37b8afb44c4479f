"""Scores of forecasts, each with its definition, and the widening of intervals until they hold what they promise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LEVELS = tuple(k / 20 for k in range(1, 20))
"""Probabilities of the quantiles that are learned: 0.05, 0.10, ..., 0.95."""
MEDIAN = LEVELS.index(0.5)
LOW, HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
_ENOUGH = 60  # errors of one horizon from which it gets a widening of its own


def mae(truth: Values, forecast: Values) -> float:
    """Mean absolute error, mean |y - f|, in the unit of the series.

    >>> mae(np.array([1.0, 3.0]), np.array([2.0, 1.0]))
    1.5
    """
    return float(np.nanmean(np.abs(truth - forecast)))


def rmse(truth: Values, forecast: Values) -> float:
    """Root mean squared error, sqrt(mean (y - f)^2), in the unit of the series.

    >>> rmse(np.array([0.0, 0.0]), np.array([3.0, 4.0])) == 12.5**0.5
    True
    """
    return math.sqrt(float(np.nanmean((truth - forecast) ** 2)))


def smape(truth: Values, forecast: Values) -> float:
    """Symmetric mean absolute percentage error, mean 200 |y - f| / (|y| + |f|), from 0 to 200; 0 where both are 0.

    >>> smape(np.array([1.0, 0.0]), np.array([3.0, 0.0]))
    50.0
    """
    size = np.abs(truth) + np.abs(forecast)
    return float(
        np.nanmean(np.where(size == 0, 0.0, 200 * np.abs(truth - forecast) / np.where(size == 0, 1, size)))
    )


def scale(history: Values, period: int) -> float:
    """The unit of MASE: mean |y_t - y_{t-m}| of a history, the error of the seasonal naive forecast in it.

    Where the history is shorter than a cycle, that of the naive forecast; NaN where nothing moves.

    >>> scale(np.array([1.0, 2.0, 4.0, 2.0]), 2)
    1.5
    """
    for lag in (period, 1):
        change = np.abs(history[lag:] - history[:-lag])
        change = change[~np.isnan(change)]
        if len(change) and change.mean() > 0:
            return float(change.mean())
    return math.nan


def mase(truth: Values, forecast: Values, scales: Values) -> float:
    """Mean absolute scaled error (Hyndman and Koehler 2006), mean |y - f| / s, s the `scale` of each row's series.

    >>> mase(np.array([[1.0], [3.0]]), np.array([[2.0], [1.0]]), np.array([1.0, 4.0]))
    0.75
    """
    return float(np.nanmean(np.abs(truth - forecast) / scales[:, None]))


def crps(truth: Values, quantiles: Values) -> Values:
    """Continuous ranked probability score of each forecast, from quantiles (..., Q) at `LEVELS`; of a point |y - f|.

    Twice the integral over p from 0 to 1 of the pinball loss max(p (y - q_p), (p - 1) (y - q_p)) (Gneiting and Ranjan
    2011), by the trapezoid rule; the law is taken to end at its outermost quantiles.

    >>> crps(np.array([3.0]), np.full((1, 19), 1.0)).round(12)
    array([2.])
    """
    levels = np.array([0.0, *LEVELS, 1.0])
    error = truth[..., None] - np.concatenate([quantiles[..., :1], quantiles, quantiles[..., -1:]], axis=-1)
    pinball = np.maximum(levels * error, (levels - 1) * error)
    return np.asarray(((pinball[..., 1:] + pinball[..., :-1]) * np.diff(levels)).sum(-1))


def coverage(truth: Values, quantiles: Values, low: int = LOW, high: int = HIGH) -> float:
    """Share of the known truths that lie between two quantiles, ends included.

    >>> coverage(np.array([0.5, 2.0]), np.stack([np.linspace(0, 1, 19)] * 2))
    0.5
    """
    known = ~np.isnan(truth)
    inside = (truth >= quantiles[..., low]) & (truth <= quantiles[..., high])
    return float(inside[known].mean()) if known.any() else math.nan


@dataclass(frozen=True)
class Judged:
    """Forecasts beside what came: N origins of series, H steps.

    Attributes:
        places: (N, 2) series and origin.
        truth: (N, H), NaN where unknown.
        quantiles: (N, H, Q) at `LEVELS`; of a point forecast all alike.
        scales: (N,) `scale` of each row's series.
    """

    places: NDArray[np.int64]
    truth: Values
    quantiles: Values
    scales: Values

    def scores(self) -> dict[str, float]:
        """All scores; coverage_80 only where the quantiles differ."""
        return all_scores(self.truth, self.quantiles[..., MEDIAN], self.scales) | self._of_law()

    def _of_law(self) -> dict[str, float]:
        told = {"crps": float(np.nanmean(crps(self.truth, self.quantiles)))}
        if (self.quantiles[..., LOW] < self.quantiles[..., HIGH]).any():
            told["coverage_80"] = coverage(self.truth, self.quantiles)
        return told

    def of(self, series: int) -> Judged:
        """Those of one series."""
        rows = self.places[:, 0] == series
        return Judged(self.places[rows], self.truth[rows], self.quantiles[rows], self.scales[rows])


def all_scores(truth: Values, forecast: Values, scales: Values) -> dict[str, float]:
    """Scores of point forecasts by name; mase first."""
    told = {"mase": mase(truth, forecast, scales)} if not np.isnan(scales).all() else {}
    return told | {
        "mae": mae(truth, forecast),
        "rmse": rmse(truth, forecast),
        "smape": smape(truth, forecast),
    }


def widening(truth: Values, quantiles: Values) -> Values:
    """Factor (H,) by which distances from the median grow, so that 80 % intervals hold 80 % of the truths.

    Split conformal prediction (Vovk et al. 2005; scaled as in Lei et al. 2018): with r = |y - median| over the distance
    of the 10 % or 90 % quantile on that side, the factor is the ceil(0.8 (n + 1))-th smallest of n such r. Horizons
    share one factor where each has few errors; else each takes those of its neighbours too.

    >>> spread = np.tile(np.linspace(-9, 9, 19), (4, 1, 1))
    >>> widening(np.array([[1.0], [-2.0], [3.0], [16.0]]), spread)
    array([2.])
    """
    median = quantiles[..., MEDIAN]
    side = np.where(truth > median, quantiles[..., HIGH] - median, median - quantiles[..., LOW])
    ratios = np.abs(truth - median) / np.maximum(side, np.finfo(float).tiny)
    horizon = truth.shape[1]
    counts = (~np.isnan(ratios)).sum(0)
    reach = 1 if counts.min() >= _ENOUGH else horizon
    return np.array([_ranked(ratios[:, max(0, h - reach) : h + reach + 1]) for h in range(horizon)])


def _ranked(ratios: Values) -> float:
    ordered = np.sort(ratios[~np.isnan(ratios)])
    if not len(ordered):
        return 1.0
    return float(ordered[min(len(ordered), math.ceil(0.8 * (len(ordered) + 1))) - 1])


def widened(quantiles: Values, factors: Values) -> Values:
    """Quantiles (N, H, Q) with their distances from the median multiplied by factors (H,)."""
    median = quantiles[..., MEDIAN, None]
    return np.asarray(median + (quantiles - median) * factors[:, None])

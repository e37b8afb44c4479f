"""From what a network says of each step to quantiles, in NumPy: at once, or by paths of one step after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.extras import extra
from elman.tasks._row_scores import ByArrays

Values = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]


def quantiles(network: ByArrays, window: Arrays, output: str, levels: Sequence[float]) -> Values:
    """Values (B, H, Q) at the levels, less the last known value, the mean of the members'.

    window: the arrays of `elman.nn.forecaster.Window`, targets or not; output: what is learned of each step; of a point
    forecast all Q are the same.
    """
    inputs = {name: array for name, array in window.items() if name not in ("targets", "wanted")}
    said = {name: array.astype(np.float64) for name, array in network.arrays(inputs).items()}
    location, spread = said["location"][..., None], said["spread"][..., None]
    if output == "point":
        offsets: Any = np.zeros(len(levels))
    elif output == "normal":
        offsets = np.array([NormalDist().inv_cdf(level) for level in levels])
    elif output == "student-t":
        extra("scipy", "Student-t forecasts")
        from scipy.stats import t

        offsets = t.ppf(levels, 2 + said["shape"])
    else:
        offsets = _cumulated(said["shape"])
    return np.asarray((location + spread * offsets).mean(1))


def _cumulated(steps: Values) -> Values:
    """The quantiles of steps (..., Q - 1) from one to the next: 0 in the middle, and away from it their sums."""
    middle = steps.shape[-1] // 2
    below = -np.flip(np.flip(steps[..., :middle], -1).cumsum(-1), -1)
    return np.concatenate([below, np.zeros((*steps.shape[:-1], 1)), steps[..., middle:].cumsum(-1)], -1)


def simulated(
    network: ByArrays, window: Arrays, output: str, levels: Sequence[float], *, paths: int
) -> Values:
    """Quantiles (B, H, Q) of a network that forecasts one step, by so many paths of steps that follow each other.

    Each path draws its next value from the law of one step and reads it as if it had been seen. The probabilities
    drawn are the same for every row: a forecast does not depend on its company. Past covariates keep their last.
    """
    rows, horizon = window["ahead"].shape[:2]
    drawn = np.random.default_rng(0).permuted(np.tile((np.arange(paths) + 0.5) / paths, (horizon, 1)), axis=1)
    now = {name: np.repeat(array, paths, 0) for name, array in window.items()}
    ahead, level = now["ahead"], np.zeros(rows * paths)
    past = now["inputs"][:, -1:, ahead.shape[2] :]
    one = np.ones((rows * paths, 1), np.float32)
    found = []
    for step in range(horizon):
        now["ahead"] = ahead[:, step : step + 1]
        law = quantiles(network, now, output, levels)[:, 0]
        value = _drawn(law, np.tile(drawn[step], rows), levels)
        level = level + value
        found.append(level.reshape(rows, paths))
        seen = value.astype(np.float32)[:, None]
        now["values"] = np.concatenate([now["values"][:, 1:], seen], 1) - seen
        now["known"], now["begun"] = (
            np.concatenate([now[name][:, 1:], one], 1) for name in ("known", "begun")
        )
        told = np.concatenate([now["ahead"], past], -1)
        now["inputs"] = np.concatenate([now["inputs"][:, 1:], told], 1)
    return np.asarray(np.quantile(np.stack(found, 1), levels, axis=-1).transpose(1, 2, 0))


def _drawn(law: Values, drawn: Values, levels: Sequence[float]) -> Values:
    """The quantile of each row (B, Q) at its own probability (B,): between the levels, and beyond them, on a line."""
    places = np.array(levels)
    right = np.clip(np.searchsorted(places, drawn), 1, len(places) - 1)
    share = (drawn - places[right - 1]) / (places[right] - places[right - 1])
    rows = np.arange(len(law))
    left = law[rows, right - 1]
    return np.asarray(left + share * (law[rows, right] - left))

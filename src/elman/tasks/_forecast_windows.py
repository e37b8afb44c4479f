"""Series to windows: what the network sees at an origin, and nothing of what comes after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.data.calendar import Frequency
from elman.data.series import Columns, Covariate, Series, encode
from elman.errors import InputError

Transform = Literal["none", "log"]
Arrays = dict[str, NDArray[Any]]
Places = NDArray[np.int64]
_NONE: Places = np.zeros((0, 2), np.int64)
_LEAST_STEP = 1e-4  # of the size of the values: below, a series counts as constant


@dataclass(frozen=True)
class View:
    """How series are seen: everything learned from the training part that turns values into inputs, and back.

    Attributes:
        frequency: the grid.
        columns: which column is what.
        covariates: past, future and static ones.
        transform: "log": the network sees logarithms.
        context, reach: steps the recurrent layers read, and steps the simple forecasts remember.
        horizon: steps of a window's targets.
        periods: of the seasons, in steps, the main one first.
        calendar: whether the calendar is told.
        unknown: "error" or "map", for categories never seen.
    """

    frequency: Frequency
    columns: Columns
    covariates: tuple[Covariate, ...]
    transform: Transform
    context: int
    reach: int
    horizon: int
    periods: tuple[int, ...]
    calendar: bool
    unknown: Literal["error", "map"]

    def forward(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values as the network sees them; InputError where they have no logarithm."""
        if self.transform == "none":
            return values
        if (values <= 0).any():
            raise InputError(
                f"column {self.columns.target!r} holds {np.nanmin(values):g}, expected values above 0, since "
                "logarithms are learned; train with --transform none."
            )
        return np.log(values)

    def backward(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values if self.transform == "none" else np.exp(values)

    @property
    def widths(self) -> tuple[int, int]:
        """Features of the window's `inputs` and `ahead`."""
        width = {c.name: c.width for c in self.covariates}
        days = self.frequency.features(np.arange(1)).shape[1] if self.calendar else 0
        ahead = days + sum(width[name] for name in self.columns.future + self.columns.static)
        return ahead + sum(width[name] for name in self.columns.past), ahead


@dataclass(frozen=True)
class _Seen:
    """A series as arrays over T + horizon steps: target (NaN where unknown), filled, inputs (T, I), ahead."""

    target: NDArray[np.float64]
    filled: NDArray[np.float64]
    inputs: NDArray[np.float64]
    ahead: NDArray[np.float64]
    first: int


class Windows:
    """The windows of several series, by (series, origin): an origin is the number of steps known there.

    Args:
        steps: how far windows may look ahead.
        beyond: steps after the last target that will be asked for; InputError where a future covariate ends before.
    """

    def __init__(self, view: View, series: Sequence[Series], steps: int, beyond: int = 0) -> None:
        self.view = view
        for one in series if beyond else ():
            _check_future(view, one, len(one) + beyond)
        self._series = [_seen(view, one, steps) for one in series]

    def centers(self, places: Places) -> NDArray[np.float64]:
        """The last known value before each origin, (B,), as the network sees values."""
        return np.array([self._series[number].filled[origin - 1] for number, origin in places])

    def batch(self, places: Places, steps: int | None = None) -> Arrays:
        """The arrays of `elman.nn.forecaster.Window` for places (B, 2), with so many steps ahead, else the horizon."""
        rows = [
            self._window(self._series[s], int(origin), steps or self.view.horizon) for s, origin in places
        ]
        return {name: np.stack([row[name] for row in rows]).astype(np.float32) for name in rows[0]}

    def _window(self, seen: _Seen, origin: int, steps: int) -> Arrays:
        view = self.view
        place = np.arange(origin - view.reach, origin)
        begun = place >= seen.first
        place = np.maximum(place, seen.first)
        read = place[-view.context :]
        ahead = np.arange(origin, origin + steps)
        center = seen.filled[origin - 1]
        targets = seen.target[ahead] - center
        return {
            "values": seen.filled[place] - center,
            "known": begun & ~np.isnan(seen.target[place]),
            "begun": begun,
            "inputs": seen.inputs[read] * begun[-view.context :, None],
            "ahead": seen.ahead[ahead],
            "targets": np.nan_to_num(targets),
            "wanted": ~np.isnan(targets),
            "floor": np.float64(_LEAST_STEP * (abs(center) if view.transform == "none" else 1)),
        }


def _seen(view: View, series: Series, further: int) -> _Seen:
    length, columns = len(series), view.columns
    steps = length + further
    target = np.full(steps, np.nan)
    target[:length] = view.forward(series.target)
    known = np.flatnonzero(~np.isnan(target))
    last = np.maximum.accumulate(np.where(np.isnan(target), 0, np.arange(steps)))
    filled = target[last]
    filled[: known[0]] = target[known[0]]
    by_name = {covariate.name: covariate for covariate in view.covariates}

    def told(names: Sequence[str]) -> NDArray[np.float64]:
        values = {name: _reaching(series, name, steps) for name in names}
        return encode([by_name[name] for name in names], values, steps, view.unknown)

    static = {name: constant(series, name, steps) for name in columns.static}
    days = view.frequency.features(series.start + np.arange(steps)) if view.calendar else np.zeros((steps, 0))
    fixed = encode([by_name[name] for name in columns.static], static, steps, view.unknown)
    ahead = np.concatenate([days, told(columns.future), fixed], axis=1)
    inputs = np.concatenate([ahead, told(columns.past)], axis=1)
    return _Seen(target, filled, inputs, ahead, int(known[0]))


def constant(series: Series, name: str, steps: int) -> NDArray[Any]:
    """A static value once for each step."""
    value = series.static[name]
    return np.full(steps, value, dtype=np.float64 if isinstance(value, float) else object)


def _reaching(series: Series, name: str, steps: int) -> NDArray[Any]:
    """A covariate over `steps` steps, missing beyond its end."""
    values = series.covariates[name]
    out: NDArray[Any] = np.full(steps, None if values.dtype == object else np.nan, dtype=values.dtype)
    out[: len(values)] = values[:steps]
    return out


def _check_future(view: View, series: Series, steps: int) -> None:
    for name in view.columns.future:
        values = series.covariates[name]
        if len(values) < steps:
            of = f" of series {series.name!r}" if series.name else ""
            raise InputError(
                f"future covariate {name!r}{of} is known for {len(values) - len(series)} steps after the last target, "
                f"expected {steps - len(series)}: add rows with an empty target."
            )


@dataclass(frozen=True)
class Split:
    """Where series are cut in time, and the origins on each side, as places (N, 2) of `Windows`.

    A window of training ends before the first value of validation, one of validation before the first held out.

    Attributes:
        ends: steps of the training part of each series; 0 for those of a validation file.
        train, validation, held_out: places.
    """

    ends: list[int]
    train: Places
    validation: Places
    held_out: Places

    @classmethod
    def of(
        cls,
        series: Sequence[Series],
        judged: Sequence[Series],
        horizon: int,
        *,
        fraction: float,
        hold_out: int,
        least: int,
    ) -> Split:
        """Places in `series` followed by `judged`, which are for validation alone.

        least: values before a window of training, as far as the series are long enough.
        """
        ends, train, validation, held_out = [], [], [], []
        for number, one in enumerate(series):
            end = len(one) - hold_out
            first = end - (max(horizon, round(fraction * end)) if fraction else 0)
            ends.append(max(first, 0))
            last = first - horizon
            train.append(_origins(number, one, min(least, max(last, 1)), last, horizon))
            if fraction:
                validation.append(_origins(number, one, max(first, 1), end - horizon, horizon))
            if hold_out:
                held_out.append(_origins(number, one, max(end, 1), len(one) - horizon, horizon))
        for number, one in enumerate(judged, start=len(series)):
            ends.append(0)
            validation.append(
                _origins(number, one, min(least, max(len(one) - horizon, 1)), len(one) - horizon, horizon)
            )
        return cls(ends, *(np.concatenate([_NONE, *places]) for places in (train, validation, held_out)))


def _origins(number: int, series: Series, first: int, last: int, horizon: int) -> Places:
    """Origins from first to last with a value before them and one to be forecast."""
    known = np.concatenate([[0], np.cumsum(~np.isnan(series.target))])
    origins = np.arange(first, last + 1)
    ahead = known[np.minimum(origins + horizon, len(series))] - known[origins]
    origins = origins[(known[origins] > 0) & (ahead > 0)]
    return np.stack([np.full(len(origins), number), origins], axis=1)


def latest(places: Places, share: float) -> Places:
    """The share of the origins that are farthest from the begin of their series, at least one."""
    kept = max(1, round(share * len(places)))
    return places[np.sort(np.argsort(places[:, 1], kind="stable")[-kept:])]


def thinned(places: Places, most: int) -> Places:
    """At most so many origins of each series, evenly spread, the last among them."""
    kept = []
    for number in np.unique(places[:, 0]):
        own = places[places[:, 0] == number]
        stride = -(-len(own) // most)
        kept.append(own[::-1][::stride][::-1])
    return np.concatenate([_NONE, *kept])

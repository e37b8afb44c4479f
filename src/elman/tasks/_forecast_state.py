"""What a forecaster keeps in task.json: how series are seen, and the end of each series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.calendar import Frequency
from elman.data.series import Columns, Covariate, Series
from elman.errors import InputError
from elman.tasks._forecast_windows import View


def view_to_json(view: View) -> dict[str, Any]:
    return asdict(view)


def view_from_json(value: Mapping[str, Any]) -> View:
    """The view; raises KeyError, TypeError or ValueError where something is missing or of another kind."""
    columns: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in value["columns"].items()}
    covariates = tuple(
        Covariate(**{**one, "categories": None if one["categories"] is None else tuple(one["categories"])})
        for one in value["covariates"]
    )
    rest = {
        f.name: value[f.name] for f in fields(View) if f.name not in ("frequency", "columns", "covariates")
    }
    view = View(
        frequency=Frequency(**value["frequency"]), columns=Columns(**columns), covariates=covariates, **rest
    )
    sizes = (view.context, view.reach, view.horizon, view.frequency.step, *view.periods)
    if not all(isinstance(size, int) and 0 < size <= 1 << 26 for size in sizes):
        raise ValueError("a size is out of range")
    return view


def series_to_json(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "start": series.start,
        "target": _listed(series.target),
        "covariates": {name: _listed(values) for name, values in series.covariates.items()},
        "static": {name: _listed(np.array([value]))[0] for name, value in series.static.items()},
    }


def series_from_json(value: Mapping[str, Any], kinds: Mapping[str, str]) -> Series:
    """A series; raises KeyError, TypeError or ValueError where something is missing or of another kind."""
    covariates = {name: _array(values, kinds[name]) for name, values in value["covariates"].items()}
    static = {name: _array([one], kinds[name])[0] for name, one in value["static"].items()}
    return Series(
        str(value["name"]), int(value["start"]), _array(value["target"], "number"), covariates, static
    )


def _listed(values: NDArray[Any]) -> list[Any]:
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values.tolist()]


def _array(values: Sequence[Any], kind: str) -> NDArray[Any]:
    if kind == "category":
        return np.array(values, dtype=object)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def joined(known: Sequence[Series], new: Sequence[Series], view: View) -> list[Series]:
    """Each series with the new steps at its end, as far back as a forecast looks; the others as they were."""
    by_name = {one.name: one for one in new}
    longer = [_longer(one, by_name.pop(one.name), view) if one.name in by_name else one for one in known]
    return [one.tail(view.reach + 1) for one in (*longer, *by_name.values())]


def _longer(known: Series, new: Series, view: View) -> Series:
    end = known.start + len(known)
    if new.start < end:
        of = f" of series {known.name!r}" if known.name else ""
        times = view.frequency.text(view.frequency.times(np.array([new.start, end - 1])))
        raise InputError(
            f"update: a row{of} is of {times[0]}, expected rows after {times[1]}, the last one known."
        )
    start = new.start - known.start
    covariates = {
        name: _overlaid(known.covariates[name], values, start) for name, values in new.covariates.items()
    }
    return Series(
        known.name, known.start, _overlaid(known.target, new.target, start), covariates, known.static
    )


def _overlaid(before: NDArray[Any], after: NDArray[Any], start: int) -> NDArray[Any]:
    """`after` laid over `before` from `start` on, missing between them: a future that was known gives way."""
    out: NDArray[Any] = np.full(
        start + len(after), None if after.dtype == object else math.nan, dtype=after.dtype
    )
    out[: min(len(before), len(out))] = before[: len(out)]
    out[start:] = after
    return out

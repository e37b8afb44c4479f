"""What a forecaster keeps in task.json: how series are seen, and the end of each series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from elman.data.series import LONGEST, Series
from elman.errors import InputError
from elman.tasks._forecast_windows import View

_LARGEST = 1 << 53  # of whole numbers: all below are exact as floats


def view_to_json(view: View) -> dict[str, Any]:
    return asdict(view)


def view_from_json(value: Any) -> View:
    """The view; raises ValueError where something is missing, of another kind or out of range."""
    view: View = _built(View, value)
    frequency, periods = view.frequency, view.periods
    sizes = (view.context, view.horizon, frequency.step, *periods)
    if not periods or not all(0 < size <= LONGEST for size in sizes):
        raise ValueError("a size is out of range")
    if not max(view.context, 2 * max(periods)) <= view.reach <= LONGEST:
        raise ValueError(f"reach is {view.reach}")
    if not 0 <= frequency.phase < frequency.step:
        raise ValueError(f"phase is {frequency.phase}")
    if sorted(each.name for each in view.covariates) != sorted(view.columns.covariates + view.columns.static):
        raise ValueError("covariates and columns differ")
    if any(each.scale <= 0 for each in view.covariates):
        raise ValueError("a scale is not above 0")
    return view


def _built(kind: Any, value: Any) -> Any:
    """The dataclass that `asdict` and JSON made this of."""
    hints = get_type_hints(kind)
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise ValueError(f"{value!r:.60}, expected {', '.join(hints)}")
    return kind(**{name: _typed(hint, value[name], name) for name, hint in hints.items()})


def _typed(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return _built(hint, value)
    kind, of = get_origin(hint), get_args(hint)
    if kind is UnionType:
        return None if value is None else _typed(of[0], value, name)
    if kind is tuple and isinstance(value, list):
        return tuple(_typed(of[0], each, name) for each in value)
    fits = {
        bool: type(value) is bool,
        int: type(value) is int and abs(value) <= _LARGEST,
        float: type(value) in (int, float) and abs(value) < math.inf,
        str: type(value) is str,
        Literal: type(value) is str and value in of,
    }
    if not fits.get(kind or hint, False):
        raise ValueError(f"{name} is {value!r:.60}")
    return value


def series_to_json(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "start": series.start,
        "target": _listed(series.target),
        "covariates": {name: _listed(values) for name, values in series.covariates.items()},
        "static": {name: _listed(np.array([value]))[0] for name, value in series.static.items()},
    }


def series_from_json(value: Any, view: View) -> Series:
    """A series; raises KeyError, TypeError or ValueError where something is missing or of another kind."""
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.60} is no series")
    kinds = {each.name: each.kind for each in view.covariates}
    parts = {"covariates": view.columns.covariates, "static": view.columns.static}
    for part, names in parts.items():
        if not isinstance(value[part], dict) or value[part].keys() != set(names):
            raise ValueError(f"{part} differ from the columns")
    name, start = _typed(str, value["name"], "name"), _typed(int, value["start"], "start")
    target = _array(value["target"], "number")
    if np.isnan(target).all() or abs(start) * view.frequency.step > _LARGEST:
        raise ValueError(f"series {name!r} has no value, or no time")
    covariates = {name: _array(values, kinds[name]) for name, values in value["covariates"].items()}
    if any(len(values) < len(target) for values in covariates.values()):
        raise ValueError("a covariate is shorter than its target")
    static = {name: _array([one], kinds[name])[0] for name, one in value["static"].items()}
    return Series(name, start, target, covariates, static)


def _listed(values: NDArray[Any]) -> list[Any]:
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values.tolist()]


def _array(values: Any, kind: str) -> NDArray[Any]:
    hint, missing = (str, None) if kind == "category" else (float, math.nan)
    if not isinstance(values, list):
        raise ValueError(f"{values!r:.60}, expected values")
    known = [missing if value is None else _typed(hint, value, "a value") for value in values]
    return np.array(known, dtype=object if kind == "category" else np.float64)


def widening_from_json(value: Any, view: View) -> NDArray[np.float64]:
    """The factors of the intervals, one for each step; raises ValueError."""
    factors = _array(value, "number")
    if factors.shape != (view.horizon,) or not (factors >= 0).all():
        raise ValueError("widening is not one factor for each step")
    return factors


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

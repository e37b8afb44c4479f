"""Tables to series: regular in time, missing values as NaN, covariates beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elman.data.calendar import (
    Frequency,
    NoTimeError,
    Times,
    detect_frequency,
    named_frequency,
    parse_times,
)
from elman.data.tables import MISSING, Table
from elman.errors import InputError

Duplicates = Literal["error", "mean", "sum", "last"]
Values: TypeAlias = NDArray[Any]
"""float64 with NaN where missing, or objects: texts, None where missing."""
LONGEST = 1 << 26  # steps of a series: beyond, a wrong time is likelier than so long a series


@dataclass(frozen=True)
class Columns:
    """Which column is what. `time` may name several columns, joined by commas: "year,month,day"."""

    time: str
    target: str
    series: str | None = None
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @property
    def covariates(self) -> tuple[str, ...]:
        return self.past + self.future


@dataclass(frozen=True)
class Series:
    """One series on the grid of its frequency.

    Attributes:
        name: what its series column says; "" where there is one series only.
        start: grid index of the first step.
        target: (T,) values, NaN where missing; the last one is not missing.
        covariates: (T + F,) values by name; the F steps after the last target are the future that is known.
        static: a value for the whole series, by name.
    """

    name: str
    start: int
    target: NDArray[np.float64]
    covariates: Mapping[str, Values] = field(default_factory=dict)
    static: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)

    def tail(self, length: int) -> Series:
        """Its last steps, the first of which has the last number known before it where it has none of its own."""
        cut = max(0, len(self) - length)
        covariates = {name: _tail(values, cut) for name, values in self.covariates.items()}
        return Series(self.name, self.start + cut, _tail(self.target, cut), covariates, self.static)


def _tail(values: Values, cut: int) -> Values:
    kept = values[cut:].copy()
    if len(kept) and kept.dtype != object:
        known = np.flatnonzero(~np.isnan(values[: cut + 1]))
        kept[:1] = values[known[-1:]] if len(known) else math.nan
    return kept


@dataclass(frozen=True)
class Reading:
    """What came of a table: the series in the order of their first rows, their grid, and what had to be done.

    notes: counts of rows out of order, of rows put together, and of steps without a row.
    """

    frequency: Frequency
    series: list[Series]
    notes: dict[str, int]


def choose_columns(table: Table, given: Columns, form: str | None = None) -> Columns:
    """`given` with time, target and series filled in where they are "" or None and the table leaves no doubt."""
    named = {*given.time.split(","), given.target, given.series, *given.covariates, *given.static}
    left = [name for name in table.columns if name not in named]
    time = given.time
    if not time:
        times = [name for name in left if _reads_as_time(table.columns[name], form)]
        time = _only(table, times, "time", "times")
        left.remove(time)
    numeric = [name for name in left if is_numeric(table, name)]
    target = given.target or _only(table, numeric, "target", "numbers")
    series = given.series
    if series is None:
        texts = [name for name in left if name not in numeric and name != target]
        parts = [table.column(part.strip(), "time_column") for part in time.split(",")]
        if _repeats(parts):
            keys = [name for name in texts if not _repeats([*parts, table.columns[name]])]
            series = keys[0] if len(keys) == 1 else None
    return Columns(time, target, series, given.past, given.future, given.static)


def _repeats(columns: Sequence[Sequence[Any]]) -> bool:
    rows = list(zip(*columns, strict=True))
    return len(set(rows)) < len(rows)


def _only(table: Table, names: list[str], what: str, kind: str) -> str:
    if len(names) != 1:
        held = f"several columns hold {kind}: {', '.join(names)}" if names else f"no column holds {kind}"
        raise InputError(f"{table.name}: {held}. Say which one is the {what} with --{what}-column.")
    return names[0]


def _reads_as_time(values: Sequence[Any], form: str | None) -> bool:
    """Whether a column is surely one of times: numbers are not, unless a form reads them."""
    if form is None and isinstance(values[0], int | float):
        return False
    try:
        return not parse_times(values[:100], form)[1] and (form is not None or not _plain(values[0]))
    except NoTimeError:
        return False
    except InputError:
        return True


def _plain(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def is_numeric(table: Table, name: str) -> bool:
    """Whether a column holds numbers and missing values only."""
    try:
        table.numbers(name)
    except InputError:
        return False
    return True


def read_series(
    table: Table,
    columns: Columns,
    *,
    frequency: Frequency | str | None = None,
    form: str | None = None,
    duplicates: Duplicates = "error",
    kinds: Mapping[str, str] | None = None,
    placed: bool = False,
) -> Reading:
    """The series of a table in long form, one row for each time of each series, in any order.

    Args:
        frequency: the grid; None: as the times show. By name: times may lie anywhere within their step.
        form: of the times, as `parse_times`.
        duplicates: two rows in one step: an error, their mean, their sum, or the last of them.
        placed: times may lie anywhere within their step of a grid that is given.
        kinds: "number" or "category" of each covariate; None: as the table shows.

    Raises:
        InputError: a column is missing, a value cannot be read or is infinite, times are irregular or there twice, a
            static column changes within a series, a series without a value.
    """
    times, counting = _times(table, columns, form)
    names = _names(table, columns.series)
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        groups.setdefault(name, []).append(row)
    rows_of = {name: np.array(rows)[np.argsort(times[rows], kind="stable")] for name, rows in groups.items()}
    unsorted = sum(int((np.diff(rows) < 0).sum()) for rows in rows_of.values())
    if frequency is None:
        frequency = detect_frequency([np.unique(times[rows]) for rows in rows_of.values()], counting)
        _check_grid(table, times, rows_of, frequency)
    elif isinstance(frequency, str):
        frequency = named_frequency(frequency, times)
    elif not placed:
        _check_grid(table, times, rows_of, frequency)
    values = {columns.target: _finite(table, columns.target)}
    for name in (*columns.covariates, *columns.static):
        values[name] = _covariate(table, name, (kinds or {}).get(name))
    index = frequency.index(times)
    notes = {"rows_out_of_order": unsorted, "rows_put_together": 0, "steps_without_a_row": 0}
    series = [
        _series(table, columns, name, rows, index, values, duplicates, notes)
        for name, rows in rows_of.items()
    ]
    return Reading(frequency, series, {name: count for name, count in notes.items() if count})


def _times(table: Table, columns: Columns, form: str | None) -> tuple[Times, bool]:
    parts = [table.column(name.strip(), "time_column") for name in columns.time.split(",")]
    values = parts[0] if len(parts) == 1 else [" ".join(map(str, row)) for row in zip(*parts, strict=True)]
    try:
        return parse_times(values, form)
    except NoTimeError as error:
        raise InputError(
            f"{table.where(error.row)}: column {columns.time!r} holds {error.value!r}, expected a time"
            f"{' written as ' + form if form else ' like the rows before it, such as 2024-01-31 or 2024-01-31 15:00'}."
            " Say how times are written with --time-format."
        ) from None


def _names(table: Table, column: str | None) -> list[str]:
    return [""] * len(table) if column is None else [str(v) for v in table.column(column, "series_column")]


def _finite(table: Table, name: str) -> Values:
    values = table.numbers(name, "target_column")
    if np.isinf(values).any():
        raise InputError(f"{table.where(int(np.isinf(values).argmax()))}: column {name!r} is infinite.")
    return values


def _covariate(table: Table, name: str, kind: str | None) -> Values:
    if kind == "number" or (kind is None and is_numeric(table, name)):
        values = table.numbers(name)
        if np.isinf(values).any():
            raise InputError(f"{table.where(int(np.isinf(values).argmax()))}: column {name!r} is infinite.")
        return values
    told = [
        None if v is None or str(v).strip().lower() in MISSING else str(v).strip() for v in table.column(name)
    ]
    return np.array(told, dtype=object)


def _check_grid(
    table: Table, times: Times, rows_of: Mapping[str, NDArray[np.int64]], frequency: Frequency
) -> None:
    off = frequency.times(frequency.index(times)) != times
    if not off.any():
        return
    row = min(int(rows[off[rows]][0]) for rows in rows_of.values() if off[rows].any())
    day = frequency.text(times[row : row + 1])[0]
    raise InputError(
        f"{table.where(row)}: the time {day} is off the others' steps of one {frequency.name}. "
        f"Say what a step is with --frequency, and with --duplicates mean|sum|last what becomes of rows in one step."
    )


def _series(
    table: Table,
    columns: Columns,
    name: str,
    rows: NDArray[np.int64],
    index: NDArray[np.int64],
    values: Mapping[str, Values],
    duplicates: Duplicates,
    notes: dict[str, int],
) -> Series:
    """One series: its rows, in the order of time, put on the grid."""
    of = f" of series {name!r}" if name else ""
    steps, first = index[rows], index[rows[0]]
    again = np.flatnonzero(np.diff(steps) == 0)
    if len(again) and duplicates == "error":
        earlier, later = table.where(int(rows[again[0]])), table.where(int(rows[again[0] + 1]))
        several = "" if name else " Are there several series (--series-column)?"
        raise InputError(
            f"{later}: the time{of} is there already, at {earlier}; give --duplicates mean|sum|last.{several}"
        )
    length = int(steps[-1] - first) + 1
    if length > LONGEST:
        raise InputError(
            f"{table.where(int(rows[-1]))}: {length:,} steps after the first row{of}: a wrong time?"
        )
    notes["rows_put_together"] += len(again)
    notes["steps_without_a_row"] += length - (len(rows) - len(again))
    place = steps - first
    target = _placed(values[columns.target][rows], place, length, duplicates)
    seen = np.flatnonzero(~np.isnan(target))
    if not len(seen):
        raise InputError(f"{table.name}: column {columns.target!r}{of} holds no value, expected numbers.")
    covariates = {c: _placed(values[c][rows], place, length, duplicates) for c in columns.covariates}
    static = {c: _constant(table, c, values[c], rows, of) for c in columns.static}
    return Series(name, int(first), target[: seen[-1] + 1], covariates, static)


def _placed(values: Values, place: NDArray[np.int64], length: int, duplicates: Duplicates) -> Values:
    """Values at their steps; texts that fall together: the last."""
    if values.dtype == object:
        out = np.full(length, None, dtype=object)
        out[place] = values
        return out
    numbers = np.full(length, math.nan)
    numbers[place] = values
    if duplicates in ("mean", "sum"):
        known = ~np.isnan(values)
        count = np.bincount(place[known], minlength=length)
        total = np.bincount(place[known], weights=values[known], minlength=length)
        numbers = np.where(
            count > 0, total / np.maximum(count, 1) if duplicates == "mean" else total, math.nan
        )
    return numbers


def _constant(table: Table, column: str, values: Values, rows: NDArray[np.int64], of: str) -> Any:
    first = values[rows[0]]
    for row in rows.tolist():
        if values[row] != first and not (values[row] != values[row] and first != first):
            raise InputError(
                f"{table.where(row)}: static column {column!r}{of} is {values[row]}, before {first}; "
                "give it as a covariate."
            )
    return first


@dataclass(frozen=True)
class Covariate:
    """How one column becomes features: numbers standardised, categories one-hot; learned from the training part.

    A missing number takes the last one known before it, else the mean, and where the training part had missing ones
    a second feature tells it; a missing category is all zeros.
    """

    name: str
    mean: float = 0.0
    scale: float = 1.0
    missing: bool = False
    categories: tuple[str, ...] | None = None

    @classmethod
    def learn(cls, name: str, values: Values) -> Covariate:
        """From all values of the training part; InputError where none is known."""
        if values.dtype == object:
            return cls(name, categories=tuple(sorted({v for v in values if v is not None})))
        known = values[~np.isnan(values)]
        if not len(known):
            raise InputError(f"column {name!r} holds no value in the training part; leave it out.")
        return cls(name, float(known.mean()), float(known.std()) or 1.0, len(known) < len(values))

    @property
    def kind(self) -> str:
        return "number" if self.categories is None else "category"

    @property
    def width(self) -> int:
        return 1 + self.missing if self.categories is None else len(self.categories)

    def encode(self, values: Values, unknown: str) -> NDArray[np.float64]:
        """Features (T, width); a category that was not learned is an error, or with "map" as if it were missing."""
        if self.categories is None:
            known = ~np.isnan(values)
            last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
            filled = np.where(last >= 0, values[last], self.mean)
            told = [(filled - self.mean) / self.scale, ~known]
            return np.stack(told[: self.width], axis=1).astype(float)
        place = {category: k for k, category in enumerate(self.categories)}
        out = np.zeros((len(values), self.width))
        for row, value in enumerate(values):
            if value in place:
                out[row, place[value]] = 1
            elif value is not None and unknown == "error":
                raise InputError(
                    f"column {self.name!r} holds {value!r}, never seen in training; known: "
                    f"{', '.join(self.categories)}. --unknown map reads it as missing."
                )
        return out


def encode(
    covariates: Iterable[Covariate], values: Mapping[str, Values], length: int, unknown: str
) -> NDArray[np.float64]:
    """Features of several columns side by side, (T, F)."""
    parts = [covariate.encode(values[covariate.name], unknown) for covariate in covariates]
    return np.concatenate(parts, axis=1) if parts else np.zeros((length, 0))

"""Times: read from what tables hold, put on a regular grid, and told as features that are known ahead."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError

Times = NDArray[np.datetime64]
"""Seconds since 1970, datetime64[s]; whole numbers where the time column merely counts."""
Unit = Literal["second", "business day", "month", "number"]

_SECOND = np.dtype("datetime64[s]")
_DAY = 86_400
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)\s*$")
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": _DAY, "week": 7 * _DAY}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_FORMATS = (
    "%b %d %Y", "%B %d %Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y/%m/%d", "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%d-%m-%Y",
    "%m-%d-%Y", "%Y%m%d", "%Y %m %d", "%Y %m %d %H", "%Y %m", "%b %Y", "%B %Y", "%b-%y",
)  # fmt: skip


@dataclass(frozen=True)
class Frequency:
    """A regular grid of times: step k is `step` units after step k - 1.

    Attributes:
        unit: what is counted: seconds, days from Monday to Friday, months, or plain numbers.
        step: how many of them from one time to the next.
        phase: unit at which step 0 begins, below `step`.
        within: seconds after the start of the month or business day; -1: on the last day of the month.

    >>> monthly = Frequency("month", 1)
    >>> monthly.times(monthly.index(np.array(["2024-02-29"], "M8[s]")) + 1), monthly.seasonality()
    (array(['2024-03-01T00:00:00'], dtype='datetime64[s]'), (12,))
    """

    unit: Unit
    step: int
    phase: int = 0
    within: int = 0

    def index(self, times: Times) -> NDArray[np.int64]:
        """The step in which each time falls."""
        return (self._units(times) - self.phase) // self.step

    def times(self, index: NDArray[np.int64]) -> Times:
        """The time at which each step stands."""
        units = index * self.step + self.phase
        if self.unit == "month":
            if self.within < 0:
                return ((units + 1).astype("M8[M]").astype("M8[D]") - 1).astype(_SECOND)
            return units.astype("M8[M]").astype(_SECOND) + self.within
        if self.unit == "business day":
            return np.busday_offset("1970-01-01", units, roll="forward").astype(_SECOND) + self.within
        return units.astype(_SECOND)

    @property
    def name(self) -> str:
        """ "hour", "15 minutes", "business day", "quarter", ..."""
        sizes = _MONTHS if self.unit == "month" else _SECONDS if self.unit == "second" else {self.unit: 1}
        size, word = max((size, word) for word, size in sizes.items() if self.step % size == 0)
        count = self.step // size
        return word if count == 1 else f"{count} {word}s"

    def seasonality(self) -> tuple[int, ...]:
        """Periods, in steps, in which such series are wont to repeat; (1,) where none is."""
        if self.unit == "month":
            return (12 // self.step,) if self.step < 12 and 12 % self.step == 0 else (1,)
        if self.unit != "second":
            return (5,) if self.unit == "business day" and self.step == 1 else (1,)
        if self.step == _SECONDS["week"]:
            return (52,)
        periods = tuple(
            p // self.step for p in (3_600, _DAY, 7 * _DAY) if p % self.step == 0 and p > self.step
        )
        return tuple(p for p in periods if p >= 4)[:2] or (1,)

    def text(self, times: Times) -> list[str]:
        """Times as ISO 8601; the hour is left out where it says nothing."""
        if self.unit == "number":
            return [str(number) for number in times.astype(np.int64).tolist()]
        dates = bool((times == times.astype("M8[D]")).all())
        return [str(time) for time in (times.astype("M8[D]") if dates else times)]

    def features(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the calendar says of each step, (T, F): sine and cosine of hour, weekday and time of the year.

        Told are cycles longer than two steps: a monthly series has only that of the year.
        """
        if self.unit == "number":
            return np.zeros((len(index), 0))
        times = self.times(index)
        day = times.astype("M8[D]")
        year = times.astype("M8[Y]").astype(_SECOND)
        spacing = self.step * (31 * _DAY if self.unit == "month" else 1)
        if self.unit == "business day":
            spacing = _DAY
        cycles = [
            (_DAY, (times - day.astype(_SECOND)).astype(float) / _DAY, 2),
            (7 * _DAY, (day.astype(np.int64) + 3) % 7 / 7, 3),
            (365 * _DAY, (times - year).astype(float) / (365.2425 * _DAY), 3),
        ]
        told = [
            wave(2 * math.pi * (harmonic + 1) * place)
            for length, place, harmonics in cycles
            if length > 2 * spacing
            for harmonic in range(harmonics)
            for wave in (np.sin, np.cos)
        ]
        return np.stack(told, axis=1) if told else np.zeros((len(index), 0))

    def _units(self, times: Times) -> NDArray[np.int64]:
        if self.unit == "month":
            return times.astype("M8[M]").astype(np.int64)
        if self.unit == "business day":
            return np.busday_count("1970-01-01", times.astype("M8[D]")).astype(np.int64)
        return times.astype(np.int64)


def named_frequency(name: str, times: Times) -> Frequency:
    """The grid a user asks for: "hour", "15 minutes", "business day", "month", ...; weeks begin with the first time."""
    match = re.fullmatch(r"(?:(\d+)\s*)?([a-z ]+?)s?", name.strip().lower())
    count, word = (int(match[1] or 1), match[2]) if match else (0, "")
    if count and word in _SECONDS:
        step = count * _SECONDS[word]
        origin = times.min().astype("M8[D]").astype(_SECOND) if step >= _DAY else times.min()
        return Frequency("second", step, int(origin.astype(np.int64)) % step if step >= _DAY else 0)
    if count and word in _MONTHS:
        return Frequency("month", count * _MONTHS[word])
    if count and word == "business day":
        return Frequency("business day", count)
    known = ", ".join((*_SECONDS, "business day", *_MONTHS))
    raise InputError(f"frequency is {name!r}, expected one of {known}, or several such as '15 minutes'.")


def detect_frequency(series: Sequence[Times], counting: bool = False) -> Frequency:
    """The grid all series stand on: each with increasing times; gaps are allowed.

    Args:
        series: times of each series.
        counting: the times are plain numbers.

    Raises:
        InputError: no series has two times.
    """
    gaps = np.concatenate([np.diff(times).astype(np.int64) for times in series])
    if not len(gaps):
        raise InputError(
            "no series has two different times, so the frequency cannot be seen; give --frequency."
        )
    times = np.concatenate(list(series))
    if counting:
        step = _most_frequent(gaps)
        return Frequency("number", step, int(times[0].astype(np.int64)) % step)
    return _months(series, gaps) or _business_days(times, gaps) or _seconds(times, gaps)


def _months(series: Sequence[Times], gaps: NDArray[np.int64]) -> Frequency | None:
    """Months, where every time is as far into its month as the others, or on its last day."""
    times = np.concatenate(list(series))
    if gaps.min() < 28 * _DAY:
        return None
    month = times.astype("M8[M]")
    within = (times - month.astype(_SECOND)).astype(np.int64)
    last = (times + _DAY).astype("M8[M]") > month
    if (within != within[0]).any() and not (last & (within % _DAY == 0)).all():
        return None
    step = math.gcd(*(int(gap) for part in series for gap in np.diff(part.astype("M8[M]").astype(np.int64))))
    phase = int(month[0].astype(np.int64)) % step
    return Frequency("month", step, phase, int(within[0]) if (within == within[0]).all() else -1)


def _business_days(times: Times, gaps: NDArray[np.int64]) -> Frequency | None:
    day = times.astype("M8[D]")
    within = (times - day.astype(_SECOND)).astype(np.int64)
    weekend = (day.astype(np.int64) + 3) % 7 >= 5
    if weekend.any() or (within != within[0]).any() or gaps.min() != _DAY or (gaps >= 3 * _DAY).sum() < 2:
        return None
    return Frequency("business day", 1, 0, int(within[0]))


def _seconds(times: Times, gaps: NDArray[np.int64]) -> Frequency:
    step = _most_frequent(gaps)
    return Frequency("second", step, int(times[0].astype(np.int64)) % step)


def _most_frequent(gaps: NDArray[np.int64]) -> int:
    values, counts = np.unique(gaps, return_counts=True)
    return int(values[counts.argmax()])


class NoTimeError(ValueError):
    """A value that is no time; its row."""

    def __init__(self, row: int, value: Any) -> None:
        super().__init__(f"{value!r} is no time")
        self.row, self.value = row, value


def parse_times(values: Sequence[Any], form: str | None = None) -> tuple[Times, bool]:
    """Times of a column, and whether they merely count (0, 1, 2, ...).

    Args:
        values: datetimes or dates; or texts, all in one way: ISO 8601 (a time zone is turned into UTC), years, or one
            of the common ways to write a date; or numbers.
        form: how the texts are written, in the language of `strptime`.

    Raises:
        NoTimeError: the first value that cannot be read.
        InputError: day and month could be meant either way.
    """
    first = values[0]
    if isinstance(first, datetime | date | np.datetime64):
        return _each(values, _of_object), False
    if form is not None:
        return _each(values, lambda value: _of_object(datetime.strptime(str(value).strip(), form))), False
    if isinstance(first, int | float) or re.fullmatch(r"-?\d+(\.0*)?", str(first).strip()):
        return _numbers(values)
    read = (lambda value: _of_object(datetime.fromisoformat(value))) if _ZONE.search(str(first)) else _plain
    try:
        _each(values[:1], lambda value: read(str(value).strip()))
    except NoTimeError:
        return _written(values), False
    return _each(values, lambda value: read(str(value).strip())), False


def _numbers(values: Sequence[Any]) -> tuple[Times, bool]:
    """Whole numbers: days as 20240131, years where all lie from 1000 to 2999, else a count."""
    if len(str(values[0]).strip()) == 8:
        return _each(values, lambda value: datetime.strptime(str(value).strip(), "%Y%m%d")), False
    numbers = np.empty(len(values), np.int64)
    for row, value in enumerate(values):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise NoTimeError(row, value) from None
        if not number.is_integer() or abs(number) > 1 << 53:
            raise NoTimeError(row, value)
        numbers[row] = int(number)
    if numbers.min() >= 1000 and numbers.max() < 3000:
        return (numbers - 1970).astype("M8[Y]").astype(_SECOND), False
    return numbers.astype(_SECOND), True


def _written(values: Sequence[Any]) -> Times:
    """By the one of the common forms that reads them all."""
    found: list[tuple[str, Times]] = []
    furthest = NoTimeError(0, values[0])
    for form in _FORMATS:
        try:
            found.append(
                (form, _each(values, lambda value, form=form: datetime.strptime(str(value).strip(), form)))
            )
        except NoTimeError as error:
            furthest = max(furthest, error, key=lambda each: each.row)
    if not found:
        raise furthest
    if any((times != found[0][1]).any() for _, times in found):
        forms = " or ".join(repr(form) for form, _ in found)
        raise InputError(
            f"times such as {values[0]!r} can be read in two ways; say which with --time-format {forms}."
        )
    return found[0][1]


def _each(values: Sequence[Any], read: Any) -> Times:
    out = np.empty(len(values), _SECOND)
    known: dict[Any, Any] = {}
    for row, value in enumerate(values):
        if value not in known:
            try:
                known[value] = np.datetime64(read(value), "s")
            except (ValueError, TypeError):
                raise NoTimeError(row, value) from None
        out[row] = known[value]
    if np.isnat(out).any():
        row = int(np.isnat(out).argmax())
        raise NoTimeError(row, values[row])
    return out


def _plain(text: str) -> np.datetime64:
    if _ZONE.search(text):
        raise ValueError("a time zone, which the first time has not")
    return np.datetime64(text)


def _of_object(value: Any) -> Any:
    aware = isinstance(value, datetime) and value.tzinfo is not None
    return value.astimezone(UTC).replace(tzinfo=None) if aware else value

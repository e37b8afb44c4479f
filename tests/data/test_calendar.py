"""Times from texts, and the grid they stand on. pandas is the oracle for calendars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas
import pytest

from elman.data.calendar import (
    Frequency,
    NoTimeError,
    detect_frequency,
    named_frequency,
    parse_times,
)
from elman.errors import InputError

GRIDS = {
    "s": "second", "min": "minute", "15min": "15 minutes", "h": "hour", "6h": "6 hours", "D": "day", "2D": "2 days",
    "B": "business day", "W-WED": "week", "MS": "month", "ME": "month", "QS": "quarter", "QE": "quarter",
    "YS": "year", "YE": "year",
}  # fmt: skip


def _times(alias: str, count: int = 60, start: str = "2023-01-11") -> np.ndarray:
    return pandas.date_range(start, periods=count, freq=alias).to_numpy().astype("M8[s]")


@pytest.mark.parametrize(("alias", "name"), GRIDS.items())
def test_a_grid_is_seen_and_goes_on(alias: str, name: str) -> None:
    times = _times(alias, 75)
    frequency = detect_frequency([times[:60]])
    index = frequency.index(times)
    assert frequency.name == name
    assert (np.diff(index) == 1).all()
    assert (frequency.times(index) == times).all()


@pytest.mark.parametrize("alias", GRIDS)
def test_gaps_do_not_hide_the_grid(alias: str) -> None:
    times = _times(alias)
    kept = np.delete(times, [7, 8, 30])
    frequency = detect_frequency([kept])
    assert (frequency.times(frequency.index(times)) == times).all()
    assert (np.diff(frequency.index(times)) == 1).all()


def test_series_of_different_ends_share_a_grid() -> None:
    times = _times("MS")
    assert detect_frequency([times[:3], times[10:]]) == Frequency("month", 1)


def test_daily_data_of_one_working_week_are_daily() -> None:
    assert detect_frequency([_times("D", 5, "2024-01-01")]).name == "day"


@pytest.mark.parametrize(
    ("name", "periods"),
    [("15 minutes", (4, 96)), ("hour", (24, 168)), ("day", (7,)), ("business day", (5,)), ("week", (52,)),
     ("month", (12,)), ("quarter", (4,)), ("year", (1,)), ("2 days", (1,))],
)  # fmt: skip
def test_seasons_follow_the_frequency(name: str, periods: tuple[int, ...]) -> None:
    assert named_frequency(name, _times("D")).seasonality() == periods


def test_a_named_frequency_takes_times_within_its_steps() -> None:
    times = np.array(["2024-01-03T05:10", "2024-01-03T23:59", "2024-01-04T00:00"], "M8[s]")
    assert np.diff(named_frequency("day", times).index(times)).tolist() == [0, 1]
    assert np.diff(named_frequency("week", times).index(times + 5 * 86400)).tolist() == [0, 0]
    with pytest.raises(InputError, match=r"frequency is 'fortnight', expected one of second"):
        named_frequency("fortnight", times)


@pytest.mark.parametrize(
    "values",
    [
        ["2024-02-29", "2024-03-01"],
        ["2024-02-29T00:00", "2024-03-01T00:00:00"],
        ["2024-02-29 00:00:00", "2024-03-01 00:00:00"],
        ["Feb 29 2024", "Mar 1 2024"],
        ["29.02.2024", "01.03.2024"],
        ["2/29/2024", "3/1/2024"],
        ["20240229", "20240301"],
        ["2024 2 29 0", "2024 3 1 0"],
        [date(2024, 2, 29), date(2024, 3, 1)],
        ["2024-02-29T00:00:00Z", "2024-03-01T00:00:00+00:00"],
        ["2024-02-29T02:00:00+02:00", "2024-03-01T02:00:00+02:00"],
        [datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 3, 1, 9, tzinfo=timezone(timedelta(hours=9)))],
        [pandas.Timestamp("2024-02-29"), pandas.Timestamp("2024-03-01")],
    ],
    ids=str,
)
def test_ways_to_write_a_time(values: list[object]) -> None:
    times, counting = parse_times(values)
    assert times.tolist() == [datetime(2024, 2, 29), datetime(2024, 3, 1)]
    assert not counting


def test_years_months_and_counts() -> None:
    assert parse_times(["1999", "2000"])[0].tolist() == [datetime(1999, 1, 1), datetime(2000, 1, 1)]
    assert parse_times(["1949-01", "1949-02"])[0].tolist() == [datetime(1949, 1, 1), datetime(1949, 2, 1)]
    times, counting = parse_times([0, 5, 10])
    frequency = detect_frequency([times], counting)
    assert counting
    assert frequency.text(frequency.times(frequency.index(times) + 1)) == ["5", "10", "15"]


def test_day_or_month_first_is_asked() -> None:
    with pytest.raises(InputError, match=r"two ways.*--time-format '%m/%d/%Y' or '%d/%m/%Y'"):
        parse_times(["01/02/2024", "03/02/2024"])
    assert parse_times(["01/02/2024"], "%d/%m/%Y")[0].tolist() == [datetime(2024, 2, 1)]


@pytest.mark.parametrize("bad", ["", "soon", "2024-13-01", None])
def test_the_row_that_is_no_time_is_named(bad: object) -> None:
    with pytest.raises(NoTimeError) as told:
        parse_times(["2024-01-01", "2024-01-02", bad])
    assert told.value.row == 2


def test_calendar_features_are_those_of_the_time() -> None:
    hourly = detect_frequency([_times("h", 400)])
    index = hourly.index(_times("h", 400))
    told = hourly.features(index)
    assert told.shape[1] == 4 + 6 + 6
    assert np.abs(told).max() <= 1
    assert np.allclose(told[:, :10][: 400 - 168], told[:, :10][168:])  # hour and weekday repeat after a week
    assert not np.allclose(told[:300, :4], told[100:, :4])
    assert (hourly.features(index[50:60]) == told[50:60]).all()
    assert detect_frequency([_times("MS")]).features(np.arange(24)).shape == (24, 6)
    assert detect_frequency([_times("YS")]).features(np.arange(5)).shape == (5, 0)


def test_zones_are_turned_into_utc_wherever_they_stand() -> None:
    noon = np.array(["2024-01-01T12:00"], "M8[s]")
    assert (parse_times(["2024-01-01T21:00+0900"], "%Y-%m-%dT%H:%M%z")[0] == noon).all()
    with pytest.raises(NoTimeError, match="21:00"):
        parse_times(["2024-01-01T12:00", "2024-01-01T21:00+09:00"])

"""Tables to series: what is read, what is mended and said, and what is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas
import polars
import pytest

from elman.data import Table, read_table
from elman.data.series import Columns, Covariate, Reading, choose_columns, encode, read_series
from elman.errors import InputError

LONG = """day,shop,sold,rain,sky
2024-01-01,a,1,0.5,sun
2024-01-02,a,2,,rain
2024-01-04,a,4,0.1,
2024-01-02,b,7,0.2,rain
2024-01-03,b,,0.3,sun
2024-01-04,b,9,0.4,sun
2024-01-05,b,,0.9,fog
"""
COLUMNS = Columns("day", "sold", "shop", past=("rain",), future=("sky",))


def _table(text: str) -> Table:
    return read_table(io.StringIO(text))


def _read(text: str, columns: Columns = COLUMNS, **how: Any) -> Reading:
    return read_series(_table(text), columns, **how)


def test_rows_become_series_on_one_grid() -> None:
    read = _read(LONG)
    a, b = read.series
    assert (a.name, b.name, b.start - a.start, read.frequency.name) == ("a", "b", 1, "day")
    assert np.array_equal(a.target, [1, 2, np.nan, 4], equal_nan=True)
    assert np.array_equal(
        b.target, [7, np.nan, 9], equal_nan=True
    )  # what is after its last value is its future
    assert a.covariates["sky"].tolist() == ["sun", "rain", None, None]
    assert b.covariates["sky"].tolist() == ["rain", "sun", "sun", "fog"]
    assert read.notes == {"steps_without_a_row": 1}


def test_order_of_rows_says_nothing_and_is_noted() -> None:
    head, *rows = LONG.splitlines()
    read, other = _read(LONG), _read("\n".join([head, *rows[3:], *rows[2::-1]]))
    by_name = {one.name: one for one in other.series}
    for one in read.series:
        assert np.array_equal(by_name[one.name].target, one.target, equal_nan=True)
        assert by_name[one.name].covariates["sky"].tolist() == one.covariates["sky"].tolist()
    assert other.notes["rows_out_of_order"] == 2


@pytest.mark.parametrize(("how", "value"), [("mean", 3.0), ("sum", 6.0), ("last", 5.0)])
def test_rows_in_one_step_are_put_together_if_asked(how: Any, value: float) -> None:
    text = "t,y\n2024-01-01,1\n2024-01-02,1\n2024-01-02,5\n2024-01-03,2\n"
    assert _read(text, Columns("t", "y"), duplicates=how).series[0].target.tolist() == [1, value, 2]
    hours = "t,y\n2024-01-01T03:00,1\n2024-01-02T05:30,1\n2024-01-02T23:00,5\n2024-01-03,2\n"
    found = _read(hours, Columns("t", "y"), duplicates=how, frequency="day").series[0]
    assert found.target.tolist() == [1, value, 2]


def test_twice_the_same_time_is_refused_with_both_places() -> None:
    with pytest.raises(
        InputError, match=r"table:4: the time is there already, at table:3; .*--duplicates.*several series"
    ):
        _read("t,y\n2024-01-01,1\n2024-01-02,1\n2024-01-02,5\n", Columns("t", "y"))


def test_irregular_times_are_refused_with_the_row() -> None:
    text = "t,y\n" + "".join(f"2024-01-{d:02},1\n" for d in (1, 2, 3, 4)) + "2024-01-05T07:00,1\n"
    with pytest.raises(
        InputError, match=r"table:6: the time 2024-01-05T07:00:00 is off .* one day\. .*--frequency"
    ):
        _read(text, Columns("t", "y"))


@pytest.mark.parametrize(
    ("text", "columns", "told"),
    [
        ("t,y\n2024-01-01,1\n2024-01-02,x\n", Columns("t", "y"), "table:3: column 'y' holds 'x', expected a number"),
        ("t,y\n2024-01-01,1\n2024-01-02,inf\n", Columns("t", "y"), "table:3: column 'y' is infinite"),
        ("t,y\n2024-01-01,\n2024-01-02,NA\n", Columns("t", "y"), "column 'y' holds no value"),
        ("t,y\n2024-01-01,1\nlater,2\n", Columns("t", "y"), "table:3: column 't' holds 'later', expected a time"),
        ("t,y\n2024-01-01,1\n2024-01-02,2\n", Columns("t", "z"), "no column 'z', it has 't', 'y'.*--target-column"),
        ("t,y\n2024-01-01,1\n2024-01-02,2\n", Columns("when", "y"), "no column 'when'.*--time-column"),
        ("t,y\n2024-01-01,1\n2024-01-02,2\n", Columns("t", "y", past=("w",)), "no column 'w'"),
        ("t,y\n2024-01-01,1\n", Columns("t", "y"), "no series has two different times.*--frequency"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(text: str, columns: Columns, told: str) -> None:
    with pytest.raises(InputError, match=told):
        _read(text, columns)


def test_a_static_column_must_stay_the_same() -> None:
    with pytest.raises(InputError, match=r"table:3: static column 'rain' of series 'a' is .*before 0.5"):
        _read(LONG, Columns("day", "sold", "shop", static=("rain",)))


def test_time_in_several_columns() -> None:
    text = "year,month,day,hour,y\n" + "".join(f"2024,2,{28 + h // 24},{h % 24},{h}\n" for h in range(40))
    read = _read(text, Columns("year,month,day,hour", "y"))
    assert read.frequency.name == "hour"
    assert read.series[0].target.tolist() == list(range(40))


def test_columns_are_found_where_there_is_no_doubt() -> None:
    found = choose_columns(_table(LONG), Columns("", "", past=("rain",), future=("sky",)))
    assert (found.time, found.target, found.series) == ("day", "sold", "shop")
    with pytest.raises(InputError, match=r"several columns hold numbers: sold, rain\. .*--target-column"):
        choose_columns(_table(LONG), Columns("", ""))
    with pytest.raises(InputError, match=r"no column holds times.*--time-column"):
        choose_columns(_table("a,b\nx,1\ny,2\n"), Columns("", ""))


@pytest.mark.parametrize("kind", ["mapping", "pandas", "polars", "parquet", "csv"])
def test_every_kind_of_table_reads_the_same(kind: str, tmp_path: Any) -> None:
    frame = pandas.DataFrame(
        {"t": pandas.date_range("2024-01-31", periods=4, freq="ME"), "y": [1.0, 2.0, None, 4.0]}
    )
    given: Any = frame
    if kind == "mapping":
        given = {name: frame[name].tolist() for name in frame}
    elif kind == "polars":
        given = polars.DataFrame({"t": frame["t"].dt.to_pydatetime().tolist(), "y": [1.0, 2.0, None, 4.0]})
    elif kind == "parquet":
        given = tmp_path / "table.parquet"
        polars.DataFrame(
            {"t": frame["t"].dt.to_pydatetime().tolist(), "y": [1.0, 2.0, None, 4.0]}
        ).write_parquet(given)
    elif kind == "csv":
        given = tmp_path / "table.csv"
        frame.to_csv(given, index=False)
    read = read_series(read_table(given), Columns("t", "y"))
    assert (read.frequency.name, len(read.series)) == ("month", 1)
    assert np.array_equal(read.series[0].target, [1, 2, np.nan, 4], equal_nan=True)
    index = read.series[0].start + np.arange(5)
    assert read.frequency.text(read.frequency.times(index))[-2:] == ["2024-04-30", "2024-05-31"]


def test_numbers_are_standardised_and_filled_from_the_past_only() -> None:
    learned = Covariate.learn("x", np.array([1.0, 3.0, np.nan]))
    told = learned.encode(np.array([np.nan, 3.0, np.nan, 1.0]), "error")
    assert told.tolist() == [[0, 1], [1, 0], [1, 1], [-1, 0]]
    assert Covariate.learn("x", np.array([2.0, 2.0])).encode(np.array([3.0]), "error").tolist() == [[1]]
    with pytest.raises(InputError, match="'x' holds no value"):
        Covariate.learn("x", np.array([np.nan]))


def test_categories_are_one_hot_and_unseen_ones_refused_or_mapped() -> None:
    learned = Covariate.learn("sky", np.array(["sun", None, "rain"], dtype=object))
    values = np.array(["rain", None, "sun"], dtype=object)
    assert learned.encode(values, "error").tolist() == [[1, 0], [0, 0], [0, 1]]
    snow = np.array(["snow"], dtype=object)
    assert learned.encode(snow, "map").tolist() == [[0, 0]]
    with pytest.raises(
        InputError, match=r"'sky' holds 'snow', never seen in training; known: rain, sun\. --unknown map"
    ):
        encode([learned], {"sky": snow}, 1, "error")

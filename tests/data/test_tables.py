"""Tables of every kind give the same columns; what is wrong is told with its line."""

from __future__ import annotations

import json
from pathlib import Path

import narwhals
import numpy as np
import pandas
import polars
import pytest

from elman.data import read_table, read_tables, table_fingerprint
from elman.errors import InputError

ROWS = {"text": ["강, 바다", 'say "no"', "two\nlines"], "label": ["1", "0", "1"]}


def _csv(path: Path, **how: str) -> Path:
    pandas.DataFrame(ROWS).to_csv(path, index=False, encoding="utf-8", **how)  # type: ignore[call-overload]
    return path


def test_every_kind_of_table_gives_the_same_columns(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    rows = [{"text": t, "label": label} for t, label in zip(*ROWS.values(), strict=True)]
    lines.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    parquet = tmp_path / "a.parquet"
    polars.DataFrame(ROWS).write_parquet(parquet)
    sources = [
        _csv(tmp_path / "a.csv"),
        _csv(tmp_path / "b.csv", sep=";", lineterminator="\r\n"),
        lines,
        parquet,
        ROWS,
        pandas.DataFrame(ROWS),
        polars.DataFrame(ROWS),
        narwhals.from_native(polars.DataFrame(ROWS)),
    ]
    for source in sources:
        assert read_table(source).columns == ROWS


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"one\ntwo",1\n\nthree,0\n', encoding="utf-8")
    table = read_table(path)
    assert (table.where(0), table.where(1)) == (f"{path}:3", f"{path}:5")
    assert read_table(ROWS).where(1) == "table: row 2"


def test_tabs_keep_quotes_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text('id\tdocument\n1\t"좋다" 하고\n2\t"\n', encoding="utf-8")
    assert read_table(path).columns["document"] == ['"좋다" 하고', '"']
    assert read_table(_csv(tmp_path / "b.tsv", sep="\t"), quotes=True).columns == ROWS


def test_numbers(tmp_path: Path) -> None:
    table = read_table({"x": ["1.5", "", "NA", None, 2, " nan "], "y": ["1", "2", "three", "", "", ""]})
    np.testing.assert_array_equal(table.numbers("x"), [1.5, np.nan, np.nan, np.nan, 2, np.nan])
    with pytest.raises(InputError, match="table: row 3: column 'y' holds 'three', expected a number"):
        table.numbers("y")


def test_a_missing_column_is_told_with_those_there_are() -> None:
    with pytest.raises(
        InputError, match=r"no column 'lable', it has 'text', 'label'\. Did you mean label\?.*--label-column"
    ):
        read_table(ROWS).column("lable", "label_column")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,y\n1,2\n3\n", r"a.csv:3: 1 fields, expected 2 as in the header \(x, y\)"),
        ("a.csv", "x,y\n1,2,3\n", "a.csv:2: 3 fields, expected 2"),
        ("a.csv", "x,x\n1,2\n", "a.csv:1: the column 'x' is there twice"),
        ("a.csv", "x,y\n", "a header and no rows"),
        ("a.csv", "", "empty"),
        ("a.csv", b"x,y\n\xb0\xa1,1\n", "not UTF-8, perhaps CP949"),
        ("a.jsonl", '{"x": 1}\n{"x": \n', "a.jsonl:2: not JSON"),
        ("a.jsonl", '{"x": 1}\n[1]\n', "a.jsonl:2: list, expected one JSON object"),
        ("a.parquet", "PAR1", "not a Parquet file"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_other_things_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "nowhere.parquet")
    with pytest.raises(InputError, match="int is no table"):
        read_table(5)
    with pytest.raises(InputError, match="no rows"):
        read_table({"x": []})


def test_several_tables_are_one(tmp_path: Path) -> None:
    table = read_tables([_csv(tmp_path / "a.csv"), ROWS])
    assert table.columns["label"] == ROWS["label"] * 2
    with pytest.raises(InputError, match=r"other columns than .*a.csv: 'label', 'z'"):
        read_tables([_csv(tmp_path / "a.csv"), {"text": ["a"], "z": [1]}])


def test_rows_are_taken_with_their_lines(tmp_path: Path) -> None:
    table = read_table(_csv(tmp_path / "a.csv")).take([2, 0])
    assert table.columns["label"] == ["1", "1"]
    assert table.columns["text"] == ["two\nlines", "강, 바다"]
    assert table.where(1).endswith("a.csv:2")


def test_the_fingerprint_follows_the_content() -> None:
    same = table_fingerprint(pandas.DataFrame(ROWS)), table_fingerprint(polars.DataFrame(ROWS))
    assert same[0] == same[1]
    assert table_fingerprint({**ROWS, "label": ["1", "0", "0"]}) != table_fingerprint(ROWS)


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0c"])
def test_only_line_ends_end_a_row(odd: str, tmp_path: Path) -> None:
    text = f"one{odd}text"
    lines, csv = tmp_path / "a.jsonl", tmp_path / "a.csv"
    lines.write_text(json.dumps({"text": text, "label": "1"}, ensure_ascii=False), encoding="utf-8")
    csv.write_text(f"text,label\n{text},1\n", encoding="utf-8")
    assert read_table(lines).columns == read_table(csv).columns == {"text": [text], "label": ["1"]}


@pytest.mark.parametrize("columns", [{"a": [1, 2], "b": [1]}, {"a": 5}, {"a": "text"}])
def test_a_mapping_has_columns_of_equal_length(columns: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"column '[ab]'"):
        read_table(columns)


def test_without_a_header_columns_have_numbers(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("go\tgo\tx\nrun\t뛰어\ty\n", encoding="utf-8")
    table = read_table(path, header=False)
    assert table.columns == {"1": ["go", "run"], "2": ["go", "뛰어"], "3": ["x", "y"]}
    assert [table.where(row) for row in range(2)] == [f"{path}:1", f"{path}:2"]
    path.write_text("go\tgo\nrun\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"pairs.txt:2: 1 fields, expected 2 as in the first line \(go, go\)"
    ):
        read_table(path, header=False)

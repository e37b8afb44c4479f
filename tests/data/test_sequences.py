"""Sequences of numbers in: the forms of an .npz file, tables with a row a step, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.data import read_table
from elman.data.sequences import read_npz, read_steps
from elman.errors import InputError

ROWS = [np.arange(6.0).reshape(3, 2), np.ones((1, 2)), np.arange(4.0).reshape(2, 2)]


def _file(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def _forms() -> dict[str, dict[str, Any]]:
    padded = np.full((3, 4, 2), 9.0)
    for place, row in zip(padded, ROWS, strict=True):
        place[: len(row)] = row
    return {
        "padded": {"x": padded, "lengths": np.array([3, 1, 2])},
        "one after the other": {"x": np.concatenate(ROWS), "lengths": np.array([3, 1, 2])},
    }


@pytest.mark.parametrize("form", ["padded", "one after the other"])
def test_ragged_sequences_are_read(tmp_path: Path, form: str) -> None:
    rows, y = read_npz(_file(tmp_path, **_forms()[form], y=np.array(["a", "b", "a"])))
    assert y == ["a", "b", "a"]
    for found, expected in zip(rows, ROWS, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_equal_lengths_are_read(tmp_path: Path) -> None:
    rows, y = read_npz(_file(tmp_path, x=np.arange(6).reshape(3, 2)), targets=False)
    assert [row.tolist() for row in rows] == [[[0], [1]], [[2], [3]], [[4], [5]]]
    assert y is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(2)}, "no array 'x'"),
        ({"x": np.zeros((2, 3))}, "no array 'y'"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(3)}, "y has shape"),
        ({"x": np.zeros(3), "y": np.zeros(3)}, "x is float64 of shape"),
        ({"x": np.array([["a", "b"]]), "y": np.zeros(1)}, "x is <U1"),
        ({"x": np.array([[1.0, np.nan]]), "y": np.zeros(1)}, "sequence 1, step 2: NaN"),
        ({"x": np.zeros((2, 3, 1)), "lengths": np.array([3, 4]), "y": np.zeros(2)}, "do not fit"),
        ({"x": np.zeros((5, 1)), "lengths": np.array([3, 4]), "y": np.zeros(2)}, "sum to 7"),
        ({"x": np.zeros((5, 1)), "lengths": np.array([-1, 6]), "y": np.zeros(2)}, "lengths are"),
        ({"x": np.array([[None]], object), "y": np.zeros(1)}, "not an .npz file of numbers"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_npz(_file(tmp_path, **arrays))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"data\.npz"):
        read_npz(path)


def _table(text: str) -> Any:
    return read_table(io.StringIO(text))


def test_steps_of_one_id_are_one_sequence() -> None:
    table = _table("id,a,b,label\nx,1,2,p\ny,3,4,q\nx,5,6,p\n")
    rows, targets, firsts = read_steps(table, "id", ["b", "a"], "label")
    assert [row.tolist() for row in rows] == [[[2, 1], [6, 5]], [[4, 3]]]
    assert (targets, firsts) == (["p", "q"], [0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a,label\nx,1,p\nx,,p\n", "table:3: column 'a' is empty"),
        ("id,a,label\nx,1,p\nx,two,p\n", "table:3: column 'a' holds 'two'"),
        ("id,a,label\nx,1,p\nx,2,q\n", "table:3: 'label' is 'q', but 'p' before in the sequence 'x'"),
        ("name,a,label\nx,1,p\n", "no column 'id'"),
    ],
)
def test_wrong_steps_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_steps(_table(text), "id", ["a"], "label")

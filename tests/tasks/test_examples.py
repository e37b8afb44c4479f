"""Examples out of every form of data; which part is held out; and what is refused, with its place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import InputError
from elman.tasks._examples import Columns, hold_out, read_examples


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _sound(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(400, np.float32), 8000)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'id,document,label\n1,"good, or not",1\n2,bad,0\n'),
        ("a.tsv", "id\tdocument\tlabel\n1\tgood, or not\t1\n2\tbad\t0\n"),
        ("a.txt", "id\tdocument\tlabel\n1\tgood, or not\t1\n2\tbad\t0\n"),
        ("a.jsonl", '{"label": "1", "document": "good, or not"}\n{"label": "0", "document": "bad"}\n'),
    ],
)
def test_columns_are_found(tmp_path: Path, name: str, text: str) -> None:
    found = read_examples([_write(tmp_path, name, text)], Columns())
    assert (found.inputs, found.targets) == (["good, or not", "bad"], ["1", "0"])
    assert (found.columns.kind, found.columns.text, found.columns.target) == ("text", "document", "label")
    assert found.places[1].endswith(f"{name}:{2 if name.endswith('jsonl') else 3}")


def test_a_dataframe_is_a_table() -> None:
    found = read_examples([{"words": ["a", "b"], "label": [1, 2]}], Columns())
    assert (found.inputs, found.targets) == (["a", "b"], [1, 2])


def test_a_folder_has_one_file_for_each_class(tmp_path: Path) -> None:
    _write(tmp_path, "names/b.txt", "Bo\n\n Bea \n")
    _write(tmp_path, "names/a.txt", "Al\n")
    found = read_examples([tmp_path / "names"], Columns())
    assert (found.inputs, found.targets) == (["Al", "Bo", "Bea"], ["a", "b", "b"])
    assert found.places[2].endswith("b.txt:3")


def test_sounds_are_found_by_folder_by_name_and_by_table(tmp_path: Path) -> None:
    for name in ("by/yes/1.wav", "by/no/deep/2.flac", "named/yes_1.wav", "named/no_2.wav"):
        _sound(tmp_path, name)
    _write(tmp_path, "list.csv", "file,who,label\nnamed/yes_1.wav,x,yes\nby/no/deep/2.flac,y,no\n")
    folders = read_examples([tmp_path / "by"], Columns())
    assert [(path.name, label) for path, label in zip(folders.inputs, folders.targets or [], strict=True)] == [
        ("2.flac", "no"), ("1.wav", "yes"),
    ]  # fmt: skip
    assert read_examples([tmp_path / "named"], Columns()).targets == ["no", "yes"]
    assert read_examples([tmp_path / "named/no_2.wav"], Columns()).targets == ["no"]
    table = read_examples([tmp_path / "list.csv"], Columns(group="who"))
    assert (table.columns.kind, table.columns.audio, table.targets) == ("audio", "file", ["yes", "no"])
    assert table.groups == ["x", "y"]
    assert all(path.is_file() for path in table.inputs)


def test_steps_of_an_id_are_a_sequence(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", "id,a,b,label\n1,1,2,x\n1,3,4,x\n2,5,6,y\n")
    found = read_examples([path], Columns(id="id"))
    assert [row.tolist() for row in found.inputs] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert (found.targets, found.columns.features) == (["x", "y"], ("a", "b"))
    later = _write(tmp_path, "b.csv", "b,id,more,a\n2,9,0,1\n")
    again = read_examples([later], found.columns, targets=False)
    assert again.inputs[0].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        (
            "words,more,label\na,b,c\n",
            Columns(),
            r"which column holds the texts.*--text-column.*'words', 'more'",
        ),
        ("text,answer\na,b\n", Columns(), "which column is to be learned.*--label-column.*'text', 'answer'"),
        ("text,label,class\na,b,c\n", Columns(), "which column is to be learned"),
        (
            "text,label\na,b\n",
            Columns(text="txt"),
            r"no column 'txt', it has 'text', 'label'. Did you mean text",
        ),
        ("text,label\na,b\n", Columns(target="sentiment"), "no column 'sentiment'.*--label-column"),
        ("text,label\na,b\n", Columns(group="who"), "no column 'who'"),
        ("text,label\na,b,c\n", Columns(), "a.csv:2: 3 fields, expected 2"),
    ],
)
def test_columns_that_are_missing_or_unclear_are_told(
    tmp_path: Path, text: str, columns: Columns, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_examples([_write(tmp_path, "a.csv", text)], columns)


def test_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    _sound(tmp_path, "yes_1.wav")
    text = _write(tmp_path, "a.csv", "text,label\na,b\n")
    with pytest.raises(InputError, match="audio, but text before"):
        read_examples([text, tmp_path / "yes_1.wav"], Columns())
    with pytest.raises(InputError, match="audio, expected text"):
        read_examples([tmp_path / "yes_1.wav"], Columns(kind="text"))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "notes.md", "a")
    with pytest.raises(InputError, match=r"expected CLASS\.txt files"):
        read_examples([tmp_path], Columns())
    _sound(tmp_path, "noclass.wav")
    with pytest.raises(InputError, match=r"noclass\.wav: no class in the name"):
        read_examples([tmp_path], Columns())


def test_equal_examples_count_once(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", "text,label\na,x\nb,x\na,x\na,y\n")
    once = read_examples([path], Columns()).once()
    assert list(zip(once.inputs, once.targets or [], strict=True)) == [("a", "x"), ("b", "x"), ("a", "y")]


@given(
    rows=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), min_size=2, max_size=80),
    fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 5),
)
def test_held_out_keys_are_apart(rows: list[tuple[int, int]], fraction: float, seed: int) -> None:
    keys, strata = [key for key, _ in rows], [stratum for _, stratum in rows]
    kept, held = hold_out(keys, strata, fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(rows)))
    assert not {keys[row] for row in kept} & {keys[row] for row in held}
    if len(set(keys)) > 1:
        assert len(kept)
        assert len({keys[row] for row in held}) == min(
            max(1, round(fraction * len(set(keys)))), len(set(keys)) - 1
        )


def test_every_class_has_its_share() -> None:
    strata = ["a"] * 500 + ["b"] * 50 + ["c"] * 30
    drawn = [hold_out(range(580), strata, 0.1, seed)[1] for seed in (0, 0, 1, 2, 3, 4, 5)]
    for held in drawn:
        counts = Counter(strata[row] for row in held)
        assert all(abs(counts[name] - share) <= 1 for name, share in (("a", 50), ("b", 5), ("c", 3)))
    assert (drawn[0] == drawn[1]).all()
    assert len({tuple(held) for held in drawn}) == 6


def test_a_key_of_two_classes_counts_for_the_rarer() -> None:
    keys = [*range(400), *range(40)]
    strata = ["common"] * 400 + ["rare"] * 40  # whoever is of the rare class is of the common one as well
    for seed in range(3):
        _, held = hold_out(keys, strata, 0.1, seed)
        assert abs(sum(strata[row] == "rare" for row in held) - 4) <= 1

"""The generated pairs are what they say, and those to be tested on are others."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from elman.data import read_table


@pytest.fixture(scope="module")
def program() -> ModuleType:
    path = Path(__file__).parents[2] / "examples/pairs.py"
    spec = importlib.util.spec_from_file_location("pairs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(
    program: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> list[list[list[str]]]:
    names = [str(folder / name) for name in ("train.tsv", "test.tsv")]
    words = ["x", problem, "--rows", "300", "--test-rows", "200", "--out", names[0], "--test", names[1]]
    monkeypatch.setattr("sys.argv", words)
    program.main()
    return [list(read_table(name).columns.values()) for name in names]


@pytest.mark.parametrize("problem", ["reverse", "sort"])
def test_strings(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
    for (sources, targets), longest in zip(
        made(program, tmp_path, monkeypatch, problem), (30, 40), strict=True
    ):
        assert (min(map(len, sources)), max(map(len, sources))) == (5, longest)
        for source, target in zip(sources, targets, strict=True):
            assert target == ("".join(sorted(source)) if problem == "sort" else source[::-1])
        assert len(set("".join(sources))) == 26


def test_numbers(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for (sources, targets), rows in zip(
        made(program, tmp_path, monkeypatch, "numbers"), (300, 200), strict=True
    ):
        assert len(sources) == 4 * rows
        pairs = list(zip(sources, targets, strict=True))
        found = {target for source, target in pairs if source.startswith("digits: ")}
        assert found == {
            source.removeprefix("english: ")
            for source in sources
            if source.isascii() and source[-1].isdigit()
        }
        assert {len(number) for number in found} == {1, 2, 3, 4, 5, 6}
        seen.append(found)
        for source, target in pairs:
            if source.startswith("korean: "):
                assert (f"english: {target}", source.removeprefix("korean: ")) in pairs
    assert len(seen[0]) == 300
    assert not seen[0] & seen[1]


@pytest.mark.parametrize(
    ("number", "english", "korean"),
    [
        (0, "zero", "영"),
        (10, "ten", "십"),
        (19, "nineteen", "십구"),
        (80, "eighty", "팔십"),
        (111, "one hundred eleven", "백십일"),
        (1000, "one thousand", "천"),
        (10_000, "ten thousand", "만"),
        (11_001, "eleven thousand one", "만천일"),
        (305_070, "three hundred five thousand seventy", "삼십만오천칠십"),
        (999_999, "nine hundred ninety-nine thousand nine hundred ninety-nine", "구십구만구천구백구십구"),
    ],
)
def test_words_of_numbers(program: ModuleType, number: int, english: str, korean: str) -> None:
    assert (program.english(number), program.korean(number)) == (english, korean)

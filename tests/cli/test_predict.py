"""`elman predict`: words, files and standard input; lines, JSON and files out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from elman.errors import InputError
from elman.tasks._inputs import Unreadable, stdin_groups, text_groups
from tests.cli.running import Ran

Elman = Callable[..., Ran]


def _stdin(monkeypatch: pytest.MonkeyPatch, *pieces: bytes) -> None:
    """Standard input that hands out one piece a read, as a pipe does."""

    class Pipe(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return next(rest, b"")

    rest = iter(pieces)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe()))


def test_words_files_and_pipes_are_answered_alike(
    elman: Elman, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lines.txt").write_text("강은\nthe river\n", encoding="utf-8")
    words = elman("predict", trained, "강은", "the river")
    assert words.code == 0
    assert len(words.out.splitlines()) == 2
    _stdin(monkeypatch, "강은\n".encode(), b"the river\n")
    assert elman("predict", trained, "lines.txt").out == words.out == elman("predict", trained, "-").out


def test_json_and_json_lines(elman: Elman, trained: Path) -> None:
    whole = json.loads(elman("predict", trained, "강", "다", "--json", "--top-k", "2").out)
    lines = elman("predict", trained, "강", "다", "--jsonl", "--top-k", "2").out.splitlines()
    assert whole["predictions"] == [json.loads(line) for line in lines]
    assert [guess["text"] for guess in whole["predictions"]] == ["강", "다"]
    assert [len(guess["next"]) for guess in whole["predictions"]] == [2, 2]
    assert all(0 < following["probability"] < 1 for following in whole["predictions"][0]["next"])


def test_a_file_is_written_once(elman: Elman, trained: Path, tmp_path: Path) -> None:
    assert elman("predict", trained, "강", "--out", "answers.txt").out == ""
    wanted = elman("predict", trained, "강").out
    assert (tmp_path / "answers.txt").read_text(encoding="utf-8") == wanted
    again = elman("predict", trained, "다", "--out", "answers.txt")
    assert (again.code, again.out) == (2, "")
    assert "is there already" in again.err
    assert (tmp_path / "answers.txt").read_text(encoding="utf-8") == wanted


def test_flags_are_those_of_the_runs_task(elman: Elman, trained: Path) -> None:
    assert "--top-k" in elman("predict", trained, "--help").out
    assert "--top-k" not in elman("predict", "--help").out
    assert "no such run folder" in elman("predict", "no-run", "강").err
    assert "unknown flag --top. Did you mean --top-k?" in elman("predict", trained, "강", "--top", "2").err
    assert "top_k is 0, expected at least 1" in elman("predict", trained, "강", "--top-k", "0").err


def test_lines_are_answered_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    _stdin(monkeypatch, "하나\r\n둘\n세".encode(), "엣\n\n".encode(), b"last")
    assert list(stdin_groups()) == [["하나", "둘"], ["세엣", ""], ["last"]]
    _stdin(monkeypatch, b"\n", b"a\n")
    assert list(stdin_groups()) == [[""], ["a"]]
    _stdin(monkeypatch)
    assert list(stdin_groups()) == []
    _stdin(monkeypatch, b"x\n" * 600)
    assert [len(group) for group in stdin_groups()] == [256, 256, 88]


def test_bytes_that_are_no_text_are_told_with_their_line(
    elman: Elman, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stdin(monkeypatch, "강\n".encode(), b"\xb0\xa1\n")
    ran = elman("predict", trained, "-")
    assert ran.code == 2
    assert "standard input, line 2: byte 0 is not UTF-8" in ran.err
    assert len(ran.out.splitlines()) == 1


def test_a_word_too_long_for_a_file_name_is_a_text() -> None:
    assert list(text_groups(["가" * 5000])) == [["가" * 5000]]


def test_a_long_text_is_no_path(elman: Elman, trained: Path) -> None:
    assert elman("predict", trained, "the river " * 100).code == 0


def test_nothing_to_answer_is_told(elman: Elman, trained: Path) -> None:
    ran = elman("predict", trained)
    assert ran.code == 2
    assert "texts, files, or -" in ran.err


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0c"])
def test_a_file_has_the_lines_of_a_pipe(odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = f"one{odd}still one\r\n\ntwo\n".encode()
    (tmp_path / "lines.txt").write_bytes(lines)
    _stdin(monkeypatch, lines)
    piped = [line for group in text_groups(["-"]) for line in group]
    assert piped == [f"one{odd}still one", "", "two"]
    assert [line for group in text_groups([str(tmp_path / "lines.txt")]) for line in group] == piped


def test_a_line_that_is_no_text_comes_behind_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _stdin(monkeypatch, b"one\ntwo\n\xff\nthree\n")
    groups = text_groups(["-"])
    assert next(groups) == ["one", "two"]
    with pytest.raises(InputError, match="standard input, line 3: byte 0 is not UTF-8"):
        next(groups)
    _stdin(monkeypatch, b"one\n\xff\nthree\n")
    (lines,) = text_groups(["-"], unreadable=True)
    assert [isinstance(line, Unreadable) for line in lines] == [False, True, False]
    assert "line 2" in lines[1]

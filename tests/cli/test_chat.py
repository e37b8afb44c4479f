"""`elman chat`: a conversation from a pipe and from a terminal, its commands, what it refuses."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from elman.tasks.translate import Translator
from tests.cli.running import Ran

Elman = Callable[..., Ran]


@pytest.fixture(scope="session")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "chat"
    table = {"q": ["안녕", "잘 가", "hello", "bye"] * 8, "a": ["반가워", "또 봐", "hi there", "see you"] * 8}
    Translator(cell="gru", hidden_size=16, embedding=12, learning_rate=0.02, epochs=60, validation=0).fit(
        table, out=out
    )
    return out


def heard(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_lines_of_a_pipe_are_answered(elman: Elman, chatting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard(monkeypatch, "안녕", "", "bye")
    ran = elman("chat", chatting)
    assert (ran.code, ran.out.splitlines()) == (0, ["반가워", "see you"])


def test_json_holds_every_turn(elman: Elman, chatting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard(monkeypatch, "안녕", "/quit", "bye")
    turns = json.loads(elman("chat", chatting, "--json").out)["turns"]
    assert turns == [{"said": "안녕", "answered": "반가워"}]


def test_save_writes_what_was_said_since_reset(
    elman: Elman, chatting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard(monkeypatch, "안녕", "/reset", "hello", "bye", "/save talk.txt", "/save talk.txt", "/save")
    ran = elman("chat", chatting)
    assert (tmp_path / "talk.txt").read_text(encoding="utf-8") == "hello\nhi there\nbye\nsee you\n"
    assert "talk.txt: is there already" in ran.err
    assert "which file?" in ran.err
    assert ran.code == 2


def test_what_is_wrong_is_told_and_the_rest_goes_on(
    elman: Elman, chatting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard(monkeypatch, "/hlep", "/temperature hot", "/temperature -1", "a" * 400, "hello", "hellö")
    ran = elman("chat", chatting)
    assert ran.code == 2
    assert ran.out.splitlines()[0] == "hi there"
    for told in (
        "Did you mean 'help'",
        "/temperature is 'hot'",
        "temperature is -1",
        "has 400 symbols",
        "training: 'ö'",
    ):
        assert told in ran.err


def test_temperature_draws(elman: Elman, chatting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*lines: str, flags: tuple[str, ...] = ()) -> list[str]:
        heard(monkeypatch, *lines)
        return elman("chat", chatting, "--seed", "3", "--max-length", "12", *flags).out.splitlines()

    bold = said(*["hello"] * 6, flags=("--temperature", "4"))
    assert len(set(bold)) > 1
    assert said("/temperature 4", *["hello"] * 6) == bold
    assert said("hello", "/temperature 0", "hello", flags=("--temperature", "4"))[1] == "hi there"
    assert said("hello", "/reset", "hello", flags=("--temperature", "4")) == [bold[0]] * 2
    assert said("hello", flags=("--temperature", "4", "--top-k", "1")) == ["hi there"]


def test_a_terminal_prompts_and_remembers(
    elman: Elman, chatting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    lines = iter(["안녕", "/nothing", "/help"])
    prompts = []

    def typed(prompt: str) -> str:
        prompts.append(prompt)
        if (line := next(lines, None)) is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", typed)
    ran = elman("chat", chatting)
    assert ran.code == 0
    assert prompts == ["> "] * 4
    assert "반가워" in ran.out
    assert "/save FILE" in ran.out
    assert "/help tells the rest" in ran.err
    assert (tmp_path / "state" / "elman" / "chat_history").is_file()


def test_only_a_translator_talks(elman: Elman, trained: Path) -> None:
    ran = elman("chat", trained)
    assert ran.code == 2
    assert "a run of the task 'language-model', which answers no texts; expected translate" in ran.err

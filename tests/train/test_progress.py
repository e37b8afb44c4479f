"""What a user sees while training."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from elman.train import loop, progress, progress_on
from tests.train.running import train


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_quiet_is_none() -> None:
    assert progress_on(_Terminal(), quiet=True) is None


def test_plain_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    stream = io.StringIO()
    train(tmp_path / "run", progress=progress_on(stream))
    lines = stream.getvalue().splitlines()
    number = r"\d+\.\d{4}"
    scores = f"train_loss {number}  validation_loss {number}  accuracy {number}"
    assert len(lines) == 2
    assert re.fullmatch(rf"epoch 1  step 11  {scores}  [\d,]+ symbols/s  0:\d\d left", lines[0])
    assert re.fullmatch(rf"epoch 1.818  step 20  {scores}  [\d,]+ symbols/s  0:00 left", lines[1])


def test_lines_are_few_but_the_last_one_comes(tmp_path: Path) -> None:
    stream = io.StringIO()
    train(tmp_path / "run", progress=progress_on(stream), evaluate_every=1)
    lines = stream.getvalue().splitlines()
    assert len(lines) < 20
    assert "step 1 " in lines[0]
    assert "step 20 " in lines[-1]


def test_signs_of_life_between_evaluations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "ALIVE_SECONDS", 0)
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", 0)
    stream = io.StringIO()
    train(tmp_path / "run", progress=progress_on(stream), max_steps=3)
    assert re.match(r"step 1  train_loss \d\.\d{4}  [\d,]+ symbols/s", stream.getvalue())


def test_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", 0)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal()
    train(tmp_path / "run", progress=progress_on(stream))
    shown = stream.getvalue()
    assert "step 20  loss" in shown
    assert "accuracy 0." in shown
    assert re.search(r"epoch 1  step 11  train_loss", shown)


def test_resume_says_where(tmp_path: Path) -> None:
    train(tmp_path / "run", max_steps=15)
    stream = io.StringIO()
    train(tmp_path / "run", resume=True, progress=progress_on(stream))
    assert "at step 15" in stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"max_minutes": 10.0}])
def test_redraws_are_few(tmp_path: Path, options: dict[str, Any]) -> None:
    calls: list[float] = []

    class Counting(progress.Lines):
        def advance(self, status: progress.Status) -> None:
            calls.append(status.fraction)

    _, history, _ = train(tmp_path / "run", progress=Counting(lambda line: None), max_steps=200, **options)
    assert len(calls) <= history.seconds / loop.PROGRESS_SECONDS + 1

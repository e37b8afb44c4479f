"""The command line, run inside the test; a small text and a small run to use it on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from elman.cli import main
from elman.tasks.language_model import LanguageModel
from tests.cli.running import Ran


@pytest.fixture
def elman(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Ran]:
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toy.txt"
    lines = ("강은 바다로 간다.\n", "the river runs to the sea.\n", "물은 흐른다.\n")
    path.write_text("".join(lines[i * i % 5 % 3] for i in range(40)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    LanguageModel(cell="gru", hidden_size=8, batch_size=4, sequence_length=10, max_steps=10).fit(
        text, out=out
    )
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run of its own, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "run"))

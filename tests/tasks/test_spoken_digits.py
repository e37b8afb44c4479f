"""The strings of spoken digits are made of the recordings that were asked for, in the order of their texts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from elman.data import read_table

PAUSE = (0.05, 0.4)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    path = Path(__file__).parents[2] / "examples/spoken_digits.py"
    spec = importlib.util.spec_from_file_location("spoken_digits", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steady values in place of speech: speaker, digit and index can be read off the samples."""
    folder = tmp_path_factory.mktemp("recordings")
    for digit in range(10):
        for speaker, value in (("ada", 0.1), ("bo", 0.5)):
            for index in range(3):
                samples = np.full(800 + 100 * digit, value + 0.03 * digit + 0.01 * index)
                soundfile.write(folder / f"{digit}_{speaker}_{index}.wav", samples, 8000)
    return folder


def _made(
    program: ModuleType, recordings: Path, out: Path, monkeypatch: pytest.MonkeyPatch, words: str = ""
) -> list[tuple[np.ndarray, str, str]]:
    monkeypatch.setattr("sys.argv", f"x {recordings} --out {out} --strings 60 {words}".split())
    program.main()
    columns = read_table(out / "strings.csv").columns
    sounds = [soundfile.read(out / name)[0] for name in columns["sound"]]
    return list(zip(sounds, columns["text"], columns["speaker"], strict=True))


def test_sounds_say_their_texts(
    program: ModuleType, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sound, text, speaker in _made(program, recordings, tmp_path, monkeypatch, "--indices 1"):
        said = [program.WORDS.index(word) for word in text.split()]
        base = {"ada": 0.11, "bo": 0.51}[speaker]
        loudest = base + 0.03 * max(said)
        heard = np.repeat([base + 0.03 * digit for digit in said], [800 + 100 * digit for digit in said])
        assert 1 <= len(said) <= 5
        pauses = (len(sound) - len(heard)) / 8000 / (len(said) + 1)
        assert PAUSE[0] <= pauses <= PAUSE[1]
        loud = np.convolve(np.abs(sound), np.ones(201) / 201, "same") > base / 2
        assert loud.mean() == pytest.approx(len(heard) / len(sound), abs=0.1)
        assert np.median(sound[loud]) <= loudest + 0.05
        assert sound[:300].std() > 1e-3 * base  # noise from the first sample on


def test_speakers_and_recordings_are_left_out(
    program: ModuleType, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, speakers in (("", {"ada", "bo"}), ("--without bo", {"ada"}), ("--only bo", {"bo"})):
        made = _made(program, recordings, tmp_path / words.replace(" ", ""), monkeypatch, words)
        assert {speaker for _, _, speaker in made} == speakers
        assert {len(text.split()) for _, text, _ in made} == {1, 2, 3, 4, 5}
    few, _ = program.read_recordings(recordings, set(), {"ada"}, program.numbers("0,2"))
    values = sorted(round(float(samples[0]) - 0.1 - 0.03 * digit, 2) for digit, samples in few["ada"])
    assert values == [0.0] * 10 + [0.02] * 10


def test_the_seed_decides(
    program: ModuleType, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        [text for _, text, _ in _made(program, recordings, tmp_path / str(k), monkeypatch, f"--seed {seed}")]
        for k, seed in enumerate((3, 3, 4))
    ]
    assert texts[0] == texts[1] != texts[2]
    same = [(tmp_path / str(k) / "00007.wav").read_bytes() for k in range(2)]
    assert same[0] == same[1]


def test_nothing_left_is_told(
    program: ModuleType, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="0 sample rates"):
        _made(program, recordings, tmp_path, monkeypatch, "--only nobody")

"""The event file as TensorBoard itself reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from elman.runfolder import RunFolder
from elman.train.tensorboard import TensorBoard
from tests.train.running import train


def _events(path: Path) -> list[Event]:
    (file,) = (path / "tensorboard").iterdir()
    return [Event.FromString(raw) for raw in RawEventFileLoader(str(file)).Load()]


def _scalars(path: Path) -> list[tuple[int, dict[str, float]]]:
    header, *rest = _events(path)
    assert header.file_version == "brain.Event:2"
    return [(event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in rest]


def _expected(run: RunFolder) -> list[tuple[int, dict[str, float]]]:
    kept = [{k: v for k, v in r.items() if k not in ("step", "seconds", "sample")} for r in run.metrics()]
    return [(r["step"], pytest.approx(k, rel=1e-6)) for r, k in zip(run.metrics(), kept, strict=True)]


def test_scalars_are_the_metrics(tmp_path: Path) -> None:
    run = train(tmp_path / "run", evaluate_every=6)[2]
    assert _scalars(run.path) == _expected(run)
    assert len(_scalars(run.path)) == 4


def test_resume_leaves_one_file_with_all(tmp_path: Path) -> None:
    train(tmp_path / "run", evaluate_every=6)
    run = train(tmp_path / "run", resume=True, evaluate_every=6, max_steps=24)[2]
    assert _scalars(run.path) == _expected(run)


def test_time_and_large_numbers(tmp_path: Path) -> None:
    board = TensorBoard(RunFolder.create(tmp_path / "run"), [])
    board.add({"step": 2**40 + 5, "seconds": 90.0, "한글": 1.5, "name": "text", "missing": None})
    header, event = _events(tmp_path / "run")
    assert event.wall_time - header.wall_time == pytest.approx(90)
    assert _scalars(tmp_path / "run") == [(2**40 + 5, {"한글": 1.5})]

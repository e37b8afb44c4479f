"""A training that is stopped, in whatever way, and resumed ends with the same bits as one that never was."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.train import Interrupted, TrainingOptions, fit, seed
from tests.train.running import assert_same_run, records, start, train
from tests.train.toy import Toy

OPTIONS = ("epochs=20", "evaluate_every=7", "checkpoint_seconds=0.03", "learning_rate=0.01")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of an undisturbed training."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    _finish(path)
    return path


def _finish(path: Path, *words: str) -> None:
    with start("slow", path, *OPTIONS, *words) as program:
        _, said = program.communicate()
    assert program.returncode == 0, said


def _stop(path: Path, lines: int, how: signal.Signals, *words: str) -> tuple[int, str]:
    """Send a signal some milliseconds after the metrics have so many lines; gives exit code and stderr."""
    metrics = path / "metrics.jsonl"
    with start("slow", path, *words) as program:
        while program.poll() is None and not (
            metrics.is_file() and metrics.read_bytes().count(b"\n") >= lines
        ):
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.03))
        program.send_signal(how)
        _, said = program.communicate()
    return program.returncode, said


def test_killed_at_random_moments(whole: Path, tmp_path: Path) -> None:
    path, resume = tmp_path / "cut", ()
    for lines in (0, 7, 15, 24):
        code, _ = _stop(path, lines, signal.SIGKILL, *OPTIONS, *resume)
        assert code == -signal.SIGKILL
        resume = ("--resume",) if (path / "config.json").is_file() else ()
    assert 24 <= len(records(path)) < len(records(whole))
    _finish(path, "--resume")
    assert_same_run(whole, path)


def test_signal_saves_and_stops(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    options = [option for option in OPTIONS if "checkpoint" not in option]  # the signal alone must save
    code, said = _stop(path, 4, signal.SIGTERM, *options)
    assert code == 130
    step = RunFolder(path).read_metadata("checkpoint/last.safetensors")["position"]["step"]
    assert 28 <= step < 220
    assert f"interrupted at step {step}" in said
    _finish(path, "--resume")
    assert_same_run(whole, path)


class _Interrupting(Toy):
    """Presses Ctrl-C during a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def loss(self, batch, carry):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
        return super().loss(batch, carry)


@pytest.mark.parametrize("step", [1, 5, 11, 12, 19])
def test_interrupted_at_any_step(tmp_path: Path, step: int) -> None:
    seed(0)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as stop:
        train(tmp_path / "cut", _Interrupting(step), epochs=2, max_steps=None, evaluate_every=4)
    assert stop.value.step == step
    assert signal.getsignal(signal.SIGINT) is before
    train(tmp_path / "cut", resume=True, epochs=2, max_steps=None, evaluate_every=4)
    train(tmp_path / "whole", epochs=2, max_steps=None, evaluate_every=4)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_interrupted_between_best_and_last(tmp_path: Path) -> None:
    """The best weights are older than the last: both survive the interruption."""
    rising = {"learning_rate": 3.0, "decay": "none", "evaluate_every": 2, "clip_norm": 0.0}
    _, whole, _ = train(tmp_path / "whole", **rising)
    assert whole.best_step == 2
    seed(0)
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", _Interrupting(13), **rising)
    (tmp_path / "cut" / "model.safetensors").unlink()
    _, resumed, _ = train(tmp_path / "cut", resume=True, **rising)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    assert resumed.best_step == whole.best_step


def test_resume_of_a_finished_run_does_nothing(tmp_path: Path) -> None:
    _, first, run = train(tmp_path / "run")
    before = (run.path / "metrics.jsonl").read_bytes()
    _, again, _ = train(tmp_path / "run", resume=True)
    assert (again.steps, again.records) == (first.steps, first.records)
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_more_epochs_go_on(tmp_path: Path) -> None:
    train(tmp_path / "run", decay="none", max_steps=22)
    _, history, _ = train(tmp_path / "run", resume=True, decay="none", max_steps=33)
    train(tmp_path / "whole", decay="none", max_steps=33)
    assert history.steps == 33
    assert [{**r, "sample": ""} for r in records(tmp_path / "run")] == [
        {**r, "sample": ""} for r in records(tmp_path / "whole")
    ]


def test_other_data_are_refused(tmp_path: Path) -> None:
    run = train(tmp_path / "run")[2]
    with pytest.raises(InputError, match="its data is not the one given now"):
        fit(
            Toy(),
            TrainingOptions(),
            run,
            resume=True,
            config={"task": "toy", "options": {}, "data": {"a": 1}},
        )


def test_a_training_is_never_written_over(tmp_path: Path) -> None:
    run = train(tmp_path / "run")[2]
    with pytest.raises(InputError, match=r"--resume to continue it or --overwrite"):
        fit(Toy(), TrainingOptions(), run)


def test_checkpoints_change_no_result(tmp_path: Path) -> None:
    train(tmp_path / "often", checkpoint_seconds=0)
    train(tmp_path / "seldom", checkpoint_seconds=1000)
    assert_same_run(tmp_path / "often", tmp_path / "seldom")

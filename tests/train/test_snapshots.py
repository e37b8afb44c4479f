"""Weights kept from the course of a training: which, how many, and that stopping and resuming changes none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.train import History, Progress, seed, snapshots
from elman.train.checkpoint import weights
from tests.train.running import assert_same, tensors, train
from tests.train.toy import Toy


def names(path: Path) -> list[str]:
    return sorted(file.name for file in (path / "snapshots").glob("*"))


@pytest.mark.parametrize("most", range(12))
def test_never_more_than_asked_for_and_none_comes_back(most: int) -> None:
    before: set[int] = set()
    for evaluations in range(600):
        found = snapshots.kept(evaluations, most)
        assert len(found) <= most
        assert set(found) <= before | {evaluations}
        assert (0 in found) == (most > 0)
        if most > 4:
            assert max(found) >= evaluations / 8
        before = set(found)


class Watched(Progress):
    """Remembers the weights at each evaluation."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.seen = {0: self._now()}

    def _now(self) -> dict[str, np.ndarray]:
        return {name: tensor.numpy().copy() for name, tensor in weights(self.model).items()}

    def evaluated(self, record: Any, status: Any) -> None:
        self.seen[record["step"]] = self._now()


def watched(path: Path, **options: Any) -> tuple[Watched, History]:
    seed(0)
    problem = Toy()
    progress = Watched(problem.model)
    return progress, train(path, problem, progress=progress, **options)[1]


def test_they_are_the_weights_of_their_step(tmp_path: Path) -> None:
    progress, history = watched(tmp_path / "run", max_steps=33, evaluate_every=3)
    assert history.best_step == 33  # the result: model.safetensors
    assert snapshots.steps(RunFolder(tmp_path / "run")) == [0, 3, 6, 12, 24]
    for step in (0, 3, 6, 12, 24):
        assert_same(tensors(tmp_path / "run", f"snapshots/{step}.safetensors"), progress.seen[step])
        assert RunFolder(tmp_path / "run").read_metadata(snapshots.name(step)) == {"step": step}


def test_the_last_is_kept_where_it_is_not_the_best(tmp_path: Path) -> None:
    rising = {"learning_rate": 3.0, "decay": "none", "evaluate_every": 2, "clip_norm": 0.0, "max_steps": 10}
    progress, history = watched(tmp_path / "run", **rising)
    assert history.best_step == 2
    run = RunFolder(tmp_path / "run")
    assert snapshots.steps(run) == [0, 2, 4, 8, 10]
    assert_same(tensors(tmp_path / "run", "snapshots/10.safetensors"), progress.seen[10])
    train(tmp_path / "run", resume=True, **rising)  # nothing left to do, and nothing is lost
    assert snapshots.steps(run) == [0, 2, 4, 8, 10]
    train(tmp_path / "run", resume=True, **{**rising, "max_steps": 14})
    assert snapshots.steps(run) == [0, 2, 4, 8, 14]
    train(tmp_path / "run", resume=True, **{**rising, "max_steps": 14}, snapshots=0)
    assert names(tmp_path / "run") == []


def test_how_many_are_kept(tmp_path: Path) -> None:
    for most, found in ((0, []), (1, [0]), (2, [0, 16]), (4, [0, 4, 16])):
        train(tmp_path / str(most), max_steps=20, evaluate_every=2, snapshots=most)
        assert snapshots.steps(RunFolder(tmp_path / str(most))) == found
    assert not (tmp_path / "0" / "snapshots").exists()


def test_resumed_from_an_earlier_checkpoint(tmp_path: Path) -> None:
    """What was kept behind the checkpoint is of a course that is not gone on with."""
    path = tmp_path / "cut"
    whole, _ = watched(tmp_path / "whole", evaluate_every=2, snapshots=3)
    train(path, max_steps=6, evaluate_every=2, decay="none", snapshots=3)
    checkpoint = (path / "checkpoint" / "last.safetensors").read_bytes()
    train(path, resume=True, max_steps=20, evaluate_every=2, decay="none", snapshots=3)
    (path / "checkpoint" / "last.safetensors").write_bytes(checkpoint)
    before = tensors(path, "snapshots/16.safetensors")
    train(path, resume=True, max_steps=20, evaluate_every=2, decay="none", learning_rate=1e-3, snapshots=3)
    assert names(path) == names(tmp_path / "whole") == ["0.safetensors", "16.safetensors", "4.safetensors"]
    after = tensors(path, "snapshots/16.safetensors")
    assert not np.array_equal(before["rnn.weight_hh_l0"], after["rnn.weight_hh_l0"])
    assert_same(tensors(path, "snapshots/0.safetensors"), whole.seen[0])


def test_which_file_is_asked_for(tmp_path: Path) -> None:
    _, history, run = train(tmp_path / "run", evaluate_every=4)
    assert history.best_step == 20
    assert snapshots.file_of(run, None) == snapshots.file_of(run, 20) == "model.safetensors"
    assert snapshots.file_of(run, 8) == "snapshots/8.safetensors"
    with pytest.raises(
        InputError, match="the weights of step 7 are not kept; there are those of 0, 4, 8, 16"
    ):
        snapshots.file_of(run, 7)


def test_a_run_written_over_leaves_none(tmp_path: Path) -> None:
    train(tmp_path / "run", evaluate_every=4)
    RunFolder.create(tmp_path / "run", overwrite=True)
    assert names(tmp_path / "run") == []

"""Where a training ends: at its limits, for want of progress, at numbers that are not finite, on a full disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.train import Diverged, load_weights, loop, seed
from elman.train.progress import Lines
from tests.train.running import assert_same, tensors, train
from tests.train.toy import CHUNKS, Model, Toy


class _Scripted(Toy):
    """Validation losses as told, whatever the model does."""

    def __init__(self, losses: list[float]) -> None:
        seed(0)
        super().__init__()
        self.losses = iter(losses)
        self.seen: list[dict[str, torch.Tensor]] = []

    def validate(self) -> dict[str, float]:
        assert not self.model.training
        assert torch.is_inference_mode_enabled()
        self.seen.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        return {"loss": next(self.losses), "accuracy": 0.5}


def test_epochs(tmp_path: Path) -> None:
    _, history, _ = train(tmp_path / "run", epochs=3, max_steps=None)
    assert (history.steps, history.stopped) == (3 * CHUNKS, "epochs")
    assert [record["epoch"] for record in history.records] == [1, 2, 3]


def test_default_epochs(tmp_path: Path) -> None:
    _, history, _ = train(tmp_path / "run", max_steps=None)
    assert history.steps == 10 * CHUNKS


def test_max_steps(tmp_path: Path) -> None:
    _, history, _ = train(tmp_path / "run", max_steps=14)
    assert (history.steps, history.stopped) == (14, "max_steps")
    assert [record["step"] for record in history.records] == [11, 14]


def test_max_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(ticks) * 1.0)  # a second passes at every look
    _, history, _ = train(tmp_path / "run", max_steps=None, max_minutes=0.5, learning_rate=1e-3)
    assert history.stopped == "max_minutes"
    assert history.seconds == pytest.approx(30, abs=2)
    assert history.records[-1]["learning_rate"] < 0.2e-3  # cosine to a tenth of 1e-3, by the clock


def test_a_finished_training_is_not_continued_by_resuming(tmp_path: Path) -> None:
    """Only a limit that was raised goes on, also where the limit is the clock."""
    told: list[str] = []
    _, before, run = train(tmp_path / "run", max_steps=None, max_minutes=1e-4, evaluate_every=5)
    state = tensors(run.path, "checkpoint/last.safetensors")
    _, after, _ = train(
        run.path, resume=True, max_steps=None, max_minutes=1e-4, evaluate_every=5, progress=Lines(told.append)
    )
    assert (after.steps, after.stopped) == (before.steps, "max_minutes")
    assert_same(state, tensors(run.path, "checkpoint/last.safetensors"))
    assert any("the limit max_minutes was reached before" in line for line in told)
    _, more, _ = train(run.path, resume=True, max_steps=before.steps + 3)
    assert more.steps == before.steps + 3


def test_patience_keeps_the_best(tmp_path: Path) -> None:
    problem = _Scripted([3, 2, 2.5, 2.2, 2.1, 1])
    _, history, run = train(tmp_path / "run", problem, patience=3, evaluate_every=4, max_steps=40)
    assert (history.stopped, history.steps) == ("patience", 20)
    assert (history.best_step, history.best_loss) == (8, 2)
    best = problem.seen[1]
    assert not torch.equal(best["rnn.weight_hh_l0"], problem.seen[-1]["rnn.weight_hh_l0"])
    fresh = Model()
    load_weights(fresh, run)
    for name, tensor in best.items():
        assert torch.equal(tensor, problem.model.state_dict()[name])
        assert torch.equal(tensor, fresh.state_dict()[name])
    assert run.read_metadata("model.safetensors") == {"step": 8, "validation_loss": 2}


def test_the_last_weights_are_kept_if_asked_for(tmp_path: Path) -> None:
    problem = _Scripted([3, 2, 2.5])
    _, history, run = train(tmp_path / "run", problem, keep="last", evaluate_every=4, max_steps=10)
    assert (history.steps, history.best_step, history.best_loss) == (10, 10, 2.5)
    fresh = Model()
    load_weights(fresh, run)
    for name, tensor in problem.seen[-1].items():
        assert torch.equal(tensor, fresh.state_dict()[name])
    with pytest.raises(InputError, match="patience waits for a lower validation loss, and keep is last"):
        train(tmp_path / "other", keep="last", patience=3)


def test_train_loss_is_the_mean_over_items(tmp_path: Path) -> None:
    seen: list[float] = []

    class Recording(Toy):
        def loss(self, batch: Any, carry: Any) -> Any:
            loss = super().loss(batch, carry)
            seen.append(loss.total.item())
            return loss

    _, history, _ = train(tmp_path / "run", Recording(), max_steps=13)
    items = 4 * 5
    assert history.records[0]["train_loss"] == pytest.approx(sum(seen[:11]) / (11 * items), rel=1e-12)
    assert history.records[1]["train_loss"] == pytest.approx(sum(seen[11:]) / (2 * items), rel=1e-12)


def test_samples_at_powers_of_four_and_at_the_end(tmp_path: Path) -> None:
    problem, history, _ = train(tmp_path / "run", evaluate_every=1, max_steps=18)
    assert [r["step"] for r in history.records if "sample" in r] == [1, 4, 16, 18]
    assert problem.samples == 4


class _Poisoned(Toy):
    """A value that is not finite arises in one step, in a place of choice."""

    def __init__(self, step: int, place: str) -> None:
        seed(0)
        super().__init__()
        self.step, self.place, self.now = step, place, 0
        self.model.head.register_forward_hook(self._head)

    def _head(self, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output * math.inf if self.place == "layer" and self.now >= self.step else output

    def loss(self, batch: Any, carry: Any) -> Any:
        self.now += 1
        if self.now == self.step and self.place == "parameter":
            with torch.no_grad():
                self.model.rnn.weight_ih_l0[0, 0] = math.nan
        loss = super().loss(batch, carry)
        if self.now == self.step and self.place == "gradient":
            loss.total = (
                loss.total + (self.model.rnn.bias_hh_l0 * 0).abs().sqrt().sum()
            )  # slope of the root at 0
        if self.now == self.step and self.place == "loss":
            loss.total = loss.total * math.nan
        return loss


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("layer", r"the loss is (nan|inf), first seen in the output of layer head \(Linear\)"),
        ("loss", "the loss is nan, by itself"),
        ("gradient", "the gradient of parameter rnn.bias_hh_l0 holds NaN or infinity"),
        ("parameter", "parameter rnn.weight_ih_l0 holds NaN or infinity"),
    ],
)
def test_divergence_is_named_and_harms_nothing(tmp_path: Path, place: str, named: str) -> None:
    with pytest.raises(
        Diverged, match=rf"in step 16: {named}; the checkpoint of step 11 is kept.*--learning-rate"
    ):
        train(tmp_path / "run", _Poisoned(16, place))
    run = RunFolder.open(tmp_path / "run")
    assert all(torch.from_numpy(array).isfinite().all() for array in tensors(run.path).values())
    _, history, _ = train(tmp_path / "run", resume=True)  # without the poison
    assert history.steps == 20


def test_divergence_keeps_the_best_weights(tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        train(tmp_path / "run", _Poisoned(16, "loss"), evaluate_every=5, learning_rate=0.01)
    run = RunFolder.open(tmp_path / "run")
    assert [r["step"] for r in run.metrics()] == [5, 10, 15]
    assert run.read_metadata("model.safetensors")["step"] == 15  # later than the checkpoint
    assert run.read_metadata("checkpoint/last.safetensors")["position"]["step"] == 5


def test_divergence_before_the_first_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(
        Diverged, match=r"in step 2: .*; no checkpoint had been saved yet.*--clip-norm of 1\."
    ):
        train(tmp_path / "run", _Poisoned(2, "loss"), clip_norm=0.0)


def test_validation_that_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(
        Diverged, match="after step 8: the validation loss is nan; the checkpoint of step 4 is kept"
    ):
        train(tmp_path / "run", _Scripted([2, math.nan]), evaluate_every=4)
    assert tensors(tmp_path / "run")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_full_disk_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    """The temporary file of the next checkpoint stands on a disk that is full."""
    path = tmp_path / "run"

    class Filling(Toy):
        def validate(self) -> dict[str, float]:
            if (path / "model.safetensors").exists():
                (path / "checkpoint" / ".last.safetensors.tmp").symlink_to("/dev/full")
            return super().validate()

    seed(0)
    with pytest.raises(InputError, match=r"last\.safetensors: the disk is full"):
        train(path, Filling(), evaluate_every=5, checkpoint_seconds=0)
    assert RunFolder.open(path).read_metadata("checkpoint/last.safetensors")["position"]["step"] == 9
    train(path, resume=True, evaluate_every=5)
    train(tmp_path / "whole", evaluate_every=5)
    assert_same(tensors(tmp_path / "whole"), tensors(path))


def test_no_batches(tmp_path: Path) -> None:
    class Empty(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.batches = type("None", (), {"__len__": lambda self: 0})()

    with pytest.raises(InputError, match="no batch to train on"):
        train(tmp_path / "run", Empty())


def test_batches_that_end_early(tmp_path: Path) -> None:
    class Short(Toy):
        def __init__(self) -> None:
            super().__init__()
            whole = self.batches.epoch
            self.batches.epoch = lambda number, start=0: list(whole(number, start))[:-1]

    with pytest.raises(ValueError, match="epoch 0 ended after 10 of 11"):
        train(tmp_path / "run", Short())

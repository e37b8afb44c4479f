"""The checkpoint holds all and gives it back to the bit; a damaged one is refused by name."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.train import TrainingOptions, World, checkpoint, load_weights
from elman.train.checkpoint import Memory, Position
from elman.train.optimizer import Optimizer
from elman.train.randomness import RandomStates, seed
from tests.train.running import train
from tests.train.toy import Model

CPU = torch.device("cpu")
CARRY = {
    "h": torch.randn(2, 3),
    "layers": [(torch.randn(1, 2).double(), None), (torch.arange(3),)],
    "half": torch.randn(4).bfloat16(),
}


def _saved(run: RunFolder, carry: Any = None, position: Position | None = None) -> tuple[Model, Optimizer]:
    model = Model()
    optimizer = Optimizer(dict(model.named_parameters()), TrainingOptions())
    for tensor in optimizer.tensors().values():
        tensor.copy_(torch.randn_like(tensor))
    memory = Memory(RandomStates.take(CPU), carry)
    checkpoint.save(run, position or Position(), model, optimizer, {}, [memory])
    return model, optimizer


def _restored(run: RunFolder, method: str = "adam", size: int = 1) -> tuple[Model, Optimizer, Position, Any]:
    model = Model()
    optimizer = Optimizer(dict(model.named_parameters()), TrainingOptions(optimizer=method))
    position, _, carry = checkpoint.restore(run, checkpoint.read(run), model, optimizer, World(0, size))
    return model, optimizer, position, carry


def test_everything_comes_back(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    position = Position(step=7, seconds=1.25, loss_sum=0.1 + 0.2, best_loss=1 / 3, metrics_bytes=99)
    model, optimizer = _saved(run, CARRY, position)
    again, updates, place, carry = _restored(run)
    assert place == position
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(updates.tensors(), optimizer.tensors(), rtol=0, atol=0)
    torch.testing.assert_close(carry, CARRY, rtol=0, atol=0)
    assert type(carry["layers"][0]) is tuple
    assert again.head.weight is again.embedding.weight


def test_random_states_come_back(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.gauss(0, 1), random.random(), np.random.randn(), torch.randn(()).item()]

    run = RunFolder.create(tmp_path / "run")
    seed(3)
    random.gauss(0, 1)  # leaves a spare number in Python's and NumPy's state
    np.random.randn()
    _saved(run)
    after = draw()
    seed(4)
    _restored(run)
    assert draw() == after


def test_a_tied_weight_is_stored_once(tmp_path: Path) -> None:
    assert "head.weight" not in checkpoint.weights(Model())
    run = train(tmp_path / "run")[2]
    assert "head.weight" not in run.read_tensors("model.safetensors")
    model = Model()
    load_weights(model, run)
    assert model.head.weight is model.embedding.weight


def test_a_carry_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="carry: set, expected None, a tensor"):
        _saved(RunFolder.create(tmp_path / "run"), {"h": {1, 2}})


def test_other_settings_are_refused(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    _saved(run)
    with pytest.raises(InputError, match="saved with --optimizer adam, not sgd"):
        _restored(run, method="sgd")
    with pytest.raises(InputError, match="saved by 1 processes, not 2"):
        _restored(run, size=2)


def _change(run: RunFolder, tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Change the checkpoint; None removes."""
    arrays: dict[str, Any] = {**run.read_tensors(checkpoint.NAME), **tensors}
    values = {**run.read_metadata(checkpoint.NAME), **metadata}
    kept = {name: array for name, array in arrays.items() if array is not None}
    run.write_tensors(
        checkpoint.NAME, kept, {name: value for name, value in values.items() if value is not None}
    )


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        ({"model/embedding.weight": None}, {}),
        ({"model/embedding.weight": np.zeros((7, 5), np.float32)}, {}),
        ({"model/embedding.weight": np.zeros((7, 6), np.float64)}, {}),
        ({"optimizer/exp_avg/embedding.weight": None}, {}),
        ({"process0/random/numpy": None}, {}),
        ({"process0/random/cpu": np.zeros(3, np.uint8)}, {}),
        ({}, {"position": None}),
        ({}, {"position": {"step": "many"}}),
        ({}, {"position": {"step": -1}}),
        ({}, {"position": {"steps": 1}}),
        ({}, {"processes": [{"random": {}, "carry": None}]}),
        (
            {},
            {
                "processes": [
                    {"random": {"python": [3, None], "numpy": [1, 0, 0.0]}, "carry": {"tensor": "x"}}
                ]
            },
        ),
    ],
)
def test_damage_is_refused(tmp_path: Path, tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
    run = train(tmp_path / "run")[2]
    _change(run, tensors, metadata)
    before = (run.path / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"last\.safetensors: damaged"):
        train(tmp_path / "run", resume=True, max_steps=30)
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_metrics_shorter_than_the_checkpoint_says(tmp_path: Path) -> None:
    run = train(tmp_path / "run")[2]
    (run.path / "metrics.jsonl").write_text(json.dumps({"step": 1}) + "\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl: damaged, 12 bytes"):
        train(tmp_path / "run", resume=True)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    run = train(tmp_path / "run")[2]
    with pytest.raises(
        InputError, match=r"model\.safetensors: damaged or of another model, tensor '0.weight'"
    ):
        load_weights(torch.nn.Sequential(torch.nn.Linear(2, 2)), run)

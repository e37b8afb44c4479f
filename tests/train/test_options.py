"""Every option changes the result, and what would do nothing is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman.errors import InputError
from elman.train import TrainingOptions, choose_device
from tests.train.running import tensors, train

# How each option must show: another last state, or another number of steps, evaluations or threads.
STATE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "learning_rate": ({}, {"learning_rate": 2e-3}),
    "optimizer": ({"weight_decay": 0.1}, {"weight_decay": 0.1, "optimizer": "adamw"}),
    "momentum": ({"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0.5}),
    "weight_decay": ({}, {"weight_decay": 0.1}),
    "warmup_steps": ({}, {"warmup_steps": 3}),
    "decay": ({}, {"decay": "none"}),
    "final_learning_rate": ({}, {"final_learning_rate": 0.5}),
    "clip_norm": ({}, {"clip_norm": 0.1}),
    "seed": ({}, {"seed": 1}),
    "precision": ({}, {"precision": "bfloat16"}),
}
ELSEWHERE = {  # tested there
    "epochs": "test_stops",
    "max_steps": "test_stops",
    "max_minutes": "test_stops",
    "keep": "test_stops",
    "patience": "test_stops",
    "evaluate_every": "test_stops",
    "checkpoint_seconds": "test_resume",
    "snapshots": "test_snapshots",
    "device": "below",
    "threads": "below",
    "batch_size": "the data's business",
}


def test_no_option_is_forgotten() -> None:
    assert {field.name for field in dataclasses.fields(TrainingOptions)} == set(STATE) | set(ELSEWHERE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    path = tmp_path_factory.mktemp("runs") / "plain"
    train(path)
    return tensors(path, "checkpoint/last.safetensors")


@pytest.mark.parametrize("name", STATE)
def test_option_changes_the_weights(name: str, plain: dict[str, np.ndarray], tmp_path: Path) -> None:
    before, options = STATE[name]
    if before:
        train(tmp_path / "before", **before)
        plain = tensors(tmp_path / "before", "checkpoint/last.safetensors")
    train(tmp_path / "run", **options)
    changed = tensors(tmp_path / "run", "checkpoint/last.safetensors")
    assert not np.array_equal(plain["model/rnn.weight_hh_l0"], changed["model/rnn.weight_hh_l0"])


def test_threads(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        train(tmp_path / "run", threads=before + 1, max_steps=1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="finds no GPU"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError, match="process 2 of this machine has no GPU of its own, there are 2"):
        choose_device("auto")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 0.9}, "momentum is 0.9, but optimizer adam has none"),
        ({"decay": "none", "final_learning_rate": 0.5}, "final_learning_rate is 0.5, but decay is none"),
        ({"learning_rate": float("nan")}, "learning_rate is nan, expected a finite number"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0, expected at least 0"),
        ({"optimizer": "adm"}, "unknown optimizer 'adm'. Did you mean 'adam'?"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        TrainingOptions(**options).check()
    assert message in str(error.value)


def test_dropout_follows_the_seed_alone(tmp_path: Path, plain: dict[str, np.ndarray]) -> None:
    torch.rand(5)  # what was drawn before the training does not matter
    train(tmp_path / "run")
    again = tensors(tmp_path / "run", "checkpoint/last.safetensors")
    np.testing.assert_array_equal(plain["model/rnn.weight_hh_l0"], again["model/rnn.weight_hh_l0"])

"""Running the toy problem, here and as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from elman.runfolder import RunFolder
from elman.train import History, Progress, TrainingOptions, fit, seed
from tests.train.toy import Toy

TOY = Path(__file__).with_name("toy.py")
CLOCKED = ("seconds", "items_per_second")


def train(
    path: Path,
    problem: Any = None,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[Any, History, RunFolder]:
    """Train the toy problem (or another) in this process."""
    settings = TrainingOptions(**{"max_steps": 20, **options})
    if problem is None:
        seed(settings.seed)
        problem = Toy()
    run = RunFolder.open(path) if resume else RunFolder.create(path)
    config = {"task": "toy", "options": {}, "data": {}}
    return problem, fit(problem, settings, run, resume=resume, progress=progress, config=config), run


def start(kind: str, path: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start the toy program."""
    return subprocess.Popen(
        [sys.executable, str(TOY), kind, str(path), *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def tensors(path: Path, name: str = "model.safetensors") -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(path / name)


def records(path: Path) -> list[dict[str, Any]]:
    """The metrics without what the clock decides."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCKED} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    """Equal to the bit: best weights, all of the last state, metrics, weights kept on the way."""
    assert records(one) == records(other)
    kept = [
        sorted(f"snapshots/{file.name}" for file in (run / "snapshots").iterdir()) for run in (one, other)
    ]
    assert kept[0] == kept[1]
    for name in ("model.safetensors", "checkpoint/last.safetensors", *kept[0]):
        assert_same(tensors(one, name), tensors(other, name))


def assert_same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    assert set(one) == set(other)
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        np.testing.assert_array_equal(array, other[name], err_msg=name, strict=True)

"""Every task's model leaves for ONNX: trained for a moment on its own example, exported, and run in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman import cells, tasks
from elman import graph as graphs
from elman.graph import Graph
from elman.interop.checking import made_up
from elman.interop.onnx import read, write

from .onnx_models import by_runtime

TASKS = ("language-model", "classify", "regress", "tag", "fill", "forecast")
"""Those whose model is one graph; the others read one sequence and write another."""


def _trained(name: str, folder: Path, **options: Any) -> Graph:
    task = tasks.get(name)
    files, reading = task.example(folder)
    small = {"hidden_size": 6, "batch_size": 4, "decay": "none", "threads": 1, "max_steps": 2}
    task(**{**small, **reading, **options}).fit([str(file) for file in files], out=folder / "run")
    return graphs.load(folder / "run")


def _check(graph: Graph, folder: Path) -> None:
    write(graph, folder / "model.onnx")
    back = read(folder / "model.onnx")
    for batch, size in ((2, 90), (5, 70)):
        given = made_up(graph, batch, size)
        expected = graphs.run(graph, given)
        for found in (by_runtime(str(folder / "model.onnx"), given), graphs.run(back, given)):
            for name, array in expected.items():
                np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", TASKS)
def test_a_task(name: str, tmp_path: Path) -> None:
    _check(_trained(name, tmp_path), tmp_path)


@pytest.mark.parametrize("cell", [name for name in cells.names() if "onnx" in cells.get(name).layouts])
def test_a_language_model_of_each_cell(cell: str, tmp_path: Path) -> None:
    graph = _trained("language-model", tmp_path, cell=cell, num_layers=2)
    _check(graph, tmp_path)
    write(graph, tmp_path / "step.onnx", step=True)

"""Runs that are old, damaged or patched together: told in a line, never half loaded."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
import elman.runtime
from elman.errors import InputError
from elman.runfolder import RunFolder
from tests.runtime.conftest import OPTIONS, Trained

Give = Callable[[str], Trained]
ONE_EACH = pytest.mark.parametrize("name", elman.runtime.tasks())


@pytest.fixture
def copied(trained: Give, tmp_path: Path) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(trained(name).run, tmp_path / name))

    return copy


@ONE_EACH
def test_a_run_without_a_graph_names_the_remedy(name: str, copied: Callable[[str], Path]) -> None:
    run = copied(name)
    (run / "graph.json").unlink()
    with pytest.raises(
        InputError, match=r"has no graph\.json.*elman\.load where torch is installed, or train again"
    ):
        elman.runtime.load(run)
    elman.load(run)  # torch does not ask for it


@ONE_EACH
def test_damaged_files_are_told(name: str, copied: Callable[[str], Path]) -> None:
    run = copied(name)
    for file in ("graph.json", "model.safetensors", "config.json"):
        content = (run / file).read_bytes()
        for bad in (content[: len(content) // 2], b"{}", b"", b"[]", b"\x80\x04pickle"):
            (run / file).write_bytes(bad)
            with pytest.raises(InputError, match=re.escape(str(run / file))):
                elman.runtime.load(run)
        (run / file).write_bytes(content)


def _wider(content: dict[str, Any]) -> None:
    content["outputs"][0]["axes"][-1] += 1


def _unknown_operator(content: dict[str, Any]) -> None:
    content["nodes"][0]["op"] = "System"


def _cycle(content: dict[str, Any]) -> None:
    content["nodes"][0]["inputs"][0] = content["nodes"][-1]["outputs"][0]


def _huge(content: dict[str, Any]) -> None:
    name = next(name for name, entry in content["weights"].items() if "values" not in entry)
    content["weights"][name]["shape"] = [1_000_000_000, 1_000]


def _renamed(content: dict[str, Any]) -> None:
    name = next(name for name, entry in content["weights"].items() if "values" not in entry)
    content["weights"]["another"] = content["weights"].pop(name)
    for node in content["nodes"]:
        node["inputs"] = ["another" if given == name else given for given in node["inputs"]]


@ONE_EACH
@pytest.mark.parametrize("change", [_wider, _unknown_operator, _cycle, _huge, _renamed])
def test_a_graph_that_is_none_or_another(
    name: str, change: Callable[[dict[str, Any]], None], copied: Callable[[str], Path]
) -> None:
    run = copied(name)
    content = json.loads((run / "graph.json").read_text())
    change(content)
    (run / "graph.json").write_text(json.dumps(content))
    with pytest.raises(InputError):
        elman.runtime.load(run)


@pytest.mark.parametrize(("name", "other"), [("language-model", "language-model-tied"), ("tag", "tag-words")])
def test_the_graph_of_another_run(
    name: str, other: str, trained: Give, copied: Callable[[str], Path]
) -> None:
    run = copied(name)
    shutil.copy(trained(other).run / "graph.json", run)
    with pytest.raises(InputError, match=r"model\.safetensors"):
        elman.runtime.load(run)


@ONE_EACH
def test_weights_of_another_shape(name: str, copied: Callable[[str], Path]) -> None:
    run = RunFolder(copied(name))
    weights = run.read_tensors("model.safetensors")
    largest = max(weights, key=lambda key: weights[key].size)
    weights[largest] = np.concatenate([weights[largest]] * 2)
    run.write_tensors("model.safetensors", weights, {})
    with pytest.raises(InputError, match=r"model\.safetensors"):
        elman.runtime.load(run.path)


def test_every_task_has_a_run() -> None:
    assert set(elman.runtime.tasks()) <= set(OPTIONS)

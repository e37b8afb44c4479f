"""Runs without torch answer, score and stream as they do with it."""

from __future__ import annotations

import json
import subprocess
import sys
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
RUNS = pytest.mark.parametrize("name", OPTIONS)
SEVERAL = 4e-5  # of probabilities, which one rounding after another moves


def values_of(task: Any, files: list[str]) -> list[Any]:
    return [json.loads(json.dumps(answer.values)) for answer in task.answers(files)]


def assert_alike(found: Any, expected: Any, where: str = "") -> None:
    """Equal, but for the last digits of numbers."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key, value in expected.items():
            assert_alike(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, (one, two) in enumerate(zip(found, expected, strict=True)):
            assert_alike(one, two, f"{where}[{place}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=SEVERAL, abs=1e-6), where
    else:
        assert found == expected, where


def test_every_task_that_opens_is_tried() -> None:
    assert {kind for kind, _ in OPTIONS.values()} == set(elman.runtime.tasks())


@RUNS
def test_answers_and_scores_are_those_of_torch(name: str, trained: Give) -> None:
    given = trained(name)
    plain = elman.runtime.load(given.run)
    assert type(plain) is type(given.task)
    assert not hasattr(plain.network_, "parameters")
    assert_alike(values_of(plain, given.files), values_of(given.task, given.files))
    assert plain.evaluate(given.files) == pytest.approx(given.task.evaluate(given.files), rel=1e-5, abs=1e-6)


@RUNS
def test_the_graph_is_written_before_the_training_and_holds_no_weights(name: str, trained: Give) -> None:
    run = RunFolder(trained(name).run)
    content = run.read_json("graph.json")
    stored = set(run.read_tensors("model.safetensors"))
    assert {key for key, entry in content["weights"].items() if "values" not in entry} == stored
    constants = [entry["values"] for entry in content["weights"].values() if "values" in entry]
    assert sum(map(len, constants)) < 2000


def test_torch_is_never_imported(trained: Give, tmp_path: Path) -> None:
    """Each run in a process that cannot import torch: it opens, answers, scores, and says what torch says."""
    asked = [(str(trained(name).run), trained(name).files) for name in OPTIONS]
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    program = """
import json, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not to be imported here")

sys.meta_path.insert(0, NoTorch())
import elman.runtime

told = []
for run, files in json.load(open(sys.argv[1])):
    model = elman.runtime.load(run)
    answers = [answer.values for answer in model.answers(files)]
    told.append([answers, model.evaluate(files)])
    if model.name == "language-model":
        condition = model.conditions_ and model.conditions_.example()
        "".join(model.generate("ka" if model.by_rows else "river", length=20, seed=1, condition=condition))
        model.reset(condition)
        model.step("ka" if model.by_rows else "river")
json.dump(told, open(sys.argv[2], "w"))
assert "torch" not in sys.modules
"""
    out = tmp_path / "told.json"
    command = [sys.executable, "-c", program, str(tmp_path / "asked.json"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for (_, files), (answers, scores), name in zip(asked, json.loads(out.read_text()), OPTIONS, strict=True):
        task = trained(name).task
        assert_alike(answers, values_of(task, files), name)
        assert scores == pytest.approx(task.evaluate(files), rel=1e-5, abs=1e-6)


def test_the_command_line_works_where_torch_is_not_installed(trained: Give) -> None:
    given = trained("classify")
    said = "import sys; sys.modules['torch'] = None; from elman.cli import main; sys.exit(main(sys.argv[1:]))"

    def elman_cli(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", said, *words], capture_output=True, text=True, timeout=60
        )

    done = elman_cli("predict", str(given.run), "there is soup on day 3", "--json")
    assert done.returncode == 0, done.stderr
    assert_alike(json.loads(done.stdout)["predictions"], values_of(given.task, ["there is soup on day 3"]))
    done = elman_cli("evaluate", str(given.run), *given.files, "--json")
    assert done.returncode == 0, done.stderr
    refused = elman_cli("inspect", str(given.run), "there is soup")
    assert refused.returncode == 2
    assert "pip install" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_importing_it_loads_little() -> None:
    program = (
        "import elman.runtime, sys; print(*sorted(name for name in sys.modules if name.startswith('elman')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"elman.tasks", "elman.nn", "elman.data", "elman.graph"} & set(done.stdout.split())


def test_predict_and_probabilities(trained: Give) -> None:
    texts = ["there is soup on day 3", "", "눈 rain"]
    classify, plain = trained("classify").task, elman.runtime.load(trained("classify").run)
    assert plain.predict(texts) == classify.predict(texts)  # type: ignore[attr-defined]
    shares = [task.predict_proba(texts) for task in (plain, classify)]  # type: ignore[attr-defined]
    np.testing.assert_allclose(*shares, rtol=0, atol=1e-6)
    words = [["Mr", "Ada", "lives", "in", "Bora"], [], ["never"]]
    tag, plain = trained("tag").task, elman.runtime.load(trained("tag").run)
    assert plain.predict(words) == tag.predict(words)  # type: ignore[attr-defined]
    pairs = zip(plain.predict_proba(words), tag.predict_proba(words), strict=True)  # type: ignore[attr-defined]
    for one, two in pairs:
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_update_goes_on_from_new_rows(trained: Give, tmp_path: Path) -> None:
    """A forecaster takes new rows, and what it then says is saved with it."""
    given = trained("forecast")
    plain, task = elman.runtime.load(given.run), elman.load(given.run)
    new = {
        "day": ["2024-04-30", "2024-05-01"],
        "shop": ["north"] * 2,
        "visits": [55.0, 60.0],
        "rain": [0.1, 0.9],
    }
    for one in (plain, task):
        one.update(new)  # type: ignore[attr-defined]
    medians = [one.predict().columns["median"] for one in (plain, task)]  # type: ignore[attr-defined]
    np.testing.assert_allclose(*medians, rtol=1e-5)
    plain.save(tmp_path / "saved")
    again = elman.runtime.load(tmp_path / "saved").predict().columns["median"]  # type: ignore[attr-defined]
    assert again == medians[0]


def test_a_run_of_another_task_is_refused_by_name(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.write_config({"task": "translate", "options": {}, "data": {}})
    with pytest.raises(InputError, match=r"task 'translate', which needs torch; expected classify, fill"):
        elman.runtime.load(run.path)
    with pytest.raises(InputError, match="no such run folder"):
        elman.runtime.load(tmp_path / "nowhere")

"""Laws of a task, tried on its own example: runs that come back, go on to the bit, and refuse what is damaged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elman import tasks
from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.runfolder.folder import FILES
from elman.tasks import Task
from elman.train import checkpoint

_SMALL = {"hidden_size": 6, "batch_size": 4, "decay": "none", "threads": 1}


def check_task(name: str) -> None:
    """Hold the task of that name to every law below. AssertionError says which one it breaks."""
    for law in LAWS:
        with tempfile.TemporaryDirectory() as folder:
            law(name, Path(folder))


def run_is_whole(name: str, folder: Path) -> None:
    """A run holds every file of its format; the report compares the model with at least one baseline."""
    task, run = _trained(name, folder)
    for file in ("config.json", "model.safetensors", "metrics.jsonl", "history.png", "report.html"):
        assert RunFolder(run).has(file), f"{name}: {file} is missing"
    assert len(task.scores_) > 1, f"{name}: no baseline beside the model"
    for who, scores in task.scores_.items():
        assert task.compared.score in scores, f"{name}: {who} has no {task.compared.score}"
    assert task.run_.metrics()[-1]["validation_loss"] is not None, f"{name}: no validation loss"


def loaded_is_the_same(name: str, folder: Path) -> None:
    """Brought back from its run, an estimator gives the same answers and the same scores on files."""
    task, run = _trained(name, folder)
    files = _files(name, folder)
    back = type(task).load(run)
    assert back.options() == task.options(), f"{name}: options changed on the way"
    assert _answers(back, files) == _answers(task, files), f"{name}: other answers after loading"
    scores = back.evaluate(files)
    assert scores == task.evaluate(files), f"{name}: other scores after loading"
    assert task.compared.score in scores, f"{name}: evaluate gives no {task.compared.score}"


def answers_stand_alone(name: str, folder: Path) -> None:
    """What is asked twice is answered twice, the same, whatever stands around it."""
    task, _ = _trained(name, folder)
    files = _files(name, folder)
    once = _answers(task, files)
    assert once, f"{name}: no answer to its example"
    assert _answers(task, [*files, *files]) == once + once, f"{name}: answers depend on their company"


def resumed_is_uninterrupted(name: str, folder: Path) -> None:
    """Stopped after three updates and resumed for three more: the weights of six in one go, to the bit."""
    whole, _ = _trained(name, folder, "whole", max_steps=6)
    _, run = _trained(name, folder, "parts", max_steps=3)
    task = _task(name, folder, max_steps=6)
    task.fit(_files(name, folder), out=run, resume=True)
    tensors = [each.run_.read_tensors(checkpoint.NAME) for each in (whole, task)]
    # the best weights may be those of the stop, where only one of the two was evaluated
    ends = [{key: part[key] for key in part if not key.startswith("best/")} for part in tensors]
    assert ends[0].keys() == ends[1].keys(), f"{name}: other weights after a resume"
    for key, values in ends[0].items():
        assert (values == ends[1][key]).all(), f"{name}: {key} differs after a resume"


def damage_is_told(name: str, folder: Path) -> None:
    """A run with a file cut short is refused by name, never half loaded; graph.json is the runtime's to read."""
    task, run = _trained(name, folder)
    for file in {name for name in FILES if name.endswith((".json", ".safetensors"))} - {"graph.json"}:
        path = run / file
        if not path.exists():
            continue
        content = path.read_bytes()
        for cut in (content[: len(content) // 2], b"{}", b""):
            path.write_bytes(cut)
            told = _refusal(type(task), run)
            assert told is not None, f"{name}: loaded although {file} is damaged"
            assert str(path) in told, f"{name}: the message about {file} does not name it: {told}"
        path.write_bytes(content)


def _task(name: str, folder: Path, **options: Any) -> Task:
    _, reading = tasks.get(name).example(folder)
    return tasks.get(name)(**{**_SMALL, "max_steps": 3, **reading, **options})


def _trained(name: str, folder: Path, out: str = "run", **options: Any) -> tuple[Task, Path]:
    task, run = _task(name, folder, **options), folder / out
    return task.fit(_files(name, folder), out=run), run


def _refusal(task: type[Task], run: Path) -> str | None:
    try:
        task.load(run)
    except InputError as error:
        return str(error)
    return None


def _files(name: str, folder: Path) -> list[str]:
    return [str(path) for path in tasks.get(name).example(folder)[0]]


def _answers(task: Task, files: list[str]) -> list[tuple[str, Any]]:
    return [(answer.text, answer.values) for answer in task.answers(files)]


LAWS: tuple[Callable[[str, Path], None], ...] = (
    run_is_whole,
    loaded_is_the_same,
    answers_stand_alone,
    resumed_is_uninterrupted,
    damage_is_told,
)

"""What the command line and a server call: any task by name, any run by path. No logic of its own.

>>> estimator("language-model", {"cell": "gru"}).cell
'gru'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elman import tasks
from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.settings import from_text, read_recipe
from elman.tasks import Answer, Task
from elman.tasks.language_model import LanguageModel


def load(path: str | Path) -> Task:
    """The estimator of a run folder, whatever its task, with its best weights."""
    return tasks.get(RunFolder.open(path).read_config()["task"]).load(path)


def estimator(
    task: str,
    options: Mapping[str, Any],
    *,
    recipe: str | Path | None = None,
    resumed: str | Path | None = None,
) -> Task:
    """An estimator that has not learned: `options` come before the recipe's, those before stored or default ones.

    Args:
        task: name of the task.
        options: typed values by name.
        recipe: YAML file of options.
        resumed: run whose options stand in for the defaults.
    """
    kind = tasks.get(task)
    stored = tasks.stored_options(kind, RunFolder.open(resumed)) if resumed else {}
    return kind(**{**stored, **_recipe(kind, recipe), **options})


def evaluate(run: str | Path, data: list[str], **options: Any) -> dict[str, float]:
    """Scores of a run on files."""
    return load(run).evaluate(data, **options)


def predict(run: str | Path, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
    """What a run says to texts, files or the lines of standard input (`-`), one answer after the other."""
    task = load(run)
    if not inputs and task.needs_input:
        raise InputError("nothing to answer: give texts, files, or - for standard input.")
    return task.answers(inputs, **options)


def generate(run: str | Path, prompt: str = "", **sampling: Any) -> Iterator[str]:
    """A text continued by a run, piece by piece; `sampling` as for `LanguageModel.generate`."""
    model = load(run)
    if not isinstance(model, LanguageModel):
        raise InputError(
            f"{run}: a run of the task {model.name!r}, which writes no text; expected a language-model."
        )
    return model.generate(prompt, **sampling)


def _recipe(kind: type[Task], recipe: str | Path | None) -> dict[str, Any]:
    if recipe is None:
        return {}
    settings = read_recipe(recipe)
    task = settings.pop("task")
    if task != kind.name:
        raise InputError(f"{recipe}: a recipe of the task {task!r}, expected {kind.name!r}.")
    return from_text(kind, settings, lambda name: f"{recipe}: {name}")

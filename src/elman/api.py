"""What the command line and a server call: any task by name, any run by path. No logic of its own.

>>> estimator("language-model", {"cell": "gru"}).cell
'gru'
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elman import runtime, tasks
from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.settings import from_text, read_recipe
from elman.tasks import Answer, Conversation, Task
from elman.tasks.language_model import LanguageModel


def load(path: str | Path, *, step: int | None = None) -> Task:
    """The estimator of a run folder, whatever its task, with its best weights; where torch is not installed, the one of
    `elman.runtime`, which says the same. step: with the weights after so many updates, if they were kept."""
    if step is None and importlib.util.find_spec("torch") is None:
        return runtime.load(path)
    return tasks.get(RunFolder.open(path).read_config()["task"]).load(path, step=step)


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


def generate(run: str | Path, prompt: str = "", **sampling: Any) -> Iterator[Iterator[str]]:
    """A text continued by a run, as often as asked, piece by piece; `sampling` as for `LanguageModel.generate`."""
    model = load(run)
    if not isinstance(model, LanguageModel):
        raise InputError(
            f"{run}: a run of the task {model.name!r}, which writes no text; expected a language-model."
        )
    return model.samples(prompt, **sampling)


def converse(run: str | Path, **talking: Any) -> Conversation:
    """A conversation with a run of the task translate; `talking` as for `Translator.converse`."""
    from elman.tasks.translate import Translator

    model = load(run)
    if not isinstance(model, Translator):
        raise InputError(
            f"{run}: a run of the task {model.name!r}, which answers no texts; expected translate."
        )
    return model.converse(**talking)


def examine(run: str | Path, inputs: Sequence[str]) -> dict[str, Any]:
    """What `inspect` measures of a run on texts or files, Jacobians aside, as numbers."""
    from elman.inspection.examining import examine as examine_network
    from elman.inspection.examining import summary

    return summary(examine_network(load(run).inspected(inputs), spectra=False))


def inspect(
    run: str | Path,
    inputs: Sequence[str],
    out: str | Path,
    *,
    attribution: str | None = None,
    answer: str | None = None,
    step: int = -1,
    beside: Sequence[str | Path] = (),
    moments: int | None = None,
) -> tuple[dict[str, Any], str]:
    """What a run's network does inside with texts or files: numbers, and lines to read; pages go to `out`.

    attribution: a method, of which answer, at which step: see `elman.inspection.attribute`.
    beside: other runs that read the same, for the slider of explore.html.
    moments: how many of the training to look at, beside the result; None: 3, or fewer where fewer were kept.
    """
    from elman.inspection.inspecting import inspect as inspect_network
    from elman.inspection.looking import Asked
    from elman.inspection.moments import chosen
    from elman.train import snapshots
    from elman.train.checkpoint import BEST, load_weights

    task, folder = load(run), RunFolder.open(run)
    inspected, result = task.inspected(inputs), folder.read_metadata(BEST).get("step", 0)
    known = [one for one in snapshots.steps(folder) if one != result]
    if moments and not known:
        raise InputError(
            f"{run}: kept no weights of its training to look at; train with --snapshots 6, or say no moments."
        )
    course = {}
    for moment in chosen(known, 3 if moments is None else moments):
        network = copy.deepcopy(inspected.network)
        load_weights(network, folder, snapshots.name(moment))
        again = inspected.again
        course[moment] = again(network) if again else load(run, step=moment).inspected(inputs)
    return inspect_network(
        inspected,
        out,
        title=f"inside {task.name}: {folder.path.resolve().name}",
        records=folder.metrics(),
        clip_norm=task.clip_norm,
        asked=None if attribution is None else Asked(attribution, answer, step),
        beside={str(other): load(other).inspected(inputs) for other in beside},
        course=course,
        result=result,
    )


def _recipe(kind: type[Task], recipe: str | Path | None) -> dict[str, Any]:
    if recipe is None:
        return {}
    settings = read_recipe(recipe)
    task = settings.pop("task")
    if task != kind.name:
        raise InputError(f"{recipe}: a recipe of the task {task!r}, expected {kind.name!r}.")
    return from_text(kind, settings, lambda name: f"{recipe}: {name}")

"""One small run of each task for all tests of the runtime, and some of options that change the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from elman import tasks
from elman.tasks import Task
from tests.tasks import named_rows

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "language-model": ("language-model", {"num_layers": 2}),
    "language-model-tied": ("language-model", {"cell": "gru", "embedding": 6, "tie_weights": True}),
    "language-model-rows": ("language-model", {"text_column": "name", "condition_column": "language,year"}),
    "language-model-rows-embedded": (
        "language-model",
        {"text_column": "name", "embedding": 6, "cell": "gru"},
    ),
    "classify": ("classify", {"ngrams": 3, "pooling": "attention"}),
    "regress": ("regress", {"cell": "rnn", "pooling": "last", "bidirectional": False}),
    "tag": ("tag", {"crf": True, "characters": True, "pairs": 4}),
    "tag-words": ("tag", {"scheme": "none"}),
    "fill": ("fill", {}),
    "fill-right": ("fill", {"vocabulary": "grapheme", "cut": "windows", "sides": "right"}),
    "forecast": ("forecast", {}),
    "forecast-paths": ("forecast", {"mode": "recursive", "output": "student-t"}),
}


@dataclass(frozen=True)
class Trained:
    """A run, the estimator that made it, and its example's files."""

    run: Path
    task: Task
    files: list[str]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Runs by name, each trained when it is first asked for."""
    made: dict[str, Trained] = {}

    def give(name: str) -> Trained:
        if name not in made:
            kind, options = OPTIONS[name]
            folder = tmp_path_factory.mktemp(name)
            rows = "text_column" in options
            files, reading = (named_rows if rows else tasks.get(kind)).example(folder)
            small = {"hidden_size": 6, "batch_size": 8, "max_steps": 12, "threads": 1}
            task = tasks.get(kind)(**{**small, **({} if rows else reading), **options})
            task.fit(files, out=folder / "run")
            made[name] = Trained(folder / "run", task, [str(file) for file in files])
        return made[name]

    return give

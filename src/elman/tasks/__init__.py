"""Tasks: one module, one task: its options, its data, its model, its scores and its baseline. No torch until `fit`.

>>> "language-model" in names()
True
"""

from __future__ import annotations

import importlib
import pkgutil

from elman.errors import check_choice
from elman.tasks._conversation import Conversation, Talking
from elman.tasks._inputs import Answer
from elman.tasks._options import DataOptions, ModelOptions
from elman.tasks._sampling import Sampling
from elman.tasks._task import NoOptions, Task, stored_options
from elman.tasks._writing import Searching

__all__ = [
    "Answer",
    "Conversation",
    "DataOptions",
    "ModelOptions",
    "NoOptions",
    "Sampling",
    "Searching",
    "Talking",
    "Task",
    "get",
    "names",
    "stored_options",
]


def get(name: str) -> type[Task]:
    """The class of a task; raises InputError with the nearest name."""
    module = check_choice("task", name, names()).replace("-", "_")
    task: type[Task] = importlib.import_module(f"{__name__}.{module}").TASK
    return task


def names() -> tuple[str, ...]:
    """Names of all tasks, in alphabetical order: the modules of this package, with a dash for each underscore."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))

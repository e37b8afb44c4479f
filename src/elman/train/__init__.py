"""One training loop for every task: `fit(problem, options, run)`.

A task hands over a `Problem` (model, batches, loss, validation); everything else is the same for all of them and
lives here. Importing this package loads no torch; the first name that needs it does.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "Batches": "problem",
    "Diverged": "stops",
    "History": "loop",
    "Interrupted": "stops",
    "Loss": "problem",
    "Problem": "problem",
    "Progress": "progress",
    "TrainingOptions": "options",
    "World": "distributed",
    "choose_device": "distributed",
    "fit": "loop",
    "load_weights": "checkpoint",
    "progress_on": "progress",
    "seed": "randomness",
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"elman.train.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'elman.train' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

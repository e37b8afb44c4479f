"""elman: the recurrent-network system for Python.

Importing it costs nothing heavy: each public name is loaded when it is first used, and torch only with the
names that need it.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBMODULES = (
    "cells", "data", "graph", "inspection", "interop", "kernels", "nn", "reference", "runtime", "tasks", "testing"
)  # fmt: skip
_NAMES = {
    "BlankFiller": "elman.tasks.fill",
    "Captioner": "elman.tasks.caption",
    "Forecaster": "elman.tasks.forecast",
    "InputError": "elman.errors",
    "LanguageModel": "elman.tasks.language_model",
    "SequenceClassifier": "elman.tasks.classify",
    "SequenceRegressor": "elman.tasks.regress",
    "SequenceTagger": "elman.tasks.tag",
    "Transcriber": "elman.tasks.transcribe",
    "Translator": "elman.tasks.translate",
    "accelerate": "elman.nn",
    "load": "elman.api",
}

__all__ = ["__version__", *_SUBMODULES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"elman.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'elman' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

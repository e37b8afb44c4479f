"""Packages that only some vocabularies need: imported when they are first used."""

from __future__ import annotations

import importlib
from types import ModuleType

from elman.errors import InputError


def extra(module: str, purpose: str, group: str = "train") -> ModuleType:
    """The imported `module`; an InputError that names `purpose` and the remedy where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(
            f"{purpose}: the package {module!r} is missing. Run: pip install elman[{group}], or"
            f" {module} alone."
        ) from error

"""Made-up names of two languages, which the last letter tells, and of a time, which the first letter tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

HEAD = "name,language,year\n"
READ: dict[str, Any] = {"text_column": "name", "condition_column": "language"}


def rows(count: int = 200, seed: int = 0) -> list[tuple[str, str, int]]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        language, year = ("ao", "oa")[int(rng.integers(2))], int(rng.integers(1900, 2000))
        middle = "".join(rng.choice(list("aokm"), int(rng.integers(1, 6))))
        found.append((f"{'k' if year < 1950 else 'm'}{middle}{language[0]}", language, year))
    return found


def example(folder: Path) -> tuple[list[Path], dict[str, Any]]:
    """In place of `LanguageModel.example`."""
    path = folder / "names.csv"
    path.write_text(
        HEAD + "".join(f"{name},{language},{year}\n" for name, language, year in rows()), encoding="utf-8"
    )
    return [path], dict(READ)


def class_folder(folder: Path) -> Path:
    """The same as a file for each language."""
    (folder / "names").mkdir()
    for language in ("ao", "oa"):
        names = "".join(f"{name}\n" for name, each, _ in rows() if each == language)
        (folder / "names" / f"{language}.txt").write_text(names, encoding="utf-8")
    return folder / "names"

"""Measure elman against other libraries (needs the repository).

Every flag goes to the measurements: elman bench --help lists them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import elman
from elman.errors import InputError


def run(arguments: Sequence[str]) -> int:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *arguments], cwd=root(), check=False
    ).returncode


def root() -> Path:
    """The repository: around the package if that is installed editable, else the current folder."""
    for folder in (Path(elman.__file__).resolve().parents[2], Path.cwd()):
        if (folder / "benchmarks" / "run.py").is_file():
            return folder
    raise InputError(
        "bench: the folder benchmarks/ is not here; it is part of the repository, not of the installed package."
        " Clone the repository and run the command in it, or `make bench` there."
    )

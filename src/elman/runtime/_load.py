"""A run folder as an estimator whose network is its graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from elman.errors import InputError
from elman.runfolder import RunFolder

if TYPE_CHECKING:
    from elman.tasks import Task

_NETWORKS = {
    "classify": "RunProgram",
    "fill": "BlankProgram",
    "forecast": "RunProgram",
    "language-model": "TextProgram",
    "regress": "RunProgram",
    "tag": "RunProgram",
}


def tasks() -> tuple[str, ...]:
    """Names of the tasks whose runs open here."""
    return tuple(_NETWORKS)


def load(path: str | Path) -> Task:
    """The estimator of a run folder, with its best weights; torch is not needed, nor imported.

    It predicts, answers, evaluates and writes as the one that `elman.load` gives, with the same numbers up to the
    rounding of float32; it cannot be trained further. What it needs beside NumPy and safetensors is what reads the
    task's inputs: polars for tables, SciPy for forecasts with a Student-t law.

    Raises:
        InputError: no run, a damaged one, one of a task that does not run without torch, or one that was trained before
            runs had a graph.json.
    """
    from elman import tasks as known
    from elman.runtime import _networks

    run = RunFolder.open(path)
    name = run.read_config()["task"]
    if name not in _NETWORKS:
        raise InputError(
            f"{run.path}: a run of the task {name!r}, which needs torch; expected {', '.join(_NETWORKS)}. Open it with"
            " elman.load."
        )
    return known.get(name).load(path, network=getattr(_networks, _NETWORKS[name]))

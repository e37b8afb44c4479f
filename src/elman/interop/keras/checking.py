"""Whether Keras gives for a file what the graph gives: Keras loads it in a process of its own and runs it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from elman.errors import InputError
from elman.graph import Graph, run
from elman.interop import checking

BACKENDS = ("torch", "jax", "tensorflow")
SECONDS = 300
_PROGRAM = """
import sys, numpy as np, keras
model = keras.models.load_model(sys.argv[1])
with np.load(sys.argv[2]) as given:
    found = [keras.tree.flatten(model(given[name], training=False)) for name in sorted(given)]
arrays = {f"{n}.{m}": y for n, outputs in enumerate(found) for m, y in enumerate(outputs)}
np.savez(sys.argv[3], **{name: keras.ops.convert_to_numpy(y) for name, y in arrays.items()})
"""


def installed() -> bool:
    """Whether Keras can be run here."""
    return importlib.util.find_spec("keras") is not None and bool(_backend())


def compare(copy: Path, graph: Graph, outputs: list[str], where: str) -> None:
    """Raise InputError unless Keras gives for the file what `elman.graph.run` gives. outputs: in the file's order."""
    (source,) = [value for value in graph.inputs if not value.optional]
    batches = [checking.made_up(graph, batch, time)[source.name] for batch, time in ((3, 6), (1, 1))]
    given, found = copy.with_suffix(".given.npz"), copy.with_suffix(".found.npz")
    np.savez(given, *batches)
    environment = {**os.environ, "KERAS_BACKEND": _backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _PROGRAM, str(copy), str(given), str(found)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{where}: nothing was written; Keras took more than {SECONDS} seconds.") from error
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise InputError(f"{where}: nothing was written; Keras does not load it: {reason[:300]}")
    with np.load(found) as arrays:
        for number, batch in enumerate(batches):
            expected = run(graph, {source.name: batch})
            for position, name in enumerate(outputs):
                checking.check(name, arrays[f"{number}.{position}"], expected[name], "Keras", where)


def _backend() -> str:
    wanted = os.environ.get("KERAS_BACKEND")
    names = [wanted] if wanted else BACKENDS
    return next((name for name in names if importlib.util.find_spec(name) is not None), "")

"""What starting costs: `python -m benchmarks.startup`.

Wall seconds of whole processes (bare interpreter, imports, `elman --help`) and of loading and packing the weights of a
layer with 512 units; the median and the least of some runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from elman import reference
from elman.kernels import Stream

HELP = "from elman.cli import main; main(['--help'])"
COMMANDS = {
    "python": "pass",
    "import numpy": "import numpy",
    "import elman": "import elman",
    "elman --help": HELP,
    "import torch": "import torch",
    "import elman.nn": "import elman.nn",
}


def seconds(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median and least duration of `work`, after one run that is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return {"median": statistics.median(taken), "least": min(taken)}


def process(command: str) -> None:
    subprocess.run([sys.executable, "-c", command], check=True, stdout=subprocess.DEVNULL)


def main(arguments: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    made.add_argument("--repeats", type=int, default=5)
    repeats = made.parse_args(arguments).repeats
    measured = {name: seconds(lambda c=command: process(c), repeats) for name, command in COMMANDS.items()}  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        for cell in ("rnn", "gru", "lstm"):
            measured[f"load and pack {cell}, 512 units"] = _loading(cell, Path(folder), repeats)
    print(json.dumps({"seconds": measured, "machine": describe()}, indent=1))
    return 0


def _loading(cell: str, folder: Path, repeats: int) -> dict[str, float]:
    from safetensors.numpy import load_file, save_file

    path = folder / f"{cell}.safetensors"
    drawn = reference.draw(cell, 512, 512, np.random.default_rng(0))
    save_file({name: array.astype(np.float32) for name, array in drawn.items()}, path)
    return seconds(lambda: Stream(cell, load_file(path)), repeats * 4)


if __name__ == "__main__":
    sys.exit(main())

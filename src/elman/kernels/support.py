"""Which calls the compiled core takes, on which path, with how many threads, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass

from elman import _core, cells
from elman.errors import InputError

DTYPES = ("float32", "float64", "bfloat16")


@dataclass(frozen=True)
class Explanation:
    """The path a call takes.

    native: whether the compiled core takes it; isa: its instruction set ("" if not native); threads: how many it would
    use; reason: why, in words.
    """

    native: bool
    isa: str
    threads: int
    reason: str

    def __str__(self) -> str:
        path = (
            f"compiled core, {self.isa}, {self.threads} thread{'s' * (self.threads != 1)}"
            if self.native
            else "none"
        )
        return f"{path}: {self.reason}"


def available() -> bool:
    """True: the compiled core is part of every build of elman (its portable path runs on any processor)."""
    return bool(_core.isas())


def supports(cell: str, dtype: str = "float32") -> bool:
    """Whether the compiled core has this cell in this dtype ("float32", ...).

    >>> supports("lstm"), supports("lstm", "float16")
    (True, False)
    """
    return cells.get(cell).name in _core.cells() and dtype in DTYPES


def explain(
    cell: str,
    dtype: str = "float32",
    *,
    steps: int = 100,
    batch: int = 64,
    input_size: int = 256,
    hidden_size: int = 256,
    proj_size: int = 0,
    threads: int | None = None,
) -> Explanation:
    """Which path a layer of these sizes takes, with how many of `threads` threads (all processors when None), and why.

    The instruction set is the best of the processor, or the one in the environment variable ELMAN_ISA.

    >>> explain("lstm", "float16").reason
    "dtype 'float16' is not compiled; compiled: float32, float64, bfloat16"
    >>> explain("gru", steps=1, batch=1).threads
    1
    """
    name = cells.get(cell).name
    for kind, value, known in (("cell", name, tuple(_core.cells())), ("dtype", dtype, DTYPES)):
        if value not in known:
            return Explanation(
                False, "", 0, f"{kind} {value!r} is not compiled; compiled: {', '.join(known)}"
            )
    allowed = threads_allowed(threads)
    output = proj_size or hidden_size
    used = _core.thread_count(name, dtype, steps, batch, input_size, hidden_size, output, allowed)
    forced = (
        f"ELMAN_ISA={os.environ['ELMAN_ISA']}"
        if os.environ.get("ELMAN_ISA")
        else f"best of {', '.join(_core.isas())}"
    )
    if used == allowed:
        why = f"the call may use {allowed} and the work is enough for them"
    else:
        why = f"the work of the call is worth {used} of {allowed} allowed"
    unit = ""
    if dtype == "bfloat16":
        narrow = _core.narrow() and batch >= 16
        unit = f"; products: {'bfloat16, float32 sums' if narrow else 'float32, more exact than asked'}"
    return Explanation(True, _core.isa(), used, f"instruction set: {forced}; threads: {why}{unit}")


def threads_allowed(threads: int | None) -> int:
    """The given number of threads, checked; the processors this process may use when None. -n means n exactly."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads == 0:
        raise InputError("kernels: threads must be at least 1, got 0; leave it out for all processors.")
    return threads

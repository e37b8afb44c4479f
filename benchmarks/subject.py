"""What every measured implementation is to the harness: something to call, and its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from benchmarks.cases import Arrays, Case, Data


def nothing() -> None:
    """A library without a switch to set before its turn."""


@dataclass(frozen=True)
class Subject:
    """call: what is timed. answers: computed afresh, as `cases.expected` names them, batch first.

    before: called when the subject's turn begins, untimed (the number of threads, where a library shares it).
    path: what the library says it runs, "" where it does not say.
    """

    call: Callable[[], object]
    answers: Callable[[], Arrays]
    before: Callable[[], None] = nothing
    path: str = ""


Build: TypeAlias = Callable[[Case, Data, int], Subject | None]
"""(case, data, threads) to a Subject, or None where the library has no such layer, regime or number type."""


def stepping(
    step: Callable[[Any, Any], tuple[Any, Any]],
    start: Any,
    data: Data,
    before: Callable[[], None] = nothing,
    path: str = "",
) -> Subject:
    """A Subject for the stepped regime from `step(x, state) -> (output, state)`: x and output NumPy (1, features).

    The timed call carries its state from call to call, as a stream does.
    """
    inputs = [np.ascontiguousarray(data.x[:, t]) for t in range(data.x.shape[1])]
    carried = [start]

    def call() -> object:
        output, carried[0] = step(inputs[0], carried[0])
        return output

    def answers() -> Arrays:
        state, outputs = start, []
        for x in inputs:
            output, state = step(x, state)
            outputs.append(np.array(output).reshape(1, -1))
        return {"output": np.stack(outputs, axis=1)}

    return Subject(call, answers, before, path)

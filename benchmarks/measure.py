"""One row: build every subject, check its answers, then take turns and keep the median of each and of the ratios."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.cases import Case, Dtype, draw, error, expected, flops
from benchmarks.hosts import HostError, Process
from elman.testing import TOLERANCES

OURS = "elman"
TOLERANCE: dict[Dtype, float] = {
    "float32": TOLERANCES["reference", "float32"].value,
    "bfloat16": 6e-2,
    "int8": 1e-1,
}
"""Largest error allowed, relative to the largest magnitude in the array; above it a row is disqualified.
bfloat16: 8 bits of mantissa, over a hundred steps; int8: 7 bits of weight, scaled per tensor by some peers."""


@dataclass(frozen=True)
class Pace:
    """How long a row may take.

    turn: seconds a subject calculates before the next one's turn. row: seconds of turns per row. rounds: fewest and
    most. lagging: subjects this many times slower than the fastest take part in the first few rounds only.
    """

    turn: float = 0.04
    row: float = 5.0
    rounds: tuple[int, int] = (5, 31)
    lagging: float = 6.0
    lagging_rounds: int = 2


QUICK = Pace(turn=0.015, row=1.2, rounds=(3, 15))


def measure(case: Case, processes: list[Process], pace: Pace) -> dict[str, Any]:
    """The row of `case` as it goes into the JSON file; seconds, operations, and ratios of others' time to ours."""
    data = draw(case)
    right = expected(case, data)
    opened: dict[str, tuple[Process, float]] = {}
    row: dict[str, Any] = {
        "cell": case.cell,
        "shape": case.shape.name,
        "regime": case.regime,
        "dtype": case.dtype,
        "flops": flops(case),
        "errors": {},
        "paths": {},
        "disqualified": {},
    }
    for process in processes:
        for name in process.introduce()[0]:
            try:
                answer = process.open(case, name)
            except HostError as lost:
                row["disqualified"][name] = str(lost)
                for other in [n for n, (p, _) in opened.items() if p is process]:
                    process.open(case, other)
                continue
            if answer is None:
                continue
            answers, path, seconds = answer
            row["errors"][name] = worst = error(case, data, answers, right)
            if worst > TOLERANCE[case.dtype]:
                row["disqualified"][name] = f"wrong: error {worst:.1e}, allowed {TOLERANCE[case.dtype]:.0e}"
            else:
                opened[name] = (process, seconds)
                row["paths"][name] = path
    turns = _rounds(opened, pace)
    for process in processes:
        process.close()
    return row | _summary(turns)


def _rounds(opened: dict[str, tuple[Process, float]], pace: Pace) -> dict[str, list[float | None]]:
    """Seconds per call of each subject by round; None where it sat out."""
    if not opened:
        return {}
    turns: dict[str, list[float | None]] = {name: [] for name in opened}
    least = {name: seconds for name, (_, seconds) in opened.items()}
    names, begin, number = list(opened), time.perf_counter(), 0
    while number < pace.rounds[1]:
        if number >= pace.rounds[0] and time.perf_counter() - begin > pace.row:
            break
        limit = pace.lagging * min(least.values())
        for name in names:
            if number >= pace.lagging_rounds and least[name] > limit:
                turns[name].append(None)
                continue
            taken = opened[name][0].turn(name, pace.turn, least[name])
            least[name] = min(least[name], taken)
            turns[name].append(taken)
        names = names[1:] + names[:1]
        number += 1
    return turns


def _summary(turns: dict[str, list[float | None]]) -> dict[str, Any]:
    """Medians, minima, and the median over rounds of the ratio within a round, so that drift cancels."""
    taken = {name: [t for t in times if t is not None] for name, times in turns.items()}
    ours = turns.get(OURS, [])
    ratios = {
        name: statistics.median(
            [t / o for t, o in zip(times, ours, strict=True) if t is not None and o is not None]
        )
        for name, times in turns.items()
        if ours and name != OURS
    }
    return {
        "seconds": {name: statistics.median(times) for name, times in taken.items()},
        "least": {name: min(times) for name, times in taken.items()},
        "rounds": {name: len(times) for name, times in taken.items()},
        "ratios": ratios,
    }

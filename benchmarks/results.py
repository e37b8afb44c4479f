"""What follows from the measured rows: rates, shares of the peak, comparisons, goals. No measuring, no printing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.cases import GRID, STEP, SYMBOLS
from benchmarks.measure import OURS
from elman.errors import InputError

FORMAT = 1
SHARE = "share of peak"
Row: TypeAlias = dict[str, Any]
Value: TypeAlias = Callable[[Row], float | None]


def load(path: Path) -> dict[str, Any]:
    """A results file. Raises InputError if it is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected the JSON that `make bench` writes.")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as wrong:
        raise InputError(
            f"{path}:{wrong.lineno}: not JSON; expected the JSON that `make bench` writes."
        ) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{path}: not a results file of format {FORMAT}; measure again with this version.")
    return document


def ours(row: Row) -> float | None:
    """Our median seconds per call; None where we have no such row or were disqualified."""
    return row["seconds"].get(OURS)  # type: ignore[no-any-return]


def rate(row: Row) -> float | None:
    """Our operations per second, in GFLOP/s."""
    seconds = ours(row)
    return None if seconds is None else row["flops"] / seconds * 1e-9


def share(row: Row, limits: dict[str, Any]) -> float | None:
    """Our share of the measured float32 multiply-add peak, of 1; None for other number types."""
    peak, reached = limits.get("fma_gflops"), rate(row)
    return reached / peak if peak and reached and row["dtype"] == "float32" else None


def peers(row: Row) -> dict[str, float]:
    """The others' time over ours, median over rounds, by name."""
    return {name: ratio for name, ratio in row["ratios"].items() if not name.startswith(OURS)}


def against_torch(row: Row) -> float | None:
    """torch.nn's time over ours; of a step, that of torch.nn's Cell, which is the faster way."""
    return row["ratios"].get("torch.nn Cell", row["ratios"].get("torch.nn"))  # type: ignore[no-any-return]


def fastest(row: Row) -> tuple[str, float] | None:
    """Name and ratio of the fastest peer."""
    return min(peers(row).items(), key=lambda item: item[1], default=None)


def against_fastest(row: Row) -> float | None:
    found = fastest(row)
    return found[1] if found else None


def against(*names: str) -> Value:
    """The ratio to the first of the named subjects a row has."""
    return lambda row: next((row["ratios"][n] for n in names if n in row["ratios"]), None)


def known(rows: Iterable[Row], value: Value) -> list[float]:
    return [v for v in map(value, rows) if v is not None]


def geometric_mean(values: list[float]) -> float | None:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def least(values: list[float]) -> float | None:
    return min(values, default=None)


@dataclass(frozen=True)
class Goal:
    """A figure we owe: over the rows `wanted` picks, `fold` of `value`."""

    text: str
    required: float
    aim: float
    wanted: Callable[[Row], bool]
    value: Value
    fold: Callable[[list[float]], float | None] = least

    def reached(self, rows: list[Row]) -> float | None:
        """The measured figure, None if no row has it."""
        return self.fold(known([row for row in rows if self.wanted(row)], self.value))


def goals(limits: dict[str, Any]) -> list[Goal]:
    """All goals; ratios are times faster, shares are of the float32 multiply-add peak."""
    grid, large = {s.name for s in GRID}, {GRID[4].name, GRID[5].name}
    ragged, small = GRID[7].name, GRID[0].name

    def rows(regime: str, shapes: set[str], cell: str = "", dtype: str = "float32") -> Callable[[Row], bool]:
        return lambda row: (
            row["regime"] == regime
            and row["shape"] in shapes
            and row["dtype"] == dtype
            and cell in ("", row["cell"])
        )

    def of_peak(row: Row) -> float | None:
        return share(row, limits)

    train, forward = rows("train", grid), rows("forward", grid)
    table = against("torch.nn, trained embedding")
    both, torch_mean = "forward and backward", "torch.nn, geometric mean"
    listed = [
        Goal(f"{both}, {torch_mean}", 3, 4.5, train, against_torch, geometric_mean),
        Goal(f"{both}, fastest peer, geometric mean", 1, 2, train, against_fastest, geometric_mean),
        Goal(f"{both}, fastest peer, worst row", 1, 1, train, against_fastest),
        Goal(f"{both}, {SHARE}, two largest shapes, worst", 0.62, 0.8, rows("train", large), of_peak),
        Goal(f"forward, {SHARE}, two largest shapes, worst", 0.8, 0.92, rows("forward", large), of_peak),
        Goal("forward, fastest peer, geometric mean", 1.6, 2, forward, against_fastest, geometric_mean),
        Goal("forward, fastest peer, worst row", 0.97, 1, forward, against_fastest),
    ]
    for cell, required, aim in (("rnn", 10.0, 18.0), ("gru", 12.0, 25.0), ("lstm", 4.0, 6.0)):
        text = f"forward, one sequence, 64 units, {cell}, torch.nn"
        listed.append(Goal(text, required, aim, rows("forward", {small}, cell), against_torch))
    packed, onnx = against("torch.nn"), against("ONNX Runtime")
    listed += [
        Goal(f"ragged, {both}, packed torch.nn, worst cell", 4, 6, rows("train", {ragged}), packed),
        Goal(f"ragged, {both}, fastest peer, worst cell", 2, 4, rows("train", {ragged}), against_fastest),
        Goal("one step from NumPy, ONNX Runtime, worst cell", 2.5, 4, rows("step", {STEP.name}), onnx),
    ]
    for cell, required, aim in (("lstm", 1.6, 2.2), ("gru", 2.7, 4.0)):
        text = f"symbols, {both}, {cell}, torch.nn with an embedding"
        listed.append(Goal(text, required, aim, rows("train", {SYMBOLS.name}, cell), table))
    half = rows("train", {GRID[5].name}, dtype="bfloat16")
    listed.append(
        Goal(f"bfloat16, our float32, {both}, worst cell", 1.4, 1.8, half, against(f"{OURS} float32"))
    )
    return listed


def regimes(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows by what they show, in the order of the report."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        kind = {"step": "one step", "train": "forward and backward", "forward": "forward"}[row["regime"]]
        kind += "" if row["dtype"] == "float32" else f", {row['dtype']}"
        kind = f"symbols, {kind}" if row["shape"] == SYMBOLS.name else kind
        groups.setdefault(kind, []).append(row)
    return groups

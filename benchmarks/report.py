"""The results as tables: one description of their cells, shown on the terminal or written as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import results
from benchmarks.machine import QUIET
from benchmarks.measure import OURS
from benchmarks.results import Row

COLUMNS = (
    *("cell", "shape", "elman", "path", "GFLOP/s", "of peak"),
    *("our float32", "torch.nn", "fastest peer", "by"),
)
WORDS = ("path", "by", "in", "verdict")  # columns of words to the right of the first


@dataclass(frozen=True)
class Sheet:
    """A table as text: the first `left` columns are words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    left: int = 2

    @property
    def words(self) -> list[bool]:
        """True for the columns of words."""
        return [number < self.left or column in WORDS for number, column in enumerate(self.columns)]


def seconds(value: float | None) -> str:
    """A duration with three digits and its unit.

    >>> seconds(0.0000123), seconds(0.0123), seconds(None)
    ('12.3 us', '12.3 ms', '-')
    """
    if value is None:
        return "-"
    for unit, scale in (("us", 1e6), ("ms", 1e3)):
        if value * scale < 1000:
            return f"{value * scale:.3g} {unit}"
    return f"{value:.3g} s"


def times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def line(row: Row) -> str:
    """A row in one line, as soon as it is measured: our time, then the peers' over it, fastest first."""
    ratios = sorted(row["ratios"].items(), key=lambda item: item[1])
    said = [f"{name} {times(ratio)}" for name, ratio in ratios]
    said += [f"DISQUALIFIED {name}: {why}" for name, why in row["disqualified"].items()]
    name = " ".join(row[part] for part in ("cell", "shape", "regime", "dtype"))
    return f"{name}: {seconds(results.ours(row))}; {', '.join(said)}"


def sheets(document: dict[str, Any]) -> Iterator[Sheet]:
    """All tables of a results file: regimes row by row, their means and worst rows, the goals."""
    rows, limits = document["rows"], document["limits"]
    for title, group in results.regimes(rows).items():
        yield _trimmed(Sheet(title, COLUMNS, [_line(row, limits) for row in group]))
    yield Sheet(
        "Times faster, by regime",
        ("regime", "rows", "torch.nn, mean", "worst", "in", "fastest peer, mean", "worst", "in"),
        [_mean(title, group) for title, group in results.regimes(rows).items()],
        left=1,
    )
    goals = [_goal(goal, rows) for goal in results.goals(limits)]
    yield Sheet("Goals", ("what", "required", "aim", "measured", "verdict"), goals, left=1)


def _trimmed(sheet: Sheet) -> Sheet:
    """Without the columns in which no row has anything."""
    kept = [n for n in range(len(sheet.columns)) if any(row[n] != "-" for row in sheet.rows)]
    rows = [tuple(row[n] for n in kept) for row in sheet.rows]
    return Sheet(sheet.title, tuple(sheet.columns[n] for n in kept), rows, sheet.left)


def _line(row: Row, limits: dict[str, Any]) -> tuple[str, ...]:
    rate, fastest = results.rate(row), results.fastest(row)
    return (
        row["cell"],
        row["shape"],
        seconds(results.ours(row)),
        row["paths"].get(OURS, "-"),
        "-" if rate is None else f"{rate:.3g}",
        percent(results.share(row, limits)),
        times(row["ratios"].get(f"{OURS} float32")),
        times(results.against_torch(row)),
        times(fastest[1] if fastest else None),
        fastest[0] if fastest else "-",
    )


def _mean(title: str, group: list[Row]) -> tuple[str, ...]:
    cells = [title, str(len(group))]
    for value in (results.against_torch, results.against_fastest):
        measured = [(v, f"{row['cell']} {row['shape']}") for row in group if (v := value(row)) is not None]
        worst, where = min(measured, default=(None, "-"))
        cells += [times(results.geometric_mean([v for v, _ in measured])), times(worst), where]
    return tuple(cells)


def _goal(goal: results.Goal, rows: list[Row]) -> tuple[str, ...]:
    reached = goal.reached(rows)
    shown = percent if results.SHARE in goal.text else times
    verdict = "not measured" if reached is None else "aim" if reached >= goal.aim else "required"
    if reached is not None and reached < goal.required:
        verdict = "BELOW"
    return goal.text, shown(goal.required), shown(goal.aim), shown(reached), verdict


def header(document: dict[str, Any]) -> list[str]:
    """The sentences every figure needs beside it."""
    machine, limits, settings = document["machine"], document["limits"], document["settings"]
    extensions = ", ".join(machine["extensions"])
    said = [
        f"{machine['processor']} ({machine['family']}; {extensions}), {machine['processors']} processors,"
        f" {machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}.",
        f"{settings['threads']} threads; commit {machine['commit']}; {document['date']}; load before"
        f" {machine['load_before']}.",
        limits["absent"]
        if "absent" in limits
        else f"Measured limits: {limits['fma_gflops']:.0f} GFLOP/s float32 multiply-add ({limits['vector_bits']}-bit);"
        f" reading {', '.join(f'{r:.0f} GB/s ({s} per thread)' for s, r in limits['read_gb_per_s'].items())}.",
        "Versions: " + ", ".join(f"{n} {v}" for n, v in sorted(document["versions"].items())) + ".",
    ]
    if machine["load_before"] > QUIET:
        said.append("Other work ran meanwhile: these figures do not count.")
    if document["absent"]:
        said.append(
            "Not measured: " + "; ".join(f"{n} ({why})" for n, why in document["absent"].items()) + "."
        )
    wrong = [
        f"{name} in {row['cell']} {row['shape']} {row['regime']} {row['dtype']}: {why}"
        for row in document["rows"]
        for name, why in row["disqualified"].items()
    ]
    return said + ["Disqualified: " + "; ".join(wrong) + "."] * bool(wrong)


def show(document: dict[str, Any], console: Console) -> None:
    """Print all of it."""
    for sentence in header(document):
        console.print(sentence, highlight=False)
    for sheet in sheets(document):
        table = Table(title=sheet.title, title_justify="left")
        for column, words in zip(sheet.columns, sheet.words, strict=True):
            table.add_column(column, justify="left" if words else "right")
        for row in sheet.rows:
            table.add_row(*row, style="red" if row[-1] == "BELOW" else None)
        console.print(table)


def markdown(document: dict[str, Any]) -> str:
    """The same as Markdown, for docs/benchmarks.md."""
    parts = [f"- {sentence}" for sentence in header(document)]
    for sheet in sheets(document):
        parts += ["", f"### {sheet.title}", "", "| " + " | ".join(sheet.columns) + " |"]
        parts.append("|" + "|".join(" --- " if words else " ---: " for words in sheet.words) + "|")
        parts += ["| " + " | ".join(row) + " |" for row in sheet.rows]
    return "\n".join(parts) + "\n"

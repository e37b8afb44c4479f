"""Measure elman and its peers: `python -m benchmarks.run`, `make bench`, or `elman bench` in the repository.

The whole grid takes about 25 minutes on two cores, `--quick` about 3. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, measure, plot, report, results
from benchmarks.cases import CELLS, Case, grid
from benchmarks.hosts import HOSTS, Process, missing
from elman.errors import InputError, check_choice

REGIMES = ("forward", "train", "step")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="elman bench", description=__doc__, allow_abbrev=False)
    made.add_argument("--cells", help=f"of {','.join(CELLS)}; separated by commas (all)")
    made.add_argument(
        "--shapes", help="only shapes whose name has one of these parts, as in T100-B1-,ragged (all)"
    )
    made.add_argument("--regime", help=f"of {','.join(REGIMES)}; separated by commas (all)")
    names = ",".join(host.name for host in HOSTS)
    made.add_argument(
        "--peers", help=f"processes to measure, of {names} (what is installed, but not torch-compiled)"
    )
    processors = len(machine.processors())
    made.add_argument(
        "--threads", type=int, default=processors, help="threads of every library (%(default)s)"
    )
    made.add_argument(
        "--quick", action="store_true", help="three cells, three shapes and the steps, about 3 minutes"
    )
    made.add_argument(
        "--out", type=Path, help="JSON file, a PNG beside it (benchmarks/results/ if all is measured)"
    )
    return made


def chosen(options: argparse.Namespace) -> list[Case]:
    """The rows the options ask for. Raises InputError for an option that is wrong or if no row is left."""
    processors = len(machine.processors())
    if not 1 <= options.threads <= processors:
        raise InputError(f"--threads is {options.threads}, expected 1 to {processors} on this machine.")
    _listed("peer", options.peers, [host.name for host in HOSTS])
    cells = _listed("cell", options.cells, CELLS)
    regimes = _listed("regime", options.regime, REGIMES)
    parts = options.shapes.split(",") if options.shapes else [""]
    cases = [
        case
        for case in grid(options.quick)
        if case.cell in cells and case.regime in regimes and any(part in case.shape.name for part in parts)
    ]
    if not cases:
        shapes = ", ".join(dict.fromkeys(case.shape.name for case in grid(options.quick)))
        raise InputError(f"no row fits these options. Shapes: {shapes}.")
    return cases


def _listed(kind: str, given: str | None, known: Sequence[str]) -> Sequence[str]:
    return [check_choice(kind, name, known) for name in given.split(",")] if given else known


def start(options: argparse.Namespace) -> tuple[list[Process], dict[str, str]]:
    """The processes asked for, elman's own among them, and what is absent and why."""
    usual = [host.name for host in HOSTS if host.rare != "always" and not (options.quick and host.rare)]
    names = [HOSTS[0].name, *(options.peers.split(",") if options.peers else usual)]
    absent = {host.name: "not asked for" for host in HOSTS if host.name not in names}
    for host in HOSTS:
        if host.name in names and (lacking := missing(host)):
            absent[host.name] = "not installed: " + ", ".join(lacking)
    if HOSTS[0].name in absent:
        raise InputError(
            f"elman's layers need torch: {absent[HOSTS[0].name]}. Try: pip install 'elman[train]'."
        )
    return [Process(host, options.threads) for host in HOSTS if host.name not in absent], absent


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure; what was measured until an interruption is kept."""
    cases = chosen(options)
    described = machine.describe()
    if described["load_before"] > machine.QUIET:
        console.print(f"the load is {described['load_before']}: other work disturbs the figures", style="red")
    before = machine.limits(options.threads)
    processes, absent = start(options)
    versions = {name: version for process in processes for name, version in process.introduce()[1].items()}
    rows: list[results.Row] = []
    pace = measure.QUICK if options.quick else measure.Pace()
    with contextlib.suppress(KeyboardInterrupt):
        for number, case in enumerate(cases, 1):
            row = measure.measure(case, processes, pace)
            rows.append(row)
            console.print(f"{number}/{len(cases)} {report.line(row)}", highlight=False, soft_wrap=True)
    for process in processes:
        process.stop()
    return {
        "format": results.FORMAT,
        "date": datetime.date.today().isoformat(),
        "machine": described,
        "limits": machine.higher(before, machine.limits(options.threads)),
        "versions": versions,
        "settings": {"threads": options.threads, "quick": options.quick},
        "absent": absent,
        "rows": rows,
    }


def whole(options: argparse.Namespace) -> bool:
    """Nothing left out: a result worth keeping without being asked."""
    return not (options.quick or options.cells or options.shapes or options.regime or options.peers)


def destination(options: argparse.Namespace, document: dict[str, Any]) -> Path | None:
    if options.out or not whole(options):
        return options.out  # type: ignore[no-any-return]
    words = re.findall(r"[a-z0-9]+", document["machine"]["processor"].lower())
    return machine.HERE / "results" / f"{document['date']}-{'-'.join(words)}-{options.threads}t.json"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        document = run(options, console)
    except InputError as wrong:
        console.print(f"elman bench: {wrong}", highlight=False)
        return 2
    report.show(document, Console(width=None if sys.stdout.isatty() else 150))
    out = destination(options, document)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        plot.draw(document, out.with_suffix(".png"))
        console.print(f"wrote {out} and {out.with_suffix('.png').name}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

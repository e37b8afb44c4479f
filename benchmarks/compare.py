"""Two results files side by side: `python -m benchmarks.compare OLD.json NEW.json`.

Our own time per row, old over new; the peers in both files say whether the machine itself changed meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import results
from benchmarks.measure import OURS
from benchmarks.report import seconds, times
from elman.errors import InputError

KEY = ("cell", "shape", "regime", "dtype")


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """For every row in both files: old and new seconds, their ratio, and the peers' median ratio (machine drift).

    `net` is the first ratio over the second: above 1 our code became faster.
    """
    earlier = {tuple(row[k] for k in KEY): row for row in old["rows"]}
    found = []
    for row in new["rows"]:
        before = earlier.get(tuple(row[k] for k in KEY))
        if before is None or OURS not in before["seconds"] or OURS not in row["seconds"]:
            continue
        ratios = {
            name: before["seconds"][name] / s
            for name, s in row["seconds"].items()
            if name in before["seconds"]
        }
        ours = ratios.pop(OURS)
        drift = statistics.median(
            [ratio for name, ratio in ratios.items() if not name.startswith(OURS)] or [1.0]
        )
        found.append(
            {
                "row": " ".join(row[k] for k in KEY),
                "old": before["seconds"][OURS],
                "new": row["seconds"][OURS],
                "faster": ours,
                "drift": drift,
                "net": ours / drift,
            }
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    made.add_argument("old", type=Path)
    made.add_argument("new", type=Path)
    options = made.parse_args(arguments)
    try:
        old, new = results.load(options.old), results.load(options.new)
    except InputError as wrong:
        print(f"compare: {wrong}", file=sys.stderr)
        return 2
    table = Table(
        "row", "old", "new", "faster", "machine", "net", title=f"{options.old.name} to {options.new.name}"
    )
    found = changes(old, new)
    for change in found:
        style = "red" if change["net"] < 0.95 else "green" if change["net"] > 1.05 else None
        ratios = (times(change[key]) for key in ("faster", "drift", "net"))
        table.add_row(change["row"], seconds(change["old"]), seconds(change["new"]), *ratios, style=style)
    console = Console()
    console.print(table)
    if old["machine"]["processor"] != new["machine"]["processor"]:
        console.print("The processors differ: the comparison is of machines as well.", style="red")
    mean = results.geometric_mean([change["net"] for change in found])
    console.print(f"net, geometric mean of {len(found)} rows: {times(mean)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write the tables and the picture of a results file into the documentation.

`python -m benchmarks.document benchmarks/results/FILE.json`: no figure in docs/benchmarks.md is typed by hand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, plot, report, results
from elman.errors import InputError

PAGE = machine.HERE.parent / "docs" / "benchmarks.md"
PICTURE = "Time of each peer over elman's"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def filled(page: str, text: str) -> str:
    """`page` with `text` between its two marks. Raises InputError if they are not there."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise InputError(f"{PAGE}: expected the marks {BEGIN} and {END} once each.")
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(prog="python -m benchmarks.document", description=__doc__)
    made.add_argument("results", type=Path)
    given = made.parse_args(arguments).results
    try:
        document = results.load(given)
        load = document["machine"]["load_before"]
        if load > machine.QUIET:
            raise InputError(
                f"{given}: measured while other work ran (load {load}, expected at most {machine.QUIET});"
                " measure again on a quiet machine."
            )
        text = f"![{PICTURE}]({PAGE.stem}.png)\n\n{report.markdown(document)}"
        page = filled(PAGE.read_text(encoding="utf-8"), text)
    except InputError as wrong:
        print(f"document: {wrong}", file=sys.stderr)
        return 2
    plot.draw(document, PAGE.with_suffix(".png"))
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""List the recurrences, or write their documentation pages.

Every cell works with every task, as --cell NAME.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from elman import cells
from elman.cells._page import index, page
from elman.cli._output import Output, table
from elman.cli._parser import Parser, add_output_flags
from elman.errors import InputError


def run(arguments: Sequence[str]) -> int:
    parser = Parser("cells", __doc__)
    parser.add_argument(
        "--write", metavar="DIR", type=Path, help="write one Markdown page a cell, and an index"
    )
    parser.add_argument(
        "--check", action="store_true", help="with --write: change nothing, fail if a page is stale"
    )
    add_output_flags(parser)
    given = parser.parse(arguments)
    output = Output(given)
    known = [cells.get(name) for name in cells.names()]
    if "write" in given:
        _write(
            given.write,
            {"index": index(known), **{cell.name: page(cell) for cell in known}},
            "check" in given,
        )
        output.say(f"{len(known)} cells: the pages in {given.write} are up to date.")
    elif "check" in given:
        raise InputError("--check compares the pages of a folder: say which with --write DIR.")
    facts = [
        {
            "name": cell.name,
            "title": cell.title,
            "states": list(cell.state_names),
            "gates": list(cell.gate_names),
            "source": f"{cell.source.authors.split(',')[0]} {cell.source.year}",
        }
        for cell in known
    ]
    if "write" not in given or output.json:
        rows = [
            [text if isinstance(text, str) else " ".join(text) for text in fact.values()] for fact in facts
        ]
        output.result({"cells": facts}, table(tuple(facts[0]), rows))
    return 0


def _write(folder: Path, pages: dict[str, str], check: bool) -> None:
    stale = [
        path
        for path, text in ((folder / f"{name}.md", text) for name, text in pages.items())
        if _read(path) != text
    ]
    if check and stale:
        raise InputError(
            f"stale pages: {', '.join(map(str, stale))}. Write them with: elman cells --write {folder}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(pages[path.stem], encoding="utf-8")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None

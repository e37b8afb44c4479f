"""Score a run on data it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

from elman.cli._output import Output, score_table
from elman.cli._parser import Parser, add_output_flags
from elman.errors import InputError


def run(arguments: Sequence[str]) -> int:
    parser = Parser("evaluate", __doc__)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("data", nargs="+", metavar="DATA", help="files, or folders of files")
    parser.add_argument(
        "--rows",
        metavar="N",
        default="1",
        help="parts of the text read side by side, faster; 1: exactly, as one text (default: 1)",
    )
    add_output_flags(parser)
    given = parser.parse(arguments)
    try:
        rows = int(given.rows)
    except ValueError:
        raise InputError(f"--rows is {given.rows!r}, expected a whole number.") from None
    from elman import api

    scores = api.evaluate(given.run, given.data, rows=rows)
    Output(given).result({"run": given.run, "data": given.data, **scores}, score_table({"model": scores}))
    return 0

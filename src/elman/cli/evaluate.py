"""Score a run on data it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

from elman.cli._output import Output, score_table
from elman.cli._parser import add_output_flags, read_options, run_parser


def run(arguments: Sequence[str]) -> int:
    parser, options = run_parser("evaluate", __doc__, arguments, lambda task: task.evaluating)
    parser.add_argument("data", nargs="+", metavar="DATA", help="files, or folders of files")
    add_output_flags(parser)
    given = parser.parse(arguments)
    from elman import api, tasks
    from elman.runfolder import RunFolder

    output = Output(given)
    scores = api.evaluate(given.run, given.data, **read_options(options, given))
    for remark in tasks.get(RunFolder.open(given.run).read_config()["task"]).remarks():
        output.say(remark)
    output.result({"run": given.run, "data": given.data, **scores}, score_table({"model": scores}))
    return 0

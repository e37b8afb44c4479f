"""Ask a trained model: texts, files, or lines from standard input; answers appear as they are found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from elman.cli._output import Output, write
from elman.cli._parser import add_output_flags, read_options, run_parser
from elman.errors import InputError


def run(arguments: Sequence[str]) -> int:
    parser, options = run_parser("predict", __doc__, arguments, lambda task: task.predicting)
    parser.add_argument(
        "input",
        nargs="*",
        default=[],
        metavar="INPUT",
        help="texts, files, or - for standard input line by line",
    )
    add_output_flags(parser)
    group = parser.add_argument_group("answers")
    group.add_argument(
        "--jsonl", action="store_true", help="one JSON object for each input, as it is answered"
    )
    group.add_argument(
        "--out", metavar="FILE", help="write the answers to a new file, not to standard output"
    )
    given = parser.parse(arguments)
    if "out" in given and Path(given.out).exists():
        raise InputError(f"{given.out}: is there already, and nothing is overwritten; choose another file.")
    from elman import api
    from elman.runfolder import replace

    output = Output(given)
    answers = api.predict(given.run, given.input, **read_options(options, given))
    if output.json:
        values = {"run": given.run, "predictions": [answer.values for answer in answers]}
        output.result(values, "")
        return 0
    lines = (
        f"{json.dumps(answer.values, ensure_ascii=False) if 'jsonl' in given else answer.text}\n"
        for answer in answers
    )
    if "out" in given:
        replace(Path(given.out), "".join(lines).encode())
        return 0
    for line in lines:
        write(line)
    return 0

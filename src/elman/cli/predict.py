"""Ask a trained model: texts, files, or lines from standard input; answers appear as they are found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elman.cli._output import Output, prose, write
from elman.cli._parser import add_output_flags, read_options, run_parser
from elman.errors import InputError

if TYPE_CHECKING:
    from elman.tasks import Answer


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

    output, problems = Output(given), list[str]()
    answers = _telling(api.predict(given.run, given.input, **read_options(options, given)), output, problems)
    if output.json:
        values = {"run": given.run, "predictions": [answer.values for answer in answers]}
        output.result(values, "")
        return _code(problems)
    lines = (
        f"{json.dumps(answer.values, ensure_ascii=False) if 'jsonl' in given else answer.text}\n"
        for answer in answers
    )
    if "out" in given:
        replace(Path(given.out), "".join(lines).encode())
        return _code(problems)
    for line in lines:
        write(line)
    return _code(problems)


def _telling(answers: Iterable[Answer], output: Output, problems: list[str]) -> Iterator[Answer]:
    """The answers; notes and problems are told as they come, and problems collected."""
    for answer in answers:
        if answer.note:
            output.say(answer.note)
        if answer.problem:
            problems.append(answer.problem)
            print(f"elman: {answer.problem}", file=prose(), flush=True)
        yield answer


def _code(problems: Sequence[str]) -> int:
    """The exit code: that of wrong input if there was any."""
    from elman.cli import DONE, WRONG_INPUT

    return WRONG_INPUT if problems else DONE

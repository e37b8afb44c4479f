"""Train a task with several values of its options, and show the results beside each other.

Every option of the task takes one value or several with commas between them: --cells rnn,gru,lstm --hidden-size
64,256 trains six models. Several seeds are one line, with their mean and spread.
"""

from __future__ import annotations

import math
import shlex
import typing
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.cli._output import Output, table
from elman.cli._parser import Parser, add_output_flags
from elman.cli.train import free_folder
from elman.errors import InputError
from elman.settings import flag, from_text, option_groups

if TYPE_CHECKING:
    from elman.tasks import Task

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    from elman import tasks

    if not arguments or arguments[0].startswith("-"):
        if not {"-h", "--help"} & set(arguments):
            raise InputError(f"elman compare: which task? Known: {', '.join(tasks.names())}.")
        print(
            f"usage: elman compare TASK DATA... [--cells A,B,...] [--FLAG A,B,...] [--out DIR]\n\n{__doc__}"
        )
        return 0
    kind = tasks.get(arguments[0])
    given = _parser(kind).parse(_with_values(kind, arguments[1:]))
    from elman import comparison

    grid, options = _values(kind, given)
    subject = comparison.Comparison(kind.name, given.data, grid, options, getattr(given, "recipe", None))
    output = Output(given)
    out = given.out if "out" in given else free_folder(f"compare-{kind.name}")
    try:
        result = comparison.compare(
            subject,
            out,
            jobs=_jobs(given),
            resume="resume" in given,
            overwrite="overwrite" in given,
            tell=output.say,
        )
    except comparison.Stopped:
        words = [word for word in arguments if word not in ("--overwrite", "--resume")]
        words += [] if "out" in given else ["--out", out]
        output.say(
            f"Stopped; what is trained is kept. Go on with:\n  {shlex.join(['elman', 'compare', *words, '--resume'])}"
        )
        return INTERRUPTED
    head, rows = comparison.summary(result)
    text = table(head, [[_shown(value) for value in row] for row in rows], numbers=True)
    told = "".join(f"{line}\n" for line in comparison.verdicts(result))
    output.result(
        {"out": out, **result},
        f"{text}\n\n{told}\npicture {Path(out) / 'compare.png'}\nreport  {Path(out) / 'report.html'}",
    )
    return 0


def _parser(kind: type[Task]) -> Parser:
    parser = Parser(
        f"compare {kind.name}",
        __doc__ or "",
        usage=f"elman compare {kind.name} DATA... [--FLAG A,B,...] [--out DIR]",
    )
    parser.add_argument("data", nargs="+", metavar="DATA", help="files, or folders of files")
    group = parser.add_argument_group("comparison")
    name = f"compare-{kind.name}"
    group.add_argument("--out", metavar="DIR", help=f"folder to write (default: runs/{name}-1, -2, ...)")
    group.add_argument("--recipe", metavar="FILE.yaml", help="options for all from a file")
    group.add_argument("--jobs", metavar="N", help="trainings at a time (default: one for each core)")
    group.add_argument("--resume", action="store_true", help="go on with the comparison in --out")
    group.add_argument("--overwrite", action="store_true", help="replace the comparison in --out")
    group.add_argument("--cells", dest="cell", metavar="A,B,...", help="another name of --cell")
    hints = typing.get_type_hints(kind)
    for title, fields in option_groups(kind):
        group = parser.add_argument_group(title)
        for field in fields:
            text = field.metadata["help"].replace("%", "%%")
            if hints[field.name] is bool:
                group.add_argument(flag(field.name), metavar="true,false", help=text)
                group.add_argument(
                    flag(f"no_{field.name}"), dest=field.name, action="store_const", const="false"
                )
            else:
                several = _splits(field.metadata["choices"], hints[field.name], field.name)
                group.add_argument(flag(field.name), metavar="A,B,..." if several else "TEXT", help=text)
    add_output_flags(parser)
    return parser


def _with_values(kind: type[Task], arguments: Sequence[str]) -> list[str]:
    """The words with `true` behind each switch that stands alone, as it does for `elman train`."""
    hints = typing.get_type_hints(kind)
    switches = {flag(f.name) for _, fields in option_groups(kind) for f in fields if hints[f.name] is bool}
    words: list[str] = []
    for word, after in zip(arguments, [*arguments[1:], ""], strict=True):
        alone = word in switches and not set(after.split(",")) <= {"true", "false"}
        words += [word, "true"] if alone else [word]
    return words


def _values(kind: type[Task], given: Namespace) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """The options with several values, and those with one."""
    hints = typing.get_type_hints(kind)
    grid: dict[str, list[Any]] = {}
    options: dict[str, Any] = {}
    for _, fields in option_groups(kind):
        for field in fields:
            if field.name not in given:
                continue
            text = getattr(given, field.name)
            several = _splits(field.metadata["choices"], hints[field.name], field.name)
            words = [word.strip() for word in text.split(",")] if several else [text]
            values = [from_text(kind, {field.name: word}, flag)[field.name] for word in words]
            if len(set(values)) < len(values):
                raise InputError(f"{flag(field.name)} is {text}: a value is there twice.")
            if len(values) > 1:
                grid[field.name] = values
            else:
                options[field.name] = values[0]
    return grid, options


def _splits(choices: Sequence[str], hint: Any, name: str) -> bool:
    """Whether a comma divides values: it may be part of a text that is free."""
    return bool(choices) or name == "cell" or str not in (typing.get_args(hint) or (hint,))


def _jobs(given: Namespace) -> int | None:
    if "jobs" not in given:
        return None
    if not given.jobs.isdecimal() or not int(given.jobs):
        raise InputError(f"--jobs is {given.jobs!r}, expected a whole number of at least 1.")
    return int(given.jobs)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return f"{value:,.0f}" if value.is_integer() or abs(value) >= 1000 else f"{value:.4f}"
    return str(value).lower()

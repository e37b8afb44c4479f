"""Train a model on your data and write a run folder.

The data are files or folders. An option given as a flag comes before the recipe, the recipe before the default.
"""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elman.cli._output import Output, prose, score_table
from elman.cli._parser import Parser, add_options, add_output_flags, command_line, read_options
from elman.errors import InputError

if TYPE_CHECKING:
    from elman.tasks import Task

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    from elman import tasks

    if not arguments or arguments[0].startswith("-"):
        if not {"-h", "--help"} & set(arguments):
            raise InputError(f"elman train: which task? Known: {', '.join(tasks.names())}.")
        print(_overview())
        return 0
    kind = tasks.get(arguments[0])
    given = _parser(kind).parse(arguments[1:])
    output = Output(given)
    out: str = given.out if "out" in given else free_folder(kind.name)
    return _train(kind, given, out, output)


def _train(kind: type[Task], given: Namespace, out: str, output: Output) -> int:
    from elman import api, train

    options = read_options(kind, given)
    resume, overwrite = "resume" in given, "overwrite" in given
    if "" in (*given.data, out):
        raise InputError(
            "DATA or --out is an empty name, expected a file or a folder. Is a shell variable unset?"
        )
    if resume and "out" not in given:
        raise InputError("--resume needs the run to go on with: --out RUN.")
    model = api.estimator(
        kind.name, options, recipe=getattr(given, "recipe", None), resumed=out if resume else None
    )
    progress = train.progress_on(prose(), quiet=output.quiet)
    try:
        model.fit(given.data, out=out, resume=resume, overwrite=overwrite, progress=progress)
    except train.Interrupted as stop:
        again = command_line(["train", kind.name, *given.data, "--out", out, "--resume"], options)
        output.say(f"Stopped at step {stop.step:,}; everything up to here is kept. Go on with:\n  {again}")
        return INTERRUPTED
    if train.World.here().first:
        _tell(model, out, output)
    return 0


def _tell(model: Task, out: str, output: Output) -> None:
    last = model._fitted().metrics()[-1]
    values = {
        "task": model.name,
        "run": out,
        **last,
        "parameters": model.parameters_,
        "compared": dataclasses.asdict(model._compared()),
        "scores": model.scores_,
    }
    for remark in model.remarks():
        output.say(remark)
    output.result(
        values, f"{score_table(model.scores_)}\n\nrun     {out}\nreport  {Path(out) / 'report.html'}"
    )


def _parser(kind: type[Task]) -> Parser:
    summary = (kind.__doc__ or "").strip().splitlines()[0]
    parser = Parser(
        f"train {kind.name}", summary, usage=f"elman train {kind.name} DATA... [--out RUN] [flags]"
    )
    parser.add_argument("data", nargs="+", metavar="DATA", help="files, or folders of files")
    group = parser.add_argument_group("run")
    group.add_argument("--out", metavar="RUN", help=f"folder to write (default: runs/{kind.name}-1, -2, ...)")
    group.add_argument(
        "--recipe", metavar="FILE.yaml", help="options from a file, one `option: value` a line"
    )
    group.add_argument(
        "--resume", action="store_true", help="go on with the run in --out where its checkpoint stands"
    )
    group.add_argument("--overwrite", action="store_true", help="replace the run in --out")
    add_options(parser, kind)
    add_output_flags(parser)
    return parser


def _overview() -> str:
    from elman import tasks

    rows = [
        f"  {name:16} {(tasks.get(name).__doc__ or '').strip().splitlines()[0]}" for name in tasks.names()
    ]
    return "\n".join(
        [
            "usage: elman train TASK DATA... [--out RUN] [--recipe FILE.yaml] [flags of the task]",
            "",
            (__doc__ or "").strip(),
            "",
            "tasks:",
            *rows,
            "",
            "elman train TASK --help lists the flags of a task.",
        ]
    )


def free_folder(task: str) -> str:
    """runs/TASK-1, or the first number after those that are taken."""
    number = 1
    while (path := Path("runs") / f"{task}-{number}").exists():
        number += 1
    return str(path)

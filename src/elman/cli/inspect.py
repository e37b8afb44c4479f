"""Look inside a trained model: memory, gradients through time, gates; and what to do about them.

It reads the INPUT as `elman predict` would, measures, says what it found in words with numbers, and writes a page with
pictures. A changed input is felt, and a gradient, where it is more than 1 % of the strongest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from elman.cli._output import Output
from elman.cli._parser import Parser, add_output_flags
from elman.cli.train import free_folder
from elman.errors import InputError


def run(arguments: Sequence[str]) -> int:
    parser = Parser("inspect", __doc__)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument(
        "input",
        nargs="*",
        default=[],
        metavar="INPUT",
        help="texts, files or tables; a language model and a forecaster need none",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="new folder to write (default: runs/inspect-RUN-1, -2, ...)"
    )
    group = parser.add_argument_group("attributions")
    group.add_argument(
        "--attribution",
        metavar="METHOD",
        help="what each step had to do with an answer: integrated-gradients|saliency|input-x-gradient|leave-one-out",
    )
    group.add_argument(
        "--answer",
        metavar="TEXT",
        help="class, tag or symbol (default: the likeliest, or the one that was written)",
    )
    group.add_argument(
        "--step",
        metavar="N",
        type=int,
        help="where answers are one a step: which, from 0 (default: -1, the last)",
    )
    parser.add_argument(
        "--beside",
        metavar="RUN",
        action="append",
        help="another run for the slider of explore.html, such as a shorter training; may be repeated",
    )
    parser.add_argument(
        "--moments",
        metavar="N",
        type=int,
        help="how many moments of the training to look at beside the result, of those it kept (default: 3)",
    )
    add_output_flags(parser)
    given = parser.parse(arguments)
    from elman import api

    out = given.out if "out" in given else free_folder(f"inspect-{Path(given.run).resolve().name}")
    asked = {
        name: vars(given)[name]
        for name in ("attribution", "answer", "step", "beside", "moments")
        if name in given
    }
    if "attribution" not in given and asked.keys() & {"answer", "step"}:
        raise InputError(
            "--answer and --step say what attributions are asked about: give --attribution, too."
        )
    values, text = api.inspect(given.run, given.input, out, **asked)
    pages = "".join(f"\npage {Path(out) / name}" for name in ("inspect.html", "explore.html"))
    Output(given).result({"run": given.run, "out": out, **values}, f"{text}\n{pages}")
    return 0

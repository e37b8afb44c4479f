"""Flags from option fields, help in groups, and the house error in place of argparse's own."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from elman.errors import InputError
from elman.settings import flag, flags, from_text, nearest, option_groups

if TYPE_CHECKING:
    from elman.tasks import Task


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are InputErrors and whose flags are never abbreviated."""

    def __init__(self, command: str, description: str, **settings: Any) -> None:
        super().__init__(
            prog=f"elman {command}",
            description=description,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            formatter_class=_Help,
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        if "expected one argument" in message:
            message += "; one that begins with a dash is given as --flag=VALUE"
        raise InputError(f"{message}. See {self.prog} --help.")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse flags and positional arguments in any order; raises InputError naming the nearest known flag."""
        for argument in arguments:
            if argument == "--":
                break
            name = argument.split("=")[0]
            if name.startswith("--") and " " not in name and name not in self._option_string_actions:
                known = (known for known in self._option_string_actions if known.startswith("--"))
                raise InputError(f"unknown flag {name}.{nearest(name, known)} See {self.prog} --help.")
        return self.parse_intermixed_args(arguments)


class _Help(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)


def run_parser(
    verb: str,
    description: str | None,
    arguments: Sequence[str],
    options_of: Callable[[type[Task]], type[Any]],
) -> tuple[Parser, type[Any]]:
    """The parser of a verb that takes a RUN, and the options that the run's task has for it.

    The run is the first argument that is one; where there is none, the first argument is what should have been one.
    """
    from elman import tasks
    from elman.runfolder import RunFolder

    parser = Parser(
        verb, description or "", epilog=f"elman {verb} RUN --help lists the flags of its task, too."
    )
    parser.add_argument("run", metavar="RUN", help="run folder")
    runs = [word for word in arguments if _is_run(word)]
    runs = runs or [word for word in arguments[:1] if not word.startswith("-")]
    if not runs:
        return parser, tasks.NoOptions
    options = options_of(tasks.get(RunFolder.open(runs[0]).read_config()["task"]))
    add_options(parser, options)
    return parser, options


def _is_run(word: str) -> bool:
    try:
        return (Path(word) / "config.json").is_file()
    except OSError:  # too long for a path: a text
        return False


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """`--json` and `--quiet`, the same for every verb that has a result."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json", action="store_true", help="one JSON object on stdout, everything else on stderr"
    )
    group.add_argument("--quiet", action="store_true", help="the result only: no progress, no prose")


def add_options(parser: argparse.ArgumentParser, options: type[Any]) -> None:
    """One flag for each option field, in groups by the class that declares it, with its default."""
    hints = typing.get_type_hints(options)
    for title, fields in option_groups(options):
        group = parser.add_argument_group(title)
        for field in fields:
            _add_flag(group, field, hints[field.name])


def read_options(options: type[Any], given: argparse.Namespace) -> dict[str, Any]:
    """The options given as flags, typed; those not given are absent."""
    names = {field.name for _, fields in option_groups(options) for field in fields}
    return from_text(options, {name: value for name, value in vars(given).items() if name in names}, flag)


def command_line(words: Sequence[str], options: Mapping[str, Any]) -> str:
    """A command to copy: the words and the options, quoted where a shell asks for it."""
    return shlex.join(["elman", *words, *flags(options)])


def _add_flag(group: Any, field: dataclasses.Field[Any], hint: Any) -> None:
    text = field.metadata["help"]
    if not text.endswith("]"):  # a help that ends so tells itself what stands in for the default
        text = f"{text} (default: {str(field.default).lower()})"
    text = text.replace("%", "%%")
    if hint is bool:
        group.add_argument(flag(field.name), action=argparse.BooleanOptionalAction, help=text)
        return
    choices = field.metadata["choices"]
    metavar = field.metadata["metavar"] or ("|".join(choices) if choices else _metavar(hint))
    group.add_argument(flag(field.name), metavar=metavar, help=text)


def _metavar(hint: Any) -> str:
    members = typing.get_args(hint) or (hint,)
    return "TEXT" if str in members else "X" if float in members else "N"

"""The command line: one module a verb. `main` picks the verb, and turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from typing import Protocol

from elman.errors import InputError, check_choice

DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130


class Verb(Protocol):
    """What a module of this package is: its first docstring line is the verb's help."""

    __doc__: str | None

    def run(self, arguments: Sequence[str]) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 the input is wrong, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except InputError as error:
        _say(f"{error}")
        return WRONG_INPUT
    except ModuleNotFoundError as error:
        _say(_missing(error))
        return WRONG_INPUT
    except KeyboardInterrupt:
        _say("interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = io.StringIO()  # the reader is gone, and a flush at exit would complain again
        return DONE


def _open_streams() -> None:
    """A stream that was closed by the caller (`>&-`) is there, and leads nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (open to the end)


def _say(message: str) -> None:
    from elman.cli._output import prose

    print(f"elman: {message}", file=prose(), flush=True)


def verbs() -> tuple[str, ...]:
    """Names of the verbs: the modules of this package."""
    return tuple(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def verb(name: str) -> Verb:
    """The module of a verb; raises InputError with the nearest name."""
    return importlib.import_module(f"{__name__}.{check_choice('command', name, verbs())}")


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return DONE if arguments else WRONG_INPUT
    if arguments[0] == "--version":
        from elman import __version__

        print(f"elman {__version__}")
        return DONE
    try:
        return verb(arguments[0]).run(arguments[1:])
    except SystemExit as exit:  # argparse leaves this way after --help
        return int(exit.code or DONE)


def _help() -> str:
    lines = [f"  {name:10} {_first_line(verb(name))}" for name in verbs()]
    return "\n".join(
        [
            "usage: elman COMMAND ...",
            "",
            "Recurrent networks: train them, judge them, use them.",
            "",
            *lines,
            "",
            "elman COMMAND --help tells the rest. A first look: elman demo",
        ]
    )


def _first_line(module: Verb) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def _missing(error: ModuleNotFoundError) -> str:
    """Which extra of elman brings the missing module; an import error of our own is no user's fault."""
    from elman.cli._extras import extra_of

    extra = extra_of(error.name or "")
    if extra is None:
        raise error
    return f"this needs {error.name}, which is not installed. Try: pip install 'elman[{extra}]'"

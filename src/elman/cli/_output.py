"""Where a verb writes: results to stdout, prose to stderr; with --json one object on stdout and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO, cast

from elman.errors import InputError


class Output:
    """Results and prose of one command.

    json: the result is one JSON object on stdout. quiet: no prose.
    """

    def __init__(self, given: Namespace) -> None:
        self.json: bool = getattr(given, "json", False)
        self.quiet: bool = getattr(given, "quiet", False)

    def say(self, text: str) -> None:
        """Prose, for the person in front of the terminal."""
        if not self.quiet:
            print(text, file=prose(), flush=True)

    def result(self, values: Mapping[str, Any], text: str) -> None:
        """What the command was run for, once: an object for programs or a text for people."""
        if self.json:
            from elman.runfolder import finite  # not above: --help needs no NumPy

            text = json.dumps(finite(values), ensure_ascii=False, allow_nan=False)
        write(f"{text}\n")


def write(text: str) -> None:
    """Text to stdout, at once; raises InputError where it cannot be written, such as to a full disk."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        to_nowhere(sys.stdout)
        raise InputError(
            f"cannot write the result to standard output: {error.strerror}. Send it to another place."
        ) from error


def prose() -> TextIO:
    """stderr for prose: where its reader leaves or its disk is full, the work goes on and the prose is lost."""
    return cast(TextIO, _Prose(sys.stderr))


def to_nowhere(stream: TextIO) -> None:
    """Lose what is left in a stream that cannot be written, or it would complain again at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _Prose:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._lossy():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._lossy():
            self._stream.flush()

    @contextlib.contextmanager
    def _lossy(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            to_nowhere(self._stream)


def score_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Scores in columns, one line for each who made them."""
    columns = list(dict.fromkeys(name for values in scores.values() for name in values))
    rows = [
        [who.replace("_", " "), *(f"{values[name]:.4f}" if name in values else "" for name in columns)]
        for who, values in scores.items()
    ]
    return table(["", *(name.replace("_", " ") for name in columns)], rows, numbers=True)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    """Columns of text; with `numbers` all but the first are aligned to the right.

    >>> print(table(("", "loss"), [("model", "1.5")], numbers=True))
           loss
    model   1.5
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if numbers and place else text.ljust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )

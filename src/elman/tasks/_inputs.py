"""What `elman predict` is given: texts, files, or lines that come in on standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from elman.data import read_lines
from elman.errors import InputError

_READ = 1 << 16  # bytes of standard input read at once
_GROUP = 256  # inputs answered at once


@dataclass(frozen=True)
class Answer:
    """What a model says to one input: as a line for a reader, and as values for a program.

    note: what else there is to tell of it. problem: what is wrong with it, so that there is no answer; the command line
    tells it, goes on with the rest, and ends with the exit code of wrong input.
    """

    text: str
    values: Mapping[str, Any]
    note: str = ""
    problem: str = ""


class Unreadable(str):
    """A line of standard input that is no text: what is wrong with it, in its place."""


def is_file(given: str) -> bool:
    """Whether a word of the command line names a file."""
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # too long for a name, or it holds a zero: a text
        return False


def text_groups(inputs: Sequence[str], *, unreadable: bool = False) -> Iterator[list[str]]:
    """Texts to answer together: the words of the command line, the lines of the files they name, or with `-` the lines
    of standard input, as they come: no line waits for the next.

    unreadable: a line of standard input that is not UTF-8 comes as Unreadable; else it is an InputError, behind all
    those before it.
    """
    for given in inputs:
        if given == "-":
            for group in stdin_groups():
                bad = next((k for k, line in enumerate(group) if isinstance(line, Unreadable)), None)
                if bad is None or unreadable:
                    yield group
                    continue
                yield group[:bad]
                raise InputError(group[bad])
        elif is_file(given):
            yield from grouped(read_lines(given))
        else:
            yield [given]


def grouped(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lists of at most a few hundred lines."""
    group: list[str] = []
    for line in lines:
        group.append(line)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


def stdin_groups() -> Iterator[list[str]]:
    """Lines of standard input, as many together as are there already; one that is not UTF-8 is Unreadable."""
    stream, rest, count = cast(io.BufferedReader, sys.stdin.buffer), b"", 0
    while True:
        read = stream.read1(_READ)
        rest += read
        whole, _, rest = rest.rpartition(b"\n") if read else (rest, b"", b"")
        lines = whole.split(b"\n") if whole or (read and b"\n" in read) else []
        for start in range(0, len(lines), _GROUP):
            yield [_line(line, count + start + k + 1) for k, line in enumerate(lines[start : start + _GROUP])]
        count += len(lines)
        if not read:
            return


def _line(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        return Unreadable(
            f"standard input, line {number}: byte {error.start} is not UTF-8. Convert it: iconv -t UTF-8"
        )

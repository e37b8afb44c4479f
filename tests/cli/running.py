"""What the tests of the command line look at."""

from __future__ import annotations

from typing import NamedTuple


class Ran(NamedTuple):
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

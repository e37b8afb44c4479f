"""The one kind of error a user can cause and cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What was given is wrong: the message says what, where, what was expected and how to mend it.

    The command line prints the message without a traceback and exits with code 2.
    """


def check_choice(kind: str, value: str, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`; otherwise raise an InputError that names the nearest one.

    >>> check_choice("cell", "lstm", ["gru", "lstm"])
    'lstm'
    """
    names = sorted(allowed)
    if value in names:
        return value
    near = difflib.get_close_matches(value, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown {kind} {value!r}.{hint} Known: {', '.join(names)}.")

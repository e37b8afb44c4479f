"""Properties of the steps of a text that units may follow: inside a speaker's name, late in its line, in quotes, ..."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from elman.inspection.colouring import apart
from elman.inspection.inspected import Inspected

Wanted = NDArray[np.bool_]

_LATE = 30  # characters of a line, behind which a step is late in it
_ANSWERS = 20  # names of answers at most, for what was answered to be a property

_NAME = re.compile(r"(?:\A|\n[ \t]*\n)([^\W\d_a-z][^\n:.,;!?]{0,40}:)(?=\n)")
_QUOTED = re.compile(r"[\"“«「][^\n\"“”«»「」]*[\"”»」]")
_BRACKETED = re.compile(r"[(\[{][^\n()\[\]{}]*[)\]}]")


def text_properties(steps: Sequence[str]) -> dict[str, Wanted]:
    """By name, at which steps of a row a property holds: of the character with which what is read at the step begins.

    A speaker's name stands alone in its line with a colon behind it, at the begin of the text or after an empty line.

    >>> held = text_properties(list("\\n\\nKING:\\nAy"))
    >>> "".join("x" if inside else "." for inside in held["in a speaker's name"])
    '..xxxxx...'
    """
    gap = " " if apart([steps]) else ""
    text = gap.join(steps)
    lengths = np.array([len(step) + len(gap) for step in steps], dtype=np.int64)
    starts = np.minimum(np.cumsum(lengths) - lengths, max(len(text) - 1, 0))
    if not text:
        return {}
    characters = np.array(list(text))
    breaks = np.flatnonzero(characters == "\n")
    places = np.arange(len(text))
    line = np.concatenate([[-1], breaks])[np.searchsorted(breaks, places)]
    spaces = np.array([character.isspace() for character in text])
    held = {
        "in a speaker's name": _within(text, _NAME, 1),
        "late in its line": places - line > _LATE,
        "in quotes": _within(text, _QUOTED),
        "in brackets": _within(text, _BRACKETED),
        "upper case": np.array([character.isupper() for character in text]),
        "digit": np.array([character.isdigit() for character in text]),
        "space": spaces,
        "first of a word": ~spaces & np.concatenate([[True], spaces[:-1]]),
    }
    return {name: inside[starts] for name, inside in held.items()}


def properties(inspected: Inspected) -> Iterator[tuple[str, list[Wanted]]]:
    """Each property with its rows of steps: of the text that is read, and what was answered, where answers are few."""
    import torch

    rows = [text_properties(steps) for steps in inspected.steps] if inspected.text else []
    if rows and all(rows):
        for name in rows[0]:
            yield name, [row[name] for row in rows]
    if 1 < len(inspected.answers) <= _ANSWERS and not inspected.written:
        with torch.inference_mode():
            said = inspected.read().argmax(-1).cpu().numpy()
        for number, answer in enumerate(inspected.answers):
            if number and len(inspected.answers) == 2:
                break  # where it does not say the one, it says the other
            told = [
                np.broadcast_to(one == number, len(steps)) if one.ndim == 0 else one[: len(steps)] == number
                for one, steps in zip(said, inspected.steps, strict=True)
            ]
            yield f"it says {answer if answer.strip() else repr(answer)}", told


def _within(text: str, pattern: re.Pattern[str], group: int = 0) -> Wanted:
    inside = np.zeros(len(text), dtype=bool)
    for found in pattern.finditer(text):
        inside[found.start(group) : found.end(group)] = True
    return inside

"""Tags that mark spans: B-PER I-PER O (BIO), or with E for the last word of a span and S for a lone one (BIOES).

>>> spans(["B-PER", "I-PER", "O", "B-LC"])
[Span(kind='PER', start=0, stop=2), Span(kind='LC', start=3, stop=4)]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SCHEMES = {"bio": "BI", "bioes": "BIES"}
"""The letters of each scheme beside O."""
_TAG = re.compile(r"([BIES])(?:-(.*))?", re.DOTALL)


class Span(NamedTuple):
    """Words `start` to `stop` - 1, all of one kind ("" where the tags name none)."""

    kind: str
    start: int
    stop: int


class Legal(NamedTuple):
    """What a scheme allows among K tags: to begin (K,), to follow each other (from, to) (K, K), to end (K,)."""

    begin: NDArray[np.bool_]
    follow: NDArray[np.bool_]
    end: NDArray[np.bool_]


def scheme_of(tags: Iterable[str]) -> str | None:
    """The scheme that a set of tags is of, or None: all are O or have a letter of it, one has B or I.

    >>> scheme_of(["O", "B-PER", "I-PER"]), scheme_of(["O", "S-PER"]), scheme_of(["NOUN", "I"])
    ('bio', 'bioes', None)
    """
    found = [_TAG.fullmatch(tag) for tag in tags if tag != "O"]
    letters = {match[1] for match in found if match}
    if not letters or None in found:
        return None
    return "bio" if letters <= set("BI") else "bioes"


def parts(tag: str | None) -> tuple[str, str]:
    """Letter and kind of a tag; one of no scheme, or none at all, counts as O."""
    match = _TAG.fullmatch(tag or "O")
    return (match[1], match[2] or "") if match else ("O", "")


def spans(tags: Sequence[str | None]) -> list[Span]:
    """The spans of a sentence by the rules of the CoNLL-2000 evaluation (conlleval), which read broken tags too.

    A word goes on with the span before it if its letter is I or E, that of the word before is B or I, and both are of
    one kind; any other word but O begins a span.
    """
    found: list[Span] = []
    before = ("O", "")
    for place, tag in enumerate(tags):
        letter, kind = now = parts(tag)
        if letter in "IE" and before[0] in "BI" and before[1] == kind:
            found[-1] = found[-1]._replace(stop=place + 1)
        elif letter != "O":
            found.append(Span(kind, place, place + 1))
        before = now
    return found


def marked(found: Iterable[Span], length: int, scheme: str) -> list[str]:
    """The tags of a sentence of `length` words with these spans: what `spans` reads.

    >>> marked([Span("LC", 1, 3)], 4, "bioes")
    ['O', 'B-LC', 'E-LC', 'O']
    """
    tags = ["O"] * length
    for kind, start, stop in found:
        letters = "B" + "I" * (stop - start - 1)
        if scheme == "bioes":
            letters = "S" if stop - start == 1 else letters[:-1] + "E"
        tags[start:stop] = [f"{letter}-{kind}" if kind else letter for letter in letters]
    return tags


def broken(tags: Sequence[str | None], scheme: str) -> int | None:
    """The first word at which a sentence breaks its scheme, or None. A word without a tag breaks nothing."""
    before: str | None = "O"
    for place, tag in enumerate(tags):
        if tag is not None and before is not None and not _follows(before, tag, scheme):
            return place
        before = tag
    if before is not None and not _follows(before, "O", scheme):
        return len(tags) - 1
    return None


def legal(tags: Sequence[str], scheme: str) -> Legal:
    """What the scheme allows among these tags, for a decoder."""
    follow = np.array([[_follows(one, two, scheme) for two in tags] for one in tags], bool)
    begin = np.array([_follows("O", tag, scheme) for tag in tags], bool)
    return Legal(begin, follow, np.array([_follows(tag, "O", scheme) for tag in tags], bool))


def _follows(before: str, tag: str, scheme: str) -> bool:
    """Whether `tag` may stand behind `before`; O stands for both ends of a sentence."""
    (one, kind), (two, other) = parts(before), parts(tag)
    goes_on = two in "IE"
    if scheme == "bio":
        return not goes_on or (one in "BI" and kind == other)
    return (one in "BI") == goes_on and (not goes_on or kind == other)

"""Spans: counts that seqeval 1.2.2 and conlleval give for the same tags, and what each scheme allows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from elman.data.spans import Span, broken, legal, marked, scheme_of, spans

# (tags, spans): the spans that seqeval's get_entities, a port of conlleval, finds.
READ = [
    ("B-P I-P O B-L", [("P", 0, 2), ("L", 3, 4)]),
    ("I-P I-P O I-L", [("P", 0, 2), ("L", 3, 4)]),
    ("B-P B-P I-L", [("P", 0, 1), ("P", 1, 2), ("L", 2, 3)]),
    ("B-P I-L I-P", [("P", 0, 1), ("L", 1, 2), ("P", 2, 3)]),
    ("B-P E-P E-P", [("P", 0, 2), ("P", 2, 3)]),
    ("S-P I-P E-P", [("P", 0, 1), ("P", 1, 3)]),
    ("B-P I-P E-P I-P", [("P", 0, 3), ("P", 3, 4)]),
    ("B-P S-P O E-L", [("P", 0, 1), ("P", 1, 2), ("L", 3, 4)]),
    ("B I O", [("", 0, 2)]),
    ("O O", []),
]


@pytest.mark.parametrize(("tags", "found"), READ)
def test_spans_are_read_as_conlleval_does(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert spans(tags.split()) == [Span(*span) for span in found]


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_marked_is_read_back_and_breaks_nothing(scheme: str) -> None:
    found = [Span("P", 0, 3), Span("P", 3, 4), Span("L", 5, 7), Span("", 7, 8)]
    tags = marked(found, 9, scheme)
    assert spans(tags) == found
    assert broken(tags, scheme) is None
    assert scheme_of(tags) == scheme


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O B-P I-P", "bio"),
        ("I-P O", "bio"),
        ("S-P O", "bioes"),
        ("L-P U-P B-P", None),
        ("NOUN B-P", None),
        ("O", None),
        ("B I O", "bio"),
    ],
)
def test_scheme_of(tags: str, scheme: str | None) -> None:
    assert scheme_of(tags.split()) == scheme


@pytest.mark.parametrize(
    ("tags", "scheme", "place"),
    [
        ("B-P I-P O", "bio", None),
        ("O I-P", "bio", 1),
        ("I-P", "bio", 0),
        ("B-P I-L", "bio", 1),
        ("B-P _ I-L", "bio", None),
        ("B-P E-P S-L", "bioes", None),
        ("B-P O", "bioes", 1),
        ("B-P E-P B-P", "bioes", 2),
        ("S-P E-P", "bioes", 1),
        ("B-P B-P E-P", "bioes", 1),
    ],
)
def test_broken(tags: str, scheme: str, place: int | None) -> None:
    assert broken([None if tag == "_" else tag for tag in tags.split()], scheme) == place


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_legal_is_what_is_not_broken(scheme: str) -> None:
    tags = ["O", *(f"{letter}-{kind}" for letter in ("BI" if scheme == "bio" else "BIES") for kind in "xy")]
    begin, follow, end = legal(tags, scheme)
    for path in itertools.product(range(len(tags)), repeat=3):
        allowed = begin[path[0]] and end[path[-1]] and all(follow[a, b] for a, b in itertools.pairwise(path))
        assert allowed == (broken([tags[k] for k in path], scheme) is None)
    assert np.count_nonzero(follow) < follow.size

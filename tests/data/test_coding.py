"""Words, characters and pairs by number."""

from __future__ import annotations

import numpy as np

from elman.data.coding import EDGE, WordCoder

SENTENCES = [["The", "river", "The", "sea"], ["the", "river", "Rhine"]]


def coder(**options: bool | int) -> WordCoder:
    return WordCoder.learn(SENTENCES, **options)


def test_words() -> None:
    found = coder()
    assert found.words.symbols == ("<unk>", "The", "river", "Rhine", "sea", "the")
    coded = found.code([["the", "fox", "<unk>"], ["The"]])
    assert coded.words.tolist() == [[5, 0, 0], [1, 0, 0]]
    assert coded.lengths.tolist() == [3, 1]
    assert found.counts(SENTENCES).tolist() == [0, 2, 2, 1, 1, 1]
    assert coder(min_count=2).words.symbols == ("<unk>", "The", "river")
    lower = coder(lowercase=True)
    assert lower.words.symbols == ("<unk>", "the", "river", "rhine", "sea")
    assert lower.knows("THE")
    assert not found.knows("THE")


def test_characters_keep_the_case_and_are_spelled_once() -> None:
    found = coder(characters=True, lowercase=True)
    coded = found.code([["The", "the", "The"], ["sea"]])
    assert coded.forms.tolist() == [[0, 1, 0], [2, 0, 0]]
    assert coded.spelled.tolist() == [3, 3, 3]
    assert found.characters is not None
    symbols = found.characters.symbols
    assert [symbols[k] for k in coded.characters[0]] == ["T", "h", "e"]
    assert [symbols[k] for k in coded.characters[1]] == ["<unk>" if "t" not in symbols else "t", "h", "e"]


def test_long_words_are_read_from_both_ends() -> None:
    found = coder(characters=True)
    spelled = found.code([["e" * 500 + "r" * 500]])
    assert spelled.spelled.tolist() == [64]
    first, last = spelled.characters[0, :32], spelled.characters[0, 32:]
    assert len(set(first)) == len(set(last)) == 1
    assert first[0] != last[0]


def test_korean_syllables_come_apart() -> None:
    found = WordCoder.learn([["각", "각"]], characters=True, jamo=True)
    assert found.code([["각"]]).spelled.tolist() == [3]


def test_pairs() -> None:
    found = coder(pairs=True, lowercase=True)
    assert found.pairs is not None
    assert set(found.pairs) == {(EDGE, "the"), ("the", "river")}
    numbers = {pair: number for number, pair in enumerate(found.pairs, 1)}
    coded = found.code([["The", "river", "The"]])
    known = [numbers[EDGE, "the"], numbers["the", "river"]]
    assert coded.pairs[0].tolist() == [known, [known[1], 0], [0, 0]]


def test_no_words_at_all() -> None:
    coded = coder(characters=True, pairs=True).code([[]])
    assert coded.words.shape == (1, 1)
    assert coded.lengths.tolist() == [0]
    assert not np.any(coded.pairs)

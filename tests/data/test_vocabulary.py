"""Vocabularies: exact round trips for any Unicode, choice of symbols, errors, files."""

from __future__ import annotations

import json
import pickle
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from elman.data import KINDS, UnknownSymbolError, Vocabulary, read_blocks
from elman.errors import InputError

HANGUL = [
    *"\u1100\u1101\u1112\u1161\u1174\u1175\u11a8\u11a9\u11c2",  # conjoining jamo of today
    *"\u1113\u1176\u11c3\ua960\ud7b0\ud7cb",  # old ones
    *"가각힣한ㄱㅏ",
]  # fmt: skip
JOINING = [
    "\r",
    "\n",
    "\u0301",
    "\u200d",
    "\ufe0f",
    "👨",
    "👧",
    "🏽",
    "🇰",
    "🇷",
    "क",
    "्",
    "ष",
    "ि",
    "\u0600",
    "ำ",
]
ANY_TEXT = (
    st.text() | st.text(st.sampled_from(HANGUL)) | st.text(st.sampled_from([*HANGUL, *JOINING, *"a 1"]))
)
EXACT: list[tuple[str, bool]] = [
    ("grapheme", False),
    ("grapheme", True),
    ("character", False),
    ("character", True),
    ("byte", False),
    ("subword", False),
]


def build(kind: str, text: str | list[str], jamo: bool = False) -> Vocabulary:
    return Vocabulary.build(kind, text, jamo=jamo, max_size=300 if kind == "subword" else None)


@pytest.mark.parametrize(("kind", "jamo"), EXACT)
@given(text=ANY_TEXT)
def test_decoding_gives_the_text_back(kind: str, jamo: bool, text: str) -> None:
    vocabulary = build(kind, [text, "x"], jamo)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert ids.dtype == (np.uint8 if len(vocabulary) <= 256 else np.uint16)


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1)).map(" ".join)).map(
        "\n".join
    )
)
def test_words_between_single_blanks_come_back(text: str) -> None:
    vocabulary = build("word", text + " x")
    assert vocabulary.decode(vocabulary.encode(text)) == text


@given(ANY_TEXT)
def test_graphemes_are_those_of_the_standard(text: str) -> None:
    vocabulary = build("grapheme", [text, "x"])
    assert [vocabulary.symbols[number] for number in vocabulary.encode(text)] == regex.findall(r"\X", text)


@pytest.mark.parametrize(
    "text",
    [
        "👨‍👩‍👧",
        "🇰🇷",
        "\r\n",
        "e\u0301",
        unicodedata.normalize("NFD", "한"),
        "👋🏽",
        "क्षि",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
)
def test_what_a_reader_calls_one_character_is_one_symbol(text: str) -> None:
    vocabulary = build("grapheme", f"a{text}b")
    assert sorted(vocabulary.symbols) == sorted(["a", text, "b"])


@pytest.mark.parametrize("kind", ["grapheme", "character"])
@given(text=st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)))
def test_jamo_are_the_canonical_decomposition(kind: str, text: str) -> None:
    vocabulary = build(kind, [text, "x"], jamo=True)
    symbols = [vocabulary.symbols[number] for number in vocabulary.encode(text)]
    assert "".join(symbols) == unicodedata.normalize("NFD", text)
    assert all(len(symbol) == 1 for symbol in symbols)


@pytest.mark.parametrize(("kind", "jamo"), EXACT)
@given(data=st.data())
def test_decoder_gives_what_decode_gives(kind: str, jamo: bool, data: st.DataObject) -> None:
    vocabulary = build(kind, "한국어를 가각 갂 e\u0301 👨‍👩‍👧\r\n" + "".join(HANGUL), jamo)
    ids = data.draw(st.lists(st.integers(0, len(vocabulary) - 1)))
    decoder = vocabulary.decoder()
    assert "".join(map(decoder.push, ids)) + decoder.finish() == vocabulary.decode(ids)
    if kind in ("byte", "subword"):
        shown = "".join(vocabulary.symbols[number] for number in ids)
        by_tokenizers = tokenizers.decoders.ByteLevel().decode([shown]) if ids else ""
        assert vocabulary.decode(ids) == by_tokenizers
    elif jamo:
        text = "".join(vocabulary.symbols[number] for number in ids)
        if set(text) <= set(HANGUL[:9]) and all(len(vocabulary.symbols[number]) == 1 for number in ids):
            assert vocabulary.decode(ids) == unicodedata.normalize("NFC", text)


def test_decoder_gives_text_as_soon_as_it_is_certain() -> None:
    jamo = build("grapheme", "각가.", jamo=True)
    decoder = jamo.decoder()
    assert [decoder.push(number) for number in jamo.encode("각가.").tolist()] == ["", "", "각", "", "", "가."]
    assert [decoder.push(number) for number in jamo.encode("각").tolist()[:2]] == ["", ""]
    assert (decoder.finish(), decoder.finish()) == ("가", "")
    decoder = build("byte", "").decoder()
    assert [decoder.push(byte) for byte in "é한".encode() + b"\xed"] == ["", "é", "", "", "한", ""]
    assert decoder.finish() == "\ufffd"
    korean = build("character", ["가", "\u1161\u11a8"], jamo=True)
    assert (
        korean.decode([korean.symbols.index(symbol) for symbol in ("\u1100", "\u1161\u11a8")])
        == "\u1100\u1161\u11a8"
    )
    words = build("word", "a b\nc")
    decoder = words.decoder()
    assert [decoder.push(number) for number in words.encode(" a  b \n c").tolist()] == ["a", " b", "\n", "c"]


def test_words_count_as_wikitext_is_counted() -> None:
    text = " \n = Robert <unk> = \n \n 1 @,@ 200 m .\u00a0x \n"
    vocabulary = build("word", text)
    assert len(vocabulary.encode(text)) == sum(len(line.split()) + 1 for line in text.splitlines())
    assert vocabulary.symbols.count("<unk>") == 1
    assert vocabulary.encode("<unk>").tolist() == [vocabulary.unknown_id] == [0]
    assert vocabulary.decode(vocabulary.encode("m zebra", "map")) == "m <unk>"


def test_symbols_are_sorted_by_frequency_and_cut() -> None:
    text = "aaaa" + "bbb" + "dd" + "cc" + "e"
    assert build("character", text).symbols == tuple("abcde")
    assert Vocabulary.build("character", text, max_size=5).symbols == tuple("abcde")
    assert Vocabulary.build("character", text, max_size=4).symbols == ("<unk>", "a", "b", "c")
    assert Vocabulary.build("character", text, min_count=3).symbols == ("<unk>", "a", "b")
    assert Vocabulary.build("character", text, unknown=True).symbols == ("<unk>", *"abcde")
    assert Vocabulary.build("word", "b a\na", max_size=3).symbols == ("<unk>", "a", "\n")
    assert Vocabulary.build("character", "각각가\ud7a3", jamo=True).symbols == tuple("각힣")


def test_vocabulary_of_blocks_is_that_of_the_text() -> None:
    blocks = ["a e\u0301 한\n", "\r\n b 한 한\n", "👨‍👩‍👧 e\u0301"]
    for kind in ("grapheme", "character", "word"):
        assert Vocabulary.build(kind, blocks) == Vocabulary.build(kind, "".join(blocks))


def test_unknown_symbols_are_named_or_mapped() -> None:
    vocabulary = Vocabulary.build("grapheme", "aab")
    with pytest.raises(
        UnknownSymbolError, match=r"character 2: 'e\u0301' \(U\+0065 U\+0301\).*--unknown map"
    ):
        vocabulary.encode("abe\u0301b")
    assert vocabulary.encode("bab한", "map").tolist() == [1, 0, 1, 0]
    reserved = Vocabulary.build("grapheme", "aab\0", unknown=True)
    assert reserved.decode(reserved.encode("b한e\u0301a", "map")) == "b\ufffd\ufffda"
    with pytest.raises(UnknownSymbolError, match=r"character 2: 'ᆨ' \(U\+11A8\)"):
        Vocabulary.build("character", "가나", jamo=True).encode("나가각")
    with pytest.raises(UnknownSymbolError, match="character 5: 'zebra'"):
        Vocabulary.build("word", "a b\n").encode("a\n b\nzebra")
    with pytest.raises(InputError, match="unknown unknown 'mapp'"):
        vocabulary.encode("a", "mapp")


@pytest.mark.parametrize("kind", ["grapheme", "byte", "subword"])
def test_half_a_surrogate_pair_is_refused(kind: str) -> None:
    vocabulary = build(kind, "abab abab")
    with pytest.raises(InputError, match=r"character 2 \(U\+DCED\) is half a surrogate pair"):
        vocabulary.encode("ab\udced")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("graphem", {}, "unknown vocabulary 'graphem'. Did you mean 'grapheme'"),
        ("word", {"jamo": True}, "jamo goes with grapheme and character"),
        ("byte", {"max_size": 10}, "always has 256"),
        ("byte", {"unknown": True}, "knows every text"),
        ("subword", {"max_size": 256}, "more than 256"),
        ("character", {"max_size": 1}, "max_size is 1"),
        ("character", {"min_count": 0}, "min_count is 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Vocabulary.build(kind, "some text", **options)


def test_text_without_symbols_is_refused() -> None:
    with pytest.raises(InputError, match="holds no symbols"):
        Vocabulary.build("word", " \t")


def test_subwords_are_those_of_the_tokenizers_package() -> None:
    text = "the lower lowest, they're 12  apart\n\n  the 한국어 한국 lower.\n" * 3
    vocabulary = Vocabulary.build("subword", text, max_size=300)
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            {symbol: i for i, symbol in enumerate(vocabulary.symbols)}, list(vocabulary.merges)
        )
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    other = text + "new words  don't \t hurt" + "x" * 50
    assert vocabulary.encode(other).tolist() == tokenizer.encode(other).ids
    assert 256 < len(vocabulary) <= 300
    assert len(Vocabulary.build("subword", text, max_size=300, min_count=7)) < len(vocabulary)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_vocabulary_comes_back(tmp_path: Path, kind: str) -> None:
    text = "한국어 the lower lowest\r\n👨‍👩‍👧 \u2028" * 3
    vocabulary = build(kind, text, jamo=kind == "grapheme")
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == vocabulary == pickle.loads(pickle.dumps(vocabulary))
    assert loaded.fingerprint == vocabulary.fingerprint
    assert loaded.fingerprint != build("character", text).fingerprint or kind == "character"
    assert loaded.encode(text).tolist() == vocabulary.encode(text).tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["vocabulary.json"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 2}, "format 2, expected 1"),
        ({"kind": "graphemes"}, "unknown kind"),
        ({"kind": ["word"]}, "unknown kind"),
        ({"kind": "byte"}, "missing or repeated"),
        ({"jamo": 1}, "jamo is 1"),
        ({"kind": "word", "jamo": True}, "jamo is True"),
        ({"symbols": []}, "missing or repeated"),
        ({"symbols": ["a", "a"]}, "missing or repeated"),
        ({"symbols": ["a", 1]}, "not a list of texts"),
        ({"symbols": ["a", ""]}, "not a list of texts"),
        ({"symbols": ["\ud800"]}, "not a list of texts"),
        ({"symbols": {"a": 1}}, "not a list of texts"),
        ({"merges": [["a", "b"]]}, "merges do not fit"),
        ({"kind": "subword", "symbols": [], "merges": [["ab", "c"]]}, "not a pair of symbols"),
        ({"kind": "subword", "symbols": [], "merges": [["a"]]}, "not a pair of symbols"),
        ({"kind": "subword", "symbols": [], "merges": [[["a"], "b"]]}, "not a pair of symbols"),
        ({"kind": "subword", "symbols": [], "merges": 7}, "merges do not fit"),
    ],
)
def test_damaged_file_is_refused(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    path = tmp_path / "vocabulary.json"
    build("character", "abc").save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=rf"vocabulary\.json: .*{problem}.*train again"):
        Vocabulary.load(path)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 1}', b'{"format": 1', b"\xff", b"[" * 100_000])
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"vocabulary\.json: "):
        Vocabulary.load(path)
    with pytest.raises(InputError, match="No such file"):
        Vocabulary.load(tmp_path / "other.json")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"'tokenizers' is missing. Run: pip install elman\[train\]"):
        Vocabulary.build("subword", "text")


def test_plain_text_needs_no_other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regex", None)
    (tmp_path / "a.txt").write_bytes(b"plain\r\ntext")
    expected = ("t", "\r\n", *"aeilnpx")
    assert Vocabulary.build("grapheme", read_blocks([tmp_path / "a.txt"])).symbols == expected


@pytest.mark.parametrize(
    ("kind", "jamo", "text", "symbols"),
    [
        ("grapheme", False, "가e\u0301x", ["가", "e\u0301", "x"]),
        ("grapheme", True, "각x", ["\u1100", "\u1161", "\u11a8", "x"]),
        ("character", False, "e\u0301", ["e", "\u0301"]),
        ("word", False, "one two\nthree", ["one", "two", "\n", "three"]),
        ("byte", False, "ab", ["a", "b"]),
    ],
)
def test_a_symbol_is_found_whether_known_or_not(kind: str, jamo: bool, text: str, symbols: list[str]) -> None:
    vocabulary = Vocabulary.build(kind, "a b", jamo=jamo)
    assert [vocabulary.symbol_at(text, number) for number in range(len(symbols))] == symbols

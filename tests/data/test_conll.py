"""CoNLL and CoNLL-U: what is read, what is kept when tags are written, and what is refused, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from elman.data.conll import Columns, Sentence, read_conll, split_words
from elman.errors import InputError

UNIFIED = """\
# sent_id = 1
# text = I'm in
1-2\tI'm\t_\t_\t_\t_\t_\t_\t_\t_
1\tI\tI\tPRON\tPRP\tCase=Nom\t3\tnsubj\t_\t_
2\t'm\tbe\tAUX\tVBP\t_\t3\tcop\t_\tSpaceAfter=No
2.1\tam\tbe\tAUX\t_\t_\t_\t_\t_\t_
3\tin\tin\t_\tIN\t_\t0\troot\t_\t_

# sent_id = 2
1\tNew\xa0York\tx\tPROPN\tNNP\t_\t0\troot\t_\t_
"""
CHARACTERS = "## one\tof them\n#\tO\n \tO\n경\tB-OG\n찰\tI-OG\n\n\u2028\t_\nb\tO\n"


def read(tmp_path: Path, text: str, name: str = "a.tsv", **columns: object) -> list[Sentence]:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return list(read_conll(path, Columns(**columns)))


@pytest.mark.parametrize(
    ("field", "tags"),
    [
        ("upos", ["PRON", "AUX", None]),
        ("xpos", ["PRP", "VBP", "IN"]),
        ("feats", ["Case=Nom", "_", "_"]),
        ("deprel", ["nsubj", "cop", "root"]),
    ],
)
def test_unified(tmp_path: Path, field: str, tags: list[str | None]) -> None:
    first, second = read(tmp_path, UNIFIED, "a.conllu", field=field)
    assert first.words == ["I", "'m", "in"]
    assert first.tags == tags
    assert second.words == ["New\xa0York"]
    assert (first.where(2), second.where(0)) == (f"{first.name}:7", f"{first.name}:10")


def test_blanks_are_words_between_tabs(tmp_path: Path) -> None:
    one, two = read(tmp_path, CHARACTERS)
    assert (one.words, one.tags) == (["#", " ", "경", "찰"], ["O", "O", "B-OG", "I-OG"])
    assert (two.words, two.tags) == (["\u2028", "b"], [None, "O"])
    assert two.where(1).endswith(":8")


@pytest.mark.parametrize("text", [UNIFIED, UNIFIED + "\n", "\n\n" + UNIFIED + "\n\n# end\n"])
def test_unified_is_written_as_it_was(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text, "a.conllu")
    same = [s.written([tag or "_" for tag in s.tags]) for s in found]
    assert "".join(f"{block}\n" for block in same) == text
    tags = iter("ABCD")
    written = "".join(f"{s.written([next(tags) for _ in s.words])}\n" for s in found)
    wanted = text.replace("\tPRON\t", "\tA\t").replace("be\tAUX\tVBP", "be\tB\tVBP")
    assert written == wanted.replace("in\t_\tIN", "in\tC\tIN").replace("PROPN", "D")


def test_plain_is_written_as_it_was(tmp_path: Path) -> None:
    found = read(tmp_path, CHARACTERS)
    assert (
        "".join(f"{s.written([tag or '_' for tag in s.tags])}\n" for s in found)
        == CHARACTERS.rstrip("\n") + "\n"
    )
    (padded,) = read(tmp_path, "EU  NNP   B-ORG O\nall  DT O  O", tag=3)
    assert padded.tags == ["B-ORG", "O"]
    assert padded.written(["x", "yy"]) == "EU  NNP   x O\nall  DT yy  O"


def test_tags_stand_behind_the_last_column_where_a_file_has_none(tmp_path: Path) -> None:
    (sentence,) = read(tmp_path, "a\tDT\nrose\tNN\n", width=3)
    assert sentence.tags == [None, None]
    assert sentence.written(["O", "B"]) == "a\tDT\tO\nrose\tNN\tB"
    (alone,) = read(tmp_path, "a\nrose\n", width=2)
    assert alone.written(["O", "B"]) == "a O\nrose B"


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    one, two = read(tmp_path, "\ufeffa O\r\nb O\r\n\r\nc X\r\n")
    assert (one.words, two.words, two.tags) == (["a", "b"], ["c"], ["X"])


@pytest.mark.parametrize(
    ("text", "name", "columns", "message"),
    [
        ("a\tO\nb\tO\tO\n", "a.tsv", {}, r"a\.tsv:2: 3 columns, expected 2 .*tabs"),
        ("a O\n\nb\n", "a.tsv", {}, r"a\.tsv:3: 1 columns, expected 2 .*blanks"),
        ("word\n", "a.tsv", {}, r"a\.tsv:1: words and tags in the same column, 1 of 1"),
        ("a O\n", "a.tsv", {"tag": 3}, r"a\.tsv:1: 2 columns, expected tags in column 3"),
        ("a O\n", "a.tsv", {"word": 4}, r"a\.tsv:1: 2 columns, expected words in column 4"),
        ("a\t\n", "a.tsv", {}, r"a\.tsv:1: an empty tag"),
        ("\tO\n", "a.tsv", {}, r"a\.tsv:1: an empty word"),
        ("## only\n", "a.tsv", {}, r"a\.tsv: no words"),
        ("1 a a DT\n", "a.conllu", {}, r"a\.conllu:1: 1 columns between tabs, expected the 10"),
        (UNIFIED.replace("2\t'm", "x\t'm"), "a.conllu", {}, r"a\.conllu:5: the id 'x'"),
        (UNIFIED.replace("PRON", ""), "a.conllu", {}, r"a\.conllu:4: an empty tag"),
        ("a O\n", "a.tsv", {"field": "xpos"}, r"field xpos is of CoNLL-U"),
        (UNIFIED, "a.conllu", {"tag": 2}, r"the tags are said with --field"),
    ],
)
def test_refused(tmp_path: Path, text: str, name: str, columns: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, name, **columns)


def test_another_comment_and_a_named_format(tmp_path: Path) -> None:
    (sentence,) = read(tmp_path, "% no\n##\tO\n", comment="%")
    assert sentence.words == ["##"]
    (other, _) = read(tmp_path, UNIFIED, "a.txt", format="conllu")
    assert other.words[0] == "I"


def test_split_words() -> None:
    assert split_words(" the  river ") == ["the", "river"]
    assert split_words("강 물", {"강", " "}) == ["강", " ", "물"]
    assert split_words("강 물", {"강"}) == ["강", "물"]

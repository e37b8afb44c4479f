"""Tagged sentences in columns, one word a line: CoNLL-U, and CoNLL of any number of columns."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elman.data.files import read_lines
from elman.errors import InputError

FIELDS = {"upos": 3, "xpos": 4, "feats": 5, "deprel": 7}
"""Columns of CoNLL-U that can be tags, counted from 0."""
WIDTH = 10
"""Columns of CoNLL-U."""
_EMPTY_IS_A_VALUE = ("feats",)  # where `_` says that there are none, not that nobody has said
_WORD_ID = re.compile(r"[1-9][0-9]*")
_OTHER_ID = re.compile(r"[0-9]+-[0-9]+|[0-9]+\.[0-9]+")  # words written together; words that are understood
_FIELD = re.compile(r"[^ \t]+")


@dataclass(frozen=True)
class Columns:
    """Where words and tags stand in a file.

    Attributes:
        format: "conllu", "conll", or "auto": as the file's suffix says, `.conllu` or another.
        field: of CoNLL-U, the column of the tags, a key of FIELDS.
        word, tag: of CoNLL, the columns, counted from 1; tag None: the last.
        comment: how a line begins that is none of a word; None: `#` in CoNLL-U, `##` in CoNLL.
        width: of CoNLL, how many columns a file with tags has: one without them has one less; None: all have tags.
    """

    format: str = "auto"
    field: str = "upos"
    word: int = 1
    tag: int | None = None
    comment: str | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it stands in its file.

    Attributes:
        words: its words.
        tags: their tags, None where the file has none.
        lines: all its lines, with comments and the empty lines behind it.
        rows: which of the lines are the words.
        first: number of the first line in the file, from 1.
        name: the file.
        column: where the tags stand or would stand, from 0; width: the columns of its words' lines.
        mark: how a comment begins.
    """

    words: list[str]
    tags: list[str | None]
    lines: list[str]
    rows: list[int]
    first: int
    name: str
    column: int
    width: int
    mark: str

    def where(self, word: int) -> str:
        """The place of a word, for messages."""
        return f"{self.name}:{self.first + self.rows[word]}"

    def written(self, tags: Sequence[str]) -> str:
        """The lines with other tags, all else as it was; the last line has no line end."""
        lines = list(self.lines)
        for row, tag in zip(self.rows, tags, strict=True):
            lines[row] = _with_tag(lines[row], self.column, tag)
        return "\n".join(lines)


def read_conll(path: str | Path, columns: Columns) -> Iterator[Sentence]:
    """The sentences of a file, as they are read.

    CoNLL-U has ten columns between tabs; lines of several words (1-2) and of understood ones (1.1) are kept, not read.
    CoNLL has any number of columns, between tabs where its first word's line has one, else between blanks; between
    tabs a word may be or hold a blank. An empty line, or one of blanks, ends a sentence. `_` says that there is no tag.

    Raises:
        InputError: no such file, not UTF-8, no sentence in it, a line with another number of columns, a column that is
            not there, an empty word or tag: each with its line.
    """
    unified = columns.format == "conllu" or (
        columns.format == "auto" and Path(path).suffix.lower() == ".conllu"
    )
    if unified and (columns.word != 1 or columns.tag is not None):
        raise InputError(f"{path}: CoNLL-U has its words in column 2; the tags are said with --field.")
    if not unified and columns.field != Columns.field:
        raise InputError(f"{path}: field {columns.field} is of CoNLL-U; the tags are said with --tag-column.")
    parse = _Unified(str(path), columns) if unified else _Plain(str(path), columns)
    comment = columns.comment or ("#" if unified else "##")
    number, found = 0, False
    for number, block in _blocks(path):
        sentence = parse.sentence(number, block, comment)
        found = found or bool(sentence.words)
        yield sentence
    if not found:
        raise InputError(f"{path}: no words, expected one a line with its tag.")


def _blocks(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of each sentence with the empty ones behind it, and the number of the first."""
    block: list[str] = []
    start = 1
    ended = False
    for number, line in enumerate(read_lines(path), 1):
        if ended and line.strip(" "):
            yield start, block
            start, block, ended = number, [], False
        block.append(line)
        ended = ended or (not line.strip(" ") and len(block) > 1)
    if block:
        yield start, block


class _Reader(ABC):
    """Reads the sentences of one file."""

    name: str
    tag: int
    width: int
    none: str | None = "_"
    """What says that there is no tag."""

    @abstractmethod
    def cells(self, line: str, where: str) -> tuple[str, str] | None:
        """Word and tag of a line; None where it is to be kept, not read."""

    def sentence(self, first: int, lines: list[str], comment: str) -> Sentence:
        words: list[str] = []
        tags: list[str | None] = []
        rows: list[int] = []
        for row, line in enumerate(lines):
            if not line.strip(" ") or line.startswith(comment):
                continue
            where = f"{self.name}:{first + row}"
            found = self.cells(line, where)
            if found is None:
                continue
            word, tag = found
            if not word or not tag:
                raise InputError(
                    f"{where}: an empty {'tag' if word else 'word'}, expected both; _ is no tag."
                )
            words.append(word)
            tags.append(None if tag == self.none else tag)
            rows.append(row)
        return Sentence(words, tags, lines, rows, first, self.name, self.tag, self.width, comment)


class _Plain(_Reader):
    """Reads CoNLL."""

    def __init__(self, name: str, columns: Columns) -> None:
        self.name, self.columns = name, columns
        self.tabs = False
        self.width = self.tag = 0

    def cells(self, line: str, where: str) -> tuple[str, str]:
        if not self.width:
            self.tabs = "\t" in line
        cells = line.split("\t") if self.tabs else _FIELD.findall(line)
        if not self.width:
            self.measure(len(cells), where)
        if len(cells) != self.width:
            raise InputError(
                f"{where}: {len(cells)} columns, expected {self.width} as in the lines before it"
                f" ({'tabs' if self.tabs else 'blanks'} stand between them)."
            )
        return cells[self.columns.word - 1], cells[self.tag] if self.tag < self.width else "_"

    def measure(self, width: int, where: str) -> None:
        """The columns of the file, by those of its first word."""
        word, tag, whole = self.columns.word, self.columns.tag, self.columns.width
        self.width = width
        self.tag = (tag or whole or width) - 1
        last = whole is not None and self.tag == whole - 1 == width  # all but the tags
        if word > width or (self.tag >= width and not last):
            asked = f"words in column {word}" if word > width else f"tags in column {self.tag + 1}"
            raise InputError(f"{where}: {width} columns, expected {asked}. See --word-column, --tag-column.")
        if self.tag == word - 1:
            raise InputError(
                f"{where}: words and tags in the same column, {word} of {width}."
                " Say which with --word-column and --tag-column."
            )


class _Unified(_Reader):
    """Reads CoNLL-U."""

    width = WIDTH

    def __init__(self, name: str, columns: Columns) -> None:
        self.name = name
        self.tag = FIELDS[columns.field]
        self.none = None if columns.field in _EMPTY_IS_A_VALUE else "_"

    def cells(self, line: str, where: str) -> tuple[str, str] | None:
        cells = line.split("\t")
        if len(cells) != WIDTH:
            raise InputError(
                f"{where}: {len(cells)} columns between tabs, expected the {WIDTH} of CoNLL-U."
                " Is it another CoNLL? Say --format conll."
            )
        if _OTHER_ID.fullmatch(cells[0]):
            return None
        if not _WORD_ID.fullmatch(cells[0]):
            raise InputError(f"{where}: the id {cells[0]!r}, expected a number, or two as in 1-2 and 1.1.")
        return cells[1], cells[self.tag]


def _with_tag(line: str, column: int, tag: str) -> str:
    """The line with another tag in its column, or behind its last one."""
    if "\t" in line:
        cells = line.split("\t")
        cells[column:] = [tag, *cells[column + 1 :]]
        return "\t".join(cells)
    fields = list(_FIELD.finditer(line))
    if column == len(fields):
        return f"{line} {tag}"
    return line[: fields[column].start()] + tag + line[fields[column].end() :]


def split_words(text: str, symbols: Iterable[str] | None = None) -> list[str]:
    """The words of a text: what stands between blanks, or its characters, blanks only if among `symbols`.

    >>> split_words("the river"), split_words("a b", {"a", "b"}), split_words("a b", {"a", " "})
    (['the', 'river'], ['a', 'b'], ['a', ' ', 'b'])
    """
    if symbols is None:
        return text.split()
    return [character for character in text if not character.isspace() or character in symbols]

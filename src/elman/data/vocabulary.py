"""The symbols a model reads and writes, and the way between text and their numbers."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data import bytelevel, characters, words
from elman.data.bytelevel import ByteLevel
from elman.data.characters import Characters
from elman.data.decoders import ByteDecoder, CharacterDecoder, Decoder, JamoDecoder, WordDecoder
from elman.data.words import Words
from elman.errors import InputError, check_choice
from elman.runfolder import replace

KINDS = ("grapheme", "character", "byte", "word", "subword")
UNKNOWN = "<unk>"
UNKNOWN_CHOICES = ("error", "map")
FORMAT = 1
"""Number of the file format; a file with another number is refused."""
LIMIT = 256 << 20
"""Bytes of the largest file that is read."""

_LISTED = ("grapheme", "character", "word")
_WITH_JAMO = ("grapheme", "character")


class UnknownSymbolError(InputError):
    """A text holds a symbol that the vocabulary lacks; `position` counts code points from the start of the text."""

    def __init__(self, symbol: str, position: int, place: str = "") -> None:
        self.symbol, self.position = symbol, position
        points = " ".join(f"U+{ord(character):04X}" for character in symbol[:8])
        super().__init__(
            f"{place or f'character {position}'}: {symbol!r} ({points}) is not in the vocabulary. "
            "Take it out of the text, or let train or generate replace what is unknown: --unknown map."
        )


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of a text and their numbers, most frequent first.

    Kinds: `grapheme` (what a reader calls a character), `character` (code point), `byte` (of the UTF-8; always 256),
    `word` (between blanks, the line end being a word too), `subword` (byte pairs merged). All are exact,
    `decode(encode(text)) == text`, but for words, which forget how many blanks stood between two of them.

    Attributes:
        kind: one of KINDS.
        symbols: the text of each symbol in the order of the ids; bytes and subwords are shown in GPT-2's alphabet.
        jamo: Korean syllables are taken apart into jamo (graphemes and characters only), and put together again.
        merges: pairs that make the subwords.

    >>> vocabulary = Vocabulary.build("grapheme", ["hello\\n"])
    >>> vocabulary.symbols
    ('l', '\\n', 'e', 'h', 'o')
    >>> vocabulary.encode("hello")
    array([3, 2, 0, 0, 4], dtype=uint8)
    >>> vocabulary.decode([3, 2, 0, 0, 4])
    'hello'
    """

    kind: str
    symbols: tuple[str, ...]
    jamo: bool = False
    merges: bytelevel.Merges = ()

    @classmethod
    def build(
        cls,
        kind: str,
        blocks: str | Iterable[str],
        *,
        jamo: bool = False,
        max_size: int | None = None,
        min_count: int = 1,
        unknown: bool = False,
    ) -> Vocabulary:
        """The vocabulary of a text given in pieces (`read_blocks`), or as one string.

        Args:
            kind: one of KINDS.
            blocks: the text.
            jamo: take Korean syllables apart.
            max_size: at most this many symbols, `<unk>` among them: the most frequent ones. For subwords the size
                wanted (8192 when None); the text may give fewer.
            min_count: only symbols that occur this often; for subwords, how often a pair must occur to be merged.
            unknown: have `<unk>` in any case. It is there for words and wherever symbols were cut, always id 0.

        Raises:
            InputError: unknown kind, an option that the kind does not have, sizes out of range, or an empty text.
        """
        check_choice("vocabulary", kind, KINDS)
        _check_options(kind, jamo=jamo, max_size=max_size, min_count=min_count, unknown=unknown)
        blocks = [blocks] if isinstance(blocks, str) else blocks
        if kind == "byte":
            return cls(kind, bytelevel.ALPHABET)
        if kind == "subword":
            merges = bytelevel.learn(blocks, max_size=max_size, min_count=min_count)
            return cls(kind, bytelevel.symbols_of(merges), merges=merges)
        if kind == "word":
            counts, unknown = words.count(blocks), True
        else:
            counts = characters.count(blocks, graphemes=kind == "grapheme", jamo=jamo)
        return cls(kind, _choose(counts, max_size, min_count, unknown), jamo)

    def __len__(self) -> int:
        return len(self.symbols)

    @functools.cached_property
    def unknown_id(self) -> int | None:
        """The id of `<unk>`, or None."""
        return self.symbols.index(UNKNOWN) if self.kind in _LISTED and UNKNOWN in self.symbols else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned integer that holds every id."""
        return np.min_scalar_type(len(self) - 1)

    def encode(self, text: str, unknown: str = "error") -> npt.NDArray[np.unsignedinteger]:
        """The ids of the symbols of `text`, one after the other, in `dtype`.

        Args:
            text: any text.
            unknown: "error" raises UnknownSymbolError for a symbol the vocabulary lacks; "map" puts `<unk>` in its
                place, or id 0, the most frequent symbol, in a vocabulary without `<unk>`.

        Raises:
            InputError: a symbol that is unknown, or half a surrogate pair, which is no Unicode text.
        """
        check_choice("unknown", unknown, UNKNOWN_CHOICES)
        coder = self._coder
        try:
            ids = coder.encode(text)
        except UnicodeEncodeError as error:
            raise InputError(
                f"character {error.start} (U+{ord(text[error.start]):04X}) is half a surrogate pair, expected Unicode "
                "text. Check that the terminal and what it sends are UTF-8."
            ) from error
        if not isinstance(coder, ByteLevel):
            missing = ids < 0
            if missing.any():
                if unknown == "error":
                    position, symbol = coder.locate(text, int(missing.argmax()))
                    raise UnknownSymbolError(symbol, position)
                ids[missing] = self.unknown_id or 0
        return ids.astype(self.dtype)

    def symbol_at(self, text: str, number: int) -> str:
        """The text of symbol `number` of `text`, whether the vocabulary has it or not."""
        coder = self._coder
        if isinstance(coder, ByteLevel):
            return self.decode([self.encode(text)[number]])
        return coder.locate(text, number)[1]

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of `ids`. A character that is unknown is shown as U+FFFD, a word as `<unk>`."""
        decoder = self.decoder()
        return "".join(map(decoder.push, np.asarray(ids).tolist())) + decoder.finish()

    def decoder(self) -> Decoder:
        """A decoder that takes ids one at a time and gives out text as soon as it is certain."""
        if self.kind not in _LISTED:
            return ByteDecoder(self._bytes)
        if self.kind == "word":
            return WordDecoder(self.symbols)
        return (JamoDecoder if self.jamo else CharacterDecoder)(self._texts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary as JSON; a file of that name is replaced only when the new one is complete."""
        replace(Path(path), self._json.encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read what `save` wrote, as data; InputError for a file that is missing, damaged or of another format."""
        try:
            size = Path(path).stat().st_size
            if size > LIMIT:
                raise ValueError(f"{size} bytes, expected at most {LIMIT}")
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}, expected the vocabulary of a run.") from error
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}: damaged ({error}), expected the JSON of a vocabulary. {_REMEDY}"
            ) from error
        if isinstance(content, dict) and content.get("format") != FORMAT:
            raise InputError(
                f"{path}: vocabulary format {content.get('format')!r}, expected {FORMAT}. {_REMEDY}"
            )
        if problem := _problem(content):
            raise InputError(f"{path}: damaged, {problem}. {_REMEDY}")
        merges = tuple((left, right) for left, right in content["merges"])
        symbols = tuple(content["symbols"]) if content["kind"] in _LISTED else bytelevel.symbols_of(merges)
        return cls(content["kind"], symbols, content["jamo"], merges)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file that `save` writes."""
        return hashlib.sha256(self._json.encode()).hexdigest()

    @property
    def _json(self) -> str:
        symbols = self.symbols if self.kind in _LISTED else ()
        content = {
            "format": FORMAT,
            "kind": self.kind,
            "jamo": self.jamo,
            "symbols": symbols,
            "merges": self.merges,
        }
        return json.dumps(content, ensure_ascii=False) + "\n"

    @functools.cached_property
    def _coder(self) -> Characters | Words | ByteLevel:
        if self.kind == "word":
            return Words(self.symbols)
        if self.kind in _LISTED:
            return Characters(self.symbols, graphemes=self.kind == "grapheme", jamo=self.jamo)
        return ByteLevel(self.symbols, self.merges)

    @functools.cached_property
    def _texts(self) -> tuple[str, ...]:
        return tuple("\ufffd" if symbol == UNKNOWN else symbol for symbol in self.symbols)

    @functools.cached_property
    def _bytes(self) -> tuple[bytes, ...]:
        return tuple(map(bytelevel.bytes_of, self.symbols))


_REMEDY = "Restore the file, or train again."


def _check_options(kind: str, *, jamo: bool, max_size: int | None, min_count: int, unknown: bool) -> None:
    if jamo and kind not in _WITH_JAMO:
        raise InputError(f"jamo goes with {' and '.join(_WITH_JAMO)} vocabularies, not with {kind!r}.")
    if unknown and kind not in _LISTED:
        raise InputError(f"a {kind} vocabulary knows every text and has no {UNKNOWN}: leave out --unknown.")
    if kind == "byte" and (max_size is not None or min_count != 1):
        raise InputError("a byte vocabulary always has 256 symbols: leave out its size and min_count.")
    if max_size is not None and max_size < 2:
        raise InputError(f"max_size is {max_size}, expected at least 2 symbols.")
    if min_count < 1:
        raise InputError(f"min_count is {min_count}, expected at least 1.")


def _choose(counts: Counter[str], max_size: int | None, min_count: int, unknown: bool) -> tuple[str, ...]:
    """The symbols to keep, most frequent first, equal counts in the order of their code points; `<unk>` before all."""
    if not counts:
        raise InputError("the text holds no symbols, expected some text.")
    known = sorted(
        (symbol for symbol in counts if symbol != UNKNOWN), key=lambda symbol: (-counts[symbol], symbol)
    )
    kept = [symbol for symbol in known if counts[symbol] >= min_count]
    if unknown or len(kept) < len(known) or (max_size is not None and len(kept) > max_size):
        return (UNKNOWN, *kept[: max_size and max_size - 1])
    return tuple(kept)


def _problem(content: Any) -> str | None:
    """What is wrong with the content of a vocabulary file, or None."""
    if not isinstance(content, dict) or not {"kind", "jamo", "symbols", "merges"} <= content.keys():
        return "expected kind, jamo, symbols and merges"
    kind, jamo, symbols, merges = (content[name] for name in ("kind", "jamo", "symbols", "merges"))
    if kind not in KINDS:
        return f"unknown kind {kind!r}"
    if not isinstance(jamo, bool) or (jamo and kind not in _WITH_JAMO):
        return f"jamo is {jamo!r}"
    if not isinstance(symbols, list) or not all(
        isinstance(symbol, str) and _is_text(symbol) for symbol in symbols
    ):
        return "symbols are not a list of texts"
    if bool(symbols) != (kind in _LISTED) or len(set(symbols)) < len(symbols):
        return "symbols are missing or repeated"
    if not isinstance(merges, list) or (merges and kind != "subword"):
        return "merges do not fit"
    try:
        bytelevel.symbols_of(tuple((left, right) for left, right in merges))
    except (KeyError, TypeError, ValueError):
        return "a merge is not a pair of symbols"
    return None


def _is_text(symbol: str) -> bool:
    return symbol != "" and not any("\ud800" <= character <= "\udfff" for character in symbol)

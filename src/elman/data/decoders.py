"""Symbols back to text, one at a time: what is certain is given out, the rest waits for the next symbol."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Sequence
from typing import Protocol


class Decoder(Protocol):
    """Turns the symbols of one text into the text. All pieces joined together are `Vocabulary.decode` of the ids."""

    def push(self, number: int) -> str:
        """The text that is certain once symbol `number` has come; it may be empty."""

    def finish(self) -> str:
        """The text still waiting, at the end."""


class CharacterDecoder:
    """Every symbol is its own text."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def push(self, number: int) -> str:
        return self._texts[number]

    def finish(self) -> str:
        return ""


class JamoDecoder:
    """Puts jamo together: a leading consonant waits for its vowel, and both for a trailing consonant."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._waiting = ""

    def push(self, number: int) -> str:
        waiting, text = self._waiting, self._texts[number]
        whole = unicodedata.normalize("NFC", waiting + text) if waiting and len(text) == 1 else ""
        if len(whole) == 1:
            closed = len(unicodedata.normalize("NFD", whole)) == 3
            self._waiting = "" if closed else whole
            return whole if closed else ""
        leading = len(text) == 1 and "\u1100" <= text <= "\u1112"
        self._waiting = text if leading else ""
        return waiting if leading else waiting + text

    def finish(self) -> str:
        waiting, self._waiting = self._waiting, ""
        return waiting


class WordDecoder:
    """One blank between two words, none at the ends of a line."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._blank = ""

    def push(self, number: int) -> str:
        text = self._texts[number]
        blank, self._blank = self._blank, "" if text == "\n" else " "
        return text if text == "\n" else blank + text

    def finish(self) -> str:
        return ""


class ByteDecoder:
    """UTF-8 as it completes; what can never become UTF-8 is shown as U+FFFD."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, number: int) -> str:
        return self._utf8.decode(self._pieces[number])

    def finish(self) -> str:
        return self._utf8.decode(b"", final=True)

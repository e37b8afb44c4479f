"""Text to the bytes of its UTF-8, and to subwords: byte pairs merged one after another (Sennrich et al. 2016,
https://arxiv.org/abs/1508.07909), on bytes as in GPT-2, so that no text is ever unknown.

Ids 0 to 255 are the bytes; every merge adds one. Bytes are shown as printable characters, GPT-2's way: the space is
Ġ, the line end Ċ. The `tokenizers` package learns the merges and applies them.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data.extras import extra
from elman.errors import InputError

Merges = tuple[tuple[str, str], ...]

_PIECE = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What merges never cross, as in GPT-2: a word with the blank before it, a number, punctuation, blanks."""

SUBWORDS = 8192
"""Size of a subword vocabulary when none is asked for."""


def _alphabet() -> tuple[str, ...]:
    """The character that shows each byte: itself where it is printable and not blank, else one from U+0100 on."""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = itertools.count(0x100)
    return tuple(chr(byte if byte in shown else next(others)) for byte in range(256))


ALPHABET = _alphabet()
_BYTE_OF = {shown: byte for byte, shown in enumerate(ALPHABET)}


def symbols_of(merges: Merges) -> tuple[str, ...]:
    """The symbols that `merges` make, in the order of their ids; KeyError for a merge of what does not exist."""
    symbols = dict.fromkeys(ALPHABET)
    for left, right in merges:
        _ = symbols[left], symbols[right]
        symbols[left + right] = None
    return tuple(symbols)


def bytes_of(symbol: str) -> bytes:
    """The bytes that a symbol stands for."""
    return bytes(_BYTE_OF[shown] for shown in symbol)


class ByteLevel:
    """Encodes text as bytes, or as subwords where there are merges."""

    def __init__(self, symbols: Sequence[str], merges: Merges) -> None:
        self._symbols, self._merges = symbols, merges

    def encode(self, text: str) -> npt.NDArray[np.integer]:
        """Ids of the bytes or subwords of `text`; UnicodeEncodeError for half a surrogate pair."""
        data = text.encode("utf-8")
        if not self._merges:
            return np.frombuffer(data, np.uint8)
        ids, pieces = self._pieces, extra("regex", "subwords").findall(_PIECE, text)
        return np.fromiter(itertools.chain.from_iterable(map(ids.__getitem__, pieces)), np.int32)

    @functools.cached_property
    def _pieces(self) -> _Pieces:
        vocabulary = {symbol: number for number, symbol in enumerate(self._symbols)}
        return _Pieces(_tokenizer(vocabulary, list(self._merges)))


class _Pieces(dict[str, list[int]]):
    """The ids of words met before: text repeats its words, and merging is what takes the time."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __missing__(self, piece: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(piece).ids
        if len(piece) <= 32:
            if len(self) >= 1 << 18:
                self.clear()
            self[piece] = ids
        return ids


def learn(blocks: Iterable[str], *, max_size: int | None, min_count: int) -> Merges:
    """Learn merges until the vocabulary has `max_size` symbols, or no pair occurs `min_count` times (at least 2)."""
    size = SUBWORDS if max_size is None else max_size
    if size <= len(ALPHABET):
        raise InputError(
            f"{size} subwords are asked for, expected more than 256: the 256 bytes are in every vocabulary."
        )
    trainers = extra("tokenizers", "subwords").trainers
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=max(2, min_count), initial_alphabet=list(ALPHABET), show_progress=False
    )
    tokenizer = _tokenizer({}, [])
    lines = (line for text in blocks for line in text.splitlines(keepends=True))  # 256 of them wait in memory
    tokenizer.train_from_iterator(lines, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)
    return tuple((left, right) for left, right in pairs)


def _tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    tokenizers = extra("tokenizers", "subwords")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer

"""A text as one array of symbol numbers, in memory or, when it is large, in a file mapped into memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data.files import Paths, fingerprint, read_blocks, text_files
from elman.data.vocabulary import UnknownSymbolError, Vocabulary
from elman.errors import InputError

if sys.platform != "win32":
    import fcntl

Ids = npt.NDArray[np.unsignedinteger]


def encode_corpus(
    vocabulary: Vocabulary,
    paths: Paths,
    *,
    unknown: str = "error",
    cache: str | os.PathLike[str] | None = None,
    memory_limit: int = 256 << 20,
) -> Ids:
    """The ids of a text, (N,), in the vocabulary's dtype; the files follow each other with nothing between them.

    Args:
        vocabulary: what the symbols are.
        paths: files and folders, see `text_files`.
        unknown: "error" or "map", see `Vocabulary.encode`.
        cache: folder for the ids of a large text; None keeps every text in memory.
        memory_limit: bytes that ids may take in memory. A text that could take more is encoded piece by piece into
            a file in `cache` and mapped, read-only; the file is used again for the same content, vocabulary and
            `unknown`.

    Raises:
        InputError: what `text_files` and `read_blocks` refuse, an unknown symbol (file, line and column), fewer than
            two symbols, or no room for the cache.
    """
    files = text_files(paths)
    size = sum(file.stat().st_size for file in files)  # every symbol takes a byte or more, also a jamo
    if cache is None or size * vocabulary.dtype.itemsize <= memory_limit:
        ids, count = np.empty(size, vocabulary.dtype), 0
        for part in _encoded(vocabulary, files, unknown):
            ids[count : count + len(part)] = part
            count += len(part)
        _check_length(count)
        return ids[:count]
    target = Path(cache) / f"corpus-{_key(vocabulary, files, unknown)}.{vocabulary.dtype.name}"
    if not target.exists():
        _write(target, _encoded(vocabulary, files, unknown))
    return np.memmap(target, vocabulary.dtype, "r")


def _encoded(vocabulary: Vocabulary, files: list[Path], unknown: str) -> Iterator[Ids]:
    for file in files:
        lines = 1
        for text in read_blocks([file]):
            try:
                yield vocabulary.encode(text, unknown)
            except UnknownSymbolError as error:
                line = lines + text.count("\n", 0, error.position)
                column = error.position - text.rfind("\n", 0, error.position)
                raise UnknownSymbolError(error.symbol, error.position, f"{file}:{line}:{column}") from error
            lines += text.count("\n")


def _key(vocabulary: Vocabulary, files: list[Path], unknown: str) -> str:
    contents = [file["sha256"] for file in fingerprint(files)["files"]]
    return hashlib.sha256(json.dumps([vocabulary.fingerprint, unknown, contents]).encode()).hexdigest()[:32]


def _write(target: Path, parts: Iterator[Ids]) -> None:
    """Write the ids to `target`, which appears only when it is complete; of several processes one does the work."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.parent / "corpus.lock"):
            if target.exists():
                return
            for left_over in target.parent.glob("corpus-*.partial"):  # of a process that was killed
                left_over.unlink()
            try:
                with partial.open("wb") as file:
                    _check_length(sum(file.write(part.data) // part.itemsize for part in parts))
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        raise InputError(
            f"{target.parent}: {error.strerror}; the encoded text must be written there."
        ) from error


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_length(count: int) -> None:
    if count < 2:
        raise InputError(
            f"the text has {count} symbols, expected at least 2: one to read and one to predict."
        )


def split_tail(ids: Ids, fraction: float) -> tuple[Ids, Ids]:
    """The text without its last `fraction` (rounded down to whole symbols), and that last part: views, no copies.

    Raises:
        InputError: a fraction outside (0, 1), or a part shorter than two symbols.

    >>> [part.tolist() for part in split_tail(np.arange(10, dtype=np.uint8), 0.25)]
    [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9]]
    """
    if not 0 < fraction < 1:
        raise InputError(
            f"the validation fraction is {fraction}, expected a number between 0 and 1 such as 0.1."
        )
    tail = int(len(ids) * fraction)
    if tail < 2:
        raise InputError(
            f"the validation part, the last {fraction:g} of {len(ids)} symbols, has {tail}; expected at least 2. "
            "Take a larger fraction, a longer text, or a validation file."
        )
    if len(ids) - tail < 2:
        raise InputError(
            f"a validation fraction of {fraction:g} leaves {len(ids) - tail} symbols to train on; take less."
        )
    return ids[:-tail], ids[-tail:]


class Rows:
    """Reads rows of a text, the same way from memory and from a mapped file.

    A mapped file is read with `preadv`, not through its pages: Linux maps up to 2 MiB around each page that is touched
    and counts them as the process's own, so that a batch of scattered rows could take gigabytes of resident memory.
    """

    def __init__(self, ids: Ids) -> None:
        self._ids: Ids = np.asarray(ids)
        self._file: int | None = None
        root: Any = ids
        while isinstance(root.base, np.ndarray):
            root = root.base
        if isinstance(root, np.memmap) and root.filename and hasattr(os, "preadv") and ids.flags.c_contiguous:
            self._file = os.open(root.filename, os.O_RDONLY)
            self._offset = root.offset + ids.ctypes.data - root.ctypes.data
            weakref.finalize(self, os.close, self._file)

    def read(self, starts: npt.NDArray[np.int64], width: int) -> Ids:
        """The rows of `width` symbols from each of `starts` on: (B, width), in the dtype of the text."""
        if self._file is None:
            return self._ids.take(starts[:, None] + np.arange(width))
        rows = np.empty((len(starts), width), self._ids.dtype)
        read = 0
        for row, offset in zip(rows, (self._offset + starts * rows.itemsize).tolist(), strict=True):
            read += os.preadv(self._file, [row.data], offset)
        if read < rows.nbytes:
            raise InputError(
                "the file of the encoded text was cut short while it was being read. Train again."
            )
        return rows

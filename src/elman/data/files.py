"""Text files in, decoded text out, in pieces, so that a text of any size is read in constant memory."""

from __future__ import annotations

import codecs
import difflib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from elman.errors import InputError

Paths = Iterable[str | os.PathLike[str]]

_PREPEND = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2\U000111c3"
_PREPEND += "\U000113d1\U0001193f\U00011941\U00011a3a\U00011a84-\U00011a89\U00011d46\U00011f02"
_WHOLE = "[!-~\u00c0-\u02af\u0370-\u0481\u048a-\u052f\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]"
_CUTS = (
    re.compile(
        rf"(?s).*[^{_PREPEND}](?=[ \t])"
    ),  # before a blank: no word and no grapheme cluster is divided
    re.compile(
        rf"(?s).*{_WHOLE}(?={_WHOLE})"
    ),  # between two characters that never join in one grapheme cluster
)


def text_files(paths: Paths) -> list[Path]:
    """The files that `paths` stand for: files as they are, folders as every .txt below them, sorted by path.

    Raises:
        InputError: nothing there (with the nearest name in that folder), neither file nor folder, a folder without
            .txt files, an empty file, a folder that may not be read, or no path at all.
    """
    files = [file for path in paths for file in _files_of(Path(path))]
    if not files:
        raise InputError("no text given, expected at least one UTF-8 file or a folder of .txt files.")
    return files


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            raise InputError(f"{path}: no permission to read this folder. Run: chmod u+rx {path}")
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".txt" and file.is_file())
        if not files:
            raise InputError(
                f"{path}: no .txt file in this folder or below it. Name the files themselves instead."
            )
    elif path.is_file():
        files = [path]
    elif path.exists():
        raise InputError(
            f"{path}: neither a file nor a folder, and a text is read more than once. Save it first."
        )
    else:
        raise InputError(f"{path}: no such file or folder.{_nearest(path)}")
    for file in files:
        if file.stat().st_size == 0:
            raise InputError(f"{file}: the file is empty, expected UTF-8 text.")
    return files


def _nearest(path: Path) -> str:
    names = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean {path.parent / near[0]}?" if near else ""


def read_blocks(paths: Paths, block: int = 1 << 20) -> Iterator[str]:
    """Decode UTF-8 files one after the other, in pieces of about `block` bytes; memory stays below a few blocks.

    Pieces end at line ends; a line longer than `block` is cut before a blank, else between two characters that
    cannot join, so that words and grapheme clusters stay whole. Joined together the pieces are the text of the
    files; nothing is put between two files, and a byte order mark at the start of a file is dropped.

    Raises:
        InputError: what `text_files` refuses, a file that may not be read, or bytes that are not UTF-8 (with their
            offset and the command that converts the file).
    """
    for path in text_files(paths):
        with open_file(path) as file:
            yield from _pieces(path, file, block)


def read_lines(path: str | os.PathLike[str], *, keepends: bool = False) -> Iterator[str]:
    """The lines of a UTF-8 file, whole however long, without their ends; \\n or \\r\\n ends a line, and nothing else.

    Raises InputError as `read_blocks` does.
    """
    rest: list[str] = []
    for text in read_blocks([path]):
        *whole, last = text.split("\n")
        for line in whole:
            joined = "".join([*rest, line])
            yield f"{joined}\n" if keepends else joined.removesuffix("\r")
            rest = []
        rest.append(last)
    if joined := "".join(rest):
        yield joined if keepends else joined.removesuffix("\r")


def open_file(path: Path) -> FileIO:
    """`path` opened for reading bytes, unbuffered; InputError without the permission."""
    try:
        return path.open("rb", buffering=0)
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read this file. Run: chmod u+r {path}") from error


def _pieces(path: Path, file: FileIO, block: int) -> Iterator[str]:
    data, text, offset = b"", "", 0
    while True:
        read = file.read(block)
        data += read
        try:
            decoded, used = codecs.utf_8_decode(data, "strict", not read)
        except UnicodeDecodeError as error:
            raise _not_utf8(path, data, offset, error) from error
        text += decoded.removeprefix("\ufeff") if offset == 0 else decoded
        data, offset = data[used:], offset + used
        if not read:
            break
        cut = text.rfind("\n") + 1 or (_cut(text) if len(text) >= block else 0)
        if cut:
            yield text[:cut]
            text = text[cut:]
    if text:
        yield text


def _cut(line: str) -> int:
    for pattern in _CUTS:
        if match := pattern.match(line):
            return match.end()
    return len(line)


def _not_utf8(path: Path, data: bytes, offset: int, error: UnicodeDecodeError) -> InputError:
    """The house error for bytes that are not UTF-8: what they probably are decides the remedy."""
    where = f"{path}: byte {offset + error.start} (0x{data[error.start]:02x}) is not UTF-8"
    if (
        offset == 0
        and b"\0" in data[:4096]
        and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    ):
        return InputError(f"{where}, and the file looks binary. Expected plain text.")
    encoding = (
        "UTF-16"
        if offset == 0 and error.start == 0 and data[:1] in b"\xff\xfe"
        else _likely(data, error.start)
    )
    return InputError(
        f"{where}, perhaps {encoding}. Convert it: iconv -f {encoding} -t UTF-8 {path} > {path}.utf8"
    )


def _likely(data: bytes, start: int) -> str:
    """Korean files that are not UTF-8 are CP949 as a rule, western ones CP1252."""
    end = data.find(b"\n", start)
    try:
        data[start : end if end >= 0 else len(data)].decode("cp949")
    except UnicodeDecodeError:
        return "CP1252"
    return "CP949"


def fingerprint(paths: Paths) -> dict[str, Any]:
    """What was read, for a run's records: `{"files": [{"name", "size" (bytes), "sha256" (of the content)}, ...]}`."""
    return {"files": [file_fingerprint(path) for path in text_files(paths)]}


def file_fingerprint(path: Path) -> dict[str, Any]:
    """Name, size in bytes and SHA-256 of one file."""
    with open_file(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest}

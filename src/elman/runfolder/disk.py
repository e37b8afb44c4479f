"""Writing that survives crashes and full disks, and the house error for what the operating system refuses."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from elman.errors import InputError


@contextlib.contextmanager
def guard(path: Path, action: str) -> Iterator[None]:
    """Turn a failure of the operating system into the house error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"{path}: the disk is full; what was there before is unharmed. Free space and use --resume."
            ) from error
        raise InputError(f"{path}: cannot {action} it: {error.strerror or error}.") from error


def replace(target: Path, data: bytes) -> None:
    """Put a whole new content in place of a file: a temporary file, flushed to disk, takes its name.

    After a loss of power the file is the old or the new one, and whole.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    with guard(target, "write"):
        target.parent.mkdir(exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file: all of `data` or, when the disk is full, nothing."""
    with guard(path, "write"):
        path.parent.mkdir(exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(before)
                raise

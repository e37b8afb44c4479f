"""A WAV that is read once from its beginning to its end, such as from a pipe: the sound of each piece as it comes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BufferedReader

import numpy as np
from numpy.typing import NDArray

from elman.data.audio import Floats
from elman.errors import InputError

_READ = 1 << 16  # bytes read at once
_HEADER = 1 << 20  # bytes before the sound
_UNKNOWN = 0x7FFFF000  # bytes of sound: programs that write to a pipe say about this, or more, or 0
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


class WavPipe:
    """The sound of a WAV in a pipe.

    Attributes:
        rate: samples a second. channels: how many there are; they are averaged.

    Formats: whole numbers of 8, 16, 24 or 32 bits, floats of 32 or 64.

    Args:
        file: what `open(..., "rb")` gives, or sys.stdin.buffer.
        name: what messages call it.

    Raises:
        InputError: no WAV, or one of another format.
    """

    def __init__(self, file: BufferedReader, name: str = "standard input") -> None:
        self._file, self._name = file, name
        if self._exactly(4) != b"RIFF" or len(self._exactly(4)) < 4 or self._exactly(4) != b"WAVE":
            raise InputError(
                f"{name}: not a WAV, expected one as `ffmpeg -i SOUND -f wav -` or `arecord -f S16_LE` write it."
            )
        form, self._length = b"", 0
        while (head := self._exactly(8)) and len(head) == 8:
            kind, length = struct.unpack("<4sI", head)
            if kind == b"data":
                self._length = length
                break
            if length > _HEADER:
                raise InputError(f"{name}: damaged, {length:,} bytes before the sound.")
            chunk = self._exactly(length + length % 2)
            form = chunk if kind == b"fmt " else form
        if len(head) < 8 or len(form) < 16:
            raise InputError(f"{name}: cut short, a WAV without sound.")
        self._kind, self.channels, self.rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
        if self._kind == _EXTENSIBLE and len(form) >= 26:
            (self._kind,) = struct.unpack_from("<H", form, 24)
        self._bytes = bits // 8
        known = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}.get(self._kind, ())
        if bits not in known or not self.channels or not self.rate:
            raise InputError(
                f"{name}: a WAV of format {self._kind} with {bits} bits, {self.channels} channels, {self.rate} hertz; "
                "expected samples of 8 to 32 bits, or floats."
            )

    def blocks(self) -> Iterator[Floats]:
        """Samples (n,) between -1 and 1, the mean of the channels, as they come: nothing waits for the next.

        Raises:
            InputError: there is no sample, one is no number, or fewer came than were said.
        """
        size, rest, count = self._bytes * self.channels, b"", 0
        endless = self._length == 0 or self._length >= _UNKNOWN
        while endless or count < self._length:
            read = self._file.read1(_READ if endless else min(_READ, self._length - count))
            if not read:
                break
            count += len(read)
            whole = (rest + read)[: (len(rest) + len(read)) // size * size]
            rest = (rest + read)[len(whole) :]
            if whole:
                samples = self._samples(whole).reshape(-1, self.channels).mean(1)
                if not np.isfinite(samples).all():
                    raise InputError(f"{self._name}: holds a sample that is not a number.")
                yield samples
        if not endless and count < self._length:
            raise InputError(
                f"{self._name}: cut short, {count:,} of {self._length:,} bytes of sound are there."
            )
        if count < size:
            raise InputError(f"{self._name}: of zero length, expected at least one sample.")

    def _samples(self, data: bytes) -> NDArray[np.float32]:
        if self._kind == _FLOAT:
            return np.frombuffer(data, f"<f{self._bytes}").astype(np.float32)
        if self._bytes == 1:
            return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
        # the bytes stand at the high end of 32 bits: the sign comes for free
        wide = np.zeros((len(data) // self._bytes, 4), np.uint8)
        wide[:, 4 - self._bytes :] = np.frombuffer(data, np.uint8).reshape(-1, self._bytes)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)

    def _exactly(self, count: int) -> bytes:
        return self._file.read(count)

"""A WAV in a pipe: what libsndfile reads of it as a file, and what is no such thing."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from elman.data.audio import read_sound
from elman.data.wav import WavPipe
from elman.errors import InputError


class _Pipe(io.BytesIO):
    """Gives few bytes at a time, as they come."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(min(7, size or 7) if size != -1 else 7)


def _pipe(data: bytes) -> WavPipe:
    return WavPipe(_Pipe(data))  # type: ignore[arg-type]


def _sound(channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (301, channels)).astype(np.float32)


def _file(folder: Path, form: str = "WAV", subtype: str = "PCM_16", channels: int = 2) -> Path:
    path = folder / "sound.wav"
    soundfile.write(path, _sound(channels), 8000, subtype=subtype, format=form)
    return path


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_a_pipe_is_read_as_the_file(tmp_path: Path, form: str, subtype: str) -> None:
    path = _file(tmp_path, form, subtype)
    pipe = _pipe(path.read_bytes())
    assert (pipe.rate, pipe.channels) == (8000, 2)
    blocks = list(pipe.blocks())
    assert len(blocks) > 50
    assert np.array_equal(np.concatenate(blocks), read_sound(path).samples)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_pipe_of_unknown_length_is_read_to_its_end(tmp_path: Path, length: int) -> None:
    data = _file(tmp_path).read_bytes()
    at = data.index(b"data") + 4
    endless = data[:at] + struct.pack("<I", length) + data[at + 4 :]
    assert sum(map(len, _pipe(endless).blocks())) == 301


def test_what_stands_behind_the_sound_is_left_alone(tmp_path: Path) -> None:
    data = _file(tmp_path).read_bytes()
    assert sum(map(len, _pipe(data + b"LIST\x04\0\0\0abcd").blocks())) == 301


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: b"", "not a WAV"),
        (lambda d: b"RIFF", "not a WAV"),
        (lambda d: b"OggS" + d, "not a WAV"),
        (lambda d: d[:30], "cut short, a WAV without sound"),
        (lambda d: d[:-500], r"cut short, 704 of 1,204 bytes"),
        (lambda d: d[: d.index(b"data")] + b"data\0\0\0\0", "zero length"),
        (lambda d: d.replace(b"fmt \x10\0\0\0\x01", b"fmt \x10\0\0\0\x07"), "format 7 with 16 bits"),
        (lambda d: d.replace(b"fmt \x10", b"abcd\x10"), "a WAV without sound"),
        (lambda d: d[:12] + b"junk\xff\xff\xff\x0f", "bytes before the sound"),
    ],
)
def test_what_is_no_sound_is_refused(tmp_path: Path, change: object, message: str) -> None:
    data = change(_file(tmp_path).read_bytes())  # type: ignore[operator]
    with pytest.raises(InputError, match=f"standard input: .*{message}"):
        list(_pipe(data).blocks())


def test_a_sample_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(InputError, match="not a number"):
        list(_pipe(path.read_bytes()).blocks())

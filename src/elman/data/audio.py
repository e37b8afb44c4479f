"""Sound files in, log-mel features out: no torch."""

from __future__ import annotations

import functools
import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.data.extras import extra
from elman.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg")
Floats = NDArray[np.float32]

_WINDOW = 0.025  # seconds
_UNKNOWN = 0x7FFFFFFF  # bytes of sound: programs that stream a file write about this, or more
_FLOOR = 1e-10  # power, of samples between -1 and 1, below which is silence


def read_audio(path: str | Path, rate: int | None = None) -> tuple[Floats, int]:
    """Samples (N,) between -1 and 1 of a WAV, FLAC or Ogg file, its channels averaged, and their rate in hertz.

    rate: wanted; another one is resampled (polyphase filter). None: as it is in the file.

    Raises:
        InputError: no such file, not audio, cut short, without a sample, or with one that is no number.
    """
    soundfile = extra("soundfile", "sound files", "audio")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    _check_whole(path)
    try:
        with soundfile.SoundFile(path) as file:
            expected, found_rate = file.frames, file.samplerate
            samples = file.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not a readable sound file ({error.error_string})") from error
    if len(samples) < expected:
        raise InputError(f"{path}: cut short, {len(samples)} of {expected} samples are there.")
    if not len(samples):
        raise InputError(f"{path}: of zero length, expected at least one sample.")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: holds a sample that is not a number.")
    return resample(samples.mean(1), found_rate, rate or found_rate), rate or found_rate


def resample(samples: Floats, rate: int, wanted: int) -> Floats:
    """Samples (N,) at another rate, both in hertz; ceil(N wanted / rate) samples."""
    if rate == wanted:
        return samples
    from scipy import signal

    common = math.gcd(rate, wanted)
    return np.asarray(signal.resample_poly(samples, wanted // common, rate // common), np.float32)


def log_mel(samples: Floats, rate: int, *, mels: int = 40, hop: float = 0.01) -> Floats:
    """Logarithm of the power in mel bands (T, mels) of samples (N,), T = 1 + max(0, N - w) // h.

        X_t[k] = sum over n of hann[n] x[t h + n] exp(-2 pi i k n / W)
        y_t[m] = ln max(sum over k of F[m, k] |X_t[k]|^2 / sum of hann^2, 1e-10)

    w, samples of 25 ms; h, samples of `hop` seconds; W, the power of two that holds w; F, triangles of height 1 whose
    feet are spaced evenly from 0 to rate / 2 on the scale mel(f) = 2595 log10(1 + f / 700). Sound shorter than one
    window is continued with zeros.

    >>> log_mel(np.zeros(8000, np.float32), 8000).shape
    (98, 40)
    """
    window, step = max(2, round(_WINDOW * rate)), max(1, round(hop * rate))
    size = 1 << (window - 1).bit_length()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    if len(samples) < window:
        samples = np.pad(samples, (0, window - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::step]
    power = np.abs(np.fft.rfft(frames * hann, size)) ** 2 / (hann**2).sum()
    return np.asarray(np.log(np.maximum(power @ _triangles(mels, size, rate).T, _FLOOR)), np.float32)


@functools.cache
def _triangles(mels: int, size: int, rate: int) -> NDArray[np.float64]:
    """F (mels, size / 2 + 1)."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    feet = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    frequencies = np.arange(size // 2 + 1) * rate / size
    rising = (frequencies - feet[:-2, None]) / (feet[1:-1] - feet[:-2])[:, None]
    falling = (feet[2:, None] - frequencies) / (feet[2:] - feet[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))


def _check_whole(path: Path) -> None:
    """Raise InputError for a WAV file shorter than it says: libsndfile would read what is left without a word."""
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path}: the file is empty, expected sound.")
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.seek(8) != 8 or file.read(4) != b"WAVE":
            return
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                left = size - file.tell()
                if left < length < _UNKNOWN:
                    raise InputError(
                        f"{path}: cut short, {left:,} of {length:,} bytes of sound are there. Copy it again."
                    )
                return
            file.seek(length + length % 2, 1)
    raise InputError(f"{path}: cut short, a WAV file without sound. Copy it again.")

"""Sound files in, log-mel features out: no torch."""

from __future__ import annotations

import functools
import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.data.extras import extra
from elman.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg")
Floats = NDArray[np.float32]

_WINDOW = 0.025  # seconds
_UNKNOWN = 0x7FFFFFFF  # bytes of sound: programs that stream a file write about this, or more
_FLOOR = 1e-10  # power, of samples between -1 and 1, below which is silence


class Sound(NamedTuple):
    """Samples (N,) between -1 and 1, their rate in hertz, and how many channels they are the mean of."""

    samples: Floats
    rate: int
    channels: int = 1


def read_audio(path: str | Path, rate: int | None = None) -> tuple[Floats, int]:
    """`read_sound` without the number of channels: the samples (N,) and their rate."""
    return read_sound(path, rate)[:2]


def read_sound(path: str | Path, rate: int | None = None) -> Sound:
    """The sound of a WAV, FLAC or Ogg file, its channels averaged.

    rate: wanted, in hertz; another one is resampled (polyphase filter). None: as it is in the file.

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
    wanted = rate or found_rate
    return Sound(resample(samples.mean(1), found_rate, wanted), wanted, samples.shape[1])


def resample(samples: Floats, rate: int, wanted: int) -> Floats:
    """Samples (N,) at another rate, both in hertz; ceil(N wanted / rate) samples."""
    if rate == wanted:
        return samples
    extra("scipy", "sound at another rate", "audio")
    from scipy import signal

    common = math.gcd(rate, wanted)
    return np.asarray(signal.resample_poly(samples, wanted // common, rate // common), np.float32)


class Resampler:
    """`resample` of a sound that comes in pieces: the same samples, to the bit, at a constant cost for each second.

    >>> pieces, whole = Resampler(16000, 8000), np.ones(1000, np.float32)
    >>> found = np.concatenate([pieces.push(whole[:300]), pieces.push(whole[300:]), pieces.finish()])
    >>> bool((found == resample(whole, 16000, 8000)).all())
    True
    """

    def __init__(self, rate: int, wanted: int) -> None:
        self._rate, self._wanted = rate, wanted
        common = math.gcd(rate, wanted)
        self._up, self._down = wanted // common, rate // common
        # units of `down` samples, which become `up`; the filter reaches 10 max(up, down) / up samples to each side
        self._reach = -(-10 * max(self._up, self._down) // (self._up * self._down)) + 1
        self._held = np.empty(0, np.float32)
        self._done = 0  # units at the front of `held` that are only there for the filter

    def push(self, samples: Floats) -> Floats:
        """The samples that are certain once `samples` have come."""
        if self._rate == self._wanted:
            return samples
        self._held = np.concatenate([self._held, samples])
        ready = len(self._held) // self._down - self._reach
        if ready <= self._done:
            return np.empty(0, np.float32)
        found = resample(self._held, self._rate, self._wanted)[self._done * self._up : ready * self._up]
        first = max(0, ready - self._reach)
        self._held, self._done = self._held[first * self._down :], ready - first
        return found

    def finish(self) -> Floats:
        """The last samples."""
        return resample(self._held, self._rate, self._wanted)[self._done * self._up :]


def log_mel(samples: Floats, rate: int, *, mels: int = 40, hop: float = 0.01, warp: float = 1.0) -> Floats:
    """Logarithm of the power in mel bands (T, mels) of samples (N,), T = 1 + max(0, N - w) // h.

        X_t[k] = sum over n of hann[n] x[t h + n] exp(-2 pi i k n / W)
        y_t[m] = ln max(sum over k of F[m, k] |X_t[k]|^2 / sum of hann^2, 1e-10)

    w, samples of 25 ms; h, samples of `hop` seconds; W, the power of two that holds w; F, triangles of height 1 whose
    feet are spaced evenly from 0 to rate / 2 on the scale mel(f) = 2595 log10(1 + f / 700). Sound shorter than one
    window is continued with zeros. A frame is the same to the bit whatever stands before and behind it.

    warp: frequencies are multiplied by it up to 0.85 rate / 2 (divided by it where it is above 1), and from there on
        stretched so that rate / 2 stays: another vocal tract (Jaitly and Hinton, Vocal Tract Length Perturbation,
        2013).

    >>> log_mel(np.zeros(8000, np.float32), 8000).shape
    (98, 40)
    """
    window, step = window_samples(rate), hop_samples(rate, hop)
    size = 1 << (window - 1).bit_length()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    if len(samples) < window:
        samples = np.pad(samples, (0, window - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::step]
    power = np.abs(np.fft.rfft(frames * hann, size)) ** 2 / (hann**2).sum()
    triangles = _triangles(mels, size, rate, warp)
    # not a matrix product, which sums in an order that depends on its size
    bands = np.einsum("tk,mk->tm", power, triangles)
    return np.asarray(np.log(np.maximum(bands, _FLOOR)), np.float32)


class LogMel:
    """`log_mel` of a sound that comes in pieces: the same frames, to the bit, each as soon as its window is full.

    >>> pieces, whole = LogMel(8000), np.ones(8000, np.float32)
    >>> pieces.push(whole[:500]).shape, pieces.push(whole[500:]).shape, pieces.finish().shape
    ((4, 40), (94, 40), (0, 40))
    """

    def __init__(self, rate: int, *, mels: int = 40, hop: float = 0.01) -> None:
        self._rate, self._mels, self._hop = rate, mels, hop
        self._held = np.empty(0, np.float32)
        self._count = 0

    def push(self, samples: Floats) -> Floats:
        """Frames (t, mels) that are complete once `samples` have come."""
        self._held = np.concatenate([self._held, samples])
        if len(self._held) < window_samples(self._rate):
            return np.empty((0, self._mels), np.float32)
        frames = log_mel(self._held, self._rate, mels=self._mels, hop=self._hop)
        self._held = self._held[len(frames) * hop_samples(self._rate, self._hop) :]
        self._count += len(frames)
        return frames

    def finish(self) -> Floats:
        """The one frame of a sound shorter than a window, or none."""
        if self._count:
            return np.empty((0, self._mels), np.float32)
        return log_mel(self._held, self._rate, mels=self._mels, hop=self._hop)


def window_samples(rate: int) -> int:
    """w, the samples of a window."""
    return max(2, round(_WINDOW * rate))


def hop_samples(rate: int, hop: float) -> int:
    """h, the samples from one window to the next."""
    return max(1, round(hop * rate))


@functools.cache
def _triangles(mels: int, size: int, rate: int, warp: float = 1.0) -> NDArray[np.float64]:
    """F (mels, size / 2 + 1)."""
    half = rate / 2
    top = 2595 * math.log10(1 + half / 700)
    feet = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    frequencies = np.arange(size // 2 + 1) * rate / size
    if warp != 1:
        knee = 0.85 * half * min(1, 1 / warp)
        frequencies = np.interp(frequencies, [0, knee, half], [0, knee * warp, half])
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

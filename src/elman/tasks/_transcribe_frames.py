"""What a transcriber reads of a sound: centered and normalised log-mel frames, of a whole or as it comes. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from elman.data import audio
from elman.data.audio import Floats
from elman.tasks._transcribe_options import HearingOptions

_BEFORE = 0.3  # seconds of the training part's mean sound that the running mean begins with
_PIECE = 10  # seconds of a long sound that are read at once


@dataclass(frozen=True)
class Frames:
    """From sound to features (T, F): (log-mel - what `center` says - mean) scale.

        running: y_t = x_t - (n m + x_0 + ... + x_t) / (n + t + 1), m the mean of all frames of the training part, n the
            frames of 0.3 seconds: known at once, and the same for a sound that goes on.
        sound: y_t = x_t - mean over all frames of the sound.

    Attributes:
        rate, mels, hop, center: see `HearingOptions`; center is not auto.
        prior: (F,) m.
        mean, scale: (F,) so that y has mean 0 and standard deviation 1 over the training part.
    """

    rate: int
    mels: int
    hop: float
    center: str
    prior: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def learn(cls, sounds: Sequence[Floats], rate: int, options: HearingOptions) -> Self:
        """The features of a training part."""
        ones = (1.0,) * options.mels
        zeros = (0.0,) * options.mels
        raw = cls(rate, options.mels, options.hop, options.centered, zeros, zeros, ones)
        found = [audio.log_mel(samples, rate, mels=raw.mels, hop=raw.hop) for samples in sounds]
        raw = replace(raw, prior=tuple(np.concatenate(found).mean(0, dtype=np.float64).tolist()))
        steps = np.concatenate([raw._centered(frames) for frames in found])
        mean = steps.mean(0, dtype=np.float64)
        scale = 1 / np.maximum(np.sqrt(((steps - mean) ** 2).mean(0)), 1e-5)
        return replace(raw, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    @property
    def seconds(self) -> float:
        """From one frame to the next."""
        return audio.hop_samples(self.rate, self.hop) / self.rate

    def of(self, samples: Floats, warp: float = 1.0) -> Floats:
        """Features (T, F) of samples (N,) at `rate`. warp: see `data.audio.log_mel`."""
        frames = audio.log_mel(samples, self.rate, mels=self.mels, hop=self.hop, warp=warp)
        return self._normal(self._centered(frames))

    def values(self) -> dict[str, Any]:
        """What is written to a run."""
        return asdict(self)

    @classmethod
    def restored(cls, values: Any) -> Self:
        """What `values` gave; raises KeyError, TypeError or ValueError for anything else."""
        given = {**values}
        for name in ("prior", "mean", "scale"):
            given[name] = tuple(float(number) for number in given[name])
            if len(given[name]) != given["mels"]:
                raise ValueError(f"{name} has {len(given[name])} values")
        return cls(**given)

    def _centered(self, frames: Floats, running: Running | None = None) -> NDArray[np.float64]:
        if self.center == "running":
            return np.asarray(frames - (running or Running(self)).means(frames), np.float64)
        if self.center == "sound":
            return np.asarray(frames - frames.mean(0, dtype=np.float64), np.float64)
        return frames.astype(np.float64)

    def _normal(self, frames: NDArray[np.float64]) -> Floats:
        return np.asarray((frames - np.array(self.mean)) * np.array(self.scale), np.float32)


class Running:
    """The mean of all frames up to each one."""

    def __init__(self, frames: Frames) -> None:
        self._count = max(1, round(_BEFORE / frames.seconds))
        self._sum = np.array(frames.prior) * self._count

    def means(self, frames: Floats) -> NDArray[np.float64]:
        """(T, F) behind each of the next frames (T, F)."""
        sums = np.cumsum(np.concatenate([self._sum[None], frames]), 0)  # one after the other, as in pieces
        counts = self._count + np.arange(1, len(frames) + 1)
        self._sum, self._count = sums[-1], self._count + len(frames)
        return np.asarray(sums[1:] / counts[:, None])


class FrameStream:
    """`Frames.of` a sound of any rate that comes in pieces: the same features, to the bit."""

    def __init__(self, frames: Frames, rate: int) -> None:
        self._frames, self._running = frames, Running(frames)
        self._resampler = audio.Resampler(rate, frames.rate)
        self._mel = audio.LogMel(frames.rate, mels=frames.mels, hop=frames.hop)
        self._piece = _PIECE * rate
        self._held: list[Floats] = []

    def push(self, samples: Floats) -> Floats:
        """Features (t, F) that are certain once samples (n,) have come."""
        parts = [samples[at : at + self._piece] for at in range(0, max(1, len(samples)), self._piece)]
        return np.concatenate([self._told(self._mel.push(self._resampler.push(part))) for part in parts])

    def finish(self) -> Floats:
        """The last ones."""
        rest = self._mel.push(self._resampler.finish())
        frames = np.concatenate([*self._held, rest, self._mel.finish()])
        centered = self._frames._centered(frames, self._running) if len(frames) else frames.astype(np.float64)
        return self._frames._normal(centered)

    def _told(self, frames: Floats) -> Floats:
        if self._frames.center == "sound":  # known at the end
            self._held.append(frames)
            return frames[:0]
        return self._frames._normal(self._frames._centered(frames, self._running))

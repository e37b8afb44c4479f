"""Sounds changed as other speakers, rooms and microphones would change them, so that few recordings teach more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elman.data.audio import Floats

_CLEAN = 50.0  # decibels by which the signal is above noise that nobody hears
_WARPS = 0.01  # warps are multiples of this, so that the filters of few are kept


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a sound, drawn anew each time. 0 (noise: None) leaves a property as it is.

    Attributes:
        speed: largest change of speed, and with it of pitch: the factor is between 1 / (1 + speed) and 1 + speed.
        warp: largest change of the vocal tract; see `data.audio.log_mel`.
        gain: largest change of loudness, in decibels.
        noise: decibels by which the signal is above white noise, at the least; up to 50.
        time_masks, time_mask: how many stretches are blotted out, each of up to `time_mask` of all frames.
        frequency_masks, frequency_mask: how many ranges are, each of up to `frequency_mask` of all bands
            (Park et al., SpecAugment, 2019).
    """

    speed: float = 0.0
    warp: float = 0.0
    gain: float = 0.0
    noise: float | None = None
    time_masks: int = 0
    time_mask: float = 0.1
    frequency_masks: int = 0
    frequency_mask: float = 0.2

    def samples(self, samples: Floats, rng: np.random.Generator) -> Floats:
        """The sound (N,) at another speed and loudness, with noise."""
        if self.speed:
            factor = (1 + self.speed) ** rng.uniform(-1, 1)
            places = np.arange(0, len(samples) - 1, factor)
            samples = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
        if self.noise is not None and len(samples):
            above = rng.uniform(min(self.noise, _CLEAN), _CLEAN)
            level = np.sqrt(np.mean(samples**2)) * 10 ** (-above / 20)
            samples = samples + level * rng.standard_normal(len(samples), np.float32)
        if self.gain:
            samples = samples * np.float32(10 ** (rng.uniform(-self.gain, self.gain) / 20))
        return np.asarray(samples, np.float32)

    def drawn_warp(self, rng: np.random.Generator) -> float:
        """A factor for the frequencies."""
        if not self.warp:
            return 1.0
        return float(round((1 + self.warp) ** rng.uniform(-1, 1) / _WARPS) * _WARPS)

    def masked(self, frames: Floats, rng: np.random.Generator) -> Floats:
        """The frames (T, F), of mean 0, with stretches and ranges of 0."""
        if not self.time_masks and not self.frequency_masks:
            return frames
        frames = frames.copy()
        for view, count, share in (
            (frames, self.time_masks, self.time_mask),
            (frames.T, self.frequency_masks, self.frequency_mask),
        ):
            for _ in range(count):
                width = int(rng.uniform(0, share) * len(view) + 0.5)
                start = int(rng.integers(len(view) - width + 1))
                view[start : start + width] = 0
        return frames

"""Sound in: features beside their definition, resampling, and files that are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from elman.data.audio import LogMel, Resampler, log_mel, read_audio, read_sound, resample
from elman.errors import InputError


def _tone(rate: int, frequency: float = 440.0, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_what_was_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, np.stack([_tone(16000), 0 * _tone(16000)], 1), 16000)
    samples, rate = read_audio(path)
    assert rate == 16000
    atol = 0.02 if suffix == "ogg" else 1e-4  # ogg loses something, 16 bits round
    np.testing.assert_allclose(samples, _tone(16000) / 2, rtol=0, atol=atol)


@pytest.mark.parametrize(("rate", "wanted"), [(44100, 16000), (8000, 16000), (16000, 8000)])
def test_resampling_keeps_the_tone(rate: int, wanted: int) -> None:
    found = resample(_tone(rate), rate, wanted)
    inner = slice(wanted // 10, -wanted // 10)  # the filter rings at both ends
    np.testing.assert_allclose(found[inner], _tone(wanted)[: len(found)][inner], rtol=0, atol=2e-3)


def test_log_mel_is_its_definition() -> None:
    """Beside a sum over samples and triangles drawn by interpolation."""
    rate, mels, hop = 8000, 12, 0.01
    samples = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    found = log_mel(samples, rate, mels=mels, hop=hop)
    window, step, size = 200, 80, 256
    assert found.shape == (1 + (1000 - window) // step, mels)
    hann = np.hanning(window + 1)[:-1]
    top = 2595 * np.log10(1 + 4000 / 700)
    feet = 700 * (10 ** (np.arange(mels + 2) * top / (mels + 1) / 2595) - 1)
    frequencies = np.arange(size // 2 + 1) * rate / size
    for frame in (0, 5, len(found) - 1):
        part = samples[frame * step : frame * step + window] * hann
        waves = np.exp(-2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(window)) / size)
        power = np.abs(waves @ part) ** 2 / (hann**2).sum()
        for band in range(mels):
            triangle = np.interp(frequencies, feet[band : band + 3], [0, 1, 0], left=0, right=0)
            np.testing.assert_allclose(found[frame, band], np.log(triangle @ power), rtol=0, atol=1e-4)


def test_a_tone_is_loudest_in_its_band() -> None:
    loudest = [log_mel(_tone(16000, f), 16000).mean(0).argmax() for f in (200, 800, 3000)]
    assert loudest == sorted(loudest)
    assert len(set(loudest)) == 3


def test_short_sound_is_one_window() -> None:
    assert log_mel(np.ones(10, np.float32), 8000).shape == (1, 40)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_sound_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, _tone(16000), 16000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match=rf"tone\.{suffix}"):
        read_audio(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"not a sound at all", "not a readable"), (None, "no such file")],
)
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "tone.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_audio(path)


def test_sound_of_zero_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nothing.wav"
    soundfile.write(path, np.zeros(0, np.float32), 8000)
    with pytest.raises(InputError, match="zero length"):
        read_audio(path)


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan], np.float32), 8000, subtype="FLOAT")
    with pytest.raises(InputError, match="not a number"):
        read_audio(path)


# --- in pieces


def _cut(samples: np.ndarray, seed: int, longest: int) -> list[np.ndarray]:
    places = np.cumsum(np.random.default_rng(seed).integers(1, longest, 400))
    return np.split(samples, places[places < len(samples)])


@pytest.mark.parametrize(
    ("rate", "wanted"), [(16000, 8000), (44100, 16000), (8000, 16000), (11025, 8000), (8000, 8000)]
)
@pytest.mark.parametrize("longest", [40, 3000])
def test_resampling_in_pieces_is_that_of_the_whole(rate: int, wanted: int, longest: int) -> None:
    samples = np.random.default_rng(1).normal(size=7001).astype(np.float32)
    resampler = Resampler(rate, wanted)
    pieces = [resampler.push(part) for part in _cut(samples, longest, longest)]
    assert sum(map(len, pieces)) > 0.5 * 7001 * wanted / rate  # nearly all of it before the end
    assert np.array_equal(np.concatenate([*pieces, resampler.finish()]), resample(samples, rate, wanted))


def test_a_resampler_keeps_no_more_than_its_filter_needs() -> None:
    resampler = Resampler(44100, 16000)
    for _ in range(50):
        resampler.push(np.ones(1000, np.float32))
    assert len(resampler._held) < 4000


@pytest.mark.parametrize("longest", [30, 90, 500, 9000])
@pytest.mark.parametrize("length", [10, 199, 200, 279, 280, 8000])
def test_frames_in_pieces_are_those_of_the_whole(length: int, longest: int) -> None:
    samples = np.random.default_rng(2).normal(size=length).astype(np.float32)
    frames = LogMel(8000, mels=17, hop=0.01)
    pieces = [frames.push(part) for part in _cut(samples, longest, longest)]
    assert len(np.concatenate(pieces)) == max(0, 1 + (length - 200) // 80)
    whole = log_mel(samples, 8000, mels=17, hop=0.01)
    assert np.array_equal(np.concatenate([*pieces, frames.finish()]), whole)


def test_a_warp_moves_tones_up_and_leaves_the_ends() -> None:
    tones = [_tone(16000, f) for f in (300, 1000, 3000)]
    for tone in tones:
        places = [log_mel(tone, 16000, warp=warp).mean(0).argmax() for warp in (0.8, 1.0, 1.25)]
        assert places[0] < places[1] < places[2]
    noise = np.random.default_rng(0).normal(size=16000).astype(np.float32)
    for warp in (0.8, 1.25):
        assert abs(log_mel(noise, 16000, warp=warp) - log_mel(noise, 16000)).mean(0).max() < 1
    np.testing.assert_array_equal(log_mel(noise, 16000, warp=1.0), log_mel(noise, 16000))


def test_a_warp_of_one_tone_is_another_tone() -> None:
    warped, other = log_mel(_tone(16000, 800), 16000, warp=1.25), log_mel(_tone(16000, 1000), 16000)
    assert abs(warped.mean(0).argmax() - other.mean(0).argmax()) <= 1


def test_channels_are_told_and_averaged(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([_tone(8000), -_tone(8000)], 1), 8000)
    samples, rate, channels = read_sound(path)
    assert (rate, channels) == (8000, 2)
    assert abs(samples).max() < 1e-4  # 16 bits round

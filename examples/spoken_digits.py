"""Strings of spoken digits, made of recordings of single ones: sounds to learn `elman train transcribe` from.

    python examples/spoken_digits.py recordings --out strings --strings 2000 --indices 5-14
    python examples/spoken_digits.py recordings --out unheard --strings 300 --indices 0-4 --seed 1
    elman train transcribe strings/strings.csv --recipe recipes/transcribe/fsdd.yaml --out runs/digits
    elman evaluate runs/digits unheard/strings.csv

`recordings` is a folder of files named DIGIT_SPEAKER_INDEX.wav, such as the Free Spoken Digit Dataset
(github.com/Jakobovski/free-spoken-digit-dataset). A string has one to five digits of one speaker, each number of digits
as often, with a pause of 0.05 to 0.4 seconds before, between and behind them, and white noise over all, 15 to 35
decibels below the digits. Beside the sounds stands strings.csv with the columns sound, text ("three one") and speaker.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import soundfile

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LONGEST = 5  # digits
PAUSE = (0.05, 0.4)  # seconds
NOISE = (15, 35)  # decibels below the digits

Recordings = dict[str, list[tuple[int, np.ndarray]]]


def read_recordings(
    folder: Path, without: set[str], only: set[str], indices: set[int]
) -> tuple[Recordings, int]:
    """By speaker: digits and samples; and the rate of all of them. Empty sets leave nothing out."""
    found: Recordings = {}
    rates = set()
    for path in sorted(folder.glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        if speaker in without or (only and speaker not in only) or (indices and int(index) not in indices):
            continue
        samples, rate = soundfile.read(path, dtype="float32")
        found.setdefault(speaker, []).append((int(digit), samples))
        rates.add(rate)
    if len(rates) != 1:
        raise SystemExit(
            f"{folder}: {len(rates)} sample rates in the recordings that are wanted, expected one."
        )
    return found, rates.pop()


def string(
    recordings: list[tuple[int, np.ndarray]], rate: int, rng: np.random.Generator
) -> tuple[np.ndarray, str]:
    """The samples of some digits with pauses and noise, and what is said."""

    def pause() -> np.ndarray:
        return np.zeros(round(rng.uniform(*PAUSE) * rate), np.float32)

    chosen = [recordings[k] for k in rng.integers(len(recordings), size=rng.integers(1, LONGEST + 1))]
    parts = [pause(), *(part for _, samples in chosen for part in (samples, pause()))]
    sound = np.concatenate(parts)
    level = np.sqrt(np.mean(np.concatenate([samples for _, samples in chosen]) ** 2))
    noise = level * 10 ** (-rng.uniform(*NOISE) / 20) * rng.standard_normal(len(sound))
    return np.clip(sound + noise, -1, 1), " ".join(WORDS[digit] for digit, _ in chosen)


def numbers(text: str) -> set[int]:
    """
    >>> numbers("0-2,7")
    {0, 1, 2, 7}
    """
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recordings", type=Path, help="folder of DIGIT_SPEAKER_INDEX.wav")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--strings", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--without", default="", metavar="NAMES", help="speakers to leave out, with commas between"
    )
    parser.add_argument(
        "--only", default="", metavar="NAMES", help="speakers to take, with commas between [all]"
    )
    parser.add_argument(
        "--indices", default="", metavar="LIST", help="recordings to take, such as 0-4,9 [all]"
    )
    given = parser.parse_args()
    without, only = (set(filter(None, names.split(","))) for names in (given.without, given.only))
    found, rate = read_recordings(given.recordings, without, only, numbers(given.indices))
    rng = np.random.default_rng(given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / "strings.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("sound", "text", "speaker"))
        for number in range(given.strings):
            speaker = sorted(found)[rng.integers(len(found))]
            sound, text = string(found[speaker], rate, rng)
            soundfile.write(given.out / f"{number:05}.wav", sound, rate)
            table.writerow((f"{number:05}.wav", text, speaker))


if __name__ == "__main__":
    main()

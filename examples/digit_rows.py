"""Rows of one to eight handwritten digits, each row one image of 8 x 64 pixels, with what stands there in words.

    python examples/digit_rows.py --out rows
    elman train caption rows/train.tsv --recipe recipes/caption/digit-rows.yaml --out runs/digits
    elman evaluate runs/digits rows/test.tsv

The digits are the 1,797 of 8 x 8 pixels that come with scikit-learn. Every tenth of them, drawn by lot, is only in the
rows to be tested on, and these are drawn from no other: the model has never seen them.

    image              text
    train/0000.png     three one four
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LONGEST = 8
_INK = 16  # the darkest value of a pixel


def digits(rng: np.random.Generator) -> tuple[list[tuple[NDArray[np.uint8], int]], ...]:
    """Digits to learn from and to be tested on, each an image (8, 8), black on white, and what it is."""
    from sklearn.datasets import load_digits

    found = load_digits()
    shown = (255 - found.images * (255 / _INK)).round().astype(np.uint8)
    drawn = [(shown[k], int(found.target[k])) for k in rng.permutation(len(shown))]
    tenth = len(drawn) // 10
    return drawn[tenth:], drawn[:tenth]


def write(
    folder: Path, part: str, known: list[tuple[NDArray[np.uint8], int]], rows: int, rng: np.random.Generator
) -> None:
    """Images of rows of digits, all lengths alike, and the table of their texts."""
    from PIL import Image

    (folder / part).mkdir(parents=True, exist_ok=True)
    lines = ["image\ttext\n"]
    for number in range(rows):
        chosen = [known[k] for k in rng.integers(len(known), size=rng.integers(1, LONGEST + 1))]
        name = f"{part}/{number:05}.png"
        row = np.full((8, 8 * LONGEST), 255, np.uint8)
        row[:, : 8 * len(chosen)] = np.hstack([pixels for pixels, _ in chosen])
        Image.fromarray(row).save(folder / name)
        lines.append(f"{name}\t{' '.join(WORDS[digit] for _, digit in chosen)}\n")
    (folder / f"{part}.tsv").write_text("".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=8000, metavar="N", help="images to learn from")
    parser.add_argument("--test-rows", type=int, default=1000, metavar="N", help="and to be tested on")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="of both tables and the images"
    )
    given = parser.parse_args()
    if given.rows < 1 or given.test_rows < 1:
        parser.error("expected --rows and --test-rows of at least 1")
    rng = np.random.default_rng(given.seed)
    learned, tested = digits(rng)
    write(given.out, "train", learned, given.rows, rng)
    write(given.out, "test", tested, given.test_rows, rng)


if __name__ == "__main__":
    main()

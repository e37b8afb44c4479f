"""Rows of one to eight handwritten digits, each row one image of 8 x 64 pixels, with what stands there in words.

    python examples/digit_rows.py --out rows
    elman train caption rows/train.tsv --recipe recipes/caption/digit-rows.yaml --out runs/digits
    elman evaluate runs/digits rows/test.tsv

The digits are the 1,797 of 8 x 8 pixels that come with scikit-learn. Every tenth of them, drawn by lot, is only in the
rows to be tested on, and these are drawn from no other: the model has never seen them. Those to learn from are turned,
sheared, moved and made larger or smaller a little, another way each time, as hands differ; those to be tested on are as
they were written.

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
_TURN, _SHEAR, _ZOOM, _SHIFT = 0.15, 0.12, 0.1, 0.5  # at most: radians, shares, and pixels


def digits(rng: np.random.Generator) -> tuple[list[tuple[NDArray[np.uint8], int]], ...]:
    """Digits to learn from and to be tested on, each an image (8, 8), black on white, and what it is."""
    from sklearn.datasets import load_digits

    found = load_digits()
    shown = (255 - found.images * (255 / _INK)).round().astype(np.uint8)
    drawn = [(shown[k], int(found.target[k])) for k in rng.permutation(len(shown))]
    tenth = len(drawn) // 10
    return drawn[tenth:], drawn[:tenth]


def bent(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The digit as another hand might have written it."""
    from scipy.ndimage import affine_transform

    angle = rng.uniform(-_TURN, _TURN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.diag(1 + rng.uniform(-_ZOOM, _ZOOM, 2))
    scale[1, 0] = rng.uniform(-_SHEAR, _SHEAR)
    middle = np.array([3.5, 3.5])
    start = middle - turn @ scale @ middle + rng.uniform(-_SHIFT, _SHIFT, 2)
    found = affine_transform(pixels.astype(float), turn @ scale, start, cval=255)
    return found.round().clip(0, 255).astype(np.uint8)


def write(
    folder: Path,
    part: str,
    known: list[tuple[NDArray[np.uint8], int]],
    rows: int,
    rng: np.random.Generator,
    *,
    changed: bool,
) -> None:
    """Images of rows of digits, all lengths alike, and the table of their texts; changed: each digit is `bent`."""
    from PIL import Image

    (folder / part).mkdir(parents=True, exist_ok=True)
    lines = ["image\ttext\n"]
    for number in range(rows):
        chosen = [known[k] for k in rng.integers(len(known), size=rng.integers(1, LONGEST + 1))]
        name = f"{part}/{number:05}.png"
        row = np.full((8, 8 * LONGEST), 255, np.uint8)
        row[:, : 8 * len(chosen)] = np.hstack([bent(p, rng) if changed else p for p, _ in chosen])
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
    write(given.out, "train", learned, given.rows, rng, changed=True)
    write(given.out, "test", tested, given.test_rows, rng, changed=False)


if __name__ == "__main__":
    main()

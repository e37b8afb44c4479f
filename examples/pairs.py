"""Pairs of texts made by rule, to learn from and to be tested on: strings to reverse or to sort, numbers in words.

    python examples/pairs.py reverse --rows 50000 --out train.tsv --test test.tsv
    elman train translate train.tsv --recipe recipes/translate/reverse.yaml --out runs/reverse
    elman evaluate runs/reverse test.tsv

reverse, sort: strings of small letters, drawn at random, of 5 to 30 letters to learn from and of 5 to 40 to be tested
on. The target is the string from its end, or its letters in alphabetical order.

numbers: numbers below a million in English words, in digits and in Korean, each to and from English; those to be tested
on are others. What is wanted stands before the source:

    korean: two thousand four   이천사
    digits: two thousand four   2004
    english: 이천사              two thousand four
    english: 2004               two thousand four
"""

from __future__ import annotations

import argparse
import string
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LEARNED, TESTED = (5, 30), (5, 40)
BELOW = 1_000_000

ONES = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
DIGITS = "영일이삼사오육칠팔구"


def english(number: int) -> str:
    """A number below a million in words.

    >>> english(2004), english(120_021)
    ('two thousand four', 'one hundred twenty thousand twenty-one')
    """
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    unit, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    rest = f" {english(number % unit)}" if number % unit else ""
    return f"{english(number // unit)} {name}{rest}"


def korean(number: int) -> str:
    """A number below a hundred million in Sino-Korean, as it is read.

    >>> korean(2004), korean(120_021), korean(10_000)
    ('이천사', '십이만이십일', '만')
    """
    if number == 0:
        return DIGITS[0]
    if number >= 10_000:
        head = korean(number // 10_000) if number >= 20_000 else ""
        return f"{head}만{korean(number % 10_000) if number % 10_000 else ''}"
    text = ""
    for place, unit in ((1000, "천"), (100, "백"), (10, "십"), (1, "")):
        digit = number // place % 10
        if digit:
            text += ("" if digit == 1 and unit else DIGITS[digit]) + unit
    return text


def strings(
    problem: str, rows: int, lengths: tuple[int, int], rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Strings of random letters, all lengths alike, and their targets."""
    for length in rng.integers(lengths[0], lengths[1] + 1, rows):
        letters = "".join(rng.choice(list(string.ascii_lowercase), length))
        yield letters, letters[::-1] if problem == "reverse" else "".join(sorted(letters))


def numbers(drawn: np.ndarray) -> Iterator[tuple[str, str]]:
    """Each number in English to Korean and digits, and back."""
    for number in drawn.tolist():
        words = english(number)
        for wanted, other in (("korean", korean(number)), ("digits", str(number))):
            yield f"{wanted}: {words}", other
            yield f"english: {other}", words


def distinct(count: int, rng: np.random.Generator) -> np.ndarray:
    """Different numbers, as many of each length as of any other as far as there are so many."""
    order = rng.permutation(BELOW)
    turn = np.empty(BELOW, np.int64)
    sizes = np.char.str_len(order.astype(str))
    for size in range(1, 7):
        of_size = sizes == size
        turn[of_size] = np.arange(of_size.sum())
    chosen = np.sort(np.argsort(turn, kind="stable")[:count])
    return order[chosen]


def write(path: Path, pairs: Iterator[tuple[str, str]]) -> None:
    lines = (f"{source}\t{target}\n" for source, target in pairs)
    path.write_text("".join(["source\ttarget\n", *lines]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("problem", choices=("reverse", "sort", "numbers"))
    parser.add_argument(
        "--rows", type=int, default=20_000, metavar="N", help="strings or numbers to learn from"
    )
    parser.add_argument("--test-rows", type=int, default=1000, metavar="N", help="and to be tested on")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--test", type=Path, required=True, metavar="FILE")
    given = parser.parse_args()
    if given.rows < 1 or given.test_rows < 1 or given.rows + given.test_rows > BELOW:
        parser.error(f"expected --rows and --test-rows of at least 1, together at most {BELOW:,}")
    rng = np.random.default_rng(given.seed)
    if given.problem == "numbers":
        drawn = rng.permutation(distinct(given.rows + given.test_rows, rng))
        write(given.out, numbers(drawn[: given.rows]))
        write(given.test, numbers(drawn[given.rows :]))
        return
    write(given.out, strings(given.problem, given.rows, LEARNED, rng))
    write(given.test, strings(given.problem, given.test_rows, TESTED, rng))


if __name__ == "__main__":
    main()

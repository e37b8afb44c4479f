"""Problems that only a long memory solves, generated exactly: the adding problem and copy memory.

    python examples/long_memory.py adding --length 100 --rows 10000 --out adding.npz
    elman train regress adding.npz --recipe recipes/regress/adding.yaml

    python examples/long_memory.py copy --length 50 --rows 2000 --out copy.conll
    elman train tag copy.conll

adding (Hochreiter and Schmidhuber, Long Short-Term Memory, 1997, experiment 4): a sequence of T pairs (value, mark),
values uniform in [0, 1). Two marks are 1, one in the first half and one in the second, the others 0. The target is the
sum of the two marked values: mean 1, variance 1/6, which is the squared error of whoever always says 1.

copy (recall, in the form of Arjovsky et al., Unitary Evolution Recurrent Neural Networks, 2016): ten symbols (or
--symbols) out of eight, T blanks, a mark, nine blanks; from the mark on the ten symbols are to be said in their order,
before that nothing. Written as one symbol and what is to be said a line, a tab between them, an empty line between two
sequences.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

LETTERS = "abcdefgh"
BLANK, MARK = "-", "?"


def adding(length: int, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (rows, length, 2) and their sums (rows,)."""
    rng = np.random.default_rng(seed)
    values = rng.random((rows, length))
    marks = np.zeros((rows, length))
    every = np.arange(rows)
    first, second = rng.integers(0, length // 2, rows), rng.integers(length // 2, length, rows)
    marks[every, first] = marks[every, second] = 1
    return np.stack([values, marks], 2).astype(np.float32), (values * marks).sum(1)


def copy(length: int, rows: int, seed: int, recalled: int = 10) -> str:
    """`rows` sequences as text, a symbol and its tag a line; `recalled` symbols are to be said again."""
    rng = np.random.default_rng(seed)
    sequences = []
    for numbers in rng.integers(0, len(LETTERS), (rows, recalled)):
        letters = [LETTERS[number] for number in numbers]
        symbols = [*letters, *[BLANK] * length, MARK, *[BLANK] * (recalled - 1)]
        tags = [*[BLANK] * (recalled + length), *letters]
        sequences.append("".join(f"{symbol}\t{tag}\n" for symbol, tag in zip(symbols, tags, strict=True)))
    return "\n".join(sequences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("problem", choices=("adding", "copy"))
    parser.add_argument("--length", type=int, default=100, metavar="T", help="steps to bridge")
    parser.add_argument("--rows", type=int, default=10_000, metavar="N", help="sequences")
    parser.add_argument("--symbols", type=int, default=10, metavar="N", help="of copy: how many are recalled")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    given = parser.parse_args()
    if given.length < 2 or given.rows < 1 or given.symbols < 1:
        parser.error("expected --length of at least 2, --rows and --symbols of at least 1")
    if given.problem == "adding":
        x, y = adding(given.length, given.rows, given.seed)
        np.savez_compressed(given.out, x=x, y=y)
    else:
        given.out.write_text(copy(given.length, given.rows, given.seed, given.symbols), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What is measured: cells, shapes, regimes and number types; their inputs, their arithmetic and their right answers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from elman import cells, reference

Regime = Literal["forward", "train", "step"]
Dtype = Literal["float32", "bfloat16", "int8"]
Arrays = dict[str, npt.NDArray[Any]]

FIRST_STEPS = 8  # a stepped run is checked over its first steps, from the zero state


@dataclass(frozen=True)
class Shape:
    """A stack of layers and the batch that goes through it: T steps, B rows, I inputs, H hidden units.

    ragged: lengths drawn evenly from 10 to T, in no order. symbols: x is a symbol number below I, not a vector.
    """

    steps: int
    batch: int
    inputs: int
    hidden: int
    layers: int = 1
    bidirectional: bool = False
    ragged: bool = False
    symbols: bool = False

    @property
    def name(self) -> str:
        extra = {"bi": self.bidirectional, f"{self.layers}-layer": self.layers > 1}
        extra |= {"ragged": self.ragged, "symbols": self.symbols}
        sizes = f"T{self.steps}-B{self.batch}-I{self.inputs}-H{self.hidden}"
        return "-".join([sizes, *(word for word, holds in extra.items() if holds)])

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1


@dataclass(frozen=True)
class Case:
    """One row of the table. regime: the whole sequence forward, the same and back, or one step from NumPy."""

    cell: str
    shape: Shape
    regime: Regime
    dtype: Dtype = "float32"

    @property
    def name(self) -> str:
        return f"{self.cell} {self.shape.name} {self.regime} {self.dtype}"


class Data(NamedTuple):
    """Inputs of a case, drawn alike in every process: x (B, T, I) or symbols (B, T), lengths (B,) or None, grad
    (B, T, H * directions) the gradient that comes down to the output, zero on padding."""

    params: Arrays
    x: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64] | None
    grad: npt.NDArray[np.float32]


GRID = (
    Shape(100, 1, 64, 64),
    Shape(100, 1, 256, 256),
    Shape(100, 16, 128, 128),
    Shape(20, 65, 40, 100),
    Shape(100, 64, 256, 256),
    Shape(100, 128, 512, 512),
    Shape(100, 32, 128, 256, layers=2, bidirectional=True),
    Shape(100, 64, 256, 256, ragged=True),
    Shape(1000, 16, 128, 128),
)
STEP = Shape(1, 1, 128, 128)
LARGE_STEP = Shape(1, 1, 512, 512)
SYMBOLS = Shape(100, 64, 65, 256, symbols=True)
QUICK = (GRID[0], GRID[4], GRID[7])
CELLS = ("rnn", "gru", "lstm", "gru_reset_before")


def grid(quick: bool = False) -> list[Case]:
    """All rows in the order they are measured; the quick grid is three cells on three shapes, and the steps."""
    names, shapes = (CELLS[:3], QUICK) if quick else (CELLS, GRID)
    rows = [Case(cell, STEP, "step") for cell in names]
    rows += [Case(c, s, regime) for s in shapes for regime in ("forward", "train") for c in names]
    if not quick:
        rows += [Case(cell, SYMBOLS, "train") for cell in names]
        rows += [Case(c, GRID[5], r, "bfloat16") for r in ("forward", "train") for c in names[:3]]
        rows += [Case(c, LARGE_STEP, "step", d) for d in ("float32", "bfloat16", "int8") for c in names[1:3]]
    return rows


@functools.lru_cache(maxsize=1)
def draw(case: Case) -> Data:
    """The inputs of a case; the same numbers in every process. The last are kept: nobody writes into them."""
    shape, rng = case.shape, np.random.default_rng(0)
    params = reference.draw(
        case.cell, shape.inputs, shape.hidden, rng, num_layers=shape.layers, bidirectional=shape.bidirectional
    )
    steps = FIRST_STEPS if case.regime == "step" else shape.steps
    lengths = rng.integers(10, steps + 1, shape.batch) if shape.ragged else None
    if shape.symbols:
        x: npt.NDArray[Any] = rng.integers(0, shape.inputs, (shape.batch, steps))
    else:
        x = rng.normal(size=(shape.batch, steps, shape.inputs)).astype(np.float32)
    grad = rng.normal(size=(shape.batch, steps, shape.hidden * shape.directions)).astype(np.float32)
    grad *= valid(lengths, steps)
    return Data({name: array.astype(np.float32) for name, array in params.items()}, x, lengths, grad)


def valid(lengths: npt.NDArray[np.int64] | None, steps: int) -> npt.NDArray[np.bool_]:
    """True where a step is not padding, (B, T, 1); True everywhere without lengths."""
    if lengths is None:
        return np.ones((1, 1, 1), dtype=bool)
    return (np.arange(steps) < lengths[:, None])[:, :, None]


def expected(case: Case, data: Data) -> Arrays:
    """The right answers, from the float64 reference: output and, for a training row, the gradients by name."""
    x = np.eye(case.shape.inputs)[data.x] if case.shape.symbols else data.x
    if case.regime != "train":
        return {"output": reference.forward(case.cell, data.params, x, lengths=data.lengths)[0]}
    grads = reference.backward(case.cell, data.params, x, data.grad, lengths=data.lengths)
    return dict(grads.params) if case.shape.symbols else {"x": grads.x, **grads.params}


def error(case: Case, data: Data, answers: Arrays, right: Arrays) -> float:
    """Largest error of `answers` relative to the largest magnitude in each array; padding is not looked at.

    Infinite if an answer is missing, has another shape or is not finite.
    """
    worst = 0.0
    for name, array in right.items():
        answer = answers.get(name)
        if answer is None or answer.shape != array.shape:
            return float("inf")
        mask = valid(data.lengths, case.shape.steps) if name in ("x", "output") else True
        difference = np.abs(np.where(mask, answer - array, 0.0)).max() / np.abs(array).max()
        worst = max(worst, float(difference)) if np.isfinite(difference) else float("inf")
    return worst


def flops(case: Case) -> float:
    """Floating-point operations of one call: 2 per weight and valid step, three times that with the way back.

    The two weight matrices alone are counted; of symbols, whose input product is a look-up, the recurrent one.
    """
    shape, gates = case.shape, len(cells.get(case.cell).gates)
    data_steps = shape.batch * shape.steps if not shape.ragged else int(draw(case).lengths.sum())  # type: ignore[union-attr]
    below = 0 if shape.symbols else shape.inputs
    weights = 0
    for _ in range(shape.layers):
        weights += shape.directions * gates * shape.hidden * (below + shape.hidden)
        below = shape.hidden * shape.directions
    return 2.0 * data_steps * weights * (3 if case.regime == "train" else 1)

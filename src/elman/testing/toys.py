"""Small problems to try laws on: random weights, odd sizes, ragged lengths with an empty row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from elman import cells, reference

Floats = npt.NDArray[np.float64]
Named = dict[str, Floats]


@dataclass(frozen=True)
class Toy:
    """Everything a stack of layers reads, and gradients to send back; float64, axes as in `elman.reference.forward`."""

    cell: str
    params: Named
    x: Floats
    state: Named | None
    lengths: npt.NDArray[np.int64] | None
    grad_output: Floats
    grad_state: Named

    def part(self, rows: slice = slice(None), steps: slice = slice(None), state: Named | None = None) -> Toy:
        """The same weights on some rows and steps of the input, from `state`, every row as long as the steps."""
        return replace(
            self,
            x=self.x[rows, steps],
            state=state,
            lengths=None,
            grad_output=self.grad_output[rows, steps],
            grad_state={name: g[:, rows] for name, g in self.grad_state.items()},
        )


def toy(
    cell: str,
    *,
    seed: int = 0,
    batch: int = 4,
    steps: int = 63,
    input_size: int = 5,
    hidden_size: int = 7,
    ragged: bool = True,
    with_state: bool = True,
    **stack: Any,
) -> Toy:
    """A random problem for `cell`; `stack` are options of `elman.reference.draw` (num_layers, bidirectional, ...).

    Ragged lengths hold the full length, 0 and 1, the others at random, in no order.
    """
    rng = np.random.default_rng(seed)
    params = reference.draw(cell, input_size, hidden_size, rng, **stack)
    rows = stack.get("num_layers", 1) * (2 if stack.get("bidirectional") else 1)
    output_size = stack.get("proj_size", 0) or hidden_size
    shapes = {
        name: (rows, batch, output_size if name == "h" else hidden_size)
        for name in cells.get(cell).state_names
    }
    state = {name: rng.normal(size=shape) for name, shape in shapes.items()} if with_state else None
    lengths = (
        rng.permutation(np.r_[steps, 0, 1, rng.integers(0, steps + 1, batch)][:batch]) if ragged else None
    )
    directions = 2 if stack.get("bidirectional") else 1
    return Toy(
        cell,
        params,
        rng.normal(size=(batch, steps, input_size)),
        state,
        lengths,
        rng.normal(size=(batch, steps, output_size * directions)),
        {name: rng.normal(size=shape) for name, shape in shapes.items()},
    )


def integers(problem: Toy, seed: int = 0) -> Toy:
    """The same shapes with weights, inputs and states drawn from -1, 0, 1: with linear gates sums are exact."""
    rng = np.random.default_rng(seed)

    def draw(given: Mapping[str, Floats]) -> Named:
        return {name: rng.integers(-1, 2, a.shape).astype(np.float64) for name, a in given.items()}

    arrays = draw({"x": problem.x, "grad_output": problem.grad_output})
    return replace(
        problem,
        x=arrays["x"],
        grad_output=arrays["grad_output"],
        params=draw(problem.params),
        state=None if problem.state is None else draw(problem.state),
        grad_state=draw(problem.grad_state),
    )


class LinearOps:
    """`elman.cells.Ops` whose nonlinearities are the identity: a wrong index cannot hide behind a flat sigmoid."""

    def sigmoid(self, a: Any) -> Any:
        return a

    def sigmoid_slope(self, y: Any) -> Any:
        return y * 0 + 1

    tanh = relu = sigmoid
    tanh_slope = relu_slope = sigmoid_slope

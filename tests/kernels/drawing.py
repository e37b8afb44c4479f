"""Random calls for the kernels: every cell, odd sizes, ragged lengths, states, projection, symbols, two directions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from elman import _core, kernels, reference
from elman.testing.close import Law, assert_close

Arrays = dict[str, Any]


@dataclass
class Case:
    """One call in float64: `x` is what the reference reads, `given` what the kernels read (symbols, or x)."""

    cell: str
    params: Arrays
    x: Any
    given: Any
    state: Arrays
    lengths: Any
    grad_output: Any
    grad_state: Arrays

    @classmethod
    def draw(cls, cell: str, rng: np.random.Generator, largest: int = 70, steps: int = 12) -> Case:
        batch, length, size, hidden = (int(rng.integers(1, n + 1)) for n in (40, steps, largest, largest))
        layers, directions = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        output = (
            int(rng.integers(1, hidden)) if cell == "lstm" and hidden > 1 and rng.random() < 0.5 else hidden
        )
        params = reference.draw(
            cell,
            size,
            hidden,
            rng,
            num_layers=layers,
            bidirectional=directions == 2,
            bias=bool(rng.random() < 0.7),
            proj_size=output if output < hidden else 0,
        )
        symbols = rng.integers(0, size, (batch, length))
        dense = rng.normal(size=(batch, length, size))
        use_symbols = rng.random() < 0.4
        sizes = {"h": output, "c": hidden} if cell == "lstm" else {"h": output}
        shapes = {n: (layers * directions, batch, width) for n, width in sizes.items()}
        return cls(
            cell,
            params,
            np.eye(size)[symbols] if use_symbols else dense,
            symbols if use_symbols else dense,
            {n: rng.normal(size=shape) for n, shape in shapes.items()},
            rng.integers(0, length + 1, batch) if rng.random() < 0.6 else None,
            rng.normal(size=(batch, length, output * directions)),
            {n: rng.normal(size=shape) for n, shape in shapes.items()},
        )

    def run(self, dtype: str, threads: int = 1) -> Arrays:
        """Everything the kernels compute for this call, by name."""
        params = {n: a.astype(dtype) for n, a in self.params.items()}
        output, state = kernels.forward(
            self.cell, params, self.given, self.state, self.lengths, threads=threads
        )
        grads = kernels.backward(
            self.cell,
            params,
            self.given,
            self.grad_output,
            self.grad_state,
            self.state,
            self.lengths,
            threads=threads,
        )
        return _named(output, state, grads)

    def expected(self) -> Arrays:
        """The same from the reference."""
        output, state = reference.forward(self.cell, self.params, self.x, self.state, self.lengths)
        grads = reference.backward(
            self.cell, self.params, self.x, self.grad_output, self.grad_state, self.state, self.lengths
        )
        return _named(output, state, grads)

    def check(self, dtype: str, threads: int = 1, law: Law = "reference") -> None:
        wanted = self.expected()
        sizes = [
            np.abs(a).max(initial=0.0) for n, a in wanted.items() if n.startswith("grad") and a is not None
        ]
        for name, array in self.run(dtype, threads).items():
            if array is not None:
                # Rounded operands do not cancel as the exact ones do, where a gradient is a small sum of large terms.
                scale = float(max(sizes)) if law == "narrow" and name.startswith("grad") else 1.0
                assert_close(law, array, wanted[name], f"{self.cell} {name}", scale)


def _named(output: Any, state: Arrays, grads: Any) -> Arrays:
    return {
        "output": output,
        **{f"final {n}": a for n, a in state.items()},
        "grad x": grads.x,
        **{f"grad {n}": a for n, a in grads.params.items()},
        **{f"grad initial {n}": a for n, a in grads.state.items()},
    }


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    before = _core.isa()
    _core.select_isa(name)
    try:
        yield
    finally:
        _core.select_isa(before)


@contextmanager
def narrow_products() -> Iterator[None]:
    """float32 calls of `elman.kernels` let the core round the operands of their products to bfloat16."""

    def allowed(real: Any) -> Any:
        return lambda cell, dtype, *rest: real(cell, {"float32": "bfloat16"}.get(dtype, dtype), *rest)

    with mock.patch.multiple(_core, forward=allowed(_core.forward), backward=allowed(_core.backward)):
        yield

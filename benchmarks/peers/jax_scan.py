"""JAX, the usual way by hand: one product for all inputs, then `lax.scan` over the cell's own equation, jitted.

Ragged batches run at full length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.cases import Arrays, Case, Data
from benchmarks.subject import Subject, stepping
from elman import cells
from elman.cells import Cell

VERSIONS = ("jax", "jaxlib")


class _JaxOps:
    sigmoid = staticmethod(jax.nn.sigmoid)
    tanh = staticmethod(jnp.tanh)
    relu = staticmethod(jax.nn.relu)


def _by_gate(array: Any, gates: tuple[str, ...]) -> dict[str, Any]:
    return dict(zip(gates, jnp.split(array, len(gates), axis=-1), strict=True))


def _step(cell: Cell, params: Any, suffix: str, projected: Any, state: Any) -> Any:
    """The next state; `projected` (B, G*H) is the input's product with its bias."""
    recurrent_weight, bias = params["weight_hh" + suffix].T, params["bias_hh" + suffix]

    def recurrent(h: Any, *gates: str) -> dict[str, Any]:
        gates = gates or cell.gate_names
        first, size = cell.gate_names.index(gates[0]), len(bias) // len(cell.gates)
        part = slice(first * size, (first + len(gates)) * size)
        return _by_gate(h @ recurrent_weight[:, part] + bias[part], gates)

    return cell.step(_JaxOps(), _by_gate(projected, cell.gate_names), recurrent, state)[0]  # type: ignore[arg-type]


def _zero(cell: Cell, batch: int, hidden: int) -> dict[str, Any]:
    return {name: jnp.zeros((batch, hidden), jnp.float32) for name in cell.state_names}


def _forward(case: Case) -> Callable[[Any, Any], Any]:
    cell, shape = cells.get(case.cell), case.shape

    def layer(params: Any, x: Any, number: int, reverse: bool) -> Any:
        suffix = cells.suffix(number, reverse)
        weight, bias = params["weight_ih" + suffix], params["bias_ih" + suffix]
        projected = (weight.T[x] if shape.symbols else x @ weight.T) + bias

        def body(state: Any, now: Any) -> tuple[Any, Any]:
            state = _step(cell, params, suffix, now, state)
            return state, state["h"]

        return jax.lax.scan(body, _zero(cell, shape.batch, shape.hidden), projected, reverse=reverse)[1]

    def forward(params: Any, x: Any) -> Any:
        for number in range(shape.layers):
            x = jnp.concatenate([layer(params, x, number, d == 1) for d in range(shape.directions)], axis=-1)
        return x

    return forward


def scan(case: Case, data: Data, threads: int) -> Subject | None:
    """Time major inside and out, the library's favourite order here."""
    if case.dtype != "float32":
        return None
    params = {name: jnp.asarray(array) for name, array in data.params.items()}
    if case.regime == "step":
        return _stepped(case, data, params)
    x, grad = (jnp.asarray(np.swapaxes(a, 0, 1)) for a in (data.x, data.grad))
    forward = _forward(case)
    if case.regime == "forward":
        run = jax.jit(forward)

        def answers() -> Arrays:
            return {"output": np.asarray(run(params, x)).swapaxes(0, 1)}
    else:

        @jax.jit
        def run(params: Any, x: Any) -> Any:
            if case.shape.symbols:
                output, back = jax.vjp(lambda p: forward(p, x), params)
                return output, (back(grad)[0], None)
            output, back = jax.vjp(forward, params, x)
            return output, back(grad)

        def answers() -> Arrays:
            weights, inputs = run(params, x)[1]
            grads = {name: np.asarray(array) for name, array in weights.items()}
            return grads if inputs is None else grads | {"x": np.asarray(inputs).swapaxes(0, 1)}

    return Subject(lambda: jax.block_until_ready(run(params, x)), answers)


def _stepped(case: Case, data: Data, params: Any) -> Subject:
    cell = cells.get(case.cell)

    @jax.jit
    def run(params: Any, x: Any, state: Any) -> Any:
        return _step(cell, params, "_l0", x @ params["weight_ih_l0"].T + params["bias_ih_l0"], state)

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        state = run(params, x, state)
        return np.asarray(state["h"]), state

    return stepping(step, _zero(cell, 1, case.shape.hidden), data)


SUBJECTS = {"JAX scan": scan}

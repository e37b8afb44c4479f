"""Depth and direction around a layer: the public `forward` and `backward` of the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elman import cells
from elman.cells import Cell, Init, Ops
from elman.errors import InputError
from elman.reference import layer
from elman.reference.layer import Moment, Named, Weights
from elman.reference.ops import Floats, NumpyOps

Trace = dict[str, list[Moment]]
"""Every moment of every layer and direction, by suffix (`_l0`, `_l0_reverse`, ...); a reverse direction's moments
are in the order it went, from the last valid step to the first."""


@dataclass(frozen=True)
class Gradients:
    """Gradients of a scalar with respect to everything that went into `forward`, shapes as given there."""

    x: Floats
    params: Named
    state: Named


@dataclass(frozen=True)
class _Pass:
    """One layer in one direction: where it stands, what it weighs, and what it saw on the way forward."""

    suffix: str
    reverse: bool
    index: int
    weights: Weights
    x: Floats
    moments: list[Moment]


def forward(
    cell: str | Cell,
    params: Mapping[str, Any],
    x: npt.ArrayLike,
    state: Mapping[str, Any] | None = None,
    lengths: npt.ArrayLike | None = None,
    return_gates: bool = False,
    ops: Ops | None = None,
) -> Any:
    """Run a stack of recurrent layers over a batch of sequences, float64, step by step.

    The equation is the cell's (`elman.cells.get(cell).equation`); depth and directions are read off the names in
    `params`. Layer k reads what layer k-1 wrote; with two directions the outputs stand side by side.

    Args:
        cell: name of a registered cell, or a Cell.
        params: state-dict names to arrays: weight_ih_l0 (G*H, I), weight_hh_l0 (G*H, P), optional bias_ih_l0 and
            bias_hh_l0 (G*H,), optional weight_hr_l0 (P, H); `_reverse` for the other direction; gates stacked in
            the cell's order.
        x: (B, T, I).
        state: initial state by name, each (layers * directions, B, H or P); zeros when None.
        lengths: (B,) steps of each row, 0 to T; T when None. Past its length a row's output is zero and its state
            stays; the reverse direction starts at the row's last valid step. Length 0 passes the state through.
        return_gates: also return the Trace.
        ops: the nonlinearities, NumPy's when None (the laws pass linear ones).

    Returns:
        (output, state) or (output, state, trace): output (B, T, P * directions); state as the initial one, each row
        at its own last step (for the reverse direction that is its first item).

    Raises:
        InputError: unknown cell, a parameter missing, or a shape that does not fit.

    >>> rng = np.random.default_rng(0)
    >>> output, state = forward("lstm", draw("lstm", 3, 4, rng), rng.normal(size=(2, 5, 3)), lengths=[5, 2])
    >>> output.shape, state["c"].shape, bool(output[1, 2:].any())
    ((2, 5, 4), (1, 2, 4), False)
    """
    output, final, passes = _run(cells.get(cell), params, x, state, lengths, ops or NumpyOps())
    if return_gates:
        return output, final, {p.suffix: p.moments for p in passes}
    return output, final


def backward(
    cell: str | Cell,
    params: Mapping[str, Any],
    x: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    grad_state: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    lengths: npt.ArrayLike | None = None,
    ops: Ops | None = None,
) -> Gradients:
    """Back-propagation through time of `forward`: gradients of sum(output * grad_output) + sum(state * grad_state).

    Args as in `forward`; grad_output (B, T, P * directions), grad_state by name like the final state (zeros when
    None). Source: Werbos (1990), Backpropagation through time: what it does and how to do it.

    >>> rng = np.random.default_rng(0)
    >>> params, x = draw("gru", 3, 4, rng), rng.normal(size=(2, 5, 3))
    >>> backward("gru", params, x, np.ones((2, 5, 4))).params["weight_hh_l0"].shape
    (12, 4)
    """
    cell, ops = cells.get(cell), ops or NumpyOps()
    output, final, passes = _run(cell, params, x, state, lengths, ops)
    grad = _checked("grad_output", grad_output, output.shape)
    grad_final = {
        n: _checked(f"grad_state[{n!r}]", (grad_state or {}).get(n, np.zeros_like(final[n])), final[n].shape)
        for n in final
    }
    grads = Gradients(grad, {}, {n: np.zeros_like(final[n]) for n in final})
    lengths = _lengths(lengths, *output.shape[:2])
    directions = 2 if any(p.reverse for p in passes) else 1
    for first in reversed(range(0, len(passes), directions)):
        pieces = np.split(grad, directions, axis=2)
        grad = np.zeros_like(passes[first].x)
        for p, piece in zip(passes[first : first + directions], pieces, strict=True):
            piece = reverse_rows(piece, lengths) if p.reverse else piece
            grad_x, grad_w, grad_0 = layer.backward(
                cell, ops, p.weights, p.x, p.moments, piece, {n: grad_final[n][p.index] for n in grad_final}
            )
            grad = grad + (reverse_rows(grad_x, lengths) if p.reverse else grad_x)
            grads.params.update({n + p.suffix: g for n, g in grad_w.items() if n + p.suffix in params})
            for n in grad_0:
                grads.state[n][p.index] = grad_0[n]
    return Gradients(grad, grads.params, grads.state)


def draw(
    cell: str | Cell,
    input_size: int,
    hidden_size: int,
    rng: np.random.Generator,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    proj_size: int = 0,
    init: Init = "torch",
) -> Named:
    """Initial parameters of a stack under their state-dict names; the laws are those of `elman.cells.parameters`.

    >>> draw("gru", 3, 4, np.random.default_rng(0), init="elman")["weight_hh_l0"].shape
    (12, 4)
    """
    declared = cells.parameters(
        cells.get(cell),
        input_size,
        hidden_size,
        num_layers=num_layers,
        bidirectional=bidirectional,
        bias=bias,
        proj_size=proj_size,
        init=init,
    )
    return {p.name: np.concatenate([_drawn(b, p.shape[1:], rng) for b in p.blocks]) for p in declared}


def reverse_rows(x: Floats, lengths: npt.NDArray[np.int64]) -> Floats:
    """Turn the first lengths[b] steps of every row round; what lies behind stays where it is. Its own inverse."""
    steps = np.arange(x.shape[1])
    order = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return np.take_along_axis(x, order[:, :, None], axis=1)


def _run(
    cell: Cell,
    params: Mapping[str, Any],
    x: npt.ArrayLike,
    state: Mapping[str, Any] | None,
    lengths: npt.ArrayLike | None,
    ops: Ops,
) -> tuple[Floats, Named, list[_Pass]]:
    flowing = np.asarray(x, dtype=np.float64)
    if flowing.ndim != 3:
        raise InputError(f"reference: x must have the axes (batch, time, input); got shape {flowing.shape}.")
    lengths = _lengths(lengths, *flowing.shape[:2])
    stack = list(_weights(cell, params))
    initial = _initial(cell, stack, state, len(flowing))
    passes: list[_Pass] = []
    outputs: list[Floats] = []
    final = {n: np.zeros_like(a) for n, a in initial.items()}
    for suffix, weights in stack:
        reverse, index = suffix.endswith("_reverse"), len(passes)
        if not reverse:  # a new layer begins: it reads what the layer below wrote in all its directions
            below = np.concatenate(outputs, axis=2) if outputs else flowing
            outputs = []
        if below.shape[2] != weights.weight_ih.shape[1]:
            raise InputError(
                f"reference: weight_ih{suffix} has shape {weights.weight_ih.shape}, but layer input has"
                f" {below.shape[2]} features; expected ({len(weights.weight_ih)}, {below.shape[2]})."
            )
        seen = reverse_rows(below, lengths) if reverse else below
        output, last, moments = layer.forward(
            cell, ops, weights, seen, {n: initial[n][index] for n in initial}, lengths
        )
        outputs.append(reverse_rows(output, lengths) if reverse else output)
        for n in last:
            final[n][index] = last[n]
        passes.append(_Pass(suffix, reverse, index, weights, seen, moments))
    return np.concatenate(outputs, axis=2), final, passes


def _weights(cell: Cell, params: Mapping[str, Any]) -> Iterator[tuple[str, Weights]]:
    number = 0
    while f"weight_ih_l{number}" in params:
        for reverse in (False, True):
            suffix = cells.suffix(number, reverse)
            if f"weight_ih{suffix}" not in params:
                continue
            if f"weight_hh{suffix}" not in params:
                raise InputError(
                    f"reference: parameter 'weight_hh{suffix}' is missing; given: {', '.join(params)}."
                )
            stems = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
            given = {s: np.asarray(params[s + suffix], np.float64) for s in stems if s + suffix in params}
            if len(given["weight_ih"]) % len(cell.gates) or len(given["weight_ih"]) != len(
                given["weight_hh"]
            ):
                raise InputError(
                    f"reference: weight_ih{suffix} {given['weight_ih'].shape} and weight_hh{suffix}"
                    f" {given['weight_hh'].shape} must both have {len(cell.gates)} * hidden_size rows for {cell.name}."
                )
            yield suffix, Weights(**given)
        number += 1
    if not number:
        raise InputError(
            f"reference: parameter 'weight_ih_l0' is missing; given: {', '.join(params) or 'none'}."
        )


def _initial(
    cell: Cell, stack: list[tuple[str, Weights]], state: Mapping[str, Any] | None, batch: int
) -> Named:
    hidden = len(stack[0][1].weight_hh) // len(cell.gates)
    sizes = {n: stack[0][1].weight_hh.shape[1] if n == "h" else hidden for n in cell.state_names}
    unknown = set(state or {}) - set(sizes)
    if unknown:
        raise InputError(f"reference: {cell.name} has the states {cell.state_names}, not {sorted(unknown)}.")
    shapes = {n: (len(stack), batch, size) for n, size in sizes.items()}
    return {n: _checked(f"state[{n!r}]", (state or {}).get(n, np.zeros(shapes[n])), shapes[n]) for n in sizes}


def _checked(name: str, value: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise InputError(f"reference: {name} has shape {array.shape}, expected {shape}.")
    return array


def _lengths(lengths: npt.ArrayLike | None, batch: int, steps: int) -> npt.NDArray[np.int64]:
    if lengths is None:
        return np.full(batch, steps, dtype=np.int64)
    checked = np.asarray(lengths)
    if checked.shape != (batch,) or not np.issubdtype(checked.dtype, np.integer):
        raise InputError(
            f"reference: lengths must be {batch} integers; got {checked.dtype} of shape {checked.shape}."
        )
    if checked.size and (checked.min() < 0 or checked.max() > steps):
        raise InputError(
            f"reference: lengths must lie between 0 and {steps}; got {checked.min()} to {checked.max()}."
        )
    return checked.astype(np.int64)


def _drawn(block: cells.Block, columns: tuple[int, ...], rng: np.random.Generator) -> Floats:
    shape = (block.rows, *columns)
    if block.law == "uniform":
        return rng.uniform(-block.value, block.value, shape)
    if block.law == "constant":
        return np.full(shape, block.value)
    rows, width = block.rows, columns[0]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, width), min(rows, width))))
    q = q * np.sign(np.diag(r))
    return q if rows >= width else q.T

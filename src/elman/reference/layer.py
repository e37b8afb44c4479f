"""One layer in one direction: the loop over time, and back-propagation through time, in the open.

Axes: B batch, T time, I input, H hidden, P output (H, or the projection's size), G gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elman.cells import Cell, Ops
from elman.reference.ops import Floats

Named = dict[str, Floats]


@dataclass(frozen=True)
class Moment:
    """What one time step leaves for the way back: all (B, H) by name, `valid` (B, 1) booleans."""

    previous: Named
    state: Named
    kept: Named
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Weights:
    """Parameters of one layer and direction under torch's names without the suffix; biases and weight_hr optional."""

    weight_ih: Floats
    weight_hh: Floats
    bias_ih: Floats | float = 0.0
    bias_hh: Floats | float = 0.0
    weight_hr: Floats | None = None


def split(cell: Cell, stacked: Floats) -> Named:
    """Cut the gate axis (the last, or the rows of a weight) into one block for each gate."""
    axis = stacked.ndim - 1
    return dict(zip(cell.gate_names, np.split(stacked, len(cell.gates), axis=axis), strict=True))


def forward(
    cell: Cell, ops: Ops, w: Weights, x: Floats, state: Mapping[str, Floats], lengths: npt.NDArray[np.int64]
) -> tuple[Floats, Named, list[Moment]]:
    """Run a layer over x (B, T, I). Returns output (B, T, P), the final state, and the moments for `backward`.

    Row b ends after lengths[b] steps: from there its output is zero and its state stays as it is.
    """
    now: Named = dict(state)
    moments: list[Moment] = []
    output = np.zeros((*x.shape[:2], now["h"].shape[1]))
    recurrent_weight = split(cell, w.weight_hh.T)
    recurrent_bias = split(cell, np.broadcast_to(w.bias_hh, len(w.weight_hh)))

    def recurrent(h: Floats, *gates: str) -> Named:
        return {k: h @ recurrent_weight[k] + recurrent_bias[k] for k in gates or cell.gate_names}

    for t in range(x.shape[1]):
        new, kept = cell.step(ops, split(cell, x[:, t] @ w.weight_ih.T + w.bias_ih), recurrent, now)
        unprojected = dict(new)
        if w.weight_hr is not None:
            new = {**new, "h": new["h"] @ w.weight_hr.T}
        valid = (t < lengths)[:, None]
        moments.append(Moment(now, unprojected, dict(kept), valid))
        now = {name: np.where(valid, new[name], now[name]) for name in now}
        output[:, t] = np.where(valid, new["h"], 0.0)
    return output, now, moments


def backward(
    cell: Cell,
    ops: Ops,
    w: Weights,
    x: Floats,
    moments: list[Moment],
    grad_output: Floats,
    grad_state: Mapping[str, Floats],
) -> tuple[Floats, Named, Named]:
    """Back-propagation through time: from the last step to the first, the chain rule over one step at a time.

    Returns the gradients of x, of the parameters (by their names in Weights) and of the initial state.
    """
    grad_x = np.zeros_like(x)
    grad_w = np.zeros_like(w.weight_ih)
    grad_u = np.zeros_like(w.weight_hh)
    grad_b, grad_d = np.zeros(len(w.weight_ih)), np.zeros(len(w.weight_hh))
    grad_v = None if w.weight_hr is None else np.zeros_like(w.weight_hr)
    size = len(grad_b) // len(cell.gates)
    rows = {k: slice(n * size, (n + 1) * size) for n, k in enumerate(cell.gate_names)}

    def product(h: Floats, grads: Mapping[str, Floats]) -> Floats:
        total = np.zeros_like(h)
        for k, grad in grads.items():
            grad_u[rows[k]] += grad.T @ h
            grad_d[rows[k]] += grad.sum(0)
            total += grad @ w.weight_hh[rows[k]]
        return total

    flowing: Named = dict(grad_state)
    for t in reversed(range(x.shape[1])):
        moment = moments[t]
        passed = {name: np.where(moment.valid, 0.0, grad) for name, grad in flowing.items()}
        grad = {name: np.where(moment.valid, grad, 0.0) for name, grad in flowing.items()}
        grad["h"] = grad["h"] + np.where(moment.valid, grad_output[:, t], 0.0)
        if w.weight_hr is not None and grad_v is not None:
            grad_v += grad["h"].T @ moment.state["h"]
            grad["h"] = grad["h"] @ w.weight_hr
        grad_gates, grad_previous = cell.backward(
            ops, grad, moment.kept, moment.previous, moment.state, product
        )
        stacked = np.concatenate([grad_gates[k] for k in cell.gate_names], axis=1)
        grad_w += stacked.T @ x[:, t]
        grad_b += stacked.sum(0)
        grad_x[:, t] = stacked @ w.weight_ih
        flowing = {name: grad_previous[name] + passed[name] for name in flowing}
    grads = {"weight_ih": grad_w, "weight_hh": grad_u, "bias_ih": grad_b, "bias_hh": grad_d}
    if grad_v is not None:
        grads["weight_hr"] = grad_v
    return grad_x, grads, flowing

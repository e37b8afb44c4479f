"""One `Recurrent` node in NumPy, step by step: any cell, and what layers of other systems have beside an equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from elman import cells
from elman.cells import ByName, Cell, Recurrent
from elman.errors import InputError, check_choice
from elman.graph._spec import RECURRENT_WEIGHTS, Array, Attribute
from elman.reference import NumpyOps
from elman.reference.layer import split
from elman.reference.stack import reverse_rows

Function: TypeAlias = Callable[[Array], Array]
Named: TypeAlias = dict[str, Array]
Step: TypeAlias = Callable[[ByName, Recurrent, ByName], ByName]

EXTRAS = ("activations", "alphas", "betas", "clip", "input_forget")
"""Attributes of a `Recurrent` node that no cell of elman has; weight_ch, the peepholes, is the one weight like them."""
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""The directions a node runs in, whether each is the reverse one."""

_OPS = NumpyOps()
ACTIVATIONS: dict[str, Callable[[Array, float, float], Array]] = {
    "Affine": lambda a, alpha, beta: alpha * a + beta,
    "Elu": lambda a, alpha, _: np.where(a >= 0, a, alpha * np.expm1(np.minimum(a, 0))),
    "HardSigmoid": lambda a, alpha, beta: np.clip(alpha * a + beta, 0, 1),
    "LeakyRelu": lambda a, alpha, _: np.where(a >= 0, a, alpha * a),
    "Relu": lambda a, _, __: _OPS.relu(a),
    "ScaledTanh": lambda a, alpha, beta: alpha * np.tanh(beta * a),
    "Sigmoid": lambda a, _, __: _OPS.sigmoid(a),
    "Softplus": lambda a, _, __: np.logaddexp(0, a),
    "Softsign": lambda a, _, __: a / (1 + np.abs(a)),
    "Tanh": lambda a, _, __: _OPS.tanh(a),
    "ThresholdedRelu": lambda a, alpha, _: np.where(a >= alpha, a, 0),
}
"""The activations of ONNX' recurrent operators, of a, alpha and beta."""


def layer(
    x: Array,
    lengths: Array | None,
    h_0: Array | None,
    c_0: Array | None,
    weights: Sequence[Mapping[str, Array]],
    attributes: Mapping[str, Attribute],
) -> tuple[Array, Array, Array | None]:
    """Run one layer over a batch of sequences, in the dtype of its weights.

    The equation is the cell's, with `activations` in place of its own, in their order there (of an LSTM f and g; and h,
    which squashes the cell state), `clip` the bound of what goes into f and g, but not into h, as in ONNX Runtime. An
    LSTM with peepholes p (Gers and Schmidhuber 2000) or coupled gates is

        i_t = f(W_i x_t + b_i + U_i h_{t-1} + d_i + p_i * c_{t-1})
        f_t = f(W_f x_t + b_f + U_f h_{t-1} + d_f + p_f * c_{t-1}), or 1 - i_t with input_forget
        c_t = f_t * c_{t-1} + i_t * g(W_g x_t + b_g + U_g h_{t-1} + d_g)
        o_t = f(W_o x_t + b_o + U_o h_{t-1} + d_o + p_o * c_t)
        h_t = o_t * h(c_t)

    Args: as the inputs of the node, None where left out; weights of each direction by RECURRENT_WEIGHTS, only those
        there are; attributes as the node's.
    Returns: output (B, T, D * P), h_n (D, B, P), c_n (D, B, H) or None. From a row's length on its output is zero and
        its state stays; length 0 passes the state through.
    Raises: InputError for attributes, shapes, lengths and symbols that do not fit.

    >>> weights = {"weight_ih": np.ones((4, 3)), "weight_hh": np.ones((4, 4))}
    >>> softsign = {"cell": "rnn", "activations": ["Softsign"], "alphas": [0.0], "betas": [0.0]}
    >>> output, h_n, _ = layer(np.ones((1, 1, 3)), None, None, None, [weights], softsign)
    >>> float(output[0, 0, 0])
    0.75
    """
    cell = cells.get(str(attributes["cell"]))
    directions = DIRECTIONS[
        check_choice("direction", str(attributes.get("direction", "forward")), DIRECTIONS)
    ]
    if len(weights) != len(directions):
        raise InputError(f"Recurrent: weights of {len(weights)} directions, expected {len(directions)}.")
    for w in weights:
        _check(cell, x, w)
    steps = _lengths(lengths, *x.shape[:2])
    state = _initial(cell, weights, len(x), (h_0, c_0))
    outputs, final = [], []
    for number, (reverse, w) in enumerate(zip(directions, weights, strict=True)):
        step = _step(cell, attributes, number, len(directions), w.get("weight_ch"))
        products = w["weight_ih"].T[x] if x.ndim == 2 else x @ w["weight_ih"].T
        products = products + w.get("bias_ih", 0)
        if reverse:
            products = reverse_rows(products, steps)
        output, last = _run(cell, step, w, products, {n: s[number] for n, s in state.items()}, steps)
        outputs.append(reverse_rows(output, steps) if reverse else output)
        final.append(last)
    ends = [np.stack([last[name] for last in final]) for name in cell.state_names]
    return np.concatenate(outputs, axis=2), ends[0], ends[1] if len(ends) > 1 else None


def own_activations(cell: Cell) -> list[str]:
    """The activations of a cell's equation, in the order in which `activations` replaces them.

    >>> own_activations(cells.get("lstm"))
    ['Sigmoid', 'Tanh', 'Tanh']
    """
    names = [*dict.fromkeys(gate.activation.capitalize() for gate in cell.gates)]
    return [*names, "Tanh"] if cell.name == "lstm" else names


def _run(
    cell: Cell, step: Step, w: Mapping[str, Array], products: Array, state: Named, lengths: Array
) -> tuple[Array, Named]:
    """One direction over W x + b, (B, T, G * H)."""
    output = np.zeros((*products.shape[:2], state["h"].shape[1]), products.dtype)
    recurrent_weight = split(cell, w["weight_hh"].T)
    recurrent_bias = split(cell, w.get("bias_hh", np.zeros(len(w["weight_hh"]), products.dtype)))

    def recurrent(h: Array, *gates: str) -> Named:
        return {k: h @ recurrent_weight[k] + recurrent_bias[k] for k in gates or cell.gate_names}

    for t in range(lengths.max(initial=0)):
        new = dict(step(split(cell, products[:, t]), recurrent, state))
        if "weight_hr" in w:
            new["h"] = new["h"] @ w["weight_hr"].T
        valid = (t < lengths)[:, None]
        state = {name: np.where(valid, new[name], state[name]) for name in state}
        output[:, t] = np.where(valid, new["h"], 0)
    return output, state


def _step(
    cell: Cell, attributes: Mapping[str, Attribute], direction: int, directions: int, peepholes: Array | None
) -> Step:
    """The step of a cell with what the node has beside it."""
    lstm, coupled = cell.name == "lstm", bool(attributes.get("input_forget", 0))
    if (coupled or peepholes is not None) and not lstm:
        raise InputError(f"Recurrent: peepholes and input_forget belong to the cell lstm; got {cell.name}.")
    if peepholes is None and not any(name in attributes for name in EXTRAS):
        return lambda x, recurrent, state: cell.step(_OPS, x, recurrent, state)[0]
    own = [*dict.fromkeys(gate.activation for gate in cell.gates)]
    functions = _functions(attributes, own_activations(cell), direction, directions)
    if "clip" in attributes:
        functions[: len(own)] = [_bounded(f, _clip(attributes["clip"])) for f in functions[: len(own)]]
    if lstm:
        return _lstm(functions, peepholes, coupled)
    ops = _Chosen(dict(zip(own, functions, strict=True)))
    return lambda x, recurrent, state: cell.step(ops, x, recurrent, state)[0]


def _lstm(functions: Sequence[Function], peepholes: Array | None, coupled: bool) -> Step:
    f, g, h = functions
    p_i, p_f, p_o = (0.0,) * 3 if peepholes is None else np.split(peepholes, 3)

    def step(x: ByName, recurrent: Recurrent, state: ByName) -> ByName:
        u, c = recurrent(state["h"]), state["c"]
        i = f(x["i"] + u["i"] + p_i * c)
        kept = 1 - i if coupled else f(x["f"] + u["f"] + p_f * c)
        c = kept * c + i * g(x["g"] + u["g"])
        o = f(x["o"] + u["o"] + p_o * c)
        return {"h": o * h(c), "c": c}

    return step


class _Chosen(NumpyOps):
    """The nonlinearities of a cell, others in place of its own."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions

    def sigmoid(self, a: Array) -> Array:
        return self._functions["sigmoid"](a)

    def tanh(self, a: Array) -> Array:
        return self._functions["tanh"](a)

    def relu(self, a: Array) -> Array:
        return self._functions["relu"](a)


def _functions(
    attributes: Mapping[str, Attribute], defaults: list[str], direction: int, directions: int
) -> list[Function]:
    """The activations of one direction."""
    names = _list(attributes, "activations", defaults * directions)
    alphas = _list(attributes, "alphas", [0.0] * len(names))
    betas = _list(attributes, "betas", [0.0] * len(names))
    if not len(names) == len(alphas) == len(betas) == len(defaults) * directions:
        raise InputError(
            f"Recurrent: {len(names)} activations, {len(alphas)} alphas and {len(betas)} betas; expected"
            f" {len(defaults)} of each for each of {directions} directions."
        )
    chosen = slice(direction * len(defaults), (direction + 1) * len(defaults))
    return [_function(*one) for one in zip(names[chosen], alphas[chosen], betas[chosen], strict=True)]


def _function(name: str, alpha: float, beta: float) -> Function:
    function = ACTIVATIONS[check_choice("activation", name, ACTIVATIONS)]
    return lambda a: function(a, alpha, beta)


def _bounded(function: Function, clip: float) -> Function:
    return lambda a: function(np.clip(a, -clip, clip))


def _clip(value: Attribute) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InputError(f"Recurrent: clip is a number above 0; got {value!r}.")
    return float(value)


def _list(attributes: Mapping[str, Attribute], name: str, default: list[Any]) -> list[Any]:
    value = attributes.get(name, default)
    kind = str if name == "activations" else int | float
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise InputError(f"Recurrent: {name} is a list; got {value!r}.")
    return value


def _check(cell: Cell, x: Array, w: Mapping[str, Array]) -> None:
    """Raise InputError unless x and the weights of one direction fit each other."""
    if x.ndim not in (2, 3) or (x.ndim == 2 and not np.issubdtype(x.dtype, np.integer)):
        raise InputError(f"Recurrent: x is (B, T, I), or (B, T) integers; got {x.dtype} of shape {x.shape}.")
    if not {"weight_ih", "weight_hh"} <= set(w) <= set(RECURRENT_WEIGHTS) or w["weight_hh"].ndim != 2:
        raise InputError(f"Recurrent: weights {', '.join(w)}; expected matrices weight_ih and weight_hh.")
    rows = len(w["weight_hh"])
    hidden = rows // len(cell.gates)
    output = len(w["weight_hr"]) if "weight_hr" in w else hidden
    features = x.shape[2] if x.ndim == 3 else w["weight_ih"].shape[-1]
    expected: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, features),
        "weight_hh": (hidden * len(cell.gates), output),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
        "weight_hr": (output, hidden),
        "weight_ch": (3 * hidden,),
    }
    for name, array in w.items():
        if array.shape != expected[name]:
            raise InputError(
                f"Recurrent: {name} has shape {array.shape}, expected {expected[name]} for {cell.name} over x of"
                f" shape {x.shape}."
            )
    if x.ndim == 2 and x.size and not 0 <= x.min() <= x.max() < features:
        raise InputError(f"Recurrent: symbols from {x.min()} to {x.max()}; expected 0 to {features - 1}.")


def _initial(
    cell: Cell, weights: Sequence[Mapping[str, Array]], batch: int, given: Sequence[Array | None]
) -> Named:
    """The states before the first step, (D, B, features) by name, zeros where none are given."""
    rows, output = weights[0]["weight_hh"].shape
    state: Named = {}
    for name, array in zip(cell.state_names, given, strict=False):
        shape = (len(weights), batch, output if name == "h" else rows // len(cell.gates))
        state[name] = np.zeros(shape, weights[0]["weight_hh"].dtype) if array is None else array
        if state[name].shape != shape:
            raise InputError(f"Recurrent: {name}_0 has shape {state[name].shape}, expected {shape}.")
    return state


def _lengths(lengths: Array | None, batch: int, steps: int) -> Array:
    if lengths is None:
        return np.full(batch, steps)
    if lengths.shape != (batch,) or (batch and not 0 <= lengths.min() <= lengths.max() <= steps):
        found = f"{lengths.min(initial=steps)} to {lengths.max(initial=0)} of shape {lengths.shape}"
        raise InputError(f"Recurrent: lengths are {batch} integers from 0 to {steps}; got {found}.")
    return lengths

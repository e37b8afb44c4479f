"""ONNX models of one recurrent operator, drawn by a seed, and what they compute by ONNX Runtime or by torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

Arrays = dict[str, np.ndarray]
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
ACTIVATIONS: dict[str, tuple[Callable[..., torch.Tensor], int]] = {
    "Affine": (lambda a, p, q: p * a + q, 2),
    "Elu": (lambda a, p: F.elu(a, p), 1),
    "HardSigmoid": (lambda a, p, q: (p * a + q).clamp(0, 1), 2),
    "LeakyRelu": (lambda a, p: F.leaky_relu(a, p), 1),
    "Relu": (F.relu, 0),
    "ScaledTanh": (lambda a, p, q: p * torch.tanh(q * a), 2),
    "Sigmoid": (torch.sigmoid, 0),
    "Softplus": (F.softplus, 0),
    "Softsign": (F.softsign, 0),
    "Tanh": (torch.tanh, 0),
    "ThresholdedRelu": (lambda a, p: F.threshold(a, p, 0.0), 1),
}
"""Every activation of the specification through torch, and how many numbers it reads: alpha, or alpha and beta."""
OWN = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


@dataclass(frozen=True)
class Case:
    """One node: its attributes, what it is given, its weights; all in layout 0, whatever `layout` the model has."""

    op: str
    attributes: dict[str, Any]
    given: Arrays
    weights: Arrays
    opset: int = 17
    layout: int = 0

    @property
    def wanted(self) -> tuple[str, ...]:
        """The outputs of the operator."""
        return ("Y", "Y_h", "Y_c") if self.op == "LSTM" else ("Y", "Y_h")


def draw(seed: int) -> Case:
    """A case with every attribute and optional input there or not, by chance."""
    rng = np.random.default_rng(seed)

    def chance(share: float) -> bool:
        return bool(rng.random() < share)

    op = ("RNN", "LSTM", "GRU")[seed % 3]
    direction = ("forward", "reverse", "bidirectional")[seed // 3 % 3]
    directions = 2 if direction == "bidirectional" else 1
    time, batch, features, hidden = rng.integers(1, 6, 4)
    layout = int(chance(0.25))
    dtype = np.float64 if chance(0.15) else np.float32
    attributes: dict[str, Any] = {"hidden_size": int(hidden)}
    if direction != "forward" or chance(0.5):
        attributes["direction"] = direction
    if chance(0.5):
        attributes |= _activations(rng, len(OWN[op]) * directions)
    if chance(0.3):
        attributes["clip"] = float(np.float32(rng.uniform(0.1, 1.0)))
    if op == "GRU" and chance(0.6):
        attributes["linear_before_reset"] = int(chance(0.8))
    if op == "LSTM" and chance(0.3):
        attributes["input_forget"] = int(chance(0.8))
    if layout:
        attributes["layout"] = 1

    def values(*shape: int) -> np.ndarray:
        return rng.uniform(-0.6, 0.6, shape).astype(dtype)

    rows = GATES[op] * hidden
    weights = {"W": values(directions, rows, features), "R": values(directions, rows, hidden)}
    if chance(0.7):
        weights["B"] = values(directions, 2 * rows)
    if op == "LSTM" and chance(0.4):
        weights["P"] = values(directions, 3 * hidden)
    given = {"X": 2 * values(time, batch, features)}
    if chance(0.5):
        given["sequence_lens"] = rng.integers(1, time + 1, batch).astype(np.int32)
    for name in ("initial_h", "initial_c")[: 1 + (op == "LSTM")]:
        if chance(0.5):
            given[name] = values(directions, batch, hidden)
    return Case(
        op,
        attributes,
        given,
        weights,
        int(rng.choice([14, 17, 22] if layout else [7, 11, 14, 17, 22])),
        layout,
    )


def _activations(rng: np.random.Generator, count: int) -> dict[str, Any]:
    names = [str(name) for name in rng.choice(list(ACTIVATIONS), count)]
    drawn: dict[str, Any] = {"activations": names}
    for kind, needed in (("alpha", 1), ("beta", 2)):
        readers = sum(ACTIVATIONS[name][1] >= needed for name in names)
        if readers:
            drawn[f"activation_{kind}"] = [float(np.float32(n)) for n in rng.uniform(0.2, 0.8, readers)]
    return drawn


def model(case: Case) -> onnx.ModelProto:
    """The model of a case, in its layout."""
    order = INPUTS if case.op == "LSTM" else INPUTS[:6]
    names = [name if name in case.given or name in case.weights else "" for name in order]
    node = helper.make_node(case.op, names, case.wanted, **case.attributes)
    kind = helper.np_dtype_to_tensor_dtype(case.weights["W"].dtype)
    hidden, directions = case.weights["R"].shape[2], len(case.weights["R"])
    axes = {
        "X": ("time", "batch", case.given["X"].shape[2]),
        "sequence_lens": ("batch",),
        "Y": ("time", directions, "batch", hidden),
        **dict.fromkeys(("initial_h", "initial_c", "Y_h", "Y_c"), (directions, "batch", hidden)),
    }

    def info(name: str) -> onnx.ValueInfoProto:
        element = TensorProto.INT32 if name == "sequence_lens" else kind
        turned = [axes[name][k] for k in permutation(name, case.layout)]
        return helper.make_tensor_value_info(name, element, turned)

    return helper.make_model(
        helper.make_graph(
            [node],
            "case",
            [info(name) for name in case.given],
            [info(name) for name in case.wanted],
            [numpy_helper.from_array(array, name) for name, array in case.weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", case.opset)],
        ir_version=8,
    )


def permutation(name: str, layout: int) -> tuple[int, ...]:
    """Where the axes of layout 0 stand in a layout."""
    if name == "sequence_lens":
        return (0,)
    there = (2, 0, 1, 3) if name == "Y" else (1, 0, 2)
    return there if layout else tuple(range(len(there)))


def given(case: Case) -> Arrays:
    """The inputs of a case in its layout."""
    return {name: array.transpose(permutation(name, case.layout)) for name, array in case.given.items()}


def expected(case: Case) -> Arrays:
    """The outputs of a case, in its layout, by an oracle of which elman knows nothing.

    ONNX Runtime computes float32 in layout 0. Layout 1 is the same with the axes turned. Float64 is a loop over torch,
    since `onnx.reference` knows no activations, clip, input_forget or sequence_lens.
    """
    if case.weights["W"].dtype == np.float64:
        found = by_torch(case)
    else:
        plain = {name: value for name, value in case.attributes.items() if name != "layout"}
        found = by_runtime(model(replace(case, attributes=plain, layout=0)), case.given)
    return {name: array.transpose(permutation(name, case.layout)) for name, array in found.items()}


def by_runtime(source: onnx.ModelProto | str, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """What ONNX Runtime makes of a model or a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    data = source if isinstance(source, str) else source.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def by_torch(case: Case) -> Arrays:
    """The specification's equations, row by row, direction by direction, in the order and with the names it has."""
    x, r = torch.tensor(case.given["X"]), torch.tensor(case.weights["R"])
    (time, batch, _), (directions, _, hidden) = x.shape, r.shape
    zeros = torch.zeros(directions, batch, hidden, dtype=x.dtype)
    start = {n: torch.tensor(case.given[n]) if n in case.given else zeros for n in ("initial_h", "initial_c")}
    lengths = case.given.get("sequence_lens", np.full(batch, time))
    y = torch.zeros(time, directions, batch, hidden, dtype=x.dtype)
    ends = {"Y_h": zeros.clone(), "Y_c": zeros.clone()}
    for d in range(directions):
        backwards = case.attributes.get("direction") == "reverse" or d == 1
        for b in range(batch):
            h, c = start["initial_h"][d, b], start["initial_c"][d, b]
            steps = range(int(lengths[b]))
            for t in reversed(steps) if backwards else steps:
                h, c = _step(case, d, x[t, b], h, c)
                y[t, d, b] = h
            ends["Y_h"][d, b], ends["Y_c"][d, b] = h, c
    found = {"Y": y, **ends}
    return {name: found[name].numpy() for name in case.wanted}


def _step(
    case: Case, d: int, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    w, r = (torch.tensor(case.weights[name])[d] for name in "WR")
    b = torch.tensor(case.weights["B"])[d] if "B" in case.weights else torch.zeros(2 * len(w), dtype=x.dtype)
    w_b, r_b = b.chunk(2)
    functions = _functions(case, d)
    f, g, k = functions[0], functions[min(1, len(functions) - 1)], functions[-1]
    bound = case.attributes.get("clip", float("inf"))
    clip = lambda a: a.clamp(-bound, bound)  # noqa: E731
    if case.op == "RNN":
        return f(clip(w @ x + r @ h + w_b + r_b)), c
    if case.op == "GRU":
        (w_z, w_r, w_h), (r_z, r_r, r_h) = (w @ x + w_b).chunk(3), (r @ h + r_b).chunk(3)
        z, reset = f(clip(w_z + r_z)), f(clip(w_r + r_r))
        if not case.attributes.get("linear_before_reset"):
            r_h = (r.chunk(3)[2] @ (reset * h)) + r_b.chunk(3)[2]
            return (1 - z) * g(clip(w_h + r_h)) + z * h, c
        return (1 - z) * g(clip(w_h + reset * r_h)) + z * h, c
    i, o, forget, cell = (w @ x + w_b + r @ h + r_b).chunk(4)
    p = torch.tensor(case.weights["P"])[d] if "P" in case.weights else torch.zeros(3 * len(h), dtype=x.dtype)
    p_i, p_o, p_f = p.chunk(3)
    i = f(clip(i + p_i * c))
    forget = 1 - i if case.attributes.get("input_forget") else f(clip(forget + p_f * c))
    c = forget * c + i * g(clip(cell))
    return f(clip(o + p_o * c)) * k(c), c


def _functions(case: Case, d: int) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    own = OWN[case.op]
    names = case.attributes.get("activations", own * (d + 1))
    alphas = iter(case.attributes.get("activation_alpha", ()))
    betas = iter(case.attributes.get("activation_beta", ()))
    made = []
    for name in names:
        function, count = ACTIVATIONS[name]
        numbers = [next(source) for source in (alphas, betas)[:count]]
        made.append(lambda a, function=function, numbers=numbers: function(a, *numbers))
    return made[d * len(own) : (d + 1) * len(own)]

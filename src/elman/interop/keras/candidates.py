"""Which layers of Keras could stand for the operators that read a value: options and arrays, still to be proved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman import cells
from elman.cells import Cell
from elman.errors import InputError
from elman.graph import RECURRENT_INPUTS, RECURRENT_WEIGHTS, Array, Node
from elman.interop.keras.activations import HARD_SLOPE, OPERATORS, RECURRENT
from elman.interop.keras.draft import Flow
from elman.interop.keras.matching import Plain
from elman.interop.layouts import reorder

CLASSES = {
    "rnn": ("SimpleRNN", {}),
    "rnn_relu": ("SimpleRNN", {}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {"reset_after": True}),
    "gru_reset_before": ("GRU", {"reset_after": False}),
}
MERGES = ("ave", "sum", "mul", None, "concat")
"""Those whose result is made of that of another come first."""


@dataclass(frozen=True)
class Candidate:
    """A layer: its class, its options, and its arrays by where they lie under it in the file."""

    kind: str
    config: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)


def candidates(plain: Plain, x: Flow, mark: str) -> Iterator[Candidate]:
    """The layers that could come next, those that do most first."""
    nodes = plain.readers(mark)
    masks = any(node.op == "Equal" for node in nodes)
    for node in nodes:
        if node.op == "Gather" and len(x.axes) == 2 and node.inputs[0] in plain.weights:
            table = plain.weights[node.inputs[0]]
            for mask_zero in (True, False) if masks else (False,):
                sizes = {"input_dim": len(table), "output_dim": table.shape[-1], "mask_zero": mask_zero}
                yield Candidate("Embedding", sizes, {"vars/0": table})
        elif node.op == "Equal" and len(x.axes) == 3:
            yield Candidate("Masking", {"mask_value": float(plain.weights[node.inputs[1]])})
        elif node.op == "MatMul":
            yield from _dense(plain, node)
        elif node.op == "Mul":
            yield from _normalisation(plain, node)
        elif node.op == "Flatten":
            yield Candidate("Flatten", {})
        elif node.op == "Recurrent":
            yield from _recurrent(plain, node)
        elif node.op == "GatherND":
            for reader in plain.readers(plain.marks[node.outputs[0]]):
                if reader.op == "Recurrent":
                    yield from _recurrent(plain, reader)
        elif name := _activation(node):
            yield Candidate("Activation", {"activation": name})


def _activation(node: Node) -> str:
    for name, (op, attributes) in OPERATORS.items():
        if node.op == op and {**attributes, **node.attributes} == attributes:
            return name
    return "hard_sigmoid" if node.op == "HardSigmoid" else ""


def _dense(plain: Plain, node: Node) -> Iterator[Candidate]:
    kernel = plain.weights.get(node.inputs[1])
    if kernel is None or kernel.ndim != 2:
        return
    for after in plain.readers(plain.marks[node.outputs[0]]):
        bias = next((plain.weights[name] for name in after.inputs if name in plain.weights), None)
        if after.op == "Add" and bias is not None and bias.shape == kernel.shape[1:]:
            yield Candidate("Dense", {"units": kernel.shape[1]}, {"vars/0": kernel, "vars/1": bias})
    yield Candidate("Dense", {"units": kernel.shape[1], "use_bias": False}, {"vars/0": kernel})


def _normalisation(plain: Plain, node: Node) -> Iterator[Candidate]:
    """A factor and a summand of each feature, as BatchNormalization of mean 0 and variance 1."""
    factor = plain.weights.get(node.inputs[1])
    for after in plain.readers(plain.marks[node.outputs[0]]):
        summand = plain.weights.get(after.inputs[-1])
        if (
            after.op != "Add"
            or factor is None
            or summand is None
            or factor.size != max(factor.shape, default=0)
        ):
            continue
        behind = len(factor.shape) - 1 - int(np.argmax(factor.shape))
        size = factor.reshape(-1)
        arrays = [size, summand.reshape(-1), np.zeros_like(size), np.ones_like(size)]
        config = {"axis": -1 - behind, "epsilon": 0.0}
        yield Candidate("BatchNormalization", config, {f"vars/{n}": array for n, array in enumerate(arrays)})


def _recurrent(plain: Plain, node: Node) -> Iterator[Candidate]:
    cell = cells.get(str(node.attributes["cell"]))
    step, first = len(RECURRENT_WEIGHTS), len(RECURRENT_INPUTS)
    count = (len(node.inputs) - first) // step
    _refuse_others(node)
    layers = []
    for number in range(count):
        names = node.inputs[first + number * step : first + (number + 1) * step]
        weights = {k: plain.weights[n] for k, n in zip(RECURRENT_WEIGHTS, names, strict=True) if n}
        config, arrays = _direction(cell, node, number, count, weights)
        layers.append((config, arrays))
    kind, masked = CLASSES[cell.name][0], bool(node.inputs[1])
    for sequences in (True, False):
        shown = {"return_sequences": sequences, "return_state": True}
        if count == 1:
            config, arrays = layers[0]
            backwards = node.attributes["direction"] == "reverse"
            for zero in (True, False) if masked else (False,):
                more = {"go_backwards": backwards, "zero_output_for_mask": zero}
                placed = {f"cell/{place}": array for place, array in arrays.items()}
                yield Candidate(kind, {**config, **shown, **more}, placed)
            continue
        both: list[dict[str, Any]] = [
            {
                "module": "keras.layers",
                "class_name": kind,
                "registered_name": None,
                "config": {**config, **shown},
            }
            for config, _ in layers
        ]
        for name, backwards, inner in zip(("forward", "backward"), (False, True), both, strict=True):
            inner["config"] |= {"go_backwards": backwards, "name": f"{name}_{kind.lower()}"}
        placed = {
            f"{part}/cell/{place}": array
            for part, (_, arrays) in zip(("forward_layer", "backward_layer"), layers, strict=True)
            for place, array in arrays.items()
        }
        for mode in MERGES:
            yield Candidate(
                "Bidirectional", {"layer": both[0], "backward_layer": both[1], "merge_mode": mode}, placed
            )


def _direction(
    cell: Cell, node: Node, number: int, count: int, weights: Mapping[str, Array]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Options and arrays of one direction, in Keras' layout."""
    layout = cell.layouts["keras"]
    turned = {name: reorder(array, cell.gate_names, layout.gates) for name, array in weights.items()}
    arrays = [turned["weight_ih"].T, turned["weight_hh"].T]
    if "bias_ih" in turned:
        both = np.stack([turned["bias_ih"], turned["bias_hh"]])
        arrays.append(both if layout.biases == "stacked" else both[0])
    config = {"units": weights["weight_hh"].shape[1], "use_bias": len(arrays) == 3, **CLASSES[cell.name][1]}
    if cell.name == "rnn_relu":
        config["activation"] = "relu"
    names = node.attributes.get("activations")
    if isinstance(names, list):
        each = len(names) // count
        own = [_squash(node, position) for position in range(number * each, (number + 1) * each)]
        config |= {"activation": own[-1]} | ({"recurrent_activation": own[0]} if each > 1 else {})
        if each == 3 and own[1] != own[2]:
            raise InputError("Keras: an LSTM whose cell state has an activation of its own; not carried.")
    return config, {f"vars/{place}": np.ascontiguousarray(array) for place, array in enumerate(arrays)}


def _squash(node: Node, position: int) -> str:
    """An activation of a `Recurrent` by Keras' name."""
    name, alpha, beta = (
        values[position] if isinstance(values := node.attributes.get(kind), list) else 0.0
        for kind in ("activations", "alphas", "betas")
    )
    known = {**RECURRENT, "hard_sigmoid": ("HardSigmoid", HARD_SLOPE[3], 0.5)}
    for keras, squash in known.items():
        if squash[0] == name and np.allclose((float(alpha), float(beta)), squash[1:], rtol=1e-6):
            return keras
    raise InputError(
        f"Keras: activation {name} (alpha {alpha}, beta {beta}) within a recurrence; not carried."
    )


def _refuse_others(node: Node) -> None:
    for name in ("clip", "input_forget"):
        if name in node.attributes:
            raise InputError(f"Keras: a Recurrent with {name}, which no layer of Keras has; not carried.")

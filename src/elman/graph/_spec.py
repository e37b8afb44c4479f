"""What a model is when it is data: values, the operators between them, and their weights. Nothing here computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Attribute: TypeAlias = bool | int | float | str | list[int] | list[float] | list[str]
Direction = Literal["forward", "reverse", "bidirectional"]

RECURRENT_INPUTS = ("x", "lengths", "h_0", "c_0")
"""What a `Recurrent` node reads before its weights: x, then what may be absent ("")."""
RECURRENT_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_ch")
"""The weights of one direction of a `Recurrent` node, which follow; "" where it has none."""


@dataclass(frozen=True)
class Value:
    """An input or output of a graph.

    dtype: NumPy's name: float32, float64, int64, bool.
    axes: of each axis its size, or a name ("batch", "time", ...) where it changes from call to call; equal names, equal
        sizes.
    optional: an input that may be left out, as zeros of its shape: the states before the first step.
    """

    name: str
    dtype: str
    axes: tuple[int | str, ...]
    optional: bool = False


@dataclass(frozen=True)
class Node:
    """One operator.

    op: `Recurrent`, or an ONNX operator by its name and with its meaning (opset 17, default domain); the ones there are
        stand in `elman.graph.operators()`.
    inputs: names of weights, of inputs of the graph, or of outputs of earlier nodes; "" is an input left out.
    outputs: names, each written once in the graph; "" where one is not wanted.
    attributes: as ONNX names them; a tensor (of Constant) is a weight instead.

    `Recurrent` is one layer, in one direction or both, of any registered cell:
        inputs      RECURRENT_INPUTS, then RECURRENT_WEIGHTS for each direction. x (B, T, I), or symbols (B, T) integers
                    that stand for one-hot vectors; lengths (B,); h_0, c_0 (D, B, H). Weights as in elman's files:
                    torch's names, shapes and gate order. weight_ch (3 * H,) are the peepholes of i, f and o
        outputs     output (B, T, D * P), zeros behind a row's length; h_n; c_n where the cell has one; each (D, B, H)
        cell        name of the cell
        direction   "forward" (the default), "reverse" or "bidirectional"
        what no cell of elman has, and other systems do, each absent by default:
        activations, alphas, betas   lists in place of the cell's own, for each direction f, g (and h), as ONNX has
                    them: alphas and betas as long as activations, with a number for every one, used or not
        clip        bound of what goes into the activations
        input_forget   1: the forget gate is one minus the input gate
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A model as data: a directed graph without cycles, its nodes in an order in which they can run.

    weights: arrays by name, which no node writes.
    facts: what else has to be known to use the model, as JSON: names of classes, units, where it came from.

    >>> import numpy as np
    >>> graph = Graph((Value("x", "float32", ("batch", 3)),), (Value("y", "float32", ("batch", 2)),),
    ...               (Node("Gemm", ("x", "w"), ("y",), {"transB": 1}),), {"w": np.ones((2, 3), np.float32)})
    >>> [value.name for value in graph.outputs]
    ['y']
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    weights: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)

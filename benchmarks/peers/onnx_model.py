"""The ONNX model of a case, for the runtimes: standard LSTM, GRU and RNN operators, weights inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.cases import Case, Data
from benchmarks.peers import layouts
from elman import cells

OPERATORS: dict[str, tuple[str, dict[str, int]]] = {
    "rnn": ("RNN", {}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru_reset_before": ("GRU", {}),
}


def model(case: Case, data: Data) -> bytes:
    """Time major: "x" (T, B, I), "lengths" (B,) if ragged, "output" (T, B, H * directions).

    In the stepped regime T = B = 1 and the states go in as "h", "c" and come out as "h_n", "c_n", each (1, 1, H).
    """
    shape = case.shape
    operator, attributes = OPERATORS[case.cell]
    stepped = case.regime == "step"
    states = cells.get(case.cell).state_names if stepped else ()
    nodes, weights, previous = [], [numpy_helper.from_array(np.array([0, 0, -1]), "merged")], "x"
    for number in range(shape.layers):
        suffixes = [cells.suffix(number, d == 1) for d in range(shape.directions)]
        triples = [layouts.converted(case.cell, "onnx", data.params, s) for s in suffixes]
        names = [f"{kind}{number}" for kind in ("W", "R", "B")]
        stacked = [np.stack(arrays) for arrays in zip(*triples, strict=True)]
        weights += [numpy_helper.from_array(a, n) for a, n in zip(stacked, names, strict=True)]
        inputs = [previous, *names, "lengths" if shape.ragged else "", *states]
        nodes += [
            helper.make_node(
                operator,
                inputs,
                [f"y{number}", *(f"{state}_n" for state in states)],
                hidden_size=shape.hidden,
                direction="bidirectional" if shape.bidirectional else "forward",
                **attributes,
            ),
            helper.make_node("Transpose", [f"y{number}"], [f"t{number}"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"t{number}", "merged"], [f"output{number}"]),
        ]
        previous = f"output{number}"
    nodes[-1].output[0] = "output"
    inputs, outputs = _values(case, states)
    graph = helper.make_graph(nodes, "case", inputs, outputs, weights)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()


def _values(case: Case, states: tuple[str, ...]) -> tuple[list[Any], list[Any]]:
    shape, real = case.shape, TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("x", real, [shape.steps, shape.batch, shape.inputs])]
    if shape.ragged:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [shape.batch]))
    width = shape.hidden * shape.directions
    outputs = [helper.make_tensor_value_info("output", real, [shape.steps, shape.batch, width])]
    for state in states:
        inputs.append(helper.make_tensor_value_info(state, real, [1, 1, shape.hidden]))
        outputs.append(helper.make_tensor_value_info(f"{state}_n", real, [1, 1, shape.hidden]))
    return inputs, outputs


def feeds(data: Data) -> dict[str, Any]:
    """The inputs of `model` for the whole sequence."""
    given: dict[str, Any] = {"x": np.ascontiguousarray(data.x.swapaxes(0, 1))}
    return given if data.lengths is None else given | {"lengths": data.lengths.astype(np.int32)}


def zero_states(case: Case) -> dict[str, Any]:
    """The first states of the stepped regime."""
    return {
        name: np.zeros((1, 1, case.shape.hidden), np.float32) for name in cells.get(case.cell).state_names
    }

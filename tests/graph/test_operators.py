"""Every operator against ONNX Runtime, on made-up nodes; and what all operators share."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnxruntime import InferenceSession, SessionOptions

from elman.graph import Array, Graph, Node, Value, operators, run

from .operator_cases import Case, cases

CASES = cases()
SINGLE_ONLY = {
    "Asinh",
    "Elu",
    "Erf",
    "HardSigmoid",
    "Mean",
    "Selu",
    "Softplus",
    "Softsign",
    "ThresholdedRelu",
}
"""What ONNX Runtime has in float32 alone: the evaluator of the specification is asked for float64."""


def _names(count: int, stem: str) -> list[str]:
    return [f"{stem}{k}" for k in range(count)]


def graph_of(case: Case, weights: bool = False) -> tuple[Graph, dict[str, Array]]:
    """One node as a graph, and its inputs, which are weights if so wanted. Outputs are declared as they come."""
    names = [
        n if a is not None else "" for n, a in zip(_names(len(case.inputs), "in"), case.inputs, strict=True)
    ]
    given = {n: a for n, a in zip(names, case.inputs, strict=True) if a is not None}
    node = Node(case.op, tuple(names), tuple(_names(case.outputs, "out")), case.attributes)
    values = [Value(n, np.asarray(a).dtype.name, np.shape(a)) for n, a in given.items()]
    outputs = tuple(Value(n, dtype, ()) for n, dtype in zip(node.outputs, _dtypes(case), strict=True))
    if weights:
        return Graph((), outputs, (node,), {n: np.asarray(a) for n, a in given.items()}), {}
    return Graph(tuple(values), outputs, (node,), {}), given


def _dtypes(case: Case) -> list[str]:
    """The dtypes that ONNX gives the outputs of a node, by its own inference."""
    model = _model(case, None)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    kinds = [value.type.tensor_type.elem_type for value in inferred.graph.output]
    return [np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name for kind in kinds]


def _model(case: Case, dtypes: list[str] | None) -> onnx.ModelProto:
    names = [
        n if a is not None else "" for n, a in zip(_names(len(case.inputs), "in"), case.inputs, strict=True)
    ]
    outputs = _names(case.outputs, "out")
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.asarray(a).dtype), np.shape(a))
        for n, a in zip(names, case.inputs, strict=True)
        if a is not None
    ]
    declared = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(d)), None)
        for n, d in zip(outputs, dtypes or [], strict=False)
    ] or [onnx.ValueInfoProto(name=n) for n in outputs]
    graph = helper.make_graph(
        [helper.make_node(case.op, names, outputs, **case.attributes)], "g", inputs, declared
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def by_runtime(case: Case) -> list[Array]:
    given = {f"in{k}": np.asarray(a) for k, a in enumerate(case.inputs) if a is not None}
    if case.op in SINGLE_ONLY and given["in0"].dtype == np.float64:
        evaluator = ReferenceEvaluator(_model(case, _dtypes(case)))
        return [np.asarray(a) for a in evaluator.run(None, given)]
    options = SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    data = _model(case, _dtypes(case)).SerializeToString()
    session = InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return [np.asarray(a) for a in session.run(None, given)]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.op}-{n}" for n, case in enumerate(CASES)])
def test_it_is_what_onnx_runtime_gives(case: Case) -> None:
    expected = by_runtime(case)
    for weights in (False, True):
        graph, given = graph_of(case, weights)
        found = run(graph, given)
        for array, wanted in zip(found.values(), expected, strict=True):
            assert array.dtype == wanted.dtype
            assert array.shape == wanted.shape
            np.testing.assert_allclose(array, wanted, rtol=1e-6, atol=1e-6)


def test_every_operator_has_cases() -> None:
    assert {case.op for case in CASES} == set(operators())

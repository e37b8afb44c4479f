"""The simple operators around the recurrent ones, of old and new operator sets, in and out, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from elman import graph as graphs
from elman.errors import InputError
from elman.interop.onnx import read, write

from .onnx_models import Arrays, by_runtime

RNG = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


A, B, C = floats(2, 3, 4), floats(2, 3, 4), floats(4)
M, N = floats(3, 4), floats(4, 5)
ROWS = np.array([[0, 2], [1, -1]])
ZERO = np.array([0.5], np.float32)
REDUCTIONS = ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMin", "ReduceProd", "ReduceSumSquare")
ANY = (7, 11, 13, 17, 21)
LATE = (13, 17, 21)
CASES: list[tuple[str, list[np.ndarray], dict[str, Any], tuple[int, ...]]] = [
    *[(op, [A, B], {}, ANY) for op in ("Add", "Sub", "Mul", "Div")],
    ("Add", [A, C], {}, ANY),
    ("Mul", [floats(2, 1, 4), floats(3, 1)], {}, ANY),
    ("MatMul", [A, N], {}, ANY),
    ("MatMul", [floats(2, 3, 4), floats(2, 4, 5)], {}, ANY),
    ("Gemm", [M, N, floats(5)], {}, ANY),
    ("Gemm", [M.T.copy(), N.T.copy(), floats(3, 5)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}, ANY),
    ("Gemm", [M, N], {}, (11, 13, 17)),
    ("Concat", [A, B], {"axis": 1}, ANY),
    ("Concat", [A, B], {"axis": -1}, (11, 13, 17)),
    ("Transpose", [A], {"perm": [2, 0, 1]}, ANY),
    ("Transpose", [A], {}, ANY),
    ("Gather", [M, ROWS], {}, (11, 13, 17)),
    ("Gather", [A, numbers(2, 0)], {"axis": 1}, ANY),
    ("Gather", [A, np.int64(1)], {"axis": -1}, ANY),
    ("Reshape", [A, numbers(0, -1)], {}, ANY),
    ("Reshape", [A, numbers(4, 6)], {}, ANY),
    ("Reshape", [floats(0, 3), numbers(3, 0)], {"allowzero": 1}, (14, 17, 21)),
    ("Squeeze", [floats(1, 3, 1)], {"axes": [0, 2]}, (7, 11)),
    ("Squeeze", [floats(1, 3, 1), numbers(-1)], {}, LATE),
    ("Squeeze", [floats(1, 3, 1)], {}, ANY),
    ("Unsqueeze", [M], {"axes": [0, 2]}, (7, 11)),
    ("Unsqueeze", [M, numbers(0, -1)], {}, LATE),
    ("Slice", [A], {"starts": [1, 0], "ends": [3, -1], "axes": [1, 2]}, (7, 9)),
    ("Slice", [A], {"starts": [1], "ends": [9]}, (7, 9)),
    ("Slice", [A, numbers(-1, 3), numbers(-9, 0), numbers(1, 2), numbers(-1, -2)], {}, (10, 13, 17, 21)),
    ("Slice", [A, numbers(0), numbers(1)], {}, (10, 13, 17)),
    ("Softmax", [M], {}, ANY),
    ("Softmax", [A], {}, ANY),
    ("Softmax", [A], {"axis": 2}, ANY),
    ("Softmax", [A], {"axis": 0}, ANY),
    ("Softmax", [A], {"axis": -1}, (11, 13, 17)),
    ("LogSoftmax", [A], {"axis": 2}, ANY),
    *[(op, [A], {}, ANY) for op in ("Sigmoid", "Tanh", "Relu", "Identity", "Exp", "Neg", "Abs")],
    ("Log", [np.abs(A) + 1], {}, ANY),
    ("Sqrt", [np.abs(A)], {}, ANY),
    ("Flatten", [A], {}, ANY),
    ("Flatten", [A], {"axis": 2}, ANY),
    ("Cast", [A * 3], {"to": 7}, ANY),
    ("Cast", [ROWS], {"to": 1}, ANY),
    ("Shape", [A], {}, ANY),
    ("Expand", [C, numbers(3, 1, 4)], {}, (8, 13, 17)),
    ("ConstantOfShape", [numbers(2, 3)], {"value": numpy_helper.from_array(np.array([7], np.int64))}, (9, 17, 21)),
    ("ConstantOfShape", [numbers(2, 3)], {}, (9, 17, 21)),
    ("Equal", [ROWS, numbers(2)], {}, ANY),
    ("Less", [A, B], {}, (9, 13, 17)),
    ("Greater", [A, B], {}, (9, 13, 17)),
    ("Where", [A > 0, A, B], {}, (9, 16, 17)),
    ("Not", [A > 0], {}, ANY),
    ("And", [A > 0, B > 0], {}, ANY),
    ("Clip", [A], {"min": -0.5, "max": 0.25}, (7, 9)),
    ("Clip", [A], {"max": 0.25}, (7, 9)),
    ("Clip", [A, np.float32(-0.5), np.float32(0.25)], {}, (11, 13, 17)),
    ("Clip", [A, np.float32(-0.5)], {}, (11, 13, 17)),
    ("ReduceSum", [A], {"axes": [1]}, (7, 11)),
    ("ReduceSum", [A, numbers(1)], {"keepdims": 0}, LATE),
    ("ReduceSum", [A], {"noop_with_empty_axes": 1}, LATE),
    ("ReduceSum", [A], {}, ANY),
    *[(op, [A], {"axes": [-1], "keepdims": 0}, (11, 13, 17)) for op in ("ReduceMean", "ReduceMax")],
    *[(op, [A, numbers(0, 2)], {}, (18, 21)) for op in ("ReduceMean", "ReduceMax")],
    *[(op, [A], {"noop_with_empty_axes": 1}, (18, 21)) for op in ("ReduceMean", "ReduceMax")],
    ("ReduceMean", [A], {}, ANY),
    ("ArgMax", [A], {"axis": 1, "keepdims": 0}, ANY),
    ("Dropout", [A], {"ratio": 0.5}, (7, 10)),
    ("Dropout", [A, np.float32(0.5)], {}, (12, 13, 17)),
    ("Split", [A], {"axis": 2, "split": [1, 3]}, (7, 11)),
    ("Split", [A, numbers(1, 3)], {"axis": 2}, LATE[:2]),
    ("Split", [A], {"axis": 2, "num_outputs": 2}, (18, 21)),
    *[(op, [np.abs(A) + 0.5], {}, ANY) for op in ("Ceil", "Floor", "Reciprocal")],
    *[(op, [A], {}, ANY) for op in ("Cos", "Sin")],
    *[(op, [A], {}, (9, 13, 17)) for op in ("Asinh", "Erf")],
    ("Trilu", [A, np.int64(1)], {"upper": 0}, (14, 17)),
    ("ScatterND", [M, numbers(1, 2)[:, None], floats(2, 4)], {}, (11, 13, 16, 18)),
    ("Sign", [A], {}, (9, 13, 17)),
    ("Round", [2 * A], {}, (11, 17)),
    ("IsNaN", [np.array([1.0, np.nan], np.float32)], {}, (9, 13, 17)),
    ("Size", [A], {}, ANY),
    ("NonZero", [(A > 0).astype(np.float32)], {}, (9, 13, 17)),
    *[(op, [A, B, A + 1], {}, (8, 13, 17)) for op in ("Max", "Mean", "Min", "Sum")],
    *[(op, [A, B], {}, (12, 16, 17)) for op in ("GreaterOrEqual", "LessOrEqual")],
    *[(op, [A > 0, B > 0], {}, ANY) for op in ("Or", "Xor")],
    ("Pow", [np.abs(A) + 0.1, np.float32(1.5)], {}, ANY),
    ("Mod", [numbers(7, -7, 5), numbers(3, 3, -3)], {}, (10, 13, 17)),
    ("Mod", [A, np.abs(B) + 0.5], {"fmod": 1}, (10, 13, 17)),
    ("Einsum", [A, N], {"equation": "bij,jk->bik"}, (12, 17)),
    ("BatchNormalization", [A, *(np.abs(floats(3)) + 0.1 for _ in range(4))], {"epsilon": 0.001}, (9, 14, 17)),
    ("LayerNormalization", [A, C, floats(4)], {"epsilon": 0.001}, (17,)),
    *[(op, [A], {}, ANY) for op in ("Elu", "HardSigmoid", "LeakyRelu", "Selu", "Softplus", "Softsign")],
    *[(op, [A], {"alpha": 0.3}, ANY) for op in ("Elu", "HardSigmoid", "LeakyRelu")],
    ("ThresholdedRelu", [A], {"alpha": 0.3}, (10, 17)),
    ("PRelu", [A, floats(3, 1)], {}, (9, 16, 17)),
    *[(op, [A], {"axes": [1]}, (11, 13, 17)) for op in REDUCTIONS],
    *[(op, [A, numbers(1)], {}, (18, 21)) for op in REDUCTIONS],
    *[(op, [A], {"axis": -1}, (12, 13, 17)) for op in ("ArgMin", "ArgMax")],
    ("CumSum", [A, np.int64(1)], {"exclusive": 1, "reverse": 1}, (11, 14, 17)),
    ("GatherElements", [M, np.array([[1, 0, 2, 2]])], {}, (11, 13, 17)),
    ("GatherND", [M, numbers(1, 2)[None]], {}, (12, 13, 17)),
    ("ScatterElements", [M, np.array([[1, 0, 2, 2]]), floats(1, 4)], {}, (11, 13, 16, 18)),
    ("Pad", [A, numbers(0, 1, 0, 0, 0, 2), np.float32(1.5)], {}, (11, 13, 17)),
    ("Tile", [M, numbers(2, 1)], {}, ANY),
    ("Range", [np.array(1), np.int64(9), np.int64(3)], {}, (11, 17)),
    ("ReverseSequence", [A, numbers(2, 1, 0)], {}, (10, 17)),
    ("TopK", [A, numbers(2)], {"axis": 1}, (10, 11, 17)),
    ("OneHot", [ROWS, np.int64(4), np.array([0, 1], np.float32)], {}, (11, 13, 17)),
]  # fmt: skip
CARRIED = {*graphs.operators(), "ConstantOfShape", "Dropout"}
EACH = [
    (op, inputs, attributes, opset)
    for op, inputs, attributes, opsets in CASES
    if op in CARRIED
    for opset in opsets
]


def _model(
    op: str, inputs: list[np.ndarray], attributes: dict[str, Any], opset: int, expected: Arrays | None = None
) -> onnx.ModelProto:
    """One node; integers and single numbers behind the first input are constants, as where a network holds them."""
    names = [f"in{k}" for k in range(len(inputs))]
    outputs = [f"out{k}" for k in range(2 if op in ("Split", "TopK") else 1)]
    fixed = {
        n: a for n, a in zip(names, inputs, strict=True) if n != "in0" and (a.dtype == np.int64 or a.ndim < 2)
    }
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs, **attributes)],
        "one",
        [_info(name, array) for name, array in zip(names, inputs, strict=True) if name not in fixed],
        [_info(n, expected[n], n) if expected else helper.make_empty_tensor_value_info(n) for n in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in fixed.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _info(name: str, array: np.ndarray, free: str = "") -> onnx.ValueInfoProto:
    """An input, or an output whose sizes may depend on what goes in."""
    axes = [f"{free}.{k}" for k in range(array.ndim)] if free else array.shape
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), axes)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "opset"),
    EACH,
    ids=[f"{op}-{opset}-{n}" for n, (op, _, _, opset) in enumerate(EACH)],
)
def test_an_operator_in_and_out(
    op: str, inputs: list[np.ndarray], attributes: dict[str, Any], opset: int, tmp_path: Path
) -> None:
    bare = _model(op, inputs, attributes, opset)
    given: Arrays = {value.name: inputs[int(value.name[2:])] for value in bare.graph.input}
    expected = by_runtime(bare, given)
    model = _model(op, inputs, attributes, opset, expected)
    onnx.save(model, str(tmp_path / "in.onnx"))
    graph = read(tmp_path / "in.onnx")
    _assert_same(graphs.run(graph, given), expected)
    data = _written(graph, tmp_path)
    _assert_same(by_runtime(data, given), expected)


def test_every_operator_has_a_case() -> None:
    promised = (
        "Gemm MatMul Add Concat Squeeze Transpose Gather Softmax Sigmoid Tanh Relu Reshape Slice Constant"
    )
    assert set(promised.split()) <= {*graphs.operators(), "Constant"}
    assert {*graphs.operators()} <= {op for op, *_ in CASES} | {"Constant", "Recurrent"}


def _written(graph: graphs.Graph, folder: Path) -> str:
    write(graph, folder / "out.onnx")
    return str(folder / "out.onnx")


def _assert_same(found: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("value_float", 1.5),
        ("value_floats", [1.5, -2.0]),
        ("value_int", 3),
        ("value_ints", [3, 4]),
        ("value", A[0, 0]),
    ],
)
def test_constants(kind: str, value: Any, tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(value, "t") if kind == "value" else value
    integral = "int" in kind
    nodes = [
        helper.make_node("Constant", [], ["c"], **{kind: tensor}),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(n, 7 if integral else 1, ["n", np.size(value)]) for n in "xy")
    model = helper.make_model(
        helper.make_graph(nodes, "c", [x], [y]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, str(tmp_path / "in.onnx"))
    given = {"x": np.ones((2, np.size(value)), np.int64 if integral else np.float32)}
    _assert_same(graphs.run(read(tmp_path / "in.onnx"), given), by_runtime(model, given))


def test_dropout_that_drops_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Dropout", ["x", "p", "t"], ["y"])]
    x, y = (helper.make_tensor_value_info(n, 1, ["n"]) for n in "xy")
    weights = [numpy_helper.from_array(np.float32(0.5), "p"), numpy_helper.from_array(np.array(True), "t")]
    model = helper.make_model(
        helper.make_graph(nodes, "d", [x], [y], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, str(tmp_path / "in.onnx"))
    with pytest.raises(InputError, match="expected a model for inference"):
        read(tmp_path / "in.onnx")

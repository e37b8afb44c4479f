"""Made-up nodes for every operator: dtypes, axes, shapes that repeat along each other, attributes, inputs left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.graph import Array

RNG = np.random.default_rng(17)
FLOATS = ("float32", "float64")
NUMBERS = ("float32", "float64", "int32", "int64")
TOGETHER = [
    ((2, 3, 4), (2, 3, 4)),
    ((2, 3, 4), (4,)),
    ((3, 1), (1, 5)),
    ((), (2, 3)),
    ((2, 0), (1,)),
    ((), ()),
]
"""Pairs of shapes that repeat along each other."""


@dataclass(frozen=True)
class Case:
    """One node. inputs: None where one is left out."""

    op: str
    inputs: tuple[Array | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1


def drawn(dtype: str, *shape: int, low: float = -3, high: float = 3) -> Array:
    """Numbers between two bounds; whole ones are few, so that equal ones meet."""
    if dtype == "bool":
        return np.asarray(RNG.integers(2, size=shape), bool)
    if dtype.startswith("int"):
        return np.asarray(RNG.integers(int(low), int(high) + 1, size=shape), dtype)
    return np.asarray(RNG.uniform(low, high, size=shape), dtype)


def whole(*values: int) -> Array:
    return np.array(values, np.int64)


def cases() -> list[Case]:
    """All of them, the same in every run."""
    return [
        case
        for generate in (_unary, _pairs, _choices, _shapes, _cuts, _picks, _sums, _made)
        for case in generate()
    ]


def _unary() -> Iterator[Case]:
    bounds = {"Log": (0.1, 9), "Sqrt": (0, 9), "Reciprocal": (0.2, 3)}
    kinds = dict.fromkeys(("Abs", "Sign", "Neg"), NUMBERS) | {"Relu": ("float32", "float64", "int32")}
    kinds |= dict.fromkeys(
        ("Elu", "Erf", "Selu", "ThresholdedRelu", "HardSigmoid", "Softsign", "LeakyRelu"), FLOATS
    )
    plain = """Abs Asinh Ceil Cos Elu Erf Exp Floor HardSigmoid Identity LeakyRelu Log Neg Reciprocal Relu Round Selu
        Sigmoid Sign Sin Softplus Softsign Sqrt Tanh ThresholdedRelu"""
    for op in plain.split():
        for dtype in kinds.get(op, FLOATS):
            low, high = bounds.get(op, (-3, 3))
            for shape in (
                (2, 3, 4),
                (1,) if op == "Softsign" else (),
                (0, 2),
            ):  # the evaluator has none of ()
                yield Case(op, (drawn(dtype, *shape, low=low, high=high),))
    for op in ("Sigmoid", "Tanh", "Softplus", "Exp", "Relu", "Softsign", "HardSigmoid", "Elu", "Selu"):
        yield Case(op, (np.array([-200, -90, -30, 0, 30, 90, 200], np.float32),))
    yield Case("Round", (np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32),))
    yield Case("IsNaN", (np.array([1, np.nan, np.inf], np.float32),))
    yield Case("Not", (drawn("bool", 2, 3),))
    yield Case("ThresholdedRelu", (np.array([0.5, 1, 1.5], np.float32),))
    for op in ("Elu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Selu"):
        yield Case(op, (drawn("float32", 3, 4),), {"alpha": 0.75})
    yield Case("Selu", (drawn("float32", 3, 4),), {"gamma": 1.5})
    yield Case("HardSigmoid", (drawn("float32", 3, 4),), {"beta": 0.25})
    for source, (to, _) in itertools.product(
        (*NUMBERS, "bool"), ((1, "f"), (6, "i"), (7, "l"), (9, "b"), (11, "d"))
    ):
        yield Case("Cast", (drawn(source, 2, 3),), {"to": to})


def _pairs() -> Iterator[Case]:
    for op, dtypes in {
        **dict.fromkeys(("Add", "Sub", "Mul"), NUMBERS),
        **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"), NUMBERS),
        **dict.fromkeys(("And", "Or", "Xor"), ("bool",)),
    }.items():
        for dtype, (a, b) in itertools.product(dtypes, TOGETHER):
            yield Case(op, (drawn(dtype, *a), drawn(dtype, *b)))
    yield Case("Equal", (drawn("bool", 4, 3), drawn("bool", 3)))
    for dtype, (a, b) in itertools.product(NUMBERS, TOGETHER):
        left = drawn(dtype, *a, low=-9, high=9)
        right = np.asarray(drawn(dtype, *b, low=1, high=4) * RNG.choice([-1, 1], size=b), dtype)
        yield Case("Div", (left, right))
        yield Case("Mod", (left, right), {"fmod": 1} if dtype in FLOATS else {})
    yield Case("Mod", (drawn("int64", 9, low=-9, high=9), whole(4)), {"fmod": 1})
    for first, second in (
        ("float32", "float32"),
        ("float64", "float64"),
        ("float32", "int64"),
        ("float64", "float32"),
    ):
        for a, b in TOGETHER:
            yield Case("Pow", (drawn(first, *a, low=0.2), drawn(second, *b)))
    yield Case("Pow", (drawn("int64", 5), whole(2)))
    yield Case("Pow", (drawn("int32", 5), np.float32([3])))
    for op in ("Max", "Min", "Sum", "Mean"):
        for dtype in NUMBERS if op in ("Max", "Min") else FLOATS:
            yield Case(op, (drawn(dtype, 2, 3),))
            yield Case(op, (drawn(dtype, 2, 3), drawn(dtype, 3), drawn(dtype, 2, 1)))
    for dtype, slope in itertools.product(FLOATS, ((2, 3), (3,), (1,))):
        yield Case("PRelu", (drawn(dtype, 2, 3), drawn(dtype, *slope)))


def _choices() -> Iterator[Case]:
    for dtype in NUMBERS:
        low, high = drawn(dtype, low=-2, high=-1), drawn(dtype, low=1, high=2)
        for bounds in ((low, high), (low,), (None, high), (high, low), ()):
            yield Case("Clip", (drawn(dtype, 3, 4), *bounds))
    for dtype in ("float32", "float64", "int64"):
        for c, x, y in (((2, 3), (2, 3), (2, 3)), ((2, 1), (3,), ()), ((), (2, 3), (3,))):
            yield Case("Where", (drawn("bool", *c), drawn(dtype, *x), drawn(dtype, *y)))


def _shapes() -> Iterator[Case]:
    x = drawn("float32", 2, 3, 4)
    for attributes in ({}, {"start": 1}, {"start": -2, "end": -1}, {"start": -9, "end": 9}, {"end": 0}):
        yield Case("Shape", (x,), attributes)
    yield Case("Size", (x,))
    for shape in (whole(0, -1), whole(4, 6), whole(-1), whole(2, 0, 2, 2), whole(24, 1)):
        yield Case("Reshape", (x, shape))
    yield Case("Reshape", (drawn("int64", 0, 3), whole(3, 0)), {"allowzero": 1})
    yield Case("Reshape", (drawn("float32", 1), np.zeros(0, np.int64)))
    for axis in (-3, -1, 0, 1, 2, 3):
        yield Case("Flatten", (x,), {"axis": axis})
    yield Case("Squeeze", (drawn("float32", 1, 3, 1),))
    for axes in (whole(0), whole(-1), whole(2, 0)):
        yield Case("Squeeze", (drawn("float64", 1, 3, 1), axes))
        yield Case("Unsqueeze", (x, axes))
    for perm in ([0, 2, 1], [2, 0, 1], None):
        yield Case("Transpose", (x,), {"perm": perm} if perm else {})
    for dtype, axis in itertools.product(("float32", "int64", "bool"), (0, 1, -1)):
        others = [list(drawn(dtype, 2, 3, 4).shape) for _ in range(2)]
        others[1][axis] = 0 if dtype == "bool" else 5
        yield Case("Concat", tuple(drawn(dtype, *shape) for shape in others), {"axis": axis})
    for shape in (whole(2, 3, 4), whole(5, 1, 3, 1), whole(1), np.zeros(0, np.int64), whole(0, 3, 4)):
        yield Case(
            "Expand", (drawn("float32", 1, 3, 4) if shape.size != 4 else drawn("float32", 3, 4), shape)
        )
    yield Case("Tile", (x, whole(1, 2, 3)))
    yield Case("Tile", (drawn("int64", 3), whole(0)))
    for dtype, pads in itertools.product(("float32", "int64"), (whole(0, 1, 2, 3), whole(-1, 0, 1, -2))):
        yield Case("Pad", (drawn(dtype, 3, 4), pads))
        yield Case("Pad", (drawn(dtype, 3, 4), pads, drawn(dtype)), {"mode": "constant"})
    yield Case("Dropout", (x,))
    yield Case("Dropout", (x, np.float32(0.5), np.array(False)))
    for dtype, k, upper in itertools.product(("float32", "int64"), (None, -2, 0, 1, 9, -9), (0, 1)):
        diagonal = () if k is None else (np.array(k, np.int64),)
        yield Case("Trilu", (drawn(dtype, 2, 3, 4), *diagonal), {"upper": upper})


def _cuts() -> Iterator[Case]:
    x = drawn("float32", 5, 6)
    for start, end, step in itertools.product(
        (-9, -2, 0, 3, 9), (-9, -1, 0, 4, 2**62, -(2**62)), (-2, -1, 1, 3)
    ):
        yield Case("Slice", (x, whole(start), whole(end), whole(-1), whole(step)))
    yield Case("Slice", (x, whole(1, 2), whole(4, 9)))
    yield Case("Slice", (x, whole(1, 2), whole(4, 9), None, whole(2, 1)))
    yield Case("Slice", (drawn("int64", 5, 6), whole(4), whole(0), whole(0), whole(-1)))
    for axis in (0, 1, -1):
        yield Case("Split", (drawn("float32", 6, 6),), {"axis": axis}, outputs=3)
        yield Case("Split", (drawn("int64", 6, 6), whole(1, 0, 5)), {"axis": axis}, outputs=3)


def _picks() -> Iterator[Case]:
    for dtype, axis in itertools.product(("float32", "int64", "bool"), (0, 1, -1)):
        data = drawn(dtype, 4, 4, 4)
        for indices in (drawn("int64", 2, 3, low=-4), drawn("int32", low=-4), drawn("int64", 0)):
            yield Case("Gather", (data, indices), {"axis": axis})
        yield Case("GatherElements", (data, drawn("int64", 3, 2, 4, low=-4)), {"axis": axis})
    data = drawn("float32", 2, 3, 4)
    for indices in (
        drawn("int64", 5, 1, low=-2, high=1),
        drawn("int64", 2, 3, 2, low=-2, high=1),
        whole(1, 2, 3),
    ):
        yield Case("GatherND", (data, indices))
    yield Case("GatherND", (data, drawn("int64", 2, 1, low=-3, high=2)), {"batch_dims": 1})
    yield Case("GatherND", (data, drawn("int64", 2, 5, 2, low=-3, high=2)), {"batch_dims": 1})
    yield Case("GatherND", (data, drawn("int64", 2, 3, 1, low=-4)), {"batch_dims": 2})
    for dtype, axis in itertools.product(("float32", "int64"), (0, 1, -1)):
        places = np.argsort(RNG.random((3, 3)), axis=axis)  # every place once: the order does not matter
        part = tuple(slice(2 if k == axis % 2 else 3) for k in range(2))
        yield Case(
            "ScatterElements",
            (drawn(dtype, 3, 3), places[part] - 3, drawn(dtype, *places[part].shape)),
            {"axis": axis},
        )
        for reduction in ("add", "mul"):
            again = drawn("int64", 4, 3, high=2, low=0)[: 3 if axis else 4]
            attributes = {"axis": axis, "reduction": reduction}
            yield Case("ScatterElements", (drawn(dtype, 3, 3), again, drawn(dtype, *again.shape)), attributes)
    yield Case("ScatterND", (data, whole(1, 0)[:, None], drawn("float32", 2, 3, 4)))
    yield Case("ScatterND", (data, np.array([[0, 1], [-1, -1]]), drawn("float32", 2, 4)))
    for reduction in ("add", "mul"):
        indices = np.array([[0, 1], [0, 1]])
        yield Case("ScatterND", (data, indices, drawn("float32", 2, 4)), {"reduction": reduction})
    for axis in (-1, 0, 1, -2):
        indices = drawn("int64", 2, 3, low=-6, high=6)
        yield Case("OneHot", (indices, np.int64(5), np.float32([2, 7])), {"axis": axis})
    yield Case("OneHot", (drawn("int64", 4, low=-2), whole(3), whole(0, 1)))
    for axes in ({}, {"batch_axis": 0, "time_axis": 1}):
        lengths = whole(1, 3, 2, 3) if not axes else whole(4, 1, 2)
        for dtype in ("float32", "int64"):
            yield Case("ReverseSequence", (drawn(dtype, 3, 4, 2), lengths), axes)
    yield Case("NonZero", (drawn("float32", 3, 4).round(),))
    yield Case("NonZero", (drawn("bool", 3, 4, 2),))
    yield Case("NonZero", (np.int64(3),))
    for op, dtype, axis in itertools.product(
        ("ArgMax", "ArgMin"), ("float32", "int32", "float64"), (0, 1, -1)
    ):
        for keepdims, last in itertools.product((0, 1), (0, 1)):
            attributes = {"axis": axis, "keepdims": keepdims, "select_last_index": last}
            yield Case(op, (drawn(dtype, 3, 4, 5).round(),), attributes)
    for dtype, axis, largest in itertools.product(("float32", "int64", "float64"), (0, 1, -1), (0, 1)):
        for k in (0, 1, 3):
            yield Case(
                "TopK",
                (drawn(dtype, 4, 4, 4).round(), whole(k)),
                {"axis": axis, "largest": largest},
                outputs=2,
            )


def _sums() -> Iterator[Case]:
    pairs = (
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (4,)),
        ((4,), (2, 4, 3)),
        ((0, 4), (4, 2)),
        ((2, 3, 0), (0, 2)),
        ((2, 0, 4), (4, 2)),
    )
    for dtype, (a, b) in itertools.product(NUMBERS, pairs):
        yield Case("MatMul", (drawn(dtype, *a), drawn(dtype, *b)))
    for dtype, a, b in itertools.product(FLOATS, (0, 1), (0, 1)):
        factors = drawn(dtype, *((3, 4), (4, 3))[a]), drawn(dtype, *((4, 5), (5, 4))[b])
        attributes = {"transA": a, "transB": b, "alpha": 0.5, "beta": 1.5}
        yield Case("Gemm", factors, {"transA": a, "transB": b})
        for c in ((3, 5), (5,), (3, 1), (1,), ()):
            yield Case("Gemm", (*factors, drawn(dtype, *c)), attributes)
    yield Case("Einsum", (drawn("float32", 3, 4), drawn("float32", 4, 5)), {"equation": "ij,jk->ik"})
    yield Case("Einsum", (drawn("float64", 2, 3, 4), drawn("float64", 2, 5, 4)), {"equation": "btk,bsk->bts"})
    yield Case("Einsum", (drawn("float32", 3, 3),), {"equation": "ii->i"})
    for op in (
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSumSquare",
    ):
        dtypes = (
            ("float32", "float64", "int64") if op in ("ReduceMax", "ReduceMin") else ("float32", "float64")
        )
        dtypes += ("int32",) if op in ("ReduceMean", "ReduceProd", "ReduceSumSquare", "ReduceL1") else ()
        for dtype, axes, keepdims in itertools.product(dtypes, (None, [0], [-1, 0], [1, 2]), (0, 1)):
            attributes = {"keepdims": keepdims} | ({"axes": axes} if axes else {})
            yield Case(op, (drawn(dtype, 2, 3, 4),), attributes)
    for dtype, axes, keepdims in itertools.product(NUMBERS, (None, whole(0), whole(-1, 0)), (0, 1)):
        for empty in (0, 1):
            attributes = {"keepdims": keepdims, "noop_with_empty_axes": empty}
            yield Case("ReduceSum", (drawn(dtype, 2, 3, 4), *(() if axes is None else (axes,))), attributes)
    for dtype, axis, exclusive, reverse in itertools.product(NUMBERS, (0, 1, -1), (0, 1), (0, 1)):
        attributes = {"exclusive": exclusive, "reverse": reverse}
        yield Case("CumSum", (drawn(dtype, 2, 3, 4), np.array(axis, np.int64)), attributes)
    for op, dtype in itertools.product(("Softmax", "LogSoftmax"), FLOATS):
        yield Case(op, (drawn(dtype, 2, 3, 4, low=-90, high=90),))
        for axis in (0, 1, -2):
            yield Case(op, (drawn(dtype, 2, 3, 4),), {"axis": axis})
    for dtype, shape in itertools.product(FLOATS, ((4, 3), (2, 3, 5), (2, 3, 4, 5))):
        features = [drawn(dtype, 3) for _ in range(3)] + [drawn(dtype, 3, low=0.1)]
        for attributes in ({}, {"epsilon": 0.1, "momentum": 0.5}):
            yield Case("BatchNormalization", (drawn(dtype, *shape), *features), attributes)
    for dtype, axis in itertools.product(FLOATS, (-1, 1, 0, -2)):
        x = drawn(dtype, 2, 3, 4)
        scale, bias = drawn(dtype, *x.shape[axis:]), drawn(dtype, *x.shape[axis:])
        yield Case("LayerNormalization", (x, scale, bias), {"axis": axis})
        yield Case("LayerNormalization", (x, scale), {"axis": axis, "epsilon": 0.1})


def _made() -> Iterator[Case]:
    for shape in (whole(2, 3), whole(0), np.zeros(0, np.int64)):
        yield Case("ConstantOfShape", (shape,))
    for dtype, (start, limit, delta) in itertools.product(
        NUMBERS, ((0, 5, 1), (5, 0, -2), (3, 3, 1), (2, 9, 3), (4, 0, 1))
    ):
        yield Case("Range", tuple(np.array(n, dtype) for n in (start, limit, delta)))
    yield Case("Range", tuple(np.float32(n) for n in (0, 1, 0.1)))

"""`Program`: inputs are checked, outputs shared with nothing, memory is let go, errors say what and where."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

from elman import graph as graphs
from elman.errors import InputError
from elman.graph import Builder, Graph, Node, Program, Value, run

from .graphs import given, model, model_inputs, one

ONES = np.ones((2, 3), np.float32)


def passing(*axes: int | str, dtype: str = "float32", optional: bool = False) -> Graph:
    """A graph that hands out its input."""
    x = Value("x", dtype, axes, optional)
    return Graph((x,), (Value("y", dtype, axes),), (Node("Identity", ("x",), ("y",)),), {})


def test_a_program_runs_again_and_again() -> None:
    program, inputs = Program(model()), model_inputs()
    first = program(inputs)
    for name, array in program(inputs).items():
        np.testing.assert_array_equal(array, first[name])
    more = program(model_inputs(batch=5, time=9))
    assert more["scores"].shape == (5, 9, 2)


def test_threads_share_a_program() -> None:
    program = Program(model())
    cases = [model_inputs(batch, 6) for batch in (1, 2, 3, 4)]
    expected = [program(case)["scores"] for case in cases]
    found: list[Any] = [None] * len(cases)

    def work(number: int) -> None:
        for _ in range(20):
            found[number] = program(cases[number])["scores"]

    workers = [threading.Thread(target=work, args=(n,)) for n in range(len(cases))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for array, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_optional_inputs_are_zeros() -> None:
    inputs = model_inputs()
    zeros = np.zeros((1, 3, 5), np.float32)
    np.testing.assert_array_equal(run(model(), inputs)["h_n"], run(model(), {**inputs, "h_0": zeros})["h_n"])
    assert (run(model(), inputs)["h_n"] != run(model(), {**inputs, "h_0": zeros + 1})["h_n"]).any()


@pytest.mark.parametrize(
    ("graph", "inputs", "message"),
    [
        (passing("n"), {}, r"input 'x' is missing; expected float32 of axes \(n,\)"),
        (passing("n"), {"x": ONES[0], "z": ONES}, "no input 'z'; inputs: x"),
        (passing("n"), {"x": ONES}, r"'x' has shape \(2, 3\), expected axes \(n,\)"),
        (passing("n", 4), {"x": ONES}, r"'x' has shape \(2, 3\), expected axes \(n, 4\)"),
        (passing("n", "n"), {"x": ONES}, r"'x' has shape \(2, 3\), expected axes \(n, n\) with n=2"),
        (passing("n", dtype="int64"), {"x": ONES[0]}, r"'x' is float32 of shape \(3,\), expected int64"),
        (passing("n", dtype="int64"), {"x": [1.5]}, r"'x' is float64 of shape \(1,\), expected int64"),
        (passing("n", dtype="bool"), {"x": [1, 0]}, "'x' is int64"),
        (passing("n"), {"x": np.array([1, 2])}, r"'x' is int64 of shape \(2,\), expected float32"),
        (passing("n"), {"x": ["a"]}, "'x' is <U1"),
        (passing("n"), {"x": [[1.0], [2.0, 3.0]]}, "'x' is .*inhomogeneous"),
        (passing("n", dtype="int32"), {"x": np.array([2**40])}, "'x' is int64"),
        (passing("n", dtype="int32"), {"x": [2**40]}, "'x' is .*out of bounds"),
        (passing("n", optional=True), {}, r"optional input 'x' of axes \(n,\) has a size that no other"),
        (passing(1 << 40, optional=True), {}, "at most 134217728 elements"),
    ],
)
def test_inputs_that_do_not_fit(graph: Graph, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(graph, inputs)


def test_equal_names_are_equal_sizes_across_inputs() -> None:
    inputs = model_inputs()
    with pytest.raises(
        InputError, match=r"'lengths' has shape \(2,\), expected axes \(batch,\) with batch=3"
    ):
        run(model(), {**inputs, "lengths": np.array([1, 1])})


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([1, 2], "float32"), (np.ones(2), "float32"), (np.ones(2, np.float32), "float64"), ([True], "int64"),
     (np.ones(2, np.int32), "int64"), ([], "int64"), (np.ones(2, ">f4"), "float32"), (np.arange(2), "int64")],
)  # fmt: skip
def test_inputs_that_are_converted(value: Any, dtype: str) -> None:
    found = run(passing("n", dtype=dtype), {"x": value})["y"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, value)


def test_outputs_share_nothing() -> None:
    """Neither with inputs nor with weights, whatever node made them: to write into them changes no later run."""
    b = Builder()
    x = b.input("x", "float32", (2, 3))
    w = b.weight("w", ONES.copy())
    b.output("input", x, "float32", (2, 3))
    b.output("turned", b.transpose(x), "float32", (3, 2))
    b.output("weight", w, "float32", (2, 3))
    b.output("spread", b.expand(w, [4, 2, 3]), "float32", (4, 2, 3))
    program, ones = Program(b.graph()), ONES.copy()
    first = program({"x": ones})
    for array in first.values():
        array += 1
    assert (ones == 1).all()
    for array in program({"x": ones}).values():
        assert (array == 1).all()


def test_a_weight_or_an_input_may_be_an_output() -> None:
    x = Value("x", "float32", (2, 3))
    graph = Graph((x,), (x, Value("w", "float32", (2, 3))), (), {"w": ONES})
    np.testing.assert_array_equal(run(graph, {"x": ONES * 2})["x"], ONES * 2)
    np.testing.assert_array_equal(run(graph, {"x": ONES * 2})["w"], ONES)


def test_outputs_that_are_not_wanted() -> None:
    b = Builder()
    x = b.input("x", "float32", (4,))
    values, places = b.top_k(x, [2])
    b.output("places", places, "int64", (2,))
    graph = b.graph()
    nodes = tuple(
        Node(n.op, n.inputs, tuple(o if o != values else "" for o in n.outputs), n.attributes)
        for n in graph.nodes
    )
    after = Node("Clip", ("x", "", ""), ("z",))
    graph = Graph(graph.inputs, (*graph.outputs, Value("z", "float32", (4,))), (*nodes, after), graph.weights)
    found = run(graph, {"x": [1.0, 3.0, 2.0, 0.0]})
    assert found["places"].tolist() == [1, 2]
    assert found["z"].tolist() == [1, 3, 2, 0]


def test_a_wrong_dtype_of_an_output_is_told() -> None:
    graph = Graph(
        (Value("x", "float32", ("n",)),), (Value("y", "int64", ("n",)),), (Node("Neg", ("x",), ("y",)),), {}
    )
    with pytest.raises(InputError, match="output 'y' is float32, but int64 is declared"):
        run(graph, {"x": [1.0]})


@pytest.mark.parametrize(
    ("graph", "inputs", "message"),
    [
        (one("MatMul", ONES, ONES), given(ONES, ONES), r"MatMul that writes 'y': .*float32 \(2, 3\), float32 \(2, 3\)"),
        (one("Add", ONES, ONES.astype(int)), given(ONES, ONES.astype(int)), "Add.*float32 and int64; a Cast"),
        (one("Exp", ONES.astype(int)), given(ONES.astype(int)), "Exp.*int64, expected floats"),
        (one("Gather", ONES, np.array([5])), given(ONES, np.array([5])), "Gather.*out of bounds"),
        (one("Transpose", ONES, perm=[0]), given(ONES), "Transpose.*axes"),
        (one("Reshape", ONES, np.array([5])), given(ONES, np.array([5])), "Reshape.*size 6"),
        (one("Mod", ONES, ONES), given(ONES, ONES), "Mod.*fmod=1"),
        (one("Cast", ONES, to=99), given(ONES), "Cast.*to is 99"),
        (one("Where", ONES, ONES, ONES), given(ONES, ONES, ONES), "Where.*float32, expected bool"),
        (one("And", ONES, ONES), given(ONES, ONES), "And.*float32, expected bool"),
        (one("Not", ONES), given(ONES), "Not.*float32, expected bool"),
        (one("Pad", ONES, np.zeros(4, int), mode="edge"), given(ONES, np.zeros(4, int)), "mode 'edge'"),
        (one("Einsum", ONES, equation="ij->k"), given(ONES), "Einsum"),
        (one("Softmax", ONES, axis=10**30), given(ONES), "Softmax"),
        (one("BatchNormalization", *[ONES] * 5, training_mode=1), given(*[ONES] * 5), "expected a model for inference"),
    ],
)  # fmt: skip
def test_errors_of_nodes_say_which_and_what(graph: Graph, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(graph, inputs)
    weights = Graph((), graph.outputs, graph.nodes, inputs)
    with pytest.raises(InputError, match=message):
        Program(weights)


HUGE = np.array([1 << 20, 1 << 20])


@pytest.mark.parametrize(
    "graph",
    [
        Graph((), (Value("y", "float32", ()),), (Node(op, tuple(arrays), ("y",)),), arrays)
        for op, arrays in [
            ("ConstantOfShape", {"s": HUGE}),
            ("Expand", {"x": ONES[:1, :1], "s": HUGE}),
            ("Expand", {"x": np.ones((1 << 14, 1), bool), "s": np.array([1 << 14])}),
            ("Tile", {"x": ONES, "s": HUGE}),
            ("Tile", {"x": ONES, "s": np.array([1 << 13, 1 << 13])}),
            ("Pad", {"x": ONES, "s": np.array([0, 0, 1 << 40, 0])}),
            ("OneHot", {"x": np.arange(9), "s": np.array(1 << 40), "v": ONES[0, :2]}),
            ("Range", {"a": np.array(0.0), "b": np.array(1e18), "c": np.array(1.0)}),
            ("Reshape", {"x": ONES, "s": HUGE}),
        ]
    ],
    ids=lambda graph: graph.nodes[0].op,
)
def test_sizes_take_no_memory(graph: Graph) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"elements|at most|size"):
            run(graph, {})
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_values_are_let_go() -> None:
    """A chain of many nodes takes the memory of two of its values."""
    b = Builder()
    x = b.input("x", "float32", ("n",))
    y = x
    for _ in range(50):
        y = b.neg(y)
    b.output("y", y, "float32", ("n",))
    program, array = Program(b.graph()), np.ones(1 << 18, np.float32)
    tracemalloc.start()
    try:
        program({"x": array})
        assert tracemalloc.get_traced_memory()[1] < 4 * array.nbytes
    finally:
        tracemalloc.stop()


def test_what_reads_weights_alone_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    operator = graphs._operators.OPERATORS["Transpose"]
    function = operator.function

    def counted(*arrays: Any, **attributes: Any) -> Any:
        calls.append(len(arrays))
        return function(*arrays, **attributes)

    monkeypatch.setitem(
        graphs._operators.OPERATORS, "Transpose", type(operator)(**{**vars(operator), "function": counted})
    )
    program = Program(model())
    program(model_inputs())
    program(model_inputs())
    assert calls == [1]


X = Value("x", "float32", ("n",))
Y = Value("y", "float32", ("n",))
NEG = Node("Neg", ("x",), ("y",))
TEN = ("x",) * 10


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (Graph((X,), (), (NEG,), {}), "expected different names, at least one"),
        (Graph((X,), (Y, Y), (NEG,), {}), "expected different names"),
        (Graph((X,), (Y,), (), {}), "output 'y' is written by no node"),
        (Graph((X, X), (Y,), (NEG,), {}), "an input has the name 'x'"),
        (Graph((X,), (Y,), (NEG, NEG), {}), "Neg that writes 'y' has the name 'y'"),
        (Graph((X,), (Y,), (NEG,), {"y": ONES}), "has the name 'y'"),
        (Graph((X,), (Y,), (Node("Neg", ("z",), ("y",)), Node("Neg", ("x",), ("z",))), {}), "reads 'z', which no"),
        (Graph((X,), (Y,), (Node("Neg", ("y",), ("y",)),), {}), "reads 'y', which no"),
        (Graph((X,), (Y,), (Node("Loop", ("x",), ("y",)),), {}), "unknown operator 'Loop'"),
        (Graph((X,), (Y,), (Node("negate", ("x",), ("y",)),), {}), "unknown operator 'negate'.*Known: Abs, "),
        (Graph((X,), (Y,), (Node("Neg", ("x", "x"), ("y",)),), {}), "2 inputs, expected x"),
        (Graph((X,), (Y,), (Node("Add", ("x",), ("y",)),), {}), "1 inputs, expected a, b"),
        (Graph((X,), (Y,), (Node("Add", ("x", ""), ("y",)),), {}), "input 2 is left out, expected a, b"),
        (Graph((X,), (Y,), (Node("Concat", ("x", ""), ("y",), {"axis": 0}),), {}), "input 2 is left out"),
        (Graph((X,), (Y,), (Node("Concat", ("x",), ("y",)),), {}), "attribute 'axis' is missing"),
        (Graph((X,), (Y,), (Node("Neg", ("x",), ("y",), {"axis": 0}),), {}), "unknown attribute 'axis'"),
        (Graph((X,), (Y,), (Node("Softmax", ("x",), ("y",), {"axis": 0.5}),), {}), "'axis' is 0.5, expected int"),
        (Graph((X,), (Y,), (Node("Transpose", ("x",), ("y",), {"perm": 0}),), {}), "expected list.int."),
        (Graph((X,), (Y,), (Node("Neg", ("x",), ("y", "z")),), {}), "2 outputs, expected 1"),
        (Graph((X,), (Y,), (NEG, Node("Neg", ("x",), ("",))), {}), "writes nothing"),
        (Graph((Value("x", "float16", ("n",)),), (Y,), (NEG,), {}), "'x' has dtype 'float16'"),
        (Graph((Value("x", "float32", (-1,)),), (Y,), (NEG,), {}), "'x' has an axis -1"),
        (Graph((X,), (Y,), (Node("Recurrent", TEN, ("y",)),), {}), "unknown cell ''"),
        (Graph((X,), (Y,), (Node("Recurrent", ("x",) * 9, ("y",), {"cell": "gru"}),), {}), "9 inputs, expected x"),
        (Graph((X,), (Y,), (Node("Recurrent", TEN, ("y",), {"cell": "gru", "bias": 1}),), {}), "attribute 'bias'"),
        (Graph((X,), (Y,), (Node("Recurrent", TEN, ("y",), {"cell": "gru", "direction": "up"}),), {}), "'up'"),
        (Graph((X,), (Y,), (Node("Recurrent", TEN, ("y", "a", "b"), {"cell": "gru"}),), {}), "3 outputs"),
        (Graph((X,), (Y,), (Node("Recurrent", ("x", *[""] * 9), ("y",), {"cell": "gru"}),), {}), "no weight_ih"),
    ],
)  # fmt: skip
def test_what_is_no_graph(graph: Graph, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Program(graph)

"""`Builder`: what its methods write down, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from elman.errors import InputError
from elman.graph import Builder, Node, operators, run
from elman.graph._build import method_name

from .graphs import model, model_inputs, recurrent_weights


def built() -> tuple[Builder, str]:
    b = Builder()
    return b, b.input("x", "float32", ("n", 4))


def nodes(b: Builder, *values: str) -> tuple[Node, ...]:
    for number, value in enumerate(values):
        b.output(f"out{number}", value, "float32", ("n", 4))
    return b.graph().nodes[: -len(values)]


def test_every_operator_has_a_method_of_its_own() -> None:
    names = {method_name(op) for op in operators()}
    assert len(names) == len(operators())
    assert names <= set(dir(Builder()))
    assert all(name.isidentifier() and callable(getattr(Builder(), name)) for name in names)


def test_inputs_by_position_and_by_name() -> None:
    b, x = built()
    y = b.clip(x, max=1.0)
    z = b.slice(y, [0], ends=[2], steps=[1])
    first, second = nodes(b, z)
    weights = b.graph().weights
    assert first.inputs[:2] == ("x", "")
    assert weights[first.inputs[2]] == np.float32(1)
    assert second.inputs[3] == ""
    assert [weights[n].tolist() for n in second.inputs[1:3]] == [[0], [2]]
    assert weights[second.inputs[4]].tolist() == [1]


def test_inputs_left_out_at_the_end_are_not_written() -> None:
    b, x = built()
    (node,) = nodes(b, b.clip(x, None, None))
    assert node.inputs == ("x",)


@pytest.mark.parametrize(
    ("given", "dtype", "shape"),
    [(1, "int64", ()), (1.5, "float32", ()), (True, "bool", ()), ([1, 2], "int64", (2,)), ([0.5], "float32", (1,)),
     ([], "int64", (0,)), ((1, 2), "int64", (2,)), (np.float64(2), "float64", ()),
     (np.ones(2, np.int32), "int32", (2,))],
)  # fmt: skip
def test_numbers_become_constants(given: Any, dtype: str, shape: tuple[int, ...]) -> None:
    b, x = built()
    (node,) = nodes(b, b.add(x, given))
    constant = b.graph().weights[node.inputs[1]]
    assert (constant.dtype, constant.shape) == (dtype, shape)
    np.testing.assert_array_equal(constant, given)


def test_equal_constants_are_one() -> None:
    b = Builder()
    names = [b.constant(array) for array in (1, 1, 1.0, [1], np.float32(1), True)]
    assert names[0] == names[1] == "constant_0"
    assert len(set(names)) == 5


def test_a_constant_is_a_copy() -> None:
    array = np.ones(3, np.float32)
    b = Builder()
    name = b.constant(array)
    array += 1
    b.output("y", name, "float32", (3,))
    assert b.graph().weights[name].tolist() == [1, 1, 1]


def test_a_weight_is_written_once() -> None:
    b = Builder()
    array = np.array([1, np.nan], np.float32)
    assert b.weight("w", array) == b.weight("w", array.copy()) == "w"
    for other in (array + 1, array.astype(np.float64), array[:1]):
        with pytest.raises(InputError, match="weight 'w' is there already"):
            b.weight("w", other)


def test_names_never_meet() -> None:
    """A node's made-up name is none that an input, a weight or an output has, before it or after."""
    b = Builder()
    x = b.input("neg_0", "float32", ("n", 4))
    y = b.neg(x)
    assert y == "neg_1"
    b.weight("constant_0", np.ones(1))
    assert b.constant(5) == "constant_1"
    for name, add in {
        "neg_1": lambda: b.input("neg_1", "float32", ()),
        "constant_1": lambda: b.weight("constant_1", np.ones(2)),
        "neg_0": lambda: b.output("neg_0", y, "float32", ()),
        "": lambda: b.input("", "float32", ()),
    }.items():
        with pytest.raises(InputError, match=f"{name}' is t"):
            add()


def test_several_outputs() -> None:
    b, x = built()
    first, second = b.split(x, [1, 3], axis=1)
    parts = b.split(x, axis=1, outputs=4)
    values, _ = b.top_k(x, [2])
    assert isinstance(b.neg(x), str)
    assert len(parts) == 4
    found = nodes(b, first, second, parts[0], values)
    assert [len(node.outputs) for node in found if node.op in ("Split", "TopK")] == [2, 4, 2]


def test_an_output_under_a_name_of_its_own() -> None:
    b, x = built()
    b.output("y", b.neg(x), "float32", ("n", 4))
    b.output("x", x, "float32", ("n", 4))
    graph = b.graph({"unit": "m"})
    assert [node.op for node in graph.nodes] == ["Neg", "Identity"]
    assert graph.facts == {"unit": "m"}
    assert run(graph, {"x": np.ones((1, 4))})["y"].tolist() == [[-1] * 4]


def test_recurrent() -> None:
    b = Builder()
    x = b.input("x", "float32", ("batch", "time", 3))
    weights = [
        {stem: b.weight(f"{k}.{stem}", a) for stem, a in w.items() if stem != "bias_hh"}
        for k, w in enumerate(recurrent_weights("lstm", bidirectional=True))
    ]
    c_0 = b.input("c_0", "float32", (2, "batch", 5))
    output, h_n, c_n = b.recurrent("lstm", x, weights, c_0=c_0, direction="bidirectional", clip=1.0)
    for name in (output, h_n, c_n):
        b.output(f"{name}.", name, "float32", ())
    node = b.graph().nodes[0]
    assert node.inputs == ("x", "", "", "c_0", "0.weight_ih", "0.weight_hh", "0.bias_ih", "", "", "",
                           "1.weight_ih", "1.weight_hh", "1.bias_ih", "", "", "")  # fmt: skip
    assert node.outputs == (output, h_n, c_n)
    assert node.attributes == {"cell": "lstm", "direction": "bidirectional", "clip": 1.0}


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda b, x: b.softmax(x, 1), "softmax: 2 inputs, expected x"),
        (lambda b, x: b.softmax(x, axes=1), "softmax: unknown attribute 'axes'. Did you mean 'axis'"),
        (lambda b, x: b.clip(x, 0.0, min=0.0), "input 'min' is given twice"),
        (lambda b, x: b.concat(x, None, x, axis=0), "input 2 is left out"),
        (lambda b, x: b.split(x), "split: 0 outputs, expected at least 1"),
        (lambda b, x: b.add(x, [1j]), "neither a name nor numbers"),
        (lambda b, x: b.recurrent("gru", x, []), "weights of 0 directions for the direction 'forward'"),
        (lambda b, x: b.recurrent("gru", x, [{}], direction="up"), "for the direction 'up'"),
        (lambda b, x: b.recurrent("gru", x, [{"weight_xy": x}]), "no weight 'weight_xy'"),
        (lambda b, x: b.recurrent("grue", x, [{}]), "Did you mean 'gru'"),
        (lambda b, x: b.output("y", "z", "float32", ()) or b.graph(), "reads 'z', which no"),
        (lambda b, x: b.graph(), "expected different names, at least one"),
    ],
)
def test_what_is_refused(add: Callable[[Builder, str], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        add(*built())


def test_unknown_operators() -> None:
    with pytest.raises(AttributeError, match="no operator 'conv'"):
        Builder().conv("x")


def test_what_was_built_runs() -> None:
    found = run(model(), model_inputs())
    assert found["scores"].shape == (3, 4, 2)
    lengths = model_inputs()["lengths"]
    behind = np.arange(4) >= lengths[:, None]
    assert not found["scores"][behind].any()
    assert np.isneginf(found["scores"][~behind][:, 1]).all()

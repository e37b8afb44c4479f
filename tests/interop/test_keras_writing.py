"""Graphs that did not come from Keras to `.keras` files: what is carried, what is refused, what stays on the disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("h5py")

from elman import graph
from elman.errors import InputError
from elman.graph import RECURRENT_WEIGHTS, Graph, Node, Value
from elman.interop.keras import archive, hdf5, read, write
from elman.nn import Recurrent
from elman.nn.language import LanguageNetwork

from .keras_running import needs_keras

RNG = np.random.default_rng(0)
CELLS = [("rnn", 1), ("rnn_relu", 1), ("lstm", 4), ("gru", 3), ("gru_reset_before", 3)]
X = Value("x", "float32", ("batch", "time", 3))


def draw(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) * 0.4).astype(np.float32)


def recurrent(
    cell: str, gates: int, units: int = 4, features: int = 3, **more: Any
) -> tuple[Node, dict[str, np.ndarray]]:
    """A node over x with weights of its own, two biases."""
    shapes = ((gates * units, features), (gates * units, units), (gates * units,), (gates * units,))
    weights = {f"{cell}.{name}": draw(*shape) for name, shape in zip(RECURRENT_WEIGHTS, shapes, strict=False)}
    inputs = ("x", "", more.pop("h_0", ""), more.pop("c_0", ""), *weights, "", "")
    states = ("h_n", "c_n") if cell == "lstm" else ("h_n",)
    return Node("Recurrent", inputs, ("output", *states), {"cell": cell, **more}), weights


def model(
    *nodes: Node,
    weights: Mapping[str, np.ndarray],
    source: Value = X,
    output: str = "y",
    more: tuple[Value, ...] = (),
    axes: tuple[int | str, ...] = ("batch", "time", 4),
) -> Graph:
    return Graph((source, *more), (Value(output, "float32", axes),), nodes, weights)


def carried(given: Graph, path: Path, x: np.ndarray, *, with_keras: bool = False) -> None:
    """The graph and the file give the same."""
    write(given, path, with_keras=with_keras)
    again = read(path)
    found = next(iter(graph.run(again, {again.inputs[0].name: x}).values()))
    np.testing.assert_allclose(found, graph.run(given, {given.inputs[0].name: x})["y"], atol=1e-6)


@pytest.mark.parametrize(("cell", "gates"), CELLS)
def test_cells_with_gemm_behind(cell: str, gates: int, tmp_path: Path) -> None:
    """Two biases where Keras has one, the last state by Squeeze, and a Dense as Gemm: said otherwise than in Keras."""
    node, weights = recurrent(cell, gates)
    weights |= {"w": draw(5, 4), "b": draw(5), "first": np.array([0])}
    dense = Node("Gemm", ("last", "w", "b"), ("y",), {"transB": 1})
    given = model(
        node, Node("Squeeze", ("h_n", "first"), ("last",)), dense, weights=weights, axes=("batch", 5)
    )
    carried(given, tmp_path / "m.keras", draw(2, 6, 3))


@needs_keras
def test_symbols_and_states_and_keras_itself(tmp_path: Path) -> None:
    """A language model as elman has them: one-hot symbols, states that may be left out and are cut out of those of all
    layers, the matrix of the output turned."""
    node, weights = recurrent("lstm", 4, features=7, h_0="h.0", c_0="c")
    weights |= {"w": draw(7, 4), "b": draw(7), "0": np.array([0]), "1": np.array([1])}
    turned = Node("Transpose", ("w",), ("w.T",), {"perm": [1, 0]})
    dense = (Node("MatMul", ("output", "w.T"), ("product",)), Node("Add", ("product", "b"), ("y",)))
    nodes = (Node("Slice", ("h", "0", "1", "0"), ("h.0",)), node, turned, *dense)
    states = tuple(Value(name, "float32", (1, "batch", 4), True) for name in "hc")
    source = Value("x", "int64", ("batch", "time"))
    given = model(*nodes, weights=weights, source=source, more=states, axes=("batch", "time", 7))
    ends = tuple(Value(f"{name}_n", "float32", (1, "batch", 4)) for name in "hc")
    given = Graph(given.inputs, (*given.outputs, *ends), given.nodes, given.weights)
    carried(given, tmp_path / "m.keras", RNG.integers(7, size=(2, 6)), with_keras=True)


@pytest.mark.parametrize("embedding_size", [0, 6])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_language_model(cell: str, embedding_size: int, tmp_path: Path) -> None:
    """elman's own network of two layers; torch says what it gives."""
    recurrent = Recurrent(cell, embedding_size or 9, 6, num_layers=2)
    network = LanguageNetwork(
        9, recurrent, embedding_size=embedding_size, tie_weights=bool(embedding_size)
    ).eval()
    write(network.graph(), tmp_path / "m.keras", with_keras=False)
    again = read(tmp_path / "m.keras")
    symbols = RNG.integers(9, size=(2, 7))
    with torch.no_grad():
        expected = network(torch.from_numpy(symbols))[0].numpy()
    (found,) = graph.run(again, {"symbols": symbols}).values()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_keras_says_differently_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of Keras is one that says zero."""

    def zeros(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        np.savez(command[-1], **{"0.0": np.zeros((3, 6, 4)), "1.0": np.zeros((1, 1, 4))})
        return subprocess.CompletedProcess(command, 0)

    node, weights = recurrent("rnn", 1)
    given = model(node, Node("Tanh", ("output",), ("y",)), weights=weights)
    monkeypatch.setattr(subprocess, "run", zeros)
    monkeypatch.setattr(archive, "contents", lambda path, _: hdf5.contents(str(path)))
    with pytest.raises(InputError, match="Keras gives another 'y' than elman"):
        write(given, tmp_path / "m.keras", with_keras=True)
    assert not list(tmp_path.iterdir())


def refused(given: Graph, path: Path, message: str) -> None:
    path.write_bytes(b"before")
    with pytest.raises(InputError, match=message):
        write(given, path, with_keras=False)
    assert path.read_bytes() == b"before"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"clip": 3.0}, "clip"),
        ({"activations": ["HardSigmoid"], "alphas": [0.2], "betas": [0.5]}, "activation HardSigmoid"),
        ({"activations": ["ThresholdedRelu"], "alphas": [1.0], "betas": [0.0]}, "activation ThresholdedRelu"),
    ],
)
def test_options_no_layer_has_are_refused(attributes: dict[str, Any], message: str, tmp_path: Path) -> None:
    node, weights = recurrent("rnn", 1, **attributes)
    refused(model(node, Node("Tanh", ("output",), ("y",)), weights=weights), tmp_path / "m.keras", message)


def test_what_is_no_chain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    node, weights = recurrent("rnn", 1)
    lengths = Value("lengths", "int64", ("batch",))
    held = Node("Recurrent", ("x", "lengths", *node.inputs[2:]), node.outputs, node.attributes)
    refused(model(held, weights=weights, output="output", more=(lengths,)), path, "reads x, lengths; a chain")
    backwards, weights = recurrent("rnn", 1, direction="reverse")
    refused(model(backwards, weights=weights, output="output"), path, "Recurrent is no chain")
    refused(
        model(node, Node("Erf", ("output",), ("y",)), weights=weights),
        path,
        "behind SimpleRNN, Erf is no chain",
    )
    projected, weights = recurrent("lstm", 4)
    named = Node("Recurrent", (*projected.inputs[:-2], "p", ""), projected.outputs, projected.attributes)
    given = model(named, weights={**weights, "p": draw(2, 4)}, output="output")
    refused(given, path, "weight_hr, which no layer has")


def test_name_of_the_file_is_checked(tmp_path: Path) -> None:
    node, weights = recurrent("rnn", 1)
    with pytest.raises(InputError, match=r"by the ending \.keras"):
        write(model(node, weights=weights, output="output"), tmp_path / "m.h5")

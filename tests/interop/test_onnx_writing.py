"""Graphs to ONNX: what is written is what ran, dynamic where the graph is, and nothing is left of a failed export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from elman import cells, reference
from elman import graph as graphs
from elman.errors import InputError
from elman.graph import RECURRENT_WEIGHTS, Graph, Node, Value
from elman.interop.onnx import read, write

from .onnx_models import Arrays, by_runtime

RNG = np.random.default_rng(7)
FACTS = {"task": "toy", "classes": ["나", "b"], "scale": 0.25, "nothing": None}


def recurrent(
    cell: str,
    features: int,
    hidden: int,
    names: tuple[str, ...],
    outputs: tuple[str, ...],
    bidirectional: bool = False,
    proj_size: int = 0,
    **attributes: Any,
) -> tuple[Node, Arrays]:
    """One layer with weights drawn; names of x, lengths, h_0, c_0."""
    drawn = reference.draw(cell, features, hidden, RNG, bidirectional=bidirectional, proj_size=proj_size)
    weights = {f"{outputs[0]}.{name}": array.astype(np.float32) for name, array in drawn.items()}
    suffixes = ("_l0", "_l0_reverse")[: 1 + bidirectional]
    inputs = [f"{outputs[0]}.{stem}{suffix}" for suffix in suffixes for stem in RECURRENT_WEIGHTS]
    inputs = [name if name in weights else "" for name in inputs]
    direction = {"direction": "bidirectional"} if bidirectional else {}
    return Node("Recurrent", (*names, *inputs), outputs, {"cell": cell, **direction, **attributes}), weights


def language_model() -> Graph:
    """Symbols to scores, by an LSTM over a GRU over rectified units, with every state going in and out."""
    relu, relu_weights = recurrent("rnn_relu", 11, 5, ("x", "lengths", "r_0", ""), ("r", "r_n"))
    gru, gru_weights = recurrent("gru", 5, 4, ("r", "lengths", "g_0", ""), ("g", "g_n"))
    lstm, lstm_weights = recurrent("lstm", 4, 3, ("g", "lengths", "h_0", "c_0"), ("h", "h_n", "c_n"))
    head = {"head": RNG.normal(size=(3, 11)).astype(np.float32)}
    sizes = {"r": 5, "g": 4, "h": 3, "c": 3}
    return Graph(
        inputs=(
            Value("x", "int64", ("batch", "time")),
            Value("lengths", "int64", ("batch",)),
            *(
                Value(f"{name}_0", "float32", (1, "batch", size), optional=True)
                for name, size in sizes.items()
            ),
        ),
        outputs=(
            Value("scores", "float32", ("batch", "time", 11)),
            *(Value(f"{name}_n", "float32", (1, "batch", size)) for name, size in sizes.items()),
        ),
        nodes=(relu, gru, lstm, Node("MatMul", ("h", "head"), ("scores",))),
        weights={**relu_weights, **gru_weights, **lstm_weights, **head},
        facts=FACTS,
    )


def classifier() -> Graph:
    """Embedded words through a GRU of the paper in both directions to scores of their final states."""
    gru, weights = recurrent(
        "gru_reset_before", 4, 3, ("e", "lengths", "", ""), ("", "h_n"), bidirectional=True
    )
    weights |= {
        "table": RNG.normal(size=(9, 4)).astype(np.float32),
        "head": RNG.normal(size=(2, 6)).astype(np.float32),
        "bias": RNG.normal(size=2).astype(np.float32),
        "flat": np.array([0, -1]),
    }
    return Graph(
        inputs=(Value("x", "int64", ("batch", "time")), Value("lengths", "int64", ("batch",))),
        outputs=(Value("scores", "float32", ("batch", 2)),),
        nodes=(
            Node("Gather", ("table", "x"), ("e",)),
            gru,
            Node("Transpose", ("h_n",), ("by_row",), {"perm": [1, 0, 2]}),
            Node("Reshape", ("by_row", "flat"), ("pair",)),
            Node("Gemm", ("pair", "head", "bias"), ("scores",), {"transB": 1}),
        ),
        weights=weights,
    )


def given(graph: Graph, batch: int, time: int) -> Arrays:
    """Inputs of a graph above, with a row of no steps."""
    rng = np.random.default_rng(3)
    made: Arrays = {"x": rng.integers(9, size=(batch, time)), "lengths": rng.integers(0, time + 1, batch)}
    made["lengths"][0] = 0
    for value in graph.inputs[2:]:
        shape = [batch if axis == "batch" else axis for axis in value.axes]
        made[value.name] = rng.normal(size=shape).astype(np.float32)
    return made


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("make", [language_model, classifier])
@pytest.mark.parametrize(("batch", "time"), [(1, 1), (4, 7)])
def test_a_network_in_runtime_and_back(make: Any, batch: int, time: int, tmp_path: Path) -> None:
    graph = make()
    write(graph, tmp_path / "model.onnx")
    inputs = given(graph, batch, time)
    expected = graphs.run(graph, inputs)
    assert_same(by_runtime(str(tmp_path / "model.onnx"), inputs), expected)
    back = read(tmp_path / "model.onnx")
    assert (back.inputs, back.outputs, back.facts) == (graph.inputs, graph.outputs, graph.facts)
    assert_same(graphs.run(back, inputs), expected)


def test_a_row_of_no_steps_keeps_its_state(tmp_path: Path) -> None:
    graph = language_model()
    write(graph, tmp_path / "model.onnx")
    inputs = given(graph, 3, 5)
    found = by_runtime(str(tmp_path / "model.onnx"), inputs)
    for name in "rghc":
        np.testing.assert_array_equal(found[f"{name}_n"][:, 0], inputs[f"{name}_0"][:, 0])
        assert not np.array_equal(found[f"{name}_n"][:, 1:], inputs[f"{name}_0"][:, 1:])


def test_the_file_is_plain_onnx(tmp_path: Path) -> None:
    write(language_model(), tmp_path / "model.onnx")
    model = onnx.load(str(tmp_path / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert {"RNN", "GRU", "LSTM"} <= {node.op_type for node in model.graph.node}
    assert [dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", "time"]
    assert {entry.domain for entry in model.opset_import} == {""}
    assert '["나", "b"]' in {fact.value for fact in model.metadata_props}


def _projected() -> Graph:
    node, weights = recurrent("lstm", 3, 4, ("x", "", "", ""), ("y",), proj_size=2)
    return _layer(node, weights, 2)


def _bare(monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setitem(cells._CELLS, "bare", replace(cells.get("gru"), name="bare", layouts={}))
    node, weights = recurrent("gru", 3, 4, ("x", "", "", ""), ("y",))
    return _layer(replace(node, attributes={"cell": "bare"}), weights, 4)


def _layer(node: Node, weights: Arrays, size: int, dtype: str = "float32") -> Graph:
    x, y = Value("x", dtype, ("batch", "time", 3)), Value("y", dtype, ("batch", "time", size))
    return Graph((x,), (y,), (node,), weights)


def _double() -> Graph:
    node, weights = recurrent("rnn", 3, 4, ("x", "", "", ""), ("y",))
    return _layer(node, {name: array.astype(float) for name, array in weights.items()}, 4, "float64")


def _computed() -> Graph:
    node, weights = recurrent("rnn", 3, 4, ("x", "", "", ""), ("y",))
    weights["seed"] = weights.pop(name := node.inputs[4])
    graph = _layer(node, weights, 4)
    return replace(graph, nodes=(Node("Identity", ("seed",), (name,)), *graph.nodes))


def test_sizes_that_do_not_change(tmp_path: Path) -> None:
    node, weights = recurrent("gru", 3, 4, ("x", "lengths", "", ""), ("y",))
    graph = _layer(node, weights, 4)
    x, y = Value("x", "float32", (2, 5, 3)), Value("y", "float32", (2, 5, 4))
    write(replace(graph, inputs=(x, Value("lengths", "int64", (2,))), outputs=(y,)), tmp_path / "model.onnx")
    assert read(tmp_path / "model.onnx").inputs[0] == x


def test_what_onnx_has_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for graph, message in (
        (_projected(), "proj_size"),
        (_bare(monkeypatch), "bare"),
        (_double(), "float64"),
        (_computed(), "computed"),
    ):
        with pytest.raises(InputError, match=message):
            write(graph, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        write(classifier(), tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


def test_more_weights_than_a_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.interop.onnx.files.LARGEST", 500)
    with pytest.raises(InputError, match="more than the 500 an ONNX file can hold"):
        write(classifier(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_graph_that_is_none_of_onnx_is_refused(tmp_path: Path) -> None:
    graph = classifier()
    broken = replace(
        graph, nodes=(*graph.nodes[:-1], Node("Gemm", ("pair", "head"), ("scores",), {"transC": 1}))
    )
    with pytest.raises(InputError, match="none that ONNX has"):
        write(broken, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_an_export_that_differs_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    run = graphs.run

    def wrong(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return {name: array + 1e-3 for name, array in run(graph, inputs).items()}

    monkeypatch.setattr(graphs, "run", wrong)
    with pytest.raises(InputError, match="nothing was written; ONNX Runtime gives another 'scores'"):
        write(classifier(), path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]


def test_a_step_at_a_time_is_the_whole(tmp_path: Path) -> None:
    graph = language_model()
    (tmp_path / "vocabulary.json").write_text('["가", "b"]', encoding="utf-8")
    write(graph, tmp_path / "step.onnx", step=True, vocabulary=tmp_path / "vocabulary.json")
    manifest = json.loads((tmp_path / "step.onnx.json").read_text(encoding="utf-8"))
    assert (tmp_path / manifest["vocabulary"]).read_bytes() == (tmp_path / "vocabulary.json").read_bytes()
    assert manifest["states"] == [{"input": f"{name}_0", "output": f"{name}_n"} for name in "rghc"]
    assert manifest["model"] == "step.onnx"
    assert manifest["facts"] == graph.facts
    assert [value["name"] for value in manifest["inputs"]] == ["x", "r_0", "g_0", "h_0", "c_0"]
    inputs = given(graph, 2, 5)
    inputs["lengths"][:] = 5
    whole = graphs.run(graph, inputs)
    now = {state["input"]: inputs[state["input"]] for state in manifest["states"]}
    for t in range(5):
        found = by_runtime(str(tmp_path / "step.onnx"), {"x": inputs["x"][:, t : t + 1], **now})
        np.testing.assert_allclose(found["scores"][:, 0], whole["scores"][:, t], rtol=1e-5, atol=1e-6)
        now = {state["input"]: found[state["output"]] for state in manifest["states"]}
    for name in "rghc":
        np.testing.assert_allclose(now[f"{name}_0"], whole[f"{name}_n"], rtol=1e-5, atol=1e-6)


def test_states_that_are_kept_inside_are_shown(tmp_path: Path) -> None:
    node, weights = recurrent("lstm", 3, 4, ("x", "", "", ""), ("y",))
    write(_layer(node, weights, 4), tmp_path / "step.onnx", step=True)
    manifest = json.loads((tmp_path / "step.onnx.json").read_text(encoding="utf-8"))
    assert manifest["states"] == [
        {"input": "h_0.0", "output": "h_n.0"},
        {"input": "c_0.0", "output": "c_n.0"},
    ]


def test_what_reads_whole_sequences_has_no_step(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="from their end"):
        write(classifier(), tmp_path / "step.onnx", step=True)
    graph = language_model()
    late = replace(graph, nodes=(*graph.nodes, Node("Cast", ("lengths",), ("late",), {"to": 1})))
    with pytest.raises(InputError, match="reads the lengths"):
        write(late, tmp_path / "step.onnx", step=True)
    assert not list(tmp_path.iterdir())

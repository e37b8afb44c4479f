"""Graphs on disk: what comes back is what was saved; damaged files are told, quickly and in little memory."""

from __future__ import annotations

import json
import math
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import InputError
from elman.graph import Graph, Program, Value, from_structure, load, run, save, structure
from elman.graph.store import CONSTANT, LIMIT, encode
from elman.runfolder import RunFolder

from .graphs import model, model_inputs

STORED = [name for name, array in model().weights.items() if array.size > 2]
"""The weights that a training keeps in model.safetensors; the others are constants."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save(model(), folder)
    return folder


def assert_same(found: Graph, expected: Graph) -> None:
    assert (found.inputs, found.outputs, found.nodes, found.facts) == (
        expected.inputs,
        expected.outputs,
        expected.nodes,
        expected.facts,
    )
    assert set(found.weights) == set(expected.weights)
    for name, array in expected.weights.items():
        assert found.weights[name].dtype == array.dtype
        np.testing.assert_array_equal(found.weights[name], array, strict=True)


def test_what_is_loaded_is_what_was_saved(saved: Path) -> None:
    graph = load(saved)
    assert_same(graph, model())
    for name, array in run(graph, model_inputs()).items():
        np.testing.assert_array_equal(array, run(model(), model_inputs())[name])


def test_a_file_may_hold_more_weights(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "m")
    RunFolder(tmp_path / "m").write_tensors("model.safetensors", {**model().weights, "more": np.ones(3)}, {})
    assert_same(load(tmp_path / "m"), model())


def test_constants_stand_in_the_structure(tmp_path: Path) -> None:
    """A training writes the structure; the weights alone come into model.safetensors."""
    run_folder = RunFolder(tmp_path)
    run_folder.write_bytes("graph.json", encode(structure(model(), STORED)))
    run_folder.write_tensors("model.safetensors", {n: model().weights[n] for n in STORED}, {})
    assert_same(load(tmp_path), model())


@pytest.mark.parametrize(
    "array",
    [
        np.array([1 / 3, np.inf, -np.inf, np.nan, 1e-45, 3.4e38], np.float32),
        np.array(math.pi),
        np.array([[2**62, -(2**63)]]),
        np.array([True, False]),
        np.zeros((0, 3), np.int32),
    ],
)
def test_constants_keep_every_bit(array: Any) -> None:
    graph = Graph((), (Value("w", array.dtype.name, array.shape),), (), {"w": array})
    found = from_structure(json.loads(encode(structure(graph, ()))), {})
    assert found.weights["w"].tobytes() == array.tobytes()
    assert_same(found, graph)


def test_what_cannot_be_written() -> None:
    large = Graph((), (Value("w", "float32", (1,)),), (), {"w": np.zeros(CONSTANT + 1, np.float32)})
    with pytest.raises(InputError, match="'w' has 16385 elements and is not among those stored"):
        structure(large, ())
    assert structure(large, ["w"])["weights"] == {"w": {"dtype": "float32", "shape": [CONSTANT + 1]}}
    odd = Graph((), (Value("w", "float32", (1,)),), (), {"w": np.zeros(1, np.float16)})
    with pytest.raises(InputError, match="'w' is float16"):
        structure(odd, ())
    for fact in (math.nan, object(), "\ud800"):
        with pytest.raises(InputError, match="is not JSON"):
            encode(structure(Graph((), large.outputs, (), large.weights, {"x": fact}), ["w"]))
    with pytest.raises(InputError, match=f"expected at most {LIMIT}"):
        encode(structure(Graph((), large.outputs, (), large.weights, {"x": "x" * LIMIT}), ["w"]))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made a folder"):
        save(model(), tmp_path / "file")


def test_weights_that_do_not_fit_the_structure() -> None:
    value, weights = structure(model(), STORED), dict(model().weights)
    for change, message in (
        ({"head": weights["head"].T}, r"'head' is \(5, 2\), expected \(2, 5\)"),
        ({"head": weights["head"].astype(np.float64)}, "'head' is float64, expected float32"),
    ):
        with pytest.raises(InputError, match=message):
            from_structure(value, weights | change)
    del weights["head"]
    with pytest.raises(InputError, match="'head' is missing"):
        from_structure(value, weights)


def changed(path: str, new: Any) -> Callable[[dict[str, Any]], None]:
    """What puts `new` in place of a part of the JSON; deletes the part for None."""

    def change(value: dict[str, Any]) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
        at: Any = value
        for key in parents:
            at = at[key]
        if new is None:
            del at[last]
        else:
            at[last] = new

    return change


DEEP = json.loads("[" * 700 + "]" * 700)
LONG = 1_000_000


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("format", 2, "format 2, this elman reads up to 1"),
        ("format", 0, "format is 0, expected a number from 1"),
        ("format", True, "format is True, expected a int"),
        ("format", None, "format is None"),
        ("inputs", {}, "inputs is {}, expected a list"),
        ("inputs/0", [], "expected a dict"),
        ("inputs/0/axes", [-1], "axes is"),
        ("inputs/0/axes", [True], "axes is"),
        ("inputs/0/axes", [[]], "axes is"),
        ("inputs/0/axes", [1] * 40, "axes is"),
        ("inputs/0/dtype", "object", "dtype 'object'"),
        ("inputs/0/name", "lengths", "has the name 'lengths'"),
        ("inputs/0/optional", 1, "optional is 1, expected a bool"),
        ("outputs", [], "expected different names"),
        ("nodes", None, "nodes is None"),
        ("nodes/0/op", "Loop", "unknown operator 'Loop'"),
        ("nodes/0/op", "\ud800", "unknown operator"),
        ("nodes/0/inputs", [1], "inputs is 1, expected a str"),
        ("nodes/0/inputs/0", "scores", "reads 'scores', which no"),
        ("nodes/0/attributes", {"axis": [1]}, r"'axis' is \[1\], expected int"),
        ("nodes/0/attributes", {"axis": {}}, "'axis' is {}, expected int"),
        ("nodes/0/attributes", None, "attributes is None"),
        ("nodes/1/attributes/cell", "perceptron", "unknown cell 'perceptron'"),
        ("weights/head/shape", [5, 2], r"'head' is \(2, 5\), expected \(5, 2\)"),
        ("weights/head/shape", [10**9], r"'head' is \(2, 5\), expected \(1000000000,\)"),
        ("weights/head/shape", [10**30], "shape is"),
        ("weights/head/dtype", "float64", "'head' is float32, expected float64"),
        ("weights/head/dtype", "O", "dtype is 'O'"),
        ("weights/head", None, "reads 'head', which no"),
        ("weights/other", {"dtype": "float32", "shape": [1]}, "'other' is missing"),
        ("weights/head/values", [0.5], "expected float32 values of shape"),
        ("weights/head/values", ["no"] * 10, "expected float32 values of shape"),
        ("weights/head/values", [True] * 10, "expected float32 values of shape"),
        ("weights/constant_0", {"dtype": "int32", "shape": [1], "values": [2**40]}, "expected int32 values"),
        ("weights/constant_0", {"dtype": "int32", "shape": [1], "values": [1.0]}, "expected int32 values"),
        ("weights/constant_0", {"dtype": "bool", "shape": [1], "values": [1]}, "expected bool values"),
        ("weights/constant_0", {"dtype": "bool", "shape": [0, 1 << 40, 1 << 40], "values": []}, "expected bool values"),
        ("facts", [], "facts is"),
        ("format", DEEP, r"format is \[\["),
        ("nodes/0/attributes", {"axis": DEEP}, r"'axis' is \[\["),
        ("nodes/0/op", "A" * LONG, "op is 'AAA"),
        ("nodes/0/inputs/0", "A" * LONG, "inputs is 'AAA"),
        ("nodes/1/attributes/cell", "A" * LONG, "attributes is 'AAA"),
        ("nodes/0/attributes", {"A" * LONG: 1}, "attributes is 'AAA"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_a_damaged_structure(path: str, new: Any, message: str, saved: Path, tmp_path: Path) -> None:
    value = json.loads((saved / "graph.json").read_bytes())
    changed(path, new)(value)
    shutil.copy(saved / "model.safetensors", tmp_path)
    (tmp_path / "graph.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path)
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("name", ["graph.json", "model.safetensors"])
def test_a_file_that_is_missing_or_of_another_kind(name: str, saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "m")
    path = tmp_path / "m" / name
    for content in (b"", b"{", b"PK\x03\x04" + bytes(99), b"\x80\x04.", b"[" * 100_000, bytes(LIMIT + 1)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=name):
            load(tmp_path / "m")
    path.unlink()
    with pytest.raises(InputError, match=name):
        load(tmp_path / "m")


def test_the_largest_structure_takes_bounded_memory(tmp_path: Path) -> None:
    """Empty objects grow most when they are parsed."""
    (tmp_path / "graph.json").write_text("[" + ",".join(["{}"] * (LIMIT // 3 - 1)) + "]")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="expected a dict"):
            load(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 150 << 20
    finally:
        tracemalloc.stop()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from parts(inner, (*path, key))


WHOLE = structure(model(), STORED)
PARTS = list(parts(WHOLE))


def loads_or_tells(make: Callable[[], Graph]) -> None:
    """A graph that can be prepared and run, or the house error."""
    try:
        Program(make())(model_inputs())
    except InputError as error:
        str(error).encode()


@settings(max_examples=400)
@given(st.data())
def test_any_change_of_the_structure_is_a_graph_or_told(data: st.DataObject) -> None:
    value = deepcopy(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(PARTS))
        at: Any = value
        try:
            for key in parents:
                at = at[key]
            other = WHOLE
            for key in data.draw(st.sampled_from(PARTS)):
                other = other[key]
            at[last] = data.draw(
                JSON | st.just(deepcopy(other)) | st.sampled_from(["", "x", "lengths", -1, 10**12])
            )
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the part away
    loads_or_tells(lambda: from_structure(value, model().weights))


@settings(max_examples=400)
@given(st.sampled_from(["graph.json", "model.safetensors"]), st.data())
def test_any_change_of_bytes_is_a_graph_or_told(
    tmp_path_factory: pytest.TempPathFactory, saved: Path, name: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutated"
    shutil.copytree(saved, folder, dirs_exist_ok=True)
    content = bytearray((saved / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["put", "cut", "double", "end"]))
        if how == "put":
            content[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del content[at : at + data.draw(st.integers(1, 9))]
        elif how == "double":
            content[at:at] = content[at : at + 40]
        else:
            del content[max(at, 1) :]
        if not content:
            break
    (folder / name).write_bytes(content)
    loads_or_tells(lambda: load(folder))

"""A graph on disk: its structure as JSON (graph.json), its weights in a safetensors file beside it."""

from __future__ import annotations

import json
import math
import os
import reprlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from elman.errors import InputError
from elman.graph._check import DTYPES, check
from elman.graph._spec import Array, Graph, Node, Value
from elman.runfolder import RunFolder, check_tensors

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")

# How to change the format: raise FORMAT, keep reading every lower number, add a graph of the old one to the tests and
# write the change into docs/format.md.
FORMAT = 1
STRUCTURE = "graph.json"
WEIGHTS = "model.safetensors"

LIMIT = 4 << 20  # bytes of graph.json: parsed it takes some twenty times as much memory
CONSTANT = 1 << 14  # elements of a weight that stands in graph.json
_NAME = 1000  # characters
_AXES = 32
_SIZE = 1 << 40
_KINDS: dict[str, set[type]] = {"bool": {bool}, "int32": {int}, "int64": {int}}
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def save(graph: Graph, folder: str | os.PathLike[str]) -> None:
    """Write a graph as two files of a folder, graph.json and model.safetensors, each replaced whole.

    >>> import tempfile
    >>> x = Value("x", "float32", ("batch", 2))
    >>> graph = Graph((x,), (Value("y", "float32", ("batch", 2)),), (Node("Neg", ("x",), ("y",)),), {})
    >>> folder = tempfile.mkdtemp()
    >>> save(graph, folder)
    >>> load(folder) == graph
    True
    """
    text = encode(structure(graph, graph.weights))
    run = RunFolder(folder)
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{run.path}: cannot be made a folder: {error.strerror or error}.") from error
    run.write_tensors(WEIGHTS, graph.weights, {})
    run.write_bytes(STRUCTURE, text)


def load(folder: str | os.PathLike[str]) -> Graph:
    """Read a graph that `save` or a training wrote; model.safetensors may hold more than its weights.

    Raises: InputError for a file that is missing or damaged, found before any weight is read.
    """
    run = RunFolder(folder)
    if not run.has(STRUCTURE):
        raise InputError(f"{run.path}: holds no {STRUCTURE}, so no model that runs without torch.")
    reader = _Reader(f"{run.path / STRUCTURE}: damaged")
    graph, declared = reader.graph(run.read_json(STRUCTURE, LIMIT))
    shapes = {name: shape for name, (_, shape) in declared.items()}
    dtypes = {name: dtype for name, (dtype, _) in declared.items()}
    arrays = run.read_tensors(WEIGHTS, shapes, dtypes, partly=True) if declared else {}
    return _joined(graph, arrays)


def structure(graph: Graph, stored: Collection[str]) -> Json:
    """A graph as a JSON object. The weights in `stored` are kept elsewhere, under their names; the others, constants,
    stand in it.

    Raises: InputError for what is no graph, and for a weight that is neither stored nor small.
    """
    check(graph.inputs, graph.outputs, graph.nodes, graph.weights)
    return {
        "format": FORMAT,
        "inputs": [_described(value) | {"optional": value.optional} for value in graph.inputs],
        "outputs": [_described(value) for value in graph.outputs],
        "nodes": [
            {
                "op": node.op,
                "inputs": list(node.inputs),
                "outputs": list(node.outputs),
                "attributes": dict(node.attributes),
            }
            for node in graph.nodes
        ],
        "weights": {name: _weight(name, array, name in stored) for name, array in graph.weights.items()},
        "facts": dict(graph.facts),
    }


def from_structure(value: object, weights: Mapping[str, Array]) -> Graph:
    """The graph of a JSON object that `structure` made. weights: at least those that were stored elsewhere.

    Raises: InputError for what `structure` does not make, and weights that are missing or of another shape or dtype.
    """
    graph, declared = _Reader("graph").graph(value)
    shapes = {name: shape for name, (_, shape) in declared.items()}
    dtypes = {name: dtype for name, (dtype, _) in declared.items()}
    given = {name: weights[name] for name in declared if name in weights}
    where = Path("graph")
    check_tensors(where, {name: array.shape for name, array in given.items()}, shapes)
    check_tensors(where, {name: array.dtype.name for name, array in given.items()}, dtypes)
    return _joined(graph, given)


def encode(value: Json) -> bytes:
    """The structure as the bytes of graph.json."""
    try:
        data = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"graph: a fact or an attribute is not JSON: {error}.") from error
    if len(data) > LIMIT:
        raise InputError(f"graph: its structure has {len(data)} bytes, expected at most {LIMIT}.")
    return data + b"\n"


def _described(value: Value) -> Json:
    return {"name": value.name, "dtype": value.dtype, "axes": list(value.axes)}


def _weight(name: str, array: Array, stored: bool) -> Json:
    """Dtype and shape of a weight, and its values if nothing else keeps them."""
    if array.dtype.name not in DTYPES:
        raise InputError(f"graph: weight {name!r} is {array.dtype}, expected one of {', '.join(DTYPES)}.")
    declared: Json = {"dtype": array.dtype.name, "shape": list(array.shape)}
    if stored:
        return declared
    if array.size > CONSTANT:
        raise InputError(
            f"graph: weight {name!r} has {array.size} elements and is not among those stored beside graph.json; a"
            f" constant has at most {CONSTANT}."
        )
    return declared | {"values": [_number(value) for value in array.reshape(-1).tolist()]}


def _number(value: bool | int | float) -> bool | int | float | str:
    return value if math.isfinite(value) else str(value)


def _joined(graph: Graph, arrays: Mapping[str, Array]) -> Graph:
    return Graph(graph.inputs, graph.outputs, graph.nodes, {**graph.weights, **arrays}, graph.facts)


class _Reader:
    """JSON to a graph, every part checked. where: begins each message."""

    def __init__(self, where: str) -> None:
        self._where = where

    def graph(self, value: object) -> tuple[Graph, dict[str, tuple[str, tuple[int, ...]]]]:
        """A graph with the weights that stand in the JSON, and dtype and shape of those that do not."""
        whole = self._of(dict, value, "the whole")
        number = self._of(int, whole.get("format"), "format")
        if number < 1:
            raise self._error("format", number, f"a number from 1 to {FORMAT}")
        if number > FORMAT:
            raise InputError(
                f"{self._where}: format {number}, this elman reads up to {FORMAT}; install a newer one."
            )
        weights: dict[str, Array] = {}
        declared: dict[str, tuple[str, tuple[int, ...]]] = {}
        for name, entry in self._of(dict, whole.get("weights"), "weights").items():
            dtype, shape = self._declared(name, entry)
            if "values" in entry:
                weights[name] = self._values(name, entry["values"], dtype, shape)
            else:
                declared[name] = dtype, shape
        inputs = tuple(self._value(entry) for entry in self._list(whole, "inputs"))
        outputs = tuple(self._value(entry) for entry in self._list(whole, "outputs"))
        nodes = tuple(self._node(entry) for entry in self._list(whole, "nodes"))
        try:
            check(inputs, outputs, nodes, {*weights, *declared})
        except InputError as error:
            raise InputError(f"{self._where}: {error}") from None
        return Graph(inputs, outputs, nodes, weights, self._of(dict, whole.get("facts"), "facts")), declared

    def _value(self, entry: object) -> Value:
        known = self._of(dict, entry, "an input or output")
        axes = self._list(known, "axes")
        if len(axes) > _AXES or not all(isinstance(axis, str) or self._is_size(axis) for axis in axes):
            raise self._error("axes", axes, "sizes and names")
        name, dtype = (self._of(str, known.get(key), key) for key in ("name", "dtype"))
        return Value(name, dtype, tuple(axes), self._of(bool, known.get("optional", False), "optional"))

    def _node(self, entry: object) -> Node:
        known = self._of(dict, entry, "a node")
        inputs, outputs = (
            tuple(self._of(str, name, key) for name in self._list(known, key))
            for key in ("inputs", "outputs")
        )
        attributes = self._of(dict, known.get("attributes"), "attributes")
        for text in (*attributes, *(value for value in attributes.values() if isinstance(value, str))):
            self._of(str, text, "attributes")
        return Node(self._of(str, known.get("op"), "op"), inputs, outputs, attributes)

    def _declared(self, name: str, entry: object) -> tuple[str, tuple[int, ...]]:
        known = self._of(dict, entry, f"weight {name!r:.60}")
        dtype, shape = self._of(str, known.get("dtype"), "dtype"), self._list(known, "shape")
        if dtype not in DTYPES:
            raise self._error("dtype", dtype, f"one of {', '.join(DTYPES)}")
        if len(shape) > _AXES or not all(self._is_size(size) for size in shape):
            raise self._error("shape", shape, "sizes")
        return dtype, tuple(shape)

    def _values(self, name: str, value: object, dtype: str, shape: tuple[int, ...]) -> Array:
        values = self._of(list, value, "values")
        numbers = [_NOT_FINITE.get(v, v) if isinstance(v, str) else v for v in values]
        kinds = _KINDS.get(dtype, {int, float})
        if math.prod(shape) != len(values) or len(values) > CONSTANT or not set(map(type, numbers)) <= kinds:
            raise self._error(f"weight {name!r:.60}", value, f"{dtype} values of shape {shape}")
        try:
            with np.errstate(over="ignore"):
                return np.array(numbers, dtype).reshape(shape)
        except (OverflowError, ValueError):
            raise self._error(f"weight {name!r:.60}", value, f"{dtype} values of shape {shape}") from None

    def _is_size(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _SIZE

    def _list(self, known: Json, key: str) -> list[Any]:
        return self._of(list, known.get(key), key)

    def _of(self, kind: type[T], value: object, what: str) -> T:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._error(what, value, f"a {kind.__name__}")
        if isinstance(value, str) and len(value) > _NAME:
            raise self._error(what, value, f"at most {_NAME} characters")
        return value

    def _error(self, what: str, value: object, expected: str) -> InputError:
        return InputError(f"{self._where}: {what} is {reprlib.repr(value)}, expected {expected}.")

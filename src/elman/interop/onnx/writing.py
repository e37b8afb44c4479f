"""A `Graph` to ONNX: written, run in ONNX Runtime, compared, and only then put in its place."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from elman.errors import InputError
from elman.graph import RECURRENT_INPUTS, Graph, Node, Value
from elman.interop.onnx import files, recurrent
from elman.interop.onnx.check import compare
from elman.interop.onnx.draft import Draft
from elman.interop.onnx.reading import OPTIONAL, PRODUCER
from elman.interop.onnx.stepping import MOVES, one_step
from elman.interop.onnx.versions import OPSET
from elman.runfolder import replace as put

IR_VERSION = 8
"""The file format of ONNX 1.12, which came with opset 17."""
_INTEGERS = ("int32", "int64")
FORMAT = 1
"""Of the manifest."""


def write(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    step: bool = False,
    vocabulary: str | os.PathLike[str] | None = None,
) -> None:
    """Write a graph as an ONNX file of opset 17, whose sizes change where the graph's do.

    Each `Recurrent` becomes RNN, LSTM or GRU, its lengths sequence_lens; facts become metadata_props, as JSON. The file
    is run in ONNX Runtime on made-up inputs and has to give what `elman.graph.run` gives, else nothing is written.

    step: write the model of one step instead, for streams: its states are inputs and outputs, and a manifest beside it
        (`model.onnx.json`) says which output is the next step's input, and what else there is to know.
    vocabulary: with step, the run's vocabulary.json, to be copied beside the model and named in the manifest.

    Raises: InputError for what ONNX or ONNX Runtime has not (projection, cells without an operator, float64), if the
        outputs differ, and if a model that reads whole sequences is asked for a step.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise InputError(f"{path}: an ONNX file ends in .onnx.")
    if vocabulary is not None and not step:
        raise InputError(f"{path}: a vocabulary belongs to the manifest of one step; give step=True.")
    for node in graph.nodes:
        if node.op == "Recurrent" and set(node.inputs[len(RECURRENT_INPUTS) :]) - {*graph.weights, ""}:
            raise InputError(
                f"{path}: the weights of a recurrent layer are computed; ONNX export takes constants."
            )
    states: dict[str, str] = {}
    if step:
        graph, states = one_step(graph, str(path))
    data = message(graph, str(path)).SerializeToString()
    compare(data, graph, str(path))
    beside = _beside(graph, path, states, vocabulary) if step else {}
    for name, content in beside.items():
        put(path.with_name(name), content)
    put(path, data)


def _beside(
    graph: Graph, path: Path, states: dict[str, str], vocabulary: str | os.PathLike[str] | None
) -> dict[str, bytes]:
    """The files beside the model of one step: the manifest, and the vocabulary if there is one."""
    made: dict[str, bytes] = {}
    if vocabulary is not None:
        try:
            made[f"{path.name}.vocabulary.json"] = Path(vocabulary).read_bytes()
        except OSError as error:
            raise InputError(f"{vocabulary}: cannot read it: {error.strerror}.") from error
    manifest = {
        "format": FORMAT,
        "model": path.name,
        "vocabulary": next(iter(made), None),
        "inputs": [_described(value) for value in graph.inputs],
        "outputs": [_described(value) for value in graph.outputs],
        "states": [{"input": start, "output": end} for start, end in states.items()],
        "facts": dict(graph.facts),
    }
    made[f"{path.name}.json"] = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
    return made


def _described(value: Value) -> dict[str, Any]:
    return {"name": value.name, "dtype": value.dtype, "axes": list(value.axes)}


def message(graph: Graph, where: str) -> onnx.ModelProto:
    """The graph as ONNX' checker takes it."""
    draft = Draft(where, OPSET, weights=dict(graph.weights))
    values = {value.name for value in (*graph.inputs, *graph.outputs)}
    draft.taken |= values | set(graph.weights) | {name for node in graph.nodes for name in node.outputs}
    integral = _integral(graph)
    for node in graph.nodes:
        if node.op == "Recurrent":
            recurrent.write(draft, node, graph.weights, node.inputs[0] in integral)
        else:
            draft.nodes.append(node)
    needed = {name for node in draft.nodes for name in node.inputs}
    size = sum(array.nbytes for name, array in draft.weights.items() if name in needed)
    if size > files.LARGEST:
        raise InputError(
            f"{where}: {size} bytes of weights, more than the {files.LARGEST} an ONNX file can hold."
        )
    model = helper.make_model(
        helper.make_graph(
            [_node(node, number) for number, node in enumerate(draft.nodes)],
            "elman",
            [_info(value) for value in graph.inputs],
            [_info(value) for value in graph.outputs],
            [numpy_helper.from_array(a, name) for name, a in draft.weights.items() if name in needed],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
        producer_version=version("elman"),
    )
    optional = [value.name for value in graph.inputs if value.optional]
    facts: dict[str, Any] = {**graph.facts, **({OPTIONAL: optional} if optional else {})}
    helper.set_model_props(model, {key: json.dumps(fact, ensure_ascii=False) for key, fact in facts.items()})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InputError(f"{where}: the graph is none that ONNX has: {str(error).strip()[:300]}") from error
    return model


def _node(node: Node, number: int) -> onnx.NodeProto:
    attributes: dict[str, Any] = dict(node.attributes)
    return helper.make_node(node.op, node.inputs, node.outputs, name=f"{node.op}_{number}", **attributes)


def _info(value: Value) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return helper.make_tensor_value_info(value.name, kind, value.axes)


def _integral(graph: Graph) -> set[str]:
    """The names of integers: those that may be symbols."""
    found = {value.name for value in graph.inputs if value.dtype in _INTEGERS}
    found |= {name for name, array in graph.weights.items() if array.dtype.name in _INTEGERS}
    kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in _INTEGERS]
    for node in graph.nodes:
        moved = node.op in MOVES and node.inputs[0] in found
        if moved or node.op in ("ArgMax", "Shape") or (node.op == "Cast" and node.attributes["to"] in kinds):
            found.update(node.outputs)
    return found

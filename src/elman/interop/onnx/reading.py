"""ONNX to a `Graph`: what is known is carried with its meaning, anything else is refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto

from elman.errors import InputError
from elman.graph import Graph, Node, Value, operators
from elman.graph._spec import Attribute
from elman.interop.onnx import files, recurrent
from elman.interop.onnx.draft import Draft
from elman.interop.onnx.versions import CHANGED, NEWEST, OLDEST, OPSET

PRODUCER = "elman"
"""Who wrote a file whose metadata are JSON."""
OPTIONAL = "elman.optional"
"""The metadata that names the inputs which may be left out in elman: ONNX has none of them."""

_CONVERSIONS: dict[str, Callable[[Draft, Node], None]] = {
    **CHANGED,
    **dict.fromkeys(recurrent.OPERATORS, recurrent.read),
}
_DOMAINS = ("", "ai.onnx")
_MOST = 50  # foreign operators that are named


def read(path: str | os.PathLike[str]) -> Graph:
    """Read an ONNX file as data: parsed, never run.

    RNN, LSTM and GRU become `Recurrent` nodes in elman's layout; the final state of a row of length 0 is its initial
    state. The other operators of `elman.graph.operators()` are carried as they are, from opset 7 to 25; what the file
    says in `metadata_props` becomes the facts.

    Raises: InputError for a file that is damaged, reaches outside its folder, or says what elman has no operator for;
        all operators it has not are named at once.
    """
    path = Path(path)
    model = files.load(path)
    draft = Draft(str(path), _opset(model, path))
    _check_operators(model, path)
    draft.weights |= files.weights(model, path)
    facts, optional = _facts(model, path)
    inputs = [_value(v, path, optional) for v in model.graph.input if v.name not in draft.weights]
    ready = {value.name for value in inputs} | set(draft.weights)
    draft.taken |= ready | {name for node in model.graph.node for name in node.output}
    for proto in model.graph.node:
        _read_node(draft, proto, ready, path)
    outputs = [_value(v, path, ()) for v in model.graph.output]
    written = {name for node in draft.nodes for name in node.outputs}
    for value in outputs:
        if value.name not in written:
            raise InputError(f"{path}: no operator writes the output {value.name!r}.")
    needed = {name for node in draft.nodes for name in node.inputs}
    weights = {name: array for name, array in draft.weights.items() if name in needed}
    return Graph(tuple(inputs), tuple(outputs), tuple(draft.nodes), weights, facts)


def _opset(model: onnx.ModelProto, path: Path) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in _DOMAINS]
    if len(versions) != 1 or not OLDEST <= versions[0] <= NEWEST:
        raise InputError(f"{path}: operator sets {versions}; expected one from {OLDEST} to {NEWEST}.")
    return int(versions[0])


def _check_operators(model: onnx.ModelProto, path: Path) -> None:
    """Raise InputError with everything in the file that elman has no operator for."""
    known = {"Constant", *_CONVERSIONS, *operators()}
    foreign = {
        f"{node.domain}.{node.op_type}" if node.domain not in _DOMAINS else node.op_type
        for node in model.graph.node
        if node.op_type not in known or node.domain not in _DOMAINS
    }
    foreign |= {f"function {function.name}" for function in model.functions}
    foreign |= {f"sparse tensor {sparse.values.name}" for sparse in model.graph.sparse_initializer}
    if foreign:
        named = ", ".join(name[:60] for name in sorted(foreign)[:_MOST])
        more = f" and {len(foreign) - _MOST} others" if len(foreign) > _MOST else ""
        raise InputError(f"{path}: elman cannot carry {named}{more}. It knows {', '.join(sorted(known))}.")


def _read_node(draft: Draft, proto: onnx.NodeProto, ready: set[str], path: Path) -> None:
    """Bring one node into the draft."""
    attributes = {a.name: _attribute(draft, proto, a, path) for a in proto.attribute}
    node = Node(proto.op_type, tuple(proto.input), tuple(proto.output), attributes)
    for name in node.inputs:
        if name and name not in ready:
            raise draft.refusal(node, f"it reads {name!r}, which nothing before it writes")
    for name in filter(None, node.outputs):
        if name in ready:
            raise draft.refusal(node, f"{name!r} is written twice")
        ready.add(name)
    if not _fits(node, draft.opset):
        raise draft.refusal(node, f"opset {draft.opset} has none with such inputs, outputs or attributes")
    if node.op == "Constant":
        draft.weights[node.outputs[0]] = _constant(draft, node)
        return
    before = len(draft.nodes)
    if node.op in _CONVERSIONS:
        _CONVERSIONS[node.op](draft, node)
    else:
        draft.nodes.append(node)
    for new in draft.nodes[before:]:
        if new.op != "Recurrent" and not (new.op in operators() and _fits(new, OPSET)):
            raise draft.refusal(node, f"elman has no {new.op} with these inputs and {dict(new.attributes)}")


def _fits(node: Node, opset: int) -> bool:
    """Whether an operator set has such a node."""
    if not onnx.defs.has(node.op, opset, ""):
        return False
    schema = onnx.defs.get_schema(node.op, opset)
    return (
        schema.min_input <= len(node.inputs) <= schema.max_input
        and schema.min_output <= len(node.outputs) <= schema.max_output
        and set(node.attributes) <= set(schema.attributes)
        and all(
            name in node.attributes for name, attribute in schema.attributes.items() if attribute.required
        )
    )


def _attribute(draft: Draft, proto: onnx.NodeProto, attribute: AttributeProto, path: Path) -> Attribute:
    """The value of an attribute, of the type the operator set says; of a tensor the name of the weight it becomes."""
    kind = AttributeProto.AttributeType.Name(attribute.type)
    op = proto.op_type
    known: Mapping[str, Any] = {}
    if onnx.defs.has(op, draft.opset, ""):
        known = onnx.defs.get_schema(op, draft.opset).attributes
    if attribute.name not in known or known[attribute.name].type.name != kind:
        raise InputError(
            f"{path}: {op} of opset {draft.opset} has no attribute {attribute.name!r} that is a {kind}."
        )
    if kind == "TENSOR":
        if attribute.t.external_data:
            raise InputError(f"{path}: {op} keeps a constant in another file; expected it in the model.")
        return draft.weight("constant", files.array(attribute.t, path.parent, str(path)))
    if kind in ("FLOAT", "INT"):
        return attribute.f if kind == "FLOAT" else attribute.i
    if kind in ("FLOATS", "INTS"):
        return list(attribute.floats) if kind == "FLOATS" else list(attribute.ints)
    if kind == "STRING":
        return attribute.s.decode("utf-8", "replace")
    if kind == "STRINGS":
        return [text.decode("utf-8", "replace") for text in attribute.strings]
    raise InputError(f"{path}: attribute {attribute.name!r} of {op} is a {kind}; elman carries none.")


def _constant(draft: Draft, node: Node) -> Any:
    (kind, value), *more = node.attributes.items() or [("nothing", "")]
    if kind == "value" and not more:
        return draft.weights[str(value)]
    kinds = {"value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64"}
    if kind not in kinds or more:
        raise draft.refusal(node, f"it holds {', '.join(node.attributes) or 'nothing'}; expected one tensor")
    return np.asarray(value, kinds[kind])


def _value(info: onnx.ValueInfoProto, path: Path, optional: Iterable[str]) -> Value:
    """An input or output: its dtype and axes."""
    where = f"{path}: {info.name!r}"
    if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
        raise InputError(f"{where} is no tensor with axes; `onnx.shape_inference.infer_shapes` may add them.")
    axes = tuple(
        dim.dim_value
        if dim.HasField("dim_value") and dim.dim_value >= 0
        else dim.dim_param or f"{info.name}.{k}"
        for k, dim in enumerate(info.type.tensor_type.shape.dim)
    )
    dtype = files.dtype(info.type.tensor_type.elem_type, where)
    return Value(info.name, str(dtype), axes, info.name in optional)


def _facts(model: onnx.ModelProto, path: Path) -> tuple[dict[str, Any], list[str]]:
    """The metadata, as JSON if elman wrote them, and the inputs that may be left out."""
    said = {entry.key: entry.value for entry in model.metadata_props}
    if model.producer_name != PRODUCER:
        return dict(said), []
    try:
        facts = {key: json.loads(text) for key, text in said.items()}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its metadata are damaged: {error}.") from error
    optional = facts.pop(OPTIONAL, [])
    return facts, optional if isinstance(optional, list) else []

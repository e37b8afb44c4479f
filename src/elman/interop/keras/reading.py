"""Keras to a `Graph`: the layers in the order in which they can run, each by its own function."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from elman.errors import InputError
from elman.graph import Graph
from elman.interop.keras import archive, layers
from elman.interop.keras.archive import Stored
from elman.interop.keras.draft import Draft, Flow
from elman.interop.keras.layer import Layer, dtype_of, kind_of, places

Reference: TypeAlias = tuple[str, int]
"""An output of a layer: the name of the layer, the number of the output."""

MODELS = ("Sequential", "Functional", "Model")
INPUT = "InputLayer"
OPERATIONS = ("NotEqual", "Any")
"""What Keras 3 writes for the mask of an Embedding or a Masking."""
LARGEST = 100_000
_QUIET: tuple[Any, ...] = (None, False, [], {})


@dataclass(frozen=True)
class Entry:
    """A layer where it stands: what it reads, which mask it was handed, and other arguments of its call."""

    spec: Mapping[str, Any]
    name: str
    reads: tuple[Reference, ...]
    mask: Reference | None = None
    arguments: tuple[Any, ...] = ()

    @property
    def needs(self) -> set[str]:
        """The layers that have to run before."""
        return {name for name, _ in (*self.reads, *([self.mask] if self.mask else []))}


def read(
    path: str | os.PathLike[str], config: str | os.PathLike[str] | Mapping[str, Any] | None = None
) -> Graph:
    """Read a model of Keras 1, 2 or 3 as data: `.keras`, or `.h5`; neither Keras nor anything in the file is run.

    Sequential models, and functional ones whose layers each read one other: Embedding, Masking, SimpleRNN, LSTM, GRU
    and their CuDNN forms, Bidirectional, Dense, TimeDistributed(Dense), Activation, Flatten, BatchNormalization, and
    Dropout, which is nothing here. Masks mean what they mean to Keras, wherever the masked steps are. A stateful layer
    gets optional inputs for its states, `lstm.h`, and outputs that hold them afterwards, `lstm.h.after`, as the facts
    tell. The model computes in float32, or float64 if its weights are.

    Args:
        path: the file. config: the architecture if the file has only weights (`.weights.h5`): the JSON of
            `model.to_json()`, as text, as a dict or as a file.
    Returns: a graph with the model's inputs (named as the input layers) and outputs (named as the last layers).
    Raises: InputError for a damaged file, and by name for whatever is not carried: other layers, options, custom
        objects, Lambda.
    """
    stored = archive.load(Path(path), config)
    draft = Draft(dtype_of(stored))
    entries, outputs = _entries(stored)
    flows: dict[Reference, Flow] = {}
    kinds = [kind_of(entry.spec, stored.where)[0] for entry in entries]
    where = dict(zip((entry.name for entry in entries), places(kinds, stored), strict=True))
    for entry in _ordered(entries, stored.where):
        for number, flow in enumerate(_layer(draft, stored, entry, where[entry.name], flows, entries)):
            flows[entry.name, number] = flow
    missing = [reference for reference in outputs if reference not in flows]
    if missing or not outputs:
        raise InputError(f"{stored.where}: an output of the model, {missing[:1]}, is written by no layer.")
    several = {name for name, number in outputs if number}
    named = {f"{name}.{n}" if name in several else name: flows[name, n] for name, n in outputs}
    if len(named) != len(outputs):
        raise InputError(f"{stored.where}: one tensor is given out twice.")
    return draft.graph(named, {"source": f"Keras {stored.version}"}, stored.where)


def _entries(stored: Stored) -> tuple[list[Entry], list[Reference]]:
    """The layers of the model, an input layer first, and its outputs."""
    kind, config = stored.model["class_name"], stored.model["config"]
    if kind not in MODELS:
        kind_of({**stored.model, "config": {}}, stored.where)
        raise InputError(
            f"{stored.where}: the model is of class {kind!r:.60}, a program of its own; expected Sequential or a"
            " functional model."
        )
    specs = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(specs, list) or not 0 < len(specs) <= LARGEST:
        raise InputError(f"{stored.where}: the model has no list of layers.")
    for spec in specs:
        if not isinstance(spec, dict) or not isinstance(spec.get("config"), dict):
            raise InputError(f"{stored.where}: an entry of the architecture is no layer: {spec!r:.80}.")
    if kind == "Sequential":
        built = config.get("build_input_shape") if isinstance(config, dict) else None
        entries = _sequential(specs, built, stored.where)
        outputs = [(entries[-1].name, 0)]
    else:
        entries = [_functional(spec, stored.where) for spec in specs]
        outputs = _references(config.get("output_layers"), stored.where)
    if len({entry.name for entry in entries}) != len(entries):
        raise InputError(f"{stored.where}: two layers have one name.")
    return entries, outputs


def _sequential(specs: list[dict[str, Any]], built: Any, where: str) -> list[Entry]:
    entries: list[Entry] = []
    if specs[0].get("class_name") != INPUT:
        shapes = (specs[0]["config"].get("batch_input_shape"), built, _build_shape(specs[0]))
        shape = next((shape for shape in shapes if shape is not None), None)
        if shape is None:
            raise InputError(
                f"{where}: the model was saved before it knew the shape of its input; call it once, then save."
            )
        spec = {"class_name": INPUT, "config": {"batch_shape": shape}}
        entries.append(Entry(spec, f"{_name(specs[0])}_input", ()))
    for spec in specs:
        entries.append(Entry(spec, _name(spec), ((entries[-1].name, 0),) if entries else ()))
    return entries


def _build_shape(spec: dict[str, Any]) -> Any:
    built = spec.get("build_config")
    return built.get("input_shape") if isinstance(built, dict) else None


def _name(spec: Mapping[str, Any]) -> str:
    return str(spec.get("name") or spec["config"].get("name") or spec.get("class_name"))


def _functional(spec: dict[str, Any], where: str) -> Entry:
    name, nodes = _name(spec), spec.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) > 1:
        raise InputError(
            f"{where}: layer {name!r} is used more than once, or its place is not told; not carried."
        )
    if not nodes:
        return Entry(spec, name, ())
    node = nodes[0]
    if isinstance(node, dict):  # Keras 3
        arguments, named = node.get("args"), node.get("kwargs")
        if not isinstance(arguments, list) or not isinstance(named, dict):
            raise InputError(f"{where}: the place of layer {name!r} is damaged.")
        tensors = [found for argument in arguments for found in _tensors(argument)]
        mask = [*_tensors(named.get("mask")), None][0]
        rest = tuple(argument for argument in arguments if not _tensors(argument))
    else:
        tensors, mask, rest = _references(node, where), None, ()
        calls = node if isinstance(node, list) and node and isinstance(node[0], list) else [node]
        if not tensors or not all(isinstance(call, list) and call for call in calls):
            raise InputError(f"{where}: the place of layer {name!r} is damaged.")
        named = {k: v for call in calls if isinstance(call[-1], dict) for k, v in call[-1].items()}
    used = [k for k, v in named.items() if v not in _QUIET and not (k == "mask" and mask)]
    if used:
        raise InputError(
            f"{where}: layer {name!r} is called with {', '.join(used)}, which elman does not carry."
        )
    return Entry(spec, name, tuple(tensors), mask, rest)


def _tensors(value: Any) -> list[Reference]:
    """The tensors in an argument, as Keras 3 writes them."""
    if isinstance(value, list):
        return [found for item in value for found in _tensors(item)]
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        history = config.get("keras_history") if isinstance(config, dict) else None
        if isinstance(history, list) and len(history) == 3 and isinstance(history[0], str):
            return [(history[0], history[2] if isinstance(history[2], int) else 0)]
    return []


def _references(value: Any, where: str) -> list[Reference]:
    """One or several [layer, node, tensor], as Keras 1 and 2 write them, and all for the ends of a model."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        value = [value]
    found = [item[:3] for item in value if isinstance(item, list)] if isinstance(value, list) else []
    for item in found:
        if len(item) != 3 or not isinstance(item[0], str) or not isinstance(item[2], int):
            raise InputError(f"{where}: {item!r:.60} names no output of a layer.")
    return [(item[0], item[2]) for item in found]


def _ordered(entries: list[Entry], where: str) -> list[Entry]:
    """The entries, each behind those it needs. Raises InputError for a cycle."""
    by_name = {entry.name: entry for entry in entries}
    waiting = {entry.name: set(entry.needs) for entry in entries}
    readers: dict[str, list[str]] = {}
    for entry in entries:
        for name in entry.needs:
            if name not in by_name:
                raise InputError(f"{where}: layer {entry.name!r} reads {name!r}, which is not there.")
            readers.setdefault(name, []).append(entry.name)
    ready = deque(name for name, needs in waiting.items() if not needs)
    ordered = []
    while ready:
        name = ready.popleft()
        ordered.append(by_name[name])
        for reader in readers.get(name, []):
            waiting[reader].discard(name)
            if not waiting[reader]:
                ready.append(reader)
    if len(ordered) < len(entries):
        left = sorted(set(by_name) - {entry.name for entry in ordered})
        raise InputError(f"{where}: the layers {', '.join(left[:3])} read each other in a circle.")
    return ordered


def _layer(
    draft: Draft,
    stored: Stored,
    entry: Entry,
    place: str,
    flows: Mapping[Reference, Flow],
    entries: list[Entry],
) -> list[Flow]:
    """What one layer gives."""
    kind = kind_of(entry.spec, stored.where)[0]
    if kind == INPUT:
        return [_input(draft, stored, entry, entries)]
    layer = Layer(draft, stored, entry.spec, place)
    layer.name = entry.name
    if kind not in layers.LAYERS and kind not in OPERATIONS:
        known = ", ".join(sorted(layers.LAYERS))
        raise layer.refusal(f"not a layer elman carries, so the model is not read; carried are {known}")
    if len(entry.reads) != 1 or entry.reads[0] not in flows or (entry.mask and entry.mask not in flows):
        raise layer.refusal(f"it reads {len(entry.reads)} tensors; expected one output of another layer")
    x = flows[entry.reads[0]]
    if kind in OPERATIONS:
        return [_operation(layer, entry, x)]
    if entry.mask:
        x = replace(x, mask=flows[entry.mask].name)
    outputs = layers.LAYERS[kind](layer, x)
    layer.finish()
    return outputs


def _operation(layer: Layer, entry: Entry, x: Flow) -> Flow:
    """A step of the computation of a mask, as it stands in the file."""
    if layer.kind == "Any":
        if layer.option("axis") != -1 or layer.flag("keepdims") or entry.arguments:
            raise layer.refusal("only the test over the features, axis=-1, is carried")
        return Flow(layers.any_feature(layer, x.name), x.axes[:-1])
    if len(entry.arguments) != 1 or not isinstance(entry.arguments[0], int | float):
        raise layer.refusal("only the test against a number is carried")
    return Flow(layers.unequal(layer, x.name, entry.arguments[0], whole=len(x.axes) == 2), x.axes)


def _input(draft: Draft, stored: Stored, entry: Entry, entries: list[Entry]) -> Flow:
    """An input of the model: symbols where an Embedding reads it, numbers elsewhere; any batch, any open time."""
    config = entry.spec["config"]
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    sizes = shape[1:] if isinstance(shape, list) else []
    if not sizes or not all(size is None or (type(size) is int and size > 0) for size in sizes):
        raise InputError(
            f"{stored.where}: input {entry.name!r} has shape {shape!r:.60}; expected [null, ...]."
        )
    if None in sizes[1:]:
        raise InputError(
            f"{stored.where}: input {entry.name!r}: the number of features is open; not carried."
        )
    alone = sum(other.spec.get("class_name") == INPUT for other in entries) == 1
    time = "time" if alone else f"{entry.name}.time"
    readers = [other for other in entries if (entry.name, 0) in other.reads]
    symbols = any(other.spec.get("class_name") == "Embedding" for other in readers)
    axes = ("batch", sizes[0] or time, *sizes[1:])
    name = draft.input(entry.name, "int64" if symbols else draft.dtype.name, axes)
    return Flow(name, axes)

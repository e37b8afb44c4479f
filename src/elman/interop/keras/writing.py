"""A `Graph` to Keras: the layers are found one after the other, each proved by the reader's own function.

What a layer would be read as is compared with the graph before it is taken: same operators, same weights. So what is
written is what would be read, or it is refused.
"""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from elman.errors import InputError
from elman.graph import Array, Graph
from elman.interop.keras import archive, checking, layers
from elman.interop.keras.archive import Stored
from elman.interop.keras.candidates import Candidate, candidates
from elman.interop.keras.draft import Draft, Flow
from elman.interop.keras.layer import Layer, places
from elman.interop.keras.matching import Marks, Plain
from elman.interop.keras.reading import read
from elman.runfolder import disk

VERSION = "3.0.0"
"""The Keras whose file it is: the first with this format, which later ones read."""
_TIME = (1980, 1, 1, 0, 0, 0)


def write(graph: Graph, path: str | os.PathLike[str], *, with_keras: bool | None = None) -> None:
    """Write a `.keras` file that Keras 3 loads and that gives what the graph gives.

    The graph has to be a chain of what layers of Keras compute: Embedding, Masking, SimpleRNN, LSTM, GRU (masks and
    Bidirectional included), Dense, Activation, Flatten, BatchNormalization. Symbols a Recurrent reads become an
    Embedding of one-hot rows. Initial states that may be left out are, with the final states that belong to them.

    Args:
        path: ends in .keras; a file there is replaced, once the new one is proved.
        with_keras: run the file in Keras, in a process of its own, and compare; by default if Keras is installed. It is
            read back and compared with the graph in any case.
    Raises: InputError, by name, for what no layer of Keras is; for a file that does not give the same. Nothing is
        written then.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise InputError(f"{path}: Keras knows its files by the ending .keras; name the file so.")
    archive.check_h5py(str(path))
    chain = _Chain(graph, str(path))
    chain.follow()
    data = chain.file()
    with tempfile.TemporaryDirectory(prefix="elman-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(data)
        again = read(copy)
        if Plain(again).wanted([value.name for value in again.outputs]) != chain.wanted:
            raise InputError(f"{path}: what was written reads as another model; nothing is kept.")
        if checking.installed() if with_keras is None else with_keras:
            checking.compare(copy, graph, chain.outputs, str(path))
    disk.replace(path, data)


class _Chain:
    """The layers found so far, and what they give."""

    def __init__(self, graph: Graph, where: str) -> None:
        self.graph, self.where, self.plain = graph, where, Plain(graph)
        if len(self.plain.inputs) != 1:
            names = ", ".join(value.name for value in self.plain.inputs)
            raise InputError(
                f"{where}: the graph reads {names or 'nothing'}; a chain of layers has one input."
            )
        kinds = {array.dtype.name for array in self.plain.weights.values() if array.dtype.kind == "f"}
        self.draft = Draft(np.dtype("float64" if "float64" in kinds else "float32"))
        value = self.plain.inputs[0]
        self.source = value
        self.flow = Flow(self.draft.input(value.name, value.dtype, value.axes), value.axes)
        self._marks, self._marked, self._tried = Marks([value.name]), 0, 0
        self.outputs = self._kept_outputs()
        self.wanted = self.plain.wanted(self.outputs)
        self.found: list[Candidate] = []
        self.axes: list[tuple[int | str, ...]] = []
        self.given: dict[str, tuple[int, int]] = {self._mark(self.flow.name): (-1, 0)}
        self._read = {self.plain.marks[name] for node in self.plain.nodes for name in node.inputs}

    def follow(self) -> None:
        """Find layer after layer until every output is given."""
        while self._next(self._mark(self.flow.name)):
            pass
        missing = [
            name for name, mark in zip(self.outputs, self.wanted, strict=True) if mark not in self.given
        ]
        if missing or not self.found:
            nodes = self.plain.readers(self._mark(self.flow.name))
            names = ", ".join(dict.fromkeys(node.op for node in nodes)) or "nothing"
            raise InputError(
                f"{self.where}: output {', '.join(missing)} cannot be carried: behind"
                f" {self.found[-1].kind if self.found else 'the input'}, {names} is no chain of layers of Keras."
            )

    def file(self) -> bytes:
        """The `.keras` file."""
        kinds = [one.kind for one in self.found]
        arrays = {
            f"{place}/{name}": array
            for place, one in zip(places(kinds, self._stored({})), self.found, strict=True)
            for name, array in one.arrays.items()
        }
        config = json.dumps(self._config(), indent=1).encode()
        metadata = {"keras_version": VERSION, "date_saved": datetime.now(UTC).strftime("%Y-%m-%d@%H:%M:%S")}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
            for name, content in (
                (archive.METADATA, json.dumps(metadata).encode()),
                (archive.CONFIG, config),
                (archive.WEIGHTS, _hdf5(arrays, places(kinds, self._stored({})))),
            ):
                file.writestr(zipfile.ZipInfo(name, _TIME), content)
        return packed.getvalue()

    def _next(self, mark: str) -> bool:
        """Whether there is a layer that comes next, one whose output the graph has; it is taken."""
        for candidate in candidates(self.plain, self.flow, mark):
            flows = self._replay(candidate)
            marks = [self._mark(flow.name) for flow in flows]
            several = candidate.config.get("merge_mode", "") is None
            if marks[0] == mark or not (marks[0] in self._read or marks[0] in self.wanted):
                continue
            if several and not {*marks[:2]} <= {*self.wanted}:
                continue
            needed = any(m in self.wanted and m != marks[0] for m in marks[1 + several :])
            if not needed:
                candidate = _without_states(candidate)
                marks = marks[: 1 + several]
            self.given |= {m: (len(self.found), number) for number, m in reversed([*enumerate(marks)])}
            self.found.append(candidate)
            self.axes.append(self.flow.axes)
            self.flow = flows[0]
            return True
        return False

    def _replay(self, candidate: Candidate) -> list[Flow]:
        """What the reader makes of a layer."""
        stored = self._stored({f"layers/it/{name}": array for name, array in candidate.arrays.items()})
        layer = Layer(
            self.draft, stored, {"class_name": candidate.kind, "config": candidate.config}, "layers/it"
        )
        self._tried += 1
        layer.name = f"{candidate.kind}{self._tried}"
        return layers.LAYERS[candidate.kind](layer, self.flow)

    def _stored(self, arrays: Mapping[str, Array]) -> Stored:
        return Stored(self.where, VERSION, {}, arrays)

    def _mark(self, name: str) -> str:
        self._marks.weigh(self.draft.weights)
        self._marks.add(self.draft.nodes[self._marked :])
        self._marked = len(self.draft.nodes)
        return self._marks[name]

    def _kept_outputs(self) -> list[str]:
        """The outputs but the final states whose initial states are left out."""
        left = {value.axes for value in self.graph.inputs if value.optional}
        return [value.name for value in self.graph.outputs if value.axes not in left]

    def _config(self) -> dict[str, Any]:
        """The functional model."""
        names = [
            place.partition("/")[2] for place in places([one.kind for one in self.found], self._stored({}))
        ]
        source = self.source.name if re.fullmatch(r"[A-Za-z][\w.-]*", self.source.name) else "input"
        symbols = self.source.dtype == "int64"
        dtype = "int32" if symbols else self.draft.dtype.name
        entries: list[dict[str, Any]] = [
            _entry(
                "InputLayer",
                source,
                {"batch_shape": _shape(self.source.axes), "dtype": dtype, "name": source},
                [],
            )
        ]
        before = source
        for name, one, axes in zip(names, self.found, self.axes, strict=True):
            config = {"name": name, "dtype": self.draft.dtype.name, **one.config}
            tensor = {"shape": _shape(axes), "dtype": self.draft.dtype.name, "keras_history": [before, 0, 0]}
            node = {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}
            entries.append(_entry(one.kind, name, config, [node]))
            before = name
        ends = [
            [([*names, source])[layer], 0, number]
            for layer, number in map(self.given.__getitem__, self.wanted)
        ]
        config = {"name": "elman", "trainable": True, "layers": entries, "input_layers": [[source, 0, 0]]}
        config["output_layers"] = ends if len(ends) > 1 else ends[0]
        module = "keras.src.models.functional"
        return {
            "module": module,
            "class_name": "Functional",
            "config": config,
            "registered_name": "Functional",
        }


def _shape(axes: tuple[int | str, ...]) -> list[int | None]:
    return [size if isinstance(size, int) else None for size in axes]


def _entry(kind: str, name: str, config: Mapping[str, Any], nodes: list[Any]) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": dict(config),
        "registered_name": None,
        "name": name,
        "inbound_nodes": nodes,
    }


def _without_states(candidate: Candidate) -> Candidate:
    """The layer without return_state."""
    config = {**candidate.config}
    if "return_state" in config:
        config["return_state"] = False
    for part in ("layer", "backward_layer"):
        if part in config:
            config[part] = {**config[part], "config": {**config[part]["config"], "return_state": False}}
    return Candidate(candidate.kind, config, candidate.arrays)


def _hdf5(arrays: Mapping[str, Array], groups: list[str]) -> bytes:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for place in groups:
            file.require_group(f"{place}/vars")
        for place, array in arrays.items():
            file[place] = array
    return content.getvalue()

"""A state dict as a model: the layers it can only have come from, one after the other."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from elman import cells
from elman.errors import InputError, check_choice
from elman.graph import RECURRENT_WEIGHTS, Array, Builder, Graph
from elman.interop.torch.state import PICKLED, read_state

_RECURRENT = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")
_GATES = {1: "rnn", 3: "gru", 4: "lstm"}
_LARGEST_CHAIN = 7  # layers whose order is looked for


@dataclass(frozen=True)
class _Part:
    """One torch.nn module: reads vectors of `reads` features (0: symbols), writes vectors of `writes`."""

    kind: Literal["Embedding", "recurrent", "Linear"]
    name: str
    tensors: Mapping[str, Array]
    reads: int
    writes: int


def read(path: str | os.PathLike[str], *, cell: str | None = None) -> Graph:
    """A state dict as a graph: embedding, recurrent stacks and linear layers, one after the other.

    A state dict says neither how the layers are joined nor what stands between them. It is read where their sizes leave
    one order, or else that of the file (safetensors have none): [Embedding,] RNN, LSTM or GRU of any depth, Linear, ...
    with nothing between, batch first. A first matrix without bias is an embedding where it can be one. The number of
    gates says the cell; `cell` names it where it is another ("rnn_relu").

    The graph: symbols (batch, time), or x (batch, time, I), and for each layer k of one direction the state before,
    `NAME.h_0_lk` (and c), which may be left out; to `output` of the last layer at every step, and the states after.

    Raises InputError: see `read_state`; tensors of other layers or of other shapes than their layer's (named), sizes
    that no order fits, or a `cell` where nothing is recurrent.
    """
    state = read_state(path)
    dtypes = {array.dtype.name for array in state.values()}
    if len(dtypes) != 1 or not dtypes <= {"float32", "float64"}:
        raise InputError(
            f"{path}: tensors of {', '.join(sorted(dtypes)) or 'nothing'}, expected all of float32 or float64."
        )
    if strange := [name for name in state if not name.isprintable()]:
        raise InputError(f"{path}: a tensor is named {strange[0]!r:.80}, expected what can be printed.")
    parts = _ordered(_parts(state, path, cell), path)
    if cell and not any(part.kind == "recurrent" for part in parts):
        raise InputError(
            f"{path}: holds no recurrent layer that could be of the cell {cell!r}; leave cell out."
        )
    (dtype,) = dtypes
    b = Builder()
    if parts[0].kind == "Embedding":
        flow = b.input("symbols", "int64", ("batch", "time"))
    else:
        flow = b.input("x", dtype, ("batch", "time", parts[0].reads))
    for part in parts:
        prefix = f"{part.name}." if part.name else ""
        if part.kind == "Embedding":
            flow = b.gather(b.weight(f"{prefix}weight", part.tensors["weight"]), flow)
        elif part.kind == "recurrent":
            flow = _stack(b, part, flow, _cell(part.name, part.tensors, cell, path))
        else:
            weight = b.weight(f"{prefix}weight", part.tensors["weight"])
            flow = b.mat_mul(flow, b.transpose(weight, perm=[1, 0]))
            if "bias" in part.tensors:
                flow = b.add(flow, b.weight(f"{prefix}bias", part.tensors["bias"]))
    b.output("output", flow, dtype, ("batch", "time", parts[-1].writes))
    return b.graph()


def _parts(state: Mapping[str, Array], path: str | os.PathLike[str], cell: str | None) -> list[_Part]:
    groups: dict[str, dict[str, Array]] = {}
    for name, array in state.items():
        module, _, leaf = name.rpartition(".")
        groups.setdefault(module, {})[leaf] = array
    return [_part(module, tensors, path, cell) for module, tensors in groups.items()]


def _part(name: str, tensors: dict[str, Array], path: str | os.PathLike[str], cell: str | None) -> _Part:
    shapes = ", ".join(f"{leaf} {array.shape}" for leaf, array in tensors.items())
    if all(_RECURRENT.fullmatch(leaf) for leaf in tensors) and {"weight_ih_l0", "weight_hh_l0"} <= set(
        tensors
    ):
        _check_stack(name, tensors, cell, path)
        directions = 2 if "weight_ih_l0_reverse" in tensors else 1
        writes = directions * tensors["weight_hh_l0"].shape[1]
        return _Part("recurrent", name, tensors, tensors["weight_ih_l0"].shape[1], writes)
    weight, bias = tensors.get("weight"), tensors.get("bias")
    known = weight is not None and weight.ndim == 2 and set(tensors) <= {"weight", "bias"}
    if weight is None or not known or (bias is not None and bias.shape != weight.shape[:1]):
        raise InputError(
            f"{path}: {name or 'the model'} is no layer that can be read from its tensors ({shapes});"
            " expected Embedding, RNN, LSTM, GRU and Linear."
        )
    return _Part("Linear", name, tensors, weight.shape[1], weight.shape[0])


def _check_stack(
    name: str, tensors: Mapping[str, Array], cell: str | None, path: str | os.PathLike[str]
) -> None:
    """Raise InputError unless the tensors are those of one stack: all of them, each of its shape."""
    for leaf, array in tensors.items():
        if array.ndim != (1 if leaf.startswith("bias") else 2):
            raise InputError(f"{path}: {name}.{leaf} has shape {array.shape}, which no recurrent layer has.")
    rows = len(tensors["weight_ih_l0"])
    hidden = rows // len(_cell(name, tensors, cell, path).gates)
    size = len(tensors["weight_hr_l0"]) if "weight_hr_l0" in tensors else hidden
    directions = (False, True)[: 2 if "weight_ih_l0_reverse" in tensors else 1]
    depth = len({leaf for leaf in tensors if re.fullmatch(r"weight_ih_l\d+", leaf)})
    expected: dict[str, tuple[int, ...]] = {}
    for number, reverse in itertools.product(range(depth), directions):
        reads = len(directions) * size if number else tensors["weight_ih_l0"].shape[1]
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, reads), "weight_hh": (rows, size)}
        shapes |= {stem: (rows,) for stem in ("bias_ih", "bias_hh") if f"{stem}_l0" in tensors}
        shapes |= {"weight_hr": (size, hidden)} if "weight_hr_l0" in tensors else {}
        expected |= {stem + cells.suffix(number, reverse): shape for stem, shape in shapes.items()}
    found = {leaf: array.shape for leaf, array in tensors.items()}
    for leaf in sorted(found.keys() | expected.keys()):
        if found.get(leaf) != expected.get(leaf):
            told = f"has shape {found[leaf]}" if leaf in found else "is missing"
            wanted = expected.get(leaf, "no such tensor")
            raise InputError(f"{path}: {name}.{leaf} {told}, expected {wanted} in {depth} x {hidden} units.")


def _cell(
    name: str, tensors: Mapping[str, Array], cell: str | None, path: str | os.PathLike[str]
) -> cells.Cell:
    rows = len(tensors["weight_ih_l0"])
    hidden = (
        tensors["weight_hr_l0"].shape[1] if "weight_hr_l0" in tensors else tensors["weight_hh_l0"].shape[1]
    )
    gates = rows // hidden if hidden and rows % hidden == 0 else 0
    if gates not in _GATES:
        raise InputError(
            f"{path}: {name}.weight_ih_l0 has {rows} rows, expected 1, 3 or 4 times {hidden} units."
        )
    alike = [name for name in cells.names() if cells.get(name).layouts]
    found = cells.get(check_choice("cell", cell or _GATES[gates], alike))
    if len(found.gates) != gates:
        raise InputError(f"{path}: {name} has {gates} gates, but {found.name} has {len(found.gates)}.")
    return found


def _ordered(parts: Sequence[_Part], path: str | os.PathLike[str]) -> list[_Part]:
    """The one order in which each part writes what the next reads; of several, that of the file, if it has one."""
    told = "; ".join(f"{part.name or part.kind} {part.reads} -> {part.writes}" for part in parts)
    if len(parts) > _LARGEST_CHAIN:
        raise InputError(
            f"{path}: {len(parts)} layers ({told}), expected at most {_LARGEST_CHAIN} in a chain."
        )
    found = []
    for order in itertools.permutations(parts):
        chains = [chain for chain in (_embedded(order), list(order)) if chain]
        found += [c for c in chains if all(a.writes == b.reads for a, b in itertools.pairwise(c))][:1]
        if found and list(order) == list(parts) and Path(path).suffix.lower() in PICKLED:
            return found[-1]  # those of safetensors are sorted by name
    if len(found) != 1:
        raise InputError(
            f"{path}: {'no order' if not found else 'more than one order'} of its layers fits their sizes ({told});"
            " read the tensors with elman.interop.torch.read_state and join them in Python."
        )
    return found[0]


def _embedded(order: Sequence[_Part]) -> list[_Part]:
    """The order with its first layer as an embedding: where it has no bias, and stands before a recurrent one."""
    first = order[0]
    if first.kind != "Linear" or "bias" in first.tensors or [part.kind for part in order[1:2]] == ["Linear"]:
        return []
    return [_Part("Embedding", first.name, first.tensors, 0, first.tensors["weight"].shape[1]), *order[1:]]


def _stack(b: Builder, part: _Part, flow: str, spec: cells.Cell) -> str:
    """The layers of one module, one node each; returns the name of the last one's output."""
    both = "weight_ih_l0_reverse" in part.tensors
    prefix = f"{part.name}." if part.name else ""
    dtype = part.tensors["weight_hh_l0"].dtype.name
    hidden = len(part.tensors["weight_hh_l0"]) // len(spec.gates)
    number = 0
    while f"weight_ih_l{number}" in part.tensors:
        weights = [
            {
                stem: b.weight(prefix + stem + suffix, part.tensors[stem + suffix])
                for stem in RECURRENT_WEIGHTS
                if stem + suffix in part.tensors
            }
            for suffix in (cells.suffix(number, reverse) for reverse in (False, True)[: 1 + both])
        ]
        if both:
            flow, *_ = b.recurrent(spec.name, flow, weights, direction="bidirectional")
        else:
            sizes = {"h": part.tensors["weight_hh_l0"].shape[1], "c": hidden}
            axes = {state: (1, "batch", sizes[state]) for state in spec.state_names}
            before: dict[str, Any] = {
                f"{state}_0": b.input(f"{prefix}{state}_0_l{number}", dtype, axes[state], optional=True)
                for state in spec.state_names
            }
            flow, *after = b.recurrent(spec.name, flow, weights, **before)
            for state, value in zip(spec.state_names, after, strict=True):
                b.output(f"{prefix}{state}_n_l{number}", value, dtype, axes[state])
        number += 1
    return flow

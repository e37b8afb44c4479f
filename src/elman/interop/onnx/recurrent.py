"""RNN, LSTM and GRU of ONNX to `Recurrent` and back: gate orders by `Cell.layouts`, options by the specification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from elman import cells
from elman.cells import Cell, Layout
from elman.errors import check_choice
from elman.graph import RECURRENT_WEIGHTS, Array, Node
from elman.graph._spec import Attribute
from elman.graph.recurrence import ACTIVATIONS, DIRECTIONS, own_activations
from elman.interop.layouts import reorder
from elman.interop.onnx.draft import Draft

OPERATORS = ("RNN", "LSTM", "GRU")
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
PEEPHOLES = ("i", "o", "f")
"""The order of P; weight_ch has that of the gates: i, f, o."""
ALPHA: dict[str, float | None] = {
    "Affine": None,
    "Elu": 1.0,
    "HardSigmoid": 0.2,
    "LeakyRelu": 0.01,
    "ScaledTanh": None,
    "ThresholdedRelu": 1.0,
}
"""The activations that read an alpha, and what it is if not given; None: it has to be."""
BETA: dict[str, float | None] = {"Affine": None, "HardSigmoid": 0.5, "ScaledTanh": None}
_INT32 = 6  # TensorProto.INT32

_CELLS = {
    layout.operator: cell
    for cell in map(cells.get, cells.names())
    if (layout := cell.layouts.get("onnx")) is not None
}
"""Cells by the operator that computes them: `GRU(linear_before_reset=1)`."""


def read(draft: Draft, node: Node) -> None:
    """Bring a node RNN, LSTM or GRU into the draft as `Recurrent`, with what turns its axes before and behind."""
    given = dict(zip(INPUTS, [*node.inputs, *[""] * len(INPUTS)], strict=False))
    said = str(node.attributes.get("direction", "forward"))
    direction = check_choice(f"direction of {node.op} in {draft.where}", said, DIRECTIONS)
    directions = len(DIRECTIONS[direction])
    cell, options = _options(draft, node, directions)
    if direction != "forward":
        options["direction"] = direction
    weights, hidden = _read_weights(draft, node, cell, directions)
    x, h_0, c_0 = given["X"], given["initial_h"], given["initial_c"]
    output, *ends = [*node.outputs, "", "", ""][: 1 + len(cell.states)]
    batch_first = bool(node.attributes.get("layout", 0))
    turned = [draft.name("state") if name and batch_first else name for name in ends]
    if batch_first:
        h_0, c_0 = (draft.add("Transpose", (s,), perm=[1, 0, 2]) if s else "" for s in (h_0, c_0))
    else:
        x = draft.add("Transpose", (x,), perm=[1, 0, 2])
    inner = draft.name("output") if output else ""
    inputs = (x, given["sequence_lens"], h_0, c_0, *weights)
    draft.nodes.append(Node("Recurrent", inputs, (inner, *turned), options))
    if output:
        shape = draft.weight("shape", np.array([0, 0, directions, hidden]))
        apart = draft.add("Reshape", (inner, shape), output if batch_first else "")
        if not batch_first:
            draft.add("Transpose", (apart,), output, perm=[1, 2, 0, 3])
    for name, end in zip(turned, ends, strict=True):
        if name != end:
            draft.add("Transpose", (name,), end, perm=[1, 0, 2])


def write(draft: Draft, node: Node, weights: Mapping[str, Array], symbols: bool) -> None:
    """Bring a `Recurrent` into the draft as RNN, LSTM or GRU; a row of no steps keeps its state, as it does in elman.

    symbols: its x are integers that stand for one-hot vectors.
    """
    cell = cells.get(str(node.attributes["cell"]))
    layout = cell.layouts.get("onnx")
    if layout is None:
        raise draft.refusal(node, f"ONNX has no operator for the cell {cell.name}")
    x, lengths, h_0, c_0, *names = node.inputs
    step = len(RECURRENT_WEIGHTS)
    directions = [
        {k: weights[n] for k, n in zip(RECURRENT_WEIGHTS, names[d : d + step], strict=True) if n}
        for d in range(0, len(names), step)
    ]
    if any("weight_hr" in w for w in directions):
        raise draft.refusal(node, "ONNX has no projection (proj_size) of the output")
    if (kind := directions[0]["weight_hh"].dtype) != np.float32:
        raise draft.refusal(node, f"ONNX Runtime has no recurrent operators of {kind}; give float32 weights")
    if symbols:
        depth = draft.weight("depth", np.int64(directions[0]["weight_ih"].shape[1]))
        x = draft.add("OneHot", (x, depth, draft.weight("off_on", np.array([0, 1], np.float32))))
    if lengths:
        lengths = draft.add("Cast", (lengths,), to=_INT32)
    stacked = _write_weights(draft, cell, layout, directions)
    inputs = [draft.add("Transpose", (x,), perm=[1, 0, 2]), *stacked[:3], lengths, h_0, c_0, stacked[3]]
    while not inputs[-1]:
        inputs.pop()
    output, *ends = [*node.outputs, ""][: 1 + len(cell.states)]
    keeping = [bool(lengths and start and end) for start, end in zip((h_0, c_0), ends, strict=False)]
    final = [draft.name("state") if kept else end for kept, end in zip(keeping, ends, strict=True)]
    inner = draft.name("output") if output else ""
    operator, attributes = _attributes(cell, layout, node.attributes)
    attributes["hidden_size"] = hidden = directions[0]["weight_hh"].shape[1]
    draft.nodes.append(Node(operator, tuple(inputs), (inner, *final), attributes))
    if output:
        shape = draft.weight("shape", np.array([0, 0, len(directions) * hidden]))
        draft.add("Reshape", (draft.add("Transpose", (inner,), perm=[2, 0, 1, 3]), shape), output)
    if any(keeping):
        empty = draft.add("Equal", (lengths, draft.weight("zero", np.int32(0))))
        empty = draft.add("Unsqueeze", (empty, draft.weight("axes", np.array([1]))))
        for kept, start, name, end in zip(keeping, (h_0, c_0), final, ends, strict=False):
            if kept:
                draft.add("Where", (empty, start, name), end)


def _options(draft: Draft, node: Node, directions: int) -> tuple[Cell, dict[str, Attribute]]:
    """The cell of a node, and what the node has beside it."""
    said = node.attributes
    known = {name.lower(): name for name in ACTIVATIONS}
    chosen = _strings(said.get("activations", []))
    names = [known.get(name.lower(), name) for name in chosen]
    for name in names:
        check_choice(f"activation of {node.op} in {draft.where}", name, ACTIVATIONS)
    key = {"GRU": f"linear_before_reset={said.get('linear_before_reset', 0)}"}.get(node.op, "")
    if node.op == "RNN" and set(names) == {"Relu"}:
        key = "activations=['Relu']"
    if (cell := _CELLS.get(f"{node.op}({key})")) is None:
        raise draft.refusal(node, f"{key} is none it has")
    options: dict[str, Attribute] = {"cell": cell.name}
    own = own_activations(cell) * directions
    if names and len(names) != len(own):
        raise draft.refusal(node, f"{len(names)} activations; expected {len(own)}")
    if names and names != own:
        options |= {"activations": names, "alphas": [], "betas": []}
        for attribute, target, table in (("alpha", "alphas", ALPHA), ("beta", "betas", BETA)):
            numbers = said.get(f"activation_{attribute}", [])
            options[target] = list(_numbers(draft, node, attribute, names, numbers, table))
    if "clip" in said:
        options["clip"] = said["clip"]
        if not float(str(said["clip"])) > 0:
            raise draft.refusal(node, f"clip is {said['clip']}; expected a number above 0")
    if said.get("input_forget", 0):
        options["input_forget"] = 1
    return cell, options


def _numbers(
    draft: Draft, node: Node, what: str, names: list[str], given: Attribute, table: Mapping[str, float | None]
) -> Iterator[float]:
    """One number for every activation: those that read one take the given ones in turn, as in ONNX Runtime."""
    numbers: list[float] = np.asarray(given, float).tolist()
    readers = sum(name in table for name in names)
    if len(numbers) > readers:
        raise draft.refusal(
            node, f"{len(numbers)} numbers in activation_{what} for {readers} activations that read one"
        )
    rest = iter(numbers)
    for name in names:
        number = next(rest, table[name]) if name in table else 0.0
        if number is None:
            raise draft.refusal(node, f"activation {name} needs a number in activation_{what}")
        yield number


def _attributes(
    cell: Cell, layout: Layout, said: Mapping[str, Attribute]
) -> tuple[str, dict[str, Attribute]]:
    """The operator that is a cell, and the attributes that make it this node."""
    direction = str(said.get("direction", "forward"))
    own = own_activations(cell) * len(DIRECTIONS[direction])
    names = _strings(said.get("activations", own))
    attributes: dict[str, Attribute] = {"direction": direction, "activations": names}
    for attribute, target, table in (("alpha", "alphas", ALPHA), ("beta", "betas", BETA)):
        numbers = said.get(target, [])
        assert isinstance(numbers, list)
        read = np.asarray([n for name, n in zip(names, numbers, strict=False) if name in table], float)
        if read.size:
            attributes[f"activation_{attribute}"] = read.tolist()
    if "linear_before_reset=1" in layout.operator:
        attributes["linear_before_reset"] = 1
    attributes |= {name: said[name] for name in ("clip", "input_forget") if name in said}
    return layout.operator.partition("(")[0], attributes


def _read_weights(draft: Draft, node: Node, cell: Cell, directions: int) -> tuple[list[str], int]:
    """W, R, B and P in elman's gate order, as weights of the draft: their names as `Recurrent` reads them; and H."""
    w, r, b = (draft.constant(node, INPUTS.index(name), name) for name in "WRB")
    p = draft.constant(node, INPUTS.index("P"), "P")
    if w is None or r is None or w.ndim != 3 or r.ndim != 3:
        raise draft.refusal(node, "W and R must be there, with three axes each")
    hidden, rows = r.shape[2], len(cell.gates) * r.shape[2]
    shapes: dict[str, tuple[int, ...]] = {
        "W": (directions, rows, w.shape[2]),
        "R": (directions, rows, hidden),
    }
    shapes |= {"B": (directions, 2 * rows), "P": (directions, 3 * hidden)}
    for name, array in zip(shapes, (w, r, b, p), strict=True):
        if array is not None and (array.shape != shapes[name] or array.dtype != w.dtype):
            raise draft.refusal(
                node, f"{name} is {array.dtype} {array.shape}, expected {w.dtype} {shapes[name]}"
            )
    if node.attributes.get("hidden_size", hidden) != hidden:
        raise draft.refusal(node, f"hidden_size {node.attributes['hidden_size']}, but R is for {hidden}")
    order = cell.layouts["onnx"].gates
    names: list[str] = []
    for d in range(directions):
        found = {"weight_ih": w[d], "weight_hh": r[d]}
        if b is not None:
            found["bias_ih"], found["bias_hh"] = np.split(b[d], 2)
        found = {name: reorder(array, order, cell.gate_names) for name, array in found.items()}
        if p is not None:
            found["weight_ch"] = reorder(p[d], PEEPHOLES, ("i", "f", "o"))
        names += [draft.weight(n, found[n]) if n in found else "" for n in RECURRENT_WEIGHTS]
    return names, hidden


def _write_weights(draft: Draft, cell: Cell, layout: Layout, directions: list[dict[str, Array]]) -> list[str]:
    """W, R, B and P of the directions in ONNX' gate order, as weights of the draft; "" for those not needed."""

    def stack(name: str) -> Array:
        zeros = np.zeros(len(directions[0]["weight_hh"]), np.float32)
        return np.stack([reorder(w.get(name, zeros), cell.gate_names, layout.gates) for w in directions])

    names = [draft.weight("W", stack("weight_ih")), draft.weight("R", stack("weight_hh")), "", ""]
    if any("bias_ih" in w or "bias_hh" in w for w in directions):
        names[2] = draft.weight("B", np.concatenate([stack("bias_ih"), stack("bias_hh")], axis=1))
    if any("weight_ch" in w for w in directions):
        zeros = np.zeros(3 * directions[0]["weight_hh"].shape[1], np.float32)
        peepholes = [reorder(w.get("weight_ch", zeros), ("i", "f", "o"), PEEPHOLES) for w in directions]
        names[3] = draft.weight("P", np.stack(peepholes))
    return names


def _strings(value: Attribute) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []

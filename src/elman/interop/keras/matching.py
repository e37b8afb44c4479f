"""Graphs told apart by what they compute: two values are the same when the same operators made them of the same inputs
and weights, whatever their names. And a graph in the words of the reader, where it says the same in others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from elman import cells
from elman.errors import InputError
from elman.graph import RECURRENT_INPUTS, RECURRENT_WEIGHTS, Array, Graph, Node
from elman.graph._spec import Attribute
from elman.graph.recurrence import own_activations

NOTHING = ("Identity", "Dropout")
"""Operators that hand on what they read."""


class Marks:
    """A mark for each value of a graph, equal where they compute the same."""

    def __init__(self, inputs: Iterable[str]) -> None:
        self._marks = {"": ""} | {name: f"input {number}" for number, name in enumerate(inputs)}

    def __getitem__(self, name: str) -> str:
        return self._marks[name]

    def __contains__(self, name: str) -> bool:
        return name in self._marks

    def weigh(self, weights: Mapping[str, Array]) -> None:
        """Mark weights by what they hold."""
        for name in weights.keys() - self._marks.keys():
            array = np.ascontiguousarray(weights[name])
            content = hashlib.sha256(array.tobytes()).hexdigest()
            self._marks[name] = f"{array.dtype} {array.shape} {content}"

    def add(self, nodes: Iterable[Node]) -> None:
        """Mark what nodes write, in an order in which they can run."""
        for node in nodes:
            attributes = [(name, _rounded(value)) for name, value in sorted(node.attributes.items())]
            said = [node.op, attributes, [self._marks[name] for name in node.inputs]]
            mark = hashlib.sha256(repr(said).encode()).hexdigest()
            for number, name in enumerate(node.outputs):
                self._marks.setdefault(name, f"{mark} {number}")


def _rounded(value: Attribute) -> object:
    """Numbers as far as files in float32 keep them."""
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return f"{value:.6g}" if isinstance(value, float) else value


class Plain:
    """A graph in the operators the reader of Keras writes: what says the same in other words is put into these.

    States before the first step that may be left out are left out: their name is "". alias: other names of a value.
    """

    def __init__(self, graph: Graph) -> None:
        self.inputs = [value for value in graph.inputs if not value.optional]
        self.weights = dict(graph.weights)
        self.nodes: list[Node] = []
        self.alias = {value.name: "" for value in graph.inputs if value.optional}
        self._only_recurrent_reads(graph)
        for node in graph.nodes:
            inputs = tuple(self.alias.get(name, name) for name in node.inputs)
            self._add(Node(node.op, inputs, node.outputs, dict(node.attributes)))
        self.marks = Marks(value.name for value in self.inputs)
        self.marks.weigh(self.weights)
        self.marks.add(self.nodes)

    def wanted(self, names: Iterable[str]) -> list[str]:
        """The marks of outputs."""
        return [self.marks[self.alias.get(name, name)] for name in names]

    def readers(self, mark: str) -> list[Node]:
        """The nodes that read a value."""
        return [node for node in self.nodes if any(mark == self.marks[name] for name in node.inputs)]

    def _only_recurrent_reads(self, graph: Graph) -> None:
        states = RECURRENT_INPUTS[2:]
        for node in graph.nodes:
            for position, name in enumerate(node.inputs):
                as_state = node.op == "Recurrent" and position - 2 in range(len(states))
                if name in self.alias and not as_state and node.op != "Slice":
                    raise InputError(
                        f"Keras: the initial state {name!r} is read by {node.op}, not by a Recurrent; not carried."
                    )

    def _add(self, node: Node) -> None:
        constant = all(name in self.weights for name in node.inputs)
        if node.op in NOTHING or (node.op == "Slice" and node.inputs[0] == ""):
            self.alias[node.outputs[0]] = node.inputs[0]
        elif node.op == "Transpose" and constant:
            axes = node.attributes.get("perm")
            self.weights[node.outputs[0]] = self.weights[node.inputs[0]].transpose(axes)  # type: ignore[arg-type]
        elif node.op == "Gemm":
            self._gemm(node)
        elif node.op == "Squeeze" and self._value(node.inputs[1:]) == [0]:
            self._own("whole.0", np.asarray(0, np.int64))
            self.nodes.append(Node("Gather", (node.inputs[0], "plain.whole.0"), node.outputs, {"axis": 0}))
        elif node.op == "Recurrent":
            self._recurrent(node)
        else:
            attributes = {"axis": 0} | dict(node.attributes) if node.op == "Gather" else node.attributes
            self.nodes.append(Node(node.op, node.inputs, node.outputs, attributes))

    def _value(self, names: tuple[str, ...]) -> list[int] | None:
        array = self.weights.get(names[0]) if names else None
        return None if array is None else [int(n) for n in array.reshape(-1)]

    def _own(self, name: str, array: Array) -> str:
        self.weights[f"plain.{name}"] = array
        return f"plain.{name}"

    def _gemm(self, node: Node) -> None:
        """Gemm as MatMul and Add."""
        a, b, c, *_ = [*node.inputs, ""]
        options = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0, **node.attributes}
        if options["alpha"] != 1 or options["beta"] != 1 or options["transA"] or b not in self.weights:
            raise InputError(f"Keras: Gemm that writes {node.outputs[0]!r} is no Dense; not carried.")
        if options["transB"]:
            b = self._own(f"{b}.T", self.weights[b].T)
        product = f"{node.outputs[0]}.product" if c else node.outputs[0]
        self.nodes.append(Node("MatMul", (a, b), (product,)))
        if c:
            self.nodes.append(Node("Add", (product, c), node.outputs))

    def _recurrent(self, node: Node) -> None:
        """One bias where Keras has one, symbols looked up, attributes only where they say something."""
        cell = cells.get(str(node.attributes["cell"]))
        layout = cell.layouts.get("keras")
        if layout is None:
            raise InputError(f"Keras: there is no layer for the cell {cell.name}; not carried.")
        inputs, step = [*node.inputs], len(RECURRENT_WEIGHTS)
        for start in range(len(RECURRENT_INPUTS), len(inputs), step):
            self._check(inputs[start : start + step])
            inputs[start + 2 : start + 4] = self._biases(inputs[start : start + 4], layout.biases == "one")
        attributes: dict[str, Attribute] = {"direction": "forward", **node.attributes}
        count = (len(inputs) - len(RECURRENT_INPUTS)) // step
        if attributes.get("activations") == own_activations(cell) * count:
            for name in ("activations", "alphas", "betas"):
                attributes.pop(name, None)
        integer = next((value for value in self.inputs if value.name == inputs[0]), None)
        if integer is not None and integer.dtype == "int64":
            weight = self.weights[inputs[len(RECURRENT_INPUTS)]]
            table = self._own("symbols", np.eye(weight.shape[1], dtype=weight.dtype))
            inputs[0] = f"{node.outputs[0]}.symbols"
            self.nodes.append(Node("Gather", (table, node.inputs[0]), (inputs[0],), {"axis": 0}))
        self.nodes.append(Node("Recurrent", tuple(inputs), node.outputs, attributes))

    def _check(self, names: list[str]) -> None:
        missing = [name for name in names if name and name not in self.weights]
        extra = [kind for kind, name in zip(RECURRENT_WEIGHTS[4:], names[4:], strict=True) if name]
        if missing or extra:
            why = (
                f"weights that are computed, {missing[0]!r}" if missing else f"{extra[0]}, which no layer has"
            )
            raise InputError(f"Keras: a Recurrent has {why}; not carried.")

    def _biases(self, names: list[str], one: bool) -> list[str]:
        zeros = np.zeros(len(self.weights[names[1]]), self.weights[names[1]].dtype)
        if not any(names[2:]):
            return ["", ""]
        both = [self.weights.get(name, zeros) for name in names[2:]]
        if one:
            both = [both[0] + both[1], zeros]
        return [self._own(f"{names[1]}.bias{n}", bias) for n, bias in enumerate(both)]

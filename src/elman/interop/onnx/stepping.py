"""A graph over sequences as a graph over one step: the time has the size 1, and every state goes in and comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from elman import cells
from elman.errors import InputError
from elman.graph import Graph, Node, Value

MOVES = frozenset(("Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split")) | {
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
"""Operators that move numbers and change none: their output is of the type of their first input."""
TIME = "time"
"""The axis that becomes 1."""


def one_step(graph: Graph, where: str) -> tuple[Graph, dict[str, str]]:
    """The graph of one step, and its states: the output that the next step is handed, by the name of the input.

    A state that the graph keeps to itself becomes an input and an output; lengths are left out: every step is one.

    Raises: InputError for a graph that reads backwards, or in which more than its recurrences depends on lengths.
    """
    lengths = {node.inputs[1] for node in graph.nodes if node.op == "Recurrent"} - {""}
    for node in graph.nodes:
        if node.op != "Recurrent" and lengths & set(node.inputs):
            raise InputError(
                f"{where}: {node.op} reads the lengths of sequences; such a model has no single step."
            )
        if node.attributes.get("direction", "forward") != "forward":
            raise InputError(
                f"{where}: a layer reads sequences from their end; such a model has no single step."
            )
    opened = [_open(graph, node, number) for number, node in enumerate(graph.nodes)]
    more_inputs = [start for _, shown in opened for start, _ in shown]
    more_outputs = [end for _, shown in opened for _, end in shown]
    present = {value.name for value in graph.outputs}
    stepped = replace(
        graph,
        inputs=tuple(_at_once(v) for v in (*graph.inputs, *more_inputs) if v.name not in lengths),
        outputs=tuple(
            _at_once(v) for v in (*graph.outputs, *(v for v in more_outputs if v.name not in present))
        ),
        nodes=tuple(node for node, _ in opened),
    )
    return stepped, dict(_states(stepped, where))


def _at_once(value: Value) -> Value:
    return replace(value, axes=tuple(1 if axis == TIME else axis for axis in value.axes))


def _open(graph: Graph, node: Node, number: int) -> tuple[Node, list[tuple[Value, Value]]]:
    """A node without lengths and with all its states, and those of them that were kept inside so far."""
    if node.op != "Recurrent":
        return node, []
    cell = cells.get(str(node.attributes["cell"]))
    weight = graph.weights[node.inputs[5]]
    inputs = [node.inputs[0], "", *node.inputs[2:]]
    outputs = [*node.outputs, "", ""][: 1 + len(cell.states)]
    shown = []
    for k, name in enumerate(cell.state_names):
        outputs[1 + k] = outputs[1 + k] or f"{name}_n.{number}"
        if not inputs[2 + k]:
            inputs[2 + k] = f"{name}_0.{number}"
            size = weight.shape[1] if name == "h" else len(weight) // len(cell.gates)
            start = Value(inputs[2 + k], weight.dtype.name, (1, "batch", size), optional=True)
            shown.append((start, replace(start, name=outputs[1 + k], optional=False)))
    return replace(node, inputs=tuple(inputs), outputs=tuple(outputs)), shown


def _states(graph: Graph, where: str) -> Iterator[tuple[str, str]]:
    """Each state that goes in with the one that comes out, which both may be parts of larger ones."""
    inputs = {value.name: value for value in graph.inputs}
    source = {name: node for node in graph.nodes for name in node.outputs if node.op in MOVES}
    for node in graph.nodes:
        if node.op != "Recurrent":
            continue
        for start, end in zip(filter(None, node.inputs[2:4]), node.outputs[1:], strict=False):
            while start in source:
                start = source[start].inputs[0]
            reached = {end}
            for later in graph.nodes:
                if later.op in MOVES and reached & set(later.inputs):
                    reached |= set(later.outputs)
            axes = inputs[start].axes if start in inputs else ()
            ends = [value.name for value in graph.outputs if value.name in reached and value.axes == axes]
            if not ends:
                raise InputError(
                    f"{where}: the state {start!r} does not go in and come out; there is no single step."
                )
            yield start, ends[0]

"""A graph while it is read from Keras: its nodes so far, none twice, and what flows between the layers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from elman.errors import InputError
from elman.graph import Array, Graph, Node, Value
from elman.graph._spec import Attribute


@dataclass(frozen=True)
class Flow:
    """What one layer hands to the next: a value of the graph, its axes, and which of its steps count.

    mask: name of a value (batch, time), True where a step counts; "" where every step does.
    """

    name: str
    axes: tuple[int | str, ...]
    mask: str = ""


@dataclass
class Draft:
    """What there is so far. dtype: of all numbers in the model."""

    dtype: np.dtype[np.generic]
    inputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    """Inputs for the states of stateful layers, and the outputs that hold them after the call."""
    _made: dict[object, str] = field(default_factory=dict)

    def input(self, name: str, dtype: str, axes: tuple[int | str, ...], *, optional: bool = False) -> str:
        self.inputs.append(Value(name, dtype, axes, optional))
        return name

    def weight(self, name: str, array: Array) -> str:
        """Keep an array by its name in the file."""
        self.weights[name] = array
        return name

    def integers(self, *values: int) -> str:
        """A list of sizes or axes."""
        name = "integers." + ".".join(map(str, values))
        return self.weight(name, np.array(values, np.int64))

    def whole(self, value: int) -> str:
        """A whole number without axes."""
        return self.weight(f"whole.{value}", np.asarray(value, np.int64))

    def number(self, value: float) -> str:
        """A number without axes."""
        return self.weight(f"number.{value!r}", np.asarray(value, self.dtype))

    def add(self, op: str, *inputs: str, output: int = 0, **attributes: Attribute) -> str:
        """One output of one more node, or of the one there is already with these inputs and attributes."""
        key = (op, inputs, repr(sorted(attributes.items())))
        if key not in self._made:
            self._made[key] = self.several(op, inputs, output + 1, **attributes)[output]
        return self._made[key]

    def slice(self, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
        """Part of one axis."""
        limits = [self.integers(number) for number in (start, end, axis, step)]
        return self.add("Slice", x, *limits)

    def several(
        self, op: str, inputs: tuple[str, ...], count: int, **attributes: Attribute
    ) -> tuple[str, ...]:
        """One more node with some outputs."""
        outputs = tuple(f"{op}.{len(self.nodes)}" + (f".{n}" if count > 1 else "") for n in range(count))
        self.nodes.append(Node(op, inputs, outputs, attributes))
        return outputs

    def graph(self, outputs: dict[str, Flow], facts: dict[str, object], where: str) -> Graph:
        """The graph with these outputs by name, without what none of them needs. where: the file, for messages."""
        if self.states:
            facts = {**facts, "states": {state: f"{state}.after" for state in self.states}}
        axes = {value.name: value.axes for value in self.inputs}
        outputs |= {f"{state}.after": Flow(end, axes[state]) for state, end in self.states.items()}
        needed = {flow.name for flow in outputs.values()}
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if needed & set(node.outputs):
                nodes.append(node)
                needed |= set(node.inputs)
        nodes.reverse()
        nodes += [Node("Identity", (flow.name,), (name,)) for name, flow in outputs.items()]
        values = tuple(Value(name, self._dtype_of(flow), flow.axes) for name, flow in outputs.items())
        weights = {name: array for name, array in self.weights.items() if name in needed}
        written = [name for node in nodes for name in node.outputs]
        names = [*written, *weights, *axes]
        if len(set(names)) != len(names):
            raise InputError(f"{where}: two of its layers have names that cannot be told apart.")
        kept = tuple(value for value in self.inputs if value.name in needed or not value.optional)
        return Graph(kept, values, tuple(nodes), weights, facts)

    def _dtype_of(self, flow: Flow) -> str:
        given = next((value.dtype for value in self.inputs if value.name == flow.name), None)
        return given or self.dtype.name

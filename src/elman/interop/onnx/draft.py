"""A graph while it is read from ONNX or written to it: its nodes and weights so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.errors import InputError
from elman.graph import Array, Node
from elman.graph._spec import Attribute


@dataclass
class Draft:
    """What there is so far.

    where: the file, for messages. opset: the version of the operators it is read from.
    taken: every name there is.
    """

    where: str
    opset: int
    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def name(self, stem: str) -> str:
        """A name not in the graph yet, which is taken by that."""
        number = 0
        while (name := f"{stem}.{number}") in self.taken:
            number += 1
        self.taken.add(name)
        return name

    def weight(self, stem: str, array: Any) -> str:
        """Keep an array as a weight of a new name."""
        name = self.name(stem)
        self.weights[name] = np.asarray(array)
        return name

    def add(self, op: str, inputs: tuple[str, ...], output: str = "", **attributes: Attribute) -> str:
        """One more node with one output, of a new name if none is given; returns the name."""
        output = output or self.name(op)
        self.nodes.append(Node(op, inputs, (output,), attributes))
        return output

    def constant(self, node: Node, position: int, what: str) -> Array | None:
        """The value of an input that has to be known when the model is read; None if it is left out."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name and name not in self.weights:
            raise self.refusal(node, f"{what} is computed while it runs; elman carries it only as a constant")
        return self.weights[name] if name else None

    def refusal(self, node: Node, why: str) -> InputError:
        """The error that says which node cannot be carried, and why."""
        written = next(filter(None, node.outputs), "")
        return InputError(f"{self.where}: operator {node.op} that writes {written!r}: {why}.")


def integers(values: Array) -> list[int]:
    """A tensor of axes or sizes as an attribute."""
    return [int(value) for value in values.reshape(-1)]

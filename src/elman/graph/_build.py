"""`Builder`: a graph written down operator by operator."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from elman import cells
from elman.errors import InputError
from elman.graph._check import RECURRENT, check
from elman.graph._operators import OPERATORS, Operator
from elman.graph._spec import RECURRENT_WEIGHTS, Array, Attribute, Direction, Graph, Node, Value
from elman.graph.recurrence import DIRECTIONS

Operand: TypeAlias = str | bool | int | float | Sequence[int] | Sequence[float] | Array | None
"""A name; None for an input left out; or numbers, which become a constant."""


def method_name(op: str) -> str:
    """The builder's method for an operator.

    >>> [method_name(op) for op in ("MatMul", "ReduceL2", "GatherND", "IsNaN", "And")]
    ['mat_mul', 'reduce_l2', 'gather_nd', 'is_nan', 'and_']
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", op.replace("NaN", "Nan")).lower()
    return f"{name}_" if name in ("and", "or", "not") else name


_METHODS = {method_name(op): operator for op, operator in OPERATORS.items()}


class Builder:
    """Writes a graph, one method for each operator: `b.mat_mul(x, w)` adds a MatMul and returns its output's name.

    Operators are those of `elman.graph.operators()`, in snake_case (`and_`, `or_`, `not_`). Arguments are its inputs,
    by position or by the names of its function, and its attributes, by name: names, None for an input left out, and
    numbers and lists, which become constants: int64 of whole numbers, float32 of others, bool; give an array for
    another dtype. An operator with several outputs returns their names; `outputs=` says how many Split
    has when no sizes are given.

    Raises: AttributeError for an operator there is not; InputError for what it cannot take.

    >>> b = Builder()
    >>> x = b.input("x", "float32", ("batch", 3))
    >>> b.output("y", b.softmax(b.gemm(x, b.constant(np.ones((2, 3), np.float32)), transB=1)), "float32", ("batch", 2))
    >>> [node.op for node in b.graph().nodes]
    ['Gemm', 'Softmax', 'Identity']
    """

    def __init__(self) -> None:
        self._inputs: list[Value] = []
        self._outputs: list[Value] = []
        self._nodes: list[Node] = []
        self._weights: dict[str, Array] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def input(self, name: str, dtype: str, axes: Sequence[int | str], optional: bool = False) -> str:
        """An input of the graph; see Value."""
        self._take(name)
        self._inputs.append(Value(name, dtype, tuple(axes), optional))
        return name

    def weight(self, name: str, array: npt.ArrayLike) -> str:
        """A weight under its own name; the same array under the same name is one weight."""
        array = np.asarray(array)
        known = self._weights.get(name)
        if known is None:
            self._take(name)
            self._weights[name] = array
        elif known.dtype != array.dtype or not np.array_equal(
            known, array, equal_nan=array.dtype.kind == "f"
        ):
            raise InputError(f"Builder: weight {name!r} is there already, with other values.")
        return name

    def constant(self, array: npt.ArrayLike) -> str:
        """A weight under a made-up name; equal constants are one."""
        array = np.array(array)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name = self._name("constant")
            self._weights[name] = array
        return self._constants[key]

    def output(self, name: str, value: str, dtype: str, axes: Sequence[int | str]) -> None:
        """An output of the graph: a value that is there, under a name of its own."""
        if name != value:
            self._take(name)
            self._nodes.append(Node("Identity", (value,), (name,)))
        self._outputs.append(Value(name, dtype, tuple(axes)))

    def recurrent(
        self,
        cell: str,
        x: str,
        weights: Sequence[Mapping[str, str]],
        *,
        lengths: str | None = None,
        h_0: str | None = None,
        c_0: str | None = None,
        direction: Direction = "forward",
        **attributes: Attribute,
    ) -> tuple[str, ...]:
        """One `Recurrent` layer. weights: for each direction, forward first, names by RECURRENT_WEIGHTS.

        Returns the names of output and of the states after the last step: (output, h_n) or (output, h_n, c_n).
        """
        if len(weights) != len(DIRECTIONS.get(direction, ())):
            raise InputError(
                f"Builder: weights of {len(weights)} directions for the direction {direction!r}."
            )
        for named in weights:
            if unknown := set(named) - set(RECURRENT_WEIGHTS):
                raise InputError(f"Builder: a layer has no weight {min(unknown)!r}: {RECURRENT_WEIGHTS}.")
        given: dict[str, Attribute] = {"cell": cell, **attributes}
        if direction != "forward":
            given["direction"] = direction
        names = [named.get(stem, "") for named in weights for stem in RECURRENT_WEIGHTS]
        inputs = (x, *(name or "" for name in (lengths, h_0, c_0)), *names)
        ends = tuple(f"{state}_n" for state in cells.get(cell).state_names)
        outputs = tuple(self._name(stem) for stem in ("output", *ends))
        self._nodes.append(Node(RECURRENT, inputs, outputs, given))
        return outputs

    def graph(self, facts: Mapping[str, Any] | None = None) -> Graph:
        """The graph so far, checked."""
        check(self._inputs, self._outputs, self._nodes, self._weights)
        return Graph(
            tuple(self._inputs),
            tuple(self._outputs),
            tuple(self._nodes),
            dict(self._weights),
            dict(facts or {}),
        )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _METHODS:
            raise AttributeError(f"Builder has no operator {name!r}")
        operator = _METHODS[name]

        def add(*operands: Operand, outputs: int = 0, **named: Any) -> Any:
            return self._add(name, operator, operands, outputs, named)

        return add

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_METHODS]

    def _add(
        self,
        name: str,
        operator: Operator,
        operands: tuple[Operand, ...],
        outputs: int,
        named: dict[str, Any],
    ) -> str | tuple[str, ...]:
        """One more node."""
        given = [*operands]
        for position, parameter in enumerate(operator.inputs):
            if parameter in named and parameter not in operator.attributes:
                if position < len(operands):
                    raise InputError(f"Builder: {name}: input {parameter!r} is given twice.")
                given += [None] * (position + 1 - len(given))
                given[position] = named.pop(parameter)
        while given and given[-1] is None:
            given.pop()
        inputs = tuple(self._operand(operand) for operand in given)
        if operator.counts and not outputs:
            outputs = len(self._weights.get(inputs[1], ())) if len(inputs) > 1 else 0
        count = outputs or operator.outputs
        try:
            operator.check(inputs, count, named)
        except InputError as error:
            raise InputError(f"Builder: {name}: {error}") from None
        names = tuple(self._name(name) for _ in range(count))
        self._nodes.append(Node(operator.name, inputs, names, named))
        return names if operator.outputs != 1 else names[0]

    def _operand(self, operand: Operand) -> str:
        if operand is None or isinstance(operand, str):
            return operand or ""
        if isinstance(operand, np.ndarray | np.generic):
            return self.constant(operand)
        array = np.asarray(operand)
        kind = {"b": np.bool_, "i": np.int64, "f": np.float32}.get(array.dtype.kind if array.size else "i")
        if kind is None:
            raise InputError(f"Builder: {operand!r:.60} is neither a name nor numbers.")
        return self.constant(array.astype(kind))

    def _name(self, stem: str) -> str:
        """A name that nothing has yet, which is taken by that."""
        number = self._numbers.get(stem, 0)
        while (name := f"{stem}_{number}") in self._taken:
            number += 1
        self._numbers[stem] = number + 1
        self._taken.add(name)
        return name

    def _take(self, name: str) -> None:
        if not name or name in self._taken:
            raise InputError(f"Builder: the name {name!r} is taken.")
        self._taken.add(name)

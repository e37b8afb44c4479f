"""`Program`: a graph made ready to run, on NumPy and the compiled core."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from elman.errors import InputError
from elman.graph._check import RECURRENT, check, described
from elman.graph._operators import OPERATORS
from elman.graph._operators.registry import bounded
from elman.graph._recurrent import prepare
from elman.graph._spec import RECURRENT_INPUTS, Array, Graph, Node, Value

Named: TypeAlias = dict[str, Array]
Call: TypeAlias = Callable[..., Any]
_Step: TypeAlias = tuple[Call, tuple[str, ...], tuple[str | None, ...], tuple[str | None, ...], Node]

FAILURES = (ValueError, IndexError, TypeError, OverflowError, MemoryError)
"""What NumPy raises when arrays do not fit each other, or do not fit into memory."""


class Program:
    """A graph that is checked and prepared once and runs many times, in several threads at once if need be.

    Nodes that read weights alone are computed when it is made; recurrent layers run in the compiled core; every value
    is let go after its last use.

    Args:
        graph: the model.
        threads: at most so many for a recurrent layer; the default is the number of processors.

    Raises:
        InputError: the graph is none: see `elman.graph`; a node whose weights do not fit.

    >>> x = Value("x", "float32", ("batch", 2))
    >>> program = Program(Graph((x,), (Value("y", "float32", ("batch", 2)),), (Node("Exp", ("x",), ("y",)),), {}))
    >>> program({"x": np.zeros((1, 2), np.float32)})["y"].tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, graph: Graph, *, threads: int | None = None) -> None:
        check(graph.inputs, graph.outputs, graph.nodes, graph.weights)
        self.inputs, self.outputs, self.facts = graph.inputs, graph.outputs, graph.facts
        self._names = {value.name for value in graph.inputs}
        known: dict[str, Array | None] = {"": None, **{n: _fixed(a) for n, a in graph.weights.items()}}
        rest = list(_fold(graph.nodes, known))
        self._steps = _planned(rest, known, {value.name for value in graph.outputs}, threads)
        needed = {value.name for value in graph.outputs}.union(*(step[1] for step in self._steps))
        self._weights: dict[str | None, Any] = {n: array for n, array in known.items() if n in needed}

    def __call__(self, inputs: Mapping[str, npt.ArrayLike]) -> Named:
        """Run the model. inputs: arrays by name; those that are optional may be left out.

        Floats are brought to the precision of the input, whole numbers to wider ones; nothing else is converted. The
        outputs are arrays of their own.

        Raises: InputError for a name, dtype or shape that does not fit, and for a node that cannot take what it gets.
        """
        sizes: dict[str, int] = {}
        values = dict(self._weights)
        values.update(self._given(inputs, sizes))
        with np.errstate(all="ignore"):
            for call, names, outputs, dead, node in self._steps:
                arrays = [values[name] for name in names]
                try:
                    result = call(*arrays)
                except FAILURES as error:
                    raise _failed(node, arrays, error) from error
                if len(outputs) == 1:
                    values[outputs[0]] = result if type(result) is not tuple else result[0]
                else:
                    values.update(zip(outputs, result, strict=False))
                for name in dead:
                    del values[name]
        return {value.name: _own(value, values[value.name]) for value in self.outputs}

    def _given(
        self, inputs: Mapping[str, npt.ArrayLike], sizes: dict[str, int]
    ) -> Iterator[tuple[str, Array]]:
        if unknown := set(inputs) - self._names:
            raise InputError(
                f"graph: there is no input {min(unknown)!r:.60}; inputs: {', '.join(v.name for v in self.inputs)}."
            )
        left_out = []
        for value in self.inputs:
            if inputs.get(value.name) is not None:
                yield value.name, _fixed(_checked(value, inputs[value.name], sizes))
            elif value.optional:
                left_out.append(value)
            else:
                raise InputError(
                    f"graph: input {value.name!r} is missing; expected {value.dtype} of axes {_axes(value)}."
                )
        for value in left_out:
            shape = [sizes.get(axis, -1) if isinstance(axis, str) else axis for axis in value.axes]
            if -1 in shape:
                raise InputError(
                    f"graph: optional input {value.name!r} of axes {_axes(value)} has a size that no other input"
                    " tells; give it."
                )
            yield value.name, np.zeros(bounded(shape), value.dtype)


def run(graph: Graph, inputs: Mapping[str, npt.ArrayLike]) -> Named:
    """Run a graph once: `Program(graph)(inputs)`.

    >>> x = Value("x", "float32", ("batch", 2))
    >>> graph = Graph((x,), (Value("y", "float32", ("batch", 2)),), (Node("Neg", ("x",), ("y",)),), {})
    >>> run(graph, {"x": [[1.0, 2.0]]})["y"].tolist()
    [[-1.0, -2.0]]
    """
    return Program(graph)(inputs)


def _fixed(array: npt.ArrayLike) -> Array:
    """A view that cannot be written to."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _own(value: Value, result: Any) -> Array:
    """An output, of its dtype, as an array that shares nothing with inputs and weights."""
    array = np.asarray(result)
    if array.dtype != value.dtype:
        raise InputError(
            f"graph: output {value.name!r} is {array.dtype}, but {value.dtype} is declared; the graph is wrong."
        )
    return array if array.flags.writeable else array.copy()


def _checked(value: Value, given: npt.ArrayLike, sizes: dict[str, int]) -> Array:
    """An input in its dtype, its axes bound to sizes."""
    dtype = np.dtype(value.dtype)
    try:
        array = np.asarray(given)
        if array.dtype != dtype:
            exact = isinstance(given, np.ndarray | np.generic) and not array.dtype.kind == dtype.kind == "f"
            if array.size and not np.can_cast(array.dtype, dtype, "safe" if exact else "same_kind"):
                raise InputError(f"{array.dtype} of shape {array.shape}")
            array = np.asarray(given, dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"graph: input {value.name!r} is {error}, expected {dtype} of axes {_axes(value)}."
        ) from None
    _bind(value, array.shape, sizes)
    return array


def _bind(value: Value, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Equal names, equal sizes: keep those that are new, raise InputError for others."""
    if len(shape) == len(value.axes):
        for axis, size in zip(value.axes, shape, strict=True):
            if size != (sizes.setdefault(axis, size) if isinstance(axis, str) else axis):
                break
        else:
            return
    known = ", ".join(f"{a}={sizes[a]}" for a in value.axes if isinstance(a, str) and a in sizes)
    raise InputError(
        f"graph: input {value.name!r} has shape {shape}, expected axes {_axes(value)}"
        + (f" with {known}." if known else ".")
    )


def _axes(value: Value) -> str:
    return "(" + ", ".join(map(str, value.axes)) + ("," if len(value.axes) == 1 else "") + ")"


def _fold(nodes: Sequence[Node], known: dict[str, Array | None]) -> Iterator[Node]:
    """Compute what reads weights alone, into `known`; yields the other nodes."""
    for node in nodes:
        if node.op == RECURRENT or not all(name in known for name in node.inputs):
            yield node
            continue
        arrays = [known[name] for name in node.inputs]
        try:
            with np.errstate(all="ignore"):
                result = _call(node)(*arrays)
        except FAILURES as error:
            raise _failed(node, arrays, error) from error
        results = result if isinstance(result, tuple) else (result,)
        known.update((n, _fixed(a)) for n, a in zip(node.outputs, results, strict=False) if n)


def _failed(node: Node, arrays: Sequence[Array | None], error: Exception) -> InputError:
    given = ", ".join("none" if array is None else f"{array.dtype} {array.shape}" for array in arrays)
    return InputError(f"graph: {described(node)}: {error or 'no memory left'} (inputs: {given:.300})")


def _call(node: Node) -> Call:
    """The function of a node, of its inputs alone."""
    operator = OPERATORS[node.op]
    more: dict[str, Any] = dict(node.attributes)
    if operator.counts:
        more["outputs"] = len(node.outputs)
    return functools.partial(operator.function, **more) if more else operator.function


def _planned(
    nodes: Sequence[Node], known: Mapping[str, Array | None], wanted: set[str], threads: int | None
) -> list[_Step]:
    """The steps of a run: what to call, what it reads and writes, and what nobody reads after it."""
    steps: list[_Step] = []
    needed: set[str | None] = {*wanted, *known}
    for node in reversed(nodes):
        call, reads = _prepared(node, known, threads)
        outputs = tuple(name or None for name in node.outputs)
        dead = {*reads, *outputs} - needed
        needed.update(reads)
        steps.append((call, reads, outputs, tuple(dead), node))
    steps.reverse()
    return steps


def _prepared(
    node: Node, known: Mapping[str, Array | None], threads: int | None
) -> tuple[Call, tuple[str, ...]]:
    """What to call, and the names of its arguments; recurrent layers keep their weights."""
    if node.op != RECURRENT:
        return _call(node), node.inputs
    first = len(RECURRENT_INPUTS)
    names = node.inputs[first:]
    if not all(name in known for name in names):

        def call(*arrays: Any) -> tuple[Array, ...]:
            return prepare(node.attributes, arrays[first:], threads)(*arrays[:first])

        return call, node.inputs
    try:
        return prepare(node.attributes, [known[name] for name in names], threads), node.inputs[:first]
    except InputError as error:
        raise InputError(f"graph: {described(node)}: {error}") from error

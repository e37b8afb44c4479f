"""Whether a file gives what its graph gives: another system and elman run on the same made-up inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from elman import graph as graphs
from elman.errors import InputError
from elman.graph import Array, Graph

Run: TypeAlias = Callable[[Mapping[str, Array]], Sequence[Array]]
"""A model of another system: from inputs by name to the outputs in the graph's order."""
Refusals: TypeAlias = tuple[type[Exception], ...]

TOLERANCE = 1e-5
"""Largest difference, relative to the largest number of the output or 1: float32 products in another order."""
_SIZES = ((1, (1, 64, 512, 16384)), (3, (6, 48, 384, 16384)))
"""Batch, and the sizes of all other axes that change: the first with which elman runs the graph and gets numbers, since
the windows of a forecaster, say, have to be longer than a season."""


def compare(graph: Graph, run: Run, system: str, where: str, refusals: Refusals) -> None:
    """Raise InputError unless a system gives what `elman.graph.run` gives, on each of some sizes.

    system: its name, for messages. where: the file. refusals: what it raises for a model or inputs it does not take.
    """
    for batch, sizes in _SIZES:
        given, expected = _expected(graph, batch, sizes, where)
        try:
            found = run(given)
        except refusals as error:
            raise InputError(f"{where}: nothing was written; {system} does not run it: {error}") from error
        for value, array in zip(graph.outputs, found, strict=True):
            check(value.name, np.asarray(array), expected[value.name], system, where)


def _expected(
    graph: Graph, batch: int, sizes: Sequence[int], where: str
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Made-up inputs, and what elman makes of them: numbers if some size gives them."""
    found = refused = None
    for size in sizes:
        given = made_up(graph, batch, size)
        try:
            found = given, graphs.run(graph, given)
        except InputError as error:
            refused = error
            continue
        if all(np.isfinite(array).all() for array in found[1].values()):
            return found
    if found is None:
        raise InputError(
            f"{where}: nothing was written; elman itself does not run it: {refused}"
        ) from refused
    return found  # the logarithm of a negative number, say


def made_up(graph: Graph, batch: int, size: int) -> dict[str, Array]:
    """Made-up inputs with axes of that size: numbers about 0, symbols that there are, lengths from 0 on."""
    rng = np.random.default_rng(size)
    bounds = dict(_bounds(graph, size))
    made: dict[str, Array] = {}
    for value in graph.inputs:
        shape = [{"batch": batch}.get(axis, size) if isinstance(axis, str) else axis for axis in value.axes]
        whole = not value.dtype.startswith("float")
        below = bounds.get(value.name, min(batch, size))
        numbers = rng.integers(below, size=shape) if whole else rng.normal(size=shape)
        made[value.name] = np.asarray(numbers, value.dtype)
    return made


def _bounds(graph: Graph, size: int) -> Iterator[tuple[str, int]]:
    """What integers must stay below: lengths, symbols, and rows of tables."""
    states = {name for node in graph.nodes if node.op == "Recurrent" for name in node.inputs[2:4]}
    sequences = [
        v.axes[:-1] if v.dtype.startswith("float") else v.axes for v in graph.inputs if v.name not in states
    ]
    time = min([size, *(axis for axes in sequences for axis in axes if isinstance(axis, int))])
    for node in graph.nodes:
        if node.op == "Recurrent":
            yield node.inputs[1], time + 1
            if node.inputs[4] in graph.weights:
                yield node.inputs[0], graph.weights[node.inputs[4]].shape[1]
        elif node.op == "Gather" and node.inputs[0] in graph.weights:
            axis = node.attributes.get("axis", 0)
            assert isinstance(axis, int)
            yield node.inputs[1], graph.weights[node.inputs[0]].shape[axis]


def check(name: str, found: Array, expected: Array, system: str, where: str) -> None:
    """Raise InputError unless an output is the same."""
    if found.shape != expected.shape:
        what = f"of shape {found.shape}, not {expected.shape}"
    else:
        apart = np.abs(found - expected.astype(float))[np.isfinite(expected)].max(initial=0)
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=1)
        if apart <= TOLERANCE * scale and np.array_equal(np.isfinite(found), np.isfinite(expected)):
            return
        what = f"{apart:.3g} away"
    raise InputError(f"{where}: nothing was written; {system} gives another {name!r} than elman, {what}.")

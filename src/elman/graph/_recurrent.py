"""One `Recurrent` node made ready to run: in the compiled core where it has the cell, else step by step in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from elman import cells, kernels
from elman.errors import InputError
from elman.graph._spec import RECURRENT_WEIGHTS, Array, Attribute
from elman.graph.recurrence import DIRECTIONS, EXTRAS, layer
from elman.reference.stack import reverse_rows

Layer: TypeAlias = Callable[[Array, Array | None, Array | None, Array | None], tuple[Array, ...]]
"""A layer of x, lengths, h_0 and c_0: (output, h_n) or (output, h_n, c_n)."""


def prepare(
    attributes: Mapping[str, Attribute], weights: Sequence[Array | None], threads: int | None = None
) -> Layer:
    """A layer with its weights, which are as the node's inputs: those of one direction after those of the other."""
    cell = cells.get(str(attributes["cell"]))
    each = len(RECURRENT_WEIGHTS)
    directions = [
        {
            stem: np.ascontiguousarray(array)
            for stem, array in zip(RECURRENT_WEIGHTS, weights[at : at + each], strict=True)
            if array is not None
        }
        for at in range(0, len(weights), each)
    ]
    for named in directions:
        for stem in ("weight_ih", "weight_hh"):
            if stem not in named:
                raise InputError(f"the layer has no {stem}.")
    kinds = {array.dtype for named in directions for array in named.values()}
    dtype = directions[0]["weight_ih"].dtype
    if len(kinds) > 1 or dtype.kind != "f":
        raise InputError(f"weights of {', '.join(sorted(map(str, kinds)))}, expected one dtype of floats.")
    extra = any(name in attributes for name in EXTRAS) or any("weight_ch" in named for named in directions)
    compiled = not extra and kernels.supports(cell.name, dtype.name)
    run = (
        _compiled(cell.name, attributes, directions, threads)
        if compiled
        else _stepped(attributes, directions)
    )

    def checked(x: Array, lengths: Array | None, h_0: Array | None, c_0: Array | None) -> tuple[Array, ...]:
        for name, array in (("x", x), ("h_0", h_0), ("c_0", c_0)):
            if array is not None and array.dtype != dtype and not (array is x and array.ndim == 2):
                raise InputError(f"{name} is {array.dtype}, but the weights are {dtype}.")
        if lengths is not None and lengths.dtype.kind != "i":
            raise InputError(f"lengths are {lengths.dtype}, expected whole numbers.")
        return run(x, lengths, h_0, c_0)

    return checked


def _stepped(attributes: Mapping[str, Attribute], directions: Sequence[Mapping[str, Array]]) -> Layer:
    def run(x: Array, lengths: Array | None, h_0: Array | None, c_0: Array | None) -> tuple[Array, ...]:
        output, *ends = layer(x, lengths, h_0, c_0, directions, attributes)
        return (output, *(end for end in ends if end is not None))

    return run


def _compiled(
    cell: str,
    attributes: Mapping[str, Attribute],
    directions: Sequence[Mapping[str, Array]],
    threads: int | None,
) -> Layer:
    reverse = DIRECTIONS[str(attributes.get("direction", "forward"))] == (True,)
    params = {
        stem + cells.suffix(0, number == 1): array
        for number, named in enumerate(directions)
        for stem, array in named.items()
    }
    names = cells.get(cell).state_names
    forward = kernels.Prepared(cell, params)

    def run(x: Array, lengths: Array | None, h_0: Array | None, c_0: Array | None) -> tuple[Array, ...]:
        state = {n: array for n, array in zip(names, (h_0, c_0), strict=False) if array is not None}
        if reverse:
            x = _turned(x, lengths)
        output, final = forward(x, state, lengths, threads=threads)
        return (_turned(output, lengths) if reverse else output, *(final[n] for n in names))

    return run


def _turned(x: Array, lengths: Array | None) -> Array:
    """Every row from its last step to its first; itself again when turned twice."""
    if lengths is None:
        return x[:, ::-1]
    if lengths.shape != x.shape[:1] or (lengths.size and lengths.max() > x.shape[1]):
        raise InputError(f"lengths must lie between 0 and {x.shape[1]}, one for each of {len(x)} rows.")
    return reverse_rows(x[:, :, None], lengths)[:, :, 0] if x.ndim == 2 else reverse_rows(x, lengths)

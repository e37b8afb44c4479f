"""Operators that pick elements by place, put them there, and find their places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from elman.errors import InputError
from elman.graph._operators.registry import bounded, one_dtype, operator
from elman.graph._spec import Array


@operator("Gather")
def gather(data: Array, indices: Array, *, axis: int = 0) -> Array:
    return np.take(data, indices, axis)


@operator("GatherElements")
def gather_elements(data: Array, indices: Array, *, axis: int = 0) -> Array:
    return np.take_along_axis(_covered(data, indices, axis), indices, axis)


@operator("GatherND")
def gather_nd(data: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """Slices of data at the tuples in the last axis of indices; the first batch_dims axes are gone through together."""
    rows = np.ogrid[tuple(slice(n) for n in indices.shape[:batch_dims])]
    places = [row.reshape(row.shape + (1,) * (indices.ndim - 1 - batch_dims)) for row in rows]
    found: Array = data[(*places, *np.moveaxis(indices, -1, 0))]
    return found


@operator("ScatterElements")
def scatter_elements(
    data: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none"
) -> Array:
    """A copy of data in which updates stand where indices say along an axis."""
    if indices.shape != updates.shape:
        raise InputError(f"indices of shape {indices.shape} and updates of shape {updates.shape}.")
    result = data.copy()
    places = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    places[axis] = indices
    _put(result, tuple(places), updates, reduction)
    return result


@operator("ScatterND")
def scatter_nd(data: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """A copy of data in which updates stand at the tuples in the last axis of indices."""
    result = data.copy()
    places = tuple(np.moveaxis(indices, -1, 0))
    if updates.shape != indices.shape[:-1] + data.shape[indices.shape[-1] :]:
        raise InputError(f"updates of shape {updates.shape} for indices of shape {indices.shape}.")
    _put(result, places, updates, reduction)
    return result


@operator("OneHot")
def one_hot(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    """values[1] at the index along a new axis of size depth, values[0] elsewhere and where no index is in it."""
    if depth.size != 1 or values.shape != (2,):
        raise InputError(f"depth of shape {depth.shape} and values of shape {values.shape}.")
    count = int(depth.item())
    bounded((*indices.shape, count))
    places = np.where(indices < 0, indices + count, indices)
    hot = np.expand_dims(places, axis) == _along(np.arange(count), axis, indices.ndim + 1)
    return np.asarray(np.where(hot, values[1], values[0]))


@operator("ReverseSequence")
def reverse_sequence(x: Array, sequence_lens: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """The first sequence_lens[b] elements of every row turned round, the others where they are."""
    if {batch_axis, time_axis} != {0, 1} or sequence_lens.shape != (x.shape[batch_axis],):
        raise InputError(f"axes {batch_axis} and {time_axis}, lengths of shape {sequence_lens.shape}.")
    lengths = np.expand_dims(sequence_lens, time_axis)
    steps = _along(np.arange(x.shape[time_axis]), time_axis, 2)
    order = np.where(steps < lengths, lengths - 1 - steps, steps)
    return np.take_along_axis(x, order.reshape(order.shape + (1,) * (x.ndim - 2)), time_axis)


@operator("NonZero")
def non_zero(x: Array) -> Array:
    """The places of the elements that are not 0, one column each; of a single number, which has no place, as (1, 1)."""
    return np.stack(np.nonzero(np.atleast_1d(x))).astype(np.int64)


@operator("ArgMax")
def arg_max(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """The place of the largest element; of equal ones the first, or the last."""
    return _place(np.argmax, x, axis, keepdims, select_last_index)


@operator("ArgMin")
def arg_min(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """The place of the smallest element; of equal ones the first, or the last."""
    return _place(np.argmin, x, axis, keepdims, select_last_index)


@operator("TopK")
def top_k(
    x: Array,
    k: Array,
    *,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,  # noqa: ARG001  (they are)
) -> tuple[Array, Array]:
    """The k largest (or smallest) elements along an axis in order, and their places; of equal ones the first."""
    count = int(k.item())
    if not 0 <= count <= x.shape[axis]:
        raise InputError(f"k is {count}, expected 0 to {x.shape[axis]}.")
    if largest:
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis, kind="stable")
    places = np.take(order, np.arange(count), axis).astype(np.int64)
    return np.take_along_axis(x, places, axis), places


def _place(function: Callable[..., Array], x: Array, axis: int, keepdims: int, last: int) -> Array:
    place = function(np.flip(x, axis) if last else x, axis, keepdims=bool(keepdims))
    return np.asarray(x.shape[axis] - 1 - place if last else place, np.int64)


def _covered(data: Array, indices: Array, axis: int) -> Array:
    """The part of data that indices of a smaller shape go over, whole along the axis."""
    if data.ndim != indices.ndim:
        raise InputError(f"data has {data.ndim} axes and indices have {indices.ndim}.")
    cut = [slice(n) for n in indices.shape]
    cut[axis] = slice(None)
    return data[tuple(cut)]


def _put(result: Array, places: tuple[Array, ...], updates: Array, reduction: str) -> None:
    one_dtype(result, updates)
    if reduction == "none":
        result[places] = updates
    elif reduction == "add":
        np.add.at(result, places, updates)
    elif reduction == "mul":
        np.multiply.at(result, places, updates)
    else:
        raise InputError(f"reduction {reduction!r}, expected none, add or mul.")


def _along(values: Array, axis: int, axes: int) -> Array:
    """One axis among others of size 1."""
    sizes = [1] * axes
    sizes[axis] = len(values)
    return values.reshape(sizes)

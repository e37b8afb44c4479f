"""Operators that arrange elements and make arrays out of sizes."""

from __future__ import annotations

import math

import numpy as np

from elman.errors import InputError
from elman.graph._operators.registry import LARGEST, bounded, one_dtype, operator
from elman.graph._spec import Array


@operator("Shape")
def shape(x: Array, *, start: int = 0, end: int | None = None) -> Array:
    return np.array(x.shape[start:end], np.int64)


@operator("Size")
def size(x: Array) -> Array:
    return np.array(x.size, np.int64)


@operator("Reshape")
def reshape(x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """The same elements in other axes: -1 is what is left, 0 the size of x there (with allowzero no elements)."""
    sizes = [int(n) for n in shape]
    if not allowzero:
        sizes = [x.shape[k] if n == 0 else n for k, n in enumerate(sizes)]
    return x.reshape(sizes)


@operator("Flatten")
def flatten(x: Array, *, axis: int = 1) -> Array:
    """Two axes: those before `axis`, and the rest."""
    axis += x.ndim if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator("Squeeze")
def squeeze(x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, None if axes is None else tuple(int(n) for n in axes))


@operator("Unsqueeze")
def unsqueeze(x: Array, axes: Array) -> Array:
    return np.expand_dims(x, tuple(int(n) for n in axes))


@operator("Transpose")
def transpose(x: Array, *, perm: list[int] | None = None) -> Array:
    return x.transpose(perm)


@operator("Concat")
def concat(*arrays: Array, axis: int) -> Array:
    one_dtype(*arrays)
    return np.concatenate(arrays, axis)


@operator("Split")
def split(x: Array, split: Array | None = None, *, axis: int = 0, outputs: int) -> tuple[Array, ...]:
    """Parts of the given sizes along an axis, or as many equal ones as there are outputs."""
    length = x.shape[axis]
    sizes = [length // outputs] * outputs if split is None else [int(n) for n in split]
    if sum(sizes) != length or len(sizes) != outputs or min(sizes) < 0:
        raise InputError(f"{outputs} parts of sizes {sizes} out of {length}.")
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


@operator("Slice")
def slice_(
    x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> Array:
    """Parts of some axes, all of them when `axes` is left out; steps below 0 go backwards."""
    count = len(starts)
    where = range(count) if axes is None else [int(n) for n in axes]
    by = [1] * count if steps is None else [int(n) for n in steps]
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(where, starts.tolist(), ends.tolist(), by, strict=True):
        length = x.shape[axis]
        if step < 0 and start < 0:  # ONNX clamps a start before the first element to it, Python to nothing
            start = max(start + length, 0)
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


@operator("Expand")
def expand(x: Array, shape: Array) -> Array:
    """Axes of size 1 repeated; an axis of x stays where the shape says 1."""
    target = np.broadcast_shapes(x.shape, bounded(shape))
    return np.broadcast_to(x, bounded(target))


@operator("Tile")
def tile(x: Array, repeats: Array) -> Array:
    times = bounded(repeats)
    if len(times) != x.ndim:
        raise InputError(f"{len(times)} repeats for {x.ndim} axes.")
    bounded(n * length for n, length in zip(times, x.shape, strict=True))
    return np.tile(x, times)


@operator("Pad")
def pad(x: Array, pads: Array, constant_value: Array | None = None, *, mode: str = "constant") -> Array:
    """Constant elements before and behind every axis, or elements taken away where a number is below 0."""
    if mode != "constant":
        raise InputError(f"mode {mode!r}, expected 'constant'.")
    if len(pads) != 2 * x.ndim:
        raise InputError(f"{len(pads)} pads, expected {2 * x.ndim}: before each axis, then behind each.")
    sides = [(int(before), int(behind)) for before, behind in pads.reshape(2, x.ndim).T]
    kept = x[
        tuple(slice(max(-a, 0), max(n - max(-b, 0), 0)) for (a, b), n in zip(sides, x.shape, strict=True))
    ]
    more = [(max(a, 0), max(b, 0)) for a, b in sides]
    bounded(a + n + b for (a, b), n in zip(more, kept.shape, strict=True))
    value = x.dtype.type(0) if constant_value is None else constant_value
    one_dtype(x, np.asarray(value))
    return np.pad(kept, more, constant_values=np.asarray(value).item())


@operator("ConstantOfShape")
def constant_of_shape(shape: Array) -> Array:
    """Zeros, float32; for another value expand a weight."""
    return np.zeros(bounded(shape), np.float32)


@operator("Range")
def range_(start: Array, limit: Array, delta: Array) -> Array:
    """start, start + delta, ... before the limit."""
    one_dtype(start, limit, delta)
    first, last, step = (_only(array) for array in (start, limit, delta))
    if not step or not math.isfinite(count := (last - first) / step) or count > LARGEST:
        raise InputError(f"from {first} to {last} in steps of {step}; expected at most {LARGEST} of them.")
    steps: Array = np.arange(max(math.ceil(count), 0), dtype=start.dtype)
    steps *= start.dtype.type(step)
    steps += start.dtype.type(first)
    return steps


@operator("Dropout")
def dropout(
    x: Array,
    ratio: Array | None = None,  # noqa: ARG001  (of training)
    training_mode: Array | None = None,
) -> Array:
    """x: nothing is dropped outside training."""
    if training_mode is not None and training_mode.any():
        raise InputError("training_mode is set; expected a model for inference.")
    return x


@operator("Trilu")
def trilu(x: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    """The upper or lower triangle of the last two axes, from the k-th diagonal on; 0 elsewhere."""
    diagonal = 0 if k is None else int(_only(k))
    diagonal = max(-max(x.shape[-2:]), min(diagonal, max(x.shape[-2:])))
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)


def _only(array: Array) -> int | float:
    """The one element of an array."""
    if array.size != 1:
        raise InputError(f"an array of shape {array.shape}, expected a single number.")
    value: int | float = array.item()
    return value

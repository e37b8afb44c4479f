"""Operators that add up: products, reductions, and what is normalised by sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from elman.errors import InputError
from elman.graph._operators.registry import one_dtype, operator
from elman.graph._spec import Array


@operator("MatMul")
def mat_mul(a: Array, b: Array) -> Array:
    one_dtype(a, b)
    if a.ndim > 2 and b.ndim == 2:  # all rows at once: NumPy would make one product of each matrix
        rows = np.matmul(a.reshape(math.prod(a.shape[:-1]), a.shape[-1]), b)
        return np.asarray(rows.reshape(*a.shape[:-1], b.shape[1]))
    return np.asarray(np.matmul(a, b))


@operator("Gemm")
def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Array:
    """alpha * a b + beta * c, of matrices."""
    if a.ndim != 2 or b.ndim != 2:
        raise InputError(f"factors of shapes {a.shape} and {b.shape}, expected matrices.")
    one_dtype(a, b)
    product: Array = np.matmul(a.T if transA else a, b.T if transB else b)
    product = product if alpha == 1 else product * alpha
    if c is None:
        return product
    one_dtype(a, c)
    added: Array = product + np.broadcast_to(c if beta == 1 else c * beta, product.shape)
    return added


@operator("Einsum")
def einsum(*arrays: Array, equation: str) -> Array:
    one_dtype(*arrays)
    return np.asarray(np.einsum(equation, *arrays))


@operator("ReduceSum")
def reduce_sum(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    given = [] if axes is None else axes.tolist()
    if not given and noop_with_empty_axes:
        return x
    return np.asarray(np.sum(x, axis=_axes(given), dtype=x.dtype, keepdims=bool(keepdims)))


def _reduction(function: Callable[..., Any]) -> Callable[..., Array]:
    def apply(x: Array, *, axes: list[int] | None = None, keepdims: int = 1) -> Array:
        result: Array = function(x, axis=_axes(axes), keepdims=bool(keepdims))
        return result.astype(x.dtype, copy=False)

    return apply


def _log_sum_exp(x: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, x.dtype.type(0))
    result: Array = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return result if keepdims else np.squeeze(result, axis)


def _mean(x: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    """NaN over nothing; `np.mean` warns of it."""
    total = np.asarray(np.sum(x, axis=axis, keepdims=keepdims))
    return np.asarray(np.divide(total, x.size / max(1, total.size)))


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": lambda x, **where: np.sum(np.abs(x), **where),
    "ReduceL2": lambda x, **where: np.sqrt(np.sum(x * x, **where)),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": np.max,
    "ReduceMean": _mean,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSumSquare": lambda x, **where: np.sum(x * x, **where),
}
for _name, _function in _REDUCTIONS.items():
    operator(_name)(_reduction(_function))


@operator("CumSum")
def cum_sum(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Sums of all elements up to each one, without itself if exclusive, from the end on if reverse."""
    along = int(axis.item())
    x = np.flip(x, along) if reverse else x
    sums = np.cumsum(x, along, dtype=x.dtype)
    if exclusive:
        sums = np.roll(sums, 1, along)
        sums[(slice(None),) * (along % x.ndim) + (slice(1),)] = 0
    return np.flip(sums, along) if reverse else sums


@operator("Softmax")
def softmax(x: Array, *, axis: int = -1) -> Array:
    powers: Array = np.exp(x - np.max(x, axis, keepdims=True))
    powers /= np.sum(powers, axis, keepdims=True)
    return powers


@operator("LogSoftmax")
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    below: Array = x - np.max(x, axis, keepdims=True)
    below -= np.log(np.sum(np.exp(below), axis, keepdims=True))
    return below


@operator("BatchNormalization")
def batch_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,  # noqa: ARG001  (of training)
    training_mode: int = 0,
) -> Array:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, each for the features of axis 1."""
    if training_mode:
        raise InputError("training_mode is set; expected a model for inference.")
    one_dtype(x, scale, bias, mean, variance)
    sizes = (-1,) + (1,) * (x.ndim - 2)
    factor = scale / np.sqrt(variance + epsilon)
    result: Array = (x - mean.reshape(sizes)) * factor.reshape(sizes) + bias.reshape(sizes)
    return result


@operator("LayerNormalization")
def layer_normalization(
    x: Array,
    scale: Array,
    bias: Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,  # noqa: ARG001  (the dtype of sums: that of x)
) -> Array:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias over all axes from `axis` on."""
    one_dtype(x, scale, scale if bias is None else bias)
    over = tuple(range(axis % x.ndim, x.ndim))
    centred = x - np.mean(x, over, keepdims=True)
    deviation = np.sqrt(np.mean(centred * centred, over, keepdims=True) + epsilon)
    result: Array = centred / deviation * scale
    return result if bias is None else result + bias


def _axes(axes: list[int] | None) -> tuple[int, ...] | None:
    """Axes of a reduction; all of them where none are named."""
    return tuple(axes) if axes else None

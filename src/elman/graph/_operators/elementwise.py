"""Operators that treat every element alike."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from elman.errors import InputError
from elman.graph._operators.registry import one_dtype, operator
from elman.graph._spec import Array
from elman.graph.recurrence import ACTIVATIONS

DTYPES = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 11: "float64"}
"""The dtypes of a graph by ONNX' numbers for them."""


def _of_floats(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def apply(x: Array) -> Array:
        _check_float(x)
        return function(x)

    return apply


def _of_any(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def apply(x: Array) -> Array:
        return function(x)

    return apply


def _of_two(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def apply(a: Array, b: Array) -> Array:
        one_dtype(a, b)
        return function(a, b)

    return apply


def _of_bools(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def apply(a: Array, b: Array) -> Array:
        _check_bool(a)
        _check_bool(b)
        return function(a, b)

    return apply


def _of_many(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def apply(*arrays: Array) -> Array:
        one_dtype(*arrays)
        return functools.reduce(function, arrays)

    return apply


def _check_float(x: Array) -> None:
    if x.dtype.kind != "f":
        raise InputError(f"an input of dtype {x.dtype}, expected floats; a Cast makes them.")


def _check_bool(x: Array) -> None:
    if x.dtype != bool:
        raise InputError(f"an input of dtype {x.dtype}, expected bool; a comparison or a Cast makes it.")


_FLOATS: dict[str, Callable[[Array], Array]] = {
    "Asinh": np.arcsinh,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Exp": np.exp,
    "Floor": np.floor,
    "IsNaN": np.isnan,
    "Log": np.log,
    "Reciprocal": np.reciprocal,
    "Round": np.rint,
    "Sin": np.sin,
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
}
_ANY: dict[str, Callable[[Array], Array]] = {
    "Abs": np.abs,
    "Identity": np.asarray,
    "Neg": np.negative,
    "Sign": np.sign,
}
_TWO: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Mul": np.multiply,
    "Sub": np.subtract,
}
_BOOLS: dict[str, Callable[..., Array]] = {
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
}
_MANY: dict[str, Callable[[Array, Array], Array]] = {"Max": np.maximum, "Min": np.minimum, "Sum": np.add}

for _name, _function in _FLOATS.items():
    operator(_name)(_of_floats(_function))
for _name, _function in _ANY.items():
    operator(_name)(_of_any(_function))
for _name, _pair in _TWO.items():
    operator(_name)(_of_two(_pair))
for _name, _pair in _BOOLS.items():
    operator(_name)(_of_bools(_pair))
for _name, _pair in _MANY.items():
    operator(_name)(_of_many(_pair))


@operator("Not")
def not_(x: Array) -> Array:
    _check_bool(x)
    return np.asarray(np.logical_not(x))


@operator("Mean")
def mean(*arrays: Array) -> Array:
    one_dtype(*arrays)
    _check_float(arrays[0])
    total: Array = functools.reduce(np.add, arrays)
    return total / len(arrays)


@operator("Div")
def div(a: Array, b: Array) -> Array:
    """The quotient; of whole numbers towards zero."""
    one_dtype(a, b)
    if a.dtype.kind == "f":
        return np.divide(a, b)
    down, rest = np.divmod(a, b)
    quotient: Array = down + ((rest != 0) & ((a < 0) != (b < 0)))
    return quotient


@operator("Mod")
def mod(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """The remainder, with the sign of b; with fmod that of a, as floats ask for."""
    one_dtype(a, b)
    if a.dtype.kind == "f" and not fmod:
        raise InputError("floats ask for fmod=1.")
    return np.fmod(a, b) if fmod else np.mod(a, b)


@operator("Pow")
def power(a: Array, b: Array) -> Array:
    """a to the power of b, in the dtype of a."""
    return np.asarray(np.power(a, b), a.dtype)


@operator("Erf")
def erf(x: Array) -> Array:
    _check_float(x)
    return np.asarray(_ERF(x), x.dtype)


_ERF = np.frompyfunc(math.erf, 1, 1)


@operator("Sigmoid")
def sigmoid(x: Array) -> Array:
    _check_float(x)
    return ACTIVATIONS["Sigmoid"](x, 0, 0)


@operator("Relu")
def relu(x: Array) -> Array:
    return np.asarray(np.maximum(x, x.dtype.type(0)))


@operator("Softplus")
def softplus(x: Array) -> Array:
    _check_float(x)
    return ACTIVATIONS["Softplus"](x, 0, 0)


@operator("Softsign")
def softsign(x: Array) -> Array:
    _check_float(x)
    return ACTIVATIONS["Softsign"](x, 0, 0)


@operator("HardSigmoid")
def hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    _check_float(x)
    return ACTIVATIONS["HardSigmoid"](x, alpha, beta)


@operator("LeakyRelu")
def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    _check_float(x)
    return ACTIVATIONS["LeakyRelu"](x, alpha, 0)


@operator("PRelu")
def p_relu(x: Array, slope: Array) -> Array:
    """x, multiplied by the slope below 0."""
    one_dtype(x, slope)
    return np.where(x < 0, x * np.broadcast_to(slope, x.shape), x)


@operator("Elu")
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    _check_float(x)
    return ACTIVATIONS["Elu"](x, alpha, 0)


@operator("Selu")
def selu(
    x: Array, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Array:
    """gamma * Elu(x); the defaults are ONNX', two numbers of float32."""
    return gamma * elu(x, alpha=alpha)


@operator("ThresholdedRelu")
def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    """x above alpha, else 0. In a recurrent layer, where ONNX Runtime has >=, alpha itself is kept."""
    _check_float(x)
    return np.where(x > alpha, x, x.dtype.type(0))


@operator("Clip")
def clip(x: Array, min: Array | None = None, max: Array | None = None) -> Array:
    """Bounds, each without axes; max wins where they cross."""
    for bound, function in ((min, np.maximum), (max, np.minimum)):
        if bound is not None:
            one_dtype(x, bound)
            x = function(x, bound)
    return x


@operator("Where")
def where(condition: Array, x: Array, y: Array) -> Array:
    one_dtype(x, y)
    _check_bool(condition)
    return np.where(condition, x, y)


@operator("Cast")
def cast(x: Array, *, to: int) -> Array:
    """Another dtype, by ONNX' number for it; floats lose their fraction where whole numbers are made."""
    if to not in DTYPES:
        raise InputError(f"to is {to}, expected one of {', '.join(f'{k} ({v})' for k, v in DTYPES.items())}.")
    return x.astype(DTYPES[to])

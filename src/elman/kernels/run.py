"""A stack of recurrent layers on NumPy arrays through the compiled core: everything is checked here, then it runs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from elman import _core, cells
from elman.errors import InputError
from elman.kernels.support import threads_allowed

Array: TypeAlias = npt.NDArray[Any]
Named: TypeAlias = dict[str, Array]

STEMS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


@dataclass(frozen=True)
class Gradients:
    """Gradients of a scalar with respect to everything that went into `forward`, shapes as given there.

    x is None for symbols.
    """

    x: Array | None
    params: Named
    state: Named


@dataclass(frozen=True)
class Layer:
    """One layer in its one or two directions: the parameters by suffix, and where its states stand."""

    suffixes: tuple[str, ...]
    weights: tuple[Named, ...]
    first: int

    @functools.cached_property
    def addresses(self) -> tuple[int, ...]:
        return tuple(address(w.get(stem)) for w in self.weights for stem in STEMS)


Checked: TypeAlias = tuple[cells.Cell, tuple[Layer, ...], int, int, np.dtype[Any]]
"""The cell, its checked layers, H, P and the dtype."""


@dataclass(frozen=True)
class _Stack:
    """A checked call."""

    cell: str
    dtype: str
    layers: tuple[Layer, ...]
    hidden: int
    output: int
    x: Array
    state: Named
    lengths: npt.NDArray[np.int64] | None
    threads: int


@dataclass(frozen=True)
class _Pass:
    """What a layer read and what it kept for the way back."""

    x: Array
    reserve: Array | None


def forward(
    cell: str,
    params: Mapping[str, npt.ArrayLike],
    x: npt.ArrayLike,
    state: Mapping[str, npt.ArrayLike] | None = None,
    lengths: npt.ArrayLike | None = None,
    *,
    threads: int | None = None,
) -> tuple[Array, Named]:
    """Run a stack of recurrent layers over a batch of sequences in the dtype of the parameters.

    The same call as `elman.reference.forward`, compiled: arguments, shapes and meaning as there, but float32 or
    float64, and x may be (B, T) integers, symbols that stand for one-hot vectors of weight_ih_l0's width.

    threads: at most so many; the default is the number of processors. The result does not depend on it.

    Returns (output, state): output (B, T, P * directions), state by name, each (layers * directions, B, H or P).
    Raises InputError: unknown cell or dtype, a parameter missing, a shape, length or symbol that does not fit.

    >>> import numpy as np
    >>> from elman import reference
    >>> params = reference.draw("gru", 3, 4, np.random.default_rng(0))
    >>> output, state = forward("gru", params, np.ones((2, 5, 3)), lengths=[5, 0])
    >>> output.shape, bool(output[1].any())
    ((2, 5, 4), False)
    """
    return Prepared(cell, params)(x, state, lengths, threads=threads)


class Prepared:
    """`forward` of one stack, call after call: the parameters, which must not change, are checked here once."""

    def __init__(self, cell: str, params: Mapping[str, npt.ArrayLike]) -> None:
        self._checked = check_params(cell, params)

    def __call__(
        self,
        x: npt.ArrayLike,
        state: Mapping[str, npt.ArrayLike] | None = None,
        lengths: npt.ArrayLike | None = None,
        *,
        threads: int | None = None,
    ) -> tuple[Array, Named]:
        stack = _checked(self._checked, x, state, lengths, threads)
        final = {n: np.empty_like(a) for n, a in stack.state.items()}
        output, _ = _run(stack, final, keep=False)
        return output, final


def backward(
    cell: str,
    params: Mapping[str, npt.ArrayLike],
    x: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    grad_state: Mapping[str, npt.ArrayLike] | None = None,
    state: Mapping[str, npt.ArrayLike] | None = None,
    lengths: npt.ArrayLike | None = None,
    *,
    threads: int | None = None,
) -> Gradients:
    """Back-propagation through time of `forward`: gradients of sum(output * grad_output) + sum(state * grad_state).

    The same call as `elman.reference.backward`, compiled; see `forward` for what differs.
    """
    stack = _checked(check_params(cell, params), x, state, lengths, threads)
    final = {n: np.empty_like(a) for n, a in stack.state.items()}
    output, passes = _run(stack, final, keep=True)
    grad = _array("grad_output", grad_output, output.shape, output.dtype)
    grad_final = {
        n: None
        if n not in (grad_state or {})
        else _array(f"grad_state[{n!r}]", (grad_state or {})[n], a.shape, a.dtype)
        for n, a in final.items()
    }
    grad_params: Named = {}
    grad_x: Array | None = grad
    for layer, kept in zip(reversed(stack.layers), reversed(passes), strict=True):
        assert grad_x is not None  # only the first layer's x may be symbols
        grad_x = _layer_backward(stack, layer, kept, grad_x, grad_final, final, grad_params)
    return Gradients(grad_x, {n: grad_params[n] for n in params}, final)


def address(array: Array | None) -> int:
    """Where an array's data begin; 0 for None."""
    return 0 if array is None else int(array.ctypes.data)


def _run(stack: _Stack, final: Named, keep: bool) -> tuple[Array, list[_Pass]]:
    passes: list[_Pass] = []
    x = stack.x
    batch, steps = x.shape[:2]
    for layer in stack.layers:
        directions, at = len(layer.weights), slice(layer.first, layer.first + len(layer.weights))
        size = layer.weights[0]["weight_ih"].shape[1]
        out = np.empty((batch, steps, directions * stack.output), stack.dtype)
        reserve = None
        if keep:
            need = _core.reserve_size(
                stack.cell, stack.dtype, steps, batch, stack.hidden, stack.output, directions
            )
            reserve = _core.buffer(need)
        symbols = x.ndim == 2
        _core.forward(
            *(stack.cell, stack.dtype, steps, batch, size, stack.hidden, stack.output),
            *(0 if symbols else address(x), *_strides(x), address(x) if symbols else 0, layer.addresses),
            *(address(stack.state["h"][at]), address(stack.state["c"][at]) if "c" in final else 0),
            *(address(stack.lengths), address(out), *_strides(out)),
            *(address(final["h"][at]), address(final["c"][at]) if "c" in final else 0),
            *(address(reserve), stack.threads),
        )
        passes.append(_Pass(x, reserve))
        x = out
    return x, passes


def _layer_backward(
    stack: _Stack,
    layer: Layer,
    kept: _Pass,
    grad: Array,
    grad_final: Mapping[str, Array | None],
    grad_state: Named,
    grad_params: Named,
) -> Array | None:
    """Fills grad_params and this layer's part of grad_state; returns the gradient of the layer's x."""
    at = slice(layer.first, layer.first + len(layer.weights))
    x, symbols = kept.x, kept.x.ndim == 2
    grad_x = None if symbols else np.empty_like(x)
    grads = tuple({stem: np.empty_like(a) for stem, a in w.items()} for w in layer.weights)
    flowing = {n: None if g is None else g[at] for n, g in grad_final.items()}
    size = layer.weights[0]["weight_ih"].shape[1]
    _core.backward(
        *(stack.cell, stack.dtype, x.shape[1], x.shape[0], size, stack.hidden, stack.output),
        *(0 if symbols else address(x), *_strides(x), address(x) if symbols else 0, layer.addresses),
        *(address(stack.lengths), address(grad), *_strides(grad), 1),
        *(address(flowing["h"]), address(flowing.get("c")), address(kept.reserve)),
        *(address(grad_x), *(_strides(grad_x) if grad_x is not None else (0, 0))),
        *(address(grad_state["h"][at]), address(grad_state["c"][at]) if "c" in grad_state else 0),
        *(tuple(address(g.get(stem)) for g in grads for stem in STEMS), stack.threads),
    )
    for suffix, named in zip(layer.suffixes, grads, strict=True):
        grad_params.update({stem + suffix: g for stem, g in named.items()})
    return grad_x


def _strides(array: Array) -> tuple[int, int]:
    """Strides along time and batch, in elements, of an array (B, T, ...)."""
    return array.strides[1] // array.itemsize, array.strides[0] // array.itemsize


def _checked(
    params: Checked,
    x: npt.ArrayLike,
    state: Mapping[str, npt.ArrayLike] | None,
    lengths: npt.ArrayLike | None,
    threads: int | None,
) -> _Stack:
    spec, layers, hidden, output, dtype = params
    data = _input(x, layers[0].weights[0]["weight_ih"].shape[1], dtype)
    batch, steps = data.shape[:2]
    count = layers[-1].first + len(layers[-1].weights)
    given = state or {}
    if set(given) - set(spec.state_names):
        raise InputError(f"kernels: {spec.name} has the states {spec.state_names}, not {sorted(given)}.")
    initial = {
        n: np.zeros(shape, dtype) if n not in given else _array(f"state[{n!r}]", given[n], shape, dtype)
        for n, shape in ((n, (count, batch, output if n == "h" else hidden)) for n in spec.state_names)
    }
    return _Stack(
        cell=spec.name,
        dtype=dtype.name,
        layers=layers,
        hidden=hidden,
        output=output,
        x=data,
        state=initial,
        lengths=_lengths(lengths, batch, steps),
        threads=threads_allowed(threads),
    )


def check_params(cell: str, params: Mapping[str, npt.ArrayLike]) -> Checked:
    """The cell, its checked layers, H, P and the dtype. Raises InputError where something does not fit."""
    spec = cells.get(cell)
    if spec.name not in _core.cells():
        raise InputError(
            f"kernels: cell {spec.name!r} has no compiled kernel; compiled: {', '.join(_core.cells())}."
        )
    layers = tuple(_layers(spec, params))
    first = layers[0].weights[0]
    dtype = first["weight_ih"].dtype
    if dtype not in (np.float32, np.float64):
        raise InputError(f"kernels: weight_ih_l0 has dtype {dtype}, expected float32 or float64.")
    hidden, output = len(first["weight_hh"]) // len(spec.gates), first["weight_hh"].shape[1]
    _check_weights(spec, layers, hidden, output, dtype)
    return spec, layers, hidden, output, dtype


def _layers(spec: cells.Cell, params: Mapping[str, npt.ArrayLike]) -> Iterator[Layer]:
    number, first = 0, 0
    while f"weight_ih_l{number}" in params or number == 0:
        reverse = cells.suffix(number, True)
        suffixes = (cells.suffix(number, False), *((reverse,) if "weight_ih" + reverse in params else ()))
        weights = []
        for suffix in suffixes:
            for stem in ("weight_ih", "weight_hh"):
                if stem + suffix not in params:
                    raise InputError(
                        f"kernels: parameter '{stem + suffix}' is missing; given: {', '.join(params)}."
                    )
            weights.append(
                {s: np.ascontiguousarray(params[s + suffix]) for s in STEMS if s + suffix in params}
            )
        for stem in ("weight_ih", "weight_hh"):
            shape = weights[0][stem].shape
            if len(shape) != 2 or shape[0] % len(spec.gates):
                raise InputError(
                    f"kernels: {stem + suffixes[0]} has shape {shape}, expected"
                    f" ({len(spec.gates)} * hidden_size, features) for {spec.name}."
                )
        yield Layer(suffixes, tuple(weights), first)
        number, first = number + 1, first + len(suffixes)


def _check_weights(
    spec: cells.Cell, layers: tuple[Layer, ...], hidden: int, output: int, dtype: np.dtype[Any]
) -> None:
    features = layers[0].weights[0]["weight_ih"].shape[1]
    projected = "weight_hr" in layers[0].weights[0]
    if projected and not spec.projection:
        raise InputError(f"kernels: {spec.name} has no projection; leave weight_hr_l0 out.")
    rows = len(spec.gates) * hidden
    expected: dict[str, tuple[int, ...]] = {
        "weight_hh": (rows, output),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
    }
    if projected:
        expected["weight_hr"] = (output, hidden)
    elif output != hidden:
        raise InputError(
            f"kernels: weight_hh_l0 has shape {(rows, output)}, expected {(rows, hidden)} without weight_hr_l0."
        )
    for layer in layers:
        expected["weight_ih"] = (rows, features)
        for suffix, named in zip(layer.suffixes, layer.weights, strict=True):
            if projected != ("weight_hr" in named):
                raise InputError(
                    f"kernels: give weight_hr{suffix} for all layers and directions, or for none."
                )
            for stem, array in named.items():
                if array.shape != expected[stem] or array.dtype != dtype:
                    raise InputError(
                        f"kernels: {stem + suffix} is {array.dtype} of shape {array.shape},"
                        f" expected {dtype} of shape {expected[stem]}."
                    )
        features = output * len(layer.weights)


def _input(x: npt.ArrayLike, features: int, dtype: np.dtype[Any]) -> Array:
    data = np.asarray(x)
    if data.ndim == 2 and np.issubdtype(data.dtype, np.integer):
        if data.size and (data.min() < 0 or data.max() >= features):
            raise InputError(
                f"kernels: symbols must lie between 0 and {features - 1}; got {data.min()} to {data.max()}."
            )
        return data.astype(np.int64, copy=False)
    if data.ndim != 3 or data.shape[2] != features:
        raise InputError(
            f"kernels: x has shape {data.shape}, expected (batch, time, {features}), or integers (batch, time)."
        )
    data = data.astype(dtype, copy=False)
    dense = data.strides[2] == data.itemsize or features == 1
    whole = all(stride % data.itemsize == 0 for stride in data.strides[:2])
    return data if dense and whole else np.ascontiguousarray(data)


def _array(name: str, value: npt.ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    array = np.ascontiguousarray(value, dtype=dtype)
    if np.shape(value) != shape:
        raise InputError(f"kernels: {name} has shape {np.shape(value)}, expected {shape}.")
    return array


def _lengths(lengths: npt.ArrayLike | None, batch: int, steps: int) -> npt.NDArray[np.int64] | None:
    if lengths is None:
        return None
    given = np.asarray(lengths)
    if given.shape != (batch,) or not np.issubdtype(given.dtype, np.integer):
        raise InputError(
            f"kernels: lengths must be {batch} integers; got {given.dtype} of shape {given.shape}."
        )
    if given.size and (given.min() < 0 or given.max() > steps):
        raise InputError(
            f"kernels: lengths must lie between 0 and {steps}; got {given.min()} to {given.max()}."
        )
    return np.ascontiguousarray(given, dtype=np.int64)

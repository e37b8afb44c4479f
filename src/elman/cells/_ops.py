"""The few functions a cell's equation needs, so that one text runs on NumPy, torch and anything alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

Array: TypeAlias = Any
"""An array of some library; a cell only adds, subtracts and multiplies it and passes it to Ops."""

ByName: TypeAlias = Mapping[str, Array]
"""Arrays by the name of a gate or a state, each (B, H)."""


class Ops(Protocol):
    """Nonlinearities of one array library. `*_slope(y)` is the derivative where the function's value is y."""

    def sigmoid(self, a: Array) -> Array: ...
    def sigmoid_slope(self, y: Array) -> Array: ...
    def tanh(self, a: Array) -> Array: ...
    def tanh_slope(self, y: Array) -> Array: ...
    def relu(self, a: Array) -> Array: ...
    def relu_slope(self, y: Array) -> Array: ...


class Recurrent(Protocol):
    """The recurrent product of one step: `recurrent(h)["i"]` is U_i h + d_i.

    Naming gates asks for these only: `recurrent(r * h, "n")`. A cell may call it several times a step, each
    gate once.
    """

    def __call__(self, h: Array, *gates: str) -> ByName: ...


BackwardProduct: TypeAlias = Callable[[Array, ByName], Array]
"""Reverse of Recurrent: `backward_product(h, grads)` returns the gradient with respect to h, the sum over the
named gates k of U_k^T grads[k], and accumulates the gradients of U_k (grads[k] h^T) and d_k on the way."""

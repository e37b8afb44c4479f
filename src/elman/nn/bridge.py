"""Autograd around the compiled core, and the gradients of a layer where the core cannot give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from elman.nn import eager, native
from elman.nn.eager import Result

Static: TypeAlias = tuple[str, bool, bool]
"""What is no tensor in a call: cell, bidirectional, batch_first."""

Gradients: TypeAlias = list[Tensor | None]
"""Gradients of x, h0, s0 and the parameters, None for what is absent or not asked for."""


class NativeLayer(torch.autograd.Function):
    """One layer of the compiled core, differentiable any number of times: beyond the first, as the cell's text."""

    @staticmethod
    def forward(
        ctx: Any,
        static: Static,
        x: Tensor,
        h0: Tensor | None,
        s0: Tensor | None,
        lengths: Tensor | None,
        *params: Tensor,
    ) -> Result:
        output, h_n, s_n, reserve = native.forward(x, h0, s0, params, lengths, *static, keep=True)
        ctx.static = static
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h0, s0, lengths, reserve, *params)
        return output, h_n, s_n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        x, h0, s0, lengths, reserve, *params = ctx.saved_tensors
        if composes(grads):
            found = differentiable(x, h0, s0, params, lengths, grads, ctx.static)
        else:
            wanted = (*ctx.needs_input_grad[1:4], *ctx.needs_input_grad[5:])
            found = native.backward(x, h0, s0, params, lengths, reserve, grads, ctx.static, wanted)
        return (None, *found[:3], None, *found[3:])


def composes(grads: Sequence[Tensor | None]) -> bool:
    """Whether this way back must be made of tensor operations: it is differentiated again, or stands for many at once
    (torch.func.vmap, and autograd.grad with is_grads_batched)."""
    functorch = torch._C._functorch
    return (
        torch.is_grad_enabled()
        or functorch.peek_interpreter_stack() is not None
        or any(g is not None and functorch.is_legacy_batchedtensor(g) for g in grads)
    )


def differentiable(
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    grads: Sequence[Tensor | None],
    static: Static,
) -> Gradients:
    """Gradients made of tensor operations: the cell's text is run once more, and stays in the graph if asked for."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # an alias of each input, so that what leads from one to another outside the layer is not counted here
        inputs: list[Any] = [None if t is None else t.view_as(t) for t in (x, h0, s0, *params)]
        results = _text(inputs, lengths, static)
    pairs = [
        (r, g)
        for r, g in zip(results, grads, strict=True)
        if r is not None and g is not None and r.requires_grad
    ]
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    found = torch.autograd.grad(
        [r for r, _ in pairs], wanted, [g for _, g in pairs], create_graph=again, allow_unused=True
    )
    by_input = dict(zip(map(id, wanted), found, strict=True))
    return [by_input.get(id(t)) for t in inputs]


def recomputed(
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    grads: Sequence[Tensor | None],
    static: Static,
) -> Gradients:
    """Gradients of every floating input where autograd is not recording: the cell's text under torch.func.vjp."""
    given: tuple[Any, ...] = (x, h0, s0, *params)
    chosen = [n for n, t in enumerate(given) if t is not None and t.is_floating_point()]

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        inputs = list(given)
        for n, t in zip(chosen, tensors, strict=True):
            inputs[n] = t
        results = _text(inputs, lengths, static)
        return tuple(r for r, g in zip(results, grads, strict=True) if r is not None and g is not None)

    pull_back = torch.func.vjp(run, *(given[n] for n in chosen))[1]
    found: Gradients = [None] * len(given)
    for n, grad in zip(chosen, pull_back(tuple(g for g in grads if g is not None)), strict=True):
        found[n] = grad
    return found


def _text(inputs: Sequence[Any], lengths: Tensor | None, static: Static) -> Result:
    x, h0, s0, *params = inputs
    return eager.layer(static[0], x, h0, s0, params, lengths, *static[1:])

"""`torch.ops.elman.layer`: one layer as one operator, so that compile, export and vmap see through to the core.

Plain eager calls do not come here: they reach the core without the dispatcher (`elman.nn.stack`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman import cells
from elman.nn import bridge, checks, eager, native, paths, vendor


@torch.library.custom_op("elman::layer", mutates_args=())
def layer(
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    cell: str,
    bidirectional: bool,
    batch_first: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One layer, one or two directions: (output, h_n, s_n, reserve), all contiguous.

    Axes and arguments as in `elman.nn.eager.layer`. keep: store in `reserve` what the way back needs. s_n is empty
    for a cell that has only h, reserve where nothing is kept.
    """
    checks.check_values(cell, x, lengths, params[0].shape[1], batch_first)
    path = paths.plain(cell, x, h0, s0, params)
    if path is paths.NATIVE:
        output, h_n, s_n, reserve = native.forward(
            x, h0, s0, params, lengths, cell, bidirectional, batch_first, keep=keep
        )
        return output, h_n, _present(s_n, h_n.dtype), _present(reserve, torch.uint8)
    run = vendor.stack if path.name == "torch" else eager.layer
    output, h_n, s_n = run(cell, x, h0, s0, params, lengths, bidirectional, batch_first)
    return output.contiguous(), h_n, _present(s_n, h_n.dtype), _present(None, torch.uint8)


@layer.register_fake
def _(
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    _lengths: Tensor | None,
    cell: str,
    bidirectional: bool,
    batch_first: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    declared, directions = cells.get(cell), 2 if bidirectional else 1
    batch, output_size = x.shape[0 if batch_first else 1], params[1].shape[1]
    hidden = params[1].shape[0] // len(declared.gates)
    others = len(declared.states) - 1
    need = 0
    if keep and paths.plain(cell, x, h0, s0, params) is paths.NATIVE:
        steps = x.shape[1 if batch_first else 0]
        sizes = int(hidden), int(output_size)  # only batch and time may stay symbols
        need = native.reserve_size(cell, params[0].dtype, steps, batch, *sizes, directions)
    new = params[0].new_empty
    return (
        new(x.shape[0], x.shape[1], output_size * directions),
        new(directions, batch, output_size),
        new(others * directions, batch, hidden) if others else new(0),
        new(need, dtype=torch.uint8),
    )


@torch.library.custom_op("elman::layer_backward", mutates_args=())
def layer_backward(
    grads: Sequence[Tensor],
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    reserve: Tensor,
    cell: str,
    bidirectional: bool,
    batch_first: bool,
) -> list[Tensor]:
    """Gradients of x, h0, s0 (empty where there is none) and the parameters.

    grads: gradients of output, h_n and s_n; reserve: what `layer` kept, or nothing.
    """
    given = [x, h0, s0, *params]
    static = (cell, bidirectional, batch_first)
    flowing = [grads[0], grads[1], grads[2] if len(cells.get(cell).states) > 1 else None]
    if reserve.numel():
        found = native.backward(x, h0, s0, params, lengths, reserve, flowing, static, [True] * len(given))
    else:
        found = bridge.recomputed(x, h0, s0, params, lengths, flowing, static)
    return [_like(t, params[0]) if g is None else g.contiguous() for g, t in zip(found, given, strict=True)]


@layer_backward.register_fake
def _(
    _grads: Sequence[Tensor],
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    *_: Any,
) -> list[Tensor]:
    return [_like(t, params[0]) for t in (x, h0, s0, *params)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, h0, s0, params, lengths, *static, _ = inputs
    ctx.static = tuple(static)
    ctx.save_for_backward(x, h0, s0, lengths, output[3], *params)


def _backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
    x, h0, s0, lengths, reserve, *params = ctx.saved_tensors
    given = [x, h0, s0, *params]
    if bridge.composes(grads):
        flowing = [grads[0], grads[1], grads[2] if len(cells.get(ctx.static[0]).states) > 1 else None]
        found = bridge.differentiable(x, h0, s0, params, lengths, flowing, ctx.static)
    else:
        found = layer_backward(list(grads[:3]), x, h0, s0, params, lengths, reserve, *ctx.static)
        found = [
            None if t is None or not t.is_floating_point() else g for g, t in zip(found, given, strict=True)
        ]
    return (*found[:3], found[3:], None, None, None, None, None)


layer.register_autograd(_backward, setup_context=_setup)


@layer.register_vmap
def _(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Fold the mapped axis into the batch; where parameters are mapped too, run the items one after the other."""
    x, h0, s0, params, lengths, cell, bidirectional, batch_first, keep = args
    if any(d is not None for d in in_dims[3]):
        items = [layer(*_item(args, in_dims, n)) for n in range(info.batch_size)]
        return tuple(torch.stack(r) for r in zip(*items, strict=True)), (0, 0, 0, 0)
    size, batch_axis = info.batch_size, 0 if batch_first else 1
    x = _fold(x, in_dims[0], size, batch_axis)
    h0, s0 = (_fold(t, d, size, 1) for t, d in ((h0, in_dims[1]), (s0, in_dims[2])))
    lengths = _fold(lengths, in_dims[4], size, 0)
    output, h_n, s_n, reserve = layer(x, h0, s0, params, lengths, cell, bidirectional, batch_first, keep)
    return (
        (
            output.unflatten(batch_axis, (size, -1)),
            h_n.unflatten(1, (size, -1)),
            s_n.unflatten(1, (size, -1)) if s_n.numel() else s_n.expand(size, 0),
            reserve.expand(size, *reserve.shape),
        ),
        (batch_axis, 1, 1 if s_n.numel() else 0, 0),
    )


def _fold(t: Tensor | None, dim: int | None, size: int, axis: int) -> Tensor | None:
    if t is None:
        return None
    moved = (
        t.unsqueeze(axis).expand(*t.shape[:axis], size, *t.shape[axis:])
        if dim is None
        else t.movedim(dim, axis)
    )
    return moved.flatten(axis, axis + 1)


def _item(args: Sequence[Any], dims: Sequence[Any], n: int) -> list[Any]:
    return [
        _item(a, d, n) if isinstance(a, (list, tuple)) else a if d is None else a.select(d, n)
        for a, d in zip(args, dims, strict=True)
    ]


def _present(t: Tensor | None, dtype: torch.dtype) -> Tensor:
    return torch.empty(0, dtype=dtype) if t is None else t


def _like(t: Tensor | None, floating: Tensor) -> Tensor:
    """The room a gradient of `t` takes: none where `t` is absent or holds symbols."""
    return floating.new_empty(t.shape if t is not None and t.is_floating_point() else 0)

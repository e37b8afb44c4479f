"""The native path: one call of the compiled core for each layer, on the tensors' own memory.

Nothing is copied that lies as the core reads it: x and gradients by any strides along time and batch, parameters and
states dense. Every shape is checked here, before an address is taken.

bfloat16: the core is given float32 copies; it rounds the operands of its products to
bfloat16 where the processor has a unit for that, and keeps sums, gates and states in float32.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman import _core, cells
from elman.errors import InputError
from elman.kernels.support import DTYPES

_DTYPES: dict[torch.dtype, str] = {getattr(torch, name): name for name in DTYPES}
_GATES = {name: len(cells.get(name).gates) for name in _core.cells() if name in cells.names()}
# Bytes from which a reserve lies in reused huge pages: fresh pages cost more than the work done on them.
_LARGE = 1 << 20
_HAS_OTHERS = {name: len(cells.get(name).states) > 1 for name in _GATES}


def supports(cell: str, dtype: torch.dtype) -> bool:
    """Whether the compiled core has this cell for this dtype."""
    return cell in _GATES and dtype in _DTYPES


def forward(
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    cell: str,
    bidirectional: bool,
    batch_first: bool,
    *,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """(output, h_n, s_n, reserve), arguments and axes as in `eager.layer`; reserve only if the way back is kept."""
    directions = 2 if bidirectional else 1
    asked = params[0].dtype
    kind = _DTYPES[asked]
    if kind == "bfloat16":
        x, h0, s0, *params = _widened(x, h0, s0, *params)
    x, (first, second, *size), at = _input(x, batch_first)
    features, hidden, output_size, addresses, _held = _parameters(cell, params, directions)
    steps, batch = (second, first) if batch_first else (first, second)
    if size and size[0] != features:
        raise InputError(f"{cell}: weight_ih reads {features} features, but x has shape {tuple(x.shape)}.")
    if lengths is not None and (lengths.shape != (batch,) or lengths.dtype != torch.int64):
        raise InputError(
            f"{cell}: lengths must be ({batch},) int64; got {tuple(lengths.shape)} {lengths.dtype}."
        )
    h0 = _state(cell, "h0", h0, (directions, batch, output_size))
    s0 = _state(cell, "s0", s0, (directions, batch, hidden))
    lengths = None if lengths is None else lengths.contiguous()
    dtype = params[0].dtype
    output = torch.empty((first, second, output_size * directions), dtype=dtype)
    h_n = torch.empty((directions, batch, output_size), dtype=dtype)
    s_n = torch.empty((directions, batch, hidden), dtype=dtype) if _HAS_OTHERS[cell] else None
    reserve = None
    if keep:
        need = reserve_size(cell, dtype, steps, batch, hidden, output_size, directions)
        reserve = (
            torch.empty(need, dtype=torch.uint8) if need < _LARGE else torch.from_numpy(_core.buffer(need))
        )
    _core.forward(
        *(cell, kind, steps, batch, features, hidden, output_size, *at, addresses),
        *(_address(h0), _address(s0), _address(lengths), output.data_ptr(), *_strides(output, batch_first)),
        *(h_n.data_ptr(), _address(s_n), _address(reserve), torch.get_num_threads()),
    )
    if dtype is not asked:
        output, h_n, s_n = output.to(asked), h_n.to(asked), None if s_n is None else s_n.to(asked)
    return output, h_n, s_n, reserve


def backward(
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    reserve: Tensor,
    grads: Sequence[Tensor | None],
    static: tuple[str, bool, bool],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of x, h0, s0 and the parameters, where `wanted`.

    grads: those of output, h_n and s_n, None for zero. static: cell, bidirectional and batch_first of the call.
    """
    cell, bidirectional, batch_first = static
    directions = 2 if bidirectional else 1
    given = (x, h0, s0, *params)
    kind = _DTYPES[params[0].dtype]
    if kind == "bfloat16":
        x, h0, s0, *params = _widened(*given)
        grads = _widened(*grads)
    x, (first, second, *_), at = _input(x, batch_first)
    features, hidden, output_size, addresses, _held = _parameters(cell, params, directions)
    steps, batch = (second, first) if batch_first else (first, second)
    grad_output = grads[0]
    _refuse_other(cell, "gradient of the output", grad_output, (first, second, output_size * directions))
    grad_h = _state(cell, "gradient of h_n", grads[1], (directions, batch, output_size))
    grad_s = _state(cell, "gradient of s_n", grads[2], (directions, batch, hidden))
    need = reserve_size(cell, params[0].dtype, steps, batch, hidden, output_size, directions)
    _refuse_other(cell, "reserve", reserve, (need,))
    lengths = None if lengths is None else lengths.contiguous()
    inputs = (x, h0, s0, *params)
    found: list[Tensor | None] = [
        torch.empty(t.shape, dtype=t.dtype) if want and t is not None and t.is_floating_point() else None
        for t, want in zip(inputs, wanted, strict=True)
    ]
    grad_x, grad_h0, grad_s0 = found[:3]
    _core.backward(
        *(cell, kind, steps, batch, features, hidden, output_size, *at),
        *(addresses, _address(lengths), _address(grad_output)),
        *((0, 0, 0) if grad_output is None else (*_strides(grad_output, batch_first), grad_output.stride(2))),
        *(_address(grad_h), _address(grad_s), reserve.data_ptr()),
        *(_address(grad_x), *((0, 0) if grad_x is None else _strides(grad_x, batch_first))),
        *(_address(grad_h0), _address(grad_s0), _spread([_address(g) for g in found[3:]], directions)),
        torch.get_num_threads(),
    )
    if kind == "bfloat16":
        return [g if g is None or t is None else g.to(t.dtype) for g, t in zip(found, given, strict=True)]
    return found


def _widened(*given: Tensor | None) -> list[Any]:
    """Floating tensors as float32; symbols and what is absent as they are."""
    return [t.float() if t is not None and t.is_floating_point() else t for t in given]


def reserve_size(
    cell: str, dtype: torch.dtype, steps: int, batch: int, hidden: int, output_size: int, directions: int
) -> int:
    """Bytes to keep for the way back. steps and batch may be symbols, so that a compiled program knows the size."""
    by_step, by_row, rest = _reserve(_core.isa(), cell, _DTYPES[dtype], hidden, output_size)
    return directions * (steps * batch * by_step + batch * by_row + rest)


@functools.lru_cache(maxsize=1024)
def _reserve(_isa: str, cell: str, dtype: str, hidden: int, output_size: int) -> tuple[int, int, int]:
    """The core's size is a * T * B + b * B + c rounded up to 64 bytes: (a, b, c + 64), from three of its values."""

    def size(steps: int, batch: int) -> int:
        return int(_core.reserve_size(cell, dtype, steps, batch, hidden, output_size, 1))

    probe = 4096  # a and b are multiples of 4 bytes, so that rounding is the same at both ends
    by_row = (size(0, probe) - size(0, 0)) // probe
    return (size(probe, 1) - size(0, 1)) // probe, by_row, size(0, 0) + 64


def _input(x: Tensor, batch_first: bool) -> tuple[Tensor, Sequence[int], tuple[int, int, int, int]]:
    """x as the core can read it, its shape, and its address, strides along time and batch, address as symbols."""
    if x.dim() == 2:
        x = x if x.dtype is torch.int64 else x.long()
        return x, x.shape, (0, *_strides(x, batch_first), x.data_ptr())
    if x.stride(2) != 1:
        x = x.contiguous()
    return x, x.shape, (x.data_ptr(), *_strides(x, batch_first), 0)


def _parameters(
    cell: str, params: Sequence[Tensor], directions: int
) -> tuple[int, int, int, tuple[int, ...], list[Tensor]]:
    """I, H and P, the addresses of the parameters, and what must live as long as these are used."""
    rows, output_size = params[1].shape
    features, count = params[0].shape[1], len(params) // directions
    hidden, expected = _shapes(cell, count, directions, rows, features, output_size)
    addresses, held = [], []
    for p, shape in zip(params, expected, strict=True):
        if p.shape != shape:
            raise InputError(
                f"{cell}: a parameter of the layer has shape {tuple(p.shape)}, expected {shape}."
            )
        if not p.is_contiguous():
            p = p.contiguous()
            held.append(p)
        addresses.append(p.data_ptr())
    return features, hidden, output_size, _spread(addresses, directions), held


@functools.lru_cache(maxsize=1024)
def _shapes(
    cell: str, count: int, directions: int, rows: int, features: int, output_size: int
) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """H and the shapes of the parameters, `count` in each direction: odd with a projection, above 3 with biases."""
    gates = _GATES[cell]
    hidden = rows // gates
    if rows != gates * hidden or (count % 2 == 0 and output_size != hidden):
        raise InputError(
            f"{cell}: weight_hh has shape {(rows, output_size)},"
            f" expected ({gates} * hidden_size, hidden_size) or a projection."
        )
    biases = ((rows,), (rows,)) if count >= 4 else ()
    projection = ((output_size, hidden),) if count % 2 else ()
    return hidden, ((rows, features), (rows, output_size), *biases, *projection) * directions


def _spread(found: Sequence[int], directions: int) -> tuple[int, ...]:
    """Five for each direction, 0 where there is none: weight_ih, weight_hh, bias_ih, bias_hh, weight_hr."""
    count = len(found) // directions
    spread: list[int] = []
    for start in range(0, len(found), count):
        given = found[start : start + count]
        spread += (*given[:2], 0, 0, given[2]) if count == 3 else (*given, *_NONE[count:])
    return tuple(spread)


_NONE = (0, 0, 0, 0, 0)


def _strides(t: Tensor, batch_first: bool) -> tuple[int, int]:
    """Strides along time and along batch."""
    strides = t.stride()
    return (strides[1], strides[0]) if batch_first else (strides[0], strides[1])


def _address(t: Tensor | None) -> int:
    return 0 if t is None else t.data_ptr()


def _state(cell: str, name: str, state: Tensor | None, shape: tuple[int, int, int]) -> Tensor | None:
    _refuse_other(cell, name, state, shape)
    return None if state is None else state.contiguous()


def _refuse_other(cell: str, name: str, t: Tensor | None, shape: tuple[int, ...]) -> None:
    if t is not None and t.shape != shape:
        raise InputError(f"{cell}: {name} has shape {tuple(t.shape)}, expected {shape}.")

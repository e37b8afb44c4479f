"""What a layer was given, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from elman.errors import InputError

Lengths: TypeAlias = Tensor | Sequence[int] | None
"""Steps of each row of a batch, (B,) integers from 0 to T in any order; None where every row has T."""


def lengths_tensor(name: str, lengths: Tensor | Sequence[int], batch: int) -> Tensor:
    """`lengths` as int64 on the CPU. Raises InputError unless they are `batch` integers."""
    given = (
        lengths
        if isinstance(lengths, Tensor)
        else torch.tensor(lengths, dtype=None if len(lengths) else torch.int64)
    )
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise InputError(f"{name}: lengths must be integers; got {given.dtype}. Give lengths.long().")
    if given.dim() != 1 or given.shape[0] != batch:
        raise InputError(
            f"{name}: lengths has shape {tuple(given.shape)}, expected ({batch},): one for each row of the batch."
        )
    return given.to("cpu", torch.int64)


def check_values(name: str, x: Tensor, lengths: Tensor | None, symbols: int, batch_first: bool) -> None:
    """Lengths lie within the steps of x, and x, where it is symbols, from 0 to `symbols` - 1 (but for the padding).

    Tensors whose values cannot be looked at now, because they are being traced or mapped, are passed: the operator
    they end in checks again when it runs. Symbols on another device than the CPU are left to its look-up.
    """
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return
    if lengths is not None and type(lengths) is Tensor and lengths.numel():
        low, high = (int(m) for m in lengths.aminmax())
        steps = x.shape[1 if batch_first else 0]
        if low < 0 or high > steps:
            raise InputError(
                f"{name}: lengths must lie between 0 and the {steps} steps of the input; got {low} to {high}."
            )
    if type(x) is not Tensor or x.is_floating_point() or not x.is_cpu or not x.numel():
        return
    if lengths is not None:
        rows = x if batch_first else x.t()
        x = rows.where(torch.arange(rows.shape[1]) < lengths[:, None], 0)
    low, high = (int(m) for m in x.aminmax())
    if low < 0 or high >= symbols:
        raise InputError(f"{name}: x must be symbols from 0 to {symbols - 1}; got {low} to {high}.")

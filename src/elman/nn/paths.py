"""Which implementation a call takes, and why: the one place that decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from elman.nn import native, vendor


class Path(NamedTuple):
    """native: the compiled core. torch: torch's kernels. eager: the cell's own text, step by step.
    operator: `torch.ops.elman.layer`, which takes one of the three when it runs."""

    name: Literal["native", "torch", "eager", "operator"]
    reason: str


NATIVE = Path("native", "the compiled core has this cell for this dtype on the CPU")
CUDA = Path("torch", "on this device torch's own kernels are used (cuDNN on CUDA)")
AUTOCAST = Path("torch", "under autocast torch's own kernels choose the dtypes")
LACKING = Path(
    "torch", "the compiled core lacks this cell or dtype, or the tensors differ in dtype; torch has the cell"
)
TRACED = Path("torch", "torch.jit traces torch's own functions")
OVERRIDDEN = Path("torch", "a tensor brings a __torch_function__ of its own, which knows torch's functions")
TEXT = Path("eager", "neither the compiled core nor torch has this cell for these tensors")
TRANSFORMED = Path(
    "eager", "a transform differentiates or wraps the tensors; the cell's text composes with it"
)
WATCHED = Path("eager", "gates or states of every step are asked for, which the cell's text has")
COMPILED = Path("operator", "compile, export, vmap or a dispatch mode records one operator for the layer")


def choose(
    cell: str,
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
) -> Path:
    """The path of a call made now, in this mode of torch. In plain eager mode it costs about a microsecond."""
    if torch.compiler.is_compiling():
        return COMPILED
    if torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0:
        return _transformed()
    if torch._C._get_tracing_state() is not None:
        return TRACED if cell in vendor.KERNELS and lengths is None else TEXT
    if torch._C._len_torch_dispatch_stack() > 0:
        return COMPILED
    for tensor in (x, h0, s0, *params):
        kind = type(tensor)
        if kind is not Tensor and kind is not Parameter and tensor is not None:
            if hasattr(tensor, "fake_mode"):
                return COMPILED
            # with lengths torch's functions would see the rows sorted, and per-row answers would be in that order
            asked = cell in vendor.KERNELS and lengths is None and _overrides(kind)
            return OVERRIDDEN if asked else TRANSFORMED
    return plain(cell, x, h0, s0, params)


def plain(cell: str, x: Tensor, h0: Tensor | None, s0: Tensor | None, params: Sequence[Tensor]) -> Path:
    """The path for tensors of no subclass, outside every mode and transform."""
    dtype, symbols = params[0].dtype, not x.is_floating_point()
    autocast = x.is_cpu and torch.is_autocast_enabled("cpu")
    if native.supports(cell, dtype) and x.is_cpu and not autocast and (symbols or x.dtype is dtype):
        for t in (h0, s0, *params):
            if t is not None and (t.dtype is not dtype or not t.is_cpu):
                break
        else:
            return NATIVE
    if cell not in vendor.KERNELS:
        return TEXT
    if not x.is_cpu:
        return CUDA
    return AUTOCAST if autocast else LACKING


def _transformed() -> Path:
    """Only vmap, without a derivative inside or outside of it, is left to the operator's own rule."""
    if forward_ad._current_level >= 0:
        return TRANSFORMED
    vmap = torch._C._functorch.TransformType.Vmap
    stack = torch._C._functorch.get_interpreter_stack() or []
    return COMPILED if all(level.key() == vmap for level in stack) else TRANSFORMED


def _overrides(kind: type[Any]) -> bool:
    """Whether a subclass answers for torch's functions itself; ExpandedWeight does, for per-sample gradients."""
    own = getattr(kind.__torch_function__, "__func__", None)
    return own is not None and own is not Tensor.__torch_function__.__func__  # type: ignore[attr-defined]

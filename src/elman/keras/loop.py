"""One recurrent layer with Keras' meaning of masks and directions, on torch tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from elman import cells
from elman.kernels.support import DTYPES

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CELLS", "DTYPES", "Shown", "run"]

CELLS = ("rnn", "rnn_relu", "lstm", "gru", "gru_reset_before")
Result: TypeAlias = "tuple[Tensor, Tensor, list[Tensor]]"


class Shown(NamedTuple):
    """What of a layer is shown, and in which order. stateful: the states given are overwritten after the call."""

    sequences: bool
    backwards: bool
    zero_masked: bool
    stateful: bool


def run(
    cell: str,
    x: Tensor,
    states: list[Tensor],
    mask: Tensor | None,
    weights: list[Tensor],
    shown: Shown,
) -> Result:
    """The last output (B, H), the outputs (B, T, H) or only the last (B, 1, H), and the states after the last step.

    Args: x (B, T, I); states (B, H) each, h first; mask (B, T), True where a step counts, a step that does not carries
        state and output on; weights kernel (I, G * H), recurrent kernel (H, G * H) and a bias as Keras has them.
    """
    from elman.nn import stack

    x = x.to(weights[0].dtype)
    params = _parameters(cell, weights)
    h_0, *others = (state.clone() if shown.stateful else state for state in states)
    c_0 = others[0][None] if others else None
    if shown.backwards:
        x, mask = x.flip(1), None if mask is None else mask.flip(1)
    mask = None if mask is None else mask.reshape(mask.shape[:2]).bool()
    packed, lengths = (x, None) if mask is None else _to_front(x, mask)
    output, h_n, c_n = stack.run(cell, packed, h_0[None], c_0, params, lengths, False, True, 1, 0.0)
    ends = [end[0] for end in (h_n, c_n) if end is not None]
    if mask is None:
        return ends[0], output if shown.sequences else ends[0][:, None], ends
    counted = mask[:, -1:] if shown.zero_masked else mask.any(1, keepdim=True)
    last = ends[0].where(counted, 0)
    return last, _spread(output, mask, shown.zero_masked) if shown.sequences else last[:, None], ends


def _parameters(cell: str, weights: list[Tensor]) -> list[Tensor]:
    """Weights of Keras in torch's layout, differentiable."""
    import torch

    declared = cells.get(cell)
    layout = declared.layouts["keras"]
    count = len(layout.gates)
    order = [layout.gates.index(gate) for gate in declared.gate_names]

    def ordered(columns: Tensor) -> Tensor:
        if order == [*range(count)]:
            return columns
        blocks = columns.chunk(count, -1)
        return torch.cat([blocks[n] for n in order], -1)

    params = [ordered(weight).mT for weight in weights[:2]]
    if len(weights) > 2:
        bias = ordered(weights[2])
        params += bias.unbind(0) if bias.dim() == 2 else (bias, torch.zeros_like(bias))
    return params


def _to_front(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """x with the steps that count in front, and their number in each row."""
    import torch

    lengths = mask.sum(1)
    if not torch.compiler.is_compiling() and bool(_in_front(mask, lengths)):
        return x, lengths.cpu()
    order = mask.logical_not().to(torch.uint8).argsort(dim=1, stable=True)
    return x.gather(1, order[:, :, None].expand_as(x)), lengths.cpu()


def _in_front(mask: Tensor, lengths: Tensor) -> Tensor:
    import torch

    return (mask == (torch.arange(mask.shape[1], device=mask.device) < lengths[:, None])).all()


def _spread(output: Tensor, mask: Tensor, zero_masked: bool) -> Tensor:
    """The outputs at the front, back to where their steps stood: others show the one before, or zero."""
    steps = mask.cumsum(1)
    shown = output.gather(1, (steps - 1).clamp_min(0)[:, :, None].expand_as(output))
    return shown.where((mask if zero_masked else steps > 0)[:, :, None], 0)

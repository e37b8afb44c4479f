"""The eager path: a cell's own text, one step after the other, in plain tensor operations.

It runs every cell on every device and composes with autograd of any order and with torch.func's transforms.
Axes: T time, B batch, I input, H hidden, P output (H, or the projection's size), G gates, D directions, K states
besides h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from elman import cells
from elman.cells import Array, ByName, Cell, Ops
from elman.nn.ops import TorchOps

Result: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
"""output (T, B, P * D), h_n (D, B, P) and the other states (K * D, B, H), None for a cell that has only h."""

_OPS = TorchOps()


class Weights(NamedTuple):
    """Parameters of one layer in one direction."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    weight_hr: Tensor | None = None


class Moment(NamedTuple):
    """One step of a batch, tensors (B, H) by name: the new states, h (B, P) after the projection; the gates; and what
    each gate is the nonlinearity of. What stands here where a row has ended is never read."""

    states: ByName
    gates: ByName
    preactivations: ByName


@dataclass(frozen=True, eq=False)
class Pass:
    """One layer in one direction over a batch: what it read and every moment of it, in the order of the input.

    x: (T, B, I), or symbols (T, B); start: the state before the first step that was read.
    """

    cell: Cell
    weights: Weights
    x: Tensor
    start: ByName
    reverse: bool
    moments: list[Moment] = field(default_factory=list)


def weights(params: Sequence[Tensor], bidirectional: bool) -> list[Weights]:
    """Cut the parameters of a layer, in torch's order, into its directions: 2, 3, 4 or 5 for each."""
    count = len(params) // (2 if bidirectional else 1)
    return [_named(params[start : start + count]) for start in range(0, len(params), count)]


def _named(params: Sequence[Tensor]) -> Weights:
    if len(params) == 3:  # a projection, no biases
        return Weights(params[0], params[1], weight_hr=params[2])
    return Weights(*params)


def layer(
    cell: str,
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    bidirectional: bool,
    batch_first: bool,
    ops: Ops = _OPS,
    passes: list[Pass] | None = None,
) -> Result:
    """One layer over x (T, B, I), or symbols x (T, B); (B, T, ...) in and out with batch_first.

    h0 (D, B, P) and s0 (K * D, B, H; state after state) are zero when None; lengths (B,) are T when None.
    passes: takes what each direction did, step by step.
    """
    declared = cells.get(cell)
    if batch_first:
        x = x.transpose(0, 1)
    valid = None
    if lengths is not None:
        valid = torch.arange(len(x), device=x.device)[:, None] < lengths.to(x.device)
        # what stands in the padding must not reach a product: 0 * nan is nan on the way back
        x = torch.where(valid if x.dim() == 2 else valid[..., None], x, 0)
        valid = valid[..., None]
    outputs: list[Tensor] = []
    finals: list[ByName] = []
    directions = weights(params, bidirectional)
    for d, w in enumerate(directions):
        state = _initial(declared, x, h0, s0, w, d, len(directions))
        seen = Pass(declared, w, x, state, d == 1)
        keep = None if passes is None else seen.moments
        output, final = _unroll(declared, ops, x, w, state, valid, reverse=d == 1, keep=keep)
        if passes is not None:
            passes.append(seen)
        outputs.append(output)
        finals.append(final)
    output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
    others = [final[name] for name in declared.state_names[1:] for final in finals]
    return (
        output.transpose(0, 1) if batch_first else output,
        torch.stack([final["h"] for final in finals]),
        torch.stack(others) if others else None,
    )


def one_step(cell: Cell, x: Tensor, w: Weights, state: ByName) -> ByName:
    """The states after one step x (1, B, I), or symbols (1, B)."""
    return _unroll(cell, _OPS, x, w, state, None, reverse=False, keep=None)[1]


def _initial(
    cell: Cell, x: Tensor, h0: Tensor | None, s0: Tensor | None, w: Weights, d: int, directions: int
) -> ByName:
    batch = x.shape[1]
    zeros = w.weight_hh.new_zeros
    hidden = w.weight_hh.shape[0] // len(cell.gates)
    state: dict[str, Array] = {"h": zeros(batch, w.weight_hh.shape[1]) if h0 is None else h0[d]}
    for k, name in enumerate(cell.state_names[1:]):
        state[name] = zeros(batch, hidden) if s0 is None else s0[k * directions + d]
    return state


def _unroll(
    cell: Cell,
    ops: Ops,
    x: Tensor,
    w: Weights,
    state: ByName,
    valid: Tensor | None,
    *,
    reverse: bool,
    keep: list[Moment] | None,
) -> tuple[Tensor, ByName]:
    products = _recurrent(cell, w)
    steps = input_product(x, w.weight_ih, w.bias_ih).unbind(0)
    outputs: list[Tensor] = []
    for t in reversed(range(len(steps))) if reverse else range(len(steps)):
        noted = ops if keep is None else cast(Ops, _Noted(ops))
        new, kept = cell.step(noted, _by_gate(cell.gate_names, steps[t]), products, state)
        if w.weight_hr is not None:
            new = {**new, "h": F.linear(new["h"], w.weight_hr)}
        if keep is not None:
            gates = {name: kept[name] for name in cell.gate_names}
            keep.append(Moment(new, gates, cast(_Noted, noted).arguments(gates)))
        if valid is None:
            state = new
            outputs.append(new["h"])
        else:
            state = {name: torch.where(valid[t], new[name], state[name]) for name in state}
            outputs.append(torch.where(valid[t], new["h"], 0))
    if keep is not None and reverse:
        keep.reverse()
    if not outputs:
        return w.weight_hh.new_zeros(0, *state["h"].shape), state
    return torch.stack(outputs[::-1] if reverse else outputs), state


def input_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b for all steps at once; where x are symbols, that is a look-up in the columns of W."""
    if x.is_floating_point() or x.is_complex():
        return F.linear(x, weight, bias)
    looked_up = F.embedding(x.long(), weight.t())
    return looked_up if bias is None else looked_up + bias


class _recurrent:  # noqa: N801 - it is called like the function it stands for, `cells.Recurrent`
    """U_k h + d_k for all gates, or for those named; the rows for a choice of gates are gathered once."""

    def __init__(self, cell: Cell, w: Weights) -> None:
        self._cell = cell
        self._weights = w
        self._rows: dict[tuple[str, ...], tuple[Tensor, Tensor | None]] = {(): (w.weight_hh, w.bias_hh)}

    def __call__(self, h: Tensor, *gates: str) -> ByName:
        if gates not in self._rows:
            weight, bias = self._weights.weight_hh, self._weights.bias_hh
            self._rows[gates] = (
                self._chosen(weight, gates),
                None if bias is None else self._chosen(bias, gates),
            )
        return _by_gate(gates or self._cell.gate_names, F.linear(h, *self._rows[gates]))

    def _chosen(self, stacked: Tensor, gates: Iterable[str]) -> Tensor:
        blocks = dict(zip(self._cell.gate_names, stacked.chunk(len(self._cell.gates)), strict=True))
        return torch.cat([blocks[k] for k in gates])


class _Noted:
    """Nonlinearities that remember what each of their results is the value at."""

    def __init__(self, ops: Ops) -> None:
        self._ops = ops
        self._seen: dict[int, tuple[Tensor, Tensor]] = {}  # the result is kept: its id stays its own

    def __getattr__(self, name: str) -> Callable[..., Tensor]:
        function = getattr(self._ops, name)

        def noted(a: Tensor, *others: Any) -> Tensor:
            value: Tensor = function(a, *others)
            self._seen[id(value)] = (value, a)
            return value

        return noted

    def arguments(self, values: ByName) -> ByName:
        """What each value is the nonlinearity of; one that is of none stands for itself."""
        return {name: self._seen.get(id(value), (value, value))[1] for name, value in values.items()}


def _by_gate(names: Sequence[str], stacked: Tensor) -> ByName:
    return dict(zip(names, stacked.chunk(len(names), -1), strict=True))

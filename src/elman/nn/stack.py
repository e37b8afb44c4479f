"""Depth around a layer: each layer reads what the one below wrote, with dropout between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from elman import cells
from elman.nn import bridge, eager, native, operator, paths, vendor
from elman.nn.dropout import dropout as drop
from elman.nn.eager import Pass, Result
from elman.nn.paths import Path


def run(
    cell: str,
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    bidirectional: bool,
    batch_first: bool,
    num_layers: int,
    dropout: float,
    path: Path | None = None,
    variational: bool = False,
    passes: list[Pass] | None = None,
) -> Result:
    """All layers. Axes as in `eager.layer`, but h0 (L * D, B, P) and s0 (K * L * D, B, H), zeros when None.

    dropout: probability with which an output of every layer but the last is zeroed (the others grow by 1/(1-p)).
    path: the path to take; `paths.choose` when None.
    variational: drop the same outputs at every step.
    passes: takes what each layer and direction did, step by step; only the cell's text can tell, so it runs.
    """
    path = paths.WATCHED if passes is not None else path or paths.choose(cell, x, h0, s0, params, lengths)
    if path.name == "torch" and not (variational and dropout):
        return vendor.stack(cell, x, h0, s0, params, lengths, bidirectional, batch_first, num_layers, dropout)
    if num_layers == 1:
        return layer(path, cell, x, h0, s0, params, lengths, bidirectional, batch_first, passes)
    directions = 2 if bidirectional else 1
    count = len(params) // num_layers
    if batch_first:  # only the last layer writes batch first
        x = x.transpose(0, 1)
    finals: list[Result] = []
    for n in range(num_layers):
        rows = slice(n * directions, (n + 1) * directions)
        last = batch_first and n == num_layers - 1
        result = layer(
            path,
            cell,
            x.transpose(0, 1) if last else x,
            None if h0 is None else h0[rows],
            None if s0 is None else _of_layer(s0, rows, num_layers * directions),
            params[n * count : (n + 1) * count],
            lengths,
            bidirectional,
            last,
            passes,
        )
        finals.append(result)
        x = result[0]
        if dropout and n < num_layers - 1:
            x = drop(x, dropout, variational, time=0)
    h_n = torch.cat([final[1] for final in finals])
    others = [final[2] for final in finals if final[2] is not None]
    if not others:
        return x, h_n, None
    stacked = torch.cat([s.view(-1, directions, *s.shape[1:]) for s in others], 1)
    return x, h_n, stacked.flatten(0, 1)


def layer(
    path: Path,
    cell: str,
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    bidirectional: bool,
    batch_first: bool,
    passes: list[Pass] | None = None,
) -> Result:
    """One layer on a path that was chosen for the call; arguments as in `eager.layer`."""
    if path.name == "torch":
        return vendor.stack(cell, x, h0, s0, params, lengths, bidirectional, batch_first, 1, 0.0)
    if path.name == "eager":
        return eager.layer(cell, x, h0, s0, params, lengths, bidirectional, batch_first, passes=passes)
    learning = torch.is_grad_enabled() and _learns(x, h0, s0, *params)
    if path.name == "native":
        if learning:
            static = (cell, bidirectional, batch_first)
            return cast(Result, bridge.NativeLayer.apply(static, x, h0, s0, lengths, *params))  # type: ignore[no-untyped-call]
        return native.forward(x, h0, s0, params, lengths, cell, bidirectional, batch_first, keep=False)[:3]
    output, h_n, s_n, _ = operator.layer(
        x, h0, s0, list(params), lengths, cell, bidirectional, batch_first, learning
    )
    return output, h_n, s_n if len(cells.get(cell).states) > 1 else None


def _of_layer(s0: Tensor, rows: slice, total: int) -> Tensor:
    """The rows of one layer, (K * D, B, H), in the states of all, (K * L * D, B, H)."""
    if len(s0) == total:
        return s0[rows]
    return s0.reshape(-1, total, *s0.shape[1:])[:, rows].flatten(0, 1)


def _learns(*given: Tensor | None) -> bool:
    return any(t is not None and t.requires_grad for t in given)

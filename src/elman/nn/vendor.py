"""The torch path: torch's own kernels (cuDNN on CUDA, oneDNN or ATen on a CPU) for the cells torch has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import _VF, Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.nn.eager import Result

KERNELS: dict[str, Any] = {"rnn": _VF.rnn_tanh, "rnn_relu": _VF.rnn_relu, "gru": _VF.gru, "lstm": _VF.lstm}
"""torch's function for a whole stack, by the cell's name."""

CELL_KERNELS: dict[str, Any] = {
    "rnn": _VF.rnn_tanh_cell,
    "rnn_relu": _VF.rnn_relu_cell,
    "gru": _VF.gru_cell,
    "lstm": _VF.lstm_cell,
}
"""torch's function for one step, by the cell's name."""


def stack(
    cell: str,
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor | None,
    bidirectional: bool,
    batch_first: bool,
    num_layers: int = 1,
    dropout: float = 0.0,
) -> Result:
    """All layers at once; arguments as in `eager.layer`, h0 (L * D, B, P), s0 (L * D, B, H)."""
    if not x.is_floating_point():  # torch's kernels know no symbols
        x = F.one_hot(x.long(), params[0].shape[1]).to(params[0].dtype)
    settings = (num_layers, dropout, dropout > 0, bidirectional)
    if lengths is None:
        h0, s0 = _states(cell, x, h0, s0, params, x.shape[0 if batch_first else 1], num_layers, bidirectional)
        return _call(cell, (x,), h0, s0, params, settings, batch_first)
    return _ragged(cell, x, h0, s0, params, lengths, settings, batch_first)


def packed(
    cell: str,
    data: Tensor,
    batch_sizes: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    bidirectional: bool,
    num_layers: int,
    dropout: float,
) -> Result:
    """All layers over the data and batch sizes of a packed sequence, states in its sorted order."""
    h0, s0 = _states(cell, data, h0, s0, params, int(batch_sizes[0]), num_layers, bidirectional)
    settings = (num_layers, dropout, dropout > 0, bidirectional)
    return _call(cell, (data, batch_sizes), h0, s0, params, settings)


def _ragged(
    cell: str,
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    lengths: Tensor,
    settings: tuple[int, float, bool, bool],
    batch_first: bool,
) -> Result:
    batch, time = (0, 1) if batch_first else (1, 0)
    h0, s0 = _states(cell, x, h0, s0, params, x.shape[batch], settings[0], settings[3])
    if not x.shape[batch] or not x.shape[time]:
        return x.new_zeros(*x.shape[:2], h0.shape[2] * (2 if settings[3] else 1)), h0.clone(), s0
    on_host = lengths.cpu()
    empty = on_host == 0
    some_empty = bool(empty.any())
    if some_empty:  # packing knows no empty row: run one step of zeros there and put the state back
        gone = empty.to(x.device)
        x = x.masked_fill(gone[:, None, None] if batch_first else gone[:, None], 0)
    given = pack_padded_sequence(x, on_host.clamp(min=1), batch_first, enforce_sorted=False)
    order, back = given.sorted_indices, given.unsorted_indices
    assert order is not None and back is not None  # packing without sorting always gives them  # noqa: PT018
    data, h_n, s_n = _call(
        cell,
        (given.data, given.batch_sizes),
        h0.index_select(1, order),
        None if s0 is None else s0.index_select(1, order),
        params,
        settings,
    )
    output, _ = pad_packed_sequence(
        PackedSequence(data, given.batch_sizes, order, back), batch_first, total_length=x.shape[time]
    )
    h_n = h_n.index_select(1, back)
    s_n = None if s_n is None else s_n.index_select(1, back)
    if some_empty:
        output = output.masked_fill(gone[:, None, None] if batch_first else gone[:, None], 0)
        h_n = torch.where(gone[:, None], h0, h_n)
        s_n = None if s_n is None or s0 is None else torch.where(gone[:, None], s0, s_n)
    return output, h_n, s_n


def _states(
    cell: str,
    x: Tensor,
    h0: Tensor | None,
    s0: Tensor | None,
    params: Sequence[Tensor],
    batch: int,
    num_layers: int,
    bidirectional: bool,
) -> tuple[Tensor, Tensor | None]:
    rows = num_layers * (2 if bidirectional else 1)
    if h0 is None:
        h0 = x.new_zeros(rows, batch, params[1].shape[1])
    if s0 is None and cell == "lstm":
        s0 = x.new_zeros(rows, batch, params[1].shape[0] // 4)
    return h0, s0


def _call(
    cell: str,
    data: tuple[Tensor, ...],
    h0: Tensor,
    s0: Tensor | None,
    params: Sequence[Tensor],
    settings: tuple[int, float, bool, bool],
    *batch_first: bool,
) -> Result:
    per_direction = len(params) // (settings[0] * (2 if settings[3] else 1))
    state = h0 if s0 is None else (h0, s0)
    result = KERNELS[cell](*data, state, list(params), per_direction >= 4, *settings, *batch_first)
    return result if len(result) == 3 else (*result, None)

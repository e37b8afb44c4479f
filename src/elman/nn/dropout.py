"""Dropout over a batch of sequences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zeroes features of (B, T, F) with probability p while training, and scales the others by 1 / (1 - p).

    variational: the same features at every step of a row (Gal and Ghahramani 2016, on what goes from layer to layer);
    else each step anew.

    >>> with torch.random.fork_rng():
    ...     dropped = Dropout(0.5, variational=True)(torch.ones(1, 3, 8))
    >>> bool((dropped == dropped[:, :1]).all())
    True
    """

    def __init__(self, p: float, variational: bool = False) -> None:
        super().__init__()
        self.p, self.variational = p, variational

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.variational, time=1) if self.training and self.p else x

    def extra_repr(self) -> str:
        return f"p={self.p}, variational={self.variational}"


def dropout(x: Tensor, p: float, variational: bool, time: int) -> Tensor:
    """`x` with features dropped; `time` is the axis along which a variational mask stays the same."""
    if not variational:
        return F.dropout(x, p, training=True)
    mask = F.dropout(torch.ones_like(x.select(time, 0)), p, training=True)
    return x * mask.unsqueeze(time)

"""One vector for a whole sequence, out of what the layers wrote at its steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from elman.nn.described import DOUBLE, Description
from elman.nn.recurrent import Recurrent

POOLINGS = ("last", "mean", "max", "attention")


class Pooling(nn.Module):
    """A batch of sequences of outputs (B, T, D * H) to one vector (B, D * H) each.

        last       each direction's state after the last step it reads: step t_b forward, step 1 in reverse
        mean       1 / t_b sum over t of h_t
        max        the largest value of each feature over the steps
        attention  sum over t of a_t h_t,  a_t = exp(q . h_t) / sum over s of exp(q . h_s)

    h_t (D * H) output at step t, t_b length of row b, q (D * H) a learned vector, zeros at first (then it is the mean).
    Padding takes no part; a row of length 0 gives zeros.

    Source: attention as in Yang et al., Hierarchical Attention Networks, 2016, https://aclanthology.org/N16-1174;
    deviation: q meets h_t itself, with no layer in between.

    Args:
        kind: one of POOLINGS.
        recurrent: the layers whose outputs are pooled.

    Parameters: `query` (D * H), for attention only.

    >>> layers = Recurrent("gru", 3, 4, bidirectional=True)
    >>> output, state = layers(torch.ones(2, 5, 3), lengths=[5, 0])
    >>> Pooling("mean", layers)(output, state, torch.tensor([5, 0])).abs().sum(1) > 0
    tensor([ True, False])
    """

    def __init__(self, kind: str, recurrent: Recurrent) -> None:
        super().__init__()
        self.kind = kind
        self.directions = 2 if recurrent.bidirectional else 1
        self.size = self.directions * (recurrent.proj_size or recurrent.hidden_size)
        self.query = nn.Parameter(torch.zeros(self.size)) if kind == "attention" else None

    def forward(self, output: Tensor, state: Mapping[str, Tensor], lengths: Tensor) -> Tensor:
        """output (B, T, D * H) and state of the layers, lengths (B,) on the same device."""
        if self.kind == "last":
            return torch.cat(list(state["h"][-self.directions :].to(output.dtype)), 1)
        valid = (torch.arange(output.shape[1], device=output.device) < lengths[:, None])[:, :, None]
        if self.kind == "mean":
            return (output * valid).sum(1) / lengths.clamp(min=1)[:, None]
        if self.kind == "max":
            largest = output.masked_fill(~valid, -torch.inf).amax(1)
            return largest.masked_fill((lengths == 0)[:, None], 0.0)
        assert self.query is not None
        likeness = (output * self.query.to(output.dtype)).sum(2, keepdim=True)
        # a finite floor: a row without steps has equal weights, on outputs that are zero
        weights = likeness.masked_fill(~valid, torch.finfo(output.dtype).min).softmax(1)
        return (output * valid * weights).sum(1)

    def describe(self, d: Description, output: str, pooled: str, lengths: str, valid: str) -> str:
        """The vector (B, D * H), float64, of output (B, T, D * H), of the last states side by side (B, D * H), of
        lengths (B,) and of what lies within them (B, T, 1), all floats float64."""
        if self.kind == "last":
            return pooled
        if self.kind == "mean":
            count = d.cast(d.max(lengths, 1), to=DOUBLE)
            return d.div(d.reduce_sum(output, [1], keepdims=0), d.unsqueeze(count, [1]))
        least = np.finfo(np.float64).min
        if self.kind == "max":
            largest = d.reduce_max(d.where(valid, output, least), axes=[1], keepdims=0)
            return d.where(d.unsqueeze(d.equal(lengths, 0), [1]), np.float64(0), largest)
        assert self.query is not None
        likeness = d.reduce_sum(d.mul(output, d.cast(d.tensor(self.query), to=DOUBLE)), [2])
        weights = d.softmax(d.where(valid, likeness, least), axis=1)
        return d.reduce_sum(d.mul(output, weights), [1], keepdims=0)

    def extra_repr(self) -> str:
        return repr(self.kind)

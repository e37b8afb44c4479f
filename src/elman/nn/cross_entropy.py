"""Cross-entropy over a large vocabulary, a few items at a time, so that its scores are never all there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_CELLS = 1 << 22  # scores held at once: 16 MB, which measured best


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over n of -ln P(target_n) in nats, and the number of targets with the highest score.

    s_n = weight x_n + bias;  P(k) = exp(s_n[k]) / sum over j of exp(s_n[j]).

    The numbers of `F.cross_entropy(F.linear(x, weight, bias), targets, reduction="sum")`. Its gradient, softmax minus
    one-hot, is taken while the scores of some items are there, so that memory is that of the inputs and some megabytes,
    and no array of all scores is walked over again and again. Differentiable once.

    Shapes: x (N, E) floats, weight (V, E), bias (V,), targets (N,) integers below V; N may be 0.

    >>> nats, right = linear_cross_entropy(torch.eye(2), torch.eye(2), torch.zeros(2), torch.tensor([0, 0]))
    >>> round(float(nats), 4), int(right)
    (1.6265, 1)
    """
    nats, right = _LinearCrossEntropy.apply(x, weight, bias, targets)  # type: ignore[no-untyped-call]
    return nats, right


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(x.dtype, weight.dtype)  # half precision does for the products alone
        nats, right = x.new_zeros((), dtype=dtype), targets.new_zeros(())
        learns = any(ctx.needs_input_grad)
        grads = [torch.zeros_like(part) for part in (x, weight, bias)] if learns else []
        step = max(1, _CELLS // len(weight))
        for start in range(0, len(x), step):
            part, wanted = x[start : start + step], targets[start : start + step, None]
            scores = F.linear(part, weight, bias).to(dtype)
            highest, best = scores.max(1, keepdim=True)
            nats -= scores.gather(1, wanted).sum() - highest.sum()
            right += (best == wanted).sum()
            shares = scores.sub_(highest).exp_()
            total = shares.sum(1, keepdim=True)
            nats += total.log().sum()
            if learns:
                shares /= total
                shares.scatter_add_(1, wanted, shares.new_full((), -1.0).expand(len(wanted), 1))
                grads[0][start : start + step] = shares @ weight
                grads[1].addmm_(shares.T, part.to(dtype))
                grads[2] += shares.sum(0)
        ctx.save_for_backward(*grads)
        ctx.mark_non_differentiable(right)
        return nats, right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        return (*(slopes[0] * grad for grad in ctx.saved_tensors), None)

"""The nonlinearities of a cell in torch: the same text of a step runs on tensors, under autograd and in transforms."""

from __future__ import annotations

import torch
from torch import Tensor


class TorchOps:
    """`elman.cells.Ops` on tensors. A slope is the derivative, written with the function's own value y."""

    def sigmoid(self, a: Tensor) -> Tensor:
        return torch.sigmoid(a)

    def sigmoid_slope(self, y: Tensor) -> Tensor:
        return y * (1 - y)

    def tanh(self, a: Tensor) -> Tensor:
        return torch.tanh(a)

    def tanh_slope(self, y: Tensor) -> Tensor:
        return 1 - y * y

    def relu(self, a: Tensor) -> Tensor:
        return torch.relu(a)

    def relu_slope(self, y: Tensor) -> Tensor:
        return (y > 0).to(y.dtype)

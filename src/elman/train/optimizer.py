"""Adam, AdamW and SGD over all weights of a model in one fused call.

    adam    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w = w - rate * m' / (sqrt(v') + eps)
            with m' = m / (1 - b1^s), v' = v / (1 - b2^s); weight decay d adds d w to g first (adamw: w -= rate d w)
    sgd     u = momentum u + g + d w;  w = w - rate * u

s counts updates; b1 = 0.9, b2 = 0.999, eps = 1e-8. The kernels are those of torch.optim with `fused=True`. The classes
of torch.optim are not used because making one imports torch's compiler (over a second) and each of their steps spends
more time in Python than a small update takes.

Sources: Kingma and Ba, Adam, 2015, https://arxiv.org/abs/1412.6980; Loshchilov and Hutter, Decoupled Weight Decay
Regularization, 2019, https://arxiv.org/abs/1711.05101. Not covered: sparse gradients, amsgrad, Nesterov momentum.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from elman.train.options import TrainingOptions

BETAS = (0.9, 0.999)
EPSILON = 1e-8

# Names of the per-weight states of each method.
STATES = {"adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq"), "sgd": ("momentum",)}


class Optimizer:
    """Updates `parameters` (by name, all of one dtype on one device) in place."""

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], options: TrainingOptions) -> None:
        kinds = {(p.device, p.dtype) for p in parameters.values()}
        if len(kinds) != 1:
            raise ValueError(f"Optimizer: weights of several dtypes or devices, or none at all: {kinds}.")
        self.parameters = dict(parameters)
        self.method = options.optimizer
        self.momentum = options.momentum or 0.0
        self.weight_decay = options.weight_decay
        device, _ = kinds.pop()
        self.steps = torch.zeros((), dtype=torch.float32, device=device)
        self.states = {
            state: [torch.zeros_like(p) for p in self.parameters.values()] for state in STATES[self.method]
        }
        self._list = list(self.parameters.values())

    def gradients(self) -> list[torch.Tensor]:
        """The gradients there are."""
        return [p.grad for p in self._list if p.grad is not None]

    def clear(self) -> None:
        for parameter in self._list:
            parameter.grad = None

    @torch.no_grad()
    def clip(self, longest: float) -> float:
        """Norm of all gradients together; if it exceeds `longest` (not 0) they are scaled down to that."""
        gradients = self.gradients()
        if not gradients:
            return 0.0
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        if 0 < longest < norm < float("inf"):
            torch._foreach_mul_(gradients, longest / norm)
        return norm

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update; a weight without a gradient keeps its value and state."""
        weights: list[torch.Tensor] = list(self._list)
        gradients = self.gradients()
        states = list(self.states.values())
        if len(gradients) < len(weights):
            used = [i for i, p in enumerate(self._list) if p.grad is not None]
            weights = [self._list[i] for i in used]
            states = [[state[i] for i in used] for state in states]
        self.steps += 1
        if self.method == "sgd":
            torch._fused_sgd_(
                weights,
                gradients,
                states[0] if self.momentum else [],
                weight_decay=self.weight_decay,
                momentum=self.momentum,
                lr=rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )
            return
        update = torch._fused_adam_ if self.method == "adam" else torch._fused_adamw_
        update(
            weights,
            gradients,
            states[0],
            states[1],
            [],
            [self.steps] * len(weights),
            lr=rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything the next update depends on, by name: the tensors themselves, to save or to copy into."""
        by_name = {
            f"{state}/{name}": tensor
            for state, tensors in self.states.items()
            for name, tensor in zip(self.parameters, tensors, strict=True)
        }
        return {"steps": self.steps, **by_name}

"""What one update in many shows of each layer: gradient, size of the update, gates at their ends.

    gradient_norm            norm of all gradients together, before clipping
    gradient_norm/LAYER      of one layer's alone
    update_ratio/LAYER       norm of what an update changed, by the norm of the weights; about 0.001 is usual
    saturated/LAYER_GATE     share of a gate's values at an end of its range, where it hardly learns (`nn.steps.ENDS`)

LAYER is a module's name, with `_l0`, `_l0_reverse`, ... for the layers of a stack. All of it is measured on the update
before an evaluation, if there were `EVERY` of them since the last time: so it costs next to nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from elman import cells
from elman.nn.recurrent import Recurrent
from elman.nn.steps import ENDS
from elman.train.optimizer import Optimizer

EVERY = 100
"""Updates between two looks, at least."""

_ROWS, _STEPS = 8, 24  # of a batch, on which gates are looked at
_PARAMETER = re.compile(r"\.?(?:weight|bias)(?:_(?:ih|hh|hr))?((?:_l\d+)?(?:_reverse)?)$")


class Monitor:
    """Looks at one update of a model: `listening` around its loss, `before` and `after` the step itself."""

    def __init__(self, model: torch.nn.Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self._heard: dict[str, tuple[Recurrent, dict[str, Any]]] = {}
        self._values: dict[str, float] = {}
        self._weights: dict[str, Tensor] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Keep a part of what each stack of layers is given first."""
        self._heard.clear()
        handles = [
            module.register_forward_pre_hook(self._listener(name), with_kwargs=True)
            for name, module in self.model.named_modules()
            if isinstance(module, Recurrent)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def before(self) -> None:
        """The gradients of an update, before they are clipped, and the weights that it will change."""
        used = {name: p for name, p in self.optimizer.parameters.items() if p.grad is not None}
        gradients = {name: p.grad for name, p in used.items() if p.grad is not None}
        self._values = {f"gradient_norm/{name}": norm for name, norm in _norms(gradients).items()}
        self._weights = {name: p.detach().clone() for name, p in used.items()}

    @torch.no_grad()
    def after(self, norm: float) -> dict[str, float]:
        """All that was seen; norm: of all gradients, before clipping."""
        now = self.optimizer.parameters
        size = _norms(self._weights)
        change = _norms({name: now[name] - weight for name, weight in self._weights.items()})
        ratios = {f"update_ratio/{name}": change[name] / size[name] for name in size if size[name]}
        values = {"gradient_norm": norm, **self._values, **ratios, **self._saturated()}
        self._heard.clear()
        self._weights.clear()
        return {name: float(f"{value:.4g}") for name, value in values.items()}

    def _listener(self, name: str) -> Any:
        def listen(module: Recurrent, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            call = {**dict(zip(("x", "state", "lengths"), given, strict=False)), **named}
            x, state, lengths = call["x"], call.get("state"), call.get("lengths")
            if name in self._heard or not x.shape[0] or not x.shape[1]:
                return
            part: dict[str, Any] = {"x": x[:_ROWS, :_STEPS].detach()}
            if state is not None:
                part["state"] = {key: value[:, :_ROWS].detach() for key, value in state.items()}
            if lengths is not None:
                part["lengths"] = torch.as_tensor(lengths)[:_ROWS].cpu().clamp(max=part["x"].shape[1])
            self._heard[name] = (module, part)

        return listen

    def _saturated(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, (module, given) in self._heard.items():
            training, module.training = module.training, False  # dropped weights would draw random numbers
            steps: Any = module.forward(**given, return_gates=True)[-1]
            module.training = training
            directions = 2 if module.bidirectional else 1
            for gate in cells.get(module.cell).gates:
                low, high = ENDS.get(gate.activation, (-torch.inf, torch.inf))
                for number, values in enumerate(steps.gates[gate.name]):
                    inside = _inside(values, given.get("lengths"))
                    suffix = cells.suffix(number // directions, number % directions == 1)
                    share = ((inside < low) | (inside > high)).double().mean()
                    found[f"saturated/{f'{name}{suffix}'.lstrip('_')}_{gate.name}"] = float(
                        share.nan_to_num()
                    )
        return found


def _inside(values: Tensor, lengths: Tensor | None) -> Tensor:
    """The values (B, T, H) of steps that are none of padding, (N, H)."""
    if lengths is None:
        return values.flatten(0, 1)
    return values[torch.arange(values.shape[1]) < lengths[:, None]]


def _norms(tensors: dict[str, Tensor]) -> dict[str, float]:
    """Norms by layer."""
    squares: dict[str, float] = {}
    norms: Sequence[Tensor] = torch._foreach_norm(list(tensors.values())) if tensors else []
    for name, norm in zip(tensors, norms, strict=True):
        layer = _layer(name)
        squares[layer] = squares.get(layer, 0.0) + float(norm) ** 2
    return {name: square**0.5 for name, square in squares.items()}


def _layer(parameter: str) -> str:
    """The layer of a parameter.

    >>> _layer("recurrent.weight_hh_l1_reverse"), _layer("output.bias"), _layer("mixture")
    ('recurrent_l1_reverse', 'output', 'mixture')
    """
    return _PARAMETER.sub(r"\1", parameter).lstrip("_") or parameter

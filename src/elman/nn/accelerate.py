"""accelerate: turn the recurrent layers of a torch model into elman's, where they stand."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from elman.nn.layers import GRU, LSTM, RNN

_SECONDS = 2.0
_LEAST = 3  # rounds
_OURS: dict[type[nn.Module], type[nn.Module]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}


@dataclass(frozen=True)
class Acceleration:
    """What `accelerate` did, by the module's name in the model ("" is the model itself).

    replaced: the class each layer has now. refused: why a layer was left as it is. speedup: how many times faster the
    model is on the sample; None without one.
    """

    replaced: dict[str, str]
    refused: dict[str, str]
    speedup: float | None = None

    def __str__(self) -> str:
        lines = [f"{name or 'the model'}: elman.nn.{kind}" for name, kind in self.replaced.items()]
        lines += [f"{name or 'the model'}: left as it is, {reason}" for name, reason in self.refused.items()]
        if self.speedup is not None:
            lines.append(f"{self.speedup:.2f} times as fast on the sample")
        return "\n".join(lines) or "no recurrent layer found"


def accelerate(model: nn.Module, sample: Any = None) -> Acceleration:
    """Turn every torch.nn.RNN, LSTM and GRU in `model` (itself included) into elman's layer, in place.

    A layer stays the same object and only changes its class, so parameters, optimisers, hooks, buffers, shared
    modules and containers are untouched.

    Args:
        sample: an input of the model, or a tuple of its inputs: the model as it was and as it is take turns on it for
            about two seconds, and the ratio of their median times is told. In training mode with gradients, back from
            the sum of all outputs (those gradients are not kept).

    Returns what was replaced, and what was refused with the reason: quantised, parametrised and scripted layers, and
    subclasses, whose own code would be lost.

    >>> model = nn.Sequential(nn.Embedding(7, 3), nn.ModuleList([nn.GRU(3, 4)]))
    >>> print(accelerate(model))
    1.0: elman.nn.GRU
    """
    found: dict[str, tuple[nn.Module, type[nn.Module]]] = {}
    refused: dict[str, str] = {}
    for name, module in model.named_modules():
        kind = type(module)
        if kind in _OURS:
            module.__class__ = _OURS[kind]
            found[name] = module, kind
        elif (reason := _reason(module)) is not None:
            refused[name] = reason
    replaced = {name: kind.__name__ for name, (_, kind) in found.items()}
    speedup = _speedup(model, sample, list(found.values())) if sample is not None and found else None
    return Acceleration(replaced, refused, speedup)


def _speedup(model: nn.Module, sample: Any, found: list[tuple[nn.Module, type[nn.Module]]]) -> float:
    """The median time of the model with the layers' classes of before, over that with ours; it ends with ours."""
    inputs = sample if isinstance(sample, tuple) else (sample,)
    times: dict[bool, list[float]] = {True: [], False: []}
    ends = time.perf_counter() + _SECONDS
    while time.perf_counter() < ends or len(times[True]) < _LEAST:
        for ours in (False, True):
            for layer, kind in found:
                layer.__class__ = _OURS[kind] if ours else kind
            begin = time.perf_counter()
            _once(model, inputs)
            times[ours].append(time.perf_counter() - begin)
    before, after = (statistics.median(times[ours][1:]) for ours in (False, True))  # the first one warms up
    return before / after


def _once(model: nn.Module, inputs: tuple[Any, ...]) -> None:
    outputs = model(*inputs)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not (model.training and torch.is_grad_enabled() and weights):
        return
    made = [x for x in tree_leaves(outputs) if isinstance(x, torch.Tensor) and x.requires_grad]
    total = torch.stack([x.sum() for x in made]).sum()
    torch.autograd.grad(total, weights, allow_unused=True)


def _reason(module: nn.Module) -> str | None:
    """Why a recurrent layer of torch cannot be turned; None where the module is no such layer, or ours already."""
    kind = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        script = getattr(module, "original_name", "")
        return f"it is a scripted {script}" if script in {c.__name__ for c in _OURS} else None
    if kind.__module__.startswith("torch.ao.nn.") and kind.__name__ in {c.__name__ for c in _OURS}:
        return f"it is quantised ({kind.__module__}.{kind.__name__})"
    if not isinstance(module, tuple(_OURS)):
        return None
    if nn.utils.parametrize.is_parametrized(module):
        return "its parameters are parametrised; accelerate the model first, then parametrise"
    return f"it is a subclass, {kind.__qualname__}, with code of its own"

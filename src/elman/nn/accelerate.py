"""accelerate: turn the recurrent layers of a torch model into elman's, where they stand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from elman.nn.layers import GRU, LSTM, RNN

_OURS: dict[type[nn.Module], type[nn.Module]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}


@dataclass(frozen=True)
class Acceleration:
    """What `accelerate` did, by the module's name in the model ("" is the model itself).

    replaced: the class each layer has now. refused: why a layer was left as it is.
    """

    replaced: dict[str, str]
    refused: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{name or 'the model'}: elman.nn.{kind}" for name, kind in self.replaced.items()]
        lines += [f"{name or 'the model'}: left as it is, {reason}" for name, reason in self.refused.items()]
        return "\n".join(lines) or "no recurrent layer found"


def accelerate(model: nn.Module) -> Acceleration:
    """Turn every torch.nn.RNN, LSTM and GRU in `model` (itself included) into elman's layer, in place.

    A layer stays the same object and only changes its class, so parameters, optimisers, hooks, buffers, shared
    modules and containers are untouched.

    Returns what was replaced, and what was refused with the reason: quantised, parametrised and scripted layers, and
    subclasses, whose own code would be lost.

    >>> model = nn.Sequential(nn.Embedding(7, 3), nn.ModuleList([nn.GRU(3, 4)]))
    >>> print(accelerate(model))
    1.0: elman.nn.GRU
    """
    replaced: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name, module in model.named_modules():
        kind = type(module)
        if kind in _OURS:
            module.__class__ = _OURS[kind]
            replaced[name] = kind.__name__
        elif (reason := _reason(module)) is not None:
            refused[name] = reason
    return Acceleration(replaced, refused)


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

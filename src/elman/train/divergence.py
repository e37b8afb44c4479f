"""Where a NaN or an infinity came from: the parameter, layer, step, gate or gradient to name in the message."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from elman import cells
from elman.nn import GRU, LSTM, RNN, Recurrent
from elman.train.problem import Problem


def cause(problem: Problem, batch: Any, carry: Any, loss: float) -> str:
    """What is not finite in this step, as a sentence; the gradients of the step must still be in place."""
    parameters = dict(problem.model.named_parameters())
    name = _first(parameters)
    if name:
        return f"parameter {name} holds NaN or infinity"
    if loss - loss != 0:
        with torch.no_grad(), _watched(problem.model) as found:
            problem.loss(batch, carry)
        return f"the loss is {loss}, " + (
            f"first seen in the output of layer {found[0]}" if found else "by itself"
        )
    gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    name = _first(gradients)
    return (
        f"the gradient of parameter {name} holds NaN or infinity"
        if name
        else "the norm of the gradient overflows"
    )


def _first(tensors: Mapping[str, torch.Tensor]) -> str | None:
    return next((name for name, tensor in tensors.items() if not _finite(tensor)), None)


def _finite(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return not value.is_floating_point() or bool(value.detach().isfinite().all())
    if isinstance(value, (list, tuple)):
        return all(_finite(item) for item in value)
    return all(_finite(item) for item in value.values()) if isinstance(value, dict) else True


@contextlib.contextmanager
def _watched(model: torch.nn.Module) -> Iterator[list[str]]:
    """Names of the layers, in the order they finish, whose output is not finite."""
    found: list[str] = []

    def watch(name: str, kind: str) -> Any:
        def look(module: torch.nn.Module, given: Any, named: dict[str, Any], output: Any) -> None:
            if not _finite(output):
                inside = not found and isinstance(module, (Recurrent, RNN, LSTM, GRU))
                found.append(f"{name} ({kind}){_origin(module, given, named) if inside else ''}")

        return look

    handles = [
        module.register_forward_hook(watch(name or "model", type(module).__name__), with_kwargs=True)
        for name, module in model.named_modules()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _origin(layers: Any, given: tuple[Any, ...], named: dict[str, Any]) -> str:
    """The layer, step and gate, or state, of a stack where it begins: the first of them in the order of computing."""
    *_, steps = layers.forward(*given, **named, return_states=True)
    directions = 2 if layers.bidirectional else 1
    for number, one in enumerate(steps.passes):
        suffix = cells.suffix(number // directions, number % directions == 1)
        moments = list(enumerate(one.moments, start=1))
        for step, moment in reversed(moments) if one.reverse else moments:
            for kind, values in (("gate", moment.gates), ("state", moment.states)):
                for name, value in values.items():
                    if not _finite(value):
                        row = int((~value.isfinite()).any(1).nonzero()[0]) + 1
                        return f": {kind} {name} of {suffix.strip('_')} at step {step} of row {row}"
    return ""

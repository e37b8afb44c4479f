"""A network run with open eyes: every gate and state of its layers at each step, in one graph with its answer.

The layers compute with the cell's own text while they are watched, so that a gradient can be asked between any two
numbers; what their own path (the compiled core, cuDNN) gives for the same call is compared with that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from elman import cells
from elman.cells import Cell
from elman.errors import InputError
from elman.nn import GRU, LSTM, RNN, Recurrent
from elman.nn.checks import lengths_tensor
from elman.nn.eager import Moment, Pass

LAYERS = (Recurrent, RNN, LSTM, GRU)
"""What is watched: every stack of recurrent layers of elman; `elman.accelerate` turns torch's into these."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One recurrent layer in one direction, during one call.

    name: of its module, with the suffix of its parameters: "recurrent_l0", "recurrent_l0_reverse", ...
    seen: every moment, in the order of the input; lengths: (B,) steps of each row, on the CPU.
    """

    name: str
    seen: Pass
    lengths: Tensor

    @property
    def cell(self) -> Cell:
        return self.seen.cell

    @property
    def reverse(self) -> bool:
        """Whether it reads each row from its end."""
        return self.seen.reverse

    @property
    def moments(self) -> list[Moment]:
        return self.seen.moments

    def nodes(self, state: str = "h") -> list[Tensor]:
        """A state at every step, (B, H) each: the very tensors that the rest was computed from."""
        if state not in self.cell.state_names:
            raise InputError(
                f"{self.name}: {self.cell.name} has the states {', '.join(self.cell.state_names)}; got {state!r}."
            )
        return [moment.states[state] for moment in self.moments]

    @property
    def inside(self) -> Tensor:
        """(B, T): True where a step is one of its row's."""
        return torch.arange(len(self.moments)) < self.lengths[:, None]

    def states(self, name: str = "h") -> Tensor:
        """A state of all steps, (B, T, H), on the CPU and out of the graph; behind a row's length without meaning."""
        return self._stacked("states", name)

    def gates(self, name: str) -> Tensor:
        """A gate of all steps, as `states`."""
        return self._stacked("gates", name)

    def preactivations(self, name: str) -> Tensor:
        """What a gate is the nonlinearity of, at all steps, as `states`."""
        return self._stacked("preactivations", name)

    def _stacked(self, kind: str, name: str) -> Tensor:
        values = [getattr(moment, kind)[name].detach() for moment in self.moments]
        return torch.stack(values, 1).cpu()


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a stack of layers: what it was given, and how far the watched output is from the layer's own.

    difference: the largest, relative to the largest value of the output.
    """

    name: str
    module: nn.Module
    layers: list[Layer]
    difference: float


@dataclass(frozen=True)
class Trace:
    """What was seen, in the order in which it happened; `output` is what `trace` got from the network."""

    calls: list[Call] = field(default_factory=list)
    output: Any = None

    @property
    def layers(self) -> list[Layer]:
        """All layers of all calls."""
        return [layer for call in self.calls for layer in call.layers]

    @property
    def difference(self) -> float:
        """The largest difference between what was watched and what the layers themselves give."""
        return max((call.difference for call in self.calls), default=0.0)


def trace(network: nn.Module, *inputs: Any, **named: Any) -> Trace:
    """Run a network, or a single layer, on some inputs and see every number of its recurrent layers.

    The network runs in the mode it is in: call `eval()` first where it has dropout.

    >>> layer = Recurrent("lstm", 3, 4, num_layers=2)
    >>> seen = trace(layer, torch.randn(2, 5, 3), lengths=[5, 3])
    >>> [each.name for each in seen.layers], tuple(seen.layers[0].gates("f").shape)
    (['l0', 'l1'], (2, 5, 4))
    """
    with tracing(network) as seen:
        output = network(*inputs, **named)
    return Trace(seen.calls, output)


@contextlib.contextmanager
def tracing(
    network: nn.Module, names: Collection[str] | None = None, stepped: Tensor | None = None
) -> Iterator[Trace]:
    """Watch the recurrent layers of a network, or those of the modules named, while the body runs it.

    Calls of one step each, as of a decoder that reads what it wrote, become one call, when the body has ended; stepped:
    (B,) its steps in each row; None: all there were.
    """
    seen = Trace()
    handles = [
        module.register_forward_hook(_watcher(seen, name), with_kwargs=True)
        for name, module in network.named_modules()
        if isinstance(module, LAYERS) and (names is None or name in names)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
    seen.calls[:] = _joined(seen.calls, stepped)


def _joined(calls: Sequence[Call], stepped: Tensor | None) -> list[Call]:
    groups: dict[str, list[Call]] = {}
    for call in calls:
        single = all(len(layer.moments) == 1 for layer in call.layers)
        groups.setdefault(call.name.split("#")[0] if single else call.name, []).append(call)
    return [_one(name, group, stepped) if len(group) > 1 else group[0] for name, group in groups.items()]


def _one(name: str, calls: Sequence[Call], stepped: Tensor | None) -> Call:
    """Calls of one step each, one after the other."""
    layers = []
    for number, first in enumerate(calls[0].layers):
        passes = [call.layers[number].seen for call in calls]
        moments = [moment for each in passes for moment in each.moments]
        whole = replace(passes[0], x=torch.cat([each.x for each in passes]), moments=moments)
        lengths = torch.full_like(first.lengths, len(calls)) if stepped is None else stepped.cpu()
        layers.append(Layer(first.name, whole, lengths))
    return Call(name, calls[0].module, layers, max(call.difference for call in calls))


def _watcher(seen: Trace, name: str) -> Any:
    def watch(module: Any, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        *replaced, steps = module.forward(*given, **named, return_states=True)
        own, again = output[0].detach(), replaced[0].detach()
        scale = max(float(own.abs().max()) if own.numel() else 0.0, torch.finfo(own.dtype).tiny)
        difference = float((own - again).abs().max()) / scale if own.numel() else 0.0
        lengths = named.get("lengths", given[2] if len(given) > 2 else None)
        count = sum(call.name.split("#")[0] == name for call in seen.calls)
        called = f"{name}#{count + 1}" if count else name
        layers = [
            Layer(_layer_name(called, number, module), one, _lengths(one, lengths))
            for number, one in enumerate(steps.passes)
        ]
        seen.calls.append(Call(called, module, layers, difference))
        return tuple(replaced)

    return watch


def _layer_name(module: str, number: int, layers: Any) -> str:
    directions = 2 if layers.bidirectional else 1
    suffix = cells.suffix(number // directions, number % directions == 1)
    return f"{module}{suffix}".lstrip("_")


def _lengths(one: Pass, lengths: Any) -> Tensor:
    batch = len(one.start["h"])
    if lengths is None:
        return torch.full((batch,), len(one.moments))
    return lengths_tensor("trace", lengths, batch)

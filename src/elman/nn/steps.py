"""What every step of a layer held, as `return_gates` and `return_states` hand it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from elman.nn.eager import Pass

Axes: TypeAlias = Literal["BT", "TB", "T"]
"""The axes before the features: batch first, time first, or one sequence without a batch."""

ENDS = {"sigmoid": (0.1, 0.9), "tanh": (-0.9, 0.9)}
"""Below and above which a gate of each nonlinearity is at an end of its range: its slope there is near 0."""


@dataclass(frozen=True)
class Steps:
    """States and gates of every step; L layers, D directions, row l * D + d as in the final states.

    states: by name, (L * D, B, T, H), `h` (L * D, B, T, P); empty unless asked for with `return_states`.
    gates, preactivations: by gate, (L * D, B, T, H): its value, and what it is the nonlinearity of; empty unless asked
        for with `return_gates`. A drop-in has B and T in the order of its input.
    passes: what these are stacked from, one for each layer and direction: its moments hold the very tensors that the
        output was computed with, so that a gradient can be asked with respect to the state of one step.

    Behind a row's length all are 0. A gradient that flows into any of them reaches weights and input.
    """

    passes: Sequence[Pass]
    states: Mapping[str, Tensor] = field(default_factory=dict)
    gates: Mapping[str, Tensor] = field(default_factory=dict)
    preactivations: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls, passes: Sequence[Pass], lengths: Tensor | None, axes: Axes, *, gates: bool, states: bool
    ) -> Steps:
        """Stack the moments of some passes."""
        cell = passes[0].cell
        named = {"states": cell.state_names} if states else {}
        if gates:
            named |= {"gates": cell.gate_names, "preactivations": cell.gate_names}
        stacked = {
            kind: {name: _stacked(passes, kind, name, lengths, axes) for name in names}
            for kind, names in named.items()
        }
        return cls(passes, **stacked)


def _stacked(passes: Sequence[Pass], kind: str, name: str, lengths: Tensor | None, axes: Axes) -> Tensor:
    """One name over layers, rows and steps."""
    found = torch.stack([_over_time(one, kind, name) for one in passes])
    if lengths is not None:
        steps = torch.arange(found.shape[1], device=found.device)
        found = torch.where((steps[:, None] < lengths.to(found.device))[..., None], found, 0)
    return found.transpose(1, 2) if axes == "BT" else found.squeeze(2) if axes == "T" else found


def _over_time(one: Pass, kind: str, name: str) -> Tensor:
    """One name over the steps of a pass, (T, B, H)."""
    if one.moments:
        values: list[Tensor] = [getattr(moment, kind)[name] for moment in one.moments]
        return torch.stack(values)
    hidden = one.weights.weight_hh.shape[0] // len(one.cell.gates)
    batch, size = one.start["h"].shape
    return torch.zeros(0, batch, size if (kind, name) == ("states", "h") else hidden).to(one.start["h"])

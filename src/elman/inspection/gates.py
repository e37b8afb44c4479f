"""What gates do: how often they are open and shut, which never move, and units that say nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elman.cells import Gate
from elman.inspection.watching import Layer
from elman.nn.steps import ENDS

FEWEST = 16  # steps of all rows that must have been read before anything is said to be always so
STUCK = 0.95
"""Share of all steps in which a unit's gate is shut, or open, to be called stuck."""

STILL = 1e-3
"""Range of a unit's state over all steps below which it says nothing."""


@dataclass(frozen=True)
class GateUse:
    """A gate of a layer over all rows, steps and units.

    shut, open: share of its values below and above the ends of its nonlinearity (`ENDS`); 0 where it has none.
    stuck_shut, stuck_open: share of the units for which it is so in nearly all steps; 0 where fewer than FEWEST were
    read.
    """

    gate: str
    activation: str
    meaning: str
    mean: float
    shut: float
    open: float
    stuck_shut: float
    stuck_open: float


def gate_uses(layer: Layer) -> list[GateUse]:
    """How a layer uses each of its gates."""
    return [_use(gate, layer.gates(gate.name)[layer.inside]) for gate in layer.cell.gates]


def _use(gate: Gate, values: Tensor) -> GateUse:
    """values: (N, H) over rows and steps."""
    low, high = ENDS.get(gate.activation, (-torch.inf, torch.inf))
    shut, opened = (values < low).double(), (values > high).double()
    return GateUse(
        gate.name,
        gate.activation,
        gate.meaning,
        mean=float(values.double().mean()),
        shut=float(shut.mean()),
        open=float(opened.mean()),
        stuck_shut=float((shut.mean(0) > STUCK).double().mean()) if len(values) >= FEWEST else 0.0,
        stuck_open=float((opened.mean(0) > STUCK).double().mean()) if len(values) >= FEWEST else 0.0,
    )


def still_units(layer: Layer) -> int:
    """Units whose state h hardly changes over all rows and steps, of which there are FEWEST at least."""
    h = layer.states("h")[layer.inside]
    return int((h.amax(0) - h.amin(0) < STILL).sum()) if len(h) >= FEWEST else 0

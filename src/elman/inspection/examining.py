"""Everything that `elman inspect` measures of a model on some inputs, as one object of plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elman.inspection.gates import GateUse, gate_uses, still_units
from elman.inspection.gradients import jacobian, through_time_of
from elman.inspection.inspected import Inspected
from elman.inspection.memory import Effect, effects_of_inputs, reading
from elman.inspection.reach import Reach
from elman.inspection.watching import Call, Layer, Trace, tracing

_PRODUCTS = 4e10  # multiplications spent on trying changed inputs out on a stack, in between so many trials
_TRIALS = 4, 256
_JACOBIANS = 2  # steps at which each layer's is measured, and the states from which on it is not:
_LARGE = 1200


@dataclass(frozen=True)
class Spectrum:
    """The recurrent Jacobian of a layer, in the mean over some steps: singular values, descending, and the largest
    absolute eigenvalue."""

    singular: NDArray[np.float64]
    radius: float


@dataclass(frozen=True)
class LayerFacts:
    """What was measured of a layer in one direction.

    gradients: by state, the norm of the objective's gradient with respect to it, by lag.
    spectrum: None for a layer with very many units, and where it was not asked for.
    still: units that never move.
    """

    name: str
    cell: str
    units: int
    reverse: bool
    gradients: Mapping[str, Reach]
    spectrum: Spectrum | None
    gates: Sequence[GateUse]
    still: int

    @property
    def gradient(self) -> Reach:
        """Of the state that carries it farthest."""
        return max(self.gradients.values(), key=lambda reach: reach.length())


@dataclass(frozen=True)
class StackFacts:
    """What was measured of a stack of layers: what a changed input does to its output, and to the network's answer."""

    name: str
    output: Effect
    answer: Effect | None
    layers: Sequence[LayerFacts]


@dataclass(frozen=True)
class Inspection:
    """All that was measured, and the trace it was measured on.

    difference: how far the watched numbers are from those of the layers' own path, relative to the largest.
    """

    inspected: Inspected
    stacks: Sequence[StackFacts]
    trace: Trace
    difference: float

    @property
    def layers(self) -> list[LayerFacts]:
        return [layer for stack in self.stacks for layer in stack.layers]


def examine(inspected: Inspected, *, spectra: bool = True, trials: int | None = None) -> Inspection:
    """Measure gradients through time, memory, Jacobians and gates of a network on the inputs of a task.

    spectra: measure Jacobians too, which takes about as long as all the rest.
    trials: readings with changed inputs, for each stack of layers; None: as many as their size allows.
    """
    with torch.enable_grad(), tracing(inspected.network, inspected.layers, inspected.stepped) as seen:
        losses = inspected.objective(inspected.read())
    states, ends = [], []
    for call in seen.calls:
        for layer in call.layers:
            states += [(layer, name) for name in layer.cell.state_names]
            ends += [inspected.layers[call.name]] * len(layer.cell.state_names)
    reaches: dict[int, dict[str, Reach]] = {}
    for (layer, name), reach in zip(states, through_time_of(losses, states, ends), strict=True):
        reaches.setdefault(id(layer), {})[name] = reach
    stacks = []
    for call in seen.calls:
        effects = _effects(inspected, call, trials)
        facts = [
            _facts(layer, reaches[id(layer)], _spectrum(layer) if spectra else None) for layer in call.layers
        ]
        stacks.append(StackFacts(call.name, effects[0], effects[1] if len(effects) > 1 else None, facts))
    return Inspection(inspected, stacks, seen, seen.difference)


def _effects(inspected: Inspected, call: Call, trials: int | None) -> list[Effect]:
    """What a changed step of the input of a stack does to its output, and to the answer where it has the same steps."""
    first, said = call.layers[0], not inspected.written or call.name == list(inspected.layers)[-1]
    x = first.seen.x.detach().transpose(0, 1)

    def read(changed: torch.Tensor) -> list[torch.Tensor]:
        with reading(call.module, changed) as answers:
            scores = inspected.read()
        told = [scores] if scores.dim() == 2 or (said and scores.shape[:2] == x.shape[:2]) else []
        outputs = [answer[0] for answer in answers]
        return [torch.cat(outputs, 1) if outputs[0].shape[1] < x.shape[1] else outputs[0], *told]

    if trials is None:
        weights = sum(parameter.numel() for parameter in call.module.parameters())
        trials = int(np.clip(_PRODUCTS / (weights * x.shape[0] * x.shape[1] or 1), *_TRIALS))
    return effects_of_inputs(read, x, first.lengths, ends=inspected.layers[call.name], trials=trials)


def _facts(layer: Layer, gradients: Mapping[str, Reach], spectrum: Spectrum | None) -> LayerFacts:
    return LayerFacts(
        name=layer.name,
        cell=layer.cell.name,
        units=layer.seen.weights.weight_hh.shape[0] // len(layer.cell.gates),
        reverse=layer.reverse,
        gradients=gradients,
        spectrum=spectrum,
        gates=gate_uses(layer),
        still=still_units(layer),
    )


def _spectrum(layer: Layer) -> Spectrum | None:
    size = sum(start.shape[1] for start in layer.seen.start.values())
    row = int(layer.lengths.argmax())
    length = int(layer.lengths[row])
    if size > _LARGE or not length:
        return None
    steps = sorted({int(length * share) for share in (np.arange(_JACOBIANS) + 0.5) / _JACOBIANS})
    found = [jacobian(layer, row, step) for step in steps]
    singular = np.mean([np.linalg.svd(each, compute_uv=False) for each in found], axis=0)
    radius = float(np.mean([np.abs(np.linalg.eigvals(each)).max() for each in found]))
    return Spectrum(singular, radius)


def summary(inspection: Inspection) -> dict[str, Any]:
    """The measurements as numbers for a program; NaN stands for what could not be measured."""
    return {
        "rows": len(inspection.inspected.steps),
        "longest_row": max(map(len, inspection.inspected.steps)),
        "difference": inspection.difference,
        "stacks": [
            {
                "name": stack.name,
                "memory": _reach(stack.output.back),
                "memory_ahead": _reach(stack.output.ahead),
                "answer_memory": None if stack.answer is None else _reach(stack.answer.back),
                "layers": [_layer(layer) for layer in stack.layers],
            }
            for stack in inspection.stacks
        ],
    }


def _reach(reach: Reach) -> dict[str, Any]:
    return {
        "length": reach.length(),
        "seen": reach.seen,
        "factor": reach.factor,
        "strength": [None if math.isnan(value) else float(value) for value in reach.strength],
    }


def _layer(layer: LayerFacts) -> dict[str, Any]:
    spectrum = layer.spectrum
    return {
        "name": layer.name,
        "cell": layer.cell,
        "units": layer.units,
        "reverse": layer.reverse,
        "gradients": {name: _reach(reach) for name, reach in layer.gradients.items()},
        "largest_singular_value": None if spectrum is None else float(spectrum.singular[0]),
        "largest_eigenvalue": None if spectrum is None else spectrum.radius,
        "gates": {
            use.gate: {k: v for k, v in vars(use).items() if k not in ("gate", "activation", "meaning")}
            for use in layer.gates
        },
        "units_that_never_move": layer.still,
    }

"""What single units and directions of the state know: probes for a property, and the units that a span stands out in.

A unit is judged by the area under the ROC curve, the chance that it is larger at a step with the property than at one
without it: 0.5 is nothing, 1 is everything. A direction is a weighted sum of all units, from logistic regression. Both
are found in one half of the steps and judged in the other; the halves are made of blocks of neighbours with a gap
between, since neighbours know nearly the same.

Sources: Karpathy, Johnson and Li (2015), Visualizing and understanding recurrent networks,
https://arxiv.org/abs/1506.02078; Alain and Bengio (2016), https://arxiv.org/abs/1610.01644.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.inspection.inspected import Inspected
from elman.inspection.properties import properties
from elman.inspection.watching import Layer, Trace

Floats = NDArray[np.float64]

_BLOCKS = 10  # at least, that the steps of all rows together are cut into
_GAP = 10  # steps at the begin of a block that goes on from another one: they are in no half
_FEW = 10  # steps with the property, or without it, that each half needs
_LARGE = 4000  # steps that the regression reads at most
_STRENGTH = 0.01  # of the regression: inverse of the penalty


class Unit(NamedTuple):
    """One number of a layer's state: h, or c where the cell has one."""

    layer: str
    state: str
    number: int

    def __str__(self) -> str:
        return f"{self.layer} {self.state}[{self.number}]"


@dataclass(frozen=True)
class States:
    """The states of the layers that read the same steps, unit by unit.

    values: (N, U), the steps of all rows one behind the other.
    rows, steps: (N,), to which row and step of it each belongs.
    """

    units: Sequence[Unit]
    values: NDArray[Any]
    rows: NDArray[np.int64]
    steps: NDArray[np.int64]

    @classmethod
    def of(cls, trace: Trace, layers: Sequence[Layer] | None = None) -> States:
        """Of the first call of a trace, or of some layers of one call."""
        chosen = trace.calls[0].layers if layers is None else layers
        inside = chosen[0].inside
        parts, units = [], []
        for layer in chosen:
            for state in layer.cell.state_names:
                found = layer.states(state)[inside].numpy()
                parts.append(found)
                units += [Unit(layer.name, state, k) for k in range(found.shape[1])]
        rows, steps = inside.numpy().nonzero()
        return cls(units, np.concatenate(parts, 1), rows, steps)


@dataclass(frozen=True)
class Probed:
    """What was found for a property.

    share: of the steps that have it; steps: that were judged.
    unit, sign: the best single unit, and -1 where it is smaller at steps with the property.
    unit_auc: of the unit, of held-out steps.
    direction: (U,) weights of the units; auc: of the direction, of held-out steps.
    """

    name: str
    share: float
    steps: int
    unit: Unit
    sign: int
    unit_auc: float
    direction: Floats
    auc: float


def probe(name: str, states: States, wanted: NDArray[np.bool_], *, seed: int = 0) -> Probed | None:
    """The unit and the direction that tell best at which steps (N,) a property holds.

    Returns None where a half has fewer than ten steps with it, or without it.
    """
    return _probe(name, _Halves.of(states, seed), wanted)


def probe_all(inspected: Inspected, states: States, *, seed: int = 0) -> list[Probed]:
    """Every property that can be judged, best first."""
    halves, found = _Halves.of(states, seed), []
    for name, rows in properties(inspected):
        wanted = np.array([rows[r][t] for r, t in zip(states.rows, states.steps, strict=True)], dtype=bool)
        found.append(_probe(name, halves, wanted))
    return sorted((one for one in found if one is not None), key=lambda one: -max(one.auc, one.unit_auc))


class Ranked(NamedTuple):
    """A unit that a span stands out in: by how many standard deviations its mean there is above (or below) that of all
    steps, and the steps outside where it goes farthest that way, as (row, step, value)."""

    unit: Unit
    score: float
    elsewhere: list[tuple[int, int, float]]


def ranked_units(
    states: States, row: int, start: int, stop: int, *, units: int = 5, elsewhere: int = 5
) -> list[Ranked]:
    """The units that stand out in steps start..stop - 1 of a row, and where else each of them does.

    Raises: InputError for a span that the row does not have.
    """
    inside = (states.rows == row) & (states.steps >= start) & (states.steps < stop)
    if not inside.any():
        raise InputError(f"span {start}:{stop} of row {row}: no step is there.")
    spread = np.maximum(states.values.std(0), 1e-9)
    scores = (states.values[inside].mean(0) - states.values.mean(0)) / spread
    found = []
    for k in np.argsort(-np.abs(scores), kind="stable")[:units]:
        told = np.where(inside, -np.inf, np.sign(scores[k]) * states.values[:, k])
        places = [n for n in np.argsort(-told, kind="stable")[:elsewhere] if not inside[n]]
        others = [(int(states.rows[n]), int(states.steps[n]), float(states.values[n, k])) for n in places]
        found.append(Ranked(states.units[k], float(scores[k]), others))
    return found


@dataclass(frozen=True)
class _Halves:
    """The steps to learn from with the ranks (n, U) of their values, and the steps to judge by."""

    states: States
    fitted: NDArray[np.int64]
    ranks: Floats
    judged: NDArray[np.int64]

    @classmethod
    def of(cls, states: States, seed: int) -> _Halves:
        """Blocks of whole rows, or of parts of them where rows are few."""
        count = int(states.rows.max()) + 1
        parts = -(-_BLOCKS // count)
        lengths = np.bincount(states.rows, minlength=count)[states.rows]
        size = -(-lengths // parts)
        part = states.steps // size
        inside = (part == 0) | (states.steps % size >= np.minimum(_GAP, size // 2))
        order = np.random.default_rng(seed).permutation(count * parts)
        first = np.isin(states.rows * parts + part, order[: len(order) // 2])
        fitted, judged = np.flatnonzero(first & inside), np.flatnonzero(~first & inside)
        return cls(states, fitted, _ranks(states.values[fitted]), judged)


def _probe(name: str, halves: _Halves, wanted: NDArray[np.bool_]) -> Probed | None:
    states, fitted, judged = halves.states, halves.fitted, halves.judged
    known = [np.bincount(wanted[half].astype(np.int64), minlength=2) for half in (fitted, judged)]
    if min(map(min, known)) < _FEW:
        return None
    areas = _areas(halves.ranks, wanted[fitted])
    best = int(np.abs(areas - 0.5).argmax())
    sign = 1 if areas[best] >= 0.5 else -1
    direction = _direction(states.values[fitted], wanted[fitted])
    told = np.stack([sign * states.values[judged, best], states.values[judged] @ direction], 1)
    unit_auc, auc = _areas(_ranks(told), wanted[judged])
    return Probed(
        name=name,
        share=float(wanted.mean()),
        steps=len(judged),
        unit=states.units[best],
        sign=sign,
        unit_auc=float(unit_auc),
        direction=direction,
        auc=float(auc),
    )


def _ranks(values: NDArray[Any]) -> Floats:
    """Of every column of (N, U), from 1; equal values share their mean rank."""
    order = values.argsort(0)
    ascending = np.take_along_axis(values, order, 0)
    count = len(values)
    places = np.arange(count, dtype=np.int32)[:, None]
    new = np.ones(values.shape, bool)
    new[1:] = ascending[1:] != ascending[:-1]
    first = np.maximum.accumulate(np.where(new, places, 0), 0)
    ends = np.ones(values.shape, bool)
    ends[:-1] = new[1:]
    last = np.minimum.accumulate(np.where(ends, places, count - 1)[::-1], 0)[::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, 0)
    return ranks


def _areas(ranks: Floats, wanted: NDArray[np.bool_]) -> Floats:
    """Area under the ROC curve of every column, from the rank sum of Mann and Whitney."""
    positive = int(wanted.sum())
    above = ranks[wanted].sum(0) - positive * (positive + 1) / 2
    return np.asarray(above / (positive * (len(wanted) - positive)))


def _direction(values: NDArray[Any], wanted: NDArray[np.bool_]) -> Floats:
    """Weights (U,) of logistic regression on standardised units, for values as they are: the least of

        |w|^2 / 2 + C sum over n of a_n ln(1 + exp(-y_n (w . x_n + b))),   y_n = 1 or -1

    with as much weight a in all on the steps that have the property as on the others.
    """
    from scipy.optimize import minimize

    if len(values) > _LARGE:
        every = -(-len(values) // _LARGE)
        values, wanted = values[::every], wanted[::every]
    spread = values.std(0)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    x = np.column_stack([(values - values.mean(0)) * scale, np.ones(len(values))])
    sign, shares = np.where(wanted, 1.0, -1.0), np.where(wanted, wanted.mean(), 1 - wanted.mean())

    def loss(w: Floats) -> tuple[float, Floats]:
        """What is to be least, by the number of steps and C, and its slope."""
        margin, pull = sign * (x @ w), np.append(w[:-1], 0) / (_STRENGTH * len(x))
        slope = -sign * np.exp(-np.logaddexp(0, margin)) / (2 * shares * len(x))
        return pull @ w / 2 + (np.logaddexp(0, -margin) / (2 * shares)).mean(), pull + x.T @ slope

    how = {"maxiter": 50, "gtol": 1e-2}
    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options=how)
    return np.asarray(found.x[:-1] * scale)

"""What a network does step by step with some inputs: its states as pictures, what its units know, what an answer is
owed to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.inspection import state_pictures
from elman.inspection.attributions import Attribution, attribute
from elman.inspection.inspected import Inspected
from elman.inspection.properties import properties
from elman.inspection.report import Grid, Picture, Text
from elman.inspection.units import Probed, States, probe_all
from elman.inspection.watching import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ATTRIBUTED = 800  # steps of the rows that attributions are measured of, where a task gives fewer
_SMALL = 0.01  # attributions below which all are told by their powers of ten
_TOLERANCE = 0.01  # of integrated gradients' completeness


@dataclass(frozen=True)
class Asked:
    """Which answer attributions are asked about: see `attribute`."""

    method: str
    answer: str | None = None
    step: int = -1


@dataclass(frozen=True)
class Look:
    """States, probes and attributions of one network on some inputs."""

    inspected: Inspected
    trace: Trace
    states: States
    probes: Sequence[Probed]
    attribution: Attribution | None

    @classmethod
    def at(cls, inspected: Inspected, trace: Trace, asked: Asked | None = None) -> Look:
        states = States.of(trace)
        attribution = None if asked is None else _attribution(inspected, asked)
        return cls(inspected, trace, states, probe_all(inspected, states), attribution)

    def figures(self) -> list[tuple[str, str, Figure]]:
        """Every picture with the name of its file and what it shows. Draw under `state_pictures.letters`."""
        found = [
            (
                f"states{number + 1 if number else ''}",
                f"{self.trace.calls[number].name}: {_STATES}" if number else _STATES,
                state_pictures.states_figure(self.trace.calls[number].layers, items[0]),
            )
            for number, items in self._read()
        ]
        components = state_pictures.components_figure(self.states, *self._first())
        found.append(("components", _COMPONENTS, components))
        if self.attribution is not None:
            found.append(("attribution", *self._attributed(self.attribution)))
        return found

    def _read(self) -> list[tuple[int, Sequence[Sequence[str]]]]:
        """The stacks whose states are drawn, and what each reads."""
        count = len(self.trace.calls) if self.inspected.written else 1
        return [(number, self.inspected.read_by(number)) for number in range(count)]

    def _attributed(self, attribution: Attribution) -> tuple[str, Figure]:
        if self.inspected.images:
            inspected = self.inspected
            return _CELLS, state_pictures.cells_figure(attribution, inspected.images, inspected.grid)
        return _BARS, state_pictures.attribution_figure(attribution)

    def _first(self) -> tuple[str, Any]:
        """The name of the first property, and at which of all steps it holds."""
        if not self.probes:
            return "", None
        name = self.probes[0].name
        rows = dict(properties(self.inspected))[name]
        return name, np.array(
            [rows[r][t] for r, t in zip(self.states.rows, self.states.steps, strict=True)], bool
        )

    def sections(self, pictures: Mapping[str, Picture]) -> list[tuple[str, Sequence[Text | Grid | Picture]]]:
        """What a page shows of it, as (title, parts); pictures: those of `figures`, by name."""
        sections: list[tuple[str, Sequence[Text | Grid | Picture]]] = [
            (
                "States",
                [*(pictures[name] for name in pictures if name[:6] == "states"), pictures["components"]],
            ),
            (
                "What units know",
                [
                    *([_probe_grid(self.probes)] if self.probes else []),
                    *state_pictures.colouring_parts(self.states, self.inspected.steps[0], self.probes),
                ],
            ),
        ]
        if self.attribution is not None:
            parts = state_pictures.attribution_parts(
                self.attribution, pictures["attribution"], texts=not self.inspected.images
            )
            sections.append(
                (f"Attributions: {self.attribution.method}", [Text("", self._complete()), *parts])
            )
        return sections

    def told(self) -> str:
        """What was found, as lines to read."""
        lines = (
            ["", "units     what they know, as area under the ROC curve on held-out steps"]
            if self.probes
            else []
        )
        lines += [
            f"  {one.name}: {one.unit} {one.unit_auc:.3f}, a direction {one.auc:.3f}" for one in self.probes
        ]
        if self.attribution is not None:
            lines += ["", f"attributions of {self.attribution.asked}, by {self.attribution.method}"]
            lines += [f"  {line}" for line in self._complete().splitlines()]
            lines += [f"  {line}" for line in _strongest(self.attribution)]
        return "\n".join(lines)

    def _complete(self) -> str:
        attribution = self.attribution
        assert attribution is not None
        if attribution.method != "integrated-gradients":
            count = f"{attribution.points:,} {'reading' if attribution.points == 1 else 'readings'}"
            return f"{count}; these attributions need not sum to anything."
        worst = float(attribution.remainder.max())
        met = "complete" if worst <= _TOLERANCE else "NOT complete"
        return (
            f"{met}: they sum to the difference from an empty input within {worst:.2%},"
            f" with {attribution.points} points of the integral"
        )

    def summary(self) -> dict[str, Any]:
        """The numbers for a program; an attribution that was not measured is None."""
        found: dict[str, Any] = {
            "probes": [
                {
                    "property": one.name,
                    "share": one.share,
                    "held_out_steps": one.steps,
                    "unit": one.unit._asdict(),
                    "sign": one.sign,
                    "unit_auc": one.unit_auc,
                    "direction_auc": one.auc,
                }
                for one in self.probes
            ]
        }
        if self.attribution is not None:
            a = self.attribution
            found["attribution"] = {
                "method": a.method,
                "asked": a.asked,
                "points": a.points,
                "rows": [
                    {
                        "answer": answer,
                        "found": float(value),
                        "empty": float(empty),
                        "remainder": float(rest),
                        "items": list(items),
                        "values": [None if np.isnan(v) else float(v) for v in values],
                    }
                    for answer, value, empty, rest, items, values in zip(
                        a.answers, a.found, a.empty, a.remainder, a.items, a.values, strict=True
                    )
                ],
            }
        return found


def _attribution(inspected: Inspected, asked: Asked) -> Attribution:
    if inspected.fewer is not None:
        inspected = inspected.fewer(max(1, _ATTRIBUTED // max(map(len, inspected.steps))))
    return attribute(inspected, asked.method, answer=asked.answer, step=asked.step)


def _probe_grid(probes: Sequence[Probed]) -> Grid:
    head = ("property", "share of steps", "best unit", "is then", "held-out AUC", "of a direction")
    rows = [
        (
            one.name,
            one.share,
            str(one.unit),
            "high" if one.sign > 0 else "low",
            one.unit_auc,
            one.auc,
        )
        for one in probes
    ]
    return Grid(head, rows)


def _strongest(attribution: Attribution) -> list[str]:
    """The five steps of the first rows that did most."""
    lines = []
    for row, (items, values, answer) in enumerate(
        zip(attribution.items[:3], attribution.values, attribution.answers, strict=False)
    ):
        known = np.nan_to_num(values)
        form = "+.3f" if np.abs(known).max(initial=0.0) >= _SMALL else "+.1e"
        best = [k for k in np.argsort(-np.abs(known), kind="stable")[:5] if known[k]]
        told = ", ".join(f"{items[k]!r} ({k}) {known[k]:{form}}" for k in best)
        lines.append(f"row {row}{f', {answer!r}' if answer else ''}: {told}")
    return lines


_STATES = (
    "The first row, step by step: h of the units that move most, those alike side by side; below, the gates in the mean"
    " over the units, with nine tenths of them in the shade."
)
_COMPONENTS = "The state h of the last layer at every step of all rows, on its two principal components."
_CELLS = "What each cell of an image had to do with the answer: orange speaks for it, blue against it."
_BARS = (
    "What each step of the first row had to do with the answer: above 0 it speaks for it, below against it."
)

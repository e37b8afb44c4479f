"""One network at several moments of its training: how gradients and memory came to reach as far as they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import InputError
from elman.inspection.examining import Inspection, LayerFacts, StackFacts, examine, summary
from elman.inspection.inspected import Inspected
from elman.inspection.pictures import reach_axes, reach_line
from elman.inspection.reach import FELT, Reach
from elman.inspection.report import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = 8  # that are read at every moment, and in how many trials an input is changed
_TRIALS = 4
_PANELS = 3  # layers whose gradients are drawn


@dataclass(frozen=True)
class Moment:
    """What was measured after `step` updates; loss: of the evaluation then, None where there was none."""

    step: int
    result: bool
    loss: float | None
    inspection: Inspection

    @property
    def name(self) -> str:
        return f"step {self.step:,}{', the result' if self.result else ''}"


def chosen(steps: Sequence[int], most: int) -> list[int]:
    """At most so many of some steps: the first, the last where there is room for two, others evenly between by rank.

    >>> chosen([0, 100, 200, 400, 800, 900], 3), chosen([0, 100], 5), chosen([0, 100], 0)
    ([0, 200, 900], [0, 100], [])

    Raises: InputError below 0.
    """
    if most < 0:
        raise InputError(f"moments is {most}, expected at least 0.")
    if len(steps) <= most:
        return list(steps)
    return [steps[int(place)] for place in np.linspace(0, len(steps) - 1, most)]


def measured(
    course: Mapping[int, Inspected], result: int, records: Sequence[Mapping[str, Any]] = ()
) -> list[Moment]:
    """Gradients and memory at every moment, on the same inputs and in the same way.

    course: by the number of updates, the network as it then was; records: the lines of metrics.jsonl.
    """
    losses = {row["step"]: row.get("validation_loss", row.get("train_loss")) for row in records}
    found = []
    for step, one in sorted(course.items()):
        part = one.fewer(_ROWS) if one.fewer is not None and len(one.steps) > _ROWS else one
        seen = examine(part, spectra=False, trials=_TRIALS)
        found.append(Moment(step, step == result, losses.get(step), seen))
    return found


def told(moments: Sequence[Moment]) -> Iterator[str]:
    """What was measured, as lines to read."""
    if len(moments) < 2:
        return
    yield ""
    rows = len(moments[0].inspection.inspected.steps)
    read = "the first row" if rows == 1 else f"the first {rows} rows"
    yield f"training  steps over which the gradient, and a changed input, are felt in {read}"
    for moment in moments:
        layers = ", ".join(f"{layer.name} {_count(layer.gradient)}" for layer in moment.inspection.layers)
        stacks = moment.inspection.stacks
        memory = ", ".join(f"{_named(stack, stacks)}{_count(stack.output.back)}" for stack in stacks)
        loss = "" if moment.loss is None else f"; loss {moment.loss:.4g}"
        yield f"  {moment.name}: {layers}; memory {memory}{loss}"
    for first, last in zip(moments[0].inspection.layers, moments[-1].inspection.layers, strict=True):
        if first.gradient.length() != last.gradient.length():
            yield (
                f"  {first.name}: at step {moments[0].step:,} the gradient {_gone(first)},"
                f" at step {moments[-1].step:,} it {_gone(last)}"
            )


def _count(reach: Reach) -> str:
    return f"{'at least ' if 0 < reach.length() == reach.seen else ''}{reach.length():,}"


def _gone(layer: LayerFacts) -> str:
    reach = layer.gradient
    length = reach.length()
    if not np.nan_to_num(reach.strength).any():
        return "is zero"
    if length == reach.seen:
        return f"reaches all {length:,} steps {'ahead' if layer.reverse else 'back'}"
    return f"is gone after {length:,} {'step' if length == 1 else 'steps'}"


def _named(stack: StackFacts, stacks: Sequence[StackFacts]) -> str:
    return f"{stack.name} " if len(stacks) > 1 else ""


def training_grid(moments: Sequence[Moment]) -> Grid:
    """The lengths of every moment as a table."""
    first = moments[0].inspection
    head = (
        "moment",
        "loss",
        *(f"gradient of {layer.name}" for layer in first.layers),
        *(f"memory of {stack.name}" for stack in first.stacks),
    )
    rows = [
        (
            moment.name,
            "" if moment.loss is None else float(moment.loss),
            *(layer.gradient.length() for layer in moment.inspection.layers),
            *(stack.output.back.length() for stack in moment.inspection.stacks),
        )
        for moment in moments
    ]
    return Grid(head, rows)


def training_summary(moments: Sequence[Moment]) -> list[dict[str, Any]]:
    """The numbers for a program."""
    return [
        {"step": m.step, "result": m.result, "loss": m.loss, "stacks": summary(m.inspection)["stacks"]}
        for m in moments
    ]


def training_figure(moments: Sequence[Moment]) -> Figure:
    """The gradient through time of the first layers at each moment, and all lengths over the training."""
    import matplotlib
    from matplotlib.figure import Figure

    layers = moments[0].inspection.layers[:_PANELS]
    figure = Figure(figsize=(3.8 * (len(layers) + 1), 3.9), layout="constrained")
    *panels, last = figure.subplots(1, len(layers) + 1)
    colours = matplotlib.colormaps["viridis_r"](np.linspace(0.1, 1, len(moments)))
    for number, axes in enumerate(panels):
        if number:
            axes.sharex(panels[0])
        for moment, colour in zip(moments, colours, strict=True):
            layer = moment.inspection.layers[number]
            reach_line(axes, layer.gradient, moment.name, "-", color=colour)
        axes.set_title(layers[number].name, fontsize="medium")
        where = "ahead" if layers[number].reverse else "back"
        reach_axes(axes, "gradient, by its largest" if number == 0 else "", f"steps {where} to the state")
        if number:
            axes.get_legend().remove()
    _lengths(last, moments)
    return figure


def _lengths(axes: Axes, moments: Sequence[Moment]) -> None:
    """Every length over the updates."""
    steps = [moment.step for moment in moments]
    inside = [moment.inspection for moment in moments]
    for number, layer in enumerate(inside[0].layers):
        lengths = [one.layers[number].gradient.length() for one in inside]
        axes.plot(steps, lengths, "o-", lw=1.5, ms=4, label=f"gradient of {layer.name}")
    for number, stack in enumerate(inside[0].stacks):
        lengths = [one.stacks[number].output.back.length() for one in inside]
        axes.plot(steps, lengths, "s:", lw=1.5, ms=4, label=f"memory of {stack.name}")
    axes.set_xscale("symlog", linthresh=max(1, min((step for step in steps if step), default=1)))
    axes.set_title("over the training", fontsize="medium")
    axes.set_xlabel("updates")
    axes.set_ylabel("felt, steps")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize="small")


SHOWN = (
    "The same inputs, in fewer rows than the rest of the page, with the weights of several moments of the training."
    " Left: how strongly what is said at a step depends on the states before it, and, dotted,"
    f" {FELT:.0%}, below which nothing counts as felt. Right: how far back that is, and for how long a changed input is"
    " felt in the output."
)

"""The pictures of an inspection: how far gradients and inputs reach, what gates do, what one step multiplies by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.inspection.reach import FELT, Reach

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elman.inspection.examining import Inspection

_FLOOR = 1e-6  # of the largest, below which nothing is drawn
_SHUT, _BETWEEN, _OPEN = "#c2571a", "#dfe3e8", "#1f5f99"


def reach_figure(inspection: Inspection) -> Figure:
    """Gradient through time of each layer, and what a changed input does to the output and the answer, by lag."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for layer in inspection.layers:
        for state, reach in layer.gradients.items():
            reach_line(left, reach, f"{layer.name} {state}", "-" if state == "h" else "--")
    for stack in inspection.stacks:
        kinds = [(stack.output.back, "output, later", "-"), (stack.output.ahead, "output, before", "--")]
        if stack.answer is not None:
            kinds += [(stack.answer.back, "answer, later", ":"), (stack.answer.ahead, "answer, before", "-.")]
        for reach, what, style in kinds:
            if reach.length():
                reach_line(right, reach, f"{stack.name}: {what}", style)
    reach_axes(left, f"gradient of {inspection.inspected.asked},\nby its largest", "steps back to the state")
    reach_axes(right, "change of the output,\nby its largest", "steps from a changed input")
    return figure


def reach_line(axes: Axes, reach: Reach, label: str, style: str, **how: Any) -> None:
    """One strength over its lags, as a share of its largest."""
    known = np.nan_to_num(reach.strength)
    if known.max(initial=0.0) > 0:
        shares = np.where(known > _FLOOR * known.max(), known / known.max(), np.nan)
        axes.plot(shares, style, lw=1.5, marker="o" if len(shares) < 3 else None, label=label, **how)


def reach_axes(axes: Axes, vertical: str, horizontal: str) -> None:
    """Logarithmic, with the line under which nothing is felt."""
    axes.set_yscale("log")
    axes.minorticks_off()  # hundreds of them take longer to draw than all the rest
    axes.set_ylim(_FLOOR, 3)
    axes.axhline(FELT, color="#7a8594", lw=1, linestyle=":")
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(axis="y", alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small")


def gates_figure(inspection: Inspection) -> Figure:
    """How often each gate of each layer is shut, between, and open."""
    from matplotlib.figure import Figure

    bars = [(f"{layer.name} {use.gate}", use) for layer in inspection.layers for use in layer.gates]
    figure = Figure(figsize=(7.2, 0.9 + 0.28 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(bars))
    shut, opened = np.array([use.shut for _, use in bars]), np.array([use.open for _, use in bars])
    for start, width, colour, label in (
        (0 * shut, shut, _SHUT, "shut"),
        (shut, 1 - shut - opened, _BETWEEN, "between"),
        (1 - opened, opened, _OPEN, "open"),
    ):
        axes.barh(places, width, left=start, color=colour, height=0.7, label=label)
    axes.set_yticks(places, [name for name, _ in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of all steps and units")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return figure


def spectrum_figure(inspection: Inspection) -> Figure | None:
    """The singular values of the recurrent Jacobian of each layer; None where none was measured."""
    from matplotlib.figure import Figure

    measured = [(layer.name, layer.spectrum) for layer in inspection.layers if layer.spectrum is not None]
    if not measured:
        return None
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, spectrum in measured:
        axes.plot(
            np.arange(1, len(spectrum.singular) + 1), spectrum.singular, lw=1.5,
            marker="o" if len(spectrum.singular) < 3 else None, label=name,
        )  # fmt: skip
    axes.axhline(1, color="#7a8594", lw=1, linestyle=":")
    axes.set_xlabel("direction of the state, by rank")
    axes.set_ylabel("one step back multiplies it by")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize="small")
    return figure


def named_figures(inspection: Inspection) -> Sequence[tuple[str, str, Figure]]:
    """Every picture with the name of its file and what it shows."""
    figures = [
        ("reach", _REACH, reach_figure(inspection)),
        ("gates", _GATES, gates_figure(inspection)),
        ("jacobian", _JACOBIAN, spectrum_figure(inspection)),
    ]
    return [(name, told, figure) for name, told, figure in figures if figure is not None]


_REACH = (
    "Left: how strongly what is said at a step depends on the states before it. Right: how much a changed input changes"
    f" the outputs after it, or before it. Dotted: {FELT:.0%}, below which nothing counts as felt."
)
_GATES = "Shut and open: beyond 0.1 and 0.9 of a sigmoid, beyond -0.9 and 0.9 of a tanh; there a gate hardly learns."
_JACOBIAN = (
    "Singular values of the recurrent Jacobian, states side by side. Directions above 1 grow on the way back, those"
    " below vanish."
)

"""The picture and the page of several trainings beside each other."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.inspection.pictures import reach_axes, reach_line
from elman.inspection.reach import SHORT, Reach
from elman.inspection.report import Compared, Grid, Picture, Text, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHOLE = 0.9  # of the steps that could be seen: a gradient that reaches so far back reaches over all
_BARS = 3  # values of a number on the axis, from which on points are joined by lines


@dataclass(frozen=True)
class Curve:
    """One training: its label (shared by those that differ in the seed alone), the lines of its metrics.jsonl, its
    setting, the score it ended with, and what was measured inside, where that was done."""

    label: str
    records: Sequence[Mapping[str, Any]]
    setting: Mapping[str, Any]
    score: float
    inside: Inside | None = None


@dataclass(frozen=True)
class Inside:
    """How far back a trained network reaches: the gradient of its answer with respect to the states of its first layer,
    and what a changed input does to its output."""

    gradient: Reach
    memory: Reach

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Inside:
        """From the numbers of `examining.summary`."""
        stack = values["stacks"][0]
        gradients = [_reach(found) for found in stack["layers"][0]["gradients"].values()]
        return cls(max(gradients, key=lambda reach: reach.length()), _reach(stack["memory"]))


def _reach(values: Mapping[str, Any]) -> Reach:
    return Reach(np.array([math.nan if value is None else value for value in values["strength"]], np.float64))


def comparison_figure(curves: Sequence[Curve], compared: Compared, baselines: Mapping[str, float]) -> Figure:
    """Losses over the updates (training dashed, validation solid), and the scores at the end, baselines as lines;
    below, gradients through time and memory."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(curve.label for curve in curves))
    palette = mpl.colormaps["tab10" if len(labels) <= 10 else "turbo"]
    step = 1 if len(labels) <= 10 else 256 // len(labels)
    colours = {label: palette(place * step) for place, label in enumerate(labels)}
    measured = any(curve.inside for curve in curves)
    height = 4.2 + 0.2 * max(0, len(labels) - 6)
    figure = Figure(figsize=(11, height * (2 if measured else 1)), layout="constrained")
    losses, scores, *inside = figure.subplots(2 if measured else 1, 2).flat
    if measured:
        gradients, memories = inside
        _inside(gradients, memories, curves, colours)
    _losses(losses, curves, colours)
    across = _across(curves)
    if across:
        _lines(scores, curves, across, compared)
    else:
        _points(scores, curves, colours, compared)
    for style, (who, value) in zip(itertools.cycle(("--", ":", "-.")), baselines.items(), strict=False):
        line = scores.axvline if not across else scores.axhline
        line(value, linestyle=style, color="#7a8594", lw=1.2, label=who)
    if baselines or across:
        scores.legend(frameon=False, fontsize="small")
    return figure


def _losses(axes: Axes, curves: Sequence[Curve], colours: Mapping[str, Any]) -> None:
    named: set[str] = set()
    for curve in curves:
        for key, style in (("train_loss", "--"), ("validation_loss", "-")):
            points = [(r["step"], r[key]) for r in curve.records if r.get(key) is not None]
            if not points:
                continue
            held_out = any(r.get("validation_loss") is not None for r in curve.records)
            label = curve.label if (style == "-" or not held_out) and curve.label not in named else None
            named.update([curve.label] if label else [])
            steps, values = zip(*points, strict=True)
            marker = "o" if len(points) < 3 else None
            axes.plot(steps, values, style, color=colours[curve.label], lw=1.3, marker=marker, label=label)
    axes.set_xlabel("updates")
    axes.set_ylabel("loss (training dashed, held out solid)")
    axes.grid(axis="y", alpha=0.25)
    if named:
        axes.legend(frameon=False, fontsize="small")


def _inside(gradients: Axes, memories: Axes, curves: Sequence[Curve], colours: Mapping[str, Any]) -> None:
    """How far back each training reaches; of several seeds each has its line, and one is named."""
    named: set[str] = set()
    for curve in curves:
        if curve.inside is not None:
            label = curve.label if curve.label not in named else "_"
            named.add(curve.label)
            for axes, reach in ((gradients, curve.inside.gradient), (memories, curve.inside.memory)):
                reach_line(axes, reach, label, "-", color=colours[curve.label])
    reach_axes(gradients, "gradient of the answer,\nby its largest", "steps back to the first layer's state")
    reach_axes(memories, "change of the output,\nby its largest", "steps from a changed input")


def verdict(label: str, inside: Inside, score: str) -> str:
    """In a sentence, whether a training could learn over the whole of what it read.

    score: with its name.

    >>> verdict("cell rnn", Inside(Reach(0.5 ** np.arange(100)), Reach(0.9 ** np.arange(100))), "loss 2.1")
    'cell rnn (loss 2.1): the gradient is gone after 6 of 99 steps; what lies farther apart is not learned together'
    """
    length, seen = inside.gradient.length(), inside.gradient.seen
    if length >= WHOLE * seen:
        told = f"the gradient reaches back over all {seen} steps that were read"
    elif length < SHORT * seen:
        told = f"the gradient is gone after {length} of {seen} steps; what lies farther apart is not learned together"
    else:
        told = f"the gradient reaches back {length} of {seen} steps"
    return f"{label} ({score}): {told}"


def _across(curves: Sequence[Curve]) -> str | None:
    """The number that takes several values, with which the score is drawn as a line; none if no number does."""
    values = {
        name: {curve.setting[name] for curve in curves}
        for name in curves[0].setting
        if name != "seed" and all(_is_number(curve.setting[name]) for curve in curves)
    }
    longest = max(values, key=lambda name: len(values[name]), default=None)
    return longest if longest is not None and len(values[longest]) >= _BARS else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lines(axes: Axes, curves: Sequence[Curve], across: str, compared: Compared) -> None:
    groups: dict[str, dict[float, list[float]]] = {}
    for curve in curves:
        others = (f"{n.replace('_', ' ')} {v}" for n, v in curve.setting.items() if n not in (across, "seed"))
        groups.setdefault(", ".join(others), {}).setdefault(curve.setting[across], []).append(curve.score)
    for label, points in groups.items():
        places = sorted(points)
        means = [statistics.fmean(points[place]) for place in places]
        spread = [statistics.stdev(points[p]) if len(points[p]) > 1 else 0.0 for p in places]
        axes.errorbar(places, means, yerr=spread, marker="o", lw=1.6, capsize=3, label=label or "model")
    if min(place for points in groups.values() for place in points) > 0:
        axes.set_xscale("log")
    places = sorted({place for points in groups.values() for place in points})
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.minorticks_off()
    axes.set_xlabel(across.replace("_", " "))
    axes.set_ylabel(_named(compared))
    axes.grid(axis="y", alpha=0.25)


def _points(axes: Axes, curves: Sequence[Curve], colours: Mapping[str, Any], compared: Compared) -> None:
    labels = list(colours)
    for curve in curves:
        if math.isfinite(curve.score):
            axes.plot(curve.score, labels.index(curve.label), "o", color=colours[curve.label], ms=8)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel(_named(compared))
    axes.grid(axis="x", alpha=0.25)


def _named(compared: Compared) -> str:
    better = "higher" if compared.higher_is_better else "lower"
    return f"{compared.score.replace('_', ' ')}{f' ({compared.unit})' if compared.unit else ''}, {better} is better"


def comparison_page(
    title: str,
    summary: str,
    table: tuple[Sequence[str], Sequence[Sequence[Any]]],
    svg: str,
    failed: Sequence[tuple[str, str]],
    verdicts: Sequence[str] = (),
) -> str:
    """The page of a comparison: table, verdicts, picture, and what failed as (setting, message)."""
    told = [Text("How far back each one learns", "\n".join(verdicts))] if verdicts else []
    parts: list[tuple[str, Sequence[Text | Grid | Picture]]] = [
        ("Results", [Grid(*table), *told]),
        ("Curves", [Picture(svg, "")]),
    ]
    if failed:
        parts.append(("Failed", [Grid(("setting", "message"), failed)]))
    return page(title, summary, parts)

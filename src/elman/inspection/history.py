"""The curves of a training: loss and the task's main score over the steps, on two axes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
"""The lines of metrics.jsonl: one mapping from quantity to value for each evaluation."""

_LOSS, _SCORE = "#1f5f99", "#c2571a"


def history_figure(rows: Rows, score: str) -> Figure:
    """The curves as a figure. `score` is the quantity on the right axis, such as "accuracy"."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    left = figure.add_subplot()
    right = left.twinx()
    by_epoch = len({row["epoch"] for row in rows}) == len(rows) and rows[-1]["epoch"] >= 2
    horizontal = "epoch" if by_epoch else "step"
    drawn = [
        *_draw(left, rows, horizontal, "loss", _LOSS),
        *_draw(right, rows, horizontal, score, _SCORE),
    ]
    left.set_xlabel(horizontal)
    left.set_ylabel("loss", color=_LOSS)
    right.set_ylabel(score, color=_SCORE)
    left.tick_params(axis="y", colors=_LOSS)
    right.tick_params(axis="y", colors=_SCORE)
    left.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    left.grid(axis="y", alpha=0.25)
    for axes in (left, right):
        axes.spines["top"].set_visible(False)
    figure.legend(
        handles=drawn, loc="outside upper center", ncols=len(drawn) or 1, frameon=False, fontsize="small"
    )
    return figure


def figure_svg(figure: Figure) -> str:
    """The figure as an SVG element to stand inside a page, its text as text."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "elman"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _draw(axes: Axes, rows: Rows, horizontal: str, quantity: str, color: str) -> list[Any]:
    """The curves of one quantity: validation solid, train dashed; a point where a curve would have one only."""
    drawn = []
    for part, style in (("train", "--"), ("validation", "-")):
        key = f"{part}_{quantity}" if f"{part}_{quantity}" in rows[0] or part == "train" else quantity
        points = [(row[horizontal], row[key]) for row in rows if row.get(key) is not None]
        if points:
            across, up = zip(*points, strict=True)
            marker = "o" if len(points) < 3 else None
            drawn += axes.plot(
                across, up, style, color=color, marker=marker, lw=1.6, label=f"{part} {quantity}"
            )
    return drawn

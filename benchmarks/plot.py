"""The picture of a results file: how many times our time each peer takes, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from benchmarks import results

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

MARKERS = "osD^vP*Xhp<>"


def draw(document: dict[str, Any], path: Path) -> None:
    """Write a PNG: one panel per regime, one line per case, one mark per peer; right of 1 elman is faster."""
    groups = results.regimes(document["rows"])
    names = sorted({name for row in document["rows"] for name in row["ratios"]})
    colours = plt.colormaps["tab20"]
    style = {name: (MARKERS[i % len(MARKERS)], colours(i % 20)) for i, name in enumerate(names)}
    heights = [len(group) + 2.5 for group in groups.values()]
    figure, axes = plt.subplots(
        len(groups),
        1,
        figsize=(11, 1.6 + 0.21 * sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for axis, (title, group) in zip(axes[:, 0], groups.items(), strict=True):
        _panel(axis, title, group, document["limits"], style)
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, label=name)
        for name, (marker, colour) in style.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    machine, threads = document["machine"], document["settings"]["threads"]
    figure.suptitle(
        f"Time of each peer over elman's: {machine['processor']}, {threads} threads, {document['date']}"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(
    axis: Axes, title: str, group: list[results.Row], limits: dict[str, Any], style: dict[str, Any]
) -> None:
    labels = []
    for height, row in enumerate(group):
        share = results.share(row, limits)
        labels.append(f"{row['cell']} {row['shape']}" + (f"  ({share:.0%} of peak)" if share else ""))
        for name, ratio in row["ratios"].items():
            marker, colour = style[name]
            axis.plot(ratio, height, marker, color=colour, markersize=5, alpha=0.9)
    axis.axvline(1, color="black", linewidth=1)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_yticks(range(len(group)), labels, fontsize=7)
    axis.set_ylim(len(group) - 0.5, -0.5)
    axis.set_title(title, loc="left", fontsize=10)
    axis.grid(alpha=0.3)

"""What the report of a classifier shows: reliability, confusion, scores of each class, the worst errors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.inspection import Grid, Picture, figure_svg
from elman.tasks._judging import ByClass, Reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 30  # classes in a picture
_LETTERS = 200  # of an example that is listed


def reliability_picture(before: Reliability, after: Reliability) -> Picture:
    """Both curves over the diagonal, their errors in the legend."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    curves = (("as trained", before, "0.45", "--"), ("calibrated", after, "#1f5f99", "-"))
    for name, curve, color, style in curves:
        used = curve.counts > 0
        label = f"{name}: error {curve.error:.3f}"
        axes.plot(curve.means[used], curve.shares[used], style, color=color, marker="o", ms=4, label=label)
    axes.set(xlabel="probability given", ylabel="share that was so", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right", frameon=False, fontsize="small")
    return Picture(
        _svg(figure),
        "Reliability: of all things held 80 % likely, 80 % should be so. Error: expected calibration error.",
    )


def confusion_picture(counts: NDArray[np.int64], classes: Sequence[str]) -> Picture:
    """Counts of true (rows) and guessed (columns) classes, shaded by share of the row; the most frequent classes."""
    from matplotlib.figure import Figure

    shown = np.sort(np.argsort(-counts.sum(1), kind="stable")[:_SHOWN])
    part, names = counts[np.ix_(shown, shown)], [classes[k] for k in shown]
    side = min(9.0, 2.2 + 0.36 * len(shown))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(part / np.maximum(counts.sum(1)[shown, None], 1), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(part):
        dark = part[row, column] > 0.5 * max(1, counts[shown[row]].sum())
        axes.text(
            column,
            row,
            f"{part[row, column]}",
            ha="center",
            va="center",
            fontsize=7,
            color="w" if dark else "k",
        )
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set(xlabel="guessed", ylabel="true")
    left_out = f"; the {_SHOWN} most frequent of {len(classes)} classes" if len(classes) > _SHOWN else ""
    return Picture(_svg(figure), f"Confusion: rows are true, columns guessed{left_out}.")


def _svg(figure: Figure) -> str:
    """The figure with its text as text: that matplotlib's font lacks a letter is no matter, the reader's has it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        return figure_svg(figure)


def class_grid(by_class: ByClass, classes: Sequence[str]) -> Grid:
    """One line for each class: precision, recall, F1, examples."""
    numbers = zip(by_class.precision, by_class.recall, by_class.f1, by_class.true, strict=True)
    rows = [
        [name, float(precision), float(recall), float(f1), int(count)]
        for name, (precision, recall, f1, count) in zip(classes, numbers, strict=True)
    ]
    return Grid(["class", "precision", "recall", "F1", "examples"], rows)


def error_grid(rows: Sequence[tuple[str, str, str, float]]) -> Grid:
    """Examples that were guessed wrongly: what, true, guessed, probability of the truth."""
    told = [[text if len(text) <= _LETTERS else f"{text[:_LETTERS]}...", *rest] for text, *rest in rows]
    return Grid(["example", "true", "guessed", "probability of what is true"], told)

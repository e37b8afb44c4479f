"""What the report of a translator shows: answers beside references, and where the decoder looked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.inspection import Grid, Picture, Section, Text, figure_svg
from elman.tasks._writing import Written

_ANSWERS = 30
_PICTURES = 3
_WIDEST = 40  # symbols of a source or an answer in a picture


@dataclass(frozen=True)
class Look:
    """Attention (T, S): how much of each source symbol each symbol of the answer was written from."""

    read: Sequence[str]
    written: Sequence[str]
    weights: NDArray[np.float32]


def sections(
    asked: Mapping[str, Sequence[str]],
    answers: Sequence[Written],
    looks: Sequence[Look],
    signatures: Sequence[str],
) -> list[Section]:
    """Answers, spread over all sources, those that are a reference marked; how they are scored; where was looked."""
    pairs = list(zip(asked.items(), answers, strict=True))
    step = -(-len(pairs) // _ANSWERS)
    rows = [
        (source, refs[0], found.text, "yes" if found.text in refs else "", round(found.score, 3))
        for (source, refs), found in pairs[::step]
    ]
    grid = Grid(("source", "target", "answer", "exact", "score"), rows)
    shown = [Section("Attention", [_picture(look) for look in looks])] if looks else []
    return [Section("Answers", [grid, Text("How answers are scored", "\n".join(signatures))]), *shown]


def chosen(pairs: Sequence[tuple[str, Written]]) -> list[tuple[str, Written]]:
    """Sources and answers to draw: the longest that still can be read."""
    fitting = [
        pair
        for pair in pairs
        if len(pair[0]) <= _WIDEST and 0 < len(pair[1].symbols) <= _WIDEST and pair[1].whole
    ]
    return sorted(fitting, key=lambda pair: -len(pair[1].symbols))[:_PICTURES]


def _picture(look: Look) -> Picture:
    from matplotlib.figure import Figure

    across, down = len(look.read), len(look.written)
    figure = Figure(figsize=(1.4 + 0.22 * across, 1.2 + 0.22 * down), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(look.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    style: dict[str, Any] = {"fontsize": 8, "parse_math": False}
    axes.set_xticks(range(across), [_visible(symbol) for symbol in look.read], rotation=90, **style)
    axes.set_yticks(range(down), [_visible(symbol) for symbol in look.written], **style)
    axes.set(xlabel="read", ylabel="written")
    with warnings.catch_warnings():  # the text stays text, and the reader's fonts have the letters
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        return Picture(
            figure_svg(figure), "Where the decoder looked (dark) when it wrote each symbol of the answer."
        )


def _visible(symbol: str) -> str:
    return symbol if symbol.strip() else "\u2423"

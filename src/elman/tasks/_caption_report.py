"""What the report of a captioner shows: images with their captions, and where the decoder looked."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.inspection import Grid, Picture, Section, Text, figure_svg
from elman.tasks._caption_data import Array
from elman.tasks._writing import Written

SHOWN = 24
_LISTED = 40
LOOKED = 4
_COLUMNS = 4
_WORDS = 8  # of a caption that are drawn
_STYLE: dict[str, Any] = {"fontsize": 8, "parse_math": False}


@dataclass(frozen=True)
class Look:
    """An image, and the share of each cell of the grid in what each word of its caption was written from."""

    picture: Array
    words: Sequence[str]
    shares: NDArray[np.float32]  # (words, rows, columns)


def spread(count: int, wanted: int) -> range:
    """At most `wanted` of `count` rows, from all parts."""
    return range(0, count, max(1, -(-count // wanted)))


def by_word(pieces: Sequence[str], weights: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
    """The words of a caption, and the mean of the weights (T, S) that their symbols were written from; pieces: the
    text so far after each symbol.

    >>> words, means = by_word(["a", "ab", "ab ", "ab c"], np.array([[1.0], [3], [9], [5]], np.float32))
    >>> words, means.tolist()
    (['ab', 'c'], [[2.0], [5.0]])
    """
    words = pieces[-1].split() if pieces else []
    before = ["", *pieces[:-1]]
    steps: list[list[int]] = [[] for _ in words]
    for step, (text, last) in enumerate(zip(pieces, before, strict=True)):
        if text.split() != last.split() and words:
            steps[min(len(text.split()), len(words)) - 1].append(step)
    means = [weights[rows].mean(0) if rows else weights[:1].mean(0) * 0 for rows in steps]
    return words, np.array(means, np.float32)


def sections(
    names: Sequence[str],
    pictures: Sequence[Array],
    wanted: Sequence[Sequence[str]],
    found: Sequence[Written],
    looks: Sequence[Look],
    signatures: Sequence[str],
) -> list[Section]:
    """Captions beside what they should be, on their images where these are images; where was looked; how is scored."""
    rows = [
        (names[k], wanted[k][0], found[k].text, "yes" if found[k].text in wanted[k] else "", round(found[k].score, 3))
        for k in spread(len(names), _LISTED)
    ]  # fmt: skip
    grid = Grid(("image", "should be", "written", "exact", "score"), rows)
    drawn: list[Any] = []
    if pictures[0].ndim == 3:
        some = spread(len(names), SHOWN)
        drawn.append(
            _gallery([pictures[k] for k in some], [wanted[k][0] for k in some], [found[k].text for k in some])
        )
    parts = [*drawn, grid, Text("How captions are scored", "\n".join(signatures))]
    shown = [Section("Where it looked", [_looked(look) for look in looks])] if looks else []
    return [Section("Captions", parts), *shown]


def _gallery(pictures: Sequence[Array], wanted: Sequence[str], found: Sequence[str]) -> Picture:
    from matplotlib.figure import Figure

    height, width = pictures[0].shape[:2]
    down = -(-len(pictures) // _COLUMNS)
    figure = Figure(figsize=(8, down * (0.75 + min(1.2, 1.9 * height / width))), layout="constrained")
    for number, (picture, should, text) in enumerate(zip(pictures, wanted, found, strict=True), 1):
        axes = figure.add_subplot(down, _COLUMNS, number)
        axes.imshow(picture)
        axes.set_axis_off()
        axes.set_title(_short(text), color="#2f6f3f" if text == should else "#1f5f99", **_STYLE)
        if text != should:
            axes.text(
                0.5, -0.04, _short(should), transform=axes.transAxes, ha="center", va="top", color="0.45", **_STYLE
            )  # fmt: skip
    told = "Above each image what was written, green where it is what it should be; else that stands below, grey."
    return Picture(_svg(figure), told)


def _looked(look: Look) -> Picture:
    from matplotlib.figure import Figure

    words = look.words[:_WORDS]
    height, width = look.picture.shape[:2]
    wide = width > 2 * height
    count = 1 + len(words)
    size = (6.0, 0.25 + count * (0.3 + 5.5 * height / width)) if wide else (1.5 * count, 1.8)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(count if wide else 1, 1 if wide else count, squeeze=False).ravel()
    for place, axes in enumerate(panels):
        axes.set_axis_off()
        axes.imshow(look.picture, extent=(0, width, height, 0), alpha=1 if not place else 0.45)
        if place:
            shares = look.shares[place - 1]
            axes.imshow(
                shares, extent=(0, width, height, 0), cmap="inferno", alpha=0.55,
                vmin=0, vmax=max(float(shares.max()), 1e-6), interpolation="nearest",
            )  # fmt: skip
            axes.set_title(_short(words[place - 1]), **_STYLE)
    told = "The image, and where the decoder looked (bright) when it wrote each word."
    return Picture(_svg(figure), told)


def _short(text: str) -> str:
    return textwrap.fill(textwrap.shorten(text, 60, placeholder="..."), 26)


def _svg(figure: Any) -> str:
    with warnings.catch_warnings():  # the text stays text, and the reader's fonts have the letters
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        return figure_svg(figure)

"""Pictures of the states of a network over one input: heat maps, gates over time, their principal components."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.inspection.colouring import coloured
from elman.inspection.report import Grid, Picture, Text
from elman.inspection.units import Probed, States, Unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elman.inspection.attributions import Attribution
    from elman.inspection.watching import Layer

_STEPS = 100  # of the first row that are drawn
_NAMED = 60  # steps up to which each has its name below
_UNITS = 40  # of a layer, those that move most
_LAYERS = 4
_IMAGES = 12  # whose cells are coloured
_COLOURED = 600  # steps of a text that are coloured
_FONTS = ("Noto Sans CJK KR", "Noto Sans CJK JP", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")


def states_figure(stack: Sequence[Layer], items: Sequence[str]) -> Figure:
    """Heat map of h over the first row, one for each layer of a stack, and what the gates of the first and last of them
    do; items: what the row reads.

    Units stand in the order of their correlation with the one that moves most.
    """
    from matplotlib.figure import Figure

    layers = stack[:_LAYERS]
    gated = [layers[0]] if len(layers) == 1 else [layers[0], layers[-1]]
    count = min(_STEPS, int(layers[0].lengths[0]))
    heights = [2.2] * len(layers) + [1.5] * len(gated)
    figure = Figure(figsize=(11, sum(heights) + 0.6), layout="constrained")
    rows = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, layer in zip(rows, layers, strict=False):
        values = layer.states("h")[0, :count].float().numpy()
        drawn = axes.imshow(
            values[:, _ordered(values)].T, aspect="auto", cmap="RdBu_r", interpolation="nearest",
            vmin=-np.abs(values).max(), vmax=np.abs(values).max(),
        )  # fmt: skip
        axes.set_ylabel(f"{layer.name}\nunits", fontsize=8)
        axes.set_yticks([])
        figure.colorbar(drawn, ax=axes, pad=0.01, label="h")
    for axes, layer in zip(rows[len(layers) :], gated, strict=True):
        _gates(axes, layer, count)
    _name_steps(rows[-1], items[:count])
    return figure


def _gates(axes: Axes, layer: Layer, count: int) -> None:
    """The mean of each gate over the units, and between which values nine tenths of them lie."""
    for gate in layer.cell.gates:
        values = layer.gates(gate.name)[0, :count].float().numpy()
        low, high = np.quantile(values, (0.05, 0.95), axis=1)
        (line,) = axes.plot(values.mean(1), lw=1.4, label=gate.name)
        axes.fill_between(np.arange(count), low, high, color=line.get_color(), alpha=0.08, lw=0)
    axes.set_ylabel(f"{layer.name}\ngates", fontsize=8)
    axes.legend(frameon=False, fontsize="small", ncols=len(layer.cell.gates), loc="upper right")
    axes.grid(axis="y", alpha=0.25)


def components_figure(states: States, name: str = "", held: NDArray[np.bool_] | None = None) -> Figure:
    """All steps on the first two principal components of h of the last layer; held: (N,) where the property
    of this name holds."""
    from matplotlib.figure import Figure

    layer = states.units[-1].layer
    chosen = [k for k, unit in enumerate(states.units) if (unit.layer, unit.state) == (layer, "h")]
    values = states.values[:, chosen] - states.values[:, chosen].mean(0)
    sizes, directions = np.linalg.eigh(values.T @ values)
    shares = sizes[::-1] / max(sizes.sum(), 1e-30)
    points = values @ directions[:, ::-1][:, :2]
    if points.shape[1] < 2:
        points = np.concatenate([points, np.zeros_like(points)], 1)
    figure = Figure(figsize=(5.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    groups = [(np.ones(len(points), bool), "#1f5f99", "steps")]
    if held is not None:
        groups = [(~held, "#b9c2cd", "other steps"), (held, "#c2571a", name)]
    for group, colour, label in groups:
        axes.scatter(points[group, 0], points[group, 1], s=3, color=colour, label=label, rasterized=True)
    axes.set_xlabel(f"first component of h of {layer}, {shares[0]:.0%} of the variance")
    axes.set_ylabel(f"second component, {shares[1] if len(shares) > 1 else 0:.0%}")
    for text in axes.legend(frameon=False, fontsize="small", markerscale=4).get_texts():
        text.set_parse_math(False)
    return figure


def attribution_figure(attribution: Attribution) -> Figure:
    """The attributions of the first row, step by step."""
    from matplotlib.figure import Figure

    values, items = attribution.values[0][-_STEPS:], attribution.items[0][-_STEPS:]
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    axes = figure.add_subplot()
    known = np.nan_to_num(values)
    axes.bar(np.arange(len(values)), known, color=np.where(known > 0, "#c2571a", "#1f5f99"), width=0.85)
    axes.axhline(0, color="#7a8594", lw=0.8)
    axes.set_ylabel(attribution.method)
    _name_steps(axes, items)
    return figure


def cells_figure(attribution: Attribution, images: Sequence[NDArray[Any]], grid: tuple[int, int]) -> Figure:
    """The attributions of the first images, each on its own; grid: rows and columns of their cells."""
    from matplotlib.figure import Figure

    count = min(len(images), _IMAGES)
    across = min(count, 4)
    figure = Figure(figsize=(2.6 * across, 2.9 * -(-count // across)), layout="constrained")
    panels = figure.subplots(-(-count // across), across, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, image, values, answer in zip(
        panels, images[:count], attribution.values, attribution.answers, strict=False
    ):
        height, width = image.shape[:2]
        largest = max(float(np.abs(values).max()), 1e-9)
        axes.imshow(image)
        axes.imshow(
            values.reshape(grid), cmap="PuOr_r", vmin=-largest, vmax=largest, alpha=0.6, interpolation="nearest",
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        )  # fmt: skip
        axes.set_title(answer, fontsize="small", parse_math=False)
    return figure


def attribution_parts(
    attribution: Attribution, picture: Picture, *, texts: bool = True
) -> list[Text | Grid | Picture]:
    """What a page shows of attributions: the picture, a table of the rows, and all as coloured texts."""
    rows = [
        (number, answer, float(found), float(empty), float(sum_of), float(rest))
        for number, (answer, found, empty, sum_of, rest) in enumerate(
            zip(
                attribution.answers,
                attribution.found,
                attribution.empty,
                [np.nansum(values) for values in attribution.values],
                attribution.remainder,
                strict=True,
            )
        )
    ]
    head = ("row", "answer", attribution.asked, "of an empty input", "sum of the attributions", "remainder")
    coloured_rows = [
        Picture(_text(items[-_COLOURED:], values[-_COLOURED:]), f"Row {number}. {answer}")
        for number, (items, values, answer) in enumerate(
            zip(attribution.items, attribution.values, attribution.answers, strict=True)
        )
    ]
    return [picture, Grid(head, rows), *(coloured_rows if texts else [])]


def colouring_parts(states: States, items: Sequence[str], probes: Sequence[Probed]) -> list[Picture]:
    """The first row, coloured by the best unit of each property; of no property, by the units that move most."""
    told = {probe.unit: f"{probe.unit}, for: {probe.name}" for probe in reversed(probes)}
    if not told:
        last = [
            k
            for k, unit in enumerate(states.units)
            if unit.layer == states.units[-1].layer and unit.state == "h"
        ]
        moving = sorted(last, key=lambda k: -states.values[:, k].std())[:4]
        told = {states.units[k]: f"{states.units[k]}, of those that move most" for k in moving}
    places: dict[Unit, int] = {unit: k for k, unit in enumerate(states.units)}
    first = states.values[states.rows == 0]
    pictures = []
    for unit, what in reversed(told.items()):
        values = first[:_COLOURED, places[unit]]
        pictures.append(Picture(_text(items[: len(values)], values.tolist()), f"{what}."))
    return pictures


def _text(items: Sequence[str], values: Any) -> str:
    return f"<pre>{coloured(items, values)}</pre>"


def _ordered(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """The units that move most, those alike side by side."""
    chosen = np.argsort(-values.std(0), kind="stable")[:_UNITS]
    centred = values[:, chosen] - values[:, chosen].mean(0)
    scale = np.linalg.norm(centred, axis=0)
    likeness = centred.T @ centred[:, 0] / np.maximum(scale * scale[0], 1e-12)
    return np.asarray(chosen[np.argsort(-likeness, kind="stable")])


def _name_steps(axes: Axes, items: Sequence[str]) -> None:
    if len(items) > _NAMED:
        axes.set_xlabel("step")
        return
    names = [item if item.strip() else repr(item)[1:-1] for item in items]
    turned = 90 if max(map(len, names)) > 2 else 0
    axes.set_xticks(range(len(names)), names, rotation=turned, fontsize=8, parse_math=False)


@contextlib.contextmanager
def letters() -> Iterator[None]:
    """While the body draws, letters that matplotlib's own font lacks come from another one, if there is one."""
    import matplotlib
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    families = [matplotlib.rcParams["font.family"][0], *[name for name in _FONTS if name in known][:1]]
    with matplotlib.rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield

"""One inspection from end to end: measure, tell, write."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from elman.errors import InputError
from elman.inspection.advice import findings
from elman.inspection.examining import examine, summary
from elman.inspection.exploring import View, explore_page
from elman.inspection.history import figure_svg
from elman.inspection.inspected import Inspected
from elman.inspection.looking import Asked, Look
from elman.inspection.moments import (
    SHOWN,
    Moment,
    measured,
    training_figure,
    training_grid,
    training_summary,
)
from elman.inspection.moments import told as told_training
from elman.inspection.pictures import named_figures
from elman.inspection.report import Picture
from elman.inspection.state_pictures import letters
from elman.inspection.telling import Parts, inspection_page, told, unrolled_first
from elman.inspection.watching import tracing
from elman.runfolder import RunFolder, finite, replace

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def inspect(
    inspected: Inspected,
    out: str | Path,
    *,
    title: str,
    records: Sequence[Mapping[str, Any]] = (),
    clip_norm: float = 0.0,
    asked: Asked | None = None,
    beside: Mapping[str, Inspected] | None = None,
    course: Mapping[int, Inspected] | None = None,
    result: int = 0,
) -> tuple[dict[str, Any], str]:
    """Measure a network on some inputs; write inspect.html, explore.html, inspect.json and pictures (PNG, SVG) into a
    new folder.

    Args:
        inspected: of a task.
        out: a folder that is not there yet, or is empty.
        title: of the page.
        records, clip_norm: of the training; see `advice.findings`.
        asked: what attributions are asked about; None: there are none.
        beside: other networks with the same inputs, by name, to step through in explore.html.
        course: the network as it was after so many updates, with the same inputs; result: how many it has now.

    Returns: what was measured and advised, as numbers (inspect.json) and as lines to read.
    """
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already, and nothing is overwritten; choose another folder.")
    inspection = examine(inspected)
    found = findings(inspection, records, clip_norm)
    look = Look.at(inspected, inspection.trace, asked)
    course = {**course, result: inspected} if course else {}
    moments = measured(course, result, records)
    now = View(title, inspected, inspection.trace)
    views = [*_views(beside or {}), now] if beside or not moments else [_view(one, now) for one in moments]
    explored = explore_page(
        f"explore: {title}",
        views,
        look.probes,
        first=next((place for place, one in enumerate(views) if one.trace is now.trace)),
        slider="run" if beside else "moment",
    )
    values = {
        **summary(inspection),
        **look.summary(),
        "training": training_summary(moments),
        "advice": [asdict(finding) for finding in found],
    }
    files = RunFolder.create(folder)
    files.write_json("inspect.json", finite(values))
    pictures = {}
    with letters():
        for name, what, figure in (*named_figures(inspection), *_training(moments), *look.figures()):
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=120)
            figure.set_layout_engine("none")  # it is laid out, and that takes longer than to draw
            pictures[name] = Picture(figure_svg(figure), what)
            replace(folder / f"{name}.png", picture.getvalue())
            replace(folder / f"{name}.svg", pictures[name].svg.encode())
    training: list[Parts] = [("Training", [pictures["training"], training_grid(moments)])] if moments else []
    page = inspection_page(title, inspection, found, pictures, [*training, *look.sections(pictures)])
    replace(folder / "unrolled.svg", unrolled_first(inspection, 6).encode())
    replace(folder / "inspect.html", page.encode())
    replace(folder / "explore.html", explored.encode())
    more = "\n".join([*told_training(moments), *look.told().splitlines()])
    return values, told(inspection, found, more)


def _view(moment: Moment, now: View) -> View:
    """What the page shows of a moment: of the result all that was seen, of another the rows that it was measured on."""
    seen = now if moment.result else moment.inspection
    return View(moment.name, seen.inspected, seen.trace)


def _training(moments: Sequence[Moment]) -> list[tuple[str, str, Figure]]:
    return [("training", SHOWN, training_figure(moments))] if moments else []


def _views(beside: Mapping[str, Inspected]) -> Iterator[View]:
    for name, one in beside.items():
        with torch.no_grad(), tracing(one.network, one.layers, one.stepped) as seen:
            one.read()
        yield View(name, one, seen)

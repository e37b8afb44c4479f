"""The page to explore a network with: every state and gate of every step, and what is answered there, under the mouse.

One file that needs no server and fetches nothing. Numbers are rounded to 1/127 of the largest of their unit, or
of their gate, one byte each.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elman.errors import InputError
from elman.inspection.colouring import apart
from elman.inspection.inspected import Inspected
from elman.inspection.units import Probed, Unit
from elman.inspection.watching import Layer, Trace

_BYTES = 3_300_000  # in a page, of all runs together: of states, gates, and answers, about so many a step:
_TOLD = 200
_ANSWERS = 8  # the likeliest, of each step


@dataclass(frozen=True)
class View:
    """What one network does with the inputs: its name in the page, the inputs, and what was seen."""

    name: str
    inspected: Inspected
    trace: Trace


@dataclass(frozen=True)
class _Channel:
    """One number of every unit of a layer: a state or a gate; call: whose layer it is."""

    call: int
    layer: Layer
    name: str
    meaning: str

    @property
    def state(self) -> bool:
        return self.name in self.layer.cell.state_names

    def values(self) -> NDArray[np.float32]:
        """(B, T, H)."""
        found = self.layer.states(self.name) if self.state else self.layer.gates(self.name)
        return np.asarray(found.float().numpy())


def explore_page(
    title: str,
    views: Sequence[View],
    probes: Sequence[Probed] = (),
    *,
    first: int = -1,
    slider: str = "run",
) -> str:
    """The page as HTML.

    Args:
        title: of the page.
        views: the same inputs under one network or several, such as one at several moments of its training, which the
            page steps through with a slider. Where they have read different numbers of rows, the first of them all.
        probes: units of the view that is shown first, offered to begin with.
        first: which view that is; slider: what the views are.

    Raises: InputError where the views differ in what they read or in the names and sizes of their layers.
    """
    shown = views[first]
    items = list(shown.inspected.items or shown.inspected.steps)
    channels = _channels(shown)
    names = [(c.layer.name, c.name, _units(c)) for c in channels]
    total, known = sum(map(len, items)), len(items)
    for view in views:
        rows = list(view.inspected.items or view.inspected.steps)
        items = items[: len(rows)]
        if rows[: len(items)] != items:
            raise InputError(f"{view.name} reads the input in other steps than {shown.name}.")
        if [(c.layer.name, c.name, _units(c)) for c in _channels(view)] != names:
            raise InputError(f"{view.name} has other layers than {shown.name}.")
    counts = _shown([len(row) for row in items], (_TOLD + sum(map(_units, channels))) * len(views))
    places = {(layer, name): k for k, (layer, name, _) in enumerate(names)}
    chosen = probes[0].unit if probes else Unit(*_liveliest(channels))
    values = {
        "rows": [{"items": list(row[:count])} for row, count in zip(items, counts, strict=False)],
        "words": apart(items),
        "channels": [
            {
                "layer": c.layer.name,
                "name": c.name,
                "told": f"{c.name} ({c.meaning})" if c.meaning else c.name,
                "units": _units(c),
                "state": c.state,
            }
            for c in channels
        ],
        "views": [_view(view, counts) for view in views],
        "first": range(len(views))[first],
        "shares": bool(shown.inspected.answers),
        "said": "what it says" if shown.inspected.answers else shown.inspected.asked,
        "channel": places[chosen.layer, chosen.state],
        "unit": chosen.number,
        "probes": [
            [places[p.unit.layer, p.unit.state], p.unit.number, _told(p)]
            for p in probes
            if (p.unit.layer, p.unit.state) in places
        ],
    }
    summary = f"{sum(counts):,} steps in {len(counts)} {'row' if len(counts) == 1 else 'rows'}"
    if sum(counts) < total:
        summary += f", the first of {total:,} in {known}: as many as fit into a page"
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    page = files("elman.inspection").joinpath("explore.html").read_text(encoding="utf-8")
    for name, part in (
        ("title", escape(title)),
        ("summary", escape(summary)),
        ("slider", escape(slider)),
        ("data", text),
    ):
        page = page.replace(f"%{name}%", part)
    return page


def _channels(view: View) -> list[_Channel]:
    """Of the layers that read the steps, each with as many steps as the inputs have."""
    found = []
    for number, call in enumerate(view.trace.calls):
        lengths = [len(row) for row in view.inspected.read_by(number)]
        for layer in call.layers:
            if layer.lengths.tolist() != lengths:
                continue
            gates = {gate.name: gate.meaning for gate in layer.cell.gates}
            found += [_Channel(number, layer, name, gates.get(name, "")) for name in layer.cell.state_names]
            others = [name for name in gates if name not in layer.cell.state_names]
            found += [_Channel(number, layer, name, gates[name]) for name in others]
    return found


def _units(channel: _Channel) -> int:
    moment = channel.layer.moments[0]
    part: Mapping[str, Any] = moment.states if channel.state else moment.gates
    return int(part[channel.name].shape[1])


def _shown(lengths: Sequence[int], size: int) -> list[int]:
    """How many steps of each row go into the page, at least one."""
    left, counts = max(1, _BYTES // size), []
    for length in lengths:
        counts.append(min(length, left))
        left -= counts[-1]
        if not left:
            break
    return counts


def _liveliest(channels: Sequence[_Channel]) -> tuple[str, str, int]:
    """The unit of the last layer whose h moves most."""
    last = [channel for channel in channels if channel.name == "h"][-1]
    spread = last.values()[last.layer.inside.numpy()].std(0)
    return last.layer.name, last.name, int(spread.argmax())


def _view(view: View, counts: Sequence[int]) -> dict[str, Any]:
    channels = _channels(view)
    arrays = [channel.values() for channel in channels]
    scales = [_scales(channel, array) for channel, array in zip(channels, arrays, strict=True)]
    parts = []
    for row, count in enumerate(counts):
        for channel, array, scale in zip(channels, arrays, scales, strict=True):
            found = _by_item(view.inspected, channel.call, row, array[row])[:count]
            parts.append(np.round(found / scale * 127).astype(np.int8).tobytes())
    return {
        "name": view.name,
        "scales": [[float(f"{number:.4g}") for number in scale] for scale in scales],
        "values": base64.b64encode(b"".join(parts)).decode(),
        "answers": _answers(view.inspected, counts),
    }


def _scales(channel: _Channel, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest of each unit (H,), of a gate one of all (1,)."""
    inside = np.abs(values[channel.layer.inside.numpy()])
    largest = inside.max(0) if channel.state else inside.max(keepdims=True)[0]
    return np.asarray(np.maximum(largest, 1e-6))


def _by_item(inspected: Inspected, call: int, row: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(items, H) of (T, H): what the layers held when they had read each item; 0 for an item they do not read."""
    steps = len(inspected.read_by(call)[row])
    if not inspected.places:
        return values[:steps]
    found = np.zeros((len(inspected.items[row]), values.shape[1]), np.float32)
    found[inspected.places[call][row, :steps].numpy()] = values[:steps]
    return found


def _answers(inspected: Inspected, counts: Sequence[int]) -> list[list[list[tuple[str, float]]]]:
    """Of each row, for every step or once for all, the likeliest answers with their shares, or the numbers said."""
    with torch.inference_mode():
        scores = inspected.read().double().cpu()
    if scores.dim() == 2:
        scores = scores[:, None]
    found = []
    for row, count in enumerate(counts):
        silent = len(inspected.steps[row]) if inspected.written else 0  # it reads, and says nothing yet
        told = scores[row, : max(0, count - silent)]
        if not inspected.answers:
            found.append([[(str(k + 1), round(v, 4)) for k, v in enumerate(one)] for one in told.tolist()])
            continue
        best = told.softmax(-1).topk(min(_ANSWERS, told.shape[-1]))
        found.append(
            [[]] * min(count, silent)
            + [
                [(inspected.answers[k], round(share, 4)) for share, k in zip(shares, numbers, strict=True)]
                for shares, numbers in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
        )
    return found


def _told(probed: Probed) -> str:
    return (
        f"{probed.name}: {probed.unit} is {'high' if probed.sign > 0 else 'low'}, held-out AUC {probed.unit_auc:.3f};"
        f" a direction: {probed.auc:.3f}"
    )

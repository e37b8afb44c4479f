"""The picture of the lessons with real numbers: a net unrolled over the steps of one sequence, as SVG.

Cells stand in a row for each layer and direction, time goes to the right; what a cell hands to the next one stands on
the edge between them, its gates stand inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from elman.inspection.watching import Layer

_UNITS = 2  # of a state or gate that are written out
_LINE = 15  # pixels
_CHARACTER = 6.7
_PAD = 8
_GAP = 34  # between a row and the one above it
_SHIFT = 16  # of a row in reverse to the right, so that what it reads passes beside the row below
_STYLE = (
    "text{font:11px ui-monospace,'Noto Sans Mono CJK KR',monospace;fill:#1c2430}"
    ".cell{fill:#f5f7f9;stroke:#1f5f99;stroke-width:1.3}.back{stroke:#c2571a}"
    ".edge{stroke:#5d6878;stroke-width:1.3;fill:none;marker-end:url(#head)}.soft{fill:#5d6878}"
)


def unrolled(layers: Sequence[Layer], inputs: Sequence[str], *, row: int = 0, steps: int = 4) -> str:
    """An SVG element of the first steps of one row.

    Args:
        layers: of one call of a `Trace`.
        inputs: what the row reads, step by step, as texts.
        row: which row of the batch.
        steps: how many steps are drawn, at most.

    >>> import torch
    >>> from elman.inspection import trace
    >>> from elman.nn import Recurrent
    >>> unrolled(trace(Recurrent("gru", 5, 2), torch.tensor([[0, 3]])).layers, ["h", "e"])[:4]
    '<svg'
    """
    count = min(steps, int(layers[0].lengths[row]))
    box = _CHARACTER * (4 + 6 * _UNITS) + 2 * _PAD
    edge = box + _SHIFT
    across = box + edge
    parts: list[str] = []
    bottom = sum(_height(layer) + _GAP for layer in layers) + _PAD
    for t in range(count):
        x = edge + t * across + box / 2
        parts.append(_text(x, bottom + 2 * _LINE, _short(inputs[t], 20), middle=True))
    top = bottom
    read_from = [bottom + _LINE] * count
    for number, layer in enumerate(layers):
        height = _height(layer)
        top -= height + _GAP
        shift = _SHIFT if layer.reverse else 0
        for t in range(count):
            x = edge + t * across + shift
            parts += _cell(layer, row, t, x, top, box, height)
            beside = x + box - _SHIFT / 2 if layer.reverse else x + box / 2
            parts.append(_arrow(beside, read_from[t], beside, top + height + 1))
        parts += _edges(layer, row, count, edge, shift, across, top)
        above = layers[number + 1] if number + 1 < len(layers) else None
        if above is not None and not above.reverse:
            read_from = [top] * count
    width = edge + count * across + _SHIFT
    height_all = bottom + 3 * _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height_all:.0f}"'
        f' viewBox="0 0 {width:.0f} {height_all:.0f}"><style>{_STYLE}</style><defs><marker id="head" markerWidth="7"'
        ' markerHeight="7" refX="6" refY="3.5" orient="auto"><path d="M0,0 L7,3.5 L0,7 z" fill="#5d6878"/></marker>'
        "</defs>"
        f"{''.join(parts)}</svg>"
    )


def _height(layer: Layer) -> int:
    return (len(_inside(layer)) + 1) * _LINE + 2 * _PAD


def _inside(layer: Layer) -> tuple[str, ...]:
    """The gates that are not themselves a state."""
    return tuple(name for name in layer.cell.gate_names if name not in layer.cell.state_names)


def _cell(layer: Layer, row: int, t: int, x: float, y: float, box: float, height: float) -> list[str]:
    moment = layer.moments[t]
    kind = "cell back" if layer.reverse else "cell"
    name = f"{layer.name[layer.name.rfind('_l') + 1 :]}  t={t + 1}"
    lines = [f"{gate} {_numbers(moment.gates[gate][row].tolist())}" for gate in _inside(layer)]
    return [
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{box:.1f}" height="{height:.1f}" rx="6"/>',
        _text(x + _PAD, y + _PAD + 11, name, soft=True),
        *(_text(x + _PAD, y + _PAD + 11 + _LINE * (k + 1), line) for k, line in enumerate(lines)),
    ]


def _edges(
    layer: Layer, row: int, count: int, edge: float, shift: float, across: float, top: float
) -> list[str]:
    """The states that come into each cell: from the left, or in reverse from the right; and those that leave."""
    y = top + _height(layer) / 2
    parts = []
    for t in range(count + 1):
        left = t * across + shift
        place = t if layer.reverse else t - 1
        inside = 0 <= place < int(layer.lengths[row])
        states = layer.moments[place].states if inside else layer.seen.start
        ends = (left + edge - 1, left + 1) if layer.reverse else (left + 1, left + edge - 1)
        parts.append(_arrow(ends[0], y, ends[1], y))
        for k, name in enumerate(layer.cell.state_names):
            line = f"{name} {_numbers(states[name][row].tolist())}"
            below = k > 0
            parts.append(_text(left + _PAD + _SHIFT, y + (_LINE * k if below else -5), line))
    return parts


def _numbers(values: Sequence[float]) -> str:
    told = " ".join(f"{value:5.2f}" for value in values[:_UNITS])
    return f"{told} …" if len(values) > _UNITS else told


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="edge" d="M{x1:.1f},{y1:.1f} L{x2:.1f},{y2:.1f}"/>'


def _text(x: float, y: float, text: str, *, middle: bool = False, soft: bool = False) -> str:
    how = (' text-anchor="middle"' if middle else "") + (' class="soft"' if soft else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{how} xml:space="preserve">{escape(text)}</text>'


def _short(text: str, most: int) -> str:
    shown = text if text.strip() else repr(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"

"""A text whose steps are coloured by a number each, as HTML: one unit's state, or what each step had to do with an
answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

_ABOVE, _BELOW = "194,87,26", "31,95,153"  # red, green and blue of positive and negative numbers


def coloured(items: Sequence[str], values: Iterable[float], *, largest: float = 0.0) -> str:
    """HTML of the items, each on a ground of its number: orange above 0, blue below, the deeper the larger.

    Args:
        items: texts; values: their numbers, NaN for none.
        largest: the number of the deepest ground; 0: the largest there is.

    >>> coloured(["a", "b"], [0.5, -1.0])
    '<span style="background:rgba(194,87,26,.5)" title="0.5">a</span><span style="background:rgba(31,95,153,1)" title="-1">b</span>'
    """  # noqa: E501
    numbers = list(values)
    largest = largest or max((abs(value) for value in numbers if not math.isnan(value)), default=0.0) or 1.0
    words = apart([items])
    return "".join(
        _span(item, value, largest) + (" " if words else "")
        for item, value in zip(items, numbers, strict=True)
    ).rstrip(" ")


def apart(rows: Sequence[Sequence[str]]) -> bool:
    """Whether items are words, with spaces between them, rather than pieces of a running text."""
    known = [item for row in rows for item in row]
    return any(len(item) > 1 for item in known) and not any(item != item.strip() for item in known)


def _span(item: str, value: float, largest: float) -> str:
    shown = escape(item.replace("\n", "⏎\n") if item.strip(" ") else item)
    if math.isnan(value):
        return f"<span>{shown}</span>"
    share = f"{min(abs(value) / largest, 1):.2f}".rstrip("0").rstrip(".").removeprefix("0") or "0"
    colour = _ABOVE if value > 0 else _BELOW
    return f'<span style="background:rgba({colour},{share})" title="{value:.3g}">{shown}</span>'

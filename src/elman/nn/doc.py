"""Docstrings that take their equation from the cell's own file."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TypeVar

from elman import cells

T = TypeVar("T", bound=type)


def with_equation(cell: str) -> Callable[[T], T]:
    """Put the cell's equation, symbols and source where the class's docstring says `{equation}`."""
    declared, source = cells.get(cell), cells.get(cell).source
    lines = [
        textwrap.indent(declared.equation, "    "),
        "",
        *(f"{symbol}: {meaning}." for symbol, meaning in declared.symbols),
        "",
        f"Source: {source.authors} ({source.year}). {source.title}. {source.link}. Deviation: {source.deviation}.",
    ]
    text = textwrap.indent("\n".join(lines), "    ")

    def document(cls: T) -> T:
        cls.__doc__ = (cls.__doc__ or "").replace("    {equation}", text)
        return cls

    return document

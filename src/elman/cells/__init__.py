"""Cells: what each recurrence is. One file, one equation; every other package reads it from here.

>>> get("lstm").gate_names
('i', 'f', 'g', 'o')
"""

from __future__ import annotations

import importlib
import pkgutil

from elman.cells._ops import Array, BackwardProduct, ByName, Ops, Recurrent
from elman.cells._parameters import Block, Init, Parameter, parameters, suffix
from elman.cells._spec import Backward, Cell, Gate, Layout, Source, State, Step
from elman.errors import InputError, check_choice

__all__ = [
    "Array",
    "Backward",
    "BackwardProduct",
    "Block",
    "ByName",
    "Cell",
    "Gate",
    "Init",
    "Layout",
    "Ops",
    "Parameter",
    "Recurrent",
    "Source",
    "State",
    "Step",
    "get",
    "names",
    "parameters",
    "register",
    "suffix",
]

_CELLS: dict[str, Cell] = {}


def register(cell: Cell) -> Cell:
    """Make a cell known by its name to every layer, task and command; returns it.

    Raises InputError if the name is taken or the first state is not `h`.
    """
    if cell.name in _CELLS:
        raise InputError(f"a cell named {cell.name!r} is registered already; choose another name.")
    if not cell.states or cell.states[0].name != "h":
        raise InputError(f"cell {cell.name!r}: the first state must be named 'h', got {cell.state_names}.")
    _CELLS[cell.name] = cell
    return cell


def get(cell: str | Cell) -> Cell:
    """The cell of that name (a Cell is returned as it is). Raises InputError with the nearest name."""
    return cell if isinstance(cell, Cell) else _CELLS[check_choice("cell", cell, _CELLS)]


def names() -> tuple[str, ...]:
    """Names of all registered cells, in alphabetical order."""
    return tuple(sorted(_CELLS))


for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        for _cell in importlib.import_module(f"{__name__}.{_module.name}").CELLS:
            register(_cell)

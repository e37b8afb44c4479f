"""Laws that every cell and layer must obey, for elman's own tests and for whoever writes a cell."""

from __future__ import annotations

from elman.testing.close import TOLERANCES, Law, Tolerance, assert_close
from elman.testing.laws_cells import check_cell
from elman.testing.laws_layers import check_layer
from elman.testing.toys import LinearOps, Toy, integers, toy

__all__ = [
    "TOLERANCES",
    "Law",
    "LinearOps",
    "Tolerance",
    "Toy",
    "assert_close",
    "check_cell",
    "check_layer",
    "integers",
    "toy",
]

"""Laws that every cell, layer and task must obey, for elman's own tests and for whoever writes one."""

from __future__ import annotations

from elman.testing.close import TOLERANCES, Law, Tolerance, assert_close
from elman.testing.laws_cells import check_cell
from elman.testing.laws_layers import check_layer
from elman.testing.laws_tasks import check_task
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
    "check_task",
    "integers",
    "toy",
]

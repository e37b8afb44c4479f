"""The parameters of one layer and direction as another system stores them, from the cell's declared layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from elman import cells
from elman.cells import Cell

Array = npt.NDArray[Any]


def reordered(array: Array, have: tuple[str, ...], want: tuple[str, ...]) -> Array:
    """The blocks of rows of `array`, one per gate of `have`, in the order of `want`."""
    blocks = dict(zip(have, np.split(array, len(have)), strict=True))
    return np.concatenate([blocks[gate] for gate in want])


def converted(
    cell: str | Cell, system: str, params: dict[str, Array], suffix: str
) -> tuple[Array, Array, Array]:
    """Input weight, recurrent weight and bias of `suffix` (`_l0`, ...) in the layout of `system`."""
    cell = cells.get(cell)
    layout = cell.layouts[system]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    w, u, b, d = (reordered(params[name + suffix], cell.gate_names, layout.gates) for name in names)
    if layout.columns:
        w, u = np.ascontiguousarray(w.T), np.ascontiguousarray(u.T)
    bias = {"one": b + d, "stacked": np.stack([b, d]), "concatenated": np.concatenate([b, d])}[layout.biases]
    return w, u, bias


def restored(
    cell: str | Cell, system: str, grads: tuple[Array, Array, Array], suffix: str
) -> dict[str, Array]:
    """Gradients of the three arrays of `converted` under elman's names."""
    cell = cells.get(cell)
    layout = cell.layouts[system]
    w, u, bias = grads
    if layout.columns:
        w, u = w.T, u.T
    b, d = (bias, bias) if layout.biases == "one" else np.split(bias.reshape(-1), 2)
    named = {"weight_ih": w, "weight_hh": u, "bias_ih": b, "bias_hh": d}
    return {name + suffix: reordered(array, layout.gates, cell.gate_names) for name, array in named.items()}

"""The order of gates in the weights of other systems: `Cell.layouts` says it, this moves the blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.graph import Array


def reorder(stacked: Array, order: Sequence[str], wanted: Sequence[str], axis: int = 0) -> Array:
    """The blocks along an axis, named in their order, in the wanted order of the same names.

    >>> reorder(np.arange(6), ("z", "r", "n"), ("r", "z", "n")).tolist()
    [2, 3, 0, 1, 4, 5]
    """
    blocks = dict(zip(order, np.split(stacked, len(order), axis), strict=True))
    return np.concatenate([blocks[name] for name in wanted], axis)

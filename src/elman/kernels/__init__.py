"""The compiled core on NumPy arrays, and the choice of path. Never imports torch."""

from __future__ import annotations

from elman.kernels.run import Gradients, Prepared, backward, forward
from elman.kernels.stream import Stream
from elman.kernels.support import Explanation, available, explain, supports

__all__ = [
    "Explanation",
    "Gradients",
    "Prepared",
    "Stream",
    "available",
    "backward",
    "explain",
    "forward",
    "supports",
]

"""The reference: forward and back-propagation through time in NumPy, float64, for reading and for checking.

No torch, no compiled code; `layer` is the loop over time, `stack` is depth and direction.
"""

from __future__ import annotations

from elman.reference.layer import Moment
from elman.reference.ops import NumpyOps
from elman.reference.stack import Gradients, Trace, backward, draw, forward

__all__ = ["Gradients", "Moment", "NumpyOps", "Trace", "backward", "draw", "forward"]

"""The nonlinearities of a cell in NumPy, float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class NumpyOps:
    """`elman.cells.Ops` on NumPy arrays. A slope is the derivative, written with the function's own value y."""

    def sigmoid(self, a: Floats) -> Floats:
        """1 / (1 + exp(-a)), by way of tanh so that a large a does not overflow."""
        return 0.5 + 0.5 * np.tanh(0.5 * a)

    def sigmoid_slope(self, y: Floats) -> Floats:
        return y * (1 - y)

    def tanh(self, a: Floats) -> Floats:
        return np.tanh(a)

    def tanh_slope(self, y: Floats) -> Floats:
        return 1 - y * y

    def relu(self, a: Floats) -> Floats:
        return np.maximum(a, 0.0)

    def relu_slope(self, y: Floats) -> Floats:
        return (y > 0).astype(np.float64)

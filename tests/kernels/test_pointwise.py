"""sigmoid and tanh of every instruction set: the error that cpp/simd/math.hpp states, over the whole range."""

from __future__ import annotations

import numpy as np
import pytest

from elman import _core
from tests.kernels.drawing import instruction_set

BOUND = 3.0  # ulp


def _arguments(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if dtype == "float32":
        every = np.arange(0, 2**32, 4999, dtype=np.uint64).astype(np.uint32).view(np.float32)
        ends = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 88.8, -88.8, -103.9, -104.1]
        usual = np.concatenate([np.linspace(-110, 110, 200_001), rng.normal(size=100_000)])
    else:
        every = rng.integers(0, 2**64, 200_000, dtype=np.uint64).view(np.float64)
        ends = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 709.8, -709.8, -745.1, -746.1]
        usual = np.concatenate([np.linspace(-760, 760, 200_001), rng.normal(size=100_000)])
    values = np.concatenate([every, np.array(ends, dtype), usual.astype(dtype)])
    return np.resize(values, (len(values) + 63) // 64 * 64)


def _exact(function: str, x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.longdouble)
    if function == "tanh":
        return np.tanh(wide)
    small = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="needs a long double wider than double")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
@pytest.mark.parametrize("isa", _core.isas())
def test_within_bound(isa: str, function: str, dtype: str) -> None:
    x = _arguments(dtype)
    y = np.full_like(x, np.nan)
    with instruction_set(isa):
        _core.pointwise(function, dtype, x.ctypes.data, y.ctypes.data, len(x))
    nan = np.isnan(x)
    assert np.isnan(y[nan]).all()
    with np.errstate(under="ignore"):
        wanted = _exact(function, x[~nan])
        ulp = np.spacing(np.abs(wanted).astype(dtype)).astype(np.longdouble)
        error = np.abs(y[~nan].astype(np.longdouble) - wanted) / ulp
    assert error.max() <= BOUND, x[~nan][np.argmax(error)]
    if function == "tanh":
        assert np.array_equal(np.signbit(y[~nan]), np.signbit(x[~nan]))

"""What a caller can do wrong is said in one line before any pointer is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elman import kernels, reference
from elman.errors import InputError

PARAMS = reference.draw("lstm", 4, 6, np.random.default_rng(0))
X = np.ones((2, 3, 4))
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "cell": ({"cell": "lstmm"}, "Did you mean 'lstm'"),
    "features": ({"x": np.ones((2, 3, 5))}, r"x has shape \(2, 3, 5\), expected \(batch, time, 4\)"),
    "axes": ({"x": np.ones(4)}, "expected"),
    "symbol": ({"x": np.array([[0, 4]])}, "between 0 and 3; got 0 to 4"),
    "lengths": ({"lengths": [1, 4]}, "between 0 and 3; got 1 to 4"),
    "negative length": ({"lengths": [-1, 2]}, "got -1 to 2"),
    "lengths count": ({"lengths": [1]}, "2 integers"),
    "lengths dtype": ({"lengths": [1.0, 2.0]}, "float64"),
    "state shape": (
        {"state": {"h": np.zeros((1, 2, 5))}},
        r"state\['h'\] has shape \(1, 2, 5\), expected \(1, 2, 6\)",
    ),
    "state name": ({"state": {"m": np.zeros((1, 2, 6))}}, "states"),
    "threads": ({"threads": 0}, "threads"),
    "missing": (
        {"params": {n: a for n, a in PARAMS.items() if n != "weight_hh_l0"}},
        "'weight_hh_l0' is missing",
    ),
    "none": ({"params": {}}, "'weight_ih_l0' is missing"),
    "dtype": ({"params": {n: a.astype(np.float16) for n, a in PARAMS.items()}}, "float16"),
    "mixed": (
        {"params": {**PARAMS, "bias_ih_l0": PARAMS["bias_ih_l0"].astype("f4")}},
        "bias_ih_l0 is float32",
    ),
    "bias": ({"params": {**PARAMS, "bias_ih_l0": np.zeros(23)}}, r"expected float64 of shape \(24,\)"),
    "rows": ({"params": {**PARAMS, "weight_ih_l0": np.zeros((23, 4))}}, "hidden_size"),
    "square": ({"params": {**PARAMS, "weight_hh_l0": np.zeros((24, 5))}}, "without weight_hr_l0"),
    "second": ({"params": {**PARAMS, "weight_ih_l1": np.zeros((24, 6))}}, "'weight_hh_l1' is missing"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_message(name: str) -> None:
    change, message = CHANGES[name]
    arguments: dict[str, Any] = {"cell": "lstm", "params": PARAMS, "x": X, **change}
    with pytest.raises(InputError, match=message):
        kernels.forward(**arguments)


def test_gradient_shape() -> None:
    with pytest.raises(InputError, match="grad_output has shape"):
        kernels.backward("lstm", PARAMS, X, np.ones((2, 3, 7)))


def test_projection_is_for_lstm() -> None:
    params = {**reference.draw("gru", 4, 6, np.random.default_rng(0)), "weight_hr_l0": np.zeros((2, 6))}
    with pytest.raises(InputError, match="gru has no projection"):
        kernels.forward("gru", params, X)


def test_explanations() -> None:
    assert kernels.available()
    assert kernels.supports("gru", "float64")
    assert not kernels.supports("gru", "int8")
    assert "avx" in str(kernels.explain("lstm")) or "portable" in str(kernels.explain("lstm"))
    assert kernels.explain("lstm", steps=1, batch=1, threads=8).threads == 1
    assert kernels.explain("lstm", threads=2).threads == 2

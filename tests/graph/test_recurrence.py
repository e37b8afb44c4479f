"""The loop of one `Recurrent` node: the reference and the compiled core on what both have, and errors.

What it has beside the cells is held to ONNX Runtime and torch in tests/interop/test_onnx_recurrent.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elman import cells, kernels, reference
from elman.errors import InputError
from elman.graph.recurrence import layer

LENGTHS = np.array([6, 0, 3, 1])
SYMBOLS = np.array([[1, 0, 2, 2, 1, 0]] * 4)


def _drawn(cell: str, *, bidirectional: bool = False, proj_size: int = 0) -> tuple[dict[str, Any], list[Any]]:
    rng = np.random.default_rng(5)
    params = reference.draw(cell, 3, 5, rng, bidirectional=bidirectional, proj_size=proj_size)
    suffixes = ("_l0", "_l0_reverse")[: 1 + bidirectional]
    weights = [
        {name.removesuffix(s): array for name, array in params.items() if name.endswith(s)} for s in suffixes
    ]
    return params, weights


@pytest.mark.parametrize("cell", cells.names())
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_is_the_reference(cell: str, bidirectional: bool) -> None:
    rng = np.random.default_rng(0)
    proj_size = 2 if cells.get(cell).projection else 0
    params, weights = _drawn(cell, bidirectional=bidirectional, proj_size=proj_size)
    x = rng.normal(size=(4, 6, 3))
    state = {
        name: rng.normal(size=(len(weights), 4, proj_size or 5 if name == "h" else 5))
        for name in cells.get(cell).state_names
    }
    attributes = {"cell": cell, "direction": "bidirectional" if bidirectional else "forward"}
    expected, final = reference.forward(cell, params, x, state, LENGTHS)
    for extras in ({}, {"clip": 1e9}):
        output, h_n, c_n = layer(x, LENGTHS, state["h"], state.get("c"), weights, attributes | extras)
        np.testing.assert_allclose(output, expected, atol=1e-15)
        np.testing.assert_allclose(h_n, final["h"], atol=1e-15)
        assert (c_n is None) == ("c" not in final)
        if c_n is not None:
            np.testing.assert_allclose(c_n, final["c"], atol=1e-15)


@pytest.mark.parametrize("cell", [name for name in cells.names() if kernels.supports(name, "float32")])
def test_symbols_in_single_precision(cell: str) -> None:
    params, weights = _drawn(cell)
    params = {name: array.astype(np.float32) for name, array in params.items()}
    weights = [{name: array.astype(np.float32) for name, array in weights[0].items()}]
    expected, final = kernels.forward(cell, params, SYMBOLS, None, LENGTHS)
    for extras in ({}, {"clip": 1e9}):
        output, h_n, _ = layer(SYMBOLS, LENGTHS, None, None, weights, {"cell": cell, **extras})
        assert output.dtype == h_n.dtype == np.float32
        np.testing.assert_allclose(output, expected, atol=1e-6)
        np.testing.assert_allclose(h_n, final["h"], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "wave"}, "unknown cell"),
        ({"direction": "up"}, "unknown direction"),
        ({"direction": "bidirectional"}, "1 directions, expected 2"),
        ({"activations": ["Relu"]}, "1 activations"),
        ({"activations": ["Wiggle"] * 2}, "unknown activation"),
        ({"activations": "Relu"}, "activations is a list"),
        ({"activations": ["Relu"] * 2, "alphas": [0.0]}, "1 alphas"),
        ({"clip": 0.0}, "clip is a number above 0"),
        ({"input_forget": 1}, "belong to the cell lstm"),
    ],
)
def test_attributes_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    _, weights = _drawn("gru")
    with pytest.raises(InputError, match=message):
        layer(np.ones((2, 3, 3)), None, None, None, weights, {"cell": "gru"} | changes)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("weight_ih", (15, 4), "weight_ih has shape"),
        ("weight_hh", (15, 4), "weight_hh has shape"),
        ("weight_hh", (14, 5), "has shape"),
        ("bias_ih", (14,), "bias_ih has shape"),
        ("weight_hh", (15,), "expected matrices"),
        ("weight_xx", (15, 5), "expected matrices"),
    ],
)
def test_weights_that_do_not_fit(name: str, shape: tuple[int, ...], message: str) -> None:
    _, weights = _drawn("gru")
    weights[0][name] = np.ones(shape)
    with pytest.raises(InputError, match=message):
        layer(np.ones((2, 3, 3)), None, None, None, weights, {"cell": "gru"})


@pytest.mark.parametrize(
    ("x", "lengths", "h_0", "message"),
    [
        (np.ones((2, 3)), None, None, "integers"),
        (np.array([[0, 3]]), None, None, "symbols from 0 to 3; expected 0 to 2"),
        (np.array([[0, -1]]), None, None, "symbols from -1"),
        (np.ones((2, 3, 3)), np.array([3, 4]), None, "lengths are 2 integers from 0 to 3; got 3 to 4"),
        (np.ones((2, 3, 3)), np.array([3]), None, "of shape"),
        (np.ones((2, 3, 3)), None, np.ones((1, 3, 5)), "h_0 has shape"),
    ],
)
def test_inputs_that_do_not_fit(x: np.ndarray, lengths: Any, h_0: Any, message: str) -> None:
    _, weights = _drawn("gru")
    with pytest.raises(InputError, match=message):
        layer(x, lengths, h_0, None, weights, {"cell": "gru"})

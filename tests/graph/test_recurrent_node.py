"""`Recurrent` in a program: the reference on every cell, direction and dtype; the compiled core and the loop agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from elman import cells, reference
from elman.errors import InputError
from elman.graph import Program, Value, run
from elman.reference.stack import reverse_rows
from elman.testing.close import assert_close

from .graphs import layer, recurrent_weights

LENGTHS = np.array([6, 0, 3, 1])
X = np.random.default_rng(0).normal(size=(4, 6, 3))
SYMBOLS = np.array([[1, 0, 2, 2, 1, 0]] * 4)
DIRECTIONS = ("forward", "reverse", "bidirectional")
EXTRAS = ({}, {"clip": 1e9})
"""Without and with an attribute that changes nothing but the path: with it, the loop over time is NumPy's."""


def expected(cell: str, weights: list[dict[str, Any]], x: Any, h_0: Any, direction: str) -> dict[str, Any]:
    """By the reference, which has no reverse direction alone: there the rows are turned round."""
    params = {
        stem + suffix: array
        for w, suffix in zip(weights, ("_l0", "_l0_reverse"), strict=False)
        for stem, array in w.items()
    }
    reverse = direction == "reverse"
    x = np.eye(3)[x] if x.ndim == 2 else x
    state = None if h_0 is None else {"h": h_0}
    output, final = reference.forward(
        cell, params, reverse_rows(x, LENGTHS) if reverse else x, state, LENGTHS
    )
    return {
        "output": reverse_rows(output, LENGTHS) if reverse else output,
        **{f"{name}_n": array for name, array in final.items()},
    }


@pytest.mark.parametrize("cell", cells.names())
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_reference(cell: str, direction: str, dtype: str) -> None:
    both = direction == "bidirectional"
    proj_size = 2 if cells.get(cell).projection else 0
    weights = recurrent_weights(cell, dtype, bidirectional=both, proj_size=proj_size)
    h_0 = np.random.default_rng(3).normal(size=(1 + both, 4, proj_size or 5)).astype(dtype)
    for x, state, extras in [(X, h_0, e) for e in EXTRAS] + [(X, None, {}), (SYMBOLS, h_0, {})]:
        graph = layer(cell, weights, symbols=x.ndim == 2, dtype=dtype, direction=direction, **extras)
        x = x if x.ndim == 2 else x.astype(dtype)
        found = run(graph, {"x": x, "lengths": LENGTHS, **({} if state is None else {"h_0": state})})
        wanted = expected(cell, weights, x, state, direction)
        assert set(found) == set(wanted)
        for name, array in found.items():
            assert array.dtype == dtype
            assert_close("reference", array, wanted[name], name)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize(("batch", "steps"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_to_read(direction: str, extras: dict[str, Any], batch: int, steps: int) -> None:
    both = direction == "bidirectional"
    graph = layer("lstm", recurrent_weights("lstm", bidirectional=both), direction=direction, **extras)
    h_0 = np.ones((1 + both, batch, 5), np.float32)
    given = {"x": np.zeros((batch, steps, 3), np.float32), "lengths": np.zeros(batch, np.int64), "h_0": h_0}
    found = run(graph, given)
    assert found["output"].shape == (batch, steps, 5 * (1 + both))
    np.testing.assert_array_equal(found["h_n"], h_0)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_rows_do_not_depend_on_their_company(direction: str) -> None:
    both = direction == "bidirectional"
    graph = layer("gru", recurrent_weights("gru", bidirectional=both), direction=direction)
    program, x = Program(graph), X.astype(np.float32)
    whole = program({"x": x, "lengths": LENGTHS})
    for row, length in enumerate(LENGTHS):
        alone = program({"x": x[row : row + 1, :length], "lengths": [length]})
        assert_close("split", alone["output"][0], whole["output"][row, :length], "output")
        assert_close("split", alone["h_n"][:, 0], whole["h_n"][:, row], "h_n")


def test_weights_that_are_inputs() -> None:
    """Weights that no one knows before the run: the layer is made in it."""
    known = layer("gru", recurrent_weights("gru"))
    moved = {"0.weight_hh": known.weights["0.weight_hh"]}
    free = replace(
        known,
        inputs=(*known.inputs, Value("0.weight_hh", "float32", (15, 5))),
        weights={n: a for n, a in known.weights.items() if n not in moved},
    )
    given = {"x": X.astype(np.float32), "lengths": LENGTHS}
    np.testing.assert_array_equal(run(free, given | moved)["output"], run(known, given)["output"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": SYMBOLS + 1}, "symbols must lie between 0 and 2"),
        ({"lengths": np.array([7, 0, 0, 0])}, "lengths must lie between 0 and 6"),
        ({"lengths": np.array([-1, 0, 0, 0])}, "lengths must lie between 0 and 6"),
    ],
)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_bad_values(change: dict[str, Any], message: str, direction: str) -> None:
    weights = recurrent_weights("gru", bidirectional=direction == "bidirectional")
    graph = layer("gru", weights, symbols=True, direction=direction)
    with pytest.raises(InputError, match=rf"Recurrent that writes 'output_0'.*{message}"):
        run(graph, {"x": SYMBOLS, "lengths": LENGTHS} | change)


@pytest.mark.parametrize(
    ("stem", "shape", "dtype"),
    [
        ("weight_hh", (15, 4), "float32"),
        ("weight_ih", (14, 3), "float32"),
        ("bias_ih", (14,), "float32"),
        ("bias_hh", (15,), "float64"),
        ("weight_ih", (15, 3), "int64"),
    ],
)
@pytest.mark.parametrize("extras", EXTRAS)
def test_weights_that_do_not_fit(
    stem: str, shape: tuple[int, ...], dtype: str, extras: dict[str, Any]
) -> None:
    weights = recurrent_weights("gru")
    weights[0][stem] = np.zeros(shape, dtype)
    with pytest.raises(InputError, match="Recurrent that writes 'output_0'"):
        run(layer("gru", weights, **extras), {"x": X.astype(np.float32), "lengths": LENGTHS})


def test_another_dtype_than_the_weights() -> None:
    graph = layer("gru", recurrent_weights("gru", "float64"), dtype="float32")
    with pytest.raises(InputError, match="x is float32, but the weights are float64"):
        run(graph, {"x": X.astype(np.float32), "lengths": LENGTHS})

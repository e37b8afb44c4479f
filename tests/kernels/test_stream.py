"""A stream of steps equals the whole sequence; its smaller weights are those it says it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elman import _core, kernels, reference
from elman.errors import InputError
from elman.testing.close import assert_close
from tests.kernels.drawing import instruction_set

CELLS = _core.cells()
rng = np.random.default_rng


def _draw(cell: str, dtype: str = "float64", proj_size: int = 0, sizes: tuple[int, int] = (9, 21)) -> Any:
    drawn = reference.draw(cell, *sizes, rng(0), num_layers=2, proj_size=proj_size)
    return {n: a.astype(dtype) for n, a in drawn.items()}


@pytest.mark.parametrize("proj_size", [0, 5])
@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("cell", CELLS)
def test_steps_equal_the_whole(cell: str, isa: str, proj_size: int) -> None:
    if proj_size and cell != "lstm":
        pytest.skip("only LSTM has a projection")
    params, x = _draw(cell, proj_size=proj_size), rng(1).normal(size=(1, 8, 9))
    whole, last = reference.forward(cell, params, x)
    with instruction_set(isa):
        stream = kernels.Stream(cell, params)
        for t in range(8):
            assert_close("reference", stream.step(x[0, t]), whole[0, t], f"step {t}")
        for n, a in stream.state.items():
            assert_close("reference", a, last[n], n)


@pytest.mark.parametrize("cell", CELLS)
def test_many_sequences_in_any_order(cell: str) -> None:
    params, states, steps = _draw(cell), 120, 5
    x = rng(1).normal(size=(states, steps, 9))
    lengths = rng(2).integers(0, steps + 1, states)
    whole, last = kernels.forward(cell, params, x, lengths=lengths)
    stream = kernels.Stream(cell, params, states=states)
    for t in range(steps):
        rows = rng(t).permutation(np.flatnonzero(lengths > t))
        assert_close("split", stream.step_many(x[rows, t], rows), whole[rows, t], f"step {t}")
    for n, a in stream.state.items():
        assert_close("split", a, last[n], n)


@pytest.mark.parametrize("cell", CELLS)
def test_symbols(cell: str) -> None:
    params, symbols = _draw(cell), rng(1).integers(0, 9, (3, 6))
    whole, _ = kernels.forward(cell, params, symbols)
    stream = kernels.Stream(cell, params, states=3, symbols=True)
    for t in range(6):
        assert_close("split", stream.step_many(symbols[:, t]), whole[:, t], f"step {t}")
    stream.reset()
    for t in range(6):
        assert_close("split", stream.step(symbols[0, t]), whole[0, t], f"step {t}")


@pytest.mark.parametrize("storage", ["bfloat16", "int8"])
@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("cell", CELLS)
def test_stored_weights_are_the_rounded_ones(cell: str, isa: str, storage: Any) -> None:
    params = _draw(cell, "float32", sizes=(33, 70))
    rounded = {n: _rounded(a, storage) if a.ndim == 2 else a for n, a in params.items()}
    x = rng(1).normal(size=(60, 4, 33)).astype(np.float32)
    whole, _ = kernels.forward(cell, rounded, x)
    exact, _ = kernels.forward(cell, params, x)
    with instruction_set(isa):
        stream = kernels.Stream(cell, params, states=60, storage=storage)
        for t in range(4):
            assert_close("reference", stream.step_many(x[:, t]), whole[:, t], f"step {t}")
        assert 1e-5 < np.abs(whole - exact).max() < 0.1
        stream.reset()
        one = np.array([stream.step(x[0, t]).copy() for t in range(4)])
    assert_close("reference", one, whole[0], "one row")


def _rounded(weight: Any, storage: str) -> Any:
    if storage == "bfloat16":
        bits = weight.view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    largest = np.abs(weight).max(1, keepdims=True)
    steps = weight * (np.float32(127) / largest)
    return (np.trunc(steps + np.copysign(np.float32(0.5), steps)) * (largest / 127)).astype(np.float32)


def test_state_is_a_copy_and_can_be_set() -> None:
    params, x = _draw("lstm"), rng(1).normal(size=(4, 9))
    stream = kernels.Stream("lstm", params, states=3)
    stream.step(x[0])
    saved = stream.state
    first = stream.step(x[1]).copy()
    assert not np.array_equal(saved["h"], stream.state["h"])
    stream.state = saved
    assert np.array_equal(stream.step(x[1]), first)
    stream.reset([0])
    assert not stream.state["c"][:, 0].any()


def test_single_step_allocates_nothing() -> None:
    stream, x = kernels.Stream("gru", _draw("gru")), np.ones(9)
    assert stream.step(x) is stream.step(x)


def test_weights_are_copied() -> None:
    params, x = _draw("gru"), np.ones(9)
    kept, stream = kernels.Stream("gru", params), kernels.Stream("gru", params)
    for array in params.values():
        array.fill(np.nan)
    assert np.array_equal(kept.step(x), stream.step(x))
    assert not np.isnan(kept.step(x)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.Stream("gru", _draw("gru"), states=0), "at least 1"),
        (lambda: kernels.Stream("gru", _draw("gru"), storage="int8"), "float32"),
        (lambda: kernels.Stream("gru", _draw("gru"), storage="int4"), "storage"),
        (
            lambda: kernels.Stream("gru", reference.draw("gru", 2, 3, rng(0), bidirectional=True)),
            "two directions",
        ),
        (lambda: kernels.Stream("gru", _draw("gru")).step(np.ones(8)), "8 features, expected 9"),
        (lambda: kernels.Stream("gru", _draw("gru"), symbols=True).step(9), "between 0 and 8"),
        (lambda: kernels.Stream("gru", _draw("gru"), symbols=True).step(0.5), "integers"),
        (
            lambda: kernels.Stream("gru", _draw("gru"), states=3).step_many(np.ones((2, 9)), [1, 1]),
            "different",
        ),
        (
            lambda: kernels.Stream("gru", _draw("gru"), states=3).step_many(np.ones((2, 9)), [1, 3]),
            "between 0 and 2",
        ),
        (lambda: kernels.Stream("gru", _draw("gru"), states=3).step_many(np.ones((4, 9))), "between 0 and 2"),
        (lambda: setattr(kernels.Stream("lstm", _draw("lstm")), "state", {"h": 0}), "states are"),
        (lambda: setattr(kernels.Stream("gru", _draw("gru")), "state", {"h": np.ones((1, 1, 21))}), "shape"),
    ],
)
def test_messages(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

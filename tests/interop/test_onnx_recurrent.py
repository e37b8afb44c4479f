"""RNN, LSTM and GRU of ONNX, in and out, with every attribute and optional input, against ONNX Runtime and torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from elman import graph as graphs
from elman.errors import InputError
from elman.graph import Graph
from elman.interop.onnx import read, write

from .onnx_models import Arrays, Case, by_runtime, by_torch, draw, expected, given, model

CASES = 360
CLOSE = 1e-6


def _read(case: Case, folder: Path) -> Graph:
    onnx.save(model(case), str(folder / "case.onnx"))
    return read(folder / "case.onnx")


def _assert_close(found: Arrays, wanted: Arrays) -> None:
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_allclose(found[name], array, rtol=CLOSE, atol=CLOSE, err_msg=name)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_node_in_and_out(seed: int, tmp_path: Path) -> None:
    case = draw(seed)
    wanted = expected(case)
    graph = _read(case, tmp_path)
    _assert_close(graphs.run(graph, given(case)), wanted)
    if case.weights["W"].dtype == np.float64:
        with pytest.raises(InputError, match="float64"):
            write(graph, tmp_path / "out.onnx")
        return
    write(graph, tmp_path / "out.onnx")
    _assert_close(by_runtime(str(tmp_path / "out.onnx"), given(case)), wanted)
    _assert_close(graphs.run(read(tmp_path / "out.onnx"), given(case)), wanted)


def test_the_cases_have_everything() -> None:
    cases = [draw(seed) for seed in range(CASES)]
    for op in ("RNN", "LSTM", "GRU"):
        of_op = [case for case in cases if case.op == op]
        attributes = {name for case in of_op for name in case.attributes}
        optional = {name for case in of_op for name in (*case.given, *case.weights)}
        schema = onnx.defs.get_schema(op, 17)
        assert attributes == set(schema.attributes)
        assert optional == {value.name for value in schema.inputs}


@pytest.mark.parametrize("seed", range(0, CASES, 12))
def test_the_oracles_agree(seed: int) -> None:
    case = draw(seed)
    if case.weights["W"].dtype == np.float32:
        found = by_torch(case)
        for name, array in by_runtime(model(case), case.given).items() if not case.layout else ():
            np.testing.assert_allclose(found[name], array, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("seed", range(9))
def test_a_row_of_no_steps(seed: int, tmp_path: Path) -> None:
    """Its output is zero in both; its final state is zero in ONNX Runtime, and what it began with in elman."""
    case = next(
        c
        for c in map(draw, range(seed, CASES, 9))
        if c.given["X"].shape[1] > 1 and not c.layout and _single(c)
    )
    directions, batch, hidden = len(case.weights["R"]), case.given["X"].shape[1], case.weights["R"].shape[2]
    lengths = np.full(batch, len(case.given["X"]), np.int32)
    lengths[0] = 0
    start = {
        name: np.full((directions, batch, hidden), 0.25, np.float32) for name in ("initial_h", "initial_c")
    }
    start = {"initial_h": start["initial_h"]} if case.op != "LSTM" else start
    case = replace(case, given={"X": case.given["X"], "sequence_lens": lengths, **start})
    found, theirs = graphs.run(_read(case, tmp_path), case.given), by_runtime(model(case), case.given)
    np.testing.assert_allclose(found["Y"], theirs["Y"], rtol=CLOSE, atol=CLOSE)
    assert not found["Y"][:, :, 0].any()
    for name in case.wanted[1:]:
        np.testing.assert_allclose(found[name][:, 1:], theirs[name][:, 1:], rtol=CLOSE, atol=CLOSE)
        assert (found[name][:, 0] == 0.25).all()
        assert not theirs[name][:, 0].any()


def _single(case: Case) -> bool:
    return case.weights["W"].dtype == np.float32


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    case = next(c for c in map(draw, range(CASES)) if _single(c) and {"B", "P"} <= set(c.weights))
    path = tmp_path / "case.onnx"
    onnx.save(model(case), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size >= sum(array.nbytes for array in case.weights.values())
    _assert_close(graphs.run(read(path), given(case)), expected(case))

"""The compiled layer against the reference: every cell, dtype, instruction set and number of threads."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from elman import _core, cells, kernels, reference
from elman.testing.close import assert_close
from tests.kernels.drawing import Case, instruction_set

CELLS, ISAS, DTYPES = _core.cells(), _core.isas(), ("float64", "float32")


@pytest.mark.parametrize(("isa", "cell", "dtype"), list(itertools.product(ISAS, CELLS, DTYPES)))
def test_equals_reference(isa: str, cell: str, dtype: str) -> None:
    rng = np.random.default_rng([ISAS.index(isa), CELLS.index(cell)])
    with instruction_set(isa):
        for _ in range(12):
            Case.draw(cell, rng).check(dtype)


@pytest.mark.parametrize("cell", CELLS)
def test_float64_is_within_1e_12(cell: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(6):
        case = Case.draw(cell, rng)
        wanted = case.expected()
        for name, array in case.run("float64").items():
            if array is not None:
                scale = max(1.0, float(np.abs(wanted[name]).max(initial=0.0)))
                assert np.abs(array - wanted[name]).max(initial=0.0) <= 1e-12 * scale, name


@pytest.mark.parametrize("cell", CELLS)
def test_large_layer(cell: str) -> None:
    Case.draw(cell, np.random.default_rng(8), largest=700, steps=4).check("float32", threads=2)


@pytest.mark.parametrize(("cell", "dtype"), list(itertools.product(CELLS, DTYPES)))
def test_threads_give_identical_bits(cell: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(6):
        case = Case.draw(cell, rng)
        alone = case.run(dtype, threads=1)
        for threads in (-2, -3):  # negative: exactly so many, however small the work
            for name, array in case.run(dtype, threads).items():
                assert np.array_equal(array, alone[name]), (name, threads)


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
@pytest.mark.parametrize("cell", CELLS)
def test_whole_equals_stepped_equals_chunked(cell: str, batch: int) -> None:
    rng = np.random.default_rng(1)
    params, x = reference.draw(cell, 9, 21, rng), rng.normal(size=(batch, 7, 9))
    whole, last = kernels.forward(cell, params, x)
    for cuts in ([1] * 7, [3, 4]):
        state: Any = None
        pieces = []
        for begin, length in zip(np.cumsum([0, *cuts[:-1]]), cuts, strict=True):
            piece, state = kernels.forward(cell, params, x[:, begin : begin + length], state)
            pieces.append(piece)
        assert_close("split", np.concatenate(pieces, axis=1), whole, "output")
        assert_close("split", state["h"], last["h"], "state")


@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_never_read(cell: str) -> None:
    rng = np.random.default_rng(2)
    params = reference.draw(cell, 5, 18, rng, bidirectional=True)
    x, lengths = rng.normal(size=(6, 9, 5)), np.array([9, 0, 3, 1, 9, 4])
    padded = x.copy()
    for row, length in enumerate(lengths):
        padded[row, length:] = np.nan
    grad = rng.normal(size=(6, 9, 36))
    clean, dirty = (kernels.backward(cell, params, v, grad, None, None, lengths) for v in (x, padded))
    assert np.array_equal(clean.x, dirty.x)
    assert all(np.array_equal(clean.params[n], dirty.params[n]) for n in params)
    assert not np.isnan(clean.x).any()
    assert not clean.x[1].any()


@pytest.mark.parametrize("cell", CELLS)
def test_reads_x_through_its_strides(cell: str) -> None:
    rng = np.random.default_rng(2)
    params = reference.draw(cell, 5, 18, rng)
    time_major = rng.normal(size=(9, 6, 5))
    views = (
        time_major.transpose(1, 0, 2),
        rng.normal(size=(6, 18, 7))[:, ::2, 1:6],
        time_major[::-1, ::-1].swapaxes(0, 1),
    )
    for view in views:
        assert not view.flags.c_contiguous
        output, _ = kernels.forward(cell, params, view)
        again, _ = kernels.forward(cell, params, np.ascontiguousarray(view))
        assert_close("split", output, again, "output")


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_to_do(cell: str) -> None:
    params = reference.draw(cell, 5, 18, np.random.default_rng(0))
    for shape in ((3, 0, 5), (0, 4, 5)):
        output, state = kernels.forward(cell, params, np.zeros(shape))
        assert output.shape == (*shape[:2], 18)
        assert not state["h"].any()
        grads = kernels.backward(cell, params, np.zeros(shape), np.zeros(output.shape))
        assert not any(g.any() for g in grads.params.values())
    grads = kernels.backward(cell, params, np.ones((3, 4, 5)), np.ones((3, 4, 18)), lengths=[0, 0, 0])
    assert not any(g.any() for g in grads.params.values())
    assert not grads.x.any()


@pytest.mark.parametrize("cell", CELLS)
def test_counts_equal_the_declaration(cell: str) -> None:
    declared = cells.get(cell)
    assert _core.cell_info(cell) == (len(declared.gates), len(declared.states))


def test_many_threads_at_once() -> None:
    cases = [Case.draw(cell, np.random.default_rng(7)) for cell in CELLS]
    wanted = [case.run("float32") for case in cases]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: cases[n % 5].run("float32", threads=-2), range(40)))
    for n, result in enumerate(found):
        for name, array in result.items():
            assert np.array_equal(array, wanted[n % 5][name]), name


FORK = """
import os
import numpy as np
from elman import kernels, reference
params = reference.draw("gru", 8, 32, np.random.default_rng(0))
x = np.ones((16, 5, 8))
before, _ = kernels.forward("gru", params, x, threads=-2)
child = os.fork()
after, _ = kernels.forward("gru", params, x, threads=-2)
if child == 0:
    os._exit(0 if np.array_equal(before, after) else 1)
assert os.waitpid(child, 0)[1] == 0
assert np.array_equal(before, after)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_after_use() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=60)


def test_elman_isa_forces_a_path() -> None:
    command = [sys.executable, "-c", "from elman import _core; print(_core.isa())"]
    for isa in ISAS:
        found = subprocess.run(
            command, env={**os.environ, "ELMAN_ISA": isa}, check=True, capture_output=True, text=True
        )
        assert found.stdout.strip() == isa
    wrong = subprocess.run(
        command, env={**os.environ, "ELMAN_ISA": "z80"}, capture_output=True, text=True, check=False
    )
    assert "choose one of" in wrong.stderr


def test_memory_stays_flat() -> None:
    resource = pytest.importorskip("resource")
    rng = np.random.default_rng(0)
    sizes = [(int(b), int(t), int(h)) for b, t, h in rng.integers(1, 20, (40, 3))]
    weights = {
        h: {n: a.astype(np.float32) for n, a in reference.draw("lstm", 3, h, rng).items()}
        for _, _, h in sizes
    }

    def once() -> None:
        for batch, steps, hidden in sizes:
            x = np.ones((batch, steps, 3), np.float32)
            kernels.backward("lstm", weights[hidden], x, np.ones((batch, steps, hidden)))

    once()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50):
        once()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024  # KiB

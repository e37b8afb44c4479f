"""bfloat16 through the compiled core: products of rounded operands, sums, gates and states in float32."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from elman import _core, kernels, nn
from elman.nn import paths
from tests.kernels.drawing import Case, instruction_set, narrow_products

CELLS, ISAS = _core.cells(), _core.isas()
SMOOTH = [
    cell for cell in CELLS if cell != "rnn_relu"
]  # at a kink of relu a rounded sum has another derivative
FULL = 16  # rows from which products are rounded, where the processor has the unit

needs_unit = pytest.mark.skipif(not _core.narrow(), reason="this processor has no unit for bfloat16 products")


def _rounded(values: Any) -> Any:
    """To 8 significant bits, ties to even."""
    return torch.from_numpy(np.asarray(values)).bfloat16().double().numpy()


def _draw(cell: str, rng: np.random.Generator, **size: int) -> Case:
    """A case whose parameters and inputs are bfloat16 numbers."""
    case = Case.draw(cell, rng, **size)
    case.params = {n: _rounded(a) for n, a in case.params.items()}
    case.x = _rounded(case.x)
    case.given = case.x if case.given.ndim == 3 else case.given
    return case


def _draw_integers(rng: np.random.Generator, largest: int) -> Case:
    """relu with one weight of 1 or -1 in each row, no more in a column of a recurrent matrix, and few steps: small
    integers, which bfloat16 holds exactly, at every step forward and backward."""
    case = Case.draw("rnn_relu", rng, largest=largest, steps=5)
    few = lambda shape: rng.integers(-2, 3, shape).astype(np.float64)  # noqa: E731
    for name, array in case.params.items():
        if array.ndim == 1:
            case.params[name] = rng.integers(-1, 2, array.shape).astype(np.float64)
            continue
        rows, columns = array.shape
        column = np.resize(rng.permutation(columns), rows)
        case.params[name] = np.zeros_like(array)
        case.params[name][np.arange(rows), column] = rng.choice([-1.0, 1.0], rows)
    if case.given.ndim == 3:
        case.x = case.given = few(case.x.shape)
    case.grad_output = few(case.grad_output.shape)
    case.state, case.grad_state = (
        {n: few(a.shape) for n, a in s.items()} for s in (case.state, case.grad_state)
    )
    return case


def _equal(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(np.array_equal(a, wanted[n]) for n, a in found.items())


@pytest.mark.parametrize(("isa", "cell"), list(itertools.product(ISAS, SMOOTH)))
def test_equals_reference_within_rounding(isa: str, cell: str) -> None:
    rng = np.random.default_rng([ISAS.index(isa), CELLS.index(cell)])
    with instruction_set(isa), narrow_products():
        for _ in range(12):
            _draw(cell, rng).check("float32", law="narrow")


@pytest.mark.parametrize(("isa", "largest"), list(itertools.product(ISAS, (3, 70, 700))))
def test_small_integers_are_exact(isa: str, largest: int) -> None:
    rng = np.random.default_rng([ISAS.index(isa), largest])
    with instruction_set(isa), narrow_products():
        for _ in range(15 if largest < 700 else 4):
            _draw_integers(rng, largest).check("float32", law="exact")


@pytest.mark.parametrize("cell", SMOOTH)
def test_large_layer(cell: str) -> None:
    with narrow_products():
        _draw(cell, np.random.default_rng(8), largest=700, steps=4).check("float32", -2, "narrow")


@pytest.mark.parametrize(("isa", "cell"), list(itertools.product(ISAS, SMOOTH)))
def test_products_are_rounded_only_where_it_pays(isa: str, cell: str) -> None:
    rng = np.random.default_rng(4)
    with instruction_set(isa):
        for _ in range(8):
            case = Case.draw(cell, rng)
            plain = case.run("float32")
            with narrow_products():
                rounds = not _equal(case.run("float32"), plain)
            assert rounds == (_core.narrow() and len(case.x) >= FULL)


@pytest.mark.parametrize("cell", CELLS)
def test_threads_give_identical_bits(cell: str) -> None:
    rng = np.random.default_rng(3)
    with narrow_products():
        for _ in range(6):
            case = Case.draw(cell, rng)
            alone = case.run("float32")
            for threads in (-2, -3):  # negative: exactly so many, however small the work
                assert _equal(case.run("float32", threads), alone)


@pytest.mark.parametrize("cell", CELLS)
def test_memory_used_before_does_not_show(cell: str) -> None:
    """The same bits in fresh memory and in memory full of NaN, past the ends of rows too."""
    rng = np.random.default_rng(6)
    with narrow_products():
        cases = [Case.draw(cell, rng, largest=50) for _ in range(4)]
        wanted = [case.run("float32") for case in cases]
        for case, clean in zip(cases, wanted, strict=True):
            spoilt = Case.draw(cell, np.random.default_rng(7), largest=70)
            spoilt.params = {n: np.full_like(a, np.nan) for n, a in spoilt.params.items()}
            spoilt.x = spoilt.given = np.full(spoilt.x.shape, np.nan)
            assert np.isnan(spoilt.run("float32")["output"]).any()
            assert _equal(case.run("float32"), clean)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_never_read(cell: str) -> None:
    case = Case.draw(cell, np.random.default_rng(2))
    batch, steps = case.x.shape[:2]
    case.given = case.x
    case.lengths = np.arange(batch) % (steps + 1)
    with narrow_products():
        clean = case.run("float32")
        case.given = np.where(np.arange(steps)[:, None] < case.lengths[:, None, None], case.x, np.nan)
        assert _equal(case.run("float32"), clean)
    assert not clean["output"][case.lengths == 0].any()


def test_many_threads_at_once_beside_products_of_torch() -> None:
    """torch sets the same unit up in its own way, in the same threads."""
    cases = [Case.draw(cell, np.random.default_rng(13)) for cell in CELLS]
    left, right = torch.randn(70, 90).bfloat16(), torch.randn(90, 50).bfloat16()
    product = left @ right
    with narrow_products():
        wanted = [case.run("float32") for case in cases]

        def both(n: int) -> bool:
            before, found = left @ right, cases[n % 5].run("float32", threads=-2)
            return (
                _equal(found, wanted[n % 5])
                and torch.equal(before, product)
                and torch.equal(left @ right, product)
            )

        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(both, range(60)))


FORK = """
import os, sys
import numpy as np
import torch
from elman import nn
torch.manual_seed(0)
layer, x = nn.LSTM(8, 32, dtype=torch.bfloat16), torch.ones(5, 40, 8).bfloat16()
before = layer(x)[0]
child = os.fork()
same = torch.equal(layer(x)[0], before)
if child == 0:
    os._exit(0 if same else 1)
assert os.waitpid(child, 0)[1] == 0
assert same
"""

# No permission to use the unit, as in some containers: the system call that asks for it fails.
REFUSED = """
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
arch_prctl, refuse, allow = 158, 0x00050001, 0x7FFF0000
program = struct.pack("HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, arch_prctl, 0x06, 0, 0, refuse, 0x06, 0, 0, allow)
memory = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(memory)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter, 0, 0):
    sys.exit(77)
import numpy as np
from elman import _core
from tests.kernels.drawing import Case, narrow_products
case = Case.draw("lstm", np.random.default_rng(13))
assert len(case.x) >= 16 and not _core.narrow()
plain = case.run("float32")
with narrow_products():
    assert all(np.array_equal(a, plain[n]) for n, a in case.run("float32").items())
"""


@needs_unit
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("script", [FORK, REFUSED], ids=["fork", "refused"])
def test_in_another_process(script: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, timeout=120, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this system lets no process refuse itself system calls")
    assert done.returncode == 0, done.stderr


def _gradients(layer: torch.nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    x = x.clone().requires_grad_()
    output = layer(x)[0]
    rng = torch.Generator().manual_seed(1)
    output.backward(torch.randn(output.shape, generator=rng).to(output.dtype))
    return {"output": output.detach(), "x": x.grad, **{n: p.grad for n, p in layer.named_parameters()}}


@pytest.mark.parametrize("batch", [3, 16, 37])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layers_return_their_dtype(kind: str, batch: int) -> None:
    """Relative error of each array below 2^-6: operands and results carry 8 significant bits."""
    torch.manual_seed(0)
    narrow = getattr(nn, kind)(23, 70, dtype=torch.bfloat16)
    wide = getattr(nn, kind)(23, 70)
    wide.load_state_dict(narrow.state_dict())
    x = torch.randn(9, batch, 23).bfloat16()
    found, wanted = _gradients(narrow, x), _gradients(wide, x.float())
    for name, exact in wanted.items():
        assert found[name].dtype is torch.bfloat16
        error = (found[name].float() - exact).norm() / exact.norm()
        assert 0 < error < 2**-6, (name, float(error))


def test_the_path_says_so() -> None:
    layer, x = nn.GRU(4, 5, dtype=torch.bfloat16), torch.randn(3, 2, 4).bfloat16()
    weights = list(layer.parameters())
    assert paths.choose("gru", x, None, None, weights, None) is paths.NATIVE
    assert "float32 sums" in kernels.explain("gru", "bfloat16").reason or not _core.narrow()
    assert "more exact" in kernels.explain("gru", "bfloat16", batch=1).reason


@pytest.mark.parametrize("batch", [3, 20])
def test_compiled_program_gives_the_same_bits(batch: int) -> None:
    torch.manual_seed(0)
    layer, x = nn.LSTM(6, 19, dtype=torch.bfloat16), torch.randn(5, batch, 6).bfloat16()
    wanted = _gradients(layer, x)
    layer.zero_grad()
    for name, array in _gradients(torch.compile(layer, backend="aot_eager"), x).items():
        assert array.dtype is torch.bfloat16
        assert torch.equal(array, wanted[name.removeprefix("_orig_mod.")]), name

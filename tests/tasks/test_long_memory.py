"""The generated problems are what their papers say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from elman.data.sequences import read_npz


@pytest.fixture(scope="module")
def program() -> ModuleType:
    path = Path(__file__).parents[2] / "examples/long_memory.py"
    spec = importlib.util.spec_from_file_location("long_memory", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_adding(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "adding.npz"
    monkeypatch.setattr("sys.argv", f"x adding --length 21 --rows 4000 --seed 3 --out {out}".split())
    program.main()
    rows, y = read_npz(out)
    x = np.stack(rows)
    assert x.shape == (4000, 21, 2)
    marks = x[:, :, 1] == 1
    assert (marks[:, :10].sum(1) == 1).all()
    assert (marks[:, 10:].sum(1) == 1).all()
    np.testing.assert_allclose(y, x[:, :, 0][marks].reshape(4000, 2).sum(1), rtol=1e-6)
    assert np.var(y or []) == pytest.approx(1 / 6, rel=0.1)
    assert (program.adding(21, 5, 3)[0] == program.adding(21, 5, 3)[0]).all()
    assert (program.adding(21, 5, 3)[0] != program.adding(21, 5, 4)[0]).any()


def test_copy(program: ModuleType) -> None:
    sequences = program.copy(7, 3, 0).removesuffix("\n").split("\n\n")
    assert len(sequences) == 3
    for sequence in sequences:
        symbols, tags = zip(*(line.split("\t") for line in sequence.split("\n")), strict=True)
        assert len(symbols) == 10 + 7 + 10
        assert symbols[:10] == tags[-10:]
        assert set(symbols[:10]) <= set("abcdefgh")
        assert symbols[17] == "?"
        assert set(symbols[10:17]) == set(symbols[18:]) == set(tags[:17]) == {"-"}

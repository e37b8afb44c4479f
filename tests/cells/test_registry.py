"""The registry of cells and what each cell must declare."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

from elman import InputError, cells, reference


def test_unknown_cell_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown cell 'lstn'\. Did you mean 'lstm'\?"):
        cells.get("lstn")


def test_a_name_is_registered_once_and_the_first_state_is_h() -> None:
    with pytest.raises(InputError, match="'gru' is registered already"):
        cells.register(cells.get("gru"))
    other = dataclasses.replace(cells.get("gru"), name="other", states=(cells.State("c", "not h"),))
    with pytest.raises(InputError, match="first state must be named 'h'"):
        cells.register(other)


@pytest.mark.parametrize("cell", cells.names())
def test_declaration_is_whole_and_agrees_with_the_step(cell: str) -> None:
    spec = cells.get(cell)
    for gate in spec.gates:
        assert f"{gate.name}_t = {gate.activation}(" in spec.equation
    for state in spec.states:
        assert f"{state.name}_t = " in spec.equation
    params = reference.draw(cell, 2, 3, np.random.default_rng(0))
    _, final, trace = reference.forward(cell, params, np.ones((1, 2, 2)), return_gates=True)
    assert tuple(final) == spec.state_names
    assert set(trace["_l0"][0].kept) == {*spec.gate_names, *spec.intermediates}
    for layout in spec.layouts.values():
        assert sorted(layout.gates) == sorted(spec.gate_names)
    assert spec.source.link.startswith("https://")


def test_every_file_of_cells_declares_cells() -> None:
    for module in pkgutil.iter_modules(cells.__path__):
        if not module.name.startswith("_"):
            assert importlib.import_module(f"elman.cells.{module.name}").CELLS


def test_import_elman_and_its_light_packages_without_torch() -> None:
    light = "elman, elman.cells, elman.reference, elman.data, elman.kernels, elman.runfolder"
    code = f"import sys, {light}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

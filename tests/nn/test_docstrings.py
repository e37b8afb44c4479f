"""The examples in the docstrings run, and the equation is there."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch

import elman.nn
import elman.testing
from elman import cells

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (elman.nn, elman.testing)
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"torch": torch})
    assert result.failed == 0


@pytest.mark.parametrize(
    ("kind", "cell"),
    [(k, k.removesuffix("Cell").lower()) for k in elman.nn.__all__ if k[:3] in ("RNN", "LST", "GRU")],
)
def test_equation_comes_from_the_cell(kind, cell):
    text = getattr(elman.nn, kind).__doc__
    for line in cells.get(cell).equation.splitlines():
        assert line in text

"""The laws of a layer, for every cell, on every path that has it."""

from __future__ import annotations

import pytest
import torch

from elman import cells
from elman.nn import native, vendor
from elman.testing import laws_layers

CASES = [(name, path) for name in cells.names() for path in ("eager", "operator")]
CASES += [(name, "torch") for name in vendor.KERNELS]
CASES += [(name, None) for name in cells.names() if native.supports(name, torch.float64)]


@pytest.mark.parametrize("law", laws_layers.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(("name", "path"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_layer(name, path, dtype, law):
    law(name, path, dtype)

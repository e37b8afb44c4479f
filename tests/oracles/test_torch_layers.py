"""The drop-ins against torch.nn over random configurations, on the chosen path and on the others."""

from __future__ import annotations

import pytest
import torch

from elman.nn import paths
from elman.testing import assert_close
from oracles.configurations import draw, flat, gradients

PATHS = {"chosen": None, "eager": paths.TEXT, "operator": paths.COMPILED}


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Whatever path a call would choose, take this one."""
    forced = PATHS[request.param]
    if forced is not None:
        monkeypatch.setattr(paths, "choose", lambda *_: forced)
    return request.param


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("block", range(12))
def test_equals_torch(block, path):
    for seed in range(50 * block, 50 * block + 50):
        configuration = draw(seed)
        theirs, ours = configuration.layers()
        assert list(theirs.state_dict()) == list(ours.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(theirs.parameters(), ours.parameters(), strict=True))
        x, state, leaves = configuration.inputs()
        wanted, found = theirs(x, state), ours(x, state)
        for n, (a, b) in enumerate(zip(flat(found), flat(wanted), strict=True)):
            assert a.dtype == b.dtype
            assert_close("torch", a, b, f"{configuration}: result {n}")
        wanted = gradients(wanted, leaves + list(theirs.parameters()), seed)
        found = gradients(found, leaves + list(ours.parameters()), seed)
        # A saturated gate's derivative, 1 - n^2, is a small difference whose rounding is multiplied by the input.
        scale = max(float(t.detach().abs().max()) for t in [*wanted, *leaves])
        for n, (a, b) in enumerate(zip(found, wanted, strict=True)):
            assert_close("torch", a, b, f"{configuration}: gradient {n}", scale)

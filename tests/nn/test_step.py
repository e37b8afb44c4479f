"""RNNCell, LSTMCell, GRUCell against torch.nn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import elman.nn
from elman.testing import assert_close

CASES = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]


def pair(kind, **options):
    made = []
    for module in (nn, elman.nn):
        torch.manual_seed(0)
        made.append(getattr(module, kind)(5, 7, **options))
    return made


def tensors(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("axes", [(), (3,), (1,)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize(("kind", "options"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equals_torch(kind, options, axes, bias, with_state, dtype):
    theirs, ours = pair(kind, bias=bias, dtype=dtype, **options)
    assert repr(theirs) == repr(ours)
    assert all(torch.equal(a, b) for a, b in zip(theirs.parameters(), ours.parameters(), strict=True))
    x = torch.randn(*axes, 5, dtype=dtype, requires_grad=True)
    h, c = (torch.randn(*axes, 7, dtype=dtype, requires_grad=True) for _ in range(2))
    state = None if not with_state else (h, c) if kind == "LSTMCell" else h
    leaves = [x] if not with_state else [x, h, c] if kind == "LSTMCell" else [x, h]
    results, slopes = [], []
    for layer in (theirs, ours):
        result = tensors(layer(x, state))
        loss = sum((n + 1) * t.square().sum() for n, t in enumerate(result))
        results.append(result)
        slopes.append(torch.autograd.grad(loss, [*leaves, *layer.parameters()]))
    for n, (a, b) in enumerate(zip(results[1], results[0], strict=True)):
        assert_close("torch", a, b, f"result {n}")
    for n, (a, b) in enumerate(zip(slopes[1], slopes[0], strict=True)):
        assert_close("torch", a, b, f"gradient {n}")


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_calls_are_refused_as_by_torch(kind):
    theirs, ours = pair(kind)

    def state(*shape):
        return (torch.zeros(shape), torch.zeros(shape)) if kind == "LSTMCell" else torch.zeros(shape)

    for x, h in [
        (torch.zeros(2, 3, 5), None),
        (torch.zeros(3, 9), None),
        (torch.zeros(3, 5), state(4, 7)),
        (torch.zeros(3, 5), state(3, 9)),
        (torch.zeros(3, 5), state(3, 1, 7)),
    ]:
        errors = []
        for layer in (theirs, ours):
            with pytest.raises((ValueError, RuntimeError)) as caught:
                layer(x, h)
            errors.append(caught.value)
        assert type(errors[0]) is type(errors[1])
        assert str(errors[1]).startswith(str(errors[0]))


def test_unknown_nonlinearity():
    cell = elman.nn.RNNCell(5, 7, nonlinearity="sine")
    with pytest.raises(RuntimeError, match="Unknown nonlinearity: sine"):
        cell(torch.zeros(3, 5))


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_steps_make_the_layer(kind):
    """A loop over the cell equals the layer with the same weights, and keeps its second derivative."""
    _, cell = pair(kind, dtype=torch.float64)
    layer = getattr(elman.nn, kind.removesuffix("Cell"))(5, 7, dtype=torch.float64)
    layer.load_state_dict({f"{name}_l0": p for name, p in cell.state_dict().items()})
    x, state, outputs = torch.randn(6, 2, 5, dtype=torch.float64), None, []
    for step in x:
        state = cell(step, state)
        outputs.append(tensors(state)[0])
    assert_close("split", torch.stack(outputs), layer(x)[0], kind)
    one = x[0].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda v: tensors(cell(v))[0], (one,))

"""Dropout between layers, the same at every step where asked, and on the recurrent weights."""

from __future__ import annotations

import pytest
import torch

from elman.errors import InputError
from elman.nn import Recurrent, paths
from elman.nn.dropout import Dropout


def test_shares_and_scale() -> None:
    torch.manual_seed(0)
    x = torch.ones(40, 30, 50)
    for variational in (False, True):
        dropped = Dropout(0.3, variational)(x)
        assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
        torch.testing.assert_close(dropped[dropped != 0].unique(), torch.tensor([1 / 0.7]))
        same = bool((dropped == dropped[:, :1]).all())
        assert same is variational
        rows_differ = bool((dropped[0] != dropped[1]).any())
        assert rows_differ


@pytest.mark.parametrize("make", [lambda: Dropout(0.5, True), lambda: Dropout(0.0)])
def test_nothing_is_dropped_in_evaluation_or_at_zero(make) -> None:
    layer, x = make(), torch.randn(2, 3, 4)
    assert layer.eval()(x) is x


def _constant(**dropout: float | bool) -> Recurrent:
    """Two layers that pass a constant on, so that what was dropped between them shows."""
    layer = Recurrent("rnn", 16, 16, num_layers=2, bias=False, **dropout)
    with torch.no_grad():
        for n in range(2):
            layer.get_parameter(f"weight_ih_l{n}").copy_(torch.eye(16))
            layer.get_parameter(f"weight_hh_l{n}").zero_()
    return layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("path", [paths.NATIVE, paths.TEXT], ids=["native", "eager"])
def test_variational_masks_stay_over_time(path: paths.Path, dtype: torch.dtype, monkeypatch) -> None:
    monkeypatch.setattr(paths, "choose", lambda *_: path)
    torch.manual_seed(0)
    x = torch.ones(3, 9, 16, dtype=dtype)
    stays, _ = _constant(dropout=0.5, variational=True).to(dtype)(x)
    assert bool((stays == stays[:, :1]).all())
    assert bool((stays == 0).any())
    changes, _ = _constant(dropout=0.5).to(dtype)(x)
    assert not bool((changes == changes[:, :1]).all())


def test_recurrent_weights_are_dropped_for_a_call() -> None:
    torch.manual_seed(0)
    layer = Recurrent("gru", 4, 32, recurrent_dropout=0.4)
    before = layer.weight_hh_l0.clone()
    x = torch.randn(2, 5, 4)
    first, second = layer(x)[0], layer(x)[0]
    assert not torch.equal(first, second)
    assert torch.equal(first[:, 0], second[:, 0])  # nothing recurs at the first step
    first.sum().backward()
    dropped = (layer.weight_hh_l0.grad == 0).float().mean().item()
    assert dropped == pytest.approx(0.4, abs=0.05)
    assert torch.equal(layer.weight_hh_l0, before)
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


def test_words_that_do_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="give dropout too"):
        Recurrent("gru", 4, 4, num_layers=2, variational=True)
    with pytest.raises(InputError, match="recurrent_dropout is below 1"):
        Recurrent("gru", 4, 4, recurrent_dropout=1.0)

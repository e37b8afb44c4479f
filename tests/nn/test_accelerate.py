"""accelerate: in place, everything around the layers stays."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

import elman
import elman.nn
from elman.testing import assert_close


class Model(nn.Module):
    """Layers in every kind of container, one of them in two places, with a hook."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.first = nn.LSTM(6, 6, batch_first=True)
        self.stack = nn.ModuleList([nn.GRU(6, 6, batch_first=True), nn.RNN(6, 6, batch_first=True)])
        self.again = self.first
        self.calls = 0
        self.first.register_forward_hook(self.count)

    def count(self, *_):
        self.calls += 1

    def forward(self, symbols):
        x = self.embed(symbols)
        for layer in (self.first, *self.stack, self.again):
            x, _ = layer(x)
        return x


def test_in_place_and_equal():
    torch.manual_seed(0)
    model, symbols = Model(), torch.randint(11, (3, 8))
    before, parameters = model(symbols), list(model.parameters())
    summary = elman.accelerate(model)
    assert summary.replaced == {"first": "LSTM", "stack.0": "GRU", "stack.1": "RNN"}
    assert summary.refused == {}
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert model.again is model.first
    assert type(model.first) is elman.nn.LSTM
    model.calls = 0
    assert_close("torch", model(symbols), before, "accelerated")
    assert model.calls == 2
    assert elman.accelerate(model).replaced == {}
    assert "stack.0: elman.nn.GRU" in str(summary)


def test_the_model_itself():
    layer = nn.GRU(3, 4)
    assert elman.accelerate(layer).replaced == {"": "GRU"}
    assert type(layer) is elman.nn.GRU
    assert str(elman.accelerate(nn.Linear(2, 3))) == "no recurrent layer found"


class Own(nn.LSTM):
    """A layer with code of its own, which must survive."""

    def forward(self, x, hx=None):
        output, state = super().forward(x, hx)
        return 2 * output, state


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_refused_with_a_reason():
    parametrised = nn.GRU(3, 4)
    nn.utils.parametrizations.weight_norm(parametrised, "weight_hh_l0")
    quantised = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(3, 4)), {nn.LSTM})[0]
    model = nn.ModuleDict({"own": Own(3, 4), "parametrised": parametrised, "quantised": quantised})
    summary = elman.accelerate(model)
    assert summary.replaced == {}
    assert "subclass, Own" in summary.refused["own"]
    assert "parametrised" in summary.refused["parametrised"]
    assert "quantised" in summary.refused["quantised"]
    assert type(model["own"]) is Own


@pytest.mark.parametrize("training", [True, False])
def test_the_speedup_on_a_sample_is_told_and_leaves_nothing(training: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["elman.nn.accelerate"], "_SECONDS", 0.0)
    model, symbols = Model().train(training), torch.randint(11, (3, 8))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    summary = elman.accelerate(model, symbols)
    assert summary.speedup is not None
    assert 0.001 < summary.speedup < 1000
    assert "times as fast on the sample" in str(summary)
    assert type(model.first) is elman.nn.LSTM
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert elman.accelerate(nn.Linear(2, 2), torch.ones(1, 2)).speedup is None

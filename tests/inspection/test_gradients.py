"""Gradients through time beside finite differences, torch's autograd and known eigenvalues."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from elman import cells, reference
from elman.inspection import jacobian, through_time, trace
from elman.inspection.gradients import state_gradients
from elman.inspection.reach import Reach
from elman.nn import Recurrent

STEPS = 6


def layers(cell: str, **options: Any) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(cell, 3, 4, **options).double().eval()


def _from(layer: Recurrent, x: np.ndarray, start: int, state: dict[str, np.ndarray]) -> float:
    """Sum of squares of the last output, read on by NumPy from a state before step `start`."""
    params = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    output, _ = reference.forward(layer.cell, params, x[:, start:], state)
    return float((output[:, -1] ** 2).sum())


@pytest.mark.parametrize("cell", cells.names())
@pytest.mark.parametrize("name", ["h", "c"])
def test_gradients_are_finite_differences(cell: str, name: str) -> None:
    """d loss_t / d state_{t-k}, where what comes after is read on by the reference from a state that was moved."""
    if name not in cells.get(cell).state_names:
        return
    layer, x = layers(cell), torch.randn(1, STEPS, 3, dtype=torch.float64)
    seen = trace(layer, x)
    loss = seen.output[0][:, -1].square().sum(1)
    (found,) = state_gradients(loss, seen.layers, state=name)
    moments, step = seen.layers[0].moments, 1e-5
    for t in range(STEPS - 1):
        states = {n: moments[t].states[n].detach().numpy()[None] for n in cells.get(cell).state_names}
        slope = np.zeros(4)
        for unit in range(4):
            ends = []
            for sign in (1, -1):
                moved = {n: value.copy() for n, value in states.items()}
                moved[name][0, 0, unit] += sign * step
                if name == "c":  # h_t is made of c_t: it moves along
                    gate = moments[t].gates["o"].detach().numpy()
                    moved["h"] = (gate * np.tanh(moved["c"][0]))[None]
                ends.append(_from(layer, x.numpy(), t + 1, moved))
            slope[unit] = (ends[0] - ends[1]) / (2 * step)
        assert found[0, t] == pytest.approx(float(np.linalg.norm(slope)), abs=1e-8), t


def test_gradients_are_torchs_own() -> None:
    """The same numbers from torch.nn.LSTM, cut in two where the state is taken."""
    layer, x = layers("lstm"), torch.randn(2, STEPS, 3, dtype=torch.float64)
    torchs = torch.nn.LSTM(3, 4, batch_first=True).double()
    torchs.load_state_dict(layer.state_dict())
    seen = trace(layer, x)
    (found,) = state_gradients(seen.output[0][:, -1].square().sum(1), seen.layers)
    for t in range(STEPS - 1):
        _, (h, c) = torchs(x[:, : t + 1])
        h = h.detach().requires_grad_()
        output, _ = torchs(x[:, t + 1 :], (h, c.detach()))
        (wanted,) = torch.autograd.grad(output[:, -1].square().sum(), h)
        np.testing.assert_allclose(found[:, t], wanted[0].norm(dim=1), rtol=0, atol=1e-8)


def test_lags_are_counted_from_each_rows_own_end() -> None:
    """Of ragged rows, deep and in both directions, each alone gives what it gives in the batch."""
    layer, x = layers("gru", num_layers=2, bidirectional=True), torch.randn(2, 9, 3, dtype=torch.float64)
    lengths = torch.tensor([9, 5])
    seen = trace(layer, x, lengths=lengths)
    together = through_time(seen.output[0].sum((1, 2)), seen.layers)
    alone = []
    for row in (0, 1):
        one = trace(layer, x[row : row + 1, : lengths[row]])
        alone.append(through_time(one.output[0].sum((1, 2)), one.layers))
    for number, reach in enumerate(together):
        first, second = (alone[row][number].strength for row in (0, 1))
        np.testing.assert_allclose(reach.strength[:5], (first[:5] + second) / 2, atol=1e-12)
        np.testing.assert_allclose(reach.strength[5:], first[5:], atol=1e-12)
    ends = [torch.tensor([3, 3])] * 4
    moved = through_time(seen.output[0][:, 3].sum(1), seen.layers, ends)
    assert [reach.seen for reach in moved] == [3, 5, 3, 5]


def test_a_step_says_nothing_of_what_comes_after_it() -> None:
    layer, x = layers("rnn"), torch.randn(2, 8, 3, dtype=torch.float64)
    seen = trace(layer, x)
    (found,) = state_gradients(seen.output[0].sum(2), seen.layers, torch.tensor([2, 5]))
    assert (found[0] > 0).tolist() == [t <= 2 for t in range(8)]
    assert (found[1] > 0).tolist() == [t <= 5 for t in range(8)]


def test_a_linear_network_shows_its_eigenvalues() -> None:
    """Rectified units that are all positive: d h_t / d h_{t-1} is the recurrent matrix itself."""
    values = np.array([0.9, 0.5, 0.25])
    turn, _ = np.linalg.qr(np.random.default_rng(0).random((3, 3)) + 1)
    weight = turn @ np.diag(values) @ turn.T
    layer = Recurrent("rnn_relu", 1, 3, bias=True).double()
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.from_numpy(weight))
        layer.weight_ih_l0.fill_(0.1)
        layer.bias_ih_l0.fill_(50.0)
        layer.bias_hh_l0.zero_()
    seen = trace(layer, torch.rand(1, 60, 1, dtype=torch.float64))
    found = jacobian(seen.layers[0], 0, 20)
    np.testing.assert_allclose(found, weight, atol=1e-12)
    np.testing.assert_allclose(sorted(np.abs(np.linalg.eigvals(found)))[::-1], values, atol=1e-12)
    # a loss along the first eigenvector: its gradient falls by that eigenvalue with every step
    loss = (seen.output[0][:, -1] * torch.from_numpy(turn[:, 0].copy())).sum(1)
    (reach,) = through_time(loss, seen.layers)
    np.testing.assert_allclose(reach.strength, 0.9 ** np.arange(60), atol=1e-12)
    assert reach.factor == pytest.approx(0.9)
    assert reach.length(0.01) == math.floor(math.log(0.01) / math.log(0.9))


@pytest.mark.parametrize("cell", cells.names())
def test_jacobian_is_that_of_one_step_of_all_states(cell: str) -> None:
    layer, x = layers(cell, bidirectional=True), torch.randn(2, 5, 3, dtype=torch.float64)
    seen = trace(layer, x, lengths=[5, 4])
    names, params = cells.get(cell).state_names, dict(layer.named_parameters())
    for each, row, step, before in (
        (seen.layers[0], 0, 2, 1),
        (seen.layers[1], 1, 2, 3),
        (seen.layers[1], 1, 3, None),
    ):
        suffix = "_l0_reverse" if each.reverse else "_l0"
        given = {
            n.removesuffix(suffix) + "_l0": p.detach().numpy()
            for n, p in params.items()
            if n.endswith(suffix)
        }
        states = each.seen.start if before is None else each.moments[before].states
        start = torch.cat([states[n][row] for n in names]).detach().numpy()
        columns = []
        for unit in range(len(start)):
            ends = []
            for sign in (1, -1):
                moved = start.copy()
                moved[unit] += sign * 1e-5
                parts = {
                    n: part[None, None] for n, part in zip(names, np.split(moved, len(names)), strict=True)
                }
                _, final = reference.forward(cell, given, x[row : row + 1, step : step + 1].numpy(), parts)
                ends.append(np.concatenate([final[n][0, 0] for n in names]))
            columns.append((ends[0] - ends[1]) / 2e-5)
        np.testing.assert_allclose(jacobian(each, row, step), np.stack(columns, 1), atol=1e-8)


def test_reach() -> None:
    reach = Reach(np.array([2.0, 1.0, 0.5, 0.25, 0.01, math.nan]))
    assert (reach.length(0.01), reach.length(0.1), reach.length(0.6), reach.seen) == (3, 3, 0, 4)
    assert Reach(0.8 ** np.arange(9)).factor == pytest.approx(0.8)
    assert math.isnan(Reach(np.ones(2)).factor)
    assert (Reach(np.zeros(5)).length(), Reach(np.zeros(0)).seen) == (0, 0)

"""The network of a forecaster: its simple forecasts are exact where they should be, its laws are laws."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from elman.nn import Recurrent
from elman.nn.forecaster import Anchors, ForecastNetwork, Member, Output, Smoothing, Window
from elman.tasks import _forecast_law as law_of

LEVELS = [0.1, 0.25, 0.5, 0.75, 0.9]
PERIODS, HORIZON, STEPS, CONTEXT = (4,), 6, 24, 10


def _network(output: Output = "quantiles", horizon: int = HORIZON, members: int = 2) -> ForecastNetwork:
    torch.manual_seed(0)
    read, ahead = Member.sizes(PERIODS, 3, 2)
    made = [
        Member(
            Recurrent("gru", read, 5), Recurrent("gru", ahead, 5), periods=PERIODS, horizon=horizon, output=output,
            levels=LEVELS, dropout=0.0, variational=False,
        )
        for _ in range(members)
    ]  # fmt: skip
    network = ForecastNetwork(made, LEVELS)
    for member in made:
        torch.nn.init.normal_(member.head.weight, std=0.3)
    return network.eval()


def _window(rows: int = 3, horizon: int = HORIZON, values: Tensor | None = None) -> Window:
    torch.manual_seed(1)
    if values is None:
        values = torch.randn(rows, STEPS).cumsum(1)
        values = values - values[:, -1:]
    one = torch.ones(rows, STEPS)
    return Window(
        values, one, one, torch.randn(rows, CONTEXT, 3), torch.randn(rows, horizon, 2), torch.randn(rows, horizon),
        torch.ones(rows, horizon), torch.zeros(rows),
    )  # fmt: skip


def _arrays(window: Window) -> dict[str, np.ndarray]:
    return {field.name: getattr(window, field.name).numpy() for field in fields(window)}


def _quantiles(network: ForecastNetwork, window: Window) -> np.ndarray:
    return law_of.quantiles(network, _arrays(window), network.output, LEVELS)


def _simulated(network: ForecastNetwork, window: Window, paths: int) -> np.ndarray:
    return law_of.simulated(network, _arrays(window), network.output, LEVELS, paths=paths)


@pytest.mark.parametrize("period", [1, 4])
def test_smoothing_carries_a_line_and_a_season_on_exactly(period: int) -> None:
    season = torch.tensor([3.0, -1.0, 0.0, -2.0])[:period].double()
    season = season - season.mean()
    time = torch.arange(STEPS + HORIZON).double()
    series = (0.7 * time + season[torch.arange(STEPS + HORIZON) % period]).unsqueeze(0)
    smoothing = Smoothing(period, HORIZON).double()
    with torch.no_grad():
        smoothing.rates[3] = 100.0  # damping 1
    forecast, adjusted = smoothing(series[:, :STEPS], torch.ones(1, STEPS).double())
    assert torch.allclose(forecast, series[:, STEPS:], atol=1e-9)
    line = 0.7 * (time[:STEPS] - time[STEPS - 1]) + 0.7 * (STEPS - 1 - time[:STEPS])
    assert torch.allclose(adjusted, line.unsqueeze(0), atol=1e-9)


def test_anchors_by_hand() -> None:
    values = torch.arange(8.0).unsqueeze(0) ** 2
    values = values - values[:, -1:]
    found, _ = Anchors((4,), 5)(values, torch.ones(1, 8))
    last = values[0, 4:]
    rise = last.mean() - values[0, :4].mean()
    assert found.shape == (1, 5, 5)
    assert found[0, :, 0].tolist() == [0] * 5
    assert found[0, :, 2].tolist() == [*last.tolist(), last[0].item()]
    assert torch.allclose(found[0, :, 3], torch.cat([last + rise, last[:1] + 2 * rise]))


def test_before_learning_the_location_is_the_mean_of_the_anchors() -> None:
    network = _network(members=1)
    member = network._members()[0]
    torch.nn.init.zeros_(member.head.weight)
    window = _window()
    anchors, _ = member.anchors(window.values, window.begun)
    assert torch.allclose(member(window).location, anchors.mean(-1), atol=1e-5)


def test_trust_goes_to_the_anchor_that_is_right() -> None:
    network = _network(members=1)
    member = network._members()[0]
    torch.nn.init.zeros_(member.head.weight)
    window = _window(rows=20)
    again = window.values[:, -4:][:, torch.arange(HORIZON) % 4]
    network.trust(replace(window, targets=again + 0.01 * torch.randn(again.shape)))
    assert (member(window).location - again).abs().mean() < 0.01
    assert (member(window).spread < 0.1).all()


def test_what_was_before_the_series_began_changes_nothing() -> None:
    network, window = _network(), _window()
    begun = torch.ones(3, STEPS)
    begun[:, :9] = 0
    inputs = window.inputs.clone()
    late = replace(window, begun=begun, known=begun, inputs=inputs)
    other = replace(late, values=torch.where(begun > 0, window.values, torch.tensor(0.5)))
    filled = replace(late, values=torch.where(begun > 0, window.values, window.values[:, 9:10]))
    assert np.allclose(_quantiles(network, other)[..., 2], _quantiles(network, filled)[..., 2], atol=1e-5)


def test_a_target_that_is_not_wanted_counts_nothing() -> None:
    network, window = _network(), _window()
    wanted = torch.ones(3, HORIZON)
    wanted[1, 2:] = 0
    some = replace(window, wanted=wanted)
    wild = replace(some, targets=torch.where(wanted > 0, window.targets, torch.tensor(1e6)))
    assert network.loss(some)[1] == 3 * HORIZON - 4
    assert network.loss(some)[0].item() == network.loss(wild)[0].item() != network.loss(window)[0].item()


def test_every_part_of_a_window_is_read() -> None:
    """Values, inputs, what is known ahead: each changes the forecast; the last value most surely."""
    network, window = _network(), _window()
    before = _quantiles(network, window)
    for name in ("values", "inputs", "ahead"):
        part = getattr(window, name).clone()
        part[..., -1] += 1.0
        changed = _quantiles(network, replace(window, **{name: part}))
        assert np.abs(changed - before).max() > 1e-3, name


@pytest.mark.parametrize("output", ["quantiles", "normal", "student-t"])
def test_quantiles_increase_and_the_middle_is_the_location(output: Output) -> None:
    network, window = _network(output, members=1), _window()
    quantiles = _quantiles(network, window)
    assert (np.diff(quantiles, axis=-1) > 0).all()
    assert np.allclose(quantiles[..., 2], network._members()[0](window).location.detach(), atol=1e-6)


def test_losses_are_those_of_torch() -> None:
    window = _window()
    for output in ("normal", "student-t", "point"):
        network = _network(output, members=1)  # type: ignore[arg-type]
        law = network._members()[0](window)
        error, spread = (window.targets - law.location) / law.size, law.spread / law.size
        if output == "normal":
            expected = -torch.distributions.Normal(0, spread).log_prob(error)
        elif output == "student-t":
            expected = -torch.distributions.StudentT(2 + law.shape[..., 0], 0, spread).log_prob(error)
        else:
            expected = error.abs()
        assert torch.allclose(network.loss(window)[0], expected.sum(), rtol=1e-5)


def test_pinball_loss_by_hand() -> None:
    network, window = _network(members=1), _window(rows=1)
    size = network._members()[0](window).size.item()
    total = 0.0
    for step in range(HORIZON):
        for level, value in zip(LEVELS, _quantiles(network, window)[0, step], strict=True):
            error = (window.targets[0, step].item() - value) / size
            total += 2 * (level * error if error > 0 else (level - 1) * error) / len(LEVELS)
    assert network.loss(window)[0].item() == pytest.approx(total, rel=1e-4)


def test_members_are_averaged() -> None:
    network, window = _network(), _window()
    alone = [_quantiles(ForecastNetwork([member], LEVELS), window) for member in network._members()]
    assert np.allclose(_quantiles(network, window), np.mean(alone, axis=0))
    assert not np.allclose(alone[0], alone[1])


def test_one_simulated_step_has_the_law_of_the_step() -> None:
    network = _network(horizon=1)
    window = _window(horizon=1)
    assert np.allclose(_simulated(network, window, 4000), _quantiles(network, window), atol=0.02)


def test_simulation_feeds_back_what_was_drawn() -> None:
    """With next to no spread, several steps are one step taken several times by hand."""
    network = _network(horizon=1)
    for member in network._members():
        member.widths.data.fill_(-0.8)
        member.head.weight.data[member.anchors.count + 1].zero_()
    window = _window(horizon=3)
    found = _simulated(network, window, 5)[..., 2]
    now, level = replace(window, ahead=window.ahead[:, :1]), np.zeros(3)
    for step in range(3):
        now = replace(now, ahead=window.ahead[:, step : step + 1])
        value = _quantiles(network, now)[:, 0, 2]
        level = level + value
        assert np.allclose(found[:, step], level, atol=0.02)
        value = torch.tensor(value, dtype=torch.float32).unsqueeze(1)
        inputs = torch.cat([now.inputs[:, 1:], torch.cat([now.ahead, now.inputs[:, -1:, 2:]], -1)], 1)
        now = replace(now, values=torch.cat([now.values[:, 1:], value], 1) - value, inputs=inputs)


def test_rows_stand_alone() -> None:
    network, window = _network(horizon=1), _window(horizon=3)
    one = Window(*(getattr(window, field.name)[1:2] for field in fields(window)))
    assert np.allclose(_simulated(network, window, 20)[1], _simulated(network, one, 20)[0], atol=1e-5)

"""The learning rate against closed forms and against torch's own schedulers."""

from __future__ import annotations

import math

import pytest
import torch

from elman.train import TrainingOptions
from elman.train.schedule import Schedule

PEAK = 0.3


def test_no_decay_is_constant() -> None:
    schedule = Schedule.of(TrainingOptions(learning_rate=PEAK, decay="none", max_minutes=1), 10)
    assert {schedule.rate(step, step * 10.0) for step in range(50)} == {PEAK}


def test_warmup_rises_in_equal_steps_to_the_peak() -> None:
    schedule = Schedule.of(TrainingOptions(learning_rate=PEAK, warmup_steps=5, decay="none"), 10)
    assert [schedule.rate(step) for step in range(6)] == pytest.approx(
        [PEAK * k / 5 for k in (1, 2, 3, 4, 5, 5)]
    )


def _by_torch(scheduler: type, steps: int, **settings: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    schedule = scheduler(optimizer, **settings)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_linear_is_torchs() -> None:
    ours = Schedule.of(
        TrainingOptions(learning_rate=PEAK, decay="linear", final_learning_rate=0.2, epochs=3), 7
    )
    theirs = _by_torch(
        torch.optim.lr_scheduler.LinearLR, 21, start_factor=1.0, end_factor=0.2, total_iters=21
    )
    assert [ours.rate(step) for step in range(21)] == pytest.approx(theirs)


def test_cosine_is_torchs() -> None:
    ours = Schedule.of(TrainingOptions(learning_rate=PEAK, final_learning_rate=0.1, max_steps=21), 7)
    theirs = _by_torch(torch.optim.lr_scheduler.CosineAnnealingLR, 21, T_max=21, eta_min=0.1 * PEAK)
    assert [ours.rate(step) for step in range(21)] == pytest.approx(theirs)


def test_decay_starts_after_warmup_and_ends_at_the_final_fraction() -> None:
    schedule = Schedule(peak=1.0, warmup=10, decay="linear", final=0.5, steps=30)
    assert schedule.rate(10) == 1.0
    assert schedule.rate(20) == 0.75
    assert schedule.rate(30) == schedule.rate(99) == 0.5


def test_time_budget_leads_when_it_is_further_on() -> None:
    schedule = Schedule.of(
        TrainingOptions(learning_rate=1.0, final_learning_rate=0, max_minutes=2, max_steps=100), 9
    )
    assert schedule.rate(10, 60) == pytest.approx((1 + math.cos(math.pi * 0.5)) / 2)
    assert schedule.rate(70, 60) == pytest.approx((1 + math.cos(math.pi * 0.7)) / 2)


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ({}, 70),
        ({"epochs": 3}, 21),
        ({"max_steps": 50}, 50),
        ({"max_steps": 50, "epochs": 2}, 14),
        ({"max_minutes": 1}, None),
        ({"max_minutes": 1, "epochs": 2}, 14),
    ],
)
def test_steps_are_those_of_the_first_limit(limits: dict[str, int], steps: int | None) -> None:
    assert Schedule.of(TrainingOptions(**limits), 7).steps == steps

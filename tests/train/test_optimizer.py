"""The updates against torch.optim, to the bit where torch runs the same kernel."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from elman.train import TrainingOptions
from elman.train.optimizer import Optimizer

CASES = [
    ("adam", {}, torch.optim.Adam, {}),
    ("adam", {"weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
    ("adamw", {"weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
    ("sgd", {}, torch.optim.SGD, {}),
    ("sgd", {"momentum": 0.9, "weight_decay": 0.1}, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
]


def _twins(dtype: torch.dtype) -> tuple[dict[str, torch.nn.Parameter], list[torch.nn.Parameter]]:
    torch.manual_seed(1)
    values = [torch.randn(shape, dtype=dtype) for shape in ((3, 4), (5,), (), (17, 9))]
    ours = {f"p{i}": torch.nn.Parameter(value.clone()) for i, value in enumerate(values)}
    return ours, [torch.nn.Parameter(value.clone()) for value in values]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("method", "settings", "oracle", "arguments"), CASES)
def test_updates_are_torchs(
    method: str,
    settings: dict[str, Any],
    oracle: Any,
    arguments: dict[str, Any],
    fused: bool,
    dtype: torch.dtype,
) -> None:
    ours, theirs = _twins(dtype)
    optimizer = Optimizer(ours, TrainingOptions(optimizer=method, **settings))
    reference = oracle(theirs, lr=1.0, fused=fused, **arguments)
    for step in range(6):
        rate = 0.1 / (step + 1)
        for one, other in zip(ours.values(), theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        reference.param_groups[0]["lr"] = rate
        reference.step()
        optimizer.step(rate)
        optimizer.clear()
        close = {"rtol": 0.0, "atol": 0.0} if fused else {"rtol": 1e-5, "atol": 1e-6}
        torch.testing.assert_close(list(ours.values()), theirs, **close)
    assert all(p.grad is None for p in ours.values())


@pytest.mark.parametrize("longest", [0.5, 1e6, 0.0])
def test_clipping_is_torchs(longest: float) -> None:
    ours, theirs = _twins(torch.float64)
    for one, other in zip(ours.values(), theirs, strict=True):
        one.grad = torch.randn_like(one)
        other.grad = one.grad.clone()
    optimizer = Optimizer(ours, TrainingOptions())
    norm = optimizer.clip(longest)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, longest or 1e300)))
    for one, other in zip(ours.values(), theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=0)


def test_a_weight_without_gradient_stays() -> None:
    ours, _ = _twins(torch.float32)
    before = {name: p.detach().clone() for name, p in ours.items()}
    optimizer = Optimizer(ours, TrainingOptions(optimizer="adamw", weight_decay=0.5))
    ours["p1"].grad = torch.ones_like(ours["p1"])
    assert optimizer.clip(0.0) == pytest.approx(5**0.5)
    optimizer.step(0.1)
    changed = [name for name, p in ours.items() if not torch.equal(p, before[name])]
    assert changed == ["p1"]
    assert not optimizer.tensors()["exp_avg/p0"].any()


def test_mixed_dtypes_are_refused() -> None:
    mixed = {"a": torch.nn.Parameter(torch.zeros(1)), "b": torch.nn.Parameter(torch.zeros(1).double())}
    with pytest.raises(ValueError, match="several dtypes"):
        Optimizer(mixed, TrainingOptions())

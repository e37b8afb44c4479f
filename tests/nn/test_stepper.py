"""Single steps through packed weights beside the layers over the whole sequence; which path is taken, and why."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from elman import cells, kernels
from elman.nn import Recurrent
from elman.nn.stepper import Stepper
from elman.testing import assert_close


def drawn(
    cell: str, rows: int, dtype: torch.dtype, **options: Any
) -> tuple[Recurrent, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    layers = Recurrent(cell, 3, 5, **options).to(dtype).eval()
    sizes = layers.state_sizes.items()
    return layers, {name: torch.randn(layers.num_layers, rows, size, dtype=dtype) for name, size in sizes}


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 3}, {"bias": False}, {"dropout": 0.5, "num_layers": 2}], ids=str
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cell", cells.names())
def test_stepped_is_the_whole(cell: str, dtype: torch.dtype, options: dict[str, Any]) -> None:
    layers, state = drawn(cell, 7, dtype, **options)
    x = torch.randn(7, 4, 3, dtype=dtype)
    with torch.inference_mode():
        whole, end = layers(x, state)
        stepper = Stepper(layers)
        assert stepper.path.name == ("native" if kernels.supports(cell) else "eager")
        outputs = []
        for t in range(4):
            output, state = stepper(x[:, t : t + 1], state)
            outputs.append(output)
    assert_close("split", torch.cat(outputs, 1), whole, "output or state")
    for name, part in end.items():
        assert_close("split", state[name], part, "output or state")


def test_a_projection() -> None:
    layers, state = drawn("lstm", 2, torch.float64, proj_size=2)
    with torch.inference_mode():
        found, expected = (
            run(torch.ones(2, 1, 3, dtype=torch.float64), state) for run in (Stepper(layers), layers)
        )
    assert_close("split", found[0], expected[0], "output or state")
    assert found[1]["h"].shape == (1, 2, 2)


def test_rows_may_be_others_at_each_step() -> None:
    """More, fewer, in another order, several of one: each goes on from the state it is given."""
    layers, state = drawn("gru", 4, torch.float64)
    with torch.inference_mode():
        stepper = Stepper(layers)
        for rows in ([0, 1, 2, 3], [3, 3, 1, 0, 0, 2], [5, 0], [1, 0], []):
            state = {name: part[:, rows] for name, part in state.items()}
            x = torch.randn(len(rows), 1, 3, dtype=torch.float64)
            before = {name: part.clone() for name, part in state.items()}
            output, after = stepper(x, state)
            expected, end = layers(x, state)
            assert_close("split", output, expected, "output or state")
            assert_close("split", after["h"], end["h"], "output or state")
            assert all(torch.equal(part, before[name]) for name, part in state.items())
            state = after


def test_weights_are_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    stream = kernels.Stream
    monkeypatch.setattr(kernels, "Stream", lambda *given, **how: made.append(1) or stream(*given, **how))
    layers, state = drawn("lstm", 4, torch.float32)
    with torch.inference_mode():
        stepper = Stepper(layers)
        for _ in range(5):
            _, state = stepper(torch.ones(4, 1, 3), state)
    assert made == [1]


@pytest.mark.parametrize(
    ("options", "kind", "training", "name", "reason"),
    [
        ({"bidirectional": True}, torch.float32, False, "eager", "from the end needs the whole"),
        ({"num_layers": 2, "dropout": 0.5}, torch.float32, True, "eager", "gradients or dropout are wanted"),
        ({"recurrent_dropout": 0.5}, torch.float32, True, "eager", "gradients or dropout are wanted"),
        ({}, torch.bfloat16, False, "torch", "lacks this cell or dtype"),
        ({}, torch.float32, True, "native", "the compiled core has this cell"),
    ],
    ids=str,
)
def test_the_path_is_told(
    options: dict[str, Any], kind: torch.dtype, training: bool, name: str, reason: str
) -> None:
    layers, _ = drawn("gru", 1, kind, **options)
    with torch.inference_mode():
        path = Stepper(layers.train(training)).path
    assert path.name == name
    assert reason in path.reason


def test_gradients_flow_where_they_are_wanted() -> None:
    layers, state = drawn("gru", 2, torch.float64)
    stepper = Stepper(layers)
    assert "gradients" in stepper.path.reason
    output, _ = stepper(torch.ones(2, 1, 3, dtype=torch.float64), state)
    output.sum().backward()
    assert layers.weight_hh_l0.grad is not None

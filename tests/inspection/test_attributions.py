"""Attributions beside a linear model's closed form, autograd by hand, and inputs that really lack a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from elman.errors import InputError
from elman.inspection import Inspected, attribute
from elman.inspection.attributions import METHODS
from elman.inspection.inspected import lead
from elman.nn import Recurrent
from elman.nn.blank import BlankNetwork
from elman.nn.language import LanguageNetwork
from elman.tasks._inspected import blanks, pieces

NAMES = list("abcde")


class Weighted(nn.Module):
    """Sum over steps of w_t . x_t, plus 3; `steep`: of its square root instead, which bends."""

    def __init__(self, steps: int, steep: bool = False) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.weight = nn.Parameter(torch.randn(steps, 2, dtype=torch.float64))
        self.steep = steep

    def forward(self, x: Tensor) -> Tensor:
        total = (self.layer(x) * self.weight).sum((1, 2))
        return ((total.abs() + 1e-4).sqrt() if self.steep else total)[:, None] + 3


def weighted(steep: bool = False) -> tuple[Inspected, Tensor, Weighted]:
    torch.manual_seed(0)
    network, x = Weighted(4, steep), torch.randn(3, 4, 2, dtype=torch.float64)
    steps = [list("abcd")] * 3
    return Inspected(network, lambda: network(x), lambda s: s[:, 0], "y", steps, {"layer": None}), x, network


def language(seed: int = 0, scale: float = 1.0) -> Inspected:
    torch.manual_seed(seed)
    network = LanguageNetwork(5, Recurrent("lstm", 5, 6)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)
    return pieces(network, np.array([0, 1, 2, 3, 4, 2, 0, 1]), NAMES, 8)


@pytest.mark.parametrize("method", METHODS)
def test_of_a_linear_model(method: str) -> None:
    inspected, x, network = weighted()
    found = attribute(inspected, method)
    products = (x * network.weight).sum(2).detach()
    wanted = network.weight.norm(dim=1).detach().expand(3, -1) if method == "saliency" else products
    np.testing.assert_allclose(np.stack(found.values), wanted, atol=1e-12)
    np.testing.assert_allclose(found.empty, 3)
    np.testing.assert_allclose(found.found, products.sum(1) + 3, atol=1e-12)
    assert list(found.answers) == ["", "", ""]


def test_integrated_gradients_take_more_points_until_they_are_complete() -> None:
    inspected, _, _ = weighted(steep=True)
    found = attribute(inspected)
    assert found.points > 8
    assert found.remainder.max() <= 0.01
    sums = np.stack(found.values).sum(1)
    np.testing.assert_allclose(sums, found.found - found.empty, rtol=0.01)
    loose = attribute(inspected, tolerance=0.5)
    assert loose.points < found.points


class Switch(torch.nn.Module):
    """Turns from one answer to the other where the sum of its vectors passes 0.05, within a ten-thousandth of it."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        said = torch.tanh(2e5 * (self.vectors(x).sum((1, 2)) - 0.05))
        return torch.stack([said, -said], 1)


def test_integrated_gradients_find_a_narrow_step() -> None:
    network, x = Switch(), torch.tensor([[[0.5], [0.3], [0.2]]], dtype=torch.float64)
    inspected = Inspected(
        network, lambda: network(x), lead, "the lead", [["a", "b", "c"]], layers={}, answers=["yes", "no"],
        vectors="vectors",
    )  # fmt: skip
    found = attribute(inspected)
    assert found.remainder[0] <= 0.01
    assert found.points < 400
    np.testing.assert_allclose(found.values[0] / found.values[0].sum(), [0.5, 0.3, 0.2], rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_integrated_gradients_are_complete(scale: float) -> None:
    for step in (-1, 3):
        found = attribute(language(scale=scale), step=step)
        np.testing.assert_allclose(found.values[0].sum(), found.found[0] - found.empty[0], rtol=0.01)
        assert found.remainder[0] <= 0.01


def test_gradients_are_autograds_by_hand() -> None:
    inspected = language()
    network: Any = inspected.network
    x = torch.eye(5, dtype=torch.float64)[torch.tensor([[0, 1, 2, 3, 4, 2, 0]])].requires_grad_()
    hidden, _ = network.recurrent(x)
    (slope,) = torch.autograd.grad(network.output(hidden)[0, 4].log_softmax(0)[2], x)
    found = attribute(inspected, "input-x-gradient", answer="c", step=4)
    np.testing.assert_allclose(found.values[0], (slope * x).sum(2)[0].detach(), atol=1e-12)
    found = attribute(inspected, "saliency", answer="c", step=4)
    np.testing.assert_allclose(found.values[0], slope.norm(dim=2)[0], atol=1e-12)
    assert found.values[0][4] > 0
    assert not found.values[0][5:].any()
    assert attribute(inspected, "saliency", answer="c", step=-3).values[0] == pytest.approx(found.values[0])


def test_the_likeliest_answer_unless_another_is_named() -> None:
    inspected = language()
    with torch.no_grad():
        logs = inspected.read()[0, -1].log_softmax(0)
    best = int(logs.argmax())
    found = attribute(inspected, "saliency")
    assert (found.answers[0], found.found[0]) == (NAMES[best], pytest.approx(float(logs[best])))
    other = NAMES[(best + 1) % 5]
    found = attribute(inspected, "saliency", answer=other)
    assert (found.answers[0], found.found[0]) == (other, pytest.approx(float(logs[(best + 1) % 5])))


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_a_blank_is_owed_to_the_items_on_its_sides(side: str) -> None:
    """An item that is left out is one whose vector is 0: symbol 4 here; the places on both sides are the items' own."""
    torch.manual_seed(0)
    left = Recurrent("gru", 3, 6) if side != "right" else None
    right = Recurrent("gru", 3, 6) if side != "left" else None
    network = BlankNetwork(5, left, right, embedding_size=3).double()
    with torch.no_grad():
        network.embedding.weight[4] = 0
    row = np.array([0, 1, 2, 3, 1, 0, 2])
    inspected = blanks(network, [row, row[:5]], NAMES)
    found = attribute(inspected, "leave-one-out", answer="c")
    assert found.items[0] == ["(edge)", "a", "b", "c", "(blank)", "b", "a", "c", "(edge)"]
    assert len(found.items[1]) == 7
    for item in (0, 2, 4, 5, 6):
        changed = row.copy()
        changed[item] = 4
        other = attribute(blanks(network, [changed], NAMES), "saliency", answer="c")
        assert found.values[0][item + 1] == pytest.approx(found.found[0] - other.found[0], abs=1e-9), item
    whole = attribute(inspected)
    np.testing.assert_allclose(
        [v[~np.isnan(v)].sum() for v in whole.values], whole.found - whole.empty, rtol=0.01
    )


def test_of_steps_far_back_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.inspection.attributions._LEFT_OUT", 3)
    found = attribute(language(), "leave-one-out")
    assert np.isnan(found.values[0]).tolist() == [True] * 4 + [False] * 3


def test_rows_do_not_move_each_other() -> None:
    torch.manual_seed(0)
    network = BlankNetwork(5, Recurrent("gru", 3, 6), Recurrent("gru", 3, 6), embedding_size=3)
    rows = [np.array([0, 1, 2, 3, 1, 0, 2]), np.array([3, 2, 1])]
    together = attribute(blanks(network, rows, NAMES))
    for row, values in zip(rows, together.values, strict=True):
        alone = attribute(blanks(network, [row], NAMES))
        np.testing.assert_allclose(values, alone.values[0], atol=1e-5)


def test_what_it_refuses() -> None:
    inspected = language()
    with pytest.raises(InputError, match="attribution 'shap': unknown; it is one of integrated-gradients"):
        attribute(inspected, "shap")
    with pytest.raises(InputError, match="answer 'x': this model never says it"):
        attribute(inspected, answer="x")
    with pytest.raises(InputError, match="step 7: the longest row has 7 steps"):
        attribute(inspected, step=7)


def test_fewer_pieces_of_a_text_are_the_first_ones() -> None:
    torch.manual_seed(0)
    network = LanguageNetwork(5, Recurrent("gru", 5, 6)).double()
    whole = pieces(network, np.arange(2500) % 5, NAMES, 8)
    two = whole.fewer(2) if whole.fewer else None
    assert two is not None
    assert two.steps == whole.steps[:2]
    assert len(whole.steps) > 2
    np.testing.assert_allclose(two.read().detach(), whole.read()[:2].detach(), atol=1e-12)

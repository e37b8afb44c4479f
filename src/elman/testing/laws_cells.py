"""Laws of every cell, on its own text: NumPy against torch, by hand against autograd, whole against pieces."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from elman import cells, reference
from elman.nn import eager
from elman.nn.ops import TorchOps
from elman.testing.close import assert_close
from elman.testing.running import compare, run
from elman.testing.toys import LinearOps, Toy, integers, toy


def check_cell(name: str) -> None:
    """Hold a registered cell to every law below; AssertionError says which one it breaks, where and by how much."""
    for law in LAWS:
        law(name)


def declares_itself(name: str) -> None:
    """Equation, gates and states are there and named once; every gate stands in the equation."""
    cell = cells.get(name)
    assert len(set(cell.gate_names)) == len(cell.gates), f"{name}: a gate's name is given twice"
    assert len(set(cell.state_names)) == len(cell.states), f"{name}: a state's name is given twice"
    for state in cell.states:
        assert f"{state.name}_t" in cell.equation, f"{name}: the equation does not say what {state.name}_t is"
    for layout in cell.layouts.values():
        assert sorted(layout.gates) == sorted(cell.gate_names), f"{name}: {layout.operator} lists other gates"


def slopes_are_derivatives(name: str) -> None:
    """`*_slope(y)` of torch's Ops is what autograd finds, for every activation the cell's gates use."""
    ops, a = TorchOps(), torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
    for activation in {gate.activation for gate in cells.get(name).gates} | {"tanh"}:
        y = getattr(ops, activation)(a)
        (slope,) = torch.autograd.grad(y.sum(), a)
        assert_close("split", getattr(ops, f"{activation}_slope")(y), slope, f"{name}: slope of {activation}")


def torch_equals_reference(name: str) -> None:
    """The text on torch and on NumPy: values, and autograd against the hand-written backward."""
    for problem in _problems(name):
        compare(problem, "reference", path="eager")


def linear_is_exact(name: str) -> None:
    """With linear gates and weights of -1, 0, 1 both arrays of numbers agree to the last bit."""
    problem = integers(toy(name, steps=3, batch=3, hidden_size=4, input_size=3))
    compare(problem, "exact", path="eager", ops=LinearOps())


def whole_is_stepped_is_chunked(name: str) -> None:
    """One direction, state carried: 63 steps at once, one by one, and in uneven pieces, from zero and other states."""
    for with_state in (False, True):
        problem = toy(name, num_layers=2, ragged=False, with_state=with_state)
        output, final = reference.forward(name, problem.params, problem.x, problem.state)
        for cuts in (list(range(64)), [0, 1, 30, 30, 62, 63]):
            state, pieces = problem.state, []
            for start, stop in pairwise(cuts):
                result = run(problem.part(steps=slice(start, stop), state=state), path="eager")
                state = {n: s.detach().numpy() for n, s in result.state.items()}
                pieces.append(result.output.detach().numpy())
            assert_close(
                "split", np.concatenate(pieces, axis=1), output, f"{name}: output in {len(cuts) - 1} pieces"
            )
            for n in final:
                assert_close("split", (state or {})[n], final[n], f"{name}: {n} after {len(cuts) - 1} pieces")


def derivatives_of_the_second_order(name: str) -> None:
    """autograd's first and second derivative against differences of finite size, lengths with an empty row."""
    problem = toy(name, steps=4, batch=3, hidden_size=3, input_size=2)
    params = [torch.from_numpy(p).requires_grad_() for p in problem.params.values()]
    x = torch.from_numpy(problem.x).requires_grad_()
    lengths = torch.from_numpy(problem.lengths)

    def layer(x: torch.Tensor, *params: torch.Tensor) -> torch.Tensor:
        return eager.layer(name, x, None, None, params, lengths, False, True)[0]

    assert torch.autograd.gradcheck(layer, (x, *params), fast_mode=True), f"{name}: gradcheck"
    assert torch.autograd.gradgradcheck(layer, (x, *params), fast_mode=True), f"{name}: gradgradcheck"


def _problems(name: str) -> list[Toy]:
    problems = [
        toy(name, num_layers=2, bidirectional=True),
        toy(name, seed=1, ragged=False, with_state=False),
        toy(name, seed=2, bias=False, batch=1, steps=1, ragged=False),
    ]
    if cells.get(name).projection:
        problems.append(toy(name, seed=3, num_layers=2, bidirectional=True, proj_size=3))
    return problems


LAWS: tuple[Callable[[str], None], ...] = (
    declares_itself,
    slopes_are_derivatives,
    torch_equals_reference,
    linear_is_exact,
    whole_is_stepped_is_chunked,
    derivatives_of_the_second_order,
)

"""A toy problem on torch, forward and backward, and set against the reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elman import cells, reference
from elman.cells import Ops
from elman.nn import eager, paths, stack
from elman.testing.close import Law, assert_close
from elman.testing.toys import Toy

PATHS = {"eager": paths.TEXT, "native": paths.NATIVE, "torch": paths.LACKING, "operator": paths.COMPILED}
"""Paths by name, to force one; None lets `elman.nn.paths` choose."""


@dataclass(frozen=True)
class Run:
    """What a stack computed, and the gradients of everything that went in, by the names of `Toy`."""

    output: Tensor
    state: dict[str, Tensor]
    grads: dict[str, Tensor]


def leaves(problem: Toy, dtype: torch.dtype) -> dict[str, Tensor]:
    """Everything that goes in, ready for autograd: `x`, the parameters, and `state h`, `state c`, ... if given."""
    state = {f"state {name}": s for name, s in (problem.state or {}).items()}
    arrays = {"x": problem.x, **problem.params, **state}
    return {name: torch.tensor(a, dtype=dtype, requires_grad=True) for name, a in arrays.items()}


def forward(
    problem: Toy, inputs: dict[str, Tensor], *, path: str | None = None, ops: Ops | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and final state. ops: other nonlinearities, for one layer on the eager path."""
    params = [inputs[name] for name in problem.params]
    names = cells.get(problem.cell).state_names
    h0 = inputs.get("state h")
    s0 = None if h0 is None or len(names) == 1 else torch.cat([inputs[f"state {name}"] for name in names[1:]])
    lengths = None if problem.lengths is None else torch.from_numpy(problem.lengths)
    bidirectional = "weight_ih_l0_reverse" in problem.params
    layers = sum(name.startswith("weight_ih") for name in problem.params) // (2 if bidirectional else 1)
    given = (problem.cell, inputs["x"], h0, s0, params, lengths, bidirectional, True)
    if ops is not None:
        output, h_n, s_n = eager.layer(*given, ops=ops)
    else:
        output, h_n, s_n = stack.run(*given, layers, 0.0, None if path is None else PATHS[path])
    finals = {"h": h_n}
    if s_n is not None:
        finals.update(zip(names[1:], s_n.chunk(len(names) - 1), strict=True))
    return output, finals


def run(
    problem: Toy, *, path: str | None = None, dtype: torch.dtype = torch.float64, ops: Ops | None = None
) -> Run:
    """Forward and backward in torch, on the path of that name."""
    inputs = leaves(problem, dtype)
    output, finals = forward(problem, inputs, path=path, ops=ops)
    weights = {"output": problem.grad_output, **problem.grad_state}
    ends = {name: end for name, end in {"output": output, **finals}.items() if end.requires_grad}
    grads = torch.autograd.grad(
        list(ends.values()),
        list(inputs.values()),
        [torch.tensor(weights[name], dtype=dtype) for name in ends],
        materialize_grads=True,
    )
    return Run(output, finals, dict(zip(inputs, grads, strict=True)))


def compare(
    problem: Toy,
    law: Law,
    *,
    path: str | None = None,
    dtype: torch.dtype = torch.float64,
    ops: Ops | None = None,
) -> None:
    """Output, final state and every gradient of `run` against `elman.reference`."""
    found = run(problem, path=path, dtype=dtype, ops=ops)
    given = (problem.cell, problem.params, problem.x)
    output, state = reference.forward(*given, problem.state, problem.lengths, ops=ops)
    grads = reference.backward(
        *given, problem.grad_output, problem.grad_state, problem.state, problem.lengths, ops=ops
    )
    where = f"{problem.cell} on {path or 'the chosen path'}"
    assert_close(law, found.output, output, f"{where}: output")
    for name, final in state.items():
        assert_close(law, found.state[name], final, f"{where}: final {name}")
    wanted = {"x": grads.x, **grads.params, **{f"state {n}": g for n, g in grads.state.items()}}
    for name, grad in found.grads.items():
        assert_close(law, grad, wanted[name], f"{where}: gradient of {name}")

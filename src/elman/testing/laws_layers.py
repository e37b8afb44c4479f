"""Laws of a layer of any cell, on a path of `elman.nn`: padding, splitting, paths that agree, symbols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from elman.nn import Recurrent
from elman.testing.close import Law, assert_close
from elman.testing.running import compare, forward, leaves, run
from elman.testing.toys import Toy, toy


def check_layer(cell: str, *, path: str | None = None, dtype: torch.dtype = torch.float64) -> None:
    """Hold a layer of `cell` to every law below, on a path ("native", "eager", "operator"; the chosen one when
    None). AssertionError says which law it breaks, where and by how much."""
    for law in LAWS:
        law(cell, path, dtype)


def equals_reference(cell: str, path: str | None, dtype: torch.dtype) -> None:
    """Values and gradients over depth, directions, ragged lengths, states given or not, odd and tiny sizes."""
    law: Law = "reference"
    compare(toy(cell, num_layers=2, bidirectional=True), law, path=path, dtype=dtype)
    compare(toy(cell, seed=1, ragged=False, with_state=False, bias=False), law, path=path, dtype=dtype)
    compare(toy(cell, seed=2, batch=1, steps=1, input_size=1, hidden_size=1), law, path=path, dtype=dtype)
    compare(toy(cell, seed=3, batch=17, steps=9, input_size=33, hidden_size=65), law, path=path, dtype=dtype)


def padding_never_changes_a_number(cell: str, path: str | None, dtype: torch.dtype) -> None:
    """NaN in the padding changes nothing; every row alone, cut to its length, gives what it gives in the batch."""
    problem = toy(cell, bidirectional=True, num_layers=2)
    lengths = problem.lengths if problem.lengths is not None else np.zeros(0, np.int64)
    clean = run(problem, path=path, dtype=dtype)
    dirty_x = problem.x.copy()
    dirty_grad = problem.grad_output.copy()
    for row, length in enumerate(lengths):
        dirty_x[row, length:] = np.nan
        dirty_grad[row, length:] = np.nan
    dirty = run(replace(problem, x=dirty_x, grad_output=dirty_grad), path=path, dtype=dtype)
    assert_close("split", dirty.output, clean.output, f"{cell}: output with NaN in the padding")
    for name, grad in clean.grads.items():
        assert_close("split", dirty.grads[name], grad, f"{cell}: gradient of {name} with NaN in the padding")
    for row, length in enumerate(lengths):
        state = {n: s[:, row : row + 1] for n, s in (problem.state or {}).items()}
        output = clean.output[row : row + 1]
        if length:
            alone = run(
                problem.part(slice(row, row + 1), slice(0, length), state=state), path=path, dtype=dtype
            )
            assert_close("split", alone.output, output[:, :length], f"{cell}: row {row} alone")
            for n, final in alone.state.items():
                assert_close(
                    "split", final, clean.state[n][:, row : row + 1], f"{cell}: final {n} of row {row}"
                )
        else:
            for n, first in state.items():
                passed = clean.state[n][:, row : row + 1]
                assert_close(
                    "exact", passed, torch.tensor(first, dtype=dtype), f"{cell}: {n} through an empty row"
                )
        assert not output[:, length:].any(), f"{cell}: output beyond the length of row {row} is not zero"


def whole_is_chunked(cell: str, path: str | None, dtype: torch.dtype) -> None:
    """Two layers, one direction: pieces with the state carried give what the whole gives, step by step too."""
    problem = toy(cell, num_layers=2, ragged=False)
    whole = run(problem, path=path, dtype=dtype)
    for cuts in (list(range(64)), [0, 1, 30, 63]):
        state, pieces = problem.state, []
        for start, stop in pairwise(cuts):
            result = run(problem.part(steps=slice(start, stop), state=state), path=path, dtype=dtype)
            state = {n: s.detach().numpy() for n, s in result.state.items()}
            pieces.append(result.output)
        assert_close("split", torch.cat(pieces, 1), whole.output, f"{cell}: output in {len(cuts) - 1} pieces")
        for n, final in whole.state.items():
            assert_close("split", (state or {})[n], final, f"{cell}: final {n} after {len(cuts) - 1} pieces")


def symbols_are_one_hot(cell: str, path: str | None, dtype: torch.dtype) -> None:
    """Integer input gives what its one-hot vectors give, values and gradients, whatever stands in the padding."""
    if path is not None:
        return  # the look-up belongs to Recurrent, which lets the path be chosen
    torch.manual_seed(0)
    layer = Recurrent(cell, 11, 7, num_layers=2, bidirectional=True).to(dtype)
    symbols, lengths = torch.randint(11, (4, 9)), torch.tensor([9, 0, 4, 1])
    vectors = torch.nn.functional.one_hot(symbols, 11).to(dtype)
    symbols[2, 4:] = -1
    results = [layer(x, lengths=lengths) for x in (symbols, vectors)]
    assert_close("split", results[0][0], results[1][0], f"{cell}: output of symbols")
    sums = [output.square().sum() + sum(s.sum() for s in state.values()) for output, state in results]
    found, wanted = ([torch.autograd.grad(s, list(layer.parameters()))] for s in sums)
    for (name, _), a, b in zip(layer.named_parameters(), *found, *wanted, strict=True):
        assert_close("split", a, b, f"{cell}: gradient of {name} from symbols")


def double_backward(cell: str, path: str | None, dtype: torch.dtype) -> None:
    """The second derivative on this path is that of the cell's text."""
    problem = toy(cell, batch=3, steps=5, bidirectional=True)
    found, wanted = (_curvature(problem, p, dtype) for p in (path, "eager"))
    for a, b in zip(found, wanted, strict=True):
        assert_close("reference", a, b, f"{cell}: second derivative")


def _curvature(problem: Toy, path: str | None, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    inputs = leaves(problem, dtype)
    output, finals = forward(problem, inputs, path=path)
    loss = sum((final.square().sum() for final in finals.values()), output.square().sum())
    slopes = torch.autograd.grad(loss, list(inputs.values()), create_graph=True)
    return torch.autograd.grad([s.square().sum() for s in slopes], list(inputs.values()))


LAWS: tuple[Callable[[str, str | None, torch.dtype], None], ...] = (
    equals_reference,
    padding_never_changes_a_number,
    whole_is_chunked,
    symbols_are_one_hot,
    double_backward,
)

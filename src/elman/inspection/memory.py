"""How long a network remembers, by trying it out: one step of its input is changed, and the outputs are compared.

    d(k) = root mean square over rows and s of | y'_{s+k} - y_{s+k} |,   y' read after x_s was replaced

x_s is replaced by a step of the same data that is drawn with a probability in proportion to its squared distance from
x_s: so the rare steps that matter, such as a mark among many steps without one, are tried as well. The memory is the
largest k at which d(k) is more than a stated share of the largest d.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.inspection.reach import Reach

TRIALS = 64
"""Readings in each of which one step of every row is changed."""


@dataclass(frozen=True)
class Effect:
    """What a changed input does to an output: `back` of it, on what comes later; `ahead`, on what stands before it."""

    back: Reach
    ahead: Reach


def effect_of_inputs(
    read: Callable[[Tensor], Tensor],
    x: Tensor,
    lengths: Tensor | None = None,
    *,
    ends: Tensor | None = None,
    trials: int = TRIALS,
    seed: int = 0,
) -> Effect:
    """How far a changed step of x is felt in what `read` makes of it.

    Args:
        read: from x to outputs (B, T, K) at every step, or (B, K) of every row.
        x: (B, T, I), or symbols (B, T).
        lengths: (B,) steps of each row; None: all T.
        ends: (B,) the step of each row from which (B, K) outputs are told; None: its last.
        trials: readings, in each of which one step of every row is changed.

    A line of 3 steps' delay remembers 3 steps:

    >>> delayed = lambda x: torch.cat([torch.zeros(len(x), 3, 1), x[:, :-3]], 1)
    >>> effect_of_inputs(delayed, torch.randn(2, 20, 1)).back.length()
    3
    """
    (effect,) = effects_of_inputs(
        lambda given: [read(given)], x, lengths, ends=ends, trials=trials, seed=seed
    )
    return effect


@torch.inference_mode()
def effects_of_inputs(
    read: Callable[[Tensor], Sequence[Tensor]],
    x: Tensor,
    lengths: Tensor | None = None,
    *,
    ends: Tensor | None = None,
    trials: int = TRIALS,
    seed: int = 0,
) -> list[Effect]:
    """As `effect_of_inputs`, for several outputs of one reading."""
    rows, steps = x.shape[:2]
    last = np.full(rows, steps) if lengths is None else lengths.cpu().numpy()
    outputs = [output.double() for output in read(x)]
    sums = [np.zeros((2, 2 * steps - 1)) for _ in outputs]  # squares and their number, by lag + steps - 1
    rng = np.random.default_rng(seed)
    for share in (np.arange(trials) + 0.5) / trials:
        # rows are changed at different places, so that few trials see many; the first step of all shows the largest lag
        places = ((share + np.arange(rows) / (rows * trials)) % 1 * last).astype(np.int64)
        places[0] = 0 if share < 1 / trials else places[0]
        changed = x.clone()
        for row in np.flatnonzero(last):
            changed[row, places[row]] = _other(x, last, int(row), int(places[row]), rng)
        for total, before, after in zip(sums, outputs, read(changed), strict=True):
            _add(total, (after.double() - before).square(), places, last, ends)
    found = [np.sqrt(np.divide(s, n, out=np.full(len(s), np.nan), where=n > 0)) for s, n in sums]
    return [Effect(Reach(one[steps - 1 :]), Reach(one[steps - 1 :: -1])) for one in found]


def _other(x: Tensor, last: NDArray[np.int64], row: int, place: int, rng: np.random.Generator) -> Tensor:
    """A step of the same data, unlike the one that stands there."""
    inside = (torch.arange(x.shape[1]) < torch.from_numpy(last)[:, None]).flatten().numpy()
    now, others = x[row, place], x.flatten(0, 1)
    distance = (others != now).double() if x.dim() == 2 else (others - now).double().square().sum(1)
    weights = distance.cpu().numpy() * inside
    if not weights.sum() > 0:  # all steps alike: there is only what is no step at all
        return now * 0
    return others[rng.choice(len(weights), p=weights / weights.sum())]


def _add(
    total: NDArray[np.float64],
    squares: Tensor,
    places: NDArray[np.int64],
    last: NDArray[np.int64],
    ends: Tensor | None,
) -> None:
    """Add the squared changes (B, T, K) or (B, K) of a trial by their lag."""
    norms = squares.sum(-1).cpu().numpy()
    zero = total.shape[1] // 2
    for row in np.flatnonzero(last):
        if norms.ndim == 2:
            start = zero - places[row]
            total[0, start : start + last[row]] += norms[row, : last[row]]
            total[1, start : start + last[row]] += 1
        else:
            lag = (last[row] - 1 if ends is None else int(ends[row])) - places[row]
            total[:, zero + lag] += norms[row], 1


@contextlib.contextmanager
def reading(module: nn.Module, x: Tensor) -> Iterator[list[Any]]:
    """While the body runs, the module reads x in place of what it is given, at once or step by step, and its answers
    are gathered."""
    answers: list[Any] = []

    def replace(layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ARG001
        step = len(answers)
        part = x if given[0].shape[1] == x.shape[1] else x[:, step : step + 1]
        return (part, *given[1:]), named

    def gather(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001
        answers.append(output)

    handles = (
        module.register_forward_pre_hook(replace, with_kwargs=True),
        module.register_forward_hook(gather),
    )
    try:
        yield answers
    finally:
        for handle in handles:
            handle.remove()

"""Attributions: how much each step of an input had to do with one answer.

With f the answer, x_t the vector of step t (an embedding, a symbol as one-hot, features) and 0 a step without content:

    saliency              | d f / d x_t |
    input-x-gradient      x_t . d f / d x_t
    integrated-gradients  x_t . integral over a in [0, 1] of d f(a x) / d x_t
    leave-one-out         f(x) - f(x with x_t = 0)

Integrated gradients are complete: they sum to f(x) - f(0). The integral is a sum over points of Gauss and Legendre,
taken closer where this does not hold, until it does within a tolerance.

Sources: Simonyan, Vedaldi and Zisserman (2014), https://arxiv.org/abs/1312.6034; Shrikumar et al. (2016),
https://arxiv.org/abs/1605.01713; Sundararajan, Taly and Yan (2017), https://arxiv.org/abs/1703.01365; Li, Monroe and
Jurafsky (2016), https://arxiv.org/abs/1612.08220.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.errors import InputError
from elman.inspection.inspected import Inspected

METHODS = ("integrated-gradients", "saliency", "input-x-gradient", "leave-one-out")

_POINTS = 8  # of a stretch of the integral, which is halved until there are at most:
_MOST = 1024
_SMALLEST = 1e-3  # of a difference of answers, below which the remainder is told as a share of this
_LEFT_OUT = 128  # steps of a row, those nearest to the answer's, that are left out one by one

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attribution:
    """What each step of some rows had to do with an answer.

    Attributes:
        method: one of `METHODS`.
        asked: what f is, in words and unit.
        answers: of each row, what is asked about; empty texts where answers have no names.
        items: what each row holds, as texts; values: the attribution of each, NaN where none was measured.
        found: (B,) f of the input; empty: (B,) f without content: every vector 0.
        remainder: (B,) |sum of the values - (found - empty)| as a share of |found - empty|: what integrated gradients
            lack to completeness; of the other methods it is merely a fact.
        points: readings that were made with a gradient, or without one step.
    """

    method: str
    asked: str
    answers: Sequence[str]
    items: Sequence[Sequence[str]]
    values: Sequence[NDArray[np.float64]]
    found: NDArray[np.float64]
    empty: NDArray[np.float64]
    remainder: NDArray[np.float64]
    points: int


def attribute(
    inspected: Inspected,
    method: str = "integrated-gradients",
    *,
    answer: str | None = None,
    step: int = -1,
    tolerance: float = 0.01,
) -> Attribution:
    """How much every step of every row had to do with an answer of the network, in evaluation mode.

    f is ln P(answer) in nats where the answers have names, else the number that is said (a forecast: summed over its
    steps, in units of the series' usual change).

    Args:
        inspected: of a task: `task.inspected([...])`.
        method: one of `METHODS`.
        answer: a class, tag or symbol; None: the likeliest of each row, or the symbol that was written.
        step: where the answers are one a step, which; from 0, or from the end from -1. Rows that are shorter: the last.
        tolerance: of integrated gradients' completeness.

    Raises: InputError for an unknown method or answer, or a step that no row has.
    """
    if method not in METHODS:
        raise InputError(f"attribution {method!r}: unknown; it is one of {', '.join(METHODS)}.")
    f, asked, names, places = _answer(inspected, answer, step)
    with torch.no_grad():
        full, nothing = _value(inspected, f, lambda x: x), _value(inspected, f, lambda x: x * 0)
    if method == "leave-one-out":
        found, points = _left_out(inspected, f, full, places)
    elif method == "integrated-gradients":
        found, points = _integrated(inspected, f, full - nothing, tolerance)
    else:
        slopes, vectors = _gradients(inspected, f, 1.0)
        found = [
            slope.norm(dim=2) if method == "saliency" else (slope * x).sum(2)
            for slope, x in zip(slopes, vectors, strict=True)
        ]
        points = 1
    items = inspected.parts or inspected.items or inspected.steps
    values = _by_item(inspected, found, items)
    sums = np.array([np.nansum(row) for row in values])
    change = (full - nothing).cpu().numpy()
    return Attribution(
        method=method,
        asked=asked,
        answers=names,
        items=items,
        values=values,
        found=full.cpu().numpy(),
        empty=nothing.cpu().numpy(),
        remainder=np.abs(sums - change) / np.maximum(np.abs(change), _SMALLEST),
        points=points,
    )


def _answer(
    inspected: Inspected, answer: str | None, step: int
) -> tuple[Callable[[Tensor], Tensor], str, list[str], Tensor | None]:
    """f of scores, (B,) float64; what it is in words; the answer of each row; and its step, where answers have one."""
    with torch.no_grad():
        scores = inspected.read()
    rows, names = len(scores), list(inspected.answers)
    if scores.dim() == 3:
        lengths = [len(row) for row in inspected.written or inspected.steps]
        longest = max(lengths)
        if not -longest <= step < longest:
            raise InputError(
                f"step {step}: the longest row has {longest} steps, counted from 0 (the last: -1)."
            )
        places = torch.tensor([min(step, n - 1) if step >= 0 else max(n + step, 0) for n in lengths])
    else:
        places = None

    def told(scores: Tensor) -> Tensor:
        """(B, K) of the step that is asked about."""
        return scores if places is None else scores[torch.arange(rows), places.to(scores.device)]

    if not names:
        return lambda scores: told(scores).double().sum(1), inspected.asked, [""] * rows, places
    if answer is None and inspected.said is not None and places is not None:
        chosen = inspected.said.to(scores.device)[torch.arange(rows), places.to(scores.device)]
    elif answer is None:
        chosen = told(scores).argmax(1)
    elif answer in names:
        chosen = torch.full((rows,), names.index(answer), device=scores.device)
    else:
        raise InputError(
            f"answer {answer!r}: this model never says it; it says such as {', '.join(names[:8])}."
        )
    where = "" if places is None else f" at step {step}"

    def f(scores: Tensor) -> Tensor:
        return told(scores).double().log_softmax(1).gather(1, chosen[:, None]).squeeze(1)

    return f, f"ln P(answer){where}, in nats", [names[k] for k in chosen.tolist()], places


@contextlib.contextmanager
def changing(inspected: Inspected, change: Change) -> Iterator[None]:
    """While the body runs, the network reads `change` of the vectors (B, T, E) of its steps in their place."""

    def before(layer: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        x = given[0]
        if not x.is_floating_point():
            x = torch.nn.functional.one_hot(x, layer.input_size).to(next(layer.parameters()).dtype)
        return (change(x), *given[1:])

    def after(layer: Any, given: tuple[Any, ...], output: Tensor) -> Tensor:  # noqa: ARG001
        return change(output)

    modules = dict(inspected.network.named_modules())
    if inspected.vectors:
        handles = [modules[inspected.vectors].register_forward_hook(after)]
    else:
        handles = [modules[name].register_forward_pre_hook(before) for name in inspected.layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _value(inspected: Inspected, f: Callable[[Tensor], Tensor], change: Change) -> Tensor:
    with changing(inspected, change):
        return f(inspected.read())


def _gradients(
    inspected: Inspected, f: Callable[[Tensor], Tensor], share: float
) -> tuple[list[Tensor], list[Tensor]]:
    """d f / d x where every vector is `share` of itself, and the whole vectors, (B, T, E) of each reading of them."""
    leaves, vectors = [], []

    def change(x: Tensor) -> Tensor:
        vectors.append(x.detach().double())
        leaves.append((x.detach() * share).requires_grad_())
        return leaves[-1]

    with torch.enable_grad():
        value = _value(inspected, f, change).sum()
    slopes = torch.autograd.grad(value, leaves, allow_unused=True)
    return [
        torch.zeros_like(x) if s is None else s.double() for s, x in zip(slopes, vectors, strict=True)
    ], vectors


@dataclass(frozen=True)
class _Stretch:
    """The integral from one share of the vectors to another: (B, T) of each reading, and what it lacks, (B,)."""

    low: float
    high: float
    values: list[Tensor]
    lacking: Tensor


def _integrated(
    inspected: Inspected, f: Callable[[Tensor], Tensor], wanted: Tensor, tolerance: float
) -> tuple[list[Tensor], int]:
    """(B, T) of each reading, with as many points as completeness takes, and how many these were in the end.

    What lacks most is halved, since a network may hang on a small share of its input as on the edge of a step.
    """
    bound = tolerance * wanted.abs().clamp(min=_SMALLEST)
    parts = [_stretch(inspected, f, 0.0, 1.0)]
    while True:
        lacking = torch.stack([part.lacking for part in parts])
        made = _POINTS * len(parts)
        if made >= _MOST or bool((lacking.sum(0).abs() <= bound).all()):
            return [torch.stack(each).sum(0) for each in zip(*(p.values for p in parts), strict=True)], made
        part = parts.pop(int((lacking.abs() / bound).amax(1).argmax()))
        middle = (part.low + part.high) / 2
        parts += [_stretch(inspected, f, part.low, middle), _stretch(inspected, f, middle, part.high)]


def _stretch(inspected: Inspected, f: Callable[[Tensor], Tensor], low: float, high: float) -> _Stretch:
    places, weights = np.polynomial.legendre.leggauss(_POINTS)
    total: list[Tensor] = []
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        slopes, vectors = _gradients(inspected, f, float(low + (high - low) * place))
        parts = [weight * (high - low) * (s * x).sum(2) for s, x in zip(slopes, vectors, strict=True)]
        total = [a + b for a, b in zip(total, parts, strict=True)] if total else parts
    with torch.no_grad():
        end, begin = (_value(inspected, f, partial(torch.mul, share)) for share in (high, low))
    return _Stretch(low, high, total, torch.stack([part.sum(1) for part in total]).sum(0) - (end - begin))


def _left_out(
    inspected: Inspected, f: Callable[[Tensor], Tensor], full: Tensor, places: Tensor | None
) -> tuple[list[Tensor], int]:
    """(B, T) of each reading: f of all less f without one step; NaN for steps that are too far from the answer's."""
    shapes: list[tuple[int, ...]] = []

    def see(x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape[:2]))
        return x

    with torch.no_grad():
        _value(inspected, f, see)
    ends = list(inspected.layers.values())
    lengths = torch.tensor([len(row) for row in inspected.parts or inspected.steps])
    elsewhere = bool(inspected.parts or inspected.written)  # than where the answer is told
    found, made = [], 0
    for number, shape in enumerate(shapes):
        part = torch.full(shape, torch.nan, dtype=torch.float64)
        end = ends[number] if number < len(ends) and ends[number] is not None else places
        last = lengths - 1 if end is None or elsewhere else end
        nearest = [
            sorted(range(length), key=lambda step, near=near: abs(step - near))[:_LEFT_OUT]  # type: ignore[misc]
            for length, near in zip(lengths.tolist(), last.tolist(), strict=True)
        ]
        for round_ in range(max(map(len, nearest))):
            rows = [row for row, steps in enumerate(nearest) if round_ < len(steps)]
            steps = [nearest[row][round_] for row in rows]
            with torch.no_grad():
                without = _value(inspected, f, _without(number, rows, steps))
            part[rows, steps] = (full - without).cpu()[rows]
            made += 1
        found.append(part)
    return found, made


def _without(number: int, rows: list[int], steps: list[int]) -> Change:
    """Empties one step of some rows in the reading of this number."""
    readings = iter(range(number + 1))

    def change(x: Tensor) -> Tensor:
        if next(readings, None) != number:
            return x
        x = x.clone()
        x[rows, steps] = 0
        return x

    return change


def _by_item(
    inspected: Inspected, found: Sequence[Tensor], items: Sequence[Sequence[str]]
) -> list[NDArray[np.float64]]:
    """The attributions of each row's items: the sum over the steps that read it."""
    values = [np.zeros(len(row)) for row in items]
    for number, part in enumerate(found):
        numbers = part.cpu().numpy()
        for row, one in enumerate(values):
            known = numbers[row, : len((inspected.parts or inspected.steps)[row])]
            mapped = inspected.places and not inspected.parts
            places = inspected.places[number][row].numpy() if mapped else np.arange(len(one))
            np.add.at(one, places[: len(known)], known)
    if inspected.written and not inspected.parts:  # only what is read has vectors
        for one, read in zip(values, inspected.steps, strict=True):
            one[len(read) :] = np.nan
    return values

"""Gradients through time: how strongly what is said at step t depends on the state k steps before, and why.

    g(k) = mean over rows and t of | d loss_t / d h_{t-k} |

All derivatives are total ones, of autograd: along every way through layers and steps. The recurrent Jacobian
d s_t / d s_{t-1} of one step, s all states of a layer side by side, tells by what a gradient is multiplied on its way
back: by at most its largest singular value, and in the long run by about its largest eigenvalue.

Sources: Hochreiter (1991), Untersuchungen zu dynamischen neuronalen Netzen; Bengio, Simard and Frasconi (1994),
Learning long-term dependencies with gradient descent is difficult, https://doi.org/10.1109/72.279181.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.inspection.reach import Reach
from elman.inspection.watching import Layer
from elman.nn import eager


def state_gradients(
    losses: Tensor, layers: Sequence[Layer], steps: Tensor | None = None, state: str = "h"
) -> list[NDArray[np.float64]]:
    """Norms (B, T) of d loss / d state at every step, one array for each layer.

    Args:
        losses: (B, T) of every step, or (B,) of every row; in one graph with the layers.
        layers: of a `Trace`.
        steps: (B,) which of (B, T) losses, for each row.
        state: "h", or another state of the cell.

    >>> from elman.inspection import trace
    >>> from elman.nn import Recurrent
    >>> seen = trace(Recurrent("gru", 3, 4), torch.randn(2, 5, 3))
    >>> (norms,) = state_gradients(seen.output[0].sum(2), seen.layers, torch.tensor([2, 2]))
    >>> (norms > 0).any(0).tolist()
    [True, True, True, False, False]
    """
    return _norms(_asked(losses, steps), [layer.nodes(state) for layer in layers])


def _asked(losses: Tensor, steps: Tensor | None) -> Tensor:
    return losses if steps is None else losses.gather(1, steps.to(losses.device)[:, None])


def _norms(losses: Tensor, groups: Sequence[Sequence[Tensor]]) -> list[NDArray[np.float64]]:
    """Of the sum of the losses by each of some groups of tensors (B, H), (B, tensors) each: one way back for all."""
    flat = [node for each in groups for node in each]
    found = iter(torch.autograd.grad(losses.sum(), flat, retain_graph=True, allow_unused=True))
    zero = losses.new_zeros(len(losses))
    return [
        torch.stack(
            [
                zero if g is None else torch.linalg.vector_norm(g.double(), dim=1)
                for g in itertools.islice(found, len(each))
            ],
            1,
        )
        .cpu()
        .numpy()
        for each in groups
    ]


def through_time(
    losses: Tensor,
    layers: Sequence[Layer],
    ends: Sequence[Tensor | None] = (),
    *,
    state: str = "h",
    samples: int = 8,
) -> list[Reach]:
    """g(k) of each layer: the mean norm of d loss_t / d state_{t-k}, for one in reverse of d loss_t / d state_{t+k}.

    Args:
        losses: (B, T) of every step, or (B,) of every row; in one graph with the layers.
        layers: of a `Trace`, all with that state.
        ends: for each layer (B,), the step of each row from which lags of (B,) losses are counted; None, or nothing
            given: the last one that the layer reads.
        state: "h", or another state.
        samples: about how many losses of steps are followed back, over all rows.
    """
    return through_time_of(losses, [(layer, state) for layer in layers], ends, samples=samples)


def through_time_of(
    losses: Tensor,
    states: Sequence[tuple[Layer, str]],
    ends: Sequence[Tensor | None] = (),
    *,
    samples: int = 8,
) -> list[Reach]:
    """As `through_time`, for one state of a layer each."""
    layers = [layer for layer, _ in states]
    nodes = [layer.nodes(state) for layer, state in states]
    found: list[list[NDArray[np.float64]]] = [[] for _ in layers]
    for steps in _steps(losses, layers, samples):
        norms = _norms(_asked(losses, steps), nodes)
        for number, (layer, each) in enumerate(zip(layers, norms, strict=True)):
            last = layer.lengths.numpy()
            given = steps if steps is not None else ends[number] if ends else None
            places = (
                given.numpy() if given is not None else np.zeros_like(last) if layer.reverse else last - 1
            )
            found[number] += [
                row[place:length] if layer.reverse else row[: place + 1][::-1]
                for row, place, length in zip(each, places, last, strict=True)
                if length
            ]
    return [Reach(mean_by_lag(rows)) for rows in found]


def jacobian(layer: Layer, row: int, step: int) -> NDArray[np.float64]:
    """d s_t / d s_{t-1} of one row at one step, (S, S): s holds the states of the cell side by side, h first.

    The input of the step stays as it is. In a layer in reverse t - 1 is the step behind t.
    """
    seen = layer.seen
    before = step + 1 if layer.reverse else step - 1
    first = step == (int(layer.lengths[row]) - 1 if layer.reverse else 0)
    states = seen.start if first else seen.moments[before].states
    names = layer.cell.state_names
    given = [states[name][row].detach().double() for name in names]
    sizes = [len(each) for each in given]
    weights = eager.Weights(*(None if w is None else w.detach().double() for w in seen.weights))  # type: ignore
    x = seen.x[step : step + 1, row : row + 1].detach()
    x = x.double() if x.is_floating_point() else x
    size = sum(sizes)
    with torch.enable_grad():  # one copy of the state for each number behind the step: its gradient is a row
        copies = torch.cat(given).repeat(size, 1).requires_grad_()
        state = dict(zip(names, torch.split(copies, sizes, 1), strict=True))
        new = eager.one_step(layer.cell, x.expand(1, size, *x.shape[2:]), weights, state)
        (found,) = torch.autograd.grad(torch.cat([new[name] for name in names], 1).diagonal().sum(), copies)
    return np.asarray(found.cpu().numpy())


def mean_by_lag(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean at every lag over the rows that reach so far; what is NaN is left out."""
    longest = max((len(row) for row in rows), default=0)
    total, count = np.zeros(longest), np.zeros(longest)
    for row in rows:
        total[: len(row)] += np.nan_to_num(row)
        count[: len(row)] += ~np.isnan(row)
    return np.asarray(np.divide(total, count, out=np.full(longest, np.nan), where=count > 0))


def _steps(losses: Tensor, layers: Sequence[Layer], samples: int) -> list[Tensor | None]:
    """Which losses to follow back: the last of each row, or those in the middle where a layer reads from the end."""
    if losses.dim() == 1 or not layers:
        return [None] if layers else []
    last = layers[0].lengths.clamp(min=1) - 1
    count = min(-(-samples // len(losses)), int(last.max()) // 4 + 1)
    shares = (0.5, 0.75) if any(layer.reverse for layer in layers) else (1.0, 0.5)
    return [(last * share).round().long() for share in np.linspace(*shares, count)]

"""The one door through which inspection sees a task: some of its inputs, and its network reading them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

ROWS = 16
"""Rows that a task need give at most, and:"""

CELLS = 16_384
"""the steps of all of them together, padding included, unless a single one is longer."""

Ends: TypeAlias = "Tensor | None"
"""(B,) the step of each row that a layer's answer is told from; None: its last, or, of answers at every step, each."""


@dataclass(frozen=True)
class Inspected:
    """Some inputs of a task, and how its network reads them; what every inspection starts from.

    Attributes:
        network: in evaluation mode.
        read: runs the network on the inputs, in the mode of autograd that it is called in: scores (B, T, K) at every
            step, or (B, K) of every row. The same call gives the same scores.
        objective: of these scores, (B, T) or (B,): what gradients are taken of. It is the loss where the truth is
            known, else by how much the answer leads the next best, or the value that is forecast.
        asked: what the objective is, in words.
        steps: what each row reads, step by step, as texts.
        layers: names of the modules that read these steps, and where in each the answer is told from.
        answers: names of the K scores; empty where they have none.
        window: steps that gradients flowed back through in training, where it cut them; None: whole rows.
        vectors: name of the module whose outputs (B, T, E) are the vectors of the steps; "": they are what the layers
            read.
        items: what each row holds, as texts, where that is not its steps, as of a row that is read from both ends;
            places: then, for every reading of the vectors, (B, T) the item of each step.
        written: what each row says, step by step, where that is not at the steps which it reads but at those of the
            last of the layers; `items` are then what is read, and behind it what those read while they write.
        said: (B, T) the number of the answer that was given at each step, where it need not be the likeliest.
        stepped: (B,) steps of each row of the layers that are called for one step at a time.
        parts: what the vectors are of, as texts, where that is no step: cells of a picture, row by row in `grid`, and
            `images` (H, W, 3) with these cells.
        fewer: the same with so many rows, the first ones, for what takes long; None: all there are is little.
        again: the same rows read by a network with other weights; None: the task reads them again as it did these.
        text: whether steps and items are pieces of a text, and not moments of a sound or a series.
    """

    network: nn.Module
    read: Callable[[], Tensor]
    objective: Callable[[Tensor], Tensor]
    asked: str
    steps: Sequence[Sequence[str]]
    layers: Mapping[str, Ends] = field(default_factory=lambda: {"recurrent": None})
    answers: Sequence[str] = ()
    window: int | None = None
    vectors: str = ""
    items: Sequence[Sequence[str]] = ()
    places: Sequence[Tensor] = ()
    written: Sequence[Sequence[str]] = ()
    said: Ends = None
    stepped: Ends = None
    parts: Sequence[Sequence[str]] = ()
    grid: tuple[int, int] = (0, 0)
    images: Sequence[NDArray[Any]] = ()
    fewer: Callable[[int], Inspected] | None = None
    again: Callable[[Any], Inspected] | None = None
    text: bool = True

    def read_by(self, stack: int) -> Sequence[Sequence[str]]:
        """What the layers of this number read, step by step."""
        if not stack or not self.written:
            return self.steps
        return [row[len(read) :] for row, read in zip(self.items, self.steps, strict=True)]


def lead(scores: Tensor) -> Tensor:
    """By how much the best of K scores (..., K) leads the next best; of a single score, the score."""
    if scores.shape[-1] == 1:
        return scores.squeeze(-1)
    best = scores.topk(2, -1).values
    return best[..., 0] - best[..., 1]


def few(lengths: Sequence[int]) -> int:
    """How many of some rows, from the first, can be looked at together."""
    longest = 0
    for count, length in enumerate(lengths):
        longest = max(longest, length)
        if count == ROWS or (count and (count + 1) * longest > CELLS):
            return count
    return len(lengths)

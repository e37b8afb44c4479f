"""What the loop knows of a task: a model, its batches, its loss and its validation.

>>> import torch
>>> Loss(total=torch.tensor(6.0), count=3).carry is None
True
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(slots=True)
class Loss:
    """Loss of one batch: `total`, a scalar tensor, is the sum over `count` items (padding is no item).

    `carry` is what the next batch of the epoch starts from: None, a tensor, or dicts, lists and tuples of them.
    """

    total: torch.Tensor
    count: int
    carry: Any = None


class Batches(Protocol):
    """The batches of an epoch, the same for the same number, from any position on."""

    def __len__(self) -> int:
        """Batches in an epoch, the same in every epoch and for every process."""
        ...

    def epoch(self, number: int, start: int = 0) -> Iterator[Any]:
        """Batches `start`, `start + 1`, ... of epoch `number` (from 0): len(self) - start of them.

        No work is spent on those before `start`.
        """
        ...


class Problem(Protocol):
    """A task as the loop sees it.

    The loop moves `model` to its device; `loss` and `validate` move what they are given to the model's device.
    Under several processes `batches` is this process's share, of equal length everywhere.
    """

    @property
    def model(self) -> torch.nn.Module: ...

    @property
    def batches(self) -> Batches: ...

    @property
    def items(self) -> str:
        """What `Loss.count` counts, in the plural: "characters"."""
        ...

    @property
    def score(self) -> str:
        """Name of the main score, a key of what `validate` returns."""
        ...

    def loss(self, batch: Any, carry: Any) -> Loss:
        """Loss of a batch; `carry` is None at the start of an epoch, else the last one, detached."""
        ...

    def validate(self) -> dict[str, float]:
        """Scores on held-out data, "loss" (mean per item) among them; called in eval and inference mode.

        Without held-out data there is no "loss": the training loss then decides which weights are the best.
        """
        ...

    def sample(self) -> str | None:
        """What the model makes now, as text for progress and report; None where a task has no such thing."""
        ...

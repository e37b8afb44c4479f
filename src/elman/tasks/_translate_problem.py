"""A translator as the training loop sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.tasks._task import Scores
from elman.tasks._writing import Searching
from elman.tasks._writing_problem import WritingProblem

if TYPE_CHECKING:
    import torch

    from elman.tasks.translate import Translator


class TranslationProblem(WritingProblem):
    """Pairs of like length together."""

    def __init__(self, task: Translator) -> None:
        super().__init__(task.network_, len(task._held) > 0)
        self._task = task
        self.batches = _batches(task)

    def _read(self, batch: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        return self._task._tensors([self._task._rows[0][k] for k in batch])

    def _written(self, batch: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._task._tensors([self._task._rows[1][k] for k in batch])

    def validate(self) -> Scores:
        scores, task = self._logged(), self._task
        return {**task._losses(*task._held_rows), **scores} if len(task._held) else scores

    def sample(self) -> str:
        """A source and the answer to it."""
        task = self._task
        asked = (task._training if task._training_judged else task._held).sources[:1]
        rows = task._encoded(task.source_vocabulary_, asked)
        (found,) = task._write(asked, rows, Searching(beam_size=1), others=task._training_judged)
        return f"{asked[0]} -> {found[0].text}"


def _batches(task: Translator) -> data.BucketBatches:
    from elman import train

    world = train.World.here()
    lengths = [len(read) + len(written) for read, written in zip(*task._rows, strict=True)]
    return data.BucketBatches(
        lengths, task.batch_size * world.size, seed=task.seed, rank=world.rank, world=world.size
    )


def padding(task: Translator) -> float:
    """Share of the cells of the first epoch's batches, sources and targets, that are padding."""
    cells = filled = 0
    for batch in _batches(task).epoch(0):
        for part in task._rows:
            lengths = [len(part[k]) for k in batch]
            cells, filled = cells + len(lengths) * max(lengths, default=0), filled + sum(lengths)
    return 1 - filled / max(cells, 1)

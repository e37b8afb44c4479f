"""A captioner as the training loop sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.tasks._task import Scores
from elman.tasks._writing_problem import WritingProblem

if TYPE_CHECKING:
    import torch

    from elman.tasks.caption import Captioner


class CaptionProblem(WritingProblem):
    """Images with captions of like length together."""

    def __init__(self, task: Captioner) -> None:
        from elman import train

        super().__init__(task.network_, len(task._held) > 0)
        world = train.World.here()
        self._task = task
        self.batches = data.BucketBatches(
            [len(row) for row in task._rows],
            task.batch_size * world.size,
            seed=task.seed,
            rank=world.rank,
            world=world.size,
        )

    def _read(self, batch: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        return self._task._seen([self._task._training.pictures[k] for k in batch])

    def _written(self, batch: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._task._told([self._task._rows[k] for k in batch])

    def validate(self) -> Scores:
        scores, task = self._logged(), self._task
        return {**task._losses(task._held, task._held_rows), **scores} if len(task._held) else scores

    def sample(self) -> str:
        """A caption, and what it should be."""
        task = self._task
        shown = (task._held if len(task._held) else task._training).take([0])
        (found,) = task._write(shown.pictures, task.predicting(beam_size=1))
        return f"{found[0].text} (should be: {shown.texts[0]})"

"""A captioner as the training loop sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.tasks._task import Scores

if TYPE_CHECKING:
    from elman.tasks.caption import Captioner
    from elman.train.problem import Loss


class CaptionProblem:
    """Images with captions of like length in a batch. Without held-out images its scores are those of the training."""

    items = "symbols"

    def __init__(self, task: Captioner) -> None:
        from elman import train

        world = train.World.here()
        self._task, self.model = task, task.network_
        self.batches = data.BucketBatches(
            [len(row) for row in task._rows],
            task.batch_size * world.size,
            seed=task.seed,
            rank=world.rank,
            world=world.size,
        )
        self.score = "accuracy" if len(task._held) else "train_accuracy"

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:
        """Loss of the captions and their ends; what is carried: right guesses and symbols of the epoch."""
        import torch

        from elman.train.problem import Loss

        bias, task = self.model.decoder.bias, self._task
        if len(batch):
            carried = self.model.begin(*task._seen([task._training.pictures[k] for k in batch]))
            written = task._told([task._rows[k] for k in batch])
            nats, right, count = self.model.decoder.learn(carried, *written)
        else:  # more processes than images: nothing, that still reaches every weight
            nats = torch.stack([p.sum() for p in self.model.parameters()]).sum() * 0
            right, count = bias.new_zeros((), dtype=torch.long), 0
        seen = torch.stack([right, torch.tensor(count, device=bias.device)])
        self._counted = seen if carry is None else carry + seen
        return Loss(nats, count, self._counted)

    def validate(self) -> Scores:
        right, count = self._counted.tolist()
        scores, task = {"train_accuracy": right / max(count, 1)}, self._task
        return {**task._losses(task._held, task._held_rows), **scores} if len(task._held) else scores

    def sample(self) -> str:
        """A caption, and what it should be."""
        task = self._task
        shown = (task._held if len(task._held) else task._training).take([0])
        (found,) = task._write(shown.pictures, task.predicting(beam_size=1))
        return f"{found[0].text} (should be: {shown.texts[0]})"

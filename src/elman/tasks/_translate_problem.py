"""A translator as the training loop sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.tasks._task import Scores
from elman.tasks._writing import Searching

if TYPE_CHECKING:
    from elman.tasks.translate import Translator
    from elman.train.problem import Loss


class TranslationProblem:
    """Batches, loss and validation. Without held-out pairs its scores are those of the training.

    Beside them each evaluation logs the seconds that encoder and decoder took, forward, in the updates before it.
    """

    items = "symbols"

    def __init__(self, task: Translator) -> None:
        self._task, self.model = task, task.network_
        self.batches = _batches(task)
        self.score = "accuracy" if len(task._held) else "train_accuracy"
        self._encoding = self._decoding = 0.0

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:
        """Loss of the targets and their ends; what is carried: right guesses and targets of the epoch."""
        import torch

        from elman.train.problem import Loss

        bias = self.model.decoder.bias
        if len(batch):
            read, written = ([part[k] for k in batch] for part in self._task._rows)
            begun = time.perf_counter()
            carried = self.model.begin(*self._task._tensors(read))
            middle = time.perf_counter()
            nats, right, count = self.model.decoder.learn(carried, *self._task._tensors(written))
            self._encoding += middle - begun
            self._decoding += time.perf_counter() - middle
        else:  # more processes than pairs: nothing, that still reaches every weight
            nats = torch.stack([p.sum() for p in self.model.parameters()]).sum() * 0
            right, count = bias.new_zeros((), dtype=torch.long), 0
        seen = torch.stack([right, torch.tensor(count, device=bias.device)])
        self._seen = seen if carry is None else carry + seen
        return Loss(nats, count, self._seen)

    def validate(self) -> Scores:
        right, count = self._seen.tolist()
        scores = {"train_accuracy": right / max(count, 1)}
        scores |= {"encoder_seconds": round(self._encoding, 3), "decoder_seconds": round(self._decoding, 3)}
        self._encoding = self._decoding = 0.0
        task = self._task
        return scores if not len(task._held) else {**task._losses(*task._held_rows), **scores}

    def sample(self) -> str:
        """A source and the answer to it."""
        pairs = self._task._held if len(self._task._held) else self._task._training
        rows = self._task._encoded(self._task.source_vocabulary_, pairs.sources[:1])
        (found,) = self._task._write(pairs.sources[:1], rows, Searching(beam_size=1))
        return f"{pairs.sources[0]} -> {found[0].text}"


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

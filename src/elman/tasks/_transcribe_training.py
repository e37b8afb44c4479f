"""A transcriber as the training loop sees it, and many sounds through its network at once. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from elman import data, train
from elman.data import ctc
from elman.data.audio import Floats
from elman.data.ctc import Symbols
from elman.inspection.inspected import Inspected, few, lead
from elman.nn.transcriber import TranscriberNetwork
from elman.tasks._transcribe_scores import text_scores
from elman.train.problem import Loss

if TYPE_CHECKING:
    from elman.tasks.transcribe import Transcriber

_ROWS = 32  # sounds that are read at once without learning


class TranscriptionProblem:
    """Sounds in batches of like length, changed at random; without held-out data there is no validation loss."""

    def __init__(self, task: Transcriber) -> None:
        world = train.World.here()
        self._task = task
        self._changes = task.augmentation()
        self.model = task.network_
        self.batches = data.BucketBatches(
            [len(frames) for frames in task._training_frames],
            task.batch_size * world.size,
            seed=task.seed,
            rank=world.rank,
            world=world.size,
        )
        self.items = "symbols"
        self.score = task.compared.score

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:  # noqa: ARG002
        """Nats of the texts of some sounds, over all their symbols."""
        if not len(batch):
            zero = self.model.output.weight.new_zeros(())
            return Loss(sum((p.sum() * 0 for p in self.model.parameters()), zero), 0)
        targets = [self._task._training_targets[row] for row in batch]
        logs, steps = read(self.model, self._frames(batch))
        return Loss(self.model.nats(logs, steps, targets).sum(), sum(map(len, targets)))

    def validate(self) -> dict[str, float]:
        """Scores of the likeliest symbols at every step."""
        task = self._task
        sounds, targets, judged = task._judged_part
        training = self.model.training
        logs = logs_of(self.model, [task.frames_.of(samples) for samples in sounds])
        heard = []
        for part in logs:
            decoder = ctc.Greedy()
            decoder.push(part)
            heard.append(task.vocabulary_.decode(decoder.decoded().symbols).strip())
        scores = text_scores(judged.texts, heard)
        if len(task._held):
            scores = {"loss": loss_of(self.model, logs, targets), **scores}
        self.model.train(training)
        return scores

    def sample(self) -> None:
        return None

    def _frames(self, batch: NDArray[np.int64]) -> list[Floats]:
        """The frames of some sounds, changed as a number that torch's generator draws decides."""
        task, changes = self._task, self._changes
        if changes is None:
            return [task._training_frames[row] for row in batch]
        rng = np.random.default_rng(int(torch.randint(1 << 62, ())))
        found = []
        for row in batch:
            samples = changes.samples(task._training_sounds[row], rng)
            found.append(changes.masked(task.frames_.of(samples, changes.drawn_warp(rng)), rng))
        return found


def read(network: TranscriberNetwork, frames: Sequence[Floats]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logarithms of the probabilities (B, S, K + 1) of some sounds (t, F), and the steps (B,) of each."""
    padded, lengths = data.pad(frames, np.float32)
    device = network.output.weight.device
    logs, steps, _ = network(torch.from_numpy(padded).to(device), torch.from_numpy(lengths).to(device))
    return logs, steps


def inspected_sounds(
    network: TranscriberNetwork, frames: Sequence[Floats], names: Sequence[str], seconds: float
) -> Inspected:
    """Sounds (t, F) that are heard; names: of the symbols; seconds: from one frame to the next."""
    counts = [-(-len(row) // network.time_reduction) for row in frames]
    chosen = frames[: few(counts)]
    network.eval()
    return Inspected(
        network,
        lambda: read(network, chosen)[0],
        lead,
        "the lead of the likeliest symbol",
        [
            [f"{step * network.time_reduction * seconds:.2f} s" for step in range(count)]
            for count in counts[: len(chosen)]
        ],
        answers=(*names, "(blank)"),
        text=False,
    )


@torch.inference_mode()
def logs_of(network: TranscriberNetwork, frames: Sequence[Floats]) -> list[NDArray[np.float32]]:
    """Logarithms of the probabilities (S, K + 1) of each sound, dropout off."""
    logs: list[Any] = [None] * len(frames)
    for rows in data.in_batches([len(row) for row in frames], _ROWS):
        found, steps = read(network.eval(), [frames[row] for row in rows])
        for row, part, count in zip(rows, found.cpu().numpy(), steps.tolist(), strict=True):
            logs[row] = part[:count]
    return logs


def loss_of(
    network: TranscriberNetwork, logs: Sequence[NDArray[np.float32]], targets: Sequence[Symbols | None]
) -> float:
    """Nats a symbol, over the texts there are; infinite where there are none."""
    total, count = 0.0, 0
    for part, target in zip(logs, targets, strict=True):
        if target is not None:
            told = torch.from_numpy(part)[None].double()
            total += float(network.nats(told, torch.tensor([len(part)]), [target]))
            count += len(target)
    return total / count if count else math.inf

"""What an encoder-decoder is to the training loop, whatever it reads: the loss, and what is logged beside it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.tasks._task import Scores

if TYPE_CHECKING:
    import torch

    from elman.nn.encoder_decoder import EncoderDecoder
    from elman.train.problem import Loss


class WritingProblem(ABC):
    """Batches of rows by number, and the loss of what is to be written for each. Without held-out rows the scores are
    those of the training.

    Beside them each evaluation logs the seconds that encoder and decoder took, forward, in the updates before it; on
    the CPU only, for a GPU is told what to do and computes later.
    """

    items = "symbols"

    def __init__(self, network: EncoderDecoder, held_out: bool) -> None:
        self.model = network
        self.score = "accuracy" if held_out else "train_accuracy"
        self._encoding = self._decoding = 0.0

    @abstractmethod
    def _read(self, batch: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        """What the network reads of some rows: what `EncoderDecoder.begin` takes."""

    @abstractmethod
    def _written(self, batch: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """The symbols (B, T) that are to be written, and the lengths (B,)."""

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:
        """Loss of the targets and their ends; what is carried: right guesses and targets of the epoch."""
        import torch

        from elman.train.problem import Loss

        bias = self.model.decoder.bias
        if len(batch):
            begun = time.perf_counter()
            carried = self.model.begin(*self._read(batch))
            middle = time.perf_counter()
            nats, right, count = self.model.decoder.learn(carried, *self._written(batch))
            self._encoding += middle - begun
            self._decoding += time.perf_counter() - middle
        else:  # more processes than rows: nothing, that still reaches every weight
            nats = torch.stack([p.sum() for p in self.model.parameters()]).sum() * 0
            right, count = bias.new_zeros((), dtype=torch.long), 0
        seen = torch.stack([right, torch.tensor(count, device=bias.device)])
        self._seen = seen if carry is None else carry + seen
        return Loss(nats, count, self._seen)

    def _logged(self) -> Scores:
        """What the updates since the last evaluation have shown."""
        right, count = self._seen.tolist()
        seconds = {}
        if self.model.decoder.bias.device.type == "cpu":
            seconds = {
                "encoder_seconds": round(self._encoding, 3),
                "decoder_seconds": round(self._decoding, 3),
            }
        self._encoding = self._decoding = 0.0
        return {"train_accuracy": right / max(count, 1), **seconds}

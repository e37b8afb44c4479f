"""The network of a transcriber: frames of sound in, probabilities of the symbols at every step out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.nn.dropout import Dropout
from elman.nn.recurrent import Recurrent

Floats = NDArray[np.float32]

_BLOCK = 4  # steps read at once of a sound that comes piece by piece


class TranscriberNetwork(nn.Module):
    """Logarithms of the probabilities of K symbols and a blank, at every step of a batch of sounds.

    Each r frames side by side are one step, the last of a sound filled up with zeros -> recurrent layers -> dropout ->
    linear: s_t = W h_t + b, and ln P_t[k] = s_t[k] - ln sum over j of exp(s_t[j]); the blank is the last.

    Outside of training what comes after the layers is computed in float64 and then rounded.

    Args:
        recurrent: the layers, of one direction or two, reading r F features.
        symbols: K.
        time_reduction: r, frames of a step.
        dropout: probability in [0, 1) of dropping an output of the last layer.
        variational: drop the same outputs at every step of a row.

    Input: frames (B, T, F) of F features; lengths (B,) of the rows in frames, in any order, what lies behind has no
        effect; state by name as `Recurrent` takes it, or None for zeros (one direction: where a sound goes on, all
        frames before having made whole steps).
    Output: (B, ceil(T / r), K + 1), the steps (B,) of each row, and the state after its last.

    Not covered: steps of several frames that overlap, attention.

    >>> network = TranscriberNetwork(Recurrent("gru", 2 * 5, 7), 3, time_reduction=2)
    >>> logs, steps, _ = network(torch.zeros(2, 5, 5), torch.tensor([5, 2]))
    >>> logs.shape, steps.tolist()
    (torch.Size([2, 3, 4]), [3, 1])
    """

    def __init__(
        self,
        recurrent: Recurrent,
        symbols: int,
        *,
        time_reduction: int = 1,
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__()
        if recurrent.input_size % time_reduction:
            raise InputError(
                f"TranscriberNetwork: layers that read {recurrent.input_size} features cannot read "
                f"{time_reduction} frames side by side; expected a multiple of {time_reduction}."
            )
        self.recurrent, self.time_reduction = recurrent, time_reduction
        self.output_dropout = Dropout(dropout, variational)
        self.output = nn.Linear(recurrent.hidden_size * (2 if recurrent.bidirectional else 1), symbols + 1)

    def forward(
        self, frames: Tensor, lengths: Tensor, state: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        rows, count, features = frames.shape
        steps = -(-lengths // self.time_reduction)
        inside = torch.arange(count, device=frames.device) < lengths[:, None]
        x = F.pad(frames * inside[:, :, None], (0, 0, 0, -count % self.time_reduction))
        x = x.view(rows, -1, features * self.time_reduction)
        output, after = self.recurrent(x, state, lengths=steps)
        if self.training:
            return F.log_softmax(self.output(self.output_dropout(output)), -1), steps, after
        scores = F.linear(output.double(), self.output.weight.double(), self.output.bias.double())
        return F.log_softmax(scores, -1).float(), steps, after

    def nats(self, logs: Tensor, steps: Tensor, texts: Sequence[NDArray[np.int64]]) -> Tensor:
        """-ln P of the symbols of each row (B,), all paths added up; 0 where a row has too few steps for them.

        Args: logs (B, S, K + 1) and steps (B,) as `forward` gives them; texts: B arrays of symbols.
        """
        targets = torch.from_numpy(np.concatenate(texts)).to(logs.device)
        counts = torch.tensor([len(text) for text in texts], device=logs.device)
        return F.ctc_loss(
            logs.transpose(0, 1), targets, steps, counts,
            blank=logs.shape[2] - 1, reduction="none", zero_infinity=True,
        )  # fmt: skip


class Hearing:
    """One sound through a network as it comes: the same probabilities to the bit, however it is cut into pieces.

    With one direction a few steps are read at a time and the state is kept: constant time and memory for each second.
    With two nothing can be said before the end, and all is read there.
    """

    def __init__(self, network: TranscriberNetwork) -> None:
        self._network = network.eval()
        self._features = network.recurrent.input_size // network.time_reduction
        self._block = _BLOCK * network.time_reduction
        self._held = np.empty((0, self._features), np.float32)
        self._state: dict[str, Tensor] | None = None

    def push(self, frames: Floats) -> Floats:
        """Logarithms of probabilities (S, K + 1) of the steps that are certain once frames (t, F) have come."""
        self._held = np.concatenate([self._held, frames])
        found = [self._none()]
        if not self._network.recurrent.bidirectional:
            while len(self._held) >= self._block:
                found.append(self._read(self._held[: self._block]))
                self._held = self._held[self._block :]
        return np.concatenate(found)

    def finish(self) -> Floats:
        """Those of the last steps."""
        return self._read(self._held) if len(self._held) else self._none()

    @torch.inference_mode()
    def _read(self, frames: Floats) -> Floats:
        device = self._network.output.weight.device
        x, lengths = torch.tensor(frames[None], device=device), torch.tensor([len(frames)], device=device)
        logs, _, self._state = self._network(x, lengths, self._state)
        read: Floats = logs[0].cpu().numpy()
        return read

    def _none(self) -> Floats:
        return np.empty((0, self._network.output.out_features), np.float32)

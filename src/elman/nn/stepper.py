"""One step after the other through layers whose weights are packed once: for what is written symbol by symbol."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from elman import kernels
from elman.nn import paths
from elman.nn.recurrent import Recurrent

_DTYPES = (torch.float32, torch.float64)
_WATCHED = "gradients or dropout are wanted, which the layers themselves have"
_RETURNING = "a layer that reads from the end needs the whole sequence"


class Stepper:
    """`Recurrent` for single steps (N, 1, I) of any number of rows, call after call, until its weights change.

    On the path native the weights are packed once, not at each step: the states are copied into a `kernels.Stream` and
    out of it. Otherwise each step is a call of the layers.

    Attributes:
        path: "native", or another one of `elman.nn.paths`, and why.

    >>> layers = Recurrent("gru", 3, 4).eval()
    >>> with torch.inference_mode():
    ...     output, state = Stepper(layers)(torch.ones(5, 1, 3), {"h": torch.zeros(1, 5, 4)})
    >>> tuple(output.shape), tuple(state["h"].shape)
    ((5, 1, 4), (1, 5, 4))
    """

    def __init__(self, layers: Recurrent) -> None:
        self._layers = layers
        self._weights = dict(layers.named_parameters())
        self.path = self._chosen()
        self._stream: kernels.Stream | None = None
        self._rows = 0

    def __call__(self, x: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Output (N, 1, P) and the state after it; x: (N, 1, I), state by name, each (L, N, P or H)."""
        if self.path.name != "native" or not len(x):
            output, after = self._layers(x, state)
            return output, after
        if self._stream is None or self._rows != len(x):
            params = {name: weight.detach().numpy() for name, weight in self._weights.items()}
            self._rows = len(x)
            self._stream = kernels.Stream(self._layers.cell, params, states=self._rows)
        self._stream.state = {name: part.numpy() for name, part in state.items()}
        output = torch.from_numpy(self._stream.step_many(x[:, 0].numpy()))
        return output[:, None], {name: torch.from_numpy(part) for name, part in self._stream.state.items()}

    def _chosen(self) -> paths.Path:
        layers, weights = self._layers, list(self._weights.values())
        step = weights[0].new_empty(1, layers.input_size)
        path = paths.choose(layers.cell, step, None, None, weights, None)
        if path.name != "native":
            return path
        if layers.bidirectional:
            return paths.Path("eager", _RETURNING)
        if torch.is_grad_enabled() or (layers.training and (layers.dropout or layers.recurrent_dropout)):
            return paths.Path("eager", _WATCHED)
        return path if weights[0].dtype in _DTYPES else paths.LACKING

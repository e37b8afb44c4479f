"""Networks that are data as well: as a graph of operators, and as a function of arrays."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from elman import cells
from elman.graph import RECURRENT_WEIGHTS, Array, Builder, Graph
from elman.nn.recurrent import Recurrent

FLOAT, DOUBLE = 1, 11
"""What `Cast` calls float32 and float64."""
END = int(np.iinfo(np.int64).max)
"""Up to where a `Slice` goes that goes to the end."""


class Described(nn.Module):
    """A network that describes itself as a graph, in evaluation mode: equal inputs, equal numbers up to rounding.

    A subclass says what the graph is (`describe`), and gives its outputs by name (`answer`).
    """

    @abstractmethod
    def describe(self, d: Description) -> None:
        """Write down inputs, nodes and outputs."""

    @abstractmethod
    def answer(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The outputs of the graph by name, of inputs by name, as tensors."""

    def graph(self) -> Graph:
        """The network as data; its weights are views, named as in the state dict, a shared one by its first name."""
        description = Description(self)
        self.describe(description)
        return description.graph()

    def arrays(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of the graph by name, of inputs by name, computed by torch on the network's device."""
        with self.at_work() as device:
            given = {name: torch.from_numpy(np.ascontiguousarray(a)).to(device) for name, a in inputs.items()}
            return {name: tensor.cpu().numpy() for name, tensor in self.answer(given).items()}

    @contextlib.contextmanager
    def at_work(self) -> Iterator[torch.device]:
        """Without gradients and dropout for a while; gives the device that the network is on."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                yield next(self.parameters()).device
        finally:
            self.train(training)


class Description(Builder):
    """A graph of a torch network while it is written down: operators by name, and what is made of several of them."""

    if TYPE_CHECKING:  # but for Split, all operators of networks have one output

        def __getattr__(self, name: str) -> Callable[..., str]: ...

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._named: dict[int, str] = {}
        for name, tensor in network.state_dict(keep_vars=True).items():
            self._named.setdefault(id(tensor), name)

    def tensor(self, tensor: Tensor) -> str:
        """A parameter or buffer of the network, by its first name in the state dict."""
        name = self._named[id(tensor)]
        return name if name in self._weights else self.weight(name, tensor.detach().cpu().numpy())

    def linear(self, x: str, layer: nn.Linear, to: int = FLOAT) -> str:
        """W x + b over the last axis of x, in float32 or float64."""
        weight, bias = self.tensor(layer.weight), self.tensor(layer.bias)
        if to != FLOAT:
            weight, bias = self.cast(weight, to=to), self.cast(bias, to=to)
        return self.add(self.mat_mul(x, self.transpose(weight, perm=[1, 0])), bias)

    def embedded(self, symbols: str, embedding: nn.Embedding) -> str:
        """The vectors of symbols."""
        return self.gather(self.tensor(embedding.weight), symbols)

    def parts(self, x: str, sizes: Sequence[int], axis: int) -> tuple[str, ...]:
        """Parts of x of some sizes along an axis."""
        return cast("tuple[str, ...]", self.split(x, sizes, axis=axis))

    def within(self, x: str, lengths: str) -> str:
        """(B, T): True where a step of x (B, T, ...) is one of its row's, False in the padding."""
        steps = self.range(0, self.gather(self.shape(x), 1), 1)
        return self.less(steps, self.unsqueeze(lengths, [1]))

    def layers(
        self, x: str, layers: Recurrent, lengths: str | None = None, state: Sequence[str] = ()
    ) -> tuple[str, list[str]]:
        """A stack of recurrent layers: the output (B, T, D * P), and the states (L * D, B, P or H) after it, `h` first.

        state: those before it, of the same shapes, or none.
        """
        directions = 1 + layers.bidirectional
        ends: list[tuple[str, ...]] = []
        for number in range(layers.num_layers):
            before = list(state)
            if layers.num_layers > 1:
                first = number * directions
                before = [self.slice(s, [first], [first + directions], [0]) for s in state]
            h_0, c_0 = [*before, None, None][:2]
            x, *last = self.recurrent(
                layers.cell,
                x,
                [self._weights_of(layers, cells.suffix(number, bool(k))) for k in range(directions)],
                lengths=lengths,
                h_0=h_0,
                c_0=c_0,
                direction="bidirectional" if layers.bidirectional else "forward",
            )
            ends.append(tuple(last))
        after = zip(*ends, strict=True)
        return x, [parts[0] if len(parts) == 1 else self.concat(*parts, axis=0) for parts in after]

    def _weights_of(self, layers: Recurrent, suffix: str) -> dict[str, str]:
        found = {stem: getattr(layers, stem + suffix, None) for stem in RECURRENT_WEIGHTS}
        return {stem: self.tensor(weight) for stem, weight in found.items() if weight is not None}

    def last_states(self, h_n: str, layers: Recurrent) -> str:
        """The states h of the last layer's directions side by side, (B, D * P)."""
        directions, size = 1 + layers.bidirectional, layers.proj_size or layers.hidden_size
        last = self.slice(h_n, [-directions], [END], [0]) if layers.num_layers > 1 else h_n
        return self.reshape(self.transpose(last, perm=[1, 0, 2]), [-1, directions * size])

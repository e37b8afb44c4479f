"""Random configurations of the drop-ins, each with a torch layer, ours with the same weights, and a call."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman.nn


@dataclass(frozen=True)
class Configuration:
    """One drawn case: class name, constructor keywords and what the call is given."""

    kind: str
    options: dict[str, Any]
    batch: int | None
    steps: int
    packed: bool
    sorted: bool
    with_state: bool
    seed: int

    def layers(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """torch's layer and ours, from the same seed."""
        pair = []
        for module in (torch.nn, elman.nn):
            torch.manual_seed(self.seed)
            pair.append(getattr(module, self.kind)(**self.options))
        return pair[0], pair[1]

    def inputs(self) -> tuple[Any, Any, list[torch.Tensor]]:
        """Input, state, and the leaves among them."""
        torch.manual_seed(self.seed + 1)
        o = self.options
        rows = o["num_layers"] * (2 if o["bidirectional"] else 1)
        axes = () if self.batch is None else (self.batch,)
        shape = (*axes, self.steps) if o["batch_first"] and axes else (self.steps, *axes)
        x = torch.randn(*shape, o["input_size"], dtype=o["dtype"], requires_grad=True)
        h = torch.randn(
            rows, *axes, o.get("proj_size") or o["hidden_size"], dtype=o["dtype"], requires_grad=True
        )
        c = torch.randn(rows, *axes, o["hidden_size"], dtype=o["dtype"], requires_grad=True)
        leaves, given = [x], x
        if self.packed:
            lengths = torch.randint(1, self.steps + 1, (self.batch,))
            if self.sorted:
                lengths = lengths.sort(descending=True).values
            given = pack_padded_sequence(x, lengths, o["batch_first"], enforce_sorted=self.sorted)
        if not self.with_state:
            return given, None, leaves
        if self.kind == "LSTM":
            return given, (h, c), [x, h, c]
        return given, h, [x, h]


def draw(seed: int) -> Configuration:
    """The configuration of that number."""
    dice = random.Random(seed)
    kind = dice.choice(["RNN", "LSTM", "GRU"])
    hidden = dice.randint(2, 20)
    options: dict[str, Any] = {
        "input_size": dice.randint(1, 20),
        "hidden_size": hidden,
        "num_layers": dice.randint(1, 3),
        "bias": dice.random() < 0.7,
        "batch_first": dice.random() < 0.5,
        "bidirectional": dice.random() < 0.5,
        "dtype": dice.choice([torch.float32, torch.float64]),
    }
    if kind == "RNN":
        options["nonlinearity"] = dice.choice(["tanh", "relu"])
    if kind == "LSTM" and dice.random() < 0.4:
        options["proj_size"] = dice.randint(1, hidden - 1)
    batch = None if dice.random() < 0.2 else dice.randint(1, 7)
    packed = batch is not None and dice.random() < 0.4
    return Configuration(
        kind, options, batch, dice.randint(1, 12), packed, dice.random() < 0.5, dice.random() < 0.6, seed
    )


def flat(result: Any) -> list[torch.Tensor]:
    """Every tensor of a layer's result, in order; of a packed sequence its data."""
    if isinstance(result, PackedSequence):
        return [result.data]
    if isinstance(result, torch.Tensor):
        return [result]
    return [t for part in result for t in flat(part)]


def gradients(result: Any, leaves: list[torch.Tensor], seed: int) -> tuple[torch.Tensor, ...]:
    """Gradients of the leaves for one random weighting of every number in the result."""
    torch.manual_seed(seed)
    loss = sum((t * torch.randn(t.shape, dtype=t.dtype)).sum() for t in flat(result))
    return torch.autograd.grad(loss, leaves, retain_graph=True)

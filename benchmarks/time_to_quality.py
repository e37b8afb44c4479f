"""One plain PyTorch script, twice: with torch.nn's layer and with elman.nn's, until the same loss on held-out text.

`python -m benchmarks.time_to_quality TEXT --cell gru`: characters as one-hot vectors, random windows, one layer, Adam,
clipping at norm 5; the last tenth is held out. Both start from the same weights and see the same windows. They take
turns of twenty iterations, so that a drift of the machine meets both, and each has a clock of its own; evaluation is
not on it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

import elman.nn
from benchmarks.machine import describe

TURN = 20
LAYERS: dict[str, Any] = {"torch.nn": torch.nn, "elman.nn": elman.nn}


class Model(nn.Module):
    """A layer over one-hot symbols and a linear head. `layers` is the package its layer comes from."""

    def __init__(self, layers: Any, cell: str, symbols: int, hidden: int) -> None:
        super().__init__()
        self.layer = getattr(layers, cell.upper())(symbols, hidden)
        self.head = nn.Linear(hidden, symbols)
        self.symbols = symbols

    def forward(self, x: Tensor) -> Tensor:
        """Symbols (T, B) to the logits of the next ones (T, B, V)."""
        return self.head(self.layer(one_hot(x, self.symbols).float())[0])  # type: ignore[no-any-return]


@dataclasses.dataclass
class Runner:
    """One of the two: its model, its clock (seconds of training), its curve of (iteration, seconds, nats)."""

    model: Model
    optimiser: torch.optim.Optimizer
    windows: torch.Generator
    clock: float = 0.0
    iterations: int = 0
    curve: list[tuple[int, float, float]] = dataclasses.field(default_factory=list)

    def train(self, text: Tensor, steps: int, batch: int) -> None:
        """One turn."""
        begin = time.perf_counter()
        for _ in range(TURN):
            starts = torch.randint(len(text) - steps, (batch,), generator=self.windows)
            rows = text[starts[None, :] + torch.arange(steps + 1)[:, None]]
            loss = cross_entropy(self.model(rows[:-1]).flatten(0, 1), rows[1:].flatten())
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimiser.step()
        self.clock += time.perf_counter() - begin
        self.iterations += TURN

    def evaluate(self, text: Tensor, steps: int) -> float:
        """Nats per character over the held-out text, in windows of `steps` side by side."""
        rows = text[: (len(text) - 1) // steps * steps].view(-1, steps).T
        targets = text[1 : 1 + rows.numel()].view(-1, steps).T
        with torch.inference_mode():
            nats = float(cross_entropy(self.model(rows).flatten(0, 1), targets.flatten()))
        self.curve.append((self.iterations, self.clock, nats))
        return nats


def reach(options: argparse.Namespace) -> dict[str, Runner]:
    """Train both until each is at the target or has used its seconds."""
    content = options.text.read_text(encoding="utf-8")
    number = {symbol: i for i, symbol in enumerate(sorted(set(content)))}
    text = torch.tensor([number[symbol] for symbol in content])
    cut = len(text) * 9 // 10
    runners = {}
    for name, layers in LAYERS.items():
        torch.manual_seed(options.seed)
        model = Model(layers, options.cell, len(number), options.hidden_size)
        optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
        runners[name] = Runner(model, optimiser, torch.Generator().manual_seed(options.seed))
    first, second = runners.values()
    second.model.load_state_dict(first.model.state_dict())
    going = dict(runners)
    while going:
        for name, runner in list(going.items()):
            runner.train(text[:cut], options.sequence_length, options.batch_size)
            nats = runner.evaluate(text[cut:], options.sequence_length)
            if nats <= options.target or runner.clock > options.seconds:
                going.pop(name)
        last = {name: runner.curve[-1] for name, runner in runners.items()}
        print(f"\r{last}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return runners


def main(arguments: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(prog="python -m benchmarks.time_to_quality", description=__doc__)
    made.add_argument("text", type=Path, help="a UTF-8 text, some 100,000 characters or more")
    made.add_argument("--cell", choices=("rnn", "gru", "lstm"), default="gru")
    made.add_argument(
        "--target", type=float, default=1.60, help="nats per character on the last tenth (%(default)s)"
    )
    made.add_argument(
        "--seconds", type=float, default=600, help="give up after this much training each (%(default)s)"
    )
    made.add_argument("--threads", type=int, default=torch.get_num_threads())
    made.add_argument("--hidden-size", type=int, default=256)
    made.add_argument("--sequence-length", type=int, default=100)
    made.add_argument("--batch-size", type=int, default=64)
    made.add_argument("--seed", type=int, default=0)
    options = made.parse_args(arguments)
    torch.set_num_threads(options.threads)
    runners = reach(options)
    found: dict[str, Any] = {"cell": options.cell, "target": options.target, "threads": options.threads}
    for name, runner in runners.items():
        iterations, seconds, nats = runner.curve[-1]
        reached = nats <= options.target
        found[name] = {"reached": reached, "seconds": seconds, "iterations": iterations, "nats": nats}
        found[name]["ms_per_iteration"] = 1e3 * seconds / iterations
    paces = [found[name]["ms_per_iteration"] for name in LAYERS]
    found["faster_per_iteration"] = paces[0] / paces[1]
    if all(found[name]["reached"] for name in LAYERS):
        found["faster_to_target"] = found["torch.nn"]["seconds"] / found["elman.nn"]["seconds"]
    print(json.dumps(found | {"machine": describe()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

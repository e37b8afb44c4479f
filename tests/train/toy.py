"""A small problem for the loop: a stream of symbols, a recurrent model with dropout, and a carried state.

As a program it trains: `python toy.py slow|plain RUN [--resume] [option=value ...]`; plain is without dropout.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.train import Loss, TrainingOptions, World, fit, seed

SYMBOLS, ROWS, STEPS, CHUNKS = 7, 4, 5, 11


def text(length: int, number: int = 0) -> np.ndarray:
    """Symbols that follow each other by a rule, with some noise."""
    generator = np.random.default_rng(number)
    noise = generator.random(length) < 0.1
    symbols = np.zeros(length, np.int64)
    for t in range(1, length):
        symbols[t] = generator.integers(SYMBOLS) if noise[t] else (symbols[t - 1] * 3 + 1) % SYMBOLS
    return symbols


class Stream:
    """Rows of a text, cut in chunks; with several processes each takes its share of the rows."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        whole = text(ROWS * (CHUNKS * STEPS + 1)).reshape(ROWS, -1)
        self.rows = whole[rank * ROWS // size : (rank + 1) * ROWS // size]

    def __len__(self) -> int:
        return CHUNKS

    def epoch(self, number: int, start: int = 0) -> Iterator[np.ndarray]:
        for chunk in range(start, CHUNKS):
            yield np.roll(self.rows, number, axis=0)[:, chunk * STEPS : (chunk + 1) * STEPS + 1]


class Model(torch.nn.Module):
    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(SYMBOLS, 6)
        self.rnn = torch.nn.GRU(6, 6, batch_first=True)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(6, SYMBOLS)
        self.head.weight = self.embedding.weight  # tied

    def forward(self, x: torch.Tensor, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        output, state = self.rnn(self.embedding(x), state)
        return self.head(self.dropout(output)), state


class Toy:
    items = "symbols"
    score = "accuracy"

    def __init__(self, dropout: float = 0.3, rank: int = 0, size: int = 1) -> None:
        self.model = Model(dropout)
        self.batches = Stream(rank, size)
        self.held_out = torch.from_numpy(text(200, 1))[None]
        self.samples = 0

    def loss(self, batch: np.ndarray, carry: Any) -> Loss:
        x = torch.from_numpy(batch)
        logits, state = self.model(x[:, :-1], None if carry is None else carry["states"][0])
        total = torch.nn.functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten(), reduction="sum")
        return Loss(total, x[:, 1:].numel(), {"states": (state, None)})

    def validate(self) -> dict[str, float]:
        logits, _ = self.model(self.held_out[:, :-1], None)
        target = self.held_out[0, 1:]
        loss = torch.nn.functional.cross_entropy(logits[0], target)
        return {"loss": loss.item(), "accuracy": (logits[0].argmax(-1) == target).double().mean().item()}

    def sample(self) -> str | None:
        self.samples += 1
        return (
            f"noise {torch.rand(()).item():.3f}"  # draws random numbers, which must not disturb the training
        )


def options_of(words: list[str]) -> TrainingOptions:
    """Options from name=value, with the types of what they look like."""
    values: dict[str, Any] = {}
    for word in words:
        name, value = word.split("=")
        try:
            values[name] = float(value) if "." in value else int(value)
        except ValueError:
            values[name] = value
    return TrainingOptions(**values)


class Slow(Toy):
    """A step takes a while, so that a signal finds the training at work."""

    def loss(self, batch: np.ndarray, carry: Any) -> Loss:
        time.sleep(0.002)
        return super().loss(batch, carry)


def main(kind: str, run_path: str, *words: str) -> None:
    resume = "--resume" in words
    options = options_of([word for word in words if word != "--resume"])
    world = World.here()
    seed(options.seed)
    problem = (Slow if kind == "slow" else Toy)(0.3 if kind == "slow" else 0.0, world.rank, world.size)
    run = RunFolder(run_path)
    if world.first:
        run = RunFolder.open(run_path) if resume else RunFolder.create(run_path)
    fit(problem, options, run, resume=resume, config={"task": "toy", "options": {}, "data": {}})


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)
        sys.exit(130)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)

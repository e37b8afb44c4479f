"""What the training loop costs: `elman.train.fit` beside a bare PyTorch loop: `python -m benchmarks.training_overhead`.

A small job: 65 windows of 20 symbols of 40, one layer of 100 units, the next symbol from the last step, batches of 32,
Adam, 100 epochs (300 updates). Both train the same model from the same weights, in turns; `fit` writes its metrics,
TensorBoard scalars, weights and checkpoint as always. Once without validation, once with one every epoch in both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

import elman.nn
from benchmarks.machine import describe
from elman.runfolder import RunFolder
from elman.train import Loss, TrainingOptions, fit

WINDOWS, STEPS, SYMBOLS, HIDDEN, BATCH, EPOCHS = 65, 20, 40, 100, 32, 100
UPDATES = EPOCHS * -(-WINDOWS // BATCH)


class Model(nn.Module):
    """One-hot symbols (B, T) to the logits of the symbol that follows."""

    def __init__(self, layers: Any, cell: str) -> None:
        super().__init__()
        self.layer = getattr(layers, cell.upper())(SYMBOLS, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, SYMBOLS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(one_hot(x, SYMBOLS).float())[0][:, -1])  # type: ignore[no-any-return]


class Windows:
    """Shuffled batches of the windows."""

    def __init__(self) -> None:
        self.rows = torch.randint(SYMBOLS, (WINDOWS, STEPS + 1), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return -(-WINDOWS // BATCH)

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        order = torch.randperm(WINDOWS, generator=torch.Generator().manual_seed(number))
        return iter(torch.split(self.rows[order], BATCH)[start:])


@dataclass(frozen=True)
class Job:
    """The job as `fit` sees it, and as the bare loop uses it."""

    model: Model
    batches: Windows
    items: str = "windows"
    score: tuple[str, bool] = ("accuracy", True)

    def loss(self, batch: Tensor, _carry: Any) -> Loss:
        logits = self.model(batch[:, :-1])
        return Loss(cross_entropy(logits, batch[:, -1], reduction="sum"), len(batch))

    def validate(self) -> dict[str, float]:
        rows = self.batches.rows
        logits = self.model(rows[:, :-1])
        hits = (logits.argmax(1) == rows[:, -1]).float().mean()
        return {"loss": float(cross_entropy(logits, rows[:, -1])), "accuracy": float(hits)}

    def sample(self) -> None:
        return None


def bare(job: Job, validated: bool) -> None:
    """The loop one writes oneself."""
    optimiser = torch.optim.Adam(job.model.parameters(), lr=1e-3)
    for epoch in range(EPOCHS):
        for batch in job.batches.epoch(epoch):
            optimiser.zero_grad()
            cross_entropy(job.model(batch[:, :-1]), batch[:, -1]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if validated or epoch == EPOCHS - 1:
            with torch.inference_mode():
                job.validate()


def ours(job: Job, validated: bool) -> None:
    """`fit` with a run folder; no clipping and no decay, as in the other."""
    every = None if validated else UPDATES
    options = TrainingOptions(
        epochs=EPOCHS, batch_size=BATCH, clip_norm=0, decay="none", evaluate_every=every
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(job, options, RunFolder.create(Path(folder) / "run"))


LOOPS: dict[str, tuple[Any, Callable[[Job, bool], None]]] = {
    "elman.train.fit, elman.nn": (elman.nn, ours),
    "bare loop, elman.nn": (elman.nn, bare),
    "elman.train.fit, torch.nn": (torch.nn, ours),
    "bare loop, torch.nn": (torch.nn, bare),
}


def measure(cell: str, validated: bool, repeats: int) -> dict[str, Any]:
    """Median seconds of each loop, and the median over repeats of fit's time over the bare loop's."""
    taken: dict[str, list[float]] = {name: [] for name in LOOPS}
    for _ in range(repeats + 1):  # the first is not counted
        for name, (layers, loop) in LOOPS.items():
            torch.manual_seed(0)
            job = Job(Model(layers, cell), Windows())
            begin = time.perf_counter()
            loop(job, validated)
            taken[name].append(time.perf_counter() - begin)
    found: dict[str, Any] = {name: statistics.median(times[1:]) for name, times in taken.items()}
    for layers in ("elman.nn", "torch.nn"):
        pairs = zip(taken[f"elman.train.fit, {layers}"][1:], taken[f"bare loop, {layers}"][1:], strict=True)
        found[f"overhead, {layers}"] = statistics.median(fitted / plain for fitted, plain in pairs) - 1
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(prog="python -m benchmarks.training_overhead", description=__doc__)
    made.add_argument("--cells", default="rnn,gru,lstm")
    made.add_argument("--repeats", type=int, default=5)
    options = made.parse_args(arguments)
    found: dict[str, Any] = {"updates": UPDATES, "threads": torch.get_num_threads()}
    for cell in options.cells.split(","):
        for validated in (False, True):
            name = f"{cell}, {'validated every epoch' if validated else 'not validated'}"
            found[name] = measure(cell, validated, options.repeats)
    print(json.dumps(found | {"machine": describe()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

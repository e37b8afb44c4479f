"""What writing with a beam costs beside greedy writing: `python -m benchmarks.beam`.

A decoder as `elman train translate` makes it by default (LSTM with 256 units, vectors of 128, additive attention over
20 steps), with random weights and without an end, so that every sentence has the length it is bound to: 10 to 40
symbols, or 25 of one alone. Both write the same sentences in turns; microseconds for a symbol of a sentence, the median
of some turns, and the median of their ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from benchmarks.machine import describe
from elman.nn import Recurrent
from elman.nn.attention import Attention
from elman.nn.beam import search
from elman.nn.decoder import Decoder
from elman.tasks import Searching

VOCABULARIES = (27, 2000, 8000)
BATCHES = (64, 1)
EMBEDDING, HIDDEN, STEPS = 128, 256, 20


def decoder(symbols: int) -> Decoder:
    """One that never ends by itself."""
    torch.manual_seed(0)
    made = Decoder(
        nn.Embedding(symbols + 1, EMBEDDING),
        Recurrent("lstm", 2 * EMBEDDING, HIDDEN),
        Attention("additive", HIDDEN, 2 * HIDDEN, HIDDEN),
    ).eval()
    with torch.no_grad():
        made.bias[made.end] = -100.0
    return made


def measure(symbols: int, batch: int, beam_size: int, repeats: int) -> dict[str, float]:
    """Microseconds for a symbol of a sentence, and how many times the greedy one's the beam's are."""
    network = decoder(symbols)
    limits = np.linspace(10, 40, batch).round().astype(int).tolist() if batch > 1 else [25]
    memory, lengths = torch.randn(batch, STEPS, 2 * HIDDEN), torch.full((batch,), STEPS)
    with torch.inference_mode():
        carried = network.begin(memory, lengths)
    turns: list[tuple[float, float]] = []
    for _ in range(repeats + 1):
        taken = []
        for size in (1, beam_size):
            begin = time.perf_counter()
            search(network, carried, limits, Searching(beam_size=size))
            taken.append((time.perf_counter() - begin) / sum(limits) * 1e6)
        turns.append((taken[0], taken[1]))
    greedy, beam = zip(*turns[1:], strict=True)
    ratio = statistics.median(second / first for first, second in turns[1:])
    return {"greedy": statistics.median(greedy), "beam": statistics.median(beam), "ratio": ratio}


def main(arguments: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(prog="python -m benchmarks.beam", description=__doc__)
    made.add_argument("--beam-size", type=int, default=5)
    made.add_argument("--repeats", type=int, default=7)
    given = made.parse_args(arguments)
    measured = {
        f"{symbols} symbols, batch {batch}": measure(symbols, batch, given.beam_size, given.repeats)
        for symbols in VOCABULARIES
        for batch in BATCHES
    }
    print(json.dumps({"microseconds": measured, "machine": describe()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Choosing the next symbol from a model's scores: greedy, temperature, top-k, top-p, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from elman.options import option


@dataclass(kw_only=True)
class Drawing:
    """How a symbol is drawn from scores.

    >>> Drawing(temperature=0).choose(np.array([0.1, 2.0, 1.0]), np.random.default_rng(0))
    1
    """

    temperature: float = option(
        1.0, "scores are divided by it: 0 always takes the best symbol, 1 the model as it is", minimum=0
    )
    top_k: int = option(0, "draw from the K best symbols only; 0: from all", minimum=0, metavar="K")
    top_p: float = option(
        1.0,
        "draw from the fewest symbols that together have probability P",
        minimum=0,
        maximum=1,
        metavar="P",
    )
    seed: int | None = option(None, "equal seeds write equal texts; none: another text every time", minimum=0)

    def choose(self, scores: NDArray[np.float64], rng: np.random.Generator) -> int:
        """One symbol from the scores (V,), logits or log-probabilities; -inf is never chosen."""
        if self.temperature == 0 or self.top_k == 1:
            return int(scores.argmax())
        scaled = (scores - scores.max()) / self.temperature
        order = np.argsort(-scaled, kind="stable")[: self.top_k or None]
        weights = np.exp(scaled[order])
        total = np.cumsum(weights)
        if self.top_p < 1:
            total = total[: 1 + int(np.searchsorted(total, self.top_p * total[-1]))]
        return int(
            order[min(int(np.searchsorted(total, rng.random() * total[-1], side="right")), len(total) - 1)]
        )


@dataclass(kw_only=True)
class Sampling(Drawing):
    """How a text is continued."""

    length: int = option(500, "symbols to write after the prompt, at most", minimum=0)
    count: int = option(1, "how many texts", minimum=1)
    condition: str | None = option(
        None, "what texts are written from, in a model trained so: values of its columns, with commas [none]",
        metavar="VALUES",
    )  # fmt: skip
    unknown: Literal["error", "map"] = option(
        "error",
        "a symbol of the prompt outside the vocabulary: stop, or put the unknown symbol in its place",
        choices=("error", "map"),
    )

"""The learning rate over a training: linear warm-up, then decay to a fraction.

    rate(s) = peak * (s + 1) / w                                    s < w        (w warm-up steps)
            = peak * (e + (1 - e) * shape(p))                       s >= w       (e final fraction)
    shape(p) = 1 (none),  1 - p (linear),  (1 + cos(pi p)) / 2 (cosine)
    p = max((s - w) / (S - w), t / T), within [0, 1]

s counts the updates done before, S is their final number and T the time budget; a limit that is not set drops out.

>>> Schedule(peak=1.0, warmup=2, decay="linear", final=0.0, steps=6).rate(step=4)
0.5
"""

from __future__ import annotations

import dataclasses
import math

from elman.train.options import TrainingOptions

DEFAULT_FINAL = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rate by step and elapsed time; `steps` and `seconds` are the limits of the training, None: none."""

    peak: float
    warmup: int = 0
    decay: str = "none"
    final: float = DEFAULT_FINAL
    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, options: TrainingOptions, steps_per_epoch: int) -> Schedule:
        epochs = options.total_epochs()
        limits = [options.max_steps, None if epochs is None else epochs * steps_per_epoch]
        return cls(
            peak=options.learning_rate,
            warmup=options.warmup_steps,
            decay=options.decay,
            final=DEFAULT_FINAL if options.final_learning_rate is None else options.final_learning_rate,
            steps=min((limit for limit in limits if limit is not None), default=None),
            seconds=None if options.max_minutes is None else options.max_minutes * 60,
        )

    def fraction(self, step: int, seconds: float = 0.0, start: int = 0) -> float:
        """How much of the training after step `start` is done, from 0 to 1: by steps or by time, the larger."""
        by_step = 0.0 if self.steps is None else (step - start) / max(1, self.steps - start)
        by_time = 0.0 if self.seconds is None else seconds / max(self.seconds, 1e-9)
        return min(1.0, max(0.0, by_step, by_time))

    def rate(self, step: int, seconds: float = 0.0) -> float:
        """Learning rate of the update after `step` updates."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        if self.decay == "none":
            return self.peak
        done = self.fraction(step, seconds, self.warmup)
        shape = 1 - done if self.decay == "linear" else (1 + math.cos(math.pi * done)) / 2
        return self.peak * (self.final + (1 - self.final) * shape)

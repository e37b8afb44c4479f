"""How a training runs: the options every task shares.

>>> TrainingOptions(momentum=0.9).check()
Traceback (most recent call last):
    ...
elman.errors.InputError: momentum is 0.9, but optimizer adam has none; give --optimizer sgd.
"""

from __future__ import annotations

import dataclasses

from elman import options
from elman.errors import InputError
from elman.options import option

DEFAULT_EPOCHS = 10


@dataclasses.dataclass(kw_only=True)
class TrainingOptions:
    """Options of `fit`. Equal options, data, machine and thread count give equal weights, to the bit, except where
    the clock decides: `max_minutes` sets when the training ends and, with `decay`, the learning rate."""

    epochs: int | None = option(
        None,
        f"passes over the data [{DEFAULT_EPOCHS}, or no limit if max_steps or max_minutes is given]",
        minimum=1,
        steering=True,
    )
    max_steps: int | None = option(None, "stop after this many updates", minimum=1, steering=True)
    max_minutes: float | None = option(
        None, "stop after this many minutes; decay then follows the clock", minimum=0, steering=True
    )
    batch_size: int = option(32, "sequences in one update (of each process)", minimum=1)
    learning_rate: float = option(3e-3, "highest learning rate", minimum=0, steering=True)
    optimizer: str = option("adam", "method of the updates", choices=("adam", "adamw", "sgd"))
    momentum: float | None = option(None, "momentum of sgd, from 0 to 1 [0]", minimum=0, maximum=1)
    weight_decay: float = option(
        0.0,
        "pull of all weights to zero; adam and sgd: added to the gradient, adamw: decoupled",
        minimum=0,
        steering=True,
    )
    warmup_steps: int = option(
        0, "updates over which the learning rate rises from zero", minimum=0, steering=True
    )
    decay: str = option(
        "cosine",
        "how the learning rate falls until the end",
        choices=("none", "linear", "cosine"),
        steering=True,
    )
    final_learning_rate: float | None = option(
        None, "where decay ends, as a fraction of learning_rate [0.1]", minimum=0, maximum=1, steering=True
    )
    clip_norm: float = option(
        1.0, "longest gradient (norm over all weights); 0: no clipping", minimum=0, steering=True
    )
    keep: str = option(
        "best",
        "weights that the run ends with: best: of the evaluation with the lowest validation loss; last: of the last",
        choices=("best", "last"),
        steering=True,
    )
    patience: int | None = option(
        None, "stop after this many evaluations without a lower validation loss", minimum=1, steering=True
    )
    evaluate_every: int | None = option(
        None, "updates between two evaluations [each epoch]", minimum=1, steering=True
    )
    checkpoint_seconds: float = option(
        10.0,
        "seconds between two checkpoints, which change no result; the end and Ctrl-C save too",
        minimum=0,
        steering=True,
    )
    snapshots: int = option(
        6,
        "weights kept on the way for elman inspect: those at the begin and of evaluations 1, 2, 4, ... (0: none)",
        minimum=0,
        steering=True,
    )
    seed: int = option(0, "seed of weights, batches and dropout", minimum=0)
    device: str = option(
        "auto",
        "where to compute; auto: a GPU if there is one",
        choices=("auto", "cpu", "cuda"),
        steering=True,
    )
    precision: str = option(
        "float32", "bfloat16: products in half precision, weights in float32", choices=("float32", "bfloat16")
    )
    threads: int | None = option(None, "CPU threads [as many as torch chooses]", minimum=1, steering=True)

    def check(self) -> None:
        """Raise InputError for a value out of range or one that would do nothing."""
        options.check(self)
        if self.momentum is not None and self.optimizer != "sgd":
            raise InputError(
                f"momentum is {self.momentum}, but optimizer {self.optimizer} has none; give --optimizer sgd."
            )
        if self.patience is not None and self.keep == "last":
            raise InputError(
                "patience waits for a lower validation loss, and keep is last; leave one of them out."
            )
        if self.final_learning_rate is not None and self.decay == "none":
            raise InputError(
                f"final_learning_rate is {self.final_learning_rate}, but decay is none; give --decay linear or cosine."
            )

    def total_epochs(self) -> int | None:
        """The limit on epochs, None where steps or minutes alone end the training."""
        if self.epochs is None and self.max_steps is None and self.max_minutes is None:
            return DEFAULT_EPOCHS
        return self.epochs

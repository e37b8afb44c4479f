"""regress: a number for a text, a sequence of numbers or a sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.inspection import Compared, Picture, Section, figure_svg
from elman.options import option
from elman.runfolder import RunFolder
from elman.tasks import _simple_models as simple
from elman.tasks._examples import Examples
from elman.tasks._inputs import Answer
from elman.tasks._many_to_one import ManyToOne
from elman.tasks._task import Scores

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]


@dataclass(kw_only=True)
class SequenceRegressor(ManyToOne):
    """Says a number of a text, a sequence of numbers or a sound.

    The constructor takes the options as keywords (`elman train regress --help` lists them all). The network learns
    (y - m) / d by mean squared error, with mean m and standard deviation d of the training part; the loss is in these
    units, so that always saying m has a loss of about 1.

    Attributes, after `fit` or `load`: `network_`, the torch model, and those of `Task`.

    Not covered: several numbers for a sequence, intervals, a number for each step.

    >>> SequenceRegressor(cell="gru", pooling="last").options()["pooling"]
    'last'
    """

    name: ClassVar[str] = "regress"
    compared: ClassVar[Compared] = Compared("rmse", "the target's unit")
    target_option: ClassVar[str] = "target_column"

    target_column: str | None = option(
        None,
        "column of the numbers to learn in a table [the one named label, class, category, target or y]",
        metavar="NAME",
    )

    def predict(self, inputs: Sequence[Any]) -> Floats:
        """The number (N,) for each text, array (t, F) or sound file."""
        return self._numbers(self._read_scores(inputs))

    def baselines(self) -> dict[str, Scores]:
        """The mean of the training part; ridge regression on character n-grams of texts, on the mean, deviation and
        ends of numbers and sounds."""
        held, rows, truth = self._judged_part
        used = simple.spread(len(self._training_rows))
        if self.columns_.kind == "text":
            name = "ridge regression on n-grams"
            texts = [self._training_examples.inputs[row] for row in used]
            training, others = simple.ngram_features(texts, held.inputs, 1)
        else:
            name = "ridge regression on a summary"
            summaries = simple.summary([self._training_rows[row] for row in used])
            training, others = simple.scaled(summaries, simple.summary(rows))
        found = simple.ridge(training, self._training_truth[used].astype(np.float64), others)
        return {
            name: self._scores_of(found[:, None], truth),
            "mean": self._scores_of(np.zeros((len(rows), 1)), truth),
        }

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """Eighty sequences of one to six steps, whose target is the sum of their first column."""
        rng = np.random.default_rng(0)
        lines = ["sequence,a,b,target\n"]
        for number in range(80):
            steps = rng.normal(size=(1 + number % 6, 2)).round(2)
            total = round(float(steps[:, 0].sum()), 2)
            lines += [f"{number},{a},{b},{total}\n" for a, b in steps]
        path = folder / "sums.csv"
        path.write_text("".join(lines), encoding="utf-8")
        return [path], {"id_column": "sequence"}

    def _learn_targets(self, found: Examples, training: NDArray[np.int64]) -> None:
        self.mean_, self.deviation_ = 0.0, 1.0
        values = self._truth(found.take(training)).astype(np.float64)
        if values.min() == values.max():
            raise InputError(f"every target is {values[0]:g}: there is nothing to learn.")
        self.mean_, self.deviation_ = float(values.mean()), float(values.std())

    def _strata(self, found: Examples) -> list[Any]:
        return [0] * len(found)

    def _truth(self, found: Examples) -> NDArray[Any]:
        numbers = np.array(
            [_number(t, place) for t, place in zip(found.targets or [], found.places, strict=True)]
        )
        return ((numbers - self.mean_) / self.deviation_).astype(np.float32)

    @property
    def _outputs(self) -> int:
        return 1

    def _loss(self, scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((scores[:, 0] - truth) ** 2).sum()

    def _scores_of(self, scores: Floats, truth: NDArray[Any]) -> Scores:
        """MAE, RMSE, R2 = 1 - sum of (y - f)^2 / sum of (y - mean of y)^2."""
        wanted = truth.astype(np.float64)
        wrong = scores[:, 0] - wanted
        spread = float(((wanted - wanted.mean()) ** 2).sum())
        return {
            "mae": float(np.abs(wrong).mean()) * self.deviation_,
            "rmse": float(np.sqrt((wrong**2).mean())) * self.deviation_,
            "r2": 1 - float((wrong**2).sum()) / spread if spread else 0.0,
        }

    def _numbers(self, scores: Floats) -> Floats:
        return scores[:, 0] * self.deviation_ + self.mean_

    def _sections(self) -> list[Section]:
        from matplotlib.figure import Figure

        wanted = self._judged_part[2] * self.deviation_ + self.mean_
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.axline((float(wanted.mean()),) * 2, slope=1, color="0.7", lw=1)
        shown = simple.spread(len(wanted))[:2000]
        axes.plot(wanted[shown], self._numbers(self._judged_scores)[shown], ".", ms=4, color="#1f5f99")
        axes.set(xlabel="true", ylabel="predicted")
        return [Section("Predictions", [Picture(figure_svg(figure), "On the line, predictions are right.")])]

    def _usage(self, run: RunFolder) -> list[str]:
        given = {"text": '"a text"', "audio": '"SOUND.wav"', "numbers": "array"}[str(self.columns_.kind)]
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint(model.predict([{given}]))'
        return [f"elman predict {run.path} FILE", f"elman evaluate {run.path} DATA", python]

    def _answer(self, about: dict[str, str], scores: Floats, how: Any) -> Answer:  # noqa: ARG002
        (number,) = self._numbers(scores[None])
        return Answer(f"{number:.6g}", {**about, "prediction": float(number)})

    def _target_values(self) -> dict[str, Any]:
        return {"mean": self.mean_, "deviation": self.deviation_}

    def _restore_targets(self, values: dict[str, Any]) -> None:
        self.mean_, self.deviation_ = float(values["mean"]), float(values["deviation"])


def _number(target: Any, place: str) -> float:
    try:
        number = float(target)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(
            f"{place}: the target is {target!r}, expected a number. Fill it in or leave the example out."
        )
    return number


TASK = SequenceRegressor

"""classify: which class a text, a sequence of numbers or a sound is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.inspection import Compared, Section
from elman.options import option
from elman.runfolder import RunFolder
from elman.tasks import _class_pictures as pictures
from elman.tasks import _simple_models as simple
from elman.tasks._examples import Examples
from elman.tasks._inputs import Answer
from elman.tasks._labels import Labels, OneOf
from elman.tasks._many_to_one import ManyToOne
from elman.tasks._task import Scores

if TYPE_CHECKING:
    import torch

_ERRORS = 30  # listed in the report


@dataclass(kw_only=True)
class Classifying:
    """What is told of an example."""

    top_k: int = option(1, "how many of the most likely classes", minimum=1)


@dataclass(kw_only=True)
class SequenceClassifier(ManyToOne):
    """Says which class a text, a sequence of numbers or a sound is of, and how likely that is.

    The constructor takes the options as keywords (`elman train classify --help` lists them all). Probabilities are
    calibrated on the held-out data: scores are divided by the temperature that makes them most likely there (Guo et al.
    2017). With `label_separator` an example has any number of classes, each with a threshold of its own.

    Attributes, after `fit` or `load`: `classes_`, the names; `network_`, the torch model; and those of `Task`.

    Not covered: inputs of several kinds at once; audio from memory in place of files.

    >>> SequenceClassifier(cell="gru", hidden_size=64).options()["pooling"]
    'max'
    """

    name: ClassVar[str] = "classify"
    compared: ClassVar[Compared] = Compared("accuracy", "", higher_is_better=True)
    predicting: ClassVar[type[Any]] = Classifying
    target_option: ClassVar[str] = "label_column"

    label_column: str | None = option(
        None,
        "column of the classes in a table [the one named label, class, category, target or y]",
        metavar="NAME",
    )
    label_separator: str | None = option(
        None, "an example has any number of classes, with this between them []", metavar="TEXT"
    )
    class_weight: Literal["none", "root", "balanced"] = option(
        "none",
        "balanced: a rare class counts as much as a frequent one; root: half-way, by the roots of these weights",
        choices=("none", "root", "balanced"),
    )

    decide: Literal["likeliest", "macro-f1"] = option(
        "likeliest",
        "the class to guess; macro-f1: what adds most to the mean F1 of the classes, learned from what is held out",
        choices=("likeliest", "macro-f1"),
    )

    # --- use

    @property
    def classes_(self) -> tuple[str, ...]:
        """Names of the classes, in the order of `predict_proba`."""
        return self.labels_.classes

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """The class of each text, array (t, F) or sound file; with `label_separator` a list of classes."""
        return [self.labels_.named(row) for row in self.labels_.decided(self.predict_proba(inputs))]

    def predict_proba(self, inputs: Sequence[Any]) -> NDArray[np.float64]:
        """Probabilities (N, K) of the classes, in the order of `classes_`."""
        return self.labels_.probabilities(self._read_scores(inputs))

    def baselines(self) -> dict[str, Scores]:
        """How often each class is there, and logistic regression: on character n-grams of texts, on the mean, deviation
        and ends of numbers and sounds."""
        held, rows, truth = self._judged_part
        labels, classes = self.labels_.uncalibrated(), len(self.classes_)
        used = simple.spread(len(self._training_rows))
        if self.columns_.kind == "text":
            name = "logistic regression on n-grams"
            training, others = simple.ngram_features(
                [self._training_examples.inputs[row] for row in used], held.inputs, classes
            )
        else:
            name = "logistic regression on a summary"
            training, others = simple.scaled(
                simple.summary([self._training_rows[row] for row in used]), simple.summary(rows)
            )
        found = simple.logistic(training, self._training_truth[used], others, classes)
        return {
            name: labels.scores(found, truth),
            "majority": labels.scores(np.tile(labels.shares(self._training_truth), (len(rows), 1)), truth),
        }

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """A table of eighty sentences about weather or food, which a word in each tells."""
        subjects = {"weather": ("rain", "sun", "눈", "바람"), "food": ("bread", "soup", "밥", "국")}
        lines = ["text,label\n"]
        for number, (label, word) in enumerate(
            np.random.default_rng(0).integers(0, (2, 4), (80, 2)).tolist()
        ):
            name = ("weather", "food")[label]
            lines.append(f"there is {subjects[name][word]} on day {number},{name}\n")
        path = folder / "sentences.csv"
        path.write_text("".join(lines), encoding="utf-8")
        return [path], {}

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        if self.label_separator == "":
            raise InputError("label_separator is empty, expected what stands between two classes.")
        for name, without in (("class_weight", "none"), ("decide", "likeliest")):
            if self.label_separator is not None and getattr(self, name) != without:
                raise InputError(
                    f"{name} is for one class an example; leave out one of it and label_separator."
                )
        if self.decide == "macro-f1" and not self.validation:
            raise InputError("decide macro-f1 is learned from held-out data; give --validation.")

    def _learn_targets(self, found: Examples, training: NDArray[np.int64]) -> None:
        self.labels_ = Labels.learn(found.targets or [], found.places, self.label_separator, self.decide)
        self._weights: torch.Tensor | None = None
        if self.class_weight != "none":
            import torch

            power = 1.0 if self.class_weight == "balanced" else 0.5
            weights = self.labels_.weights(self._truth(found.take(training)), power)
            self._weights = torch.from_numpy(weights).float()

    def _strata(self, found: Examples) -> list[Any]:
        return Labels.strata_of(found.targets or [], self.label_separator)

    def _truth(self, found: Examples) -> NDArray[Any]:
        return self.labels_.truth(found.targets or [], found.places)

    @property
    def _outputs(self) -> int:
        return len(self.classes_)

    def _loss(self, scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        weights = None if self._weights is None else self._weights.to(scores.device, scores.dtype)
        return self.labels_.loss(scores, truth, weights)

    def _scores_of(self, scores: NDArray[np.float64], truth: NDArray[Any]) -> Scores:
        return self.labels_.scores(self.labels_.probabilities(scores), truth)

    def _finish(self, run: RunFolder) -> None:
        super()._finish(run)
        if len(self._held_examples):
            self.labels_ = self.labels_.calibrated(self._judged_scores, self._held_truth)
            self._write_learned(run)

    def _sections(self) -> list[Section]:
        held, _, truth = self._judged_part
        labels, scores = self.labels_, self._judged_scores
        probabilities = labels.probabilities(scores)
        guess = labels.decided(probabilities)
        raw = labels.uncalibrated().probabilities(scores)
        parts: list[Any] = [pictures.class_grid(labels.by_class(truth, guess), labels.classes)]
        if isinstance(labels, OneOf):
            parts.append(pictures.confusion_picture(labels.confusion(truth, guess), labels.classes))
        curves = (labels.reliability(raw, truth), labels.reliability(probabilities, truth))
        wrongness, right = labels.sureness(probabilities, truth)
        worst = [row for row in np.argsort(-wrongness, kind="stable") if not right[row]][:_ERRORS]
        errors = [
            (
                held.inputs[row] if self.columns_.kind == "text" else held.places[row],
                _told(labels.named(truth[row])),
                _told(labels.named(guess[row])),
                float(1 - wrongness[row]),
            )
            for row in worst
        ]
        return [
            Section("Classes", parts),
            Section("Calibration", [pictures.reliability_picture(*curves)]),
            *([Section("Worst errors", [pictures.error_grid(errors)])] if errors else []),
        ]

    def _usage(self, run: RunFolder) -> list[str]:
        given = {"text": '"a text"', "audio": "SOUND.wav", "numbers": "SEQUENCES.npz"}[
            str(self.columns_.kind)
        ]
        held = {"text": '"a text"', "audio": '"SOUND.wav"', "numbers": "array"}[str(self.columns_.kind)]
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint(model.predict([{held}]))'
        return [f"elman predict {run.path} {given}", f"elman evaluate {run.path} DATA", python]

    def _answer(self, about: dict[str, str], scores: NDArray[np.float64], how: Any) -> Answer:
        (found,) = self.labels_.probabilities(scores[None])
        ranked = np.argsort(-found, kind="stable")
        told = ranked[: how.top_k]
        label = self.labels_.named(self.labels_.decided(found[None])[0])
        if isinstance(label, list) and how.top_k == 1:
            told = np.array([self.classes_.index(name) for name in label], np.int64)
        line = "\t".join(f"{self.classes_[k]}\t{found[k]:.4f}" for k in told)
        likely = {self.classes_[k]: float(found[k]) for k in ranked}
        values: dict[str, Any] = {**about, "label": label}
        if not isinstance(label, list):
            values["probability"] = likely[label]
        return Answer(line, {**values, "probabilities": likely})

    def _target_values(self) -> dict[str, Any]:
        return self.labels_.values()

    def _restore_targets(self, values: dict[str, Any]) -> None:
        self.labels_ = Labels.restored(values)
        self._weights = None


def _told(label: Any) -> str:
    return ", ".join(label) if isinstance(label, list) else str(label)


TASK = SequenceClassifier

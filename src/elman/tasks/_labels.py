"""Classes: what is read of a label and what scores say of it: one class of several, or any number of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.tasks import _judging as judging
from elman.tasks._judging import ByClass, Reliability

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]
Decide = Literal["likeliest", "macro-f1"]


@dataclass(frozen=True)
class Labels(ABC):
    """The classes, and how scores (N, K) become probabilities.

    Attributes:
        classes: names, in alphabetical order.
        temperature: what scores are divided by, so that probabilities are neither too sure nor too shy.
    """

    classes: tuple[str, ...]
    temperature: float = 1.0

    @classmethod
    def learn(
        cls, labels: Sequence[Any], places: Sequence[str], separator: str | None, decide: Decide = "likeliest"
    ) -> Labels:
        """The classes of the labels as they stand in the files; a separator: a label names several classes, or none;
        decide: how one class is guessed.

        Raises:
            InputError: an empty label (with its place), fewer than two classes, or one for every example.
        """
        if separator is not None:
            parted = [_parts(label, separator) for label in labels]
            return AnyOf(
                _checked({name for names in parted for name in names}, len(labels), 1), separator=separator
            )
        names = {_one(label, place) for label, place in zip(labels, places, strict=True)}
        return OneOf(_checked(names, len(labels), 2), decide=decide)

    @abstractmethod
    def truth(self, labels: Sequence[Any], places: Sequence[str]) -> NDArray[Any]:
        """Labels as numbers: (N,) integers, or (N, K) of False and True. InputError for a class never seen."""

    @staticmethod
    def strata_of(labels: Sequence[Any], separator: str | None) -> list[str]:
        """What is to be as frequent in one part of the data as in the other: the label, in one spelling."""
        if separator is None:
            return [str(label).strip() for label in labels]
        return [separator.join(sorted(_parts(label, separator))) for label in labels]

    def values(self) -> dict[str, Any]:
        """What is written to a run."""
        return asdict(self)

    @staticmethod
    def restored(values: Mapping[str, Any]) -> Labels:
        """What `values` gave; raises KeyError, TypeError or ValueError for anything else."""
        given = dict(values)
        classes, temperature = given.pop("classes"), float(given.pop("temperature"))
        if not all(isinstance(name, str) for name in classes) or not 0 < temperature < math.inf:
            raise ValueError("classes or temperature are no such thing")
        if "trade" in given:
            trade = tuple(judging.Trade(*map(float, one)) for one in given.pop("trade"))
            if len(trade) not in (0, len(classes)) or any(one.effort <= 0 for one in trade):
                raise ValueError(f"{len(trade)} trades for {len(classes)} classes")
            return OneOf(tuple(classes), temperature, trade=trade, decide=given["decide"])
        thresholds = tuple(float(number) for number in given.pop("thresholds"))
        if len(thresholds) not in (0, len(classes)):
            raise ValueError(f"{len(thresholds)} thresholds for {len(classes)} classes")
        return AnyOf(tuple(classes), temperature, thresholds=thresholds, **given)

    @abstractmethod
    def uncalibrated(self) -> Labels:
        """These labels as they were before `calibrated`."""

    @abstractmethod
    def shares(self, truth: NDArray[Any]) -> Floats:
        """How much of the examples is of each class, (K,)."""

    @abstractmethod
    def weights(self, truth: NDArray[Any], power: float = 1.0) -> Floats:
        """Weights of the classes (K,), on average 1 over the examples: 1 / count^power. By power 1 each class counts
        as much as another."""

    @abstractmethod
    def loss(self, scores: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """Sum over the examples of the nats of what is true."""

    @abstractmethod
    def probabilities(self, scores: Floats) -> Floats:
        """Of each class, (N, K)."""

    @abstractmethod
    def calibrated(self, scores: Floats, truth: NDArray[Any]) -> Self:
        """These labels with what is best for scores (N, K) of held-out examples: the temperature (and thresholds, or
        trade)."""

    @abstractmethod
    def decided(self, probabilities: Floats) -> NDArray[Any]:
        """What is guessed, in the form of `truth`."""

    @abstractmethod
    def named(self, decision: Any) -> Any:
        """A row of `truth` as a label: a name, or a list of names."""

    @abstractmethod
    def by_class(self, truth: NDArray[Any], guess: NDArray[Any]) -> ByClass: ...

    @abstractmethod
    def scores(self, probabilities: Floats, truth: NDArray[Any]) -> dict[str, float]:
        """accuracy, macro_f1, log_loss; accuracy of several classes is that of all of them at once."""

    @abstractmethod
    def reliability(self, probabilities: Floats, truth: NDArray[Any]) -> Reliability:
        """Of the class held most likely; where there may be several, of every class."""

    @abstractmethod
    def sureness(self, probabilities: Floats, truth: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
        """(N,) probability given to what was wrong, at worst, and whether the guess was right."""


@dataclass(frozen=True)
class OneOf(Labels):
    """One class of several: P(k) = softmax(s / temperature)_k; the most likely one is guessed, or the one that is worth
    most.

    Attributes:
        decide: "likeliest": argmax P(k), for accuracy; "macro-f1": argmax (2 P(k) - f1_k) / effort_k (`judging.trade`).
        trade: f1 and effort of each class, once they are known.

    >>> labels = Labels.learn(["no", "yes", "no"], ["1", "2", "3"], None)
    >>> labels.classes, labels.truth(["yes"], ["4"]).tolist()
    (('no', 'yes'), [1])
    """

    decide: Decide = "likeliest"
    trade: tuple[judging.Trade, ...] = ()

    def truth(self, labels: Sequence[Any], places: Sequence[str]) -> NDArray[Any]:
        numbers = {name: number for number, name in enumerate(self.classes)}
        found = [_one(label, place) for label, place in zip(labels, places, strict=True)]
        _check_known(([name] for name in found), numbers, places)
        return np.array([numbers[name] for name in found], np.int64)

    def uncalibrated(self) -> OneOf:
        return OneOf(self.classes, decide=self.decide)

    def shares(self, truth: NDArray[Any]) -> Floats:
        return np.bincount(truth, minlength=len(self.classes)) / len(truth)

    def weights(self, truth: NDArray[Any], power: float = 1.0) -> Floats:
        counts = np.bincount(truth, minlength=len(self.classes))
        weights = np.where(counts > 0, 1 / np.maximum(counts, 1) ** power, 0)
        return np.asarray(weights * len(truth) / (weights * counts).sum())

    def loss(self, scores: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        from torch.nn import functional

        if weights is None:
            return functional.cross_entropy(scores, truth, reduction="sum")
        return (functional.cross_entropy(scores, truth, reduction="none") * weights[truth]).sum()

    def probabilities(self, scores: Floats) -> Floats:
        return judging.softmax(scores / self.temperature)

    def calibrated(self, scores: Floats, truth: NDArray[Any]) -> Self:
        rows = np.arange(len(truth))

        def loss(temperature: float) -> float:
            return judging.log_loss(judging.softmax(scores / temperature)[rows, truth])

        warm = replace(self, temperature=judging.best_temperature(loss))
        if self.decide == "likeliest":
            return warm
        return replace(warm, trade=judging.trade(warm.probabilities(scores)))

    def decided(self, probabilities: Floats) -> NDArray[Any]:
        return judging.worthiest(probabilities, self.trade) if self.trade else probabilities.argmax(1)

    def named(self, decision: Any) -> Any:
        return self.classes[int(decision)]

    def confusion(self, truth: NDArray[Any], guess: NDArray[Any]) -> NDArray[np.int64]:
        """Counts (K, K): rows are what is true, columns what was guessed."""
        return judging.confusion(truth, guess, len(self.classes))

    def by_class(self, truth: NDArray[Any], guess: NDArray[Any]) -> ByClass:
        return judging.of_confusion(self.confusion(truth, guess))

    def scores(self, probabilities: Floats, truth: NDArray[Any]) -> dict[str, float]:
        guess = self.decided(probabilities)
        return {
            "accuracy": float((guess == truth).mean()),
            "macro_f1": self.by_class(truth, guess).macro_f1(),
            "log_loss": judging.log_loss(probabilities[np.arange(len(truth)), truth]),
        }

    def reliability(self, probabilities: Floats, truth: NDArray[Any]) -> Reliability:
        return Reliability.of(probabilities.max(1), self.decided(probabilities) == truth)

    def sureness(self, probabilities: Floats, truth: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
        return 1 - probabilities[np.arange(len(truth)), truth], self.decided(probabilities) == truth


@dataclass(frozen=True)
class AnyOf(Labels):
    """Any number of classes: P(k) = sigmoid(s_k / temperature); guessed from its threshold on.

    Attributes:
        separator: what stands between two classes of a label.
        thresholds: probability from which on each class is guessed.
    """

    separator: str = ","
    thresholds: tuple[float, ...] = ()

    def truth(self, labels: Sequence[Any], places: Sequence[str]) -> NDArray[Any]:
        numbers = {name: number for number, name in enumerate(self.classes)}
        parted = [_parts(label, self.separator) for label in labels]
        _check_known(parted, numbers, places)
        found = np.zeros((len(parted), len(self.classes)), np.bool_)
        for row, names in zip(found, parted, strict=True):
            row[[numbers[name] for name in names]] = True
        return found

    def uncalibrated(self) -> AnyOf:
        return AnyOf(self.classes, separator=self.separator)

    def shares(self, truth: NDArray[Any]) -> Floats:
        return np.asarray(truth.mean(0))

    def weights(self, truth: NDArray[Any], power: float = 1.0) -> Floats:  # noqa: ARG002
        raise InputError(
            "class_weight balanced is for one class an example; thresholds do its work where there are several."
        )

    def loss(self, scores: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        from torch.nn import functional

        assert weights is None
        return functional.binary_cross_entropy_with_logits(scores, truth.to(scores.dtype), reduction="sum")

    def probabilities(self, scores: Floats) -> Floats:
        return judging.sigmoid(scores / self.temperature)

    def calibrated(self, scores: Floats, truth: NDArray[Any]) -> Self:
        def loss(temperature: float) -> float:
            return judging.log_loss(_of_truth(judging.sigmoid(scores / temperature), truth).ravel())

        warm = replace(self, temperature=judging.best_temperature(loss))
        found = warm.probabilities(scores)
        thresholds = [judging.best_threshold(found[:, k], truth[:, k]) for k in range(len(self.classes))]
        return replace(warm, thresholds=tuple(thresholds))

    def decided(self, probabilities: Floats) -> NDArray[Any]:
        return probabilities >= (np.array(self.thresholds) if self.thresholds else 0.5)

    def named(self, decision: Any) -> Any:
        return [self.classes[k] for k in np.flatnonzero(decision)]

    def by_class(self, truth: NDArray[Any], guess: NDArray[Any]) -> ByClass:
        return judging.of_decisions(truth, guess)

    def scores(self, probabilities: Floats, truth: NDArray[Any]) -> dict[str, float]:
        guess = self.decided(probabilities)
        by_class = self.by_class(truth, guess)
        return {
            "accuracy": float((guess == truth).all(1).mean()),
            "micro_f1": by_class.micro_f1(),
            "macro_f1": by_class.macro_f1(),
            "log_loss": judging.log_loss(_of_truth(probabilities, truth).ravel()),
        }

    def reliability(self, probabilities: Floats, truth: NDArray[Any]) -> Reliability:
        return Reliability.of(probabilities.ravel(), truth.ravel())

    def sureness(self, probabilities: Floats, truth: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
        return 1 - _of_truth(probabilities, truth).min(1), (self.decided(probabilities) == truth).all(1)


def _one(label: Any, place: str) -> str:
    text = "" if label is None else str(label).strip()
    if not text:
        raise InputError(
            f"{place}: the label is empty, expected a class. Fill it in or leave the example out."
        )
    return text


def _parts(label: Any, separator: str) -> list[str]:
    parts = label if isinstance(label, list) else ("" if label is None else str(label)).split(separator)
    return [name for part in parts if (name := str(part).strip())]


def _checked(names: set[str], count: int, least: int) -> tuple[str, ...]:
    if len(names) < least:
        told = f"only {min(names)!r}" if names else "none"
        raise InputError(f"the labels name {len(names)} classes ({told}), expected at least {least}.")
    if len(names) >= count:
        raise InputError(
            f"{len(names)} classes in {count} examples: there is nothing to learn from. Is it the right column?"
        )
    return tuple(sorted(names))


def _check_known(labels: Any, numbers: dict[str, int], places: Sequence[str]) -> None:
    for names, place in zip(labels, places, strict=True):
        for name in names:
            if name not in numbers:
                known = ", ".join(list(numbers)[:20]) + (", ..." if len(numbers) > 20 else "")
                raise InputError(
                    f"{place}: the class {name!r} was not there in training, which knows {known}."
                )


def _of_truth(probabilities: Floats, truth: NDArray[np.bool_]) -> Floats:
    return np.where(truth, probabilities, 1 - probabilities)

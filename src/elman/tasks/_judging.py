"""How good classes and their probabilities are: counts of confusion, F1, log loss, calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BINS = 15
_SMALLEST = 1e-15  # probability below which log loss looks no further
_ROUNDS = 100


def confusion(truth: Integers, guess: Integers, size: int) -> Integers:
    """Counts (K, K): rows are what is true, columns what was guessed."""
    return np.bincount(truth * size + guess, minlength=size * size).reshape(size, size)


@dataclass(frozen=True)
class ByClass:
    """Scores of each class (K,), from its counts: right, guessed and true; 0 where nothing was guessed or is true.

    precision = right / guessed, recall = right / true, f1 = 2 right / (guessed + true).

    >>> ByClass(np.array([1]), np.array([2]), np.array([1])).f1.round(3).tolist()
    [0.667]
    """

    right: Integers
    guessed: Integers
    true: Integers

    @property
    def precision(self) -> Floats:
        return np.asarray(self.right / np.maximum(self.guessed, 1))

    @property
    def recall(self) -> Floats:
        return np.asarray(self.right / np.maximum(self.true, 1))

    @property
    def f1(self) -> Floats:
        return np.asarray(2 * self.right / np.maximum(self.guessed + self.true, 1))

    def macro_f1(self) -> float:
        """Mean F1 of the classes that are true or guessed anywhere."""
        occurs = self.guessed + self.true > 0
        return float(self.f1[occurs].mean()) if occurs.any() else 0.0

    def micro_f1(self) -> float:
        """F1 of the sums over all classes."""
        return float(2 * self.right.sum() / max(1, (self.guessed + self.true).sum()))


def of_confusion(counts: Integers) -> ByClass:
    """The scores of single labels."""
    return ByClass(np.diag(counts), counts.sum(0), counts.sum(1))


def of_decisions(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> ByClass:
    """The scores of several labels at once: (N, K) each."""
    return ByClass((truth & guess).sum(0), guess.sum(0), truth.sum(0))


def log_loss(right: Floats) -> float:
    """Mean of -ln P over the probabilities given to what was true."""
    return float(np.log(1 / np.clip(right, _SMALLEST, 1)).mean())


@dataclass(frozen=True)
class Reliability:
    """How often that which was given a probability was so: in bins of equal width, mean probability, share, count.

    error, expected calibration error: sum over bins of count / N * |share - mean| (Guo et al., On Calibration of Modern
    Neural Networks, 2017, https://arxiv.org/abs/1706.04599, with 15 bins).
    """

    means: Floats
    shares: Floats
    counts: Integers

    @classmethod
    def of(cls, probabilities: Floats, so: NDArray[np.bool_]) -> Reliability:
        """probabilities (N,) in [0, 1], and whether each thing was so."""
        bins = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
        counts = np.bincount(bins, minlength=_BINS)
        divisor = np.maximum(counts, 1)
        means = np.bincount(bins, probabilities, _BINS) / divisor
        return cls(means, np.bincount(bins, so.astype(np.float64), _BINS) / divisor, counts)

    @property
    def error(self) -> float:
        return float((self.counts * np.abs(self.shares - self.means)).sum() / max(1, self.counts.sum()))


class Trade(NamedTuple):
    """What a class brings and costs where macro F1 counts: expected F1, and share guessed plus share true."""

    f1: float
    effort: float


def trade(probabilities: Floats) -> tuple[Trade, ...]:
    """The trade of each class (K,) at which `worthiest` gives the highest expected macro F1 on probabilities (N, K).

    One more guess of k that is right with probability p changes F1_k = 2 right / (guessed + true) by about
    (2 p - F1_k) / (guessed + true): the guess goes where that is most. F1 and counts are expectations under the
    probabilities, and depend on the guesses: a fixed point, approached half a step at a time.

    Source: plug-in classifiers for such measures, Narasimhan, Ramaswamy, Saha and Agarwal, Consistent Multiclass
    Algorithms for Complex Performance Measures, 2015, https://proceedings.mlr.press/v37/narasimhanb15.html
    """
    count, size = probabilities.shape
    true, guess = probabilities.sum(0), probabilities.argmax(1)
    found = np.zeros((0, 2))
    for _ in range(_ROUNDS):
        right = np.bincount(guess, probabilities[np.arange(count), guess], size)
        both = np.maximum(np.bincount(guess, minlength=size) + true, _SMALLEST)
        now = np.stack([2 * right / both, both / count], 1)
        found = (found + now) / 2 if len(found) else now
        guess = worthiest(probabilities, found)
    return tuple(Trade(float(f1), float(effort)) for f1, effort in found)


def worthiest(probabilities: Floats, trades: Sequence[Trade] | Floats) -> Integers:
    """The class (N,) whose guess adds most to macro F1, by the trade of each."""
    f1, effort = np.asarray(trades).T
    return np.asarray(((2 * probabilities - f1) / effort).argmax(1))


def softmax(scores: Floats) -> Floats:
    """exp(s_k) / sum over j of exp(s_j), along the last axis."""
    likely = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(likely / likely.sum(-1, keepdims=True))


def sigmoid(scores: Floats) -> Floats:
    """1 / (1 + exp(-s))."""
    return 0.5 + 0.5 * np.tanh(scores / 2)


def best_temperature(loss: Callable[[float], float]) -> float:
    """The temperature between 1/2 and 20 with the lowest loss, a function of it.

    Not below 1/2: where all of a small held-out part is right, the lowest loss is at 0, which is sure of everything.
    """
    from scipy import optimize

    found = optimize.minimize_scalar(
        lambda t: loss(float(np.exp(t))), bounds=(math.log(0.5), math.log(20)), method="bounded"
    )
    return float(np.exp(found.x))


def best_threshold(probabilities: Floats, so: NDArray[np.bool_]) -> float:
    """The probability from which on to say yes, for the highest F1: half-way between two of those given; 0.5 where
    nothing is so."""
    if not so.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    given, right = probabilities[order], np.cumsum(so[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + so.sum())
    f1[:-1][given[:-1] == given[1:]] = -1  # no threshold parts equals
    last = int(f1.argmax())
    return float((given[last] + given[last + 1]) / 2) if last + 1 < len(given) else float(given[last] / 2)

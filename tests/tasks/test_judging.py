"""Scores of classes beside scikit-learn; calibration beside its definition; thresholds beside all that there are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from elman.tasks import _judging as judging
from elman.tasks._labels import AnyOf, OneOf


def _drawn(classes: int = 5, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, count)
    truth[truth == 1] = 0  # a class that is guessed and never true
    return truth, rng.normal(size=(count, classes)) + 2 * np.eye(classes)[truth]


def test_scores_are_those_of_scikit_learn() -> None:
    truth, scores = _drawn()
    labels = OneOf(tuple("abcde"), temperature=1.7)
    found = labels.probabilities(scores)
    guess = found.argmax(1)
    assert labels.scores(found, truth) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, guess),
            "macro_f1": metrics.f1_score(truth, guess, average="macro"),
            "log_loss": metrics.log_loss(truth, found, labels=range(5)),
        }
    )
    by_class = labels.by_class(truth, guess)
    expected = metrics.precision_recall_fscore_support(truth, guess, labels=range(5), zero_division=0)
    for ours, theirs in zip(
        (by_class.precision, by_class.recall, by_class.f1, by_class.true), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs)
    np.testing.assert_array_equal(labels.confusion(truth, guess), metrics.confusion_matrix(truth, guess))


def test_scores_of_several_labels_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 4)) < [0.1, 0.5, 0.9, 0.3]
    scores = rng.normal(size=(200, 4)) + truth
    labels = AnyOf(tuple("abcd"), thresholds=(0.3, 0.5, 0.5, 0.9))
    found = labels.probabilities(scores)
    guess = found >= np.array(labels.thresholds)
    assert labels.scores(found, truth) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, guess),
            "micro_f1": metrics.f1_score(truth, guess, average="micro"),
            "macro_f1": metrics.f1_score(truth, guess, average="macro"),
            "log_loss": metrics.log_loss(truth.ravel(), found.ravel()),
        }
    )


def test_calibration_error_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    probabilities = np.concatenate([rng.random(500), [0.0, 1.0]])
    so = rng.random(502) < probabilities**2
    expected = 0.0
    for low in np.arange(15) / 15:
        last = low > 0.93
        inside = (probabilities >= low) & ((probabilities < low + 1 / 15) | last)
        expected += inside.mean() * abs(so[inside].mean() - probabilities[inside].mean())
    assert judging.Reliability.of(probabilities, so).error == pytest.approx(expected)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_temperature_undoes_what_sharpened(sharpness: float) -> None:
    """Labels drawn by softmax(s) and judged by scores that are sharper: the temperature is how much."""
    rng = np.random.default_rng(1)
    scores = 2 * rng.normal(size=(20_000, 3))
    likely = judging.softmax(scores)
    truth = (likely.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    labels = OneOf(("a", "b", "c")).calibrated(scores * sharpness, truth)
    assert labels.temperature == pytest.approx(max(sharpness, 0.5), rel=0.05)
    if sharpness == 3.0:
        before = OneOf(("a", "b", "c")).reliability(judging.softmax(scores * 3), truth).error
        after = labels.reliability(labels.probabilities(scores * 3), truth).error
        assert after < 0.02 < before


def test_threshold_has_the_highest_f1() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        probabilities = rng.random(30).round(1)  # many equal ones
        so = rng.random(30) < 0.3
        found = judging.best_threshold(probabilities, so)
        best = max(
            metrics.f1_score(so, probabilities >= t, zero_division=0) for t in np.arange(-0.05, 1.1, 0.1)
        )
        assert metrics.f1_score(so, probabilities >= found, zero_division=0) == pytest.approx(best)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    truth = np.array([0] * 7 + [1] * 2 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=truth)
    weights = OneOf(("a", "b", "c")).weights(truth)
    np.testing.assert_allclose(weights, expected)
    assert weights[truth].mean() == pytest.approx(1)
    rooted = OneOf(("a", "b", "c")).weights(truth, 0.5)
    assert rooted[truth].mean() == pytest.approx(1)
    np.testing.assert_allclose(rooted / rooted[0], np.sqrt(expected / expected[0]))


def test_trade_has_the_highest_expected_macro_f1() -> None:
    """Beside the best of all shifts of the scores of one class, on labels drawn from the probabilities themselves."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6000, 3)) + np.log([0.9, 0.08, 0.02])
    probabilities = judging.softmax(scores)
    truth = (probabilities.cumsum(1) < rng.random((len(scores), 1))).sum(1)
    fresh = slice(3000, None)

    def score(guess: np.ndarray) -> float:
        return float(metrics.f1_score(truth[fresh], guess, average="macro"))

    labels = OneOf(("a", "b", "c"), decide="macro-f1").calibrated(scores[:3000], truth[:3000])
    found = score(labels.decided(probabilities[fresh]))
    shifts = [(0.0, b, c) for b in np.arange(0, 4, 0.5) for c in np.arange(0, 4, 0.5)]
    best = max(score((scores[fresh] + shift).argmax(1)) for shift in shifts)
    assert found > score(probabilities[fresh].argmax(1)) + 0.05
    assert found > best - 0.01
    assert OneOf.restored(labels.values()) == labels

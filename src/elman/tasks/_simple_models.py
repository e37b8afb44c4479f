"""What a network must beat: logistic regression and ridge regression on counts of character n-grams or on a summary.

All are scikit-learn's, with its own settings but for what stands here; the time they take is bounded by the rows they
are fitted to.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Sequence[NDArray[Any]]
Floats = NDArray[np.float64]

_ROWS = 50_000  # of the training part, evenly spread, that are fitted
_NUMBERS = 1 << 27  # weights times rows that logistic regression may have
_PARTS = 3


def ngram_features(training: Sequence[str], others: Sequence[str], classes: int) -> tuple[Any, Any]:
    """TF-IDF of the character 1- to 4-grams within words, sparse: of training texts and of others.

    The more rows and classes there are, the fewer of the most frequent n-grams are taken.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    most = max(1000, min(200_000, _NUMBERS * 64 // (len(training) * classes)))
    counter = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, max_features=most, dtype=np.float32
    )
    return counter.fit_transform(training), counter.transform(others)


def summary(rows: Arrays) -> Floats:
    """What can be said of sequences (t, F) without regard to their order: length, and of the whole and of each third
    the mean and the standard deviation of each feature; the least, the largest, the first and the last of each."""
    return np.stack([_summary(row) for row in rows])


def _summary(row: NDArray[Any]) -> Floats:
    if not len(row):
        return np.zeros(1 + row.shape[1] * (2 * (1 + _PARTS) + 4))
    cuts = np.arange(_PARTS + 1) * len(row) // _PARTS
    parts = [
        row,
        *(row[start:end] if end > start else row for start, end in itertools.pairwise(cuts)),
    ]
    told = [number for part in parts for number in (part.mean(0), part.std(0))]
    return np.concatenate([[np.log(len(row))], *told, row.min(0), row.max(0), row[0], row[-1]])


def scaled(training: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Both with mean 0 and standard deviation 1 over the training rows."""
    mean, deviation = training.mean(0), training.std(0)
    deviation[deviation < 1e-8 * (1 + np.abs(mean))] = 1
    return (training - mean) / deviation, (others - mean) / deviation


def spread(count: int) -> NDArray[np.int64]:
    """Rows that a baseline is fitted to: all, or as many as it may have, evenly spread."""
    return np.arange(count) if count <= _ROWS else np.linspace(0, count - 1, _ROWS).astype(np.int64)


def logistic(training: Any, truth: NDArray[Any], others: Any, classes: int) -> Floats:
    """Probabilities (N, K) by logistic regression; truth (M,) integers, or (M, K) for classes apart from each other."""
    from sklearn.linear_model import LogisticRegression

    def fitted(wanted: NDArray[Any]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged: what it has reached is told as it is
            return LogisticRegression(C=4.0, max_iter=100).fit(training, wanted)

    found = np.zeros((others.shape[0], classes))
    if truth.ndim == 1:
        if truth.min() == truth.max():
            found[:, truth[0]] = 1
            return found
        model = fitted(truth)
        found[:, model.classes_] = model.predict_proba(others)
        return found
    for k in range(classes):
        constant = truth[:, k].all() or not truth[:, k].any()
        found[:, k] = truth[0, k] if constant else fitted(truth[:, k]).predict_proba(others)[:, 1]
    return found


def ridge(training: Any, truth: Floats, others: Any) -> Floats:
    """Predictions (N,) by ridge regression."""
    from sklearn.linear_model import Ridge

    return np.asarray(Ridge(alpha=1.0).fit(training, truth).predict(others))

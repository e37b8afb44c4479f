"""Regression from end to end: a sum is learned, scores are scikit-learn's, and what is no number is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from elman import api
from elman.errors import InputError
from elman.tasks.regress import SequenceRegressor


def _options(**changed: object) -> dict[str, object]:
    small = {
        "hidden_size": 16,
        "threads": 1,
        "learning_rate": 0.02,
        "pooling": "last",
        "bidirectional": False,
    }
    return {**small, "epochs": 25, "batch_size": 8, "id_column": "sequence", **changed}


def test_a_sum_is_learned(tmp_path: Path) -> None:
    files, _ = SequenceRegressor.example(tmp_path)
    model = SequenceRegressor(**_options()).fit(files, out=tmp_path / "run")  # type: ignore[arg-type]
    assert model.scores_["model"]["r2"] > 0.9
    assert model.scores_["mean"]["r2"] < 0.1
    sequences = [np.array([[1.0, 1.0], [0.5, -1.0]]), np.array([[-1.0, 0.0]])]
    predicted = model.predict(sequences)
    assert predicted[0] > predicted[1] + 1
    answers = list(api.load(tmp_path / "run").answers([str(files[0])]))
    assert len(answers) == 80
    assert float(answers[0].text) == pytest.approx(answers[0].values["prediction"], rel=1e-5)


def test_scores_are_those_of_scikit_learn(tmp_path: Path) -> None:
    files, _ = SequenceRegressor.example(tmp_path)
    model = SequenceRegressor(**_options(epochs=None, max_steps=5)).fit(files)  # type: ignore[arg-type]
    lines = [line.split(",") for line in files[0].read_text().splitlines()[1:]]
    truth = list({line[0]: float(line[3]) for line in lines}.values())
    guess = [answer.values["prediction"] for answer in model.answers([str(files[0])])]
    assert model.evaluate(files) == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(truth, guess),
            "rmse": metrics.root_mean_squared_error(truth, guess),
            "r2": metrics.r2_score(truth, guess),
        },
        rel=1e-4,
    )


@pytest.mark.parametrize("target", ["", "nan", "inf", "many"])
def test_a_target_that_is_no_number_is_refused(tmp_path: Path, target: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"text,y\na,1\nb,{target}\nc,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"data.csv:3: the target is '.*', expected a number"):
        SequenceRegressor(max_steps=1).fit(path)


def test_equal_targets_are_refused() -> None:
    with pytest.raises(InputError, match="every target is 2"):
        SequenceRegressor(max_steps=1).fit({"text": ["a", "b", "c"], "y": [2, 2, 2]})


def test_texts_have_numbers_too() -> None:
    table = {"text": ["a" * (1 + n % 9) for n in range(60)], "y": [float(n % 9) for n in range(60)]}
    model = SequenceRegressor(max_steps=2, threads=1, validation=0.5, distinct=True).fit(table)
    assert set(model.scores_) == {"model", "mean", "ridge regression on n-grams"}

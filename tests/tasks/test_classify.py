"""Classification from end to end, on data that rules made: what is learned, said, held out, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from sklearn import metrics

from elman import api
from elman.cli import main
from elman.errors import InputError
from elman.tasks.classify import SequenceClassifier
from elman.tasks.language_model import LanguageModel

SMALL: dict[str, Any] = {
    "hidden_size": 12,
    "embedding": 8,
    "batch_size": 8,
    "threads": 1,
    "learning_rate": 0.02,
}
QUICK: dict[str, Any] = {**SMALL, "max_steps": 3}


def _example(folder: Path) -> str:
    return str(SequenceClassifier.example(folder)[0][0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SequenceClassifier:
    folder = tmp_path_factory.mktemp("trained")
    return SequenceClassifier(**SMALL, epochs=20, validation=0.25).fit(_example(folder), out=folder / "run")


def test_a_rule_in_texts_is_learned(trained: SequenceClassifier) -> None:
    assert trained.scores_["model"]["accuracy"] == 1
    assert trained.scores_["majority"]["accuracy"] < 0.7
    assert trained.scores_["majority"]["log_loss"] == pytest.approx(np.log(2), abs=0.05)
    assert trained.predict(["there is rain on day 91", "there is 밥 on day 97"]) == ["weather", "food"]
    likely = trained.predict_proba(["there is rain on day 91", "there is 밥 on day 97"])
    assert trained.classes_ == ("food", "weather")
    np.testing.assert_allclose(likely.sum(1), 1)
    assert likely[1, 0] > 0.9


@pytest.mark.parametrize("text", ["", "@@@", "rain " * 300])
def test_any_text_has_an_answer(trained: SequenceClassifier, text: str) -> None:
    assert trained.predict([text])[0] in trained.classes_


def test_predict_on_the_command_line(
    trained: SequenceClassifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more.txt").write_text("there is soup on day 3\nthere is sun on day 3\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text("n,text\n1,there is bread on day 3\n", encoding="utf-8")
    run = str(trained.run_.path)
    asked = ["there is rain on day 3", str(tmp_path / "more.txt"), str(tmp_path / "table.csv")]
    assert main(["predict", run, *asked]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [label for label, _ in lines] == ["weather", "food", "weather", "food"]
    expected = trained.predict_proba(
        [f"there is {word} on day 3" for word in ("rain", "soup", "sun", "bread")]
    ).max(1)
    assert [float(share) for _, share in lines] == pytest.approx(expected, abs=1e-4)
    assert main(["predict", run, "there is rain on day 3", "--top-k", "2"]) == 0
    assert [part for part in capsys.readouterr().out.split() if part.isalpha()] == ["weather", "food"]
    assert main(["predict", run, "there is rain on day 3", "--jsonl"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "there is rain on day 3"
    assert told["label"] == "weather"
    assert told["probability"] == told["probabilities"]["weather"]
    assert sum(told["probabilities"].values()) == pytest.approx(1)


def test_a_table_without_the_column_is_refused(trained: SequenceClassifier, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("words,n\nbread,1\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'text', it has 'words', 'n'"):
        list(trained.answers([str(tmp_path / "table.csv")]))
    with pytest.raises(InputError, match=r"other\.csv: no such file"):
        list(trained.answers([str(tmp_path / "other.csv")]))


def test_a_class_never_seen_is_refused(trained: SequenceClassifier, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("text,label\nbread,food\nblue,colour\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"table.csv:3: the class 'colour' was not there in training"):
        trained.evaluate(tmp_path / "table.csv")


def test_the_report_shows_what_went_wrong(trained: SequenceClassifier) -> None:
    page = (trained.run_.path / "report.html").read_text(encoding="utf-8")
    for part in ("Reliability", "Confusion", "precision", "calibrated: error", "as trained: error"):
        assert part in page


def test_evaluate_is_the_score_of_the_predictions(trained: SequenceClassifier, tmp_path: Path) -> None:
    texts, labels = (
        [f"there is {word} on day 3" for word in ("rain", "soup", "sun", "국")],
        ["weather", "weather", "weather", "food"],
    )
    scores = trained.evaluate({"text": texts, "label": labels})
    guess = trained.predict(texts)
    assert scores["accuracy"] == metrics.accuracy_score(labels, guess)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(labels, guess, average="macro"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,x", "b,", "c,y"], r"data.csv:3: the label is empty"),
        (["a,x", "b,x", "c,x"], r"only 'x'"),
        (["a,x", "b,y", "c,z"], r"3 classes in 3 examples"),
        (["a,x", "b,y,", "c,x"], r"data.csv:3: 3 fields, expected 2"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        SequenceClassifier(**QUICK).fit(path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_labels_at_once(tmp_path: Path) -> None:
    """Each class is told by a word of its own; some examples have none."""
    rng = np.random.default_rng(0)
    words = {"sad": "tear", "loud": "drum", "old": "stone"}
    rows = []
    for number in range(160):
        chosen = [name for name in words if rng.random() < 0.4]
        rows.append((" ".join([f"{number % 9}"] + [words[name] for name in chosen]), ";".join(chosen)))
    table = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    model = SequenceClassifier(**SMALL, epochs=25, label_separator=";", validation=0.25, vocabulary="word")
    model.fit(table, out=tmp_path / "run")
    assert model.scores_["model"]["micro_f1"] > 0.95
    assert set(model.scores_["model"]) == {"accuracy", "micro_f1", "macro_f1", "log_loss"}
    assert model.predict(["7 drum stone", "7"]) == [["loud", "old"], []]
    back = api.load(tmp_path / "run")
    assert [answer.values["label"] for answer in back.answers(["8 tear", "8"])] == [["sad"], []]
    assert isinstance(back, SequenceClassifier)
    assert back.labels_ == model.labels_


def test_numbers_of_any_length_are_read(tmp_path: Path) -> None:
    """Whether the second feature rises, whatever the scale of the first."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, 300)
    y = rng.integers(0, 2, 300)
    rows = [
        np.stack([1000 + rng.normal(size=n), np.arange(n) * (2.0 * up - 1) + rng.normal(size=n) / 4], 1)
        for n, up in zip(lengths, y, strict=True)
    ]
    np.savez(tmp_path / "data.npz", x=np.concatenate(rows), lengths=lengths, y=y)
    model = SequenceClassifier(
        hidden_size=12, threads=1, learning_rate=0.02, epochs=4, pooling="last", validation=0.25
    )
    model.fit(tmp_path / "data.npz", out=tmp_path / "run")
    assert model.scores_["model"]["accuracy"] > 0.95
    assert model.predict([rows[0], rows[1]]) == [str(y[0]), str(y[1])]
    answers = list(model.answers([str(tmp_path / "data.npz")]))
    assert len(answers) == 300
    assert answers[299].values["sequence"].endswith("sequence 300")
    with pytest.raises(InputError, match=r"of shape \(3, 5\), expected \(steps, 2\)"):
        model.predict([np.zeros((3, 5))])


def test_sounds_are_told_apart_at_any_rate(tmp_path: Path) -> None:
    """High and low tones of any loudness; asked at another rate."""
    rng = np.random.default_rng(0)

    def tone(path: Path, frequency: float, rate: int = 8000) -> None:
        time = np.arange(round(rate * rng.uniform(0.1, 0.3))) / rate
        samples = rng.uniform(0.2, 0.9) * np.sin(2 * np.pi * (frequency + 200 * time) * time)
        soundfile.write(path, samples + 0.01 * rng.normal(size=len(time)), rate)

    (tmp_path / "tones").mkdir()
    for number in range(60):
        low = number % 2
        tone(tmp_path / f"tones/{'low' if low else 'high'}_{number}.wav", 300 if low else 1500)
    model = SequenceClassifier(
        hidden_size=8,
        mels=12,
        center=False,
        threads=1,
        learning_rate=0.02,
        epochs=4,
        batch_size=8,
        validation=0.25,
    )
    model.fit(tmp_path / "tones", out=tmp_path / "run")
    assert model.scores_["model"]["accuracy"] == 1
    tone(tmp_path / "new.flac", 1500, 16000)
    (answer,) = api.load(tmp_path / "run").answers([str(tmp_path / "new.flac")])
    assert answer.values["label"] == "high"
    assert answer.values["file"].endswith("new.flac")
    assert model.predict([tmp_path / "new.flac"]) == ["high"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mels": 20}, "mels is 20, but it is about audio, and the data are text"),
        ({"feature_columns": "a"}, "feature_columns"),
        ({"text_column": "a", "id_column": "b"}, "of three kinds"),
        ({"label_separator": ";", "class_weight": "balanced"}, "class_weight"),
        ({"label_separator": ";", "decide": "macro-f1"}, "decide is for one class"),
        ({"decide": "macro-f1", "validation": 0}, "learned from held-out data"),
        ({"label_separator": ""}, "label_separator is empty"),
        ({"pooling": "first"}, "pooling"),
        ({"group_column": "nobody"}, "no column 'nobody'"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SequenceClassifier(**{**QUICK, **options}).fit(_example(tmp_path), out=tmp_path / "run")


def test_text_options_are_refused_for_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 2)), y=np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match="embedding is 8, but it is about text, and the data are numbers"):
        SequenceClassifier(**QUICK).fit(tmp_path / "data.npz")


@pytest.mark.parametrize(
    "option",
    [
        {"bidirectional": False},
        {"pooling": "last"},
        {"pooling": "mean"},
        {"pooling": "attention"},
        {"step_dropout": 0.5},
        {"dropout": 0.5},
        {"dropout": 0.5, "variational": True},
        {"embedding": 9},
        {"ngrams": 2},
        {"max_length": 5},
        {"class_weight": "balanced"},
        {"class_weight": "root"},
        {"vocabulary": "byte"},
        {"vocabulary": "word"},
        {"jamo": True},
        {"train_fraction": 0.5},
        {"recurrent_dropout": 0.5},
    ],
    ids=str,
)
def test_every_option_changes_something(tmp_path: Path, option: dict[str, Any]) -> None:
    path = tmp_path / "data.csv"
    rows = [f"{['rain', 'sun', '눈'][n % 3]} on day {n},{'xy'[n % 3 > 0]}" for n in range(40)]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    base = {"dropout": 0.5} if "variational" in option else {}
    likely = [
        SequenceClassifier(**{**QUICK, **how}).fit(path).predict_proba(["rain and 눈 tomorrow"])
        for how in (base, option)
    ]
    assert np.abs(likely[0] - likely[1]).max() > 1e-9


def test_macro_f1_is_decided_for_where_it_is_asked_for(tmp_path: Path) -> None:
    """A class of a tenth that nothing tells is never the likeliest; never guessed, its F1 is 0."""
    table = {
        "text": [f"{n % 7} or {n % 3}" for n in range(400)],
        "label": ["ab"[n % 10 == 0] for n in range(400)],
    }
    how = {**SMALL, "epochs": 2, "validation": 0.5}
    fitted = {rule: SequenceClassifier(**how, decide=rule).fit(table) for rule in ("likeliest", "macro-f1")}
    guessed = {rule: set(model.predict(table["text"])) for rule, model in fitted.items()}
    assert guessed == {"likeliest": {"a"}, "macro-f1": {"a", "b"}}
    model = fitted["macro-f1"]
    model.save(tmp_path / "run")
    assert SequenceClassifier.load(tmp_path / "run").predict(table["text"]) == model.predict(table["text"])


def test_balanced_weights_help_a_rare_class(tmp_path: Path) -> None:
    """Without a sign of the class in the text, the probability is the share; balanced, one half."""
    table = {
        "text": [f"{n % 7} or {n % 3}" for n in range(200)],
        "label": ["ab"[n % 10 == 0] for n in range(200)],
    }
    likely = {
        weight: SequenceClassifier(
            **{**SMALL, "epochs": 4, "learning_rate": 0.01}, validation=0, class_weight=weight
        )
        .fit(table)
        .predict_proba(["3 or 2"])[0, 1]
        for weight in ("none", "balanced")
    }
    assert likely["none"] < 0.25 < 0.3 < likely["balanced"] < 0.7


def test_groups_and_equal_texts_are_on_one_side(tmp_path: Path) -> None:
    texts = [f"text {n // 2}" for n in range(80)]  # each twice
    table = {"text": texts, "who": [n % 8 for n in range(80)], "label": ["ab"[n // 2 % 2] for n in range(80)]}
    model = SequenceClassifier(**QUICK, validation=0.25).fit(table)
    assert not set(model._held_examples.inputs) & set(model._training_examples.inputs)
    assert len(model._held_examples) == 20
    model = SequenceClassifier(**QUICK, validation=0.25, group_column="who").fit(table)
    assert len(set(model._held_examples.groups or [])) == 2
    assert not set(model._held_examples.groups or []) & set(model._training_examples.groups or [])
    model = SequenceClassifier(**QUICK, distinct=True, validation=0.25).fit(table)
    assert (len(model._held_examples), len(model._training_examples)) == (10, 30)


def test_a_validation_file_is_held_out_whole(tmp_path: Path) -> None:
    data, held = _example(tmp_path), tmp_path / "held.csv"
    held.write_text("text,label\nrain,weather\nsoup,food\n", encoding="utf-8")
    model = SequenceClassifier(**QUICK).fit(data, validation=held)
    assert (len(model._training_examples), model._held_examples.inputs) == (80, ["rain", "soup"])


def test_nothing_held_out_is_nothing_calibrated(tmp_path: Path) -> None:
    model = SequenceClassifier(**QUICK, validation=0).fit(_example(tmp_path))
    assert model.labels_.temperature == 1
    assert "validation_loss" not in model.run_.metrics()[-1]
    assert "nothing was held out" in model._judged()


def test_ngrams_are_kept(tmp_path: Path) -> None:
    model = SequenceClassifier(**QUICK, ngrams=3).fit(_example(tmp_path), out=tmp_path / "run")
    torch.nn.init.normal_(model.network_.embedding.runs.weight)  # type: ignore[union-attr]
    weights = {name: values.numpy() for name, values in model.network_.state_dict().items()}
    model.run_.write_tensors("model.safetensors", weights, {})
    back = api.load(tmp_path / "run")
    assert isinstance(back, SequenceClassifier)
    texts = ["there is rain on day 4", "is 밥"]
    np.testing.assert_array_equal(back.predict_proba(texts), model.predict_proba(texts))


def test_calibration_is_kept(trained: SequenceClassifier) -> None:
    assert trained.labels_.temperature != 1
    back = api.load(trained.run_.path)
    assert isinstance(back, SequenceClassifier)
    assert back.labels_ == trained.labels_


def test_a_run_of_another_task_is_refused(trained: SequenceClassifier) -> None:
    with pytest.raises(InputError, match="a run of the task 'classify', expected 'language-model'"):
        LanguageModel.load(trained.run_.path)


def test_any_name_of_a_class_is_drawn() -> None:
    table = {
        "text": [f"{n % 3} and {n}" for n in range(30)],
        "label": [("긍정 😀", "$x$", "<b>")[n % 3] for n in range(30)],
    }
    model = SequenceClassifier(**QUICK).fit(table)
    page = (model.run_.path / "report.html").read_text(encoding="utf-8")
    assert "긍정 😀" in page
    assert "<b>" not in page

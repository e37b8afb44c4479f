"""Texts that stand alone: scores against NumPy, conditions that are read, what is written, and bad input."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

import elman
from elman import reference
from elman.errors import InputError
from elman.tasks._conditions import Conditions
from elman.tasks._ngram import Bigram
from elman.tasks.language_model import LanguageModel
from elman.testing import laws_tasks
from tests.tasks import named_rows
from tests.tasks.named_rows import HEAD, READ, rows

SMALL: dict[str, Any] = {"cell": "gru", "hidden_size": 12, "batch_size": 16, "max_steps": 2, **READ}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return named_rows.example(tmp_path_factory.mktemp("data"))[0][0]


@pytest.fixture(scope="module")
def model(table: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """One that has learned what the language says."""
    learning = {**SMALL, "max_steps": None, "epochs": 25, "learning_rate": 0.02, "hidden_size": 24}
    return LanguageModel(**learning).fit(table, out=tmp_path_factory.mktemp("runs") / "run")


def numpy_logs(model: LanguageModel, text: str, condition: np.ndarray | None) -> np.ndarray:
    """Log-probabilities (T + 1, V + 1) from the begin of a text to its end, by the reference and NumPy, float64."""
    weights = {name: value.double().numpy() for name, value in model.network_.state_dict().items()}
    params = {
        name.removeprefix("recurrent."): w for name, w in weights.items() if name.startswith("recurrent.")
    }
    mark = len(model.vocabulary_)
    symbols = np.r_[mark, model.vocabulary_.encode(text, "map").astype(int)]
    x = weights.get("embedding.weight", np.eye(mark + 1))[symbols]
    if condition is not None:
        x = np.hstack([x, np.tile(condition, (len(x), 1))])
    hidden, _ = reference.forward(model.cell, params, x[None])
    scores = hidden[0] @ weights["output.weight"].T + weights["output.bias"]
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


@pytest.mark.parametrize("law", laws_tasks.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("conditioned", [True, False])
def test_laws(
    law: Callable[[str, Path], None], conditioned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every task must obey, of rows in place of a text."""

    def example(folder: Path) -> tuple[list[Path], dict[str, Any]]:
        files, options = named_rows.example(folder)
        return files, options if conditioned else {"text_column": "name"}

    monkeypatch.setattr(LanguageModel, "example", example)
    law("language-model", tmp_path)


# --- scores


@pytest.mark.parametrize(
    ("options", "vector"),
    [
        ({}, lambda language, year: [language == "ao", language == "oa"]),
        ({"embedding": 5, "num_layers": 2}, lambda language, year: [language == "ao", language == "oa"]),
        ({"condition_column": None}, None),
        ({"condition_column": "year"}, lambda language, year: [year]),
        (
            {"condition_column": "year, language"},
            lambda language, year: [year, language == "ao", language == "oa"],
        ),
    ],
    ids=["label", "embedding", "nothing", "number", "both"],
)
def test_evaluate_is_the_definition(
    table: Path, options: dict[str, Any], vector: Callable[[str, int], list[float]] | None
) -> None:
    model = LanguageModel(**{**SMALL, **options}).fit(table)
    nats, right, count = 0.0, 0, 0
    mean, deviation = trained_years(model)
    for name, language, year in rows():
        condition = None if vector is None else np.array(vector(language, (year - mean) / deviation), float)
        logs = numpy_logs(model, name, condition)
        wanted = np.r_[model.vocabulary_.encode(name).astype(int), len(model.vocabulary_)]
        nats -= logs[np.arange(len(wanted)), wanted].sum()
        right, count = right + int((logs.argmax(1) == wanted).sum()), count + len(wanted)
    scores = model.evaluate(table)
    assert scores["loss"] == pytest.approx(nats / count, rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(nats / count), rel=1e-4)
    assert scores["accuracy"] == pytest.approx(right / count, abs=0.002)
    assert scores["bits_per_character"] == pytest.approx(nats / math.log(2) / count, rel=1e-5)


def trained_years(model: LanguageModel) -> tuple[float, float]:
    """Mean and deviation over the rows that are not held out; equal texts are held out together."""
    held_out = set(model._material.held_out.found.texts)
    years = [year for name, _, year in rows() if name not in held_out]
    assert 0 < len(years) < len(rows())
    return float(np.mean(years)), float(np.std(years))


def test_long_rows_and_large_batches_are_measured_in_parts(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from elman.tasks import _measuring

    model = LanguageModel(**SMALL).fit(table)
    whole = model.evaluate(table)
    monkeypatch.setattr(_measuring, "_SCORES", 200)
    monkeypatch.setattr(_measuring, "_TOGETHER", 7)
    assert model.evaluate(table) == pytest.approx(whole, rel=1e-6)


def test_training_loss_is_that_of_the_rows(table: Path) -> None:
    """At learning rate 0 the figures of an epoch are those of the first weights, however short the windows are."""
    for length in (2, 100):
        model = LanguageModel(
            **{**SMALL, "max_steps": None}, learning_rate=0, epochs=1, sequence_length=length
        )
        model.fit(table, validation=0)
        record = model._fitted().metrics()[-1]
        assert record["step"] == math.ceil(200 / 16)
        assert record["train_loss"] == pytest.approx(model.scores_["model"]["loss"], rel=1e-5)
        assert record["train_accuracy"] == pytest.approx(model.scores_["model"]["accuracy"], abs=0.002)


def test_gradients_flow_through_sequence_length_symbols(table: Path) -> None:
    losses = {
        length: LanguageModel(**{**SMALL, "max_steps": 6}, sequence_length=length)
        .fit(table)
        ._fitted()
        .metrics()[-1]["train_loss"]
        for length in (1, 3, 100, 200)
    }
    assert len({losses[length] for length in (1, 3, 100)}) == 3
    assert losses[100] == losses[200]


def test_baselines_count_what_they_say(table: Path) -> None:
    """The bigram of the label is the mean of those of each label's own table, weighted by targets."""
    model = LanguageModel(**SMALL).fit(table)
    assert list(model.scores_) == ["model", "bigram of the label", "bigram", "unigram"]
    held, known = model._material.held_out.found, model._material.training.found
    assert len(held) + len(known) == 200
    assert not set(held.texts) & set(known.texts)
    nats = count = 0.0
    for language in ("ao", "oa"):
        texts = [
            [
                text
                for text, each in zip(part.texts, part.conditions["language"], strict=True)
                if each == language
            ]
            for part in (known, held)
        ]
        codes = [np.array([0, *("aokm\n".index(c) for t in part for c in f"\n{t}"), 4])[1:] for part in texts]
        nats += Bigram.count(codes[0], 5).bigram(codes[1]) * (len(codes[1]) - 1)
        count += len(codes[1]) - 1
    assert model.scores_["bigram of the label"]["loss"] == pytest.approx(nats / count, rel=1e-9)
    assert (
        "bigram of the label" not in LanguageModel(**{**SMALL, "condition_column": None}).fit(table).scores_
    )


def test_the_condition_is_learned(model: LanguageModel, table: Path) -> None:
    plain = LanguageModel(**{**model.options(), "condition_column": None}).fit(table)
    assert model.scores_["model"]["loss"] < plain.scores_["model"]["loss"] - 0.05
    for language in ("ao", "oa"):
        names = "".join(model.generate(condition=language, count=40, temperature=0.5, seed=1)).split("\n")
        assert sum(name.endswith(language[0]) for name in names) > 36
        assert len(set(names)) > 10


# --- what is read


def test_tables_folders_and_dataframes_are_the_same(table: Path, tmp_path: Path) -> None:
    folder = named_rows.class_folder(tmp_path)
    columns = {
        name: list(part)
        for name, part in zip(HEAD.strip().split(","), zip(*rows(), strict=True), strict=True)
    }
    polars.DataFrame(columns).write_parquet(tmp_path / "names.parquet")
    lines = (json.dumps(dict(zip(columns, row, strict=True))) for row in rows())
    (tmp_path / "names.jsonl").write_text("\n".join(lines), encoding="utf-8")
    model = LanguageModel(**SMALL).fit(table)
    expected = model.evaluate(table)
    for data in (
        tmp_path / "names.parquet",
        tmp_path / "names.jsonl",
        columns,
        polars.DataFrame(columns),
        folder,
    ):
        assert model.evaluate(data) == pytest.approx(expected, rel=1e-6)
    read = LanguageModel(**{**SMALL, "text_column": None}).fit(folder)
    assert read.conditions_ == model.conditions_
    assert read.evaluate(table) == pytest.approx(read.evaluate(folder), rel=1e-6)


def test_vectors_come_from_lists_and_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(3, 2, (200, 3)).astype(np.float32)
    (tmp_path / "rows").mkdir()
    named, listed = ["name\tvector\n"], []
    for number, (name, _, _) in enumerate(rows()):
        np.save(tmp_path / "rows" / f"{number}.npy", vectors[number])
        named.append(f"{name}\trows/{number}.npy\n")
        listed.append(json.dumps({"name": name, "vector": vectors[number].tolist()}) + "\n")
    (tmp_path / "a.tsv").write_text("".join(named), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text("".join(listed), encoding="utf-8")
    options = {**SMALL, "condition_column": "vector"}
    model = LanguageModel(**options).fit(tmp_path / "a.tsv")
    trained = set(model._material.training.found.texts)
    of_training = [each for each, (name, _, _) in zip(vectors, rows(), strict=True) if name in trained]
    assert 0 < len(of_training) < 200
    found = model.conditions_.encode({"vector": of_training}, ["row"] * len(of_training))
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-5)
    assert model.evaluate(tmp_path / "b.jsonl") == pytest.approx(model.evaluate(tmp_path / "a.tsv"), rel=1e-6)
    told = ",".join(str(x) for x in vectors[7].tolist())
    texts = [
        "".join(model.generate(condition=given, seed=3, length=20))
        for given in (told, vectors[7], str(tmp_path / "rows" / "7.npy"), {"vector": vectors[7]})
    ]
    assert len(set(texts)) == 1
    condition = model.conditions_.read(vectors[7])
    logs = numpy_logs(model, "", condition)
    reader = model.network_.continuation(condition)
    scores = reader.read([len(model.vocabulary_)])
    np.testing.assert_allclose(scores - np.logaddexp.reduce(scores), logs[0], atol=1e-5)
    with pytest.raises(InputError, match="the condition has 2 numbers, expected 3"):
        model.generate(condition=[1.0, 2.0])
    with pytest.raises(InputError, match="too many values, expected 'vector'"):
        model.generate(condition="1,2,3,4")
    with pytest.raises(InputError, match="has 2 numbers, expected 3"):
        model.generate(condition="1,2")


def test_mixed_conditions_are_told_with_commas(table: Path) -> None:
    model = LanguageModel(**{**SMALL, "condition_column": "language,year"}).fit(table)
    mean, deviation = trained_years(model)
    expected = [1, 0, (1990 - mean) / deviation]
    for given in ("ao,1990", " ao , 1990", {"year": 1990, "language": "ao"}, '"ao",1990'):
        np.testing.assert_allclose(model.conditions_.read(given), expected, rtol=1e-6)
    with pytest.raises(InputError, match="is one value, expected 'language', 'year'"):
        model.conditions_.read(["ao"])
    with pytest.raises(InputError, match="'ao' has too few values, expected 'language', 'year'"):
        model.conditions_.read("ao")
    with pytest.raises(InputError, match="year: the condition 'x', expected a number"):
        model.conditions_.read("ao,x")


def test_examples_are_read_back_whatever_labels_hold() -> None:
    for label in ('"quoted" name', 'x"y, k', "two\nlines"):
        columns = {"name": [label, label], "year": [1.0, 3.0]}
        conditions = Conditions.learn(columns, ["here:1", "here:2"])
        np.testing.assert_array_equal(conditions.read(conditions.example()), [1, 0])
        np.testing.assert_array_equal(conditions.read(conditions.typical()), [1, 0])


def test_a_missing_text_of_a_dataframe_is_told() -> None:
    table = {"name": ["ka", float("nan"), "ko"], "language": ["ao"] * 3}
    with pytest.raises(InputError, match="the text is empty"):
        LanguageModel(**SMALL).fit(table)


def test_scores_are_those_of_the_weights_that_are_kept(table: Path, tmp_path: Path) -> None:
    options = {**SMALL, "keep": "last", "max_steps": 6, "evaluate_every": 2, "learning_rate": 3.0}
    model = LanguageModel(**options).fit(table, out=tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["validation_loss"] for line in lines]
    assert losses[-1] > min(losses)
    assert model.scores_["model"]["loss"] == losses[-1]


# --- what is written


def test_greedy_is_recomputation(model: LanguageModel) -> None:
    for language in ("ao", "oa"):
        for prompt in ("", "ka"):
            text = prompt
            while (
                best := int(
                    numpy_logs(model, text, np.array([language == "ao", language == "oa"]))[-1].argmax()
                )
            ) < len(model.vocabulary_):
                text += model.vocabulary_.symbols[best]
            assert "".join(model.generate(prompt, condition=language, temperature=0)) == text[len(prompt) :]


def test_samples_are_the_lines_of_generate(model: LanguageModel) -> None:
    how: dict[str, Any] = {"condition": "ao", "count": 5, "seed": 2}
    texts = ["".join(pieces) for pieces in model.samples("m", **how)]
    assert len(texts) == 5
    assert len(set(texts)) > 1
    assert "".join(model.generate("m", **how)) == "\n".join(texts)
    assert ["".join(pieces) for pieces in model.samples("m", **{**how, "count": 2})] == texts[:2]


def test_steps_are_the_whole(model: LanguageModel) -> None:
    vector = np.array([0.0, 1.0])
    model.reset("oa")
    stepped = [model.step("m"), model.step("ka"), model.step(int(model.vocabulary_.encode("o")[0]))]
    logs = numpy_logs(model, "mkao", vector)
    for scores, place in zip(stepped, (1, 3, 4), strict=True):
        np.testing.assert_allclose(scores - np.logaddexp.reduce(scores), logs[place], atol=1e-5)
    model.reset("oa")
    begin = model.step("")
    np.testing.assert_allclose(begin - np.logaddexp.reduce(begin), logs[0], atol=1e-5)
    with pytest.raises(InputError, match="holds no symbol"):
        model.step("")


def test_answers_tell_the_end_and_take_the_conditions_of_a_table(
    model: LanguageModel, tmp_path: Path
) -> None:
    (tmp_path / "two.csv").write_text(HEAD + "kamo,oa,1\nkamo,ao,1\n", encoding="utf-8")
    answers = [answer.values for answer in model.answers([str(tmp_path / "two.csv")], top_k=6)]
    assert [answer["language"] for answer in answers] == ["oa", "ao"]
    ends = [{each["symbol"]: each["probability"] for each in answer["next"]}[""] for answer in answers]
    assert ends[0] > ends[1] + 0.1
    (alone,) = model.answers(["kamo"], top_k=6, condition="oa")
    assert alone.values["next"] == answers[0]["next"]
    for answer, vector in zip(answers, ([0, 1], [1, 0]), strict=True):
        logs = numpy_logs(model, "kamo", np.array(vector))[-1]
        assert answer["next"][0]["probability"] == pytest.approx(float(np.exp(logs.max())), rel=1e-4)


def test_the_report_shows_each_label(model: LanguageModel) -> None:
    page = (model._fitted().path / "report.html").read_text(encoding="utf-8")
    for word in (
        "Samples at temperature 0.8",
        "written 1",
        "bigram of the label",
        "--condition ao",
        "language: 2 labels",
    ):
        assert word in page


def test_inspected(model: LanguageModel, table: Path) -> None:
    """What inspection reads is what was learned: the losses of its steps are those of the reference."""
    found = model.inspected([str(table)])
    losses = found.objective(found.read()).detach().numpy()
    for row, (name, language, _) in enumerate(rows()[: len(found.steps)]):
        logs = numpy_logs(model, name, np.array([language == "ao", language == "oa"]))
        wanted = np.r_[model.vocabulary_.encode(name).astype(int), len(model.vocabulary_)]
        np.testing.assert_allclose(
            losses[row, : len(wanted)], -logs[np.arange(len(wanted)), wanted], atol=1e-4
        )
        assert not losses[row, len(wanted) :].any()
        assert list(found.steps[row]) == ["(edge)", *name]
    assert len(model.inspected([]).steps) == 2
    with pytest.raises(InputError, match="texts are written from 'language'; give a table"):
        model.inspected(["kamo"])


def test_many_rows_learn_alike_however_they_are_split(table: Path) -> None:
    """`distinct` texts are never on both sides; a share of the training part leaves the held-out part alone."""
    whole, part = (LanguageModel(**SMALL, train_fraction=share).fit(table) for share in (1.0, 0.3))
    assert part._material.held_out.found == whole._material.held_out.found
    assert len(part._material.training) == pytest.approx(0.3 * len(whole._material.training), abs=2)


def test_a_model_of_rows_can_judge_transcripts(table: Path, model: LanguageModel) -> None:
    from elman.tasks._transcribe_language import SymbolLanguage

    plain = LanguageModel(**{**SMALL, "condition_column": None}).fit(table)
    language = SymbolLanguage(plain, plain.vocabulary_, "run")
    state, logs = language.begin()
    np.testing.assert_allclose(logs, numpy_logs(plain, "", None)[0], atol=1e-5)
    ((_, logs),) = language.follow([state], [2])
    expected = numpy_logs(plain, plain.vocabulary_.symbols[2], None)[1]
    np.testing.assert_allclose(logs, expected, atol=1e-5)
    with pytest.raises(InputError, match="writes from a condition"):
        SymbolLanguage(model, model.vocabulary_, "run")


# --- bad input


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (HEAD + "ka,ao,1\n,oa,2\nko,ao,3\n", {}, r"names.csv:3: the text is empty"),
        (HEAD + "ka,ao,1\nko,,2\nko,ao,3\n", {}, r"names.csv:3: the condition 'language' is empty"),
        (HEAD + "ka,ao,1\nko,oa,2\n", {}, "2 labels in 2 rows: there is nothing to learn"),
        (
            HEAD + "ka,ao,1\nko,oa,NA\nko,ao,1\n",
            {"condition_column": "year"},
            r"names.csv:3: .*'year' is missing, expected a number",
        ),
        (HEAD + "ka,ao,1\nko,oa\n", {}, r"names.csv:3: 2 fields, expected 3"),
        (
            HEAD + "ka,ao,1\nka,ao,1\n",
            {"condition_column": "langage"},
            "no column 'langage'.*Did you mean language.*--condition-column",
        ),
        (HEAD + "ka,ao,1\nka,ao,1\n", {"text_column": "names"}, "no column 'names'.*--text-column"),
        (
            "a,b,c\n1,2,3\n1,2,3\n",
            {"text_column": None, "condition_column": "a"},
            "which column holds the texts",
        ),
        (HEAD + "ka,gone.npy,1\nko,gone.npy,1\n", {}, r"names.csv:2: .*gone.npy: no such file"),
        (HEAD + "ka,ao,1\nka,ao,1\n", {"cut": "windows"}, "cut windows is of one long text"),
        (HEAD, {"condition_column": "year,year"}, "names 'year', which is there already"),
        (HEAD, {"condition_column": "name", "text_column": "name"}, "names 'name', which is there already"),
        (HEAD, {"condition_column": " ,"}, "condition_column is ' ,', expected names of columns"),
    ],
    ids=str,
)
def test_bad_tables_are_told(tmp_path: Path, content: str, options: dict[str, Any], message: str) -> None:
    path = tmp_path / "names.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        LanguageModel(**{**SMALL, **options}).fit(path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_vectors_of_several_lengths_are_told(tmp_path: Path) -> None:
    path = tmp_path / "names.jsonl"
    path.write_text('{"name": "ka", "v": [1, 2]}\n{"name": "ko", "v": [1]}\n', encoding="utf-8")
    with pytest.raises(
        InputError, match=r"names.jsonl:2: the condition 'v' has 1 numbers, expected 2 as before"
    ):
        LanguageModel(**{**SMALL, "condition_column": "v"}).fit(path)


def test_what_a_model_cannot_take_is_told(model: LanguageModel, table: Path, tmp_path: Path) -> None:
    for use in (lambda: model.generate(), lambda: model.predict(["ka"]), lambda: model.step("ka")):
        model._streamed = model._condition = None
        with pytest.raises(InputError, match="written from 'language': say which with condition"):
            use()
    with pytest.raises(
        InputError, match=r"'aoo' was not there in training, which knows ao, oa. Did you mean ao"
    ):
        model.generate(condition="aoo")
    with pytest.raises(InputError, match="rows is 2, of one long text"):
        model.evaluate(table, rows=2)
    (tmp_path / "new.csv").write_text(HEAD + "ka,ao,1\nkX,oa,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"new.csv:3: .*'X'.*not in the vocabulary"):
        model.evaluate(tmp_path / "new.csv")
    (tmp_path / "new.csv").write_text(HEAD + "ka,xx,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"new.csv:2: the condition 'xx' was not there in training"):
        model.evaluate(tmp_path / "new.csv")
    with pytest.raises(InputError, match="a folder tells one label of each text"):
        LanguageModel(condition_column="a,b").fit(named_rows.class_folder(tmp_path))
    running = LanguageModel(cell="gru", hidden_size=4, max_steps=1, batch_size=2, sequence_length=5).fit(
        table
    )
    with pytest.raises(
        InputError, match="'ao': this model writes from none; train one with --condition-column"
    ):
        running.generate(condition="ao")


def test_damage_to_the_conditions_is_told(model: LanguageModel, tmp_path: Path) -> None:
    model.save(tmp_path / "copy")
    path = tmp_path / "copy" / "task.json"
    good = json.loads(path.read_text())
    for part in ({"names": [1, 2]}, {"mean": [0.0], "deviation": [0.0]}, {"names": ["ao", "oa", "xx"]}, {}):
        path.write_text(json.dumps({**good, "conditions": {"columns": ["language"], "parts": [part]}}))
        with pytest.raises(InputError, match="copy"):
            elman.load(tmp_path / "copy")
    path.write_text(json.dumps({**good, "conditions": None}))
    with pytest.raises(InputError, match=r"task.json: damaged"):
        elman.load(tmp_path / "copy")

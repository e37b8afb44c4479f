"""The translator: what it learns, scores by their definition, splits, bad input, options that do something."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import elman
from elman import api
from elman.errors import InputError
from elman.tasks._text_scores import signatures, text_scores
from elman.tasks._translate_problem import TranslationProblem
from elman.tasks.translate import Translator

SMALL: dict[str, Any] = {"cell": "gru", "hidden_size": 16, "embedding": 8, "batch_size": 16, "threads": 1}
PLACES = "영일이삼사오육칠팔구"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Translator.example(tmp_path_factory.mktemp("data"))[0][0]


@pytest.fixture(scope="module")
def model(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Translator:
    out = tmp_path_factory.mktemp("runs") / "run"
    return Translator(**{**SMALL, "hidden_size": 32, "embedding": 16}, learning_rate=0.01, epochs=25).fit(
        pairs, out=out
    )


def fitted(data: Any, **options: Any) -> Translator:
    return Translator(**{**SMALL, "max_steps": 2, **options}).fit(data)


def train_loss(data: Any, **options: Any) -> float:
    model = fitted(data, **options)
    loss: float = model.run_.metrics()[-1]["train_loss"]
    return loss


def written(folder: Path, *lines: str, name: str = "given.tsv") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# --- learning and scores


def test_digits_become_words(model: Translator) -> None:
    assert model.scores_["model"]["exact_match"] >= 0.9
    assert model.scores_["model"]["chrf"] > 1.3 * model.scores_["nearest source"]["chrf"]
    assert model.predict(["17", " 105 "]) == ["일 칠", "일 영 오"]


def test_scores_are_the_definition(model: Translator, tmp_path: Path) -> None:
    path = written(tmp_path, "digits\tkorean", "12\t일 이", "12\t십이", "199\t일 구 구", "7\t팔")
    scores = model.evaluate(path)
    nats = right = count = 0.0
    for source, target in (("12", "일 이"), ("12", "십이"), ("199", "일 구 구"), ("7", "팔")):
        symbols = [*model.vocabulary_.encode(target, "map").tolist(), len(model.vocabulary_)]
        carried, symbol = (
            model._begin([model.source_vocabulary_.encode(source).astype(np.int64)]),
            symbols[-1],
        )
        for wanted in symbols:
            with torch.inference_mode():
                found, carried = model.network_.decoder.step(torch.tensor([[symbol]]), carried)
            logs = found[0, 0].double().log_softmax(0)
            nats, right, count, symbol = (
                nats - float(logs[wanted]),
                right + int(logs.argmax() == wanted),
                count + 1,
                wanted,
            )
    answers = model.predict(["12", "199", "7"])
    assert scores == {
        "loss": pytest.approx(nats / count, rel=1e-4),
        "perplexity": pytest.approx(math.exp(nats / count), rel=1e-4),
        "accuracy": right / count,
        **text_scores(answers, [["일 이", "십이"], ["일 구 구"], ["팔"]]),
    }
    assert scores["exact_match"] == pytest.approx(2 / 3)


def test_text_scores_are_sacrebleus() -> None:
    import sacrebleu

    found, one, two = ["a b c d", "물은 흐른다"], ["a b c e", "물이 흐른다"], ["a b d d", "강은 흐른다"]
    scores = text_scores(found, list(map(list, zip(one, two, strict=True))))
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(found, [one, two]).score, abs=1e-4)
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(found, [one, two]).score, abs=1e-4)
    assert text_scores(found, [[one[0]], [one[1], found[1]]])["chrf"] > scores["chrf"]
    assert text_scores(found, [["x", found[0]], ["y"]])["exact_match"] == 0.5
    assert all(f"version:{sacrebleu.__version__}" in told for told in signatures())


def test_final_scores_are_those_of_evaluate(pairs: Path, tmp_path: Path) -> None:
    held = written(tmp_path, "digits\tkorean", *(f"{k}\t{PLACES[k]}" for k in range(10)))
    model = fitted(pairs, validation=str(held))
    assert model.evaluate(held) == pytest.approx(model.scores_["model"])


def test_the_log_tells_what_each_side_costs(model: Translator) -> None:
    rows = model.run_.metrics()
    assert all(row["encoder_seconds"] > 0 and row["decoder_seconds"] > 0 for row in rows)
    assert rows[-1]["accuracy"] > rows[0]["accuracy"]


def test_no_seconds_are_told_of_a_device_that_computes_later(pairs: Path) -> None:
    problem = TranslationProblem(fitted(pairs))
    problem.loss(np.arange(4), None)
    assert {"encoder_seconds", "decoder_seconds"} < problem._logged().keys()
    problem.model.to("meta")
    assert problem._logged().keys() == {"train_accuracy"}


# --- the data


def test_a_source_has_all_its_targets_on_one_side() -> None:
    sources = [str(k % 20) for k in range(60)]
    model = fitted({"a": sources, "b": [f"x{k}" for k in range(60)]}, validation=0.2)
    held, kept = set(model._held.sources), set(model._training.sources)
    assert (len(held), len(kept), held & kept) == (4, 16, set())
    assert len(model._held) == 12


def test_seeds_decide_and_train_fraction_leaves_the_held_out(pairs: Path) -> None:
    drawn = [fitted(pairs, seed=seed)._held.sources for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    part = fitted(pairs, train_fraction=0.25)
    assert part._held.sources == drawn[0]
    assert len(part._training) == 45


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "parquet", "dataframe"])
def test_every_kind_of_table_is_read(kind: str, tmp_path: Path) -> None:
    import polars

    rows = [{"n": k, "en": f"say {k}", "ko": f"말 {k}"} for k in range(12)]
    path = tmp_path / f"pairs.{kind}"
    frame = polars.DataFrame(rows)
    if kind == "jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    elif kind == "parquet":
        frame.write_parquet(path)
    elif kind != "dataframe":
        frame.write_csv(path, separator="\t" if kind == "tsv" else ",")
    model = fitted(
        frame if kind == "dataframe" else path, source_column="ko", target_column="en", validation=0
    )
    assert (model._training.sources[0], model._training.targets[0]) == ("말 0", "say 0")


def test_a_table_without_a_header(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"go {k}\t가 {k}\tsomeone" for k in range(10)), name="kor.txt")
    model = fitted(path, header=False, source_column="1", target_column="2", validation=0)
    assert (len(model._training), model._training.targets[0]) == (10, "가 0")
    assert model.evaluate(path)["loss"] > 0
    with pytest.raises(
        InputError, match=r"which column is the source\? Say --source-column NAME; there are '1', '2', '3'"
    ):
        fitted(path, header=False)


def test_two_columns_need_no_names(tmp_path: Path) -> None:
    path = written(tmp_path, "a\tb", *(f"x{k}\ty{k}" for k in range(9)))
    assert fitted(path).columns_ == ("a", "b")
    assert fitted(path, source_column="b").columns_ == ("b", "a")


def test_vocabularies_are_of_the_training_part(tmp_path: Path) -> None:
    path = written(tmp_path, "a\tb", *(f"x{k}\ty{k}" for k in range(9)))
    held = written(tmp_path, "a\tb", "xz\tyz", name="held.tsv")
    model = fitted(path, validation=str(held))
    assert "z" not in model.source_vocabulary_.symbols + model.vocabulary_.symbols
    assert "y" not in model.source_vocabulary_.symbols
    assert set("xy") <= set(fitted(path, shared_vocabulary=True).source_vocabulary_.symbols)


def test_padding_share_is_recorded(tmp_path: Path) -> None:
    path = written(tmp_path, "a\tb", *["xxxx\ty"] * 8, *["x\tyy"] * 8)
    model = fitted(path, validation=0, batch_size=16)
    assert model.run_.read_config()["data"]["padding"] == pytest.approx(1 - (40 + 24) / (64 + 32), abs=1e-4)


# --- answers


def test_n_best_are_told_with_scores(model: Translator, pairs: Path) -> None:
    (found,) = model.search(["42"], n_best=3, beam_size=4)
    assert found[0].text == "사 이"
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert len({each.text for each in found}) == 3
    (answer,) = model.answers(["42"], n_best=3, beam_size=4)
    assert answer.text.splitlines()[0] == f"{found[0].score:.4f}\t사 이"
    assert [each["text"] for each in answer.values["candidates"]] == [each.text for each in found]


def test_answers_of_texts_lines_and_tables(model: Translator, pairs: Path, tmp_path: Path) -> None:
    lines = written(tmp_path, "12", "7", name="lines.txt")
    told = [answer.text for answer in model.answers(["12", "7", str(lines)])]
    assert told == [*model.predict(["12", "7"])] * 2
    table = [answer.values["source"] for answer in model.answers([str(pairs)])]
    assert table == [str(number) for number in range(200)]


def test_a_bad_item_is_told_and_the_rest_goes_on(model: Translator, tmp_path: Path) -> None:
    lines = written(tmp_path, "12", "", "3" * 400, "7", name="lines.txt")
    found = list(model.answers([str(lines)]))
    assert [answer.text for answer in found] == ["일 이", "", "", "칠"]
    assert "holds nothing to read" in found[1].problem
    assert "has 400 symbols, expected at most 300" in found[2].problem
    table = written(tmp_path, "digits\tkorean", "12\tx", "\tx")
    assert [bool(answer.problem) for answer in model.answers([str(table)])] == [False, True]


def test_a_bad_file_or_line_is_told_and_the_rest_goes_on(
    model: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = str(written(tmp_path, "digits\tkorean", "12\tx\ty"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"12\n\xff\xfe\n7\n")))
    asked = ["12", str(tmp_path / "gone.tsv"), table, "-", "7"]
    found = list(model.answers(asked))
    assert [answer.text for answer in found] == ["일 이", "", "", "일 이", "", "칠", "칠"]
    told = [
        "",
        "gone.tsv: no such file",
        ":2: 3 fields, expected 2",
        "",
        "line 2: byte 0 is not UTF-8",
        "",
        "",
    ]
    assert all(bool(part) == bool(answer.problem) for part, answer in zip(told, found, strict=True))
    assert all(part in answer.problem for part, answer in zip(told, found, strict=True))


def test_an_unseen_symbol_is_told(model: Translator) -> None:
    (answer,) = model.answers(["1x2y"])
    assert answer.values["unknown"] == ["x", "y"]
    assert answer.note == "'1x2y': never seen in training: 'x', 'y'"
    assert not answer.problem
    assert model.unknown_symbols("12") == []


def test_unknown_words_are_copied_from_where_it_looks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for number in range(400):
        words = rng.choice(["sun", "sea", "ice", "tea"], rng.integers(2, 6)).tolist()
        words[int(rng.integers(len(words)))] = f"name{number}"
        lines.append(f"{' '.join(words)}\t{' '.join(reversed(words))}")
    path = written(tmp_path, "a\tb", *lines)
    model = fitted(
        path, vocabulary="word", min_count=30, max_steps=250, learning_rate=0.01, attention="location"
    )
    assert len(model.vocabulary_) == 5
    assert model.predict(["sea someone ice tea", "sun sea else"]) == ["tea ice someone sea", "else sea sun"]
    assert "<unk>" not in model.predict(["sea someone ice tea"], copy_unknown=False)[0]
    plain = fitted(path, vocabulary="word", min_count=30, attention="none")
    assert "<unk>" not in plain.predict(["sea someone ice tea"])[0]


def test_drawing_and_conversing(model: Translator) -> None:
    assert "".join(model.draw(" 17 ", lambda scores: int(scores.argmax()))) == "일 칠"
    told = []
    for _ in range(2):
        talk = model.converse(temperature=3.0, seed=5)
        told.append(["".join(talk.reply(text)) for text in ("17", "5", "17")])
        assert [turn.said for turn in talk.turns] == ["17", "5", "17"]
        talk.reset()
        assert talk.turns == []
        assert "".join(talk.reply("17")) == told[-1][0]
    assert told[0] == told[1]
    assert told[0] != [model.predict([text])[0] for text in ("17", "5", "17")]
    assert "".join(model.converse().reply("17")) == "일 칠"
    assert len("".join(model.converse(temperature=5.0, seed=1, max_length=2).reply("17"))) <= 2


def test_a_run_comes_back(model: Translator) -> None:
    back = api.load(model.run_.path)
    assert isinstance(back, elman.tasks.get("translate"))
    assert back.predict(["66"]) == model.predict(["66"])  # type: ignore[attr-defined]


# --- bad input


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a\tb", "x\ty", "x\t "],
            r"given.tsv:3: column 'b' is empty, expected text on both sides of a pair",
        ),
        (["a\tb", "\ty"], r"given.tsv:2: column 'a' is empty"),
        (["a\tb", "x\ty", "x\ty\tz"], r"given.tsv:3: 3 fields, expected 2 as in the header"),
        (
            ["a\tb", "x\ty", f"x\t{'y' * 301}"],
            r"given.tsv:3: the target has 301 symbols, expected at most 300",
        ),
        (["a\tb", f"{'x' * 301}\ty"], r"given.tsv:2: the source has 301 symbols"),
        (
            ["a\tb\tc", "x\ty\tz"],
            r"which column is the source\? Say --source-column NAME; there are 'a', 'b', 'c'",
        ),
        (["a"], r"a header and no rows"),
    ],
    ids=str,
)
def test_bad_pairs_are_told_by_their_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Translator(**SMALL, validation=0).fit(written(tmp_path, *lines), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_empty_side_in_json_lines(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a": "x", "b": "y"}', '{"a": "x"}', name="given.jsonl")
    with pytest.raises(InputError, match=r"given.jsonl:2: column 'b' is empty"):
        fitted(path, validation=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size is 0, expected at least 1"),
        ({"n_best": 6}, "n_best is 6, expected at most the beam_size, 5"),
        ({"min_length": 9, "max_length": 3}, "min_length is 9, expected at most 3"),
        ({"length_penalty": -1.0}, "length_penalty is -1"),
    ],
    ids=str,
)
def test_bad_searches_are_told(model: Translator, pairs: Path, options: dict[str, Any], message: str) -> None:
    for ask in (
        lambda: model.predict(["1"], **options),
        lambda: list(model.answers(["1"], **options)),
        lambda: model.evaluate(pairs, **options),
    ):
        with pytest.raises(InputError, match=message):
            ask()


def test_what_is_asked_wrongly_is_told(model: Translator) -> None:
    with pytest.raises(InputError, match="learned nothing yet"):
        Translator().predict(["1"])
    with pytest.raises(InputError, match="one text, expected a list"):
        model.predict("12")
    with pytest.raises(InputError, match="has 301 symbols"):
        model.predict(["1" * 301])
    with pytest.raises(InputError, match="holds nothing to read"):
        list(model.draw("  ", lambda scores: 0))
    with pytest.raises(InputError, match="sampling_steps says when"):
        Translator(sampling_steps=5).check()
    with pytest.raises(InputError, match="temperature is -1"):
        model.converse(temperature=-1.0)


# --- options


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "multiplicative"},
        {"attention": "location"},
        {"attention": "none"},
        {"input_feeding": False},
        {"bidirectional": False},
        {"embedding": 9},
        {"shared_vocabulary": True},
        {"unconditional": True},
        {"shared_vocabulary": True, "recall": 1},
        {"shared_vocabulary": True, "recall": 2},
        {"shared_vocabulary": True, "recall": 1, "recall_ngrams": 1},
        {"shared_vocabulary": True, "copying": True},
        {"label_smoothing": 0.1},
        {"scheduled_sampling": 1.0},
        {"scheduled_sampling": 1.0, "sampling_steps": 1},
        {"input_dropout": 0.5},
        {"dropout": 0.5},
        {"dropout": 0.5, "variational": True},
        {"vocabulary": "word"},
        {"vocabulary": "grapheme", "jamo": True},
        {"min_count": 40},
        {"num_layers": 2},
        {"recurrent_dropout": 0.5},
        {"source_column": "korean"},
    ],
    ids=str,
)
def test_every_option_changes_the_training(pairs: Path, options: dict[str, Any]) -> None:
    usual: dict[str, Any] = {}
    if "variational" in options:
        usual = {"dropout": 0.5}
    if "copying" in options or "recall" in options:
        usual = {"shared_vocabulary": True, "recall": options.get("recall", 1) - 1}
    if "recall_ngrams" in options:
        usual = {"shared_vocabulary": True, "recall": 1}
    if "sampling_steps" in options:
        usual = {"scheduled_sampling": 1.0}
    assert train_loss(pairs, **usual, max_steps=4) != train_loss(pairs, **{"max_steps": 4, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"beam_size": 1},
        {"length_penalty": 4.0},
        {"coverage_penalty": 3.0},
        {"min_length": 12},
        {"max_length": 2},
        {"no_repeat": 1},
    ],
    ids=str,
)
def test_every_search_option_changes_an_answer(pairs: Path, options: dict[str, Any]) -> None:
    model = fitted(pairs, max_steps=30, learning_rate=0.02)
    asked = [str(number) for number in range(0, 200, 7)]
    assert model.predict(asked) != model.predict(asked, **options)


@pytest.mark.parametrize("kind", ["grapheme", "character", "byte", "word", "subword"])
def test_every_vocabulary_trains_and_answers(pairs: Path, kind: str) -> None:
    options = {} if kind == "byte" else {"vocabulary_size": 300}
    model = fitted(pairs, vocabulary=kind, **options)
    assert len(model.predict(["12", "3"], max_length=4)) == 2


@pytest.mark.parametrize("copying", [False, True])
@pytest.mark.parametrize("feeding", [False, True])
def test_half_precision_trains(pairs: Path, copying: bool, feeding: bool) -> None:
    options = {"copying": copying, "shared_vocabulary": copying, "input_feeding": feeding}
    losses = [train_loss(pairs, precision=p, **options) for p in ("float32", "bfloat16")]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]


def test_without_sources_the_targets_alone_are_learned(pairs: Path) -> None:
    model = fitted(pairs, unconditional=True)
    assert len(set(model.predict(["1", "22", "199"], max_length=5))) == 1
    assert model.network_.encoder is None


def test_a_process_without_rows_has_a_loss(pairs: Path) -> None:
    model = fitted(pairs)
    loss = TranslationProblem(model).loss(np.empty(0, np.int64), None)
    assert (float(loss.total.detach()), loss.count) == (0.0, 0)
    torch.autograd.backward(loss.total)
    assert all(parameter.grad is not None for parameter in model.network_.parameters())


def test_company_changes_no_answer(model: Translator) -> None:
    asked = [str(number) for number in range(0, 200, 3)]
    together = model.search(asked, n_best=2)
    for text, found in zip(asked, together, strict=True):
        (alone,) = model.search([text], n_best=2)
        assert [each.text for each in alone] == [each.text for each in found]
        assert [each.score for each in alone] == pytest.approx([each.score for each in found], abs=1e-4)


def test_the_report_shows_answers_and_where_it_looked(model: Translator) -> None:
    page = (model.run_.path / "report.html").read_text(encoding="utf-8")
    for told in ("nearest source", "Attention", "nrefs:", "Where the decoder looked", "elman chat"):
        assert told in page

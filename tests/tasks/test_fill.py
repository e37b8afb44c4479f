"""The blank filler: scores by their definition, what it says of blanks, what it refuses, options that do something."""

from __future__ import annotations

import io
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import elman
from elman import api
from elman.data import Vocabulary
from elman.errors import InputError
from elman.tasks._blanks import Blank, read_blanks
from elman.tasks.fill import BlankFiller

SMALL: dict[str, Any] = {"cell": "gru", "hidden_size": 12, "embedding": 8, "batch_size": 16, "threads": 1}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BlankFiller.example(tmp_path_factory.mktemp("data"))[0][0]


@pytest.fixture(scope="module")
def model(text: Path, tmp_path_factory: pytest.TempPathFactory) -> BlankFiller:
    out = tmp_path_factory.mktemp("runs") / "run"
    return BlankFiller(**SMALL, learning_rate=0.02, epochs=12).fit(text, out=out)


def fitted(text: Path, **options: Any) -> BlankFiller:
    return BlankFiller(**{**SMALL, "max_steps": 2, **options}).fit(text)


def train_loss(text: Path, **options: Any) -> float:
    model = fitted(text, **options)
    loss: float = model.run_.metrics()[-1]["train_loss"]
    return loss


def written(folder: Path, *lines: str) -> Path:
    path = folder / "given.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# --- learning and scores


def test_both_sides_tell_what_one_cannot(text: Path, model: BlankFiller) -> None:
    left = fitted(text, max_steps=None, epochs=12, learning_rate=0.02, sides="left")
    assert model.scores_["model"]["accuracy"] > 1.2 * left.scores_["model"]["accuracy"]
    (((best, share), *_),) = model.predict(["today l1 [ ] r3"])[0]
    assert best == "ice"
    assert share > 0.5


def test_scores_are_the_definition(model: BlankFiller, tmp_path: Path) -> None:
    lines = ("오늘 l0 물 r0", "today l1 unheard r2 l3", "ice")
    scores = model.evaluate(written(tmp_path, *lines))
    nats, first, five, known, items = 0.0, 0, 0, 0, 0
    for line in lines:
        words = line.split()
        for place, word in enumerate(words):
            asked = " ".join([*words[:place], "[ ]", *words[place + 1 :]])
            guesses = model.predict([asked], top_k=1000)[0][0]
            assert sum(share for _, share in guesses) == pytest.approx(1)
            items += 1
            if word in model.vocabulary_.symbols:
                known += 1
                nats -= math.log(dict(guesses)[word])
                first += guesses[0][0] == word
                five += word in [guess for guess, _ in guesses[:5]]
    assert (items, known) == (10, 9)
    assert scores == {
        "loss": pytest.approx(nats / 9, rel=1e-5),
        "perplexity": pytest.approx(math.exp(nats / 9), rel=1e-5),
        "accuracy": first / 10,
        "top_5": five / 10,
        "known_accuracy": first / 9,
        "known_top_5": five / 9,
    }


def test_ranks_stand_in_the_order_of_the_items(model: BlankFiller) -> None:
    rows = [np.array(row) for row in ([1, 2, 3], [4], [5, 6, 7, 8, 9], [2, 2])]
    together = model._judge(rows)[1]
    assert together.tolist() == [rank for row in rows for rank in model._judge([row])[1].tolist()]
    assert len(set(together.tolist())) > 1


def test_nothing_known_is_told(model: BlankFiller, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no item of the vocabulary"):
        model.evaluate(written(tmp_path, "words unheard of"))


def test_baselines_are_about_the_held_out_part(model: BlankFiller) -> None:
    both, left, unigram = (
        model.scores_[name] for name in ("trigrams, both sides", "trigram, left side", "unigram")
    )
    assert both["accuracy"] > left["accuracy"] > unigram["accuracy"]
    counts = np.bincount(np.concatenate(model._training))
    held_out = np.concatenate(model._held_out or [])
    assert unigram["accuracy"] == pytest.approx((held_out == counts.argmax()).mean())


def test_unknown_items_count_as_wrong_for_all(text: Path, tmp_path: Path) -> None:
    held_out = written(tmp_path, "today l1 neu ice r0")
    model = fitted(text, validation=str(held_out))
    for scores in model.scores_.values():
        assert scores["accuracy"] == pytest.approx(scores["known_accuracy"] * 4 / 5)
        assert scores["top_5"] == pytest.approx(scores["known_top_5"] * 4 / 5)
    assert model.run_.read_config()["data"]["held_out_unknown"] == pytest.approx(0.2)


# --- the data


def test_held_out_lines_are_drawn_by_the_seed(text: Path) -> None:
    models = [fitted(text, seed=seed, validation=0.2) for seed in (0, 0, 1)]
    drawn = [[row.tolist() for row in model._held_out or []] for model in models]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [len(rows) for rows in drawn] == [60] * 3
    assert len(models[0]._training) == 240


def test_train_fraction_leaves_the_held_out_part(text: Path) -> None:
    whole, part = fitted(text), fitted(text, train_fraction=0.25)
    assert len(part._training) == 68
    assert [len(model._held_out or []) for model in (whole, part)] == [30, 30]
    spelled = [[model.vocabulary_.decode(row) for row in model._held_out or []] for model in (whole, part)]
    assert spelled[0] == spelled[1]


def test_the_vocabulary_is_of_the_training_part(text: Path, tmp_path: Path) -> None:
    held_out = written(tmp_path, "today l1 neu r0")
    assert "neu" not in fitted(text, validation=str(held_out)).vocabulary_.symbols


@pytest.mark.parametrize("cut", ["lines", "windows"])
def test_sequences_hold_every_item_once(cut: str, tmp_path: Path) -> None:
    lines = [f"a{k} b c d e"[: 4 + k % 8] for k in range(40)]
    path = written(tmp_path, *lines[:20], "", "  ", *lines[20:])
    model = fitted(path, cut=cut, sequence_length=3, validation=0)
    rows = [[model.vocabulary_.symbols[k] for k in row] for row in model._training]
    assert max(map(len, rows)) == 3
    whole = path.read_text(encoding="utf-8")
    joined = [word for row in rows for word in row]
    if cut == "lines":
        assert joined == whole.split()
        assert rows[:2] == [["a0", "b"], ["a1", "b"]]
    else:
        assert joined == whole.replace("\n", " \n ").strip(" ").split(" ") or joined.count("\n") == 42
        assert all(len(row) == 3 for row in rows[:-1])


def test_windows_hold_out_the_end(text: Path) -> None:
    model = fitted(text, cut="windows", sequence_length=10, validation=0.1)
    held_out = model.vocabulary_.decode(np.concatenate(model._held_out or []))
    assert held_out.split() == text.read_text(encoding="utf-8").split()[-120:]


def test_padding_share_is_recorded(tmp_path: Path) -> None:
    path = written(tmp_path, *(["a b c d"] * 8 + ["a"] * 8))
    model = fitted(path, batch_size=16, validation=0)
    assert model.run_.read_config()["data"]["padding"] == pytest.approx(1 - 40 / 64)


# --- blanks


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return Vocabulary.build("word", "힘을 체력을 을지로 물 도 the river runs away 끝.")


@pytest.mark.parametrize(
    ("text", "known", "blank"),
    [
        ("the [ ] runs", ["the", "<unk>", "runs"], Blank(1)),
        ("[ ]", ["<unk>"], Blank(0)),
        ("the r[ ]s away", ["the", "<unk>", "away"], Blank(1, "r", "s")),
        ("물 [ ] 을 the", ["물", "<unk>", "the"], Blank(1, "", "을")),
        ("물 [ ]을 the", ["물", "<unk>", "the"], Blank(1, "", "을")),
        ("물 [ ] 도 the", ["물", "<unk>", "도", "the"], Blank(1)),
        ("물 [ ] 체력 the", ["물", "<unk>", "<unk>", "the"], Blank(1)),
        ("물 [ ]. 을", ["물", "<unk>", "<unk>"], Blank(1, "", ".")),
        ("을 the [ ]", ["<unk>", "the", "<unk>"], Blank(2)),
    ],
)
def test_words_around_a_blank(words: Vocabulary, text: str, known: list[str], blank: Blank) -> None:
    symbols, blanks = read_blanks(text, "[ ]", words)
    assert [words.symbols[k] for k in symbols] == known
    assert blanks == [blank]


def test_several_blanks_of_any_mark(words: Vocabulary) -> None:
    symbols, blanks = read_blanks("the ___ ___s away", "___", words)
    assert (len(symbols), blanks) == (4, [Blank(1), Blank(2, "", "s")])
    assert read_blanks("[ ][ ]", "[ ]", words)[1] == [Blank(0), Blank(1)]
    assert read_blanks("a.b", ".", words)[1] == [Blank(0, "a", "b")]


def test_graphemes_and_subwords_around_a_blank() -> None:
    graphemes = Vocabulary.build("grapheme", "물을 마신다", unknown=True)
    symbols, blanks = read_blanks("물[ ] 마!", "[ ]", graphemes)
    assert graphemes.decode(symbols) == "물\ufffd 마\ufffd"
    assert blanks == [Blank(1)]
    subwords = Vocabulary.build("subword", "the river runs " * 9, max_size=300)
    symbols, blanks = read_blanks("the [ ] runs", "[ ]", subwords)
    assert blanks[0].before == " "
    assert subwords.decode(symbols[: blanks[0].place]) == "the"
    assert subwords.decode(symbols[blanks[0].place + 1 :]) == " runs"


def test_a_blank_inside_a_word_is_filled_by_what_fits(tmp_path: Path) -> None:
    lines = [
        f"{who} {what}을 {how}"
        for who in "가나다"
        for what in ("물", "밥", "꿀물")
        for how in ("먹다", "본다")
    ]
    model = fitted(written(tmp_path, *lines * 3, "을 홀로"), validation=0)
    whole = dict(model.predict(["가 [ ] 먹다"], top_k=100)[0][0])
    fitting = [word for word in whole if word.endswith("을") and word != "을"]
    for asked in ("가 [ ]을 먹다", "가 [ ]을 먹다 "):
        found = dict(model.predict([asked], top_k=100)[0][0])
        assert set(found) == {"물", "밥", "꿀물"}
        for word in fitting:
            share = whole[word] / sum(whole[each] for each in fitting)
            assert found[word[:-1]] == pytest.approx(share, rel=1e-5)
    assert dict(model.predict(["가 꿀[ ]을 먹다"])[0][0]) == {"물": 1.0}
    assert model.predict(["가 [ ]X 먹다"]) == [[[]]]


def test_candidates_share_the_probability(model: BlankFiller) -> None:
    whole = dict(model.predict(["today l1 [ ] r3"], top_k=100)[0][0])
    found = model.predict(["today l1 [ ] r3"], candidates=["sea", "ice", "ice", " sun"])[0][0]
    assert sorted(word for word, _ in found) == ["ice", "sea", "sun"]
    for word, share in found:
        assert share == pytest.approx(whole[word] / (whole["sea"] + whole["ice"] + whole["sun"]), rel=1e-5)
    with pytest.raises(InputError, match="the candidate 'snow' is no word of the vocabulary"):
        model.predict(["today l1 [ ] r3"], candidates=["ice", "snow"])


def test_the_other_blanks_are_unknown(model: BlankFiller) -> None:
    both = model.predict(["today [ ] ice [ ]"])[0]
    first, second = model.predict(["today [ ] ice <unk>", "today <unk> ice [ ]"])
    assert [[word for word, _ in each] for each in both] == [
        [word for word, _ in each[0]] for each in (first, second)
    ]
    assert both[0][0][1] == pytest.approx(first[0][0][1], rel=1e-5)


def test_the_unknown_symbol_is_no_answer(model: BlankFiller) -> None:
    assert "<unk>" not in dict(model.predict(["today l1 [ ] r3"], top_k=1000)[0][0])


def test_answers_of_texts_files_and_pipes(
    model: BlankFiller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "today l1 [ ] r3", "", "no gap here", "[ ] l0 [ ] r0")
    pipe = io.TextIOWrapper(io.BytesIO(path.read_bytes()))
    monkeypatch.setattr("sys.stdin", pipe)
    answers = list(model.answers(["today l1 [ ] r3", str(path), "-"], top_k=2))
    assert [answer.values["text"] for answer in answers[1:5]] == path.read_text(encoding="utf-8").splitlines()
    assert answers[1:5] == answers[5:]
    assert answers[0] == answers[1]
    one, empty, none, two = answers[1:5]
    assert one.values["filled"] == "today l1 ice r3"
    assert one.text == "  ".join(f"{e['text']} {e['probability']:.3f}" for e in one.values["blanks"][0])
    assert [answer.values["blanks"] for answer in (empty, none)] == [[], []]
    assert none.text == "no gap here"
    assert two.text.count(" | ") == 1
    assert [len(blank) for blank in two.values["blanks"]] == [2, 2]
    json.dumps(two.values)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("no gap here", {}, r"'no gap here' holds no blank: mark what is missing with \[ \]"),
        ("a [ ]", {"blank": "__"}, "mark what is missing with __"),
        ("a [ ]", {"blank": " "}, "blank is ' ', expected a mark"),
        ("a [ ]", {"top_k": 0}, "top_k is 0"),
        ("a [ ]", {"candidates": ""}, "the candidate '' is no word"),
    ],
)
def test_questions_that_are_refused(
    model: BlankFiller, given: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        list(model.answers([given], **options))


def test_a_run_comes_back(model: BlankFiller) -> None:
    back = api.load(model.run_.path)
    assert isinstance(back, elman.tasks.get("fill"))
    assert back.predict(["[ ] l1 ice r2"]) == model.predict(["[ ] l1 ice r2"])  # type: ignore[attr-defined]


# --- options


@pytest.mark.parametrize(
    "options",
    [
        {"sides": "left"},
        {"sides": "right"},
        {"cut": "windows"},
        {"sequence_length": 2},
        {"embedding": 9},
        {"input_dropout": 0.5},
        {"hide": 0.5},
        {"dropout": 0.5},
        {"dropout": 0.5, "variational": True},
        {"vocabulary": "grapheme"},
        {"vocabulary": "grapheme", "jamo": True},
        {"vocabulary_size": 9},
        {"min_count": 40},
        {"num_layers": 2},
        {"recurrent_dropout": 0.5},
    ],
    ids=str,
)
def test_every_option_changes_the_training(text: Path, options: dict[str, Any]) -> None:
    usual = {"dropout": 0.5} if "variational" in options else {}
    plain, other = (train_loss(text, **given) for given in (usual, options))
    assert plain != other


@pytest.mark.parametrize("kind", ["word", "grapheme", "character", "subword"])
def test_every_vocabulary_trains_and_answers(text: Path, kind: str) -> None:
    model = fitted(text, vocabulary=kind, vocabulary_size=300)
    assert len(model.predict(["today l1 [ ] r3"], top_k=3)[0][0]) == 3


def test_half_precision_trains(text: Path) -> None:
    losses = [train_loss(text, precision=p) for p in ("float32", "bfloat16")]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": "byte"}, "unknown vocabulary 'byte'"),
        ({"sides": "neither"}, "unknown sides 'neither'"),
        ({"hide": 1.0}, "hide is 1.0, expected at most 0.99"),
        ({"embedding": 0}, "embedding is 0"),
        ({"validation": 0.001}, "a share of 0.001 of 300 lines is 0 lines"),
        ({"validation": 0.999, "train_fraction": 0.1}, "expected at least 1, and 1 left over"),
        ({"jamo": True}, "jamo goes with"),
    ],
    ids=str,
)
def test_wrong_options_write_nothing(
    text: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        BlankFiller(**{**SMALL, **options}).fit(text, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_text_of_blanks_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "", "   ")
    with pytest.raises(InputError, match="no line with something on it"):
        fitted(path)


def test_a_process_without_rows_has_a_loss(text: Path) -> None:
    from elman.tasks.fill import _Problem

    model = fitted(text)
    loss = _Problem(model).loss(np.empty(0, np.int64), None)
    assert (float(loss.total.detach()), loss.count) == (0.0, 0)
    torch.autograd.backward(loss.total)
    assert all(parameter.grad is not None for parameter in model.network_.parameters())


def test_the_report_shows_blanks(model: BlankFiller) -> None:
    page = (model.run_.path / "report.html").read_text(encoding="utf-8")
    for told in ("trigrams, both sides", "--sides left", "item hidden", "guesses"):
        assert told in page
    places = [
        row for section in model._sections() for part in section.parts for row in getattr(part, "rows", [])
    ]
    assert list(itertools.islice((row[:2] for row in places), 3)) == [
        ["first", 30],
        ["inner", 60],
        ["last", 30],
    ]


def test_what_is_asked_too_early_or_out_of_range_is_told(model: BlankFiller) -> None:
    with pytest.raises(InputError, match="learned nothing yet"):
        BlankFiller().predict(["a [ ]"])
    with pytest.raises(InputError, match="top_k is -1"):
        model.predict(["a [ ]"], top_k=-1)


def test_running_text_without_line_ends_gets_none(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("the river " * 150_000, encoding="utf-8")  # longer than a piece that is read at once
    assert BlankFiller(cut="windows")._texts([path]) == ["the river " * 150_000 + "\n"]

"""The tagger: what it learns, its scores against counting by hand and seqeval's figures, files in and out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.data.conll import Columns, read_conll
from elman.errors import InputError
from elman.tasks._tagging import Judgement, MostFrequent
from elman.tasks.tag import SequenceTagger

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "embedding": 12,
    "character_hidden_size": 8,
    "learning_rate": 0.02,
    "epochs": 4,
}
POS = {"the": "DET", "a": "DET", "dog": "NOUN", "cat": "NOUN", "runs": "VERB", "sees": "VERB"}


def unified(sentences: list[list[str]]) -> str:
    blocks = []
    for number, words in enumerate(sentences, 1):
        rows = [
            f"{k}\t{w}\t{w}\t{POS.get(w, '_')}\tX{len(w)}\t_\t0\troot\t_\t_" for k, w in enumerate(words, 1)
        ]
        blocks.append(
            "\n".join([f"# sent_id = {number}", "1-2\tthedog\t_\t_\t_\t_\t_\t_\t_\t_", *rows, "\n"])
        )
    return "".join(blocks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy data: names.tsv, spans; dogs.conllu, parts of speech; 글자.tsv, characters with blanks among them."""
    folder = tmp_path_factory.mktemp("tag")
    SequenceTagger.example(folder)
    (folder / "dogs.conllu").write_text(
        unified([["the", "dog", "runs"], ["a", "cat", "sees", "the", "dog", "?"]] * 30), encoding="utf-8"
    )
    lines = "".join(f"{c}\t{'B-LC' if c == '강' else 'O'}\n" for c in "큰 강 물")
    (folder / "글자.tsv").write_text(f"## 큰 강 물\n{lines}\n" * 40, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def names(folder: Path) -> SequenceTagger:
    return SequenceTagger(**SMALL, crf=True).fit(folder / "names.tsv", out=folder / "names")


@pytest.fixture(scope="module")
def dogs(folder: Path) -> SequenceTagger:
    return SequenceTagger(**SMALL).fit(folder / "dogs.conllu", out=folder / "dogs")


@pytest.fixture(scope="module")
def letters(folder: Path) -> SequenceTagger:
    return SequenceTagger(**SMALL, crf=True).fit(folder / "글자.tsv", out=folder / "letters")


# --- learning and scores


def test_learns_and_beats_the_baseline(names: SequenceTagger, dogs: SequenceTagger) -> None:
    model, baseline = names.scores_["model"], names.scores_["most frequent tag"]
    assert model["accuracy"] == model["span_f1"] == model["sentence_accuracy"] == 1
    assert baseline["span_f1"] < 0.5
    assert names.scheme_ == "bio"
    assert dogs.scores_["model"]["accuracy"] == 1
    assert dogs.scheme_ is None
    assert "span_f1" not in dogs.scores_["model"]
    assert dogs.tags_ == ("DET", "NOUN", "VERB")


def test_span_scores_are_those_of_seqeval() -> None:
    """Broken tags of a random draw; precision, recall and F1 computed with seqeval 1.2.2."""
    truth = """S-L I-P I-L S-P O E-L B-L|O B-P O I-L E-L B-L E-P|S-P O S-L B-L O B-L E-P
    |I-P B-P E-P B-P O B-P S-L|S-L E-L B-P B-P O O B-L|B-L B-P B-P I-P I-L B-L S-P"""
    guess = """B-L I-P B-L E-P O E-L B-L|O B-P O I-L E-L B-L E-P|S-P E-L S-L B-L O B-L E-P
    |I-L O E-P B-P O E-L S-L|S-L B-L B-P B-P E-L O B-L|B-L O B-P I-L O B-L B-L"""
    judged = Judgement(
        [["w"] * 7] * 6,
        [row.split() for row in truth.split("|")],
        [row.split() for row in guess.split("|")],
        [[True] * 7] * 6,
    )
    scores = judged.scores(of_spans=True)
    assert scores["span_precision"] == pytest.approx(0.75)
    assert scores["span_recall"] == pytest.approx(0.7741935483870968)
    assert scores["span_f1"] == pytest.approx(0.7619047619047619)
    assert scores["accuracy"] == pytest.approx(29 / 42)


def test_scores_count_what_has_a_tag() -> None:
    judged = Judgement(
        [["a", "b", "c"], ["d", "e"]],
        [["X", None, "Y"], ["X", "X"]],
        [["X", "Y", "X"], ["X", "X"]],
        [[True, False, False], [False, True]],
    )
    scores = judged.scores(of_spans=False)
    assert scores == {"accuracy": 3 / 4, "unknown_accuracy": 1 / 2, "sentence_accuracy": 1 / 2}
    assert judged.by_tag()[1].tolist() == [[3, 0], [1, 0]]


def test_a_word_without_a_tag_ends_no_span() -> None:
    judged = Judgement([["a", "b"]], [["B-P", None]], [["B-P", "I-P"]], [[True, True]])
    assert judged.scores(of_spans=True)["span_f1"] == 1


def test_baseline_is_the_most_frequent_tag() -> None:
    usual = MostFrequent([["a", "a", "b"], ["a"]], [["X", "Y", "Z"], ["Y"]])
    assert usual.tag(["a", "b", "new"]) == ["Y", "Z", "Y"]


def test_evaluate_is_the_definition(names: SequenceTagger, folder: Path) -> None:
    sentences = list(read_conll(folder / "names.tsv", Columns()))
    scores = names.evaluate(folder / "names.tsv")
    guess = names.predict([s.words for s in sentences])
    right = [
        g == t for s, row in zip(sentences, guess, strict=True) for g, t in zip(row, s.tags, strict=True)
    ]
    assert scores["accuracy"] == pytest.approx(np.mean(right))
    assert scores["loss"] > 0
    places = {tag: place for place, tag in enumerate(names.tags_)}
    lone = [s for s in sentences if s.words[0] == "Mr"][:1]
    (shares,) = names.predict_proba([lone[0].words])
    assert shares.shape == (len(lone[0].words), len(names.tags_))
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    assert shares[1, places["I-PER"]] > 0.5


def test_tags_that_are_not_there_are_neither_learned_nor_scored(dogs: SequenceTagger, folder: Path) -> None:
    assert None in dogs._training[1].tags or None in dogs._training[0].tags
    known = sum(tag is not None for s in read_conll(folder / "dogs.conllu", Columns()) for tag in s.tags)
    assert known == 60 // 2 * 8
    other = folder / "other.conllu"
    text = (folder / "dogs.conllu").read_text(encoding="utf-8")
    other.write_text(text.replace("\t_\tX1\t", "\tODD\tX1\t"), encoding="utf-8")
    assert dogs.evaluate(other)["accuracy"] == pytest.approx(8 / 9)  # a tag it has never seen is never right
    assert dogs.evaluate(other)["loss"] == pytest.approx(dogs.evaluate(folder / "dogs.conllu")["loss"])


# --- answers


def test_file_to_file(dogs: SequenceTagger, folder: Path) -> None:
    text = (folder / "dogs.conllu").read_text(encoding="utf-8")
    blank = folder / "blank.conllu"
    for tag in ("DET", "NOUN", "VERB"):
        text = text.replace(f"\t{tag}\t", "\t_\t")
    blank.write_text(text, encoding="utf-8")
    written = "".join(f"{answer.text}\n" for answer in dogs.answers([str(blank)]))
    # the question mark has no tag in the data; it is given one
    question = [line.split("\t")[3] for line in written.splitlines() if "\t?\t" in line]
    assert len(question) == 30
    restored = "".join(
        line.replace(f"\t{question[0]}\tX1", "\t_\tX1") if "\t?\t" in line else line
        for line in written.splitlines(keepends=True)
    )
    assert restored == (folder / "dogs.conllu").read_text(encoding="utf-8")


def test_file_without_tags_gets_a_column(names: SequenceTagger, folder: Path) -> None:
    path = folder / "words.tsv"
    path.write_text("Mr\nAda\nlives\n\nMr\nBora\n", encoding="utf-8")
    written = [answer.text for answer in names.answers([str(path)])]
    assert written == ["Mr B-PER\nAda I-PER\nlives O\n", "Mr B-PER\nBora I-PER"]


def test_text_to_text(names: SequenceTagger, letters: SequenceTagger, folder: Path) -> None:
    (answer,) = names.answers(["Mr Ada lives in Bora"])
    assert answer.text == "Mr/B-PER Ada/I-PER lives/O in/O Bora/B-LOC"
    assert answer.values["words"] == ["Mr", "Ada", "lives", "in", "Bora"]
    assert [(s["kind"], s["start"], s["stop"], s["text"]) for s in answer.values["spans"]] == [
        ("PER", 0, 2, "Mr Ada"),
        ("LOC", 4, 5, "Bora"),
    ]
    assert answer.values["spans"][0]["confidence"] == min(answer.values["confidences"][:2])
    json.dumps(answer.values)
    (spelled,) = letters.answers(["큰 강"])
    assert spelled.text == "큰/O  /O 강/B-LC"
    (shown,) = letters.answers(["큰 강"], show_spans=True)
    assert shown.text == "큰 <강:LC>"
    plain = folder / "plain.txt"
    plain.write_text("큰 강\n물\n", encoding="utf-8")
    assert [a.text for a in letters.answers([str(plain)], plain=True)] == [spelled.text, "물/O"]


def test_n_best(names: SequenceTagger, folder: Path) -> None:
    (answer,) = names.answers(["Mr Ada lives"], n_best=3)
    lines = answer.text.splitlines()
    shares = [float(line.split("\t")[0]) for line in lines]
    assert len(set(lines)) == 3
    assert shares == sorted(shares, reverse=True)
    assert answer.values["n_best"][0]["tags"] == answer.values["tags"]
    path = folder / "one.tsv"
    path.write_text("Mr\tO\n\n", encoding="utf-8")
    (answer,) = names.answers([str(path)], n_best=2)
    found = list(read_conll(path, Columns()))
    path.write_text(f"{answer.text}\n", encoding="utf-8")
    again = list(read_conll(path, Columns()))
    assert [s.words for s in again] == [["Mr"]] * 2
    assert len(found) == 1
    assert again[0].lines[0].startswith("## probability = ")


def test_illegal_tags_never_come_out(folder: Path) -> None:
    """An untrained tagger of spans, with and without a field, never breaks the scheme."""
    from elman.data.spans import broken

    for crf in (False, True):
        model = SequenceTagger(**{**SMALL, "epochs": None, "max_steps": 1, "crf": crf}).fit(
            folder / "names.tsv"
        )
        words = [s.words for s in read_conll(folder / "names.tsv", Columns())]
        assert all(broken(tags, "bio") is None for tags in model.predict(words))


def test_order_and_company_do_not_matter(names: SequenceTagger) -> None:
    sentences = ["Mr Ada lives in Bora 7", "here Mr Zed", "Mr", "in Cho"]
    together = names.predict_proba(sentences)
    for sentence, shares in zip(sentences, together, strict=True):
        np.testing.assert_allclose(names.predict_proba([sentence])[0], shares, atol=1e-5)
    back = names.predict_proba(sentences[::-1])[::-1]
    for one, two in zip(together, back, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    assert names.predict([[], "Mr", ""])[::2] == [[], []]


# --- options


@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": False},
        {"embedding": 5},
        {"lowercase": True},
        {"min_count": 40},
        {"word_dropout": 3.0},
        {"characters": False},
        {"character_embedding": 5},
        {"character_hidden_size": 5},
        {"pairs": 4},
        {"input_dropout": 0.5},
        {"crf": False},
        {"scheme": "none"},
        {"scheme": "bioes", "repair": True},
        {"train_fraction": 0.2},
        {"cell": "gru"},
    ],
    ids=str,
)
def test_every_option_changes_something(folder: Path, options: dict[str, Any]) -> None:
    base = {**SMALL, "epochs": None, "max_steps": 3, "crf": True}
    models = [SequenceTagger(**{**base, **more}).fit(folder / "names.tsv") for more in ({}, options)]
    losses = [model.run_.metrics()[-1]["train_loss"] for model in models]
    assert losses[0] != losses[1]


def test_jamo_changes_how_words_are_spelled(folder: Path) -> None:
    sizes = []
    for jamo in (False, True):
        model = SequenceTagger(**{**SMALL, "epochs": None, "max_steps": 1, "jamo": jamo}).fit(
            folder / "글자.tsv"
        )
        assert model.coder_.characters is not None
        sizes.append(model.coder_.characters.jamo)
    assert sizes == [False, True]


def test_copying_memory(tmp_path: Path) -> None:
    """One direction, no characters: a symbol of the past comes back; most steps have no tag and count nothing."""
    rng = np.random.default_rng(0)
    blocks = []
    for _ in range(60):
        first = "ab"[rng.integers(2)]
        blocks.append("".join(f"{w}\t{t}\n" for w, t in [(first, "_")] + [("-", "_")] * 10 + [("?", first)]))
    path = tmp_path / "copy.tsv"
    path.write_text("\n".join(blocks), encoding="utf-8")
    model = SequenceTagger(
        bidirectional=False, characters=False, hidden_size=16, embedding=8, epochs=12, learning_rate=0.02
    ).fit(path)
    assert model.scores_["model"]["accuracy"] == 1
    assert model.run_.metrics()[-1]["items_per_second"] > 0
    assert model.predict(["a----------?"])[0][-1] == "a"


def test_bioes_is_found_and_bio_is_made_into_it(folder: Path) -> None:
    model = SequenceTagger(**{**SMALL, "scheme": "bioes", "repair": True}).fit(folder / "names.tsv")
    assert set(model.tags_) == {"O", "B-PER", "E-PER", "B-LOC", "E-LOC", "S-LOC"}
    assert model.predict(["Mr Ada lives in Bora"]) == [["B-PER", "E-PER", "O", "O", "S-LOC"]]


def test_held_out_data_never_train(folder: Path) -> None:
    model = SequenceTagger(**{**SMALL, "epochs": 1}, validation=0.25, train_fraction=0.5).fit(
        folder / "names.tsv"
    )
    assert (len(model._training), len(model._held_out)) == (75, 50)
    other = SequenceTagger(**{**SMALL, "epochs": 1}, train_fraction=1.0, validation=0.25).fit(
        folder / "names.tsv"
    )
    assert [s.first for s in model._held_out] == [s.first for s in other._held_out]
    assert not {s.first for s in other._training} & {s.first for s in other._held_out}
    filed = SequenceTagger(**{**SMALL, "epochs": 1}).fit(
        folder / "names.tsv", validation=folder / "names.tsv"
    )
    assert len(filed._training) == len(filed._held_out) == 200


# --- what is refused


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a\tO\nb\tI-P\n" * 5, {}, r"bad\.tsv:2: the tag 'I-P' after 'O' breaks BIO"),
        ("I-P\tI-P\nb\tO\n" * 5, {}, r"bad\.tsv:1: the tag 'I-P' after the begin of the sentence breaks BIO"),
        ("a\tB-P\nb\tO\nc\tE-P\n" * 5, {}, r"bad\.tsv:1: the tag 'B-P' .*|bad\.tsv:2: .* breaks BIOES"),
        ("a\tO\nb\tO\n", {}, r"every word has the tag 'O'"),
        ("a\t_\nb\t_\n", {}, r"no word has a tag"),
        ("a\tone\nb\ttwo\nc\tthree\n", {}, r"3 different tags for 3 words"),
        ("a\tX\nb\tY\n" * 5, {"scheme": "bio"}, r"scheme is bio, but the tags of .* mark no spans"),
        ("a\tO\nb\n", {}, r"bad\.tsv:2: 1 columns, expected 2"),
    ],
)
def test_bad_input(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        SequenceTagger(**SMALL, validation=0, **options).fit(path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_repair_reads_broken_tags(tmp_path: Path) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text("a\tO\nb\tI-P\nc\t_\n\n" * 9, encoding="utf-8")
    model = SequenceTagger(**{**SMALL, "epochs": 1}, validation=0, repair=True).fit(path)
    assert model._training[0].tags == ["O", "B-P", None]
    assert model.tags_ == ("B-P", "O")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jamo": True, "characters": False}, "jamo says how words are spelled"),
        ({"repair": True, "scheme": "none"}, "repair mends"),
        ({"variational": True}, "variational says"),
    ],
)
def test_options_that_would_do_nothing(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SequenceTagger(**options).check()


def test_not_a_file() -> None:
    with pytest.raises(InputError, match="is no file"):
        SequenceTagger().fit({"word": ["a"]})


def test_spans_are_not_shown_where_there_are_none(dogs: SequenceTagger) -> None:
    with pytest.raises(InputError, match="mark none"):
        next(dogs.answers(["the dog"], show_spans=True))


@pytest.mark.parametrize(
    "change",
    [
        {"tags": "abc"},
        {"tags": ["O"]},
        {"tags": ["O", "O", "B", "I", "x"]},
        {"scheme": "iob"},
        {"width": 0},
        {"split": 1},
        {"pairs": [["a", "b"]]},
        {"tags": None},
    ],
    ids=str,
)
def test_damaged_task_file(
    names: SequenceTagger, folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "names", run)
    content = json.loads((run / "task.json").read_text(encoding="utf-8"))
    (run / "task.json").write_text(json.dumps({**content, **change}), encoding="utf-8")
    with pytest.raises(InputError, match=r"task\.json: damaged"):
        SequenceTagger.load(run)


def test_load_predicts_the_same(names: SequenceTagger, letters: SequenceTagger, folder: Path) -> None:
    for model, run, text in ((names, "names", "Mr Ada lives in Bora"), (letters, "letters", "큰 강 물")):
        loaded = SequenceTagger.load(folder / run)
        np.testing.assert_array_equal(loaded.predict_proba([text])[0], model.predict_proba([text])[0])
        assert [a.text for a in loaded.answers([text])] == [a.text for a in model.answers([text])]


def test_report(names: SequenceTagger, dogs: SequenceTagger, folder: Path) -> None:
    page = (folder / "names" / "report.html").read_text(encoding="utf-8")
    for title in ("Spans", "Tags", "Confusion", "Transitions", "most frequent tag"):
        assert title in page
    assert "Transitions" not in (folder / "dogs" / "report.html").read_text(encoding="utf-8")


def test_nothing_is_tagged_before_it_is_learned() -> None:
    for ask in (SequenceTagger().predict, SequenceTagger().predict_proba):
        with pytest.raises(InputError, match="learned nothing yet"):
            ask(["a river"])

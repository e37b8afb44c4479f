"""Known sources that are read with one that is asked: which they are, never the text itself, and what they bring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman import api
from elman.errors import InputError
from elman.tasks._recall import Nearest, Recall
from elman.tasks._translate_problem import TranslationProblem
from elman.tasks.translate import Translator

SMALL: dict[str, Any] = {"cell": "gru", "hidden_size": 16, "embedding": 8, "batch_size": 16, "threads": 1}
RECIPE = Path(__file__).parents[2] / "recipes" / "translate" / "chatbot-ko.yaml"


def test_the_nearest_source_has_the_same_letters() -> None:
    known = ["how are you", "what is this", "나는 학교에 간다"]
    assert Nearest(known).find(["this is what", "are you well", "너는 학교에 가니"]) == [[1], [0], [2]]


def test_others_than_the_text_itself_are_found() -> None:
    known = Nearest(["good morning", "good evening", "a good morning", "sea"])
    assert known.find(["good morning"], 2) == [[0, 2]]
    assert known.find(["good morning", "seas"], 1, others=True) == [[2], [3]]
    assert [len(known.find(["sea"], 9, others=others)[0]) for others in (False, True)] == [4, 3]
    assert known.find(["a sea", "x"], 1) == [[3], [0]]
    assert [Nearest(["dcba", "abcx"], n).find(["abcd"]) for n in (1, 3)] == [[[0]], [[1]]]
    assert known.find([]) == []


def test_equal_texts_are_none_of_the_others() -> None:
    known = Nearest(["sea", "river", "sea", "Sea", "lake"])
    assert known.find(["sea", "river"], 2, others=True)[0][0] == 3
    assert [sorted(found) for found in known.find(["sea"], 9, others=True)] == [[1, 3, 4]]


@pytest.fixture(scope="module")
def recalling(tmp_path_factory: pytest.TempPathFactory) -> Translator:
    """Learned from sources of two words, of which the first alone decides the target, in no way that could be told."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(120):
        word, target = ("".join(letters) for letters in rng.choice(list("abcdefgh"), (2, 6)))
        rows += [(f"{word} {end}", target) for end in ("now", "again", "soon")]
    order = rng.permutation(len(rows))
    table = {"said": [rows[k][0] for k in order], "answer": [rows[k][1] for k in order]}
    options = {"shared_vocabulary": True, "recall": 1, "copying": True, "attention": "location"}
    more = {"hidden_size": 32, "embedding": 16, "max_steps": 500, "learning_rate": 0.01}
    return Translator(**{**SMALL, **options, **more}).fit(
        table, out=tmp_path_factory.mktemp("recall") / "run"
    )


def test_what_is_known_of_like_sources_is_written(recalling: Translator) -> None:
    assert recalling.scores_["model"]["exact_match"] >= 0.8
    known, held = recalling.recall_, recalling._held
    words = {source.split()[0] for source in known.sources}
    right = []
    for text, target in zip(held.sources, held.targets, strict=True):
        assert text not in known.sources
        if (word := text.split()[0]) in words:
            ((_, source, recalled),) = known.parts([text])
            right.append((source.split()[0], recalled) == (word, target))
    assert len(right) >= 10
    assert np.mean(right) >= 0.9


def test_a_source_of_the_training_is_read_as_an_unseen_one(recalling: Translator) -> None:
    sources, vocabulary = recalling._training.sources, recalling.vocabulary_
    for row, text in zip(recalling._rows[0], sources, strict=True):
        ends = np.flatnonzero(row == len(vocabulary))
        said, known, _ = (
            vocabulary.decode(part[part < len(vocabulary)]) for part in np.split(row, ends[:-1])
        )
        assert (said, ends[-1]) == (text, len(row) - 1)
        assert known in sources
        assert known != text
    assert recalling.recall_.parts(sources[:1])[0][:2] == sources[:1] * 2


def test_what_is_recalled_comes_back_with_the_run(recalling: Translator) -> None:
    path, asked = recalling.run_.path, [*recalling._held.sources[:9], "abc now"]
    back = api.load(path)
    assert isinstance(back, Translator)
    assert back.predict(asked) == recalling.predict(asked)
    assert (
        "".join(back.draw(asked[0], lambda scores: int(scores.argmax())))
        == back.predict(asked, beam_size=1)[0]
    )
    content = json.loads((path / "task.json").read_text(encoding="utf-8"))
    for broken in (
        {},
        {"sources": ["a"], "targets": []},
        {"sources": [1], "targets": ["a"]},
        {"sources": ["a"]},
    ):
        (path / "task.json").write_text(json.dumps({**content, "recall": broken}), encoding="utf-8")
        with pytest.raises(InputError, match=r"task.json: damaged"):
            api.load(path)
    (path / "task.json").write_text(json.dumps(content), encoding="utf-8")


def test_no_source_of_the_training_is_judged_by_its_own_target(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"a": [f"say {k}" for k in range(12)], "b": [f"word {k}" for k in range(12)]}
    read: list[list[str]] = []
    parts = Recall.parts

    def told(self: Recall, texts: Any, *, others: bool = False) -> list[list[str]]:
        found = parts(self, texts, others=others)
        read.extend(found)
        return found

    monkeypatch.setattr(Recall, "parts", told)
    options = {"shared_vocabulary": True, "recall": 1, "max_steps": 60, "learning_rate": 0.02}
    model = Translator(**{**SMALL, **options}).fit(table, validation=0)
    assert TranslationProblem(model).sample()
    assert model._looked()
    assert len(read) > 24
    assert all(len(found) == 3 and found[1] != found[0] for found in read)
    assert model.scores_["nearest source"]["exact_match"] == 0
    model.predict(["say 3"])  # what is asked may be known
    assert read[-1] == ["say 3", "say 3", "word 3"]


def test_one_known_source_has_no_nearest() -> None:
    options = {"shared_vocabulary": True, "recall": 1, "max_steps": 2}
    model = Translator(**{**SMALL, **options}).fit({"a": ["x"], "b": ["y"]}, validation=0)
    assert model.scores_["nearest source"]["exact_match"] == 0


def test_what_is_asked_wrongly_is_told() -> None:
    with pytest.raises(InputError, match="recall_ngrams says which"):
        Translator(recall_ngrams=3).check()
    with pytest.raises(InputError, match=r"recall reads what may be written.*--shared-vocabulary"):
        Translator(recall=1).check()
    with pytest.raises(InputError, match=r"copying reads what may be written.*--shared-vocabulary"):
        Translator(copying=True).check()
    with pytest.raises(InputError, match="recall is 17, expected at most 16"):
        Translator(recall=17, shared_vocabulary=True).check()
    with pytest.raises(InputError, match="attention is none"):
        Translator(copying=True, shared_vocabulary=True, attention="none").check()


@pytest.mark.parametrize(("option", "off"), [("recall", "--recall 0"), ("copying", "--no-copying")])
def test_without_sources_nothing_is_recalled_or_copied(option: str, off: str) -> None:
    with pytest.raises(InputError, match=rf"{option} is of a source, but unconditional.*{off}"):
        Translator(unconditional=True, shared_vocabulary=True, **{option: True}).check()


def test_the_recipe_says_how_its_sources_are_left_out() -> None:
    told = "--unconditional --recall 0 --recall-ngrams 4 --no-copying"
    assert told in RECIPE.read_text(encoding="utf-8")
    options = {"unconditional": True, "recall": 0, "recall_ngrams": 4, "copying": False}
    api.estimator("translate", options, recipe=RECIPE).check()

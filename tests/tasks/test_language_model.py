"""The language model: scores against NumPy, generation against recomputation, options that each change something."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman import data, reference
from elman.data import Vocabulary
from elman.errors import InputError
from elman.tasks import _language_text
from elman.tasks.language_model import LanguageModel

SENTENCES = ("나는 물을 마신다.\n", "the river runs.\n", "강은 바다로 간다.\n", "a sea is wide.\n")
SMALL: dict[str, Any] = {
    "cell": "gru",
    "hidden_size": 12,
    "batch_size": 4,
    "sequence_length": 10,
    "max_steps": 60,
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toy.txt"
    path.write_text("".join(SENTENCES[i * i * i % 11 % 4] for i in range(60)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(text: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    out = tmp_path_factory.mktemp("runs") / "run"
    return LanguageModel(**SMALL, learning_rate=0.02).fit(text, out=out)


def fitted(text: Path, **options: Any) -> LanguageModel:
    return LanguageModel(**{**SMALL, "max_steps": 2, **options}).fit(text)


def numpy_scores(model: LanguageModel, symbols: np.ndarray) -> np.ndarray:
    """Log-probabilities (T, V) after each symbol, by the reference and NumPy, float64."""
    weights = {name: value.double().numpy() for name, value in model.network_.state_dict().items()}
    params = {
        name.removeprefix("recurrent."): w for name, w in weights.items() if name.startswith("recurrent.")
    }
    table = weights.get("embedding.weight", np.eye(len(model.vocabulary_)))
    hidden, _ = reference.forward(model.cell, params, table[symbols][None])
    scores = hidden[0] @ weights["output.weight"].T + weights["output.bias"]
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def encoded(model: LanguageModel, text: Path) -> np.ndarray:
    return model.vocabulary_.encode(text.read_text(encoding="utf-8")).astype(int)


# --- scores


@pytest.mark.parametrize(
    "options", [{}, {"embedding": 5}, {"embedding": 12, "tie_weights": True, "num_layers": 2}]
)
def test_evaluate_is_the_definition(text: Path, options: dict[str, Any]) -> None:
    model = fitted(text, **options)
    symbols = encoded(model, text)
    logs, targets = numpy_scores(model, symbols[:-1]), symbols[1:]
    nats = -logs[np.arange(len(targets)), targets]
    scores = model.evaluate(text)
    assert scores["loss"] == pytest.approx(nats.mean(), rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(nats.mean()), rel=1e-4)
    assert scores["accuracy"] == pytest.approx((logs.argmax(1) == targets).mean(), abs=0.002)
    assert scores["bits_per_character"] == pytest.approx(nats.mean() / math.log(2), rel=1e-5)


def test_evaluate_counts_every_target_once_in_any_number_of_rows(text: Path) -> None:
    model = fitted(text)
    with_memory = model.evaluate(text)["loss"]
    for parameter in (model.network_.recurrent.weight_hh_l0, model.network_.recurrent.bias_hh_l0):
        parameter.data.zero_()
    model.network_.recurrent.bias_ih_l0.data[12:24] = -100.0  # update gate shut: nothing is remembered
    exact = model.evaluate(text)
    assert exact["loss"] != with_memory
    for rows in (2, 7, 64, 5000):
        assert model.evaluate(text, rows=rows) == pytest.approx(exact, rel=1e-6)


def test_rows_are_warmed_up(model: LanguageModel, text: Path) -> None:
    from elman.tasks._measuring import measure

    symbols = encoded(model, text)
    exact, warm, cold = (
        measure(model.network_, symbols, rows=rows, warm_up=warm_up)[0]
        for rows, warm_up in ((1, 0), (9, 50), (9, 1))
    )
    assert abs(warm - exact) < 0.1 * abs(cold - exact)


def test_windows_start_from_zero(text: Path) -> None:
    from elman.tasks._measuring import measure_windows

    model = fitted(text)
    symbols = encoded(model, text)[:40]
    nats, correct = 0.0, 0
    for start in range(40 - 7):
        window = symbols[start : start + 8]
        logs = numpy_scores(model, window[:-1])
        nats -= logs[np.arange(7), window[1:]].sum()
        correct += int((logs.argmax(1) == window[1:]).sum())
    found = measure_windows(model.network_, symbols, 7)
    assert found == (pytest.approx(nats, rel=1e-5), correct, 33 * 7)


@pytest.mark.parametrize(
    "options",
    [
        {"vocabulary": "byte"},
        {"vocabulary": "character", "jamo": True},
        {"vocabulary": "word"},
        {"vocabulary": "subword", "vocabulary_size": 270},
    ],
    ids=str,
)
def test_bits_per_character_is_per_character(text: Path, options: dict[str, Any]) -> None:
    """All vocabularies are charged for the same characters: those of the text after its first symbol."""
    model = fitted(text, **options)
    content = text.read_text(encoding="utf-8")
    symbols = model.vocabulary_.encode(content)
    assert len(symbols) != len(content)
    spelled = len(content) - len(model.vocabulary_.decode(symbols[:1]))
    scores = model.evaluate(text)
    bits = scores["loss"] * (len(symbols) - 1) / math.log(2)
    assert scores["bits_per_character"] * spelled == pytest.approx(bits, rel=0.005)


def test_baselines_stand_beside_the_model(model: LanguageModel) -> None:
    assert list(model.scores_) == ["model", "bigram", "unigram"]
    assert model.scores_["bigram"]["loss"] < model.scores_["unigram"]["loss"]
    best = min(row["validation_loss"] for row in model._fitted().metrics())
    assert model.scores_["model"]["loss"] == pytest.approx(best, rel=1e-6)


def test_nothing_held_out(text: Path) -> None:
    model = fitted(text, validation=0, cut="windows")
    assert list(model.scores_) == ["model"]
    rows = model._fitted().metrics()
    assert "validation_loss" not in rows[-1]
    assert 0 <= rows[-1]["train_accuracy"] <= 1
    page = (model._fitted().path / "report.html").read_text(encoding="utf-8")
    assert "On the training text: nothing was held out." in page


@pytest.mark.parametrize("cut", ["stream", "windows"])
def test_a_long_training_text_is_judged_at_its_end(
    text: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_language_text, "_JUDGED", 300)
    model = fitted(text, validation=0, cut=cut)
    page = (model._fitted().path / "report.html").read_text(encoding="utf-8")
    part = 300 if cut == "stream" else 30
    assert (
        f"On the last {part} of {len(model._material.training):,} training symbols: nothing was held out."
        in page
    )


def test_large_texts_are_read_from_their_file(
    text: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A text too large for memory, mapped from the cache, gives the same model and the same baselines."""
    small = fitted(text)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(data, "encode_corpus", functools.partial(data.encode_corpus, memory_limit=0))
    large = fitted(text)
    assert isinstance(large._material.training.base, np.memmap)
    assert large.scores_ == small.scores_


def test_validation_file(text: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(SENTENCES[1] * 5, encoding="utf-8")
    model = LanguageModel(**SMALL).fit(text, validation=str(other))
    assert model.scores_["model"]["loss"] == pytest.approx(model.evaluate(other)["loss"], rel=1e-5)
    assert len(model._material.training) == len(encoded(model, text))


def test_training_carries_the_state_along_each_row(text: Path) -> None:
    """At learning rate 0 the figures of an epoch are those of the first weights on rows read from end to end."""
    model = fitted(text, learning_rate=0, epochs=1, max_steps=None)
    rows = len(model._material.training[:-1]) // 4
    symbols = np.asarray(model._material.training[: 4 * rows + 1]).astype(int)
    logs = np.stack([numpy_scores(model, symbols[rows * b : rows * (b + 1)]) for b in range(4)])
    targets = symbols[1:].reshape(4, rows)
    nats = -np.take_along_axis(logs, targets[..., None], 2).mean()
    row = model._fitted().metrics()[-1]
    assert row["step"] > 5
    assert row["train_loss"] == pytest.approx(nats, rel=1e-5)
    assert row["train_accuracy"] == pytest.approx((logs.argmax(2) == targets).mean(), abs=0.002)


def test_dropout_is_for_training_only(text: Path) -> None:
    model = fitted(text, dropout=0.5)
    quiet = model.evaluate(text), "".join(model.generate(length=30, seed=0))
    model.network_.train()
    assert model.evaluate(text) == quiet[0]
    assert model.network_.training
    assert "".join(model.generate(length=30, seed=0)) == quiet[1]
    model.network_.train()
    from elman.tasks._measuring import measure_windows

    assert measure_windows(model.network_, encoded(model, text), 9) == measure_windows(
        model.network_, encoded(model, text), 9
    )


def test_learns(model: LanguageModel) -> None:
    rows = model._fitted().metrics()
    assert rows[-1]["validation_loss"] < 0.8 * rows[0]["validation_loss"]


# --- writing


def test_greedy_is_recomputation(model: LanguageModel) -> None:
    prompt = "강은 "
    written = "".join(model.generate(prompt, length=15, temperature=0))
    symbols = model.vocabulary_.encode(prompt).astype(int).tolist()
    for _ in range(15):
        symbols.append(int(numpy_scores(model, np.array(symbols))[-1].argmax()))
    assert written == model.vocabulary_.decode(symbols)[len(prompt) :]


def test_equal_seeds_equal_texts(model: LanguageModel) -> None:
    texts = ["".join(model.generate("the", length=60, seed=seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 60


def test_generation_is_an_iterator_without_end(model: LanguageModel) -> None:
    pieces = model.generate(length=10**12, seed=0)
    assert len("".join(itertools.islice(pieces, 20))) >= 20


def test_prompt_outside_the_vocabulary(model: LanguageModel, text: Path) -> None:
    with pytest.raises(InputError, match=r"'Ω'.*not in the vocabulary"):
        model.generate("the Ω")
    mapped = "".join(model.generate("the Ω", length=5, unknown="map", seed=0))
    assert len(mapped) == 5
    with pytest.raises(InputError, match="holds no symbol"):
        fitted(text, vocabulary="word").generate("  ")


def test_the_unknown_symbol_is_never_written(text: Path) -> None:
    model = fitted(text, vocabulary_size=4)
    assert model.vocabulary_.unknown_id is not None
    assert "\ufffd" not in "".join(model.generate(length=300, seed=0))


def test_jamo_are_put_together(text: Path) -> None:
    model = fitted(text, jamo=True, max_steps=60, learning_rate=0.03)
    written = "".join(model.generate("나는 ", length=200, temperature=0.5, seed=0))
    assert any("가" <= letter <= "힣" for letter in written)


def test_a_syllable_that_ends_the_prompt_is_not_written_again(text: Path) -> None:
    model = fitted(text, jamo=True)
    for seed in range(10):
        assert "".join(model.generate("다", length=0, seed=seed)) == ""
        assert not "".join(model.generate("다", length=1, seed=seed)).startswith("다")


def test_a_text_starts_after_a_line_end(text: Path, tmp_path: Path) -> None:
    one_line = tmp_path / "line.txt"
    one_line.write_text(SENTENCES[0] + SENTENCES[0].strip("\n"), encoding="utf-8")
    assert fitted(text)._start == fitted(text).vocabulary_.encode("\n")[0]
    one_line.write_text(" ".join(s.strip() for s in SENTENCES) + "\n", encoding="utf-8")
    model = fitted(one_line)
    assert model._start == model.vocabulary_.encode("나")[0]
    assert "".join(model.generate(length=3, seed=0))[0] == "나"
    assert len("".join(fitted(text).generate(length=3, seed=0))) == 3


# --- the run folder


def test_saved_and_loaded(model: LanguageModel, text: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "copy")
    again = elman.load(tmp_path / "copy")
    assert isinstance(again, LanguageModel)
    assert again.options() == model.options()
    assert again.evaluate(text) == model.evaluate(text)
    assert list(again.generate("the", length=20, seed=3)) == list(model.generate("the", length=20, seed=3))


def test_report_needs_nothing_else(model: LanguageModel) -> None:
    run = model._fitted()
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert (run.path / "history.png").read_bytes().startswith(b"\x89PNG")
    for word in (
        "hidden_size = 12",
        "bigram",
        "toy.txt",
        "elman generate",
        "<svg",
        f"{model.scores_['model']['loss']:.4f}",
    ):
        assert word in page
    for reference_to_elsewhere in ("<script", "src=", "<link", "@import", "url(http"):
        assert reference_to_elsewhere not in page


def test_not_fitted() -> None:
    for use in (lambda m: m.evaluate("x"), lambda m: m.generate("x"), lambda m: m.save("x")):
        with pytest.raises(InputError, match="learned nothing yet"):
            use(LanguageModel())


def test_resume_asks_for_the_same_options(model: LanguageModel, text: Path) -> None:
    with pytest.raises(InputError, match="hidden_size was 12, now it is 13"):
        LanguageModel(**{**SMALL, "hidden_size": 13}, learning_rate=0.02).fit(
            text, out=model.run_.path, resume=True
        )


def test_resume_asks_for_the_same_text(model: LanguageModel, tmp_path: Path) -> None:
    other = tmp_path / "toy.txt"
    other.write_text("".join(SENTENCES) * 15, encoding="utf-8")
    before = (model.run_.path / "config.json").read_bytes()
    with pytest.raises(InputError, match="its data"):
        LanguageModel(**SMALL, learning_rate=0.02).fit(other, out=model.run_.path, resume=True)
    assert (model.run_.path / "config.json").read_bytes() == before


def test_resume_goes_on(text: Path, tmp_path: Path) -> None:
    options = {**SMALL, "decay": "none"}
    whole = LanguageModel(**{**options, "max_steps": 20}).fit(text)
    LanguageModel(**{**options, "max_steps": 8}).fit(text, out=tmp_path / "run")
    parts = LanguageModel(**{**options, "max_steps": 20}).fit(text, out=tmp_path / "run", resume=True)
    for name, value in whole.network_.state_dict().items():
        assert value.equal(parts.network_.state_dict()[name])


# --- options


@pytest.mark.parametrize(
    "changed",
    [
        {"cell": "lstm"},
        {"hidden_size": 13},
        {"num_layers": 2},
        {"dropout": 0.5},
        {"init": "torch"},
        {"embedding": 6},
        {"embedding": 12, "tie_weights": True},
        {"vocabulary": "character", "jamo": True},
        {"vocabulary_size": 9},
        {"min_count": 30},
        {"cut": "windows"},
        {"sequence_length": 11},
        {"validation": 0.3},
        {"unknown": "map"},
        {"seed": 1},
    ],
    ids=str,
)
def test_every_option_changes_the_result(text: Path, changed: dict[str, Any]) -> None:
    assert loss_of(text, **changed) != loss_of(text)


def test_input_dropout_changes_the_result(text: Path) -> None:
    assert loss_of(text, embedding=6, input_dropout=0.5) != loss_of(text, embedding=6)


def loss_of(text: Path, **options: Any) -> float:
    model = fitted(text, **options)
    return float(model._fitted().metrics()[-1]["train_loss"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "lstn"}, "unknown cell 'lstn'. Did you mean 'lstm'"),
        ({"hidden_size": 0}, "hidden_size is 0, expected at least 1"),
        ({"embedding": "onehot"}, "embedding is 'onehot', expected one-hot or a whole number"),
        ({"embedding": 0}, "embedding is 0"),
        ({"tie_weights": True}, "tie_weights uses one matrix"),
        ({"tie_weights": True, "embedding": 5}, "embedding is 5, expected 12"),
        ({"input_dropout": 0.5}, "input_dropout drops features of an embedding"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"validation": 0.0001}, "validation part"),
        ({"jamo": True, "vocabulary": "word"}, "jamo goes with"),
        ({"vocabulary": "byte", "unknown": "map"}, "knows every text.*leave out --unknown"),
        ({"dropout": float("nan")}, "dropout is nan, expected a finite number"),
        ({"cut": "window"}, "unknown cut 'window'. Did you mean 'windows'"),
        ({"cut": "windows", "sequence_length": 5000}, "too short for one window"),
        ({"batch_size": 5000}, "too few for 5000 rows"),
    ],
    ids=str,
)
def test_wrong_options_write_nothing(
    text: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        LanguageModel(**{**SMALL, **options}).fit(text, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["grapheme", "character", "byte", "word", "subword"])
def test_every_vocabulary_trains(text: Path, kind: str) -> None:
    size = {"vocabulary_size": 300} if kind == "subword" else {}
    model = fitted(text, vocabulary=kind, **size)
    assert isinstance(model.vocabulary_, Vocabulary)
    assert "".join(model.generate(length=5, seed=0)) is not None

"""A language model step by step: with torch and without it, forwards and from a state that was kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman.runtime
from elman.errors import InputError
from tests.runtime.conftest import Trained

Give = Callable[[str], Trained]
MODELS = pytest.mark.parametrize("name", ["language-model", "language-model-tied"])


def both(given: Trained) -> list[Any]:
    """The model with torch and without."""
    return [type(given.task).load(given.run), elman.runtime.load(given.run)]


@MODELS
def test_steps_are_the_rows_of_the_whole(name: str, trained: Give) -> None:
    """Symbol by symbol, in pieces and all at once: the scores that the network gives over the whole text."""
    given = trained(name)
    model, text = given.task, "the river and 바다."
    symbols = model.vocabulary_.encode(text).astype(np.int64)  # type: ignore[attr-defined]
    whole = model.network_.arrays({"symbols": symbols[None]})["scores"][0]  # type: ignore[attr-defined]
    for one in both(given):
        for number, symbol in enumerate(symbols.tolist()):
            np.testing.assert_allclose(one.step(symbol), whole[number], rtol=0, atol=1e-5)
        one.reset()
        one.step(text[:5])
        np.testing.assert_allclose(one.step(text[5:]), whole[-1], rtol=0, atol=1e-5)
        one.reset()
        np.testing.assert_allclose(one.step(text), whole[-1], rtol=0, atol=1e-5)


def test_texts_that_stand_alone_are_written_alike(trained: Give) -> None:
    """One-hot symbols beside a condition, and vectors without one: what torch writes and what it says of each step."""
    for name, condition in (("language-model-rows", "oa,1950"), ("language-model-rows-embedded", None)):
        torchs, plain = both(trained(name))
        how: dict[str, Any] = {"count": 4, "seed": 1, "length": 30, "condition": condition}
        assert "".join(plain.generate("k", **how)) == "".join(torchs.generate("k", **how))
        scores = []
        for one in (torchs, plain):
            one.reset(condition)
            scores.append([one.step(piece) for piece in ("", "ka", "m")])
        np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)
        assert len(scores[0][0]) == len(torchs.vocabulary_) + 1


@MODELS
def test_a_state_is_kept_as_arrays_and_set_again(name: str, trained: Give, tmp_path: Path) -> None:
    torchs, plain = both(trained(name))
    torchs.step("the sea ")
    np.savez(tmp_path / "state.npz", **torchs.state)
    expected = torchs.step("a")
    with np.load(tmp_path / "state.npz") as state:
        plain.state = dict(state)
        kept = plain.state
        np.testing.assert_allclose(plain.step("a"), expected, rtol=0, atol=1e-5)
        assert all(
            np.array_equal(kept[part], state[part]) for part in state
        )  # a copy, which steps leave alone
    torchs.state = plain.state
    np.testing.assert_allclose(torchs.step("and "), plain.step("and "), rtol=0, atol=1e-5)


@MODELS
def test_writing_and_guessing_keep_their_hands_off_the_state(name: str, trained: Give) -> None:
    for model in both(trained(name)):
        model.step("the ")
        before = model.state
        "".join(model.generate("sea", length=5, seed=0))
        model.predict(["river", "sea"])
        assert all(np.array_equal(before[part], after) for part, after in model.state.items())


@MODELS
def test_texts_are_the_same_for_the_same_seed(name: str, trained: Give) -> None:
    texts = {"".join(model.generate("river", length=60, seed=3)) for model in both(trained(name))}
    assert len(texts) == 1


@MODELS
@pytest.mark.parametrize("rows", [2, 7])
def test_a_text_is_scored_in_rows_with_states_warmed_up(name: str, rows: int, trained: Give) -> None:
    given = trained(name)
    torchs, plain = (model.evaluate(given.files, rows=rows) for model in both(given))
    assert plain == pytest.approx(torchs, rel=2e-6)


def test_a_model_that_was_trained_again_reads_with_its_new_weights(trained: Give, tmp_path: Path) -> None:
    given = trained("language-model")
    model: Any = type(given.task)(hidden_size=4, max_steps=2, threads=1)
    model.fit(given.files)
    first = model.step("the")
    model.seed = 5
    model.fit(given.files)
    assert not np.allclose(model.step("the"), first)


@pytest.mark.parametrize("symbol", [-1, 1000])
def test_a_symbol_out_of_range(symbol: int, trained: Give) -> None:
    for model in both(trained("language-model")):
        with pytest.raises(InputError, match="out of range"):
            model.step(symbol)


@pytest.mark.parametrize(
    "bad", [{}, {"h": np.zeros((1, 1, 6)), "c": np.zeros((2, 1, 6))}, {"h": np.zeros((2, 1, 6))}]
)
def test_a_state_that_does_not_fit(bad: dict[str, np.ndarray], trained: Give) -> None:
    for model in both(trained("language-model")):
        with pytest.raises(InputError, match="state"):
            model.state = bad

"""What a network reads: normalised numbers and sounds, symbols of texts, the first steps only, and back from a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from elman.errors import InputError
from elman.tasks._encoding import Encoder
from elman.tasks.classify import SequenceClassifier


def test_numbers_are_normalised_by_the_training_part() -> None:
    rng = np.random.default_rng(0)
    inputs = [np.stack([5 + 3 * rng.normal(size=n), np.full(n, 7.0)], 1) for n in (4, 9, 1)]
    encoder, rows = Encoder.learn("numbers", inputs, SequenceClassifier())
    steps = np.concatenate(rows)
    np.testing.assert_allclose(steps.mean(0), [0, 0], atol=1e-6)
    np.testing.assert_allclose(steps[:, 0].std(), 1, rtol=1e-5)
    assert not steps[:, 1].any()  # it never changes, so it says nothing
    whole = np.concatenate(inputs)[:, 0]
    (other,) = encoder.encode([np.array([[whole.mean() + 2 * whole.std(), 100.0]])])
    np.testing.assert_allclose(other, [[2, 0]], rtol=1e-5)


def test_sound_is_read_without_its_loudness(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(size=3000) / 10
    paths = [tmp_path / "loud.wav", tmp_path / "soft.wav"]
    for path, loudness in zip(paths, (1, 0.25), strict=True):
        soundfile.write(path, loudness * sound, 8000, subtype="FLOAT")
    _, (loud, soft) = Encoder.learn("audio", paths, SequenceClassifier())
    np.testing.assert_allclose(loud, soft, rtol=0, atol=1e-4)
    _, (loud, soft) = Encoder.learn("audio", paths, SequenceClassifier(center=False))
    assert (loud.mean(0) > soft.mean(0) + 0.5).all()


def test_unknown_symbols_are_one_symbol() -> None:
    encoder, _ = Encoder.learn("text", ["abc", "cab"], SequenceClassifier(max_length=4))
    known, other, mixed = encoder.encode(["abc", "xyz", "axxxxxx"])
    assert len({*known.tolist()}) == 3
    assert len({*other.tolist()}) == 1
    assert mixed.tolist() == [known[0], *other[:3]]


@pytest.mark.parametrize("kind", ["text", "numbers"])
def test_it_comes_back_from_a_run(kind: str) -> None:
    inputs = ["abc", "cab"] if kind == "text" else [np.eye(3), np.ones((2, 3))]
    encoder, rows = Encoder.learn(kind, inputs, SequenceClassifier())
    back = Encoder.restored(encoder.values(), encoder.vocabulary)
    for one, other in zip(back.encode(inputs), rows, strict=True):
        np.testing.assert_array_equal(one, other)


def test_sequences_of_other_features_are_refused() -> None:
    with pytest.raises(InputError, match=r"sequences of \[1, 2\] features"):
        Encoder.learn("numbers", [np.zeros((2, 1)), np.zeros((2, 2))], SequenceClassifier())
    with pytest.raises(InputError, match="no sequence has a step"):
        Encoder.learn("numbers", [np.zeros((0, 1))], SequenceClassifier())

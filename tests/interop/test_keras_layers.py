"""`elman.keras` in place of `keras.layers`: the same numbers, gradients, names and files, on the compiled core."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", exc_type=ImportError) if importlib.util.find_spec("keras") else None
if keras is None or keras.backend.backend() != "torch":
    pytest.skip("needs keras on torch", allow_module_level=True)

import elman.keras as ours
from elman import graph
from elman.interop.keras import read

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*h5py.*:DeprecationWarning"),
]
STEPS, FEATURES = 7, 5
KINDS = ("SimpleRNN", "LSTM", "GRU")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"return_sequences": True, "return_state": True},
    {"return_sequences": True, "go_backwards": True, "use_bias": False},
    {"return_sequences": True, "zero_output_for_mask": True},
    {"go_backwards": True, "return_state": True, "zero_output_for_mask": True},
)
MASKS = {
    "none": None,
    "right": np.arange(STEPS) < np.array([7, 3, 0])[:, None],
    "left": np.arange(STEPS) >= np.array([0, 3, 6])[:, None],
    "gaps": np.array([[1, 0, 1, 1, 0, 0, 1], [0, 0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0]], bool),
}


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=shape) * 0.5).astype(np.float32)


def pair(kind: str, **options: Any) -> tuple[Any, Any]:
    """Keras' layer and ours with the same random weights."""
    theirs, own = getattr(keras.layers, kind)(4, **options), getattr(ours, kind)(4, **options)
    weights = None
    for layer in (theirs, own):
        layer.build((3, STEPS, FEATURES))
        weights = weights or [draw(*w.shape, seed=n) for n, w in enumerate(layer.weights)]
        layer.set_weights(weights)
    return theirs, own


def results(layer: Any, x: np.ndarray, **call: Any) -> list[torch.Tensor]:
    """Outputs, and the gradients of x and all weights under a weighted sum of them."""
    given = torch.tensor(x, requires_grad=True)
    outputs = keras.tree.flatten(layer(given, **call))
    total = sum((y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum() for y in outputs)
    gradients = torch.autograd.grad(total, [given, *(w.value for w in layer.trainable_weights)])
    return [*(y.detach() for y in outputs), *gradients]


def assert_same(theirs: Any, own: Any, x: np.ndarray, **call: Any) -> None:
    expected, found = results(theirs, x, **call), results(own, x, **call)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "default")
@pytest.mark.parametrize("kind", KINDS)
def test_equals_keras(kind: str, options: dict[str, Any], mask: str) -> None:
    theirs, own = pair(kind, **options)
    assert own.explain().native
    assert_same(theirs, own, draw(3, STEPS, FEATURES, seed=9), mask=MASKS[mask])


@pytest.mark.parametrize(
    ("kind", "options"), [("GRU", {"reset_after": False}), ("SimpleRNN", {"activation": "relu"})]
)
def test_other_cells_equal_keras(kind: str, options: dict[str, Any]) -> None:
    theirs, own = pair(kind, **options, return_sequences=True)
    assert own.explain().native
    assert_same(theirs, own, draw(3, STEPS, FEATURES, seed=9), mask=MASKS["gaps"])


@pytest.fixture
def no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras' own loops are not to be used."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Keras' own loop ran")

    for name in ("rnn", "lstm", "gru"):
        monkeypatch.setattr(f"keras.src.backend.{name}", refuse)


@pytest.mark.usefixtures("no_loop")
def test_core_runs_for_masks() -> None:
    for kind in KINDS:
        getattr(ours, kind)(4)(draw(3, STEPS, FEATURES), mask=MASKS["gaps"], training=True)


@pytest.mark.parametrize(
    ("kind", "options", "training", "reason"),
    [
        ("LSTM", {"activation": "elu"}, False, "activation elu, sigmoid is not compiled"),
        ("GRU", {"recurrent_activation": "hard_sigmoid"}, False, "hard_sigmoid is not compiled"),
        ("SimpleRNN", {"recurrent_dropout": 0.5, "seed": 1}, True, "recurrent_dropout drops inside"),
        (
            "LSTM",
            {"dropout": 0.5, "seed": 1, "implementation": 1, "use_cudnn": False},
            True,
            "implementation=1",
        ),
        ("LSTM", {"dtype": "mixed_float16"}, False, "dtype float16 is not compiled"),
        ("GRU", {"use_cudnn": True}, False, "use_cudnn=True"),
    ],
)
def test_what_is_not_compiled_runs_as_keras_says(
    kind: str, options: dict[str, Any], training: bool, reason: str
) -> None:
    theirs, own = pair(kind, **options)
    explained = own.explain(training=training)
    assert not explained.native
    assert reason in explained.reason
    x = draw(3, STEPS, FEATURES)
    torch.testing.assert_close(own(x, training=training), theirs(x, training=training), rtol=0, atol=0)


def test_other_backend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ours.LSTM(3)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert (
        layer.explain().reason == "Keras' own path: Keras' backend is jax; the compiled core works with torch"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_drops_what_keras_drops(kind: str) -> None:
    theirs, own = pair(kind, dropout=0.4, seed=3, return_sequences=True)
    assert own.explain(training=True).native
    x = draw(3, STEPS, FEATURES)
    for _ in range(2):  # another draw each call
        assert_same(theirs, own, x, mask=MASKS["right"], training=True)
    assert not torch.equal(own(x, training=True), own(x, training=False))


@pytest.mark.parametrize("kind", KINDS)
def test_state_goes_on(kind: str) -> None:
    theirs, own = pair(kind, stateful=True)
    for seed in range(3):
        assert_same(theirs, own, draw(3, STEPS, FEATURES, seed=seed), mask=MASKS["right"])
    own.reset_state()
    theirs.reset_state()
    states = [draw(3, 4, seed=n) for n in range(len(own.states))]
    assert_same(theirs, own, draw(3, STEPS, FEATURES), initial_state=states, mask=MASKS["left"])


@pytest.mark.parametrize("merge_mode", ["concat", "ave", None])
def test_bidirectional_equals_keras(merge_mode: str | None) -> None:
    layers = []
    for kind in (keras.layers.GRU, ours.GRU):
        keras.utils.set_random_seed(0)
        layers.append(keras.layers.Bidirectional(kind(4, return_sequences=True), merge_mode=merge_mode))
        layers[-1].build((3, STEPS, FEATURES))
    assert isinstance(layers[1].backward_layer, ours.GRU)
    assert_same(*layers, draw(3, STEPS, FEATURES), mask=MASKS["gaps"])


def test_half_precision() -> None:
    theirs, own = pair("LSTM", dtype="mixed_bfloat16", return_sequences=True)
    assert own.explain().native
    x = draw(3, STEPS, FEATURES)
    found, expected = own(x, mask=MASKS["right"]), theirs(x, mask=MASKS["right"])
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_configuration_names_and_weights_are_those_of_keras(kind: str) -> None:
    theirs, own = pair(kind, name="layer", dropout=0.1, go_backwards=True)
    assert own.get_config() == theirs.get_config()
    assert [w.path for w in own.weights] == [w.path for w in theirs.weights]
    again = type(own).from_config(own.get_config())
    assert again.get_config() == own.get_config()


@pytest.mark.usefixtures("no_loop")
def test_training_with_masks_of_an_embedding_is_that_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps of gradient descent lead to the same weights."""
    x = np.array([[3, 1, 4, 1, 0, 0], [0, 5, 0, 2, 6, 5], [3, 0, 0, 0, 0, 0]])
    found = []
    for module in (ours, keras.layers):
        if module is keras.layers:
            monkeypatch.undo()
        keras.utils.set_random_seed(0)
        table = keras.layers.Embedding(7, 5, mask_zero=True)
        both = keras.layers.Bidirectional(module.LSTM(4, return_sequences=True))
        layers = [keras.Input((None,)), table, both, module.GRU(3), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.5))
        model.fit(x, np.array([[1.0], [-1.0], [0.5]]), epochs=3, batch_size=3, verbose=0)
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.fixture
def article() -> Any:
    """A sentence, one-hot characters, the next one to be told; SimpleRNN(100) and a Dense at each step."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((None, 9)),
            ours.SimpleRNN(100, return_sequences=True),
            keras.layers.TimeDistributed(keras.layers.Dense(9, activation="softmax")),
        ]
    )


@pytest.mark.usefixtures("no_loop")
def test_model_of_the_article_learns_and_is_carried(article: Any, tmp_path: Path) -> None:
    symbols = np.array([[n * n % 9 for n in range(12)]])
    x, y = np.eye(9, dtype=np.float32)[symbols[:, :-1]], np.eye(9, dtype=np.float32)[symbols[:, 1:]]
    article.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = article.fit(x, y, epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    expected = article.predict(x, verbose=0)
    article.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.layers[0], ours.SimpleRNN)
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    carried = read(tmp_path / "model.keras")
    (found,) = graph.run(carried, {carried.inputs[0].name: x}).values()
    np.testing.assert_allclose(found, expected, atol=1e-6)

"""Files of Keras 1 and 2, built by hand in their documented layout, against the equations of their time."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman import graph
from elman.errors import InputError
from elman.interop.keras import archive, read

h5py = pytest.importorskip("h5py")

UNITS, FEATURES, STEPS = 4, 3, 6
Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    hdf5 = pytest.importorskip("elman.interop.keras.hdf5")
    monkeypatch.setattr(archive, "contents", lambda path, _: hdf5.contents(str(path)))


def save(path: Path, version: str, layers: list[tuple[str, dict[str, Any], Arrays]]) -> Path:
    """A Sequential model as Keras 1 and 2 save it."""
    specs = [{"class_name": kind, "config": config} for kind, config, _ in layers]
    config = specs if version.startswith("1") else {"name": "sequential", "layers": specs}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = np.bytes_(version)
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config}).encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [config["name"].encode() for _, config, _ in layers]
        for _, config, arrays in layers:
            group = weights.create_group(config["name"])
            group.attrs["weight_names"] = [f"{config['name']}/{name}:0".encode() for name in arrays]
            for name, array in arrays.items():
                group[f"{config['name']}/{name}:0"] = array
    return path


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.normal(size=shape) * 0.5).astype(np.float32)


def batch(rng: np.random.Generator) -> np.ndarray:
    return draw(rng, 2, STEPS, FEATURES) * 4


def run(path: Path, x: np.ndarray) -> np.ndarray:
    carried = read(path)
    return next(iter(graph.run(carried, {carried.inputs[0].name: x}).values()))


def hard_sigmoid(a: np.ndarray) -> np.ndarray:
    return np.clip(0.2 * a + 0.5, 0, 1)


def first(**options: Any) -> dict[str, Any]:
    return {"batch_input_shape": [None, None, FEATURES], "name": "first", **options}


def test_lstm_of_keras_1(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    w = {f"{kind}_{gate}": draw(rng, *shape) for gate in "icfo" for kind, shape in SHAPES}
    config = first(
        output_dim=UNITS,
        inner_activation="hard_sigmoid",
        activation="tanh",
        consume_less="cpu",
        return_sequences=True,
    )
    x = batch(rng)
    h = c = np.zeros((2, UNITS), np.float32)
    expected = []
    for t in range(STEPS):
        a = {gate: x[:, t] @ w[f"W_{gate}"] + w[f"b_{gate}"] + h @ w[f"U_{gate}"] for gate in "icfo"}
        c = hard_sigmoid(a["f"]) * c + hard_sigmoid(a["i"]) * np.tanh(a["c"])
        h = hard_sigmoid(a["o"]) * np.tanh(c)
        expected.append(h)
    found = run(save(tmp_path / "old.h5", "1.2.2", [("LSTM", config, w)]), x)
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=1e-6)


SHAPES = (("W", (FEATURES, UNITS)), ("U", (UNITS, UNITS)), ("b", (UNITS,)))


def test_gru_of_keras_1_with_dense_and_batch_normalization(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    w = {f"{kind}_{gate}": draw(rng, *shape) for gate in "zrh" for kind, shape in SHAPES}
    norm = {"gamma": draw(rng, UNITS), "beta": draw(rng, UNITS), "running_mean": draw(rng, UNITS)}
    norm["running_std"] = np.abs(draw(rng, UNITS)) + np.float32(0.2)
    dense = {"W": draw(rng, UNITS, 2), "b": draw(rng, 2)}
    layers = [
        (
            "GRU",
            first(output_dim=UNITS, inner_activation="hard_sigmoid", activation="tanh", go_backwards=True),
            w,
        ),
        (
            "BatchNormalization",
            {"name": "norm", "mode": 0, "axis": -1, "epsilon": 1e-5, "momentum": 0.99},
            norm,
        ),
        ("Dropout", {"name": "drop", "p": 0.5}, {}),
        (
            "Dense",
            {"name": "last", "output_dim": 2, "activation": "hard_sigmoid", "bias": True, "init": "x"},
            dense,
        ),
    ]
    x = batch(rng)
    h = np.zeros((2, UNITS), np.float32)
    for t in reversed(range(STEPS)):
        a = {gate: x[:, t] @ w[f"W_{gate}"] + w[f"b_{gate}"] for gate in "zrh"}
        z, r = (hard_sigmoid(a[gate] + h @ w[f"U_{gate}"]) for gate in "zr")
        h = z * h + (1 - z) * np.tanh(a["h"] + (r * h) @ w["U_h"])
    h = (h - norm["running_mean"]) / np.sqrt(norm["running_std"] + 1e-5) * norm["gamma"] + norm["beta"]
    expected = hard_sigmoid(h @ dense["W"] + dense["b"])
    np.testing.assert_allclose(run(save(tmp_path / "old.h5", "1.1.0", layers), x), expected, atol=1e-6)


def test_hard_sigmoid_is_that_of_the_version(tmp_path: Path) -> None:
    w = {"kernel": np.ones((FEATURES, 1), np.float32), "recurrent_kernel": np.zeros((1, 1), np.float32)}
    config = first(units=1, activation="hard_sigmoid", use_bias=False)
    x = np.full((1, 1, FEATURES), 0.3, np.float32)
    old = run(save(tmp_path / "two.h5", "2.3.1", [("SimpleRNN", config, w)]), x)
    new = run(save(tmp_path / "three.h5", "3.1.0", [("SimpleRNN", config, w)]), x)
    np.testing.assert_allclose([old.item(), new.item()], [0.2 * 0.9 + 0.5, 0.9 / 6 + 0.5], atol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_cudnn_layers_are_those_of_torch(kind: str, tmp_path: Path) -> None:
    """CuDNN takes the numbers of Keras' kernels in the order they lie for its own matrices, which are torch's."""
    rng = np.random.default_rng(2)
    gates = {"LSTM": "ifgo", "GRU": "zrn"}[kind]
    rows = UNITS * len(gates)
    w = {
        "kernel": draw(rng, FEATURES, rows),
        "recurrent_kernel": draw(rng, UNITS, rows),
        "bias": draw(rng, 2 * rows),
    }
    layer = getattr(torch.nn, kind)(FEATURES, UNITS, batch_first=True)
    order = [gates.index(gate) for gate in {"LSTM": "ifgo", "GRU": "rzn"}[kind]]
    with torch.no_grad():
        for name, array, size in (("ih", w["kernel"], FEATURES), ("hh", w["recurrent_kernel"], UNITS)):
            blocks = [np.ascontiguousarray(b).reshape(UNITS, size) for b in np.split(array, len(gates), 1)]
            getattr(layer, f"weight_{name}_l0").copy_(
                torch.from_numpy(np.concatenate([blocks[n] for n in order]))
            )
        for name, bias in zip(("ih", "hh"), np.split(w["bias"], 2), strict=True):
            blocks = np.split(bias, len(gates))
            getattr(layer, f"bias_{name}_l0").copy_(
                torch.from_numpy(np.concatenate([blocks[n] for n in order]))
            )
        x = batch(rng)
        expected = layer(torch.from_numpy(x))[0].numpy()
    config = first(units=UNITS, return_sequences=True)
    found = run(save(tmp_path / "gpu.h5", "2.2.4", [(f"CuDNN{kind}", config, w)]), x)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("version", "zeroed"), [("2.3.1", False), ("2.2.4-tf", True), ("2.11.0", True)])
def test_masked_steps_of_bidirectional(version: str, zeroed: bool, tmp_path: Path) -> None:
    """Keras before TensorFlow repeats the last output at masked steps of both directions; since then it is zero."""
    rng = np.random.default_rng(3)
    w = {
        f"{side}_{name}": draw(rng, *shape)
        for side in ("forward", "backward")
        for name, shape in (
            ("kernel", (FEATURES, UNITS)),
            ("recurrent_kernel", (UNITS, UNITS)),
            ("bias", (UNITS,)),
        )
    }
    inner = {"class_name": "SimpleRNN", "config": {"name": "r", "units": UNITS, "return_sequences": True}}
    layers = [
        ("Masking", first(mask_value=0.0), {}),
        ("Bidirectional", {"name": "both", "layer": inner, "merge_mode": "concat"}, w),
    ]
    x = batch(rng)
    mask = np.array([[1, 0, 1, 1, 0, 0], [0, 0, 1, 0, 1, 1]], bool)
    x[~mask] = 0
    expected = np.zeros((2, STEPS, 2 * UNITS), np.float32)
    for row in range(2):
        for side, steps, place in (
            ("forward", range(STEPS), slice(0, UNITS)),
            ("backward", reversed(range(STEPS)), slice(UNITS, None)),
        ):
            h = np.zeros(UNITS, np.float32)
            for t in steps:
                if mask[row, t]:
                    products = x[row, t] @ w[f"{side}_kernel"] + h @ w[f"{side}_recurrent_kernel"]
                    h = np.tanh(products + w[f"{side}_bias"])
                if mask[row, t] or not zeroed:
                    expected[row, t, place] = h
    np.testing.assert_allclose(run(save(tmp_path / "m.h5", version, layers), x), expected, atol=1e-6)


def test_stateful_layer_goes_on_from_the_state_it_gave(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    w = {"kernel": draw(rng, FEATURES, 16), "recurrent_kernel": draw(rng, UNITS, 16), "bias": draw(rng, 16)}
    config = first(units=UNITS, recurrent_activation="sigmoid", return_sequences=True)
    whole = read(save(tmp_path / "a.h5", "2.11.0", [("LSTM", config, w)]))
    config = {**config, "stateful": True, "batch_input_shape": [2, None, FEATURES]}
    carried = read(save(tmp_path / "b.h5", "2.11.0", [("LSTM", config, w)]))
    x = batch(rng)
    states: dict[str, np.ndarray] = {}
    pieces = []
    for start in (0, 2):
        found = graph.run(carried, {"first_input": x[:, start : start + 2 + start], **states})
        states = {state: found[after] for state, after in carried.facts["states"].items()}
        pieces.append(found["first"])
    assert set(states) == {"first.h", "first.c"}
    expected = graph.run(whole, {"first_input": x})["first"]
    np.testing.assert_allclose(np.concatenate(pieces, 1), expected, atol=1e-6)


def test_functional_model_of_keras_2(tmp_path: Path) -> None:
    """Nodes are lists of [layer, node, tensor, arguments]; the model gives what the same layers in a row give."""
    rng = np.random.default_rng(5)
    kernels = {
        "kernel": draw(rng, FEATURES, 16),
        "recurrent_kernel": draw(rng, UNITS, 16),
        "bias": draw(rng, 16),
    }
    embedding = {"name": "table", "input_dim": 7, "output_dim": FEATURES, "mask_zero": True}
    layers = [
        ("InputLayer", {"name": "symbols", "batch_input_shape": [None, None]}, {}),
        ("Embedding", embedding, {"embeddings": draw(rng, 7, FEATURES)}),
        ("LSTM", {"name": "lstm", "units": UNITS, "recurrent_activation": "hard_sigmoid"}, kernels),
        ("Dense", {"name": "last", "units": 2}, {"kernel": draw(rng, UNITS, 2), "bias": draw(rng, 2)}),
    ]
    x = rng.integers(7, size=(4, STEPS))
    expected = run(save(tmp_path / "row.h5", "2.11.0", layers), x)
    path = save(tmp_path / "functional.h5", "2.11.0", layers)
    nodes: list[Any] = [
        [],
        [[["symbols", 0, 0, {}]]],
        [[["table", 0, 0, {"training": False}]]],
        [[["lstm", 0, 0, {}]]],
    ]
    specs = [
        {"class_name": kind, "name": config["name"], "config": config, "inbound_nodes": inbound}
        for (kind, config, _), inbound in zip(layers, nodes, strict=True)
    ]
    ends = {"input_layers": [["symbols", 0, 0]], "output_layers": [["last", 0, 0]]}
    with h5py.File(path, "r+") as file:
        model = {"class_name": "Functional", "config": {"layers": specs[::-1], **ends}}
        file.attrs["model_config"] = json.dumps(model)
    np.testing.assert_array_equal(run(path, x), expected)
    with h5py.File(path, "r+") as file:
        specs[2]["inbound_nodes"] = [[["table", 0, 0, {}], ["symbols", 0, 0, {}]]]  # an initial state
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Functional", "config": {"layers": specs, **ends}}
        )
    with pytest.raises(InputError, match=r"layer 'lstm' \(LSTM\): it reads 2 tensors"):
        read(path)


def test_archive_of_keras_2(tmp_path: Path) -> None:
    """Keras 2.12 and 2.13 name the place of the layers otherwise."""
    kernel = draw(np.random.default_rng(6), FEATURES, 2)
    layer = {"class_name": "Dense", "config": first(units=2, use_bias=False, activation="hard_sigmoid")}
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["_layer_checkpoint_dependencies/dense/vars/0"] = kernel
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("metadata.json", '{"keras_version": "2.12.0"}')
        file.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}}))
        file.writestr("model.weights.h5", content.getvalue())
    x = batch(np.random.default_rng(7))
    np.testing.assert_allclose(run(tmp_path / "m.keras", x), hard_sigmoid(x @ kernel), atol=1e-6)


def test_unknown_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"written by Keras '4\.0'"):
        read(save(tmp_path / "new.h5", "4.0", [("Dropout", first(p=0.5), {})]))

"""What Keras says, in a process of its own: `python -m tests.interop.keras_oracle make|load FOLDER`.

make: builds and saves every model of `keras_models` with random weights, and keeps what each gives for its inputs.
load: loads every `*.out.keras` in the folder and keeps what each gives.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

from tests.interop import keras_models
from tests.interop.keras_models import Model


def layer(spec: tuple[str, dict]) -> keras.layers.Layer:
    name, options = spec
    inner = {"layer": layer(options["layer"])} if "layer" in options else {}
    return getattr(keras.layers, name)(**{**options, **inner})


def build(model: Model) -> keras.Model:
    symbols = len(model["shape"]) == 1
    x = keras.Input(model["shape"], dtype="int32" if symbols else model["dtype"])
    layers = [layer(spec) for spec in model["layers"]]
    if not model["functional"]:
        return keras.Sequential([x, *layers])
    y = x
    more: list = []
    for one in layers:
        y = one(y)
        if isinstance(y, (list, tuple)) and one is not layers[-1]:
            y, *more = y
    ends = [*y] if isinstance(y, (list, tuple)) else [y]
    return keras.Model(x, [*ends, *more] if len(ends) + len(more) > 1 else ends[0])


def randomise(model: keras.Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(size=weight.shape) * 0.4
        weight.assign(np.abs(values) + 0.3 if "variance" in weight.path else values)


def outputs(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    found = model(x, training=False)
    found = keras.tree.flatten(found)
    return {str(n): keras.ops.convert_to_numpy(y) for n, y in enumerate(found)}


def make(folder: Path) -> None:
    for number, spec in enumerate(keras_models.models()):
        keras.config.set_dtype_policy(spec["dtype"])
        keras.config.set_floatx(spec["dtype"])
        model = build(spec)
        randomise(model, number)
        path = folder / f"{spec['name']}.{spec['format']}"
        if spec["format"] == "weights.h5":
            model.save_weights(path)
            path.with_suffix(".json").write_text(model.to_json())
        else:
            model.save(path)
        np.savez(folder / f"{spec['name']}.npz", **outputs(model, keras_models.inputs(spec, number)))


def load(folder: Path) -> None:
    for number, spec in enumerate(keras_models.models()):
        path = folder / f"{spec['name']}.out.keras"
        if path.exists():
            model = keras.models.load_model(path)
            found = outputs(model, keras_models.inputs(spec, number))
            np.savez(folder / f"{spec['name']}.out.npz", **found)


if __name__ == "__main__":
    keras.utils.disable_interactive_logging()
    {"make": make, "load": load}[sys.argv[1]](Path(sys.argv[2]))

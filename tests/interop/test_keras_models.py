"""Every model of `keras_models`, in and out: the numbers are those of Keras itself, on files it wrote and loads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from elman import graph
from elman.interop.keras import archive, read, write

from . import keras_models
from .keras_running import keras, needs_keras

pytestmark = needs_keras
MODELS = list(keras_models.models())
NUMBERS = pytest.mark.parametrize("number", range(len(MODELS)), ids=[model["name"] for model in MODELS])


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-6 * max(1, np.abs(expected).max())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What Keras wrote; HDF5 files are read in this process, for they are many and known."""
    place = tmp_path_factory.mktemp("keras")
    keras("-m", "tests.interop.keras_oracle", "make", str(place))
    hdf5 = pytest.importorskip("elman.interop.keras.hdf5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "contents", lambda path, _: hdf5.contents(str(path)))
        yield place


@pytest.fixture(scope="module")
def returned(folder: Path) -> Path:
    """What Keras makes of the files elman wrote; they need not outlive a loss of power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        _write_all(folder)
    keras("-m", "tests.interop.keras_oracle", "load", str(folder))
    return folder


def _write_all(folder: Path) -> None:
    for model in MODELS:
        write(_read(folder, model), folder / f"{model['name']}.out.keras", with_keras=False)


def _read(folder: Path, model: keras_models.Model) -> graph.Graph:
    config = folder / f"{model['name']}.weights.json" if model["format"] == "weights.h5" else None
    return read(folder / f"{model['name']}.{model['format']}", config)


def test_there_are_many() -> None:
    kinds = {str(model["layers"]) + model["format"] + str(model["functional"]) for model in MODELS}
    assert len(kinds) >= 200


@NUMBERS
def test_read_model_gives_what_keras_gives(number: int, folder: Path) -> None:
    model = MODELS[number]
    carried = _read(folder, model)
    (source,) = carried.inputs
    found = graph.run(carried, {source.name: keras_models.inputs(model, number)})
    with np.load(folder / f"{model['name']}.npz") as expected:
        assert len(found) == len(expected.files)
        for output, name in zip(found.values(), sorted(expected.files, key=int), strict=True):
            assert output.dtype == model["dtype"]
            assert_equal(output, expected[name])


@NUMBERS
def test_keras_gives_what_written_model_gives(number: int, returned: Path) -> None:
    name = MODELS[number]["name"]
    with np.load(returned / f"{name}.npz") as expected, np.load(returned / f"{name}.out.npz") as found:
        assert sorted(found.files) == sorted(expected.files)
        for output in expected.files:
            assert_equal(found[output], expected[output])

"""Damaged and hostile files of Keras: the house error, soon and in little memory, and nothing in them ever runs."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import operator
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import InputError
from elman.interop.keras import read

h5py = pytest.importorskip("h5py")

LSTM = {"name": "lstm", "units": 3, "return_sequences": True, "batch_input_shape": [None, None, 2]}
SHAPES = ((2, 12), (3, 12), (12,))
RUN = """
import resource, sys, time
from elman.errors import InputError
from elman.interop.keras import read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.monotonic()
try:
    read(sys.argv[1])
except InputError as error:
    print(f"InputError: {error}")
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, children), time.monotonic() - start)
"""


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


def lstm(**options: Any) -> dict[str, Any]:
    return {"class_name": "LSTM", "config": {**LSTM, **options}}


def weights(place: str = "layers/lstm/cell/vars", shapes: tuple[tuple[int, ...], ...] = SHAPES) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for number, shape in enumerate(shapes):
            file[f"{place}/{number}"] = np.random.default_rng(number).normal(size=shape).astype(np.float32)
    return content.getvalue()


def archive(path: Path, model: Any, arrays: bytes | None = None, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
        file.writestr("config.json", json.dumps(model))
        file.writestr("model.weights.h5", weights() if arrays is None else arrays)
        for name, content in more.items():
            file.writestr(name, content)
    return path


def good(folder: Path) -> Path:
    return archive(folder / "good.keras", sequential(lstm()))


def truncated(folder: Path) -> Path:
    path = good(folder)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def truncated_hdf5(folder: Path) -> Path:
    return archive(folder / "m.keras", sequential(lstm()), weights()[:700])


def wrong_magic(folder: Path) -> Path:
    (folder / "m.keras").write_bytes(b"GIF89a" + bytes(100))
    return folder / "m.keras"


def wrong_shape(folder: Path) -> Path:
    return archive(folder / "m.keras", sequential(lstm()), weights(shapes=((2, 12), (3, 11), (12,))))


def missing_array(folder: Path) -> Path:
    return archive(folder / "m.keras", sequential(lstm()), weights(shapes=SHAPES[:2]))


def extra_array(folder: Path) -> Path:
    return archive(folder / "m.keras", sequential(lstm()), weights(shapes=(*SHAPES, (3,))))


def huge_units(folder: Path) -> Path:
    return archive(folder / "m.keras", sequential(lstm(units=10**9)))


def payload(folder: Path) -> Any:
    class Writes:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return (exec, (f"open({str(folder / 'ran')!r}, 'w')",))

    return Writes()


def foreign_pickle(folder: Path) -> Path:
    (folder / "m.h5").write_bytes(pickle.dumps(payload(folder)))
    return folder / "m.h5"


def pickled_array(folder: Path) -> Path:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        data = np.frombuffer(pickle.dumps(payload(folder)), np.uint8)
        file.create_dataset("layers/lstm/cell/vars/0", (1,), h5py.vlen_dtype(np.uint8))[0] = data
    return archive(folder / "m.keras", sequential(lstm()), content.getvalue())


def lambda_layer(folder: Path) -> Path:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAAAAAAAAEAAAA=", "defaults": None}}
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l", "function": code}}
    return archive(folder / "m.keras", sequential(lstm(), layer))


def custom_object(folder: Path) -> Path:
    layer = {
        "module": "builtins",
        "class_name": "Mine",
        "registered_name": "pack>Mine",
        "config": {"name": "mine"},
    }
    return archive(folder / "m.keras", sequential(lstm(), layer))


def module_of_python(folder: Path) -> Path:
    layer = {"module": "os", "class_name": "system", "config": {"name": "touch"}}
    return archive(folder / "m.keras", sequential(lstm(), layer))


def custom_activation(folder: Path) -> Path:
    function = {"class_name": "function", "config": "tanh", "module": "evil", "registered_name": "tanh"}
    return archive(folder / "m.keras", sequential(lstm(activation=function)))


def zip_bomb(folder: Path) -> Path:
    return archive(folder / "m.keras", sequential(lstm()), bytes(1 << 26))


def json_bomb(folder: Path) -> Path:
    return archive(folder / "m.keras", sequential(lstm(filler=" " * (1 << 26))))


def deep_json(folder: Path) -> Path:
    path = good(folder)
    with zipfile.ZipFile(folder / "m.keras", "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", "[" * 100_000)
        file.writestr("model.weights.h5", weights())
    path.unlink()
    return folder / "m.keras"


def declared_shape(folder: Path) -> Path:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("layers/lstm/cell/vars/0", (10**5, 10**4), "f4")
    return archive(folder / "m.keras", sequential(lstm()), content.getvalue())


def packed_shape(folder: Path) -> Path:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        options: dict[str, Any] = {"chunks": (1000, 10_000), "compression": "gzip"}
        array = file.create_dataset("layers/lstm/cell/vars/0", (20_000, 10_000), "f4", **options)
        array[:1000] = np.zeros((1000, 10_000), np.float32)
    return archive(folder / "m.keras", sequential(lstm()), content.getvalue())


def other_file(folder: Path) -> Path:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")
    return archive(folder / "m.keras", sequential(lstm()), content.getvalue())


def bytes_of_other_file(folder: Path) -> Path:
    (folder / "secret").write_bytes(bytes(96))
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset(
            "layers/lstm/cell/vars/0", (2, 12), "f4", external=[(str(folder / "secret"), 0, 96)]
        )
    return archive(folder / "m.keras", sequential(lstm()), content.getvalue())


def group_in_itself(folder: Path) -> Path:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        group = file.create_group("layers")
        group["layers"] = group
    return archive(folder / "m.keras", sequential(lstm()), content.getvalue())


def traversal(folder: Path) -> Path:
    return archive(folder / "m.keras", sequential(lstm()), **{"../ran": b"x"})


def twice(folder: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate"):
        return archive(folder / "m.keras", sequential(lstm()), **{"config.json": b"{}"})


def functional(*layers: dict[str, Any], ends: Any = None) -> dict[str, Any]:
    config = {"layers": list(layers), "input_layers": [["x", 0, 0]], "output_layers": ends or [["a", 0, 0]]}
    return {"class_name": "Functional", "config": config}


def node(name: str, reads: list[str], kind: str = "Dropout", **options: Any) -> dict[str, Any]:
    histories = [{"shape": [None, 2], "keras_history": [one, 0, 0]} for one in reads]
    tensors = [{"class_name": "__keras_tensor__", "config": history} for history in histories]
    nodes = [{"args": tensors, "kwargs": {}}] if reads else []
    return {"class_name": kind, "config": {"name": name, **options}, "name": name, "inbound_nodes": nodes}


X = node("x", [], "InputLayer", batch_shape=[None, 2])


def cycle(folder: Path) -> Path:
    return archive(folder / "m.keras", functional(X, node("a", ["b"]), node("b", ["a"])))


def two_inputs(folder: Path) -> Path:
    return archive(folder / "m.keras", functional(X, node("a", ["x", "x"], "Concatenate")))


def nowhere(folder: Path) -> Path:
    return archive(folder / "m.keras", functional(X, node("a", ["y"])))


def no_output(folder: Path) -> Path:
    return archive(folder / "m.keras", functional(X, node("a", ["x"]), ends=[["a", 0, 7]]))


def weights_alone(folder: Path) -> Path:
    (folder / "m.weights.h5").write_bytes(weights())
    return folder / "m.weights.h5"


BAD: list[tuple[Callable[[Path], Path], str]] = [
    (truncated, "damaged archive"),
    (truncated_hdf5, "not readable as HDF5"),
    (wrong_magic, "neither a .keras archive nor an HDF5 file"),
    (wrong_shape, r"is float32 of shape \(3, 11\), expected floats \(3, 12\)"),
    (missing_array, "is missing in the file"),
    (extra_array, "more than 3 arrays"),
    (huge_units, "expected floats"),
    (foreign_pickle, "neither a .keras archive nor an HDF5 file"),
    (pickled_array, "expected numbers"),
    (lambda_layer, r"layer 'l' \(Lambda\): not a layer elman carries"),
    (custom_object, "pack>Mine is a custom object"),
    (module_of_python, r"os\.system is a custom object"),
    (custom_activation, "is a custom object"),
    (zip_bomb, "model.weights.h5 would be 67108864 bytes"),
    (json_bomb, "config.json would be"),
    (deep_json, "not JSON"),
    (declared_shape, "but the file does not hold as many"),
    (packed_shape, "but the file does not hold as many"),
    (other_file, "is a link to somewhere else"),
    (bytes_of_other_file, "lies in another file"),
    (group_in_itself, "nested deeper"),
    (traversal, "leads out of the archive"),
    (twice, "holds 2 members config.json"),
    (cycle, "read each other in a circle"),
    (two_inputs, "Concatenate"),
    (nowhere, "which is not there"),
    (no_output, "is written by no layer"),
    (weights_alone, "give config="),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[make.__name__ for make, _ in BAD])
def test_bad_file_is_refused(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(make(tmp_path))
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path.parent / "ran").exists()


@pytest.mark.parametrize(
    "make", [zip_bomb, json_bomb, declared_shape, packed_shape, huge_units, group_in_itself]
)
def test_bad_file_costs_little(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """Memory beyond what was loaded before, in kilobytes; the time is bounded by the memory there is to fill."""
    done = subprocess.run([sys.executable, "-c", RUN, str(make(tmp_path))], capture_output=True, text=True)
    refused, measured = done.stdout.splitlines()
    assert refused.startswith("InputError: ")
    assert float(measured.split()[0]) < 200 << 10


def test_good_file_is_read(tmp_path: Path) -> None:
    """Else the others would be refused for a fault they share."""
    assert [node.op for node in read(good(tmp_path)).nodes] == ["Recurrent", "Identity"]


def test_any_byte_may_be_wrong(tmp_path: Path) -> None:
    """A damaged file is read, for weights are any numbers, or refused; nothing else."""
    whole = good(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(12):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=1 + number % 3):
            damaged[place] = rng.integers(256)
        path = tmp_path / f"{number}.keras"
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            read(path)


JUNK: tuple[Any, ...] = (None, True, -1, "x", [], {}, [[]], {"class_name": {}}, ["x", 0, 0])


def places(part: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of an architecture stands."""
    yield here
    names = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    for name in names:
        yield from places(part[name], (*here, name))


def test_any_value_of_the_architecture_may_be_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hdf5 = pytest.importorskip("elman.interop.keras.hdf5")
    monkeypatch.setattr("elman.interop.keras.archive.contents", lambda path, _: hdf5.contents(str(path)))
    dense = {"class_name": "Dense", "config": {"units": 2}}
    both = {"name": "b", "batch_input_shape": [None, None, 2], "merge_mode": "sum", "layer": lstm()}
    old = {**node("a", [], "Dense", units=2), "inbound_nodes": [[["x", 0, 0, {}]]]}
    wrapped = {"class_name": "TimeDistributed", "config": {"name": "t", "layer": dense}}
    arrays = weights()
    refused = 0
    for model in (
        sequential({"class_name": "Bidirectional", "config": both}, wrapped),
        functional(X, node("a", ["x"], "Dense", units=2)),
        functional(X, old),
    ):
        for *path, name in (place for place in places(model) if place):
            for junk in JUNK:
                wrong = copy.deepcopy(model)
                functools.reduce(operator.getitem, path, wrong)[name] = junk
                with contextlib.suppress(InputError):
                    read(archive(tmp_path / "m.keras", wrong, arrays))
                    continue
                refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_major": True}, "time_major"),
        ({"activation": "gelu"}, "activation 'gelu'"),
        ({"recurrent_activation": "softmax"}, "softmax"),
        ({"units": 0}, "units is 0"),
        ({"novelty": 2}, "option novelty=2"),
        ({"dtype": "int8_from_float32"}, "dtype 'int8_from_float32'"),
        ({"return_sequences": "yes"}, "return_sequences is 'yes'"),
    ],
)
def test_option_is_refused_by_name(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(archive(tmp_path / "m.keras", sequential(lstm(**options))))

"""Files that are damaged, hostile or foreign: the house error, without more memory than there is reason for."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from elman.errors import InputError
from elman.interop.onnx import read

FLOAT = TensorProto.FLOAT
_TYPED = TensorProto(name="w", dims=[10**9], data_type=FLOAT, float_data=[1.0])
_EMPTY = helper.make_graph([], "empty", [], [])


def _model(nodes: list[onnx.NodeProto], opset: int = 17, **weights: np.ndarray) -> onnx.ModelProto:
    """x (batch, 2) to y (batch, 2) through some nodes."""
    x, y = (helper.make_tensor_value_info(name, FLOAT, ("batch", 2)) for name in "xy")
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "bad", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _add(weight: TensorProto | None = None) -> onnx.ModelProto:
    model = _model([helper.make_node("Add", ["x", "w"], ["y"])], w=np.ones(2, np.float32))
    if weight is not None:
        model.graph.initializer[0].CopyFrom(weight)
    return model


def _tensor(shape: tuple[int, ...], data: bytes = b"\0" * 8, kind: int = FLOAT) -> TensorProto:
    return TensorProto(name="w", dims=shape, data_type=kind, raw_data=data)


def _external(**entries: str) -> onnx.ModelProto:
    tensor = TensorProto(name="w", dims=[2], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return _add(tensor)


def _hole() -> onnx.ModelProto:
    model = _external(location="hole.bin")
    model.graph.initializer[0].dims[0] = 10**9
    return model


def _shared(times: int) -> onnx.ModelProto:
    """Tensors that all lie in the same 8 bytes, under other names of one file."""
    model = _external(location="whole.bin")
    for number in range(times):
        more = model.graph.initializer.add()
        more.CopyFrom(model.graph.initializer[0])
        more.name = f"w{number}"
        more.external_data[0].value = "./" * number + "whole.bin"
    return model


def _outside_constant() -> onnx.ModelProto:
    tensor = _external(location="whole.bin").graph.initializer[0]
    return _model([helper.make_node("Constant", [], ["c"], value=tensor), _relu("x", "y")])


def _nested(depth: int) -> bytes:
    """A model whose node holds a graph, whose node holds a graph, and so on; written by hand, since onnx would not."""
    node = helper.make_node("If", ["x"], ["y"]).SerializeToString()
    for _ in range(depth):
        for field in (1, 6, 5):  # graph.node, attribute.g, node.attribute
            node = bytes([field << 3 | 2]) + _varint(len(node)) + node
        node += b"\x22\x02If"  # node.op_type
    model = _model([])
    graph = model.graph.SerializeToString() + bytes([1 << 3 | 2]) + _varint(len(node)) + node
    return model.SerializeToString() + bytes([7 << 3 | 2]) + _varint(len(graph)) + graph


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])


def _foreign() -> onnx.ModelProto:
    attention = helper.make_node("Attention", ["a"], ["y"], domain="com.microsoft")
    return _model([helper.make_node("Loop", ["x"], ["a"]), attention])


def _function() -> onnx.ModelProto:
    model = _model([helper.make_node("Mine", ["x"], ["y"], domain="mine")])
    relu = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(
        helper.make_function("mine", "Mine", ["a"], ["b"], [relu], [helper.make_opsetid("", 17)])
    )
    return model


def _sparse() -> onnx.ModelProto:
    model = _add()
    values, indices = (
        numpy_helper.from_array(np.ones(1, np.float32), "s"),
        numpy_helper.from_array(np.zeros(1, int)),
    )
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10**9]))
    return model


def _lstm(**changes: Any) -> onnx.ModelProto:
    """LSTM over x (time, batch, 2) with one thing changed."""
    weights = {
        "W": np.ones((1, 12, 2)),
        "R": np.ones((1, 12, 3)),
        "B": np.ones((1, 24)),
        "P": np.ones((1, 9)),
    }
    weights |= {name: changes.pop(name) for name in list(changes) if name in weights}
    names = changes.pop("inputs", ["x", "W", "R", "B", "", "", "", "P"])
    node = helper.make_node("LSTM", names, ["y"], **{"hidden_size": 3, **changes})
    model = _model([node], **{name: array.astype(np.float32) for name, array in weights.items()})
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, ("time", "batch", 2)))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, ("time", 1, "batch", 3)))
    return model


def _gru(**attributes: Any) -> onnx.ModelProto:
    node = helper.make_node("GRU", ["x", "W", "R"], ["y"], **attributes)
    return _model([node], W=np.ones((1, 9, 2), np.float32), R=np.ones((1, 9, 3), np.float32))


def _no_axes() -> onnx.ModelProto:
    model = _add()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def _relu(*names: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Relu", list(names[:-1]), [names[-1]], **attributes)


BAD: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str]] = {
    "empty": (lambda: b"", "not an ONNX model"),
    "wrong magic": (
        lambda: b"PK\x03\x04" + b"\x07" * 100,
        "cannot be read as an ONNX model|not an ONNX model",
    ),
    "truncated": (lambda: _add().SerializeToString()[:-20], "cannot be read as an ONNX model"),
    "billion declared": (lambda: _add(_tensor((10**9,))), "needs 4000000000; it is damaged"),
    "billion declared, typed": (lambda: _add(_TYPED), "1 values, but its shape"),
    "overflowing shape": (lambda: _add(_tensor((2**62, 4))), "of shape"),
    "empty but huge": (lambda: _add(_tensor((0, 2**62), b"")), "of shape"),
    "negative shape": (lambda: _add(_tensor((-1, 2))), "of shape"),
    "hundred axes": (lambda: _add(_tensor((1,) * 100, b"\0" * 4)), "of shape"),
    "too long": (lambda: _add(_tensor((1,))), "8 bytes, but its shape"),
    "float16": (lambda: _add(_tensor((2,), b"\0" * 4, TensorProto.FLOAT16)), "FLOAT16"),
    "strings": (lambda: _add(_tensor((1,), kind=TensorProto.STRING)), "STRING"),
    "no such type": (lambda: _add(_tensor((2,), kind=99)), "of type 99"),
    "path traversal": (lambda: _external(location="../secret.bin"), "outside the model's folder"),
    "absolute path": (lambda: _external(location="/etc/passwd"), "outside the model's folder"),
    "link": (lambda: _external(location="link.bin"), "outside the model's folder"),
    "no location": (lambda: _external(), "not beside the model"),
    "missing data": (lambda: _external(location="missing.bin"), "not beside the model"),
    "no name of a file": (lambda: _external(location="a\0b"), "no name of a file"),
    "name too long": (lambda: _external(location="a" * 5000), "no name of a file"),
    "the same bytes over and over": (lambda: _shared(9), "more than 4 times the files"),
    "constant in another file": (_outside_constant, "keeps a constant in another file"),
    "short data": (lambda: _external(location="short.bin"), "ends before"),
    "offset behind the end": (lambda: _external(location="short.bin", offset="999999"), "ends before"),
    "negative offset": (lambda: _external(location="short.bin", offset="-4"), "whole numbers"),
    "huge offset": (lambda: _external(location="short.bin", offset="9" * 30), "whole numbers"),
    "billion in a file with nothing in it": (_hole, "at most 2147483647 are read"),
    "wrong length": (lambda: _external(location="short.bin", length="4"), "needs 8"),
    "cycle": (
        lambda: _model([_relu("b", "a"), _relu("a", "b"), _relu("b", "y")]),
        "nothing before it writes",
    ),
    "itself": (lambda: _model([_relu("y", "y")]), "nothing before it writes"),
    "dangling": (lambda: _model([_relu("nobody", "y")]), "nothing before it writes"),
    "twice": (lambda: _model([_relu("x", "y"), _relu("x", "y")]), "written twice"),
    "over an input": (lambda: _model([_relu("x", "x"), _relu("x", "y")]), "written twice"),
    "output of nothing": (lambda: _model([_relu("x", "z")]), "no operator writes the output 'y'"),
    "nested": (lambda: _nested(30), "cannot carry If"),
    "deeply nested": (lambda: _nested(400), "cannot be read as an ONNX model"),
    "unknown, all at once": (_foreign, "cannot carry Loop, com.microsoft.Attention"),
    "function": (_function, "function Mine, mine.Mine"),
    "sparse": (_sparse, "sparse tensor s"),
    "old operators": (lambda: _model([_relu("x", "y")], opset=6), r"operator sets \[6\]"),
    "operators of the future": (lambda: _model([_relu("x", "y")], opset=99), r"operator sets \[99\]"),
    "no axes": (_no_axes, "no tensor with axes"),
    "unknown attribute": (lambda: _model([_relu("x", "y", axis=3)]), "no attribute 'axis' that is a INT"),
    "too many inputs": (lambda: _model([_relu("x", "x", "y")]), "none with such inputs"),
    "attribute that is a graph": (lambda: _model([_relu("x", "y", g=_EMPTY)]), "that is a GRAPH"),
    "R of another size": (lambda: _lstm(R=np.ones((1, 12, 4))), "W is float32"),
    "W of one axis": (lambda: _lstm(W=np.ones(12)), "three axes"),
    "B too short": (lambda: _lstm(B=np.ones((1, 12))), "B is float32"),
    "P too short": (lambda: _lstm(P=np.ones((1, 6))), "P is float32"),
    "one direction short": (lambda: _lstm(direction="bidirectional"), "W is float32"),
    "hidden_size": (lambda: _lstm(hidden_size=4), "hidden_size 4"),
    "direction": (lambda: _lstm(direction="sideways"), "unknown direction"),
    "activation": (lambda: _lstm(activations=["Sigmoid", "Tanh", "Wiggle"]), "unknown activation"),
    "too few activations": (lambda: _lstm(activations=["Sigmoid"]), "1 activations; expected 3"),
    "alpha missing": (
        lambda: _lstm(activations=["Affine", "Tanh", "Tanh"]),
        "needs a number in activation_alpha",
    ),
    "alpha for nobody": (
        lambda: _lstm(activations=["Relu"] * 3, activation_alpha=[0.5]),
        "for 0 activations",
    ),
    "computed weights": (lambda: _lstm(inputs=["x", "W", "x"]), "only as a constant"),
    "weights left out": (lambda: _lstm(inputs=["x", "", "R"]), "W and R must be there"),
    "alpha of words": (lambda: _lstm(activation_alpha=["a"]), "'activation_alpha' that is a STRINGS"),
    "reset": (lambda: _gru(linear_before_reset=7), "linear_before_reset=7 is none"),
    "clip": (lambda: _lstm(clip=-1.0), "clip"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file too short for its tensor, and a secret outside."""
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 8)
    (inside / "short.bin").write_bytes(b"\0" * 4)
    (inside / "whole.bin").write_bytes(b"\0" * 8)
    with open(inside / "hole.bin", "wb") as file:
        file.truncate(4 * 10**9)
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    return inside


@pytest.mark.parametrize("name", BAD)
def test_bad_file(name: str, folder: Path) -> None:
    made, message = BAD[name]
    data = made()
    (folder / "bad.onnx").write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    with pytest.raises(InputError, match=message) as error:
        read(folder / "bad.onnx")
    assert "bad.onnx" in str(error.value)
    assert len(str(error.value)) < 1500


def test_tensors_may_share_a_file(folder: Path) -> None:
    (folder / "good.onnx").write_bytes(_shared(2).SerializeToString())
    assert read(folder / "good.onnx").weights["w"].tolist() == [0, 0]


def test_all_of_them_within_200_mb(folder: Path) -> None:
    files = []
    for number, (made, _) in enumerate(BAD.values()):
        data = made()
        files.append(folder / f"{number}.onnx")
        files[-1].write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    program = """
import resource, sys
from elman.errors import InputError
from elman.interop.onnx import read
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20,) * 2)
for path in sys.argv[1:]:
    try:
        read(path)
    except InputError:
        print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program, *files], capture_output=True, text=True, timeout=60)
    assert done.stdout.count("refused") == len(files), done.stderr


@pytest.mark.parametrize("seed", range(200))
def test_changed_bytes_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(_lstm(activations=["Sigmoid", "Tanh", "Elu"], clip=3.0).SerializeToString())
    for place in rng.integers(len(data), size=rng.integers(1, 6)):
        data[place] = rng.integers(256)
    (tmp_path / "changed.onnx").write_bytes(data)
    with contextlib.suppress(InputError):
        read(tmp_path / "changed.onnx")

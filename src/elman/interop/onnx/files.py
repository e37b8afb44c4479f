"""An ONNX file as a message: bounded before it is parsed, and its tensors as long as they say; nothing in it is run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from elman.errors import InputError
from elman.graph import Array

LARGEST = 2**31 - 1
"""Bytes of a file, or of a tensor in a file beside it, that are read; protobuf itself ends there."""

DTYPES: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("float32"),
    TensorProto.DOUBLE: np.dtype("float64"),
    TensorProto.INT32: np.dtype("int32"),
    TensorProto.INT64: np.dtype("int64"),
    TensorProto.BOOL: np.dtype("bool"),
}
SHARED = 4
"""Times that the bytes of files beside the model are read: tensors may share them."""
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT32: "int32_data",
    TensorProto.INT64: "int64_data",
    TensorProto.BOOL: "int32_data",
}


def load(path: Path) -> onnx.ModelProto:
    """Parse a file. Raises InputError if it is none, too large, truncated or not ONNX."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; expected an ONNX model.")
    size = path.stat().st_size
    if size > LARGEST:
        raise InputError(f"{path}: {size} bytes, more than the {LARGEST} an ONNX file can have.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise InputError(f"{path}: cannot be read as an ONNX model: {error}.") from error
    if not model.opset_import or not model.HasField("graph"):
        raise InputError(f"{path}: not an ONNX model: it names no operator set or holds no graph.")
    if not all(isinstance(name, str) for name in _names(model)):
        raise InputError(f"{path}: a name in it is not UTF-8; it is damaged.")
    return model


def _names(model: onnx.ModelProto) -> Iterator[str]:
    """Every text that is read; protobuf hands out bytes where they are no UTF-8."""
    for entry in (*model.opset_import, *model.graph.node):
        yield entry.domain
    for node in model.graph.node:
        yield from (node.op_type, *node.input, *node.output, *(a.name for a in node.attribute))
    for named in (*model.graph.initializer, *model.graph.input, *model.graph.output, *model.functions):
        yield named.name
    for value in (*model.graph.input, *model.graph.output):
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for tensor in (*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute)):
        yield tensor.name
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
    for fact in model.metadata_props:
        yield from (fact.key, fact.value)
    yield from (sparse.values.name for sparse in model.graph.sparse_initializer)
    yield model.producer_name


def dtype(element: int, where: str) -> np.dtype[Any]:
    """NumPy's dtype of an element type; InputError for those elman has no use for."""
    if element not in DTYPES:
        names = TensorProto.DataType.items()
        name = next((name for name, number in names if number == element), str(element))
        known = ", ".join(str(known) for known in DTYPES.values())
        raise InputError(f"{where} is of type {name}; expected one of {known}.")
    return DTYPES[element]


def weights(model: onnx.ModelProto, path: Path) -> dict[str, Array]:
    """The initializers by name. What lies beside the file may be shared, but is not read more than some times over."""
    found: dict[str, Array] = {}
    beside: dict[Path, int] = {}
    taken = 0
    for tensor in model.graph.initializer:
        found[tensor.name] = array(tensor, path.parent, str(path))
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        place = _beside(tensor, path.parent, str(path))
        beside[place] = place.stat().st_size
        taken += found[tensor.name].nbytes
        if taken > SHARED * sum(beside.values()):
            raise InputError(f"{path}: its tensors are more than {SHARED} times the files they are kept in.")
    return found


def array(tensor: TensorProto, folder: Path, where: str) -> Array:
    """The values of a tensor, as many as its shape says; from a file beside the model if they are kept there."""
    where = f"{where}: tensor {tensor.name!r}"
    kind, shape = dtype(tensor.data_type, where), tuple(tensor.dims)
    if tensor.HasField("segment") or len(shape) > 32 or not all(0 <= size <= LARGEST for size in shape):
        raise InputError(f"{where} is in segments or of shape {str(shape)[:60]}; expected whole tensors.")
    count = math.prod(shape)
    stored = kind.newbyteorder("<")
    if tensor.data_location == TensorProto.EXTERNAL:
        values = _external(tensor, folder, stored, count, where)
    elif tensor.HasField("raw_data"):
        _check_length(len(tensor.raw_data), count * kind.itemsize, "bytes", shape, where)
        values = np.frombuffer(tensor.raw_data, stored)
    else:
        field = getattr(tensor, _FIELDS[tensor.data_type])
        _check_length(len(field), count, "values", shape, where)
        values = np.asarray(field)
    return values.astype(kind).reshape(shape)


def _check_length(found: int, expected: int, unit: str, shape: tuple[int, ...], where: str) -> None:
    if found != expected:
        raise InputError(
            f"{where} has {found} {unit}, but its shape {shape} needs {expected}; it is damaged."
        )


def _external(tensor: TensorProto, folder: Path, stored: np.dtype[Any], count: int, where: str) -> Array:
    """Values from a file in the model's folder: nowhere else, and only if it is as long as it has to be."""
    path = _beside(tensor, folder, where)
    said = {entry.key: entry.value for entry in tensor.external_data}
    numbers = (said.get("offset", "0"), said.get("length", str(count * stored.itemsize)))
    if not all(number.isascii() and number.isdigit() and len(number) < 20 for number in numbers):
        raise InputError(f"{where}: offset and length of its data are whole numbers; got {numbers}.")
    offset, length = map(int, numbers)
    if length > LARGEST:
        raise InputError(f"{where} has {length} bytes; at most {LARGEST} are read.")
    _check_length(length, count * stored.itemsize, "bytes", tuple(tensor.dims), where)
    if path.stat().st_size < offset + length:
        raise InputError(f"{where}: {path.name!r} ends before the {length} bytes from {offset} on.")
    return np.fromfile(path, stored, count, offset=offset)


def _beside(tensor: TensorProto, folder: Path, where: str) -> Path:
    """The file in the model's folder that a tensor is kept in."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    try:
        path = (folder / location).resolve()
        inside, there = path.is_relative_to(folder.resolve()), path.is_file()
    except (OSError, ValueError) as error:
        raise InputError(f"{where} is kept in {location!r:.60}, which is no name of a file.") from error
    if not inside:
        raise InputError(f"{where} is kept in {location!r:.200}, outside the model's folder; it is not read.")
    if not there:
        raise InputError(f"{where} is kept in {path.name!r}, which is not beside the model.")
    return path

"""The arrays and the few texts of an HDF5 file of Keras, read in a process of its own.

Run as a program, with little memory and time: `python -I hdf5.py SOURCE DESTINATION` writes the arrays as safetensors,
the attributes among its metadata, or prints why not and ends with 2. The HDF5 library is large and written for files
one trusts: what a damaged file does to it happens there. Nothing in the file can name another one, and an array is read
only when the file is as large as its shape says.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from typing import Any

import h5py
import numpy as np
import safetensors.numpy

ATTRIBUTES = ("keras_version", "model_config", "layer_names", "weight_names")
"""Attributes that are kept; the names of layers and weights may be spread over `layer_names0`, `layer_names1`, ..."""
SKIPPED = ("optimizer", "optimizer_weights")
FILTERS = {1, 2, 3}  # of HDF5 itself: deflate, shuffle, fletcher32
RATIO = 16  # bytes of all arrays for each byte of the file
SPARE = 1 << 20
OBJECTS = 100_000
DEPTH = 32
MEMORY = 1 << 30  # bytes beyond the arrays themselves
SECONDS = 60


class Refused(Exception):  # noqa: N818
    """Why the file is not read."""


def contents(source: str) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """The arrays of a file by path, and the attributes of its groups by path ("" is the file)."""
    arrays: dict[str, np.ndarray] = {}
    attributes: dict[str, dict[str, Any]] = {}
    left = RATIO * os.path.getsize(source) + SPARE
    with h5py.File(source, "r") as file:
        waiting: list[tuple[str, Any]] = [("", file)]
        seen = 0
        while waiting:
            path, group = waiting.pop()
            attributes[path] = _texts(path, group)
            for name in group:
                seen += 1
                if seen > OBJECTS or path.count("/") > DEPTH:
                    raise Refused(f"more than {OBJECTS} objects, or groups nested deeper than {DEPTH}")
                if not path and name in SKIPPED:
                    continue
                inner = f"{path}/{name}".lstrip("/")
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise Refused(f"{inner!r} is a link to somewhere else")
                found = group[name]
                if isinstance(found, h5py.Dataset):
                    left -= _size(inner, found, left)
                    arrays[inner] = found[()] if found.shape == () else found[:]
                elif isinstance(found, h5py.Group):
                    waiting.append((inner, found))
    return arrays, attributes


def _size(path: str, data: h5py.Dataset, left: int) -> int:
    """The bytes an array takes. Raises Refused unless the file holds them."""
    if data.shape is None or data.dtype.kind not in "fiub":
        raise Refused(f"{path!r} is of type {data.dtype}; expected numbers")
    size: int = math.prod(data.shape) * data.dtype.itemsize
    properties = data.id.get_create_plist()
    if data.is_virtual or data.external:
        raise Refused(f"{path!r} lies in another file")
    filters = {properties.get_filter(n)[0] for n in range(properties.get_nfilters())}
    if not filters <= FILTERS:
        raise Refused(f"{path!r} is packed by filter {max(filters - FILTERS)}, which is not part of HDF5")
    if size > min(left, RATIO * data.id.get_storage_size() + SPARE * bool(filters)):
        raise Refused(f"{path!r} has shape {data.shape}, {size} bytes, but the file does not hold as many")
    return size


def _texts(path: str, group: h5py.Group) -> dict[str, Any]:
    """The attributes of a group that tell what its arrays are, names in a list, the others as text."""
    found: dict[str, Any] = {}
    for name in sorted(group.attrs, key=lambda name: (len(name), name)):
        kept = name.rstrip("0123456789")
        if kept not in ATTRIBUTES:
            continue
        value = group.attrs[name]
        if kept.endswith("_names"):
            found[kept] = found.get(kept, []) + [_text(path, item) for item in np.asarray(value).reshape(-1)]
        else:
            found[kept] = _text(path, value)
    return found


def _text(path: str, value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise Refused(f"an attribute of {path!r} is {type(value).__name__}; expected text")
    return value


def main(source: str, destination: str) -> int:
    size = os.path.getsize(source)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (2 * RATIO * size + MEMORY,) * 2)
    try:
        arrays, attributes = contents(source)
        arrays = {path: np.ascontiguousarray(array) for path, array in arrays.items()}
        safetensors.numpy.save_file(arrays, destination, {"attributes": json.dumps(attributes)})
    except Refused as error:
        print(error)
        return 2
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
        print(f"damaged ({str(error)[:200] or type(error).__name__})")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

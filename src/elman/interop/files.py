"""Any model file to a graph and back, by its suffix."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elman import graph as graphs
from elman.errors import InputError
from elman.graph import Graph

_SYSTEMS = {
    "onnx": (".onnx",),
    "keras": (".keras", ".h5", ".hdf5"),
    "torch": (".pt", ".pth", ".bin", ".ckpt", ".safetensors"),
}
"""Modules of this package: the suffixes that each knows."""
_READING = {"keras": ("config",), "torch": ("cell",)}
_WRITING = {"keras": ("with_keras",), "onnx": ("step", "vocabulary")}
"""Options of each."""

_BESIDE = (".json", ".vocabulary.json")
"""What `step` writes beside the model."""


def read(path: str | os.PathLike[str], **options: Any) -> Graph:
    """The model of a file: ONNX (.onnx), Keras 1, 2 and 3 (.keras, .h5), a state dict of torch (.pt, .pth, .bin, .ckpt,
    .safetensors), or of a folder: a run of elman, or a graph written by `write`.

    options: of the reader: `cell` (torch: see `interop.torch.read`), `config` (Keras: see `interop.keras.read`).

    Raises InputError: no such file, an unknown suffix, or what its reader raises.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path.is_dir():
        _check(path, "folder", options, ())
        return graphs.load(path)
    system = _system(path)
    _check(path, f"{system} file that is read", options, _READING.get(system, ()))
    return _module(system).read(path, **options)  # type: ignore[no-any-return]


def write(graph: Graph, path: str | os.PathLike[str], **options: Any) -> None:
    """Write a graph as .onnx, .keras, a state dict of torch (.pt, .safetensors) or a folder (a name without suffix).

    Nothing is written over, and nothing is left where the format cannot carry the model.

    options: of the writer: `step`, `vocabulary` (ONNX: see `interop.onnx.write`), `with_keras` (Keras: see
        `interop.keras.write`).

    Raises InputError: it is there already, an unknown suffix, or what its writer raises.
    """
    path = Path(path)
    beside = [path.with_name(f"{path.name}{end}") for end in _BESIDE] if options.get("step") else []
    if taken := [place for place in (path, *beside) if place.exists()]:
        raise InputError(f"{taken[0]}: is there already; choose another name or remove it.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}.")
    if not path.suffix:
        _check(path, "folder", options, ())
        graphs.save(graph, path)
        return
    system = _system(path)
    _check(path, f"{system} file that is written", options, _WRITING.get(system, ()))
    _module(system).write(graph, path, **options)


def _system(path: Path) -> str:
    for name, suffixes in _SYSTEMS.items():
        if path.suffix.lower() in suffixes:
            return name
    known = ", ".join(suffix for suffixes in _SYSTEMS.values() for suffix in suffixes)
    raise InputError(f"{path}: no format is known by the suffix {path.suffix!r}; known: {known}.")


def _check(path: Path, what: str, options: Iterable[str], known: Iterable[str]) -> None:
    if strange := sorted(set(options) - set(known)):
        raise InputError(f"{path}: {strange[0]} is no option of a {what}; leave it out.")


def _module(system: str) -> Any:
    return importlib.import_module(f"elman.interop.{system}")

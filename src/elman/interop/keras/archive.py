"""A file of Keras as data: what it says the model is, and its arrays, bounded before they are read."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from elman.errors import InputError
from elman.graph import Array
from elman.runfolder.check import json_of

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
JSON_BYTES = 4 << 20
"""Of an architecture, some thousand layers; what JSON becomes in memory is forty times larger."""
RATIO = 16
"""Bytes a member may have for each byte of the archive; Keras does not compress at all."""
SPARE = 1 << 20
PROGRAM = Path(__file__).with_name("hdf5.py")
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"


@dataclass(frozen=True)
class Stored:
    """What a file holds.

    where: the file, for messages. version: of the Keras that wrote it ("3.5.0"), which decides what names mean.
    model: its architecture, {"class_name": ..., "config": ...}.
    arrays: by path in the HDF5 file. attributes: of its groups, by path: the order of layers and weights in old files.
    """

    where: str
    version: str
    model: dict[str, Any]
    arrays: Mapping[str, Array]
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """1, 2 or 3."""
        return int(self.version.partition(".")[0])


def load(path: Path, config: str | os.PathLike[str] | Mapping[str, Any] | None = None) -> Stored:
    """Read a `.keras`, `.h5` or `.weights.h5` file; what it is follows from its first bytes, not its name.

    config: the architecture where the file has only weights: the JSON of `model.to_json()`, as a dict, or a file of it.
    Raises InputError for what is damaged, too large for its size, or no model.
    """
    if path.is_dir():
        raise InputError(
            f"{path}: a folder (a SavedModel?), whose program elman does not run; save the model as .keras or .h5."
        )
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; expected a Keras model, .keras or .h5.")
    with path.open("rb") as file:
        magic = file.read(8)
    if magic[:4] == _ZIP:
        return _archive(path)
    if magic != _HDF5:
        raise InputError(f"{path}: neither a .keras archive nor an HDF5 file, by its first bytes {magic!r}.")
    arrays, attributes = contents(path, str(path))
    said = attributes.get("", {})
    if "model_config" in said:
        text = said["model_config"].encode()
        if len(text) > JSON_BYTES:
            raise InputError(f"{path}: an architecture of {len(text)} bytes, expected at most {JSON_BYTES}.")
        model = _model(json_of(text, path), str(path))
        return Stored(str(path), _version(said.get("keras_version"), path), model, arrays, attributes)
    if config is None:
        raise InputError(
            f"{path}: weights without an architecture; give config= the JSON of model.to_json(), or save the whole"
            " model: model.save('model.keras')."
        )
    given = _given(config)
    version = given.get("keras_version") or said.get("keras_version") or "3"
    return Stored(str(path), _version(version, path), _model(given, "config"), arrays, attributes)


def contents(path: Path, where: str) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    """`hdf5.contents` in a process of its own. Raises InputError with its reason."""
    check_h5py(where)
    with tempfile.TemporaryDirectory(prefix="elman-") as folder:
        wanted = Path(folder) / "arrays.safetensors"
        command = [sys.executable, "-I", str(PROGRAM), str(path), str(wanted)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if done.returncode:
            reason = done.stdout.strip() or f"the HDF5 library failed on it ({done.returncode})"
            raise InputError(f"{where}: not readable as HDF5: {reason[:300]}.")
        with safetensors.safe_open(wanted, "numpy") as file:
            attributes = json.loads(file.metadata()["attributes"])
        return safetensors.numpy.load_file(wanted), attributes


def check_h5py(where: str) -> None:
    """Raise InputError if the package that reads and writes HDF5 is missing."""
    if importlib.util.find_spec("h5py") is None:
        raise InputError(
            f"{where}: Keras keeps weights as HDF5, and the package 'h5py' is missing. Run: pip install elman[export]"
        )


def _archive(path: Path) -> Stored:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            metadata = json_of(_member(archive, METADATA), path)
            model = _model(json_of(_member(archive, CONFIG), path), str(path))
            version = _version(metadata.get("keras_version") if isinstance(metadata, dict) else None, path)
            with tempfile.NamedTemporaryFile(prefix="elman-", suffix=".h5") as file:
                with archive.open(WEIGHTS) as member:
                    shutil.copyfileobj(member, file)
                file.flush()
                arrays, attributes = contents(Path(file.name), f"{path}: {WEIGHTS}")
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
    ) as error:
        raise InputError(f"{path}: a damaged archive ({error}).") from error
    return Stored(str(path), version, model, arrays, attributes)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Every name stays inside the archive, stands there once, and what is read is not larger than it can be."""
    members = archive.infolist()
    names = [member.filename for member in members]
    for name in names:
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name:
            raise InputError(f"{path}: a member named {name!r} leads out of the archive; it is not read.")
    for needed in (METADATA, CONFIG, WEIGHTS):
        if names.count(needed) != 1:
            raise InputError(
                f"{path}: holds {names.count(needed)} members {needed}, expected one; not a .keras file."
            )
    for member in members:
        bound = RATIO * member.compress_size + SPARE
        bound = min(bound, JSON_BYTES) if member.filename.endswith(".json") else bound
        if member.file_size > bound:
            raise InputError(
                f"{path}: {member.filename} would be {member.file_size} bytes from {member.compress_size}; refused."
            )


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read()


def _given(config: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(config)
    text = os.fspath(config)
    where = Path("config")
    if not text.lstrip().startswith("{"):
        where = Path(text)
        if not where.is_file():
            raise InputError(f"config: {text!r:.80} is neither JSON nor a file; give model.to_json().")
        if where.stat().st_size > JSON_BYTES:
            raise InputError(f"{where}: {where.stat().st_size} bytes, expected at most {JSON_BYTES}.")
        raw = where.read_bytes()
    else:
        raw = text.encode()
    found = json_of(raw, where)
    return found if isinstance(found, dict) else {}


def _model(found: Any, where: str) -> dict[str, Any]:
    if not isinstance(found, dict) or not isinstance(found.get("class_name"), str) or "config" not in found:
        raise InputError(f"{where}: describes no model; expected JSON with class_name and config.")
    return found


def _version(found: Any, path: Path) -> str:
    version = str(found)
    if version.partition(".")[0] not in ("1", "2", "3"):
        raise InputError(f"{path}: written by Keras {version!r:.40}; expected a version from 1 to 3.")
    return version

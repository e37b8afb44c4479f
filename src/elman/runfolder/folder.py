"""`RunFolder`: creates, opens, reads and writes the files of a run."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from elman.errors import InputError
from elman.runfolder import check, disk

# What belongs to a run. Overwriting removes these and nothing else; the configuration last, because a folder is
# known as a run by it.
FOLDERS = ("checkpoint", "snapshots", "tensorboard")
FILES = (
    "model.safetensors",
    "graph.json",
    "vocabulary.json",
    "source_vocabulary.json",
    "characters.json",
    "task.json",
    "metrics.jsonl",
    "history.png",
    "report.html",
    "config.json",
)

CONFIG_LIMIT = 16 << 20  # bytes
JSON_LIMIT = 256 << 20  # bytes
HEADER_LIMIT = 64 << 20  # bytes of a safetensors header
METADATA_KEY = "elman"


class RunFolder:
    """One run on disk. `create` and `open` check the folder; the constructor only names it.

    All methods raise InputError when the disk or the content of a file is the cause.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, overwrite: bool = False) -> RunFolder:
        """A new, empty run folder; with `overwrite` an earlier run in its place is removed first."""
        run = cls(path)
        with disk.guard(run.path, "create"):
            if run.path.exists() and not run.path.is_dir():
                raise InputError(f"{run.path}: is a file, expected a folder for the run; choose another.")
            if run.path.is_dir() and any(run.path.iterdir()):
                run._make_room(overwrite)
            run.path.mkdir(parents=True, exist_ok=True)
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """An existing run whose config.json is whole."""
        run = cls(path)
        if not run.path.is_dir():
            raise InputError(f"{run.path}: no such run folder; `elman train` makes one.")
        if not (run.path / "config.json").is_file():
            raise InputError(f"{run.path}: not a run of elman, it has no config.json.")
        run.read_config()
        return run

    def _make_room(self, overwrite: bool) -> None:
        try:
            config = self._read_object("config.json", CONFIG_LIMIT)
        except InputError:
            config = {}
        if not isinstance(config.get("format"), int) or not isinstance(config.get("task"), str):
            raise InputError(
                f"{self.path}: exists, is not empty and is not a run of elman; choose another folder or remove it."
            )
        if not overwrite:
            raise InputError(f"{self.path}: holds a run already; use --resume to continue it or --overwrite.")
        for name in (*FOLDERS, *FILES):
            target = self.path / name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    # --- JSON and plain bytes

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.json from `task`, `options` and `data` (the fingerprint); format and versions are added."""
        whole = {"format": check.FORMAT, **config, "versions": versions()}
        self.write_json("config.json", check.config(whole, self.path / "config.json"))

    def read_config(self) -> dict[str, Any]:
        return check.config(self._read_object("config.json", CONFIG_LIMIT), self.path / "config.json")

    def write_json(self, name: str, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1)
        self.write_bytes(name, text.encode() + b"\n")

    def read_json(self, name: str, limit: int = JSON_LIMIT) -> Any:
        return check.json_of(self.read_bytes(name, limit), self.path / name)

    def _read_object(self, name: str, limit: int) -> dict[str, Any]:
        value = self.read_json(name, limit)
        if not isinstance(value, dict):
            raise InputError(
                f"{self.path / name}: damaged, holds {type(value).__name__}, expected a JSON object."
            )
        return value

    def write_bytes(self, name: str, data: bytes) -> None:
        """Replace a file whole: a temporary file, flushed to disk, takes its place."""
        disk.replace(self.path / name, data)

    def read_bytes(self, name: str, limit: int = JSON_LIMIT) -> bytes:
        """The content of a file of at most `limit` bytes."""
        path = self._present(name)
        with disk.guard(path, "read"):
            if path.stat().st_size > limit:
                raise InputError(f"{path}: damaged, {path.stat().st_size} bytes, expected at most {limit}.")
            return path.read_bytes()

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        with disk.guard(self.path / name, "remove"):
            (self.path / name).unlink(missing_ok=True)

    def _present(self, name: str) -> Path:
        if not self.has(name):
            raise InputError(
                f"{self.path / name}: missing; the training was stopped too early or the run is damaged."
            )
        return self.path / name

    # --- tensors

    def write_tensors(
        self, name: str, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        """Replace a safetensors file; `metadata` is stored as JSON."""
        text = {METADATA_KEY: json.dumps(metadata, ensure_ascii=False, allow_nan=False)}
        arrays = {key: np.asarray(value, order="C") for key, value in tensors.items()}
        self.write_bytes(name, safetensors.numpy.save(arrays, text))

    def read_tensors(
        self,
        name: str,
        expected_shapes: Mapping[str, Sequence[int]] | None = None,
        expected_dtypes: Mapping[str, str] | None = None,
        *,
        partly: bool = False,
    ) -> dict[str, np.ndarray]:
        """The arrays of a safetensors file by name.

        With `expected_shapes` (and `expected_dtypes`, NumPy's names) the file must hold exactly these tensors;
        that is found out before any of them is read. `partly`: it may hold others, which are not read.
        """
        path = self.path / name
        with self._tensor_file(name) as file:
            found = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            dtypes = {key: check.dtype(path, part.get_dtype()) for key, part in found.items()}
            if expected_shapes is not None:
                shapes = {key: tuple(part.get_shape()) for key, part in found.items()}
                check.tensors(path, shapes, expected_shapes, partly=partly)
                check.tensors(path, dtypes, expected_dtypes or {}, partly=True)
            wanted = (expected_shapes or {}) if partly else found
            return {key: file.get_tensor(key) for key in wanted}

    def read_metadata(self, name: str) -> dict[str, Any]:
        """What `write_tensors` was given as metadata."""
        with self._tensor_file(name) as file:
            text = (file.metadata() or {}).get(METADATA_KEY, "")
        value = check.json_of(text.encode(), self.path / name)
        if not isinstance(value, dict):
            raise InputError(f"{self.path / name}: damaged, its metadata is not a JSON object.")
        return value

    @contextlib.contextmanager
    def _tensor_file(self, name: str) -> Iterator[Any]:
        path = self._present(name)
        with disk.guard(path, "read"), open(path, "rb") as raw:
            start = raw.read(8)
        size = path.stat().st_size
        if len(start) < 8 or int.from_bytes(start, "little") > min(HEADER_LIMIT, size):
            if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
                raise InputError(
                    f"{path}: a Python pickle (torch.save), expected safetensors; never read here."
                )
            raise InputError(f"{path}: damaged, {size} bytes and no safetensors header.")
        try:
            with safetensors.safe_open(path, framework="np") as file:
                yield file
        except safetensors.SafetensorError as error:
            raise InputError(f"{path}: damaged ({error}); restore the file or train again.") from error

    # --- metrics

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl; numbers that are not finite become null."""
        line = json.dumps(finite(record), ensure_ascii=False).encode() + b"\n"
        self.append_bytes("metrics.jsonl", line)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line cut short by a crash is left out."""
        if not self.has("metrics.jsonl"):
            return []
        lines = self.read_bytes("metrics.jsonl").split(b"\n")[:-1]
        records = [
            check.json_of(line, self.path / f"metrics.jsonl:{number}") for number, line in enumerate(lines, 1)
        ]
        for number, record in enumerate(records, 1):
            if not isinstance(record, dict):
                raise InputError(f"{self.path}/metrics.jsonl:{number}: damaged, expected a JSON object.")
        return records

    def metrics_size(self) -> int:
        """Bytes of metrics.jsonl, all of them safely on disk."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return 0
        with disk.guard(path, "write"), open(path, "rb+") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size

    def truncate_metrics(self, size: int) -> None:
        """Cut metrics.jsonl back to its first `size` bytes."""
        path = self.path / "metrics.jsonl"
        found = path.stat().st_size if path.is_file() else 0
        if found < size:
            raise InputError(f"{path}: damaged, {found} bytes, the checkpoint was saved when it had {size}.")
        if found > size:
            with disk.guard(path, "write"):
                os.truncate(path, size)

    def append_bytes(self, name: str, data: bytes) -> None:
        """Add to the end of a file: all of `data` or, when the disk is full, nothing."""
        disk.append(self.path / name, data)


def finite(value: Any) -> Any:
    """The value with null in place of numbers JSON cannot hold."""
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    import importlib.metadata  # a third of the time that the runtime takes to import

    versions = {"python": platform.python_version()}
    for library in ("elman", "numpy", "safetensors", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[library] = importlib.metadata.version(library)
    return versions

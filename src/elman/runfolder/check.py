"""What a run's files must hold: checks of configuration, JSON and tensors, each with the house error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elman.errors import InputError

# How to change the format: raise FORMAT, keep reading every lower number, add a run of the old one to the tests
# and write the change into docs/format.md.
FORMAT = 1

DTYPES = {"BOOL": "bool", "F16": "float16", "F32": "float32", "F64": "float64"}
DTYPES |= {
    f"{kind}{bits}": f"{name}{bits}"
    for kind, name in (("I", "int"), ("U", "uint"))
    for bits in (8, 16, 32, 64)
}

CONFIG_PARTS = {"task": str, "options": dict, "data": dict, "versions": dict}


def tensors(
    where: Path, found: Mapping[str, Any], expected: Mapping[str, Any], *, partly: bool = False
) -> None:
    """Raise InputError at the first name whose shape (or dtype) differs; `partly` allows names not expected."""
    for name, value in expected.items():
        if name not in found:
            raise InputError(f"{where}: damaged or of another model, tensor {name!r} is missing.")
        wanted = value if isinstance(value, str) else tuple(value)
        if found[name] != wanted:
            raise InputError(
                f"{where}: damaged or of another model, tensor {name!r} is {found[name]}, expected {wanted}."
            )
    surplus = sorted(set(found) - set(expected))
    if surplus and not partly:
        raise InputError(f"{where}: damaged or of another model, it holds an unknown tensor {surplus[0]!r}.")


def config(value: dict[str, Any], path: Path) -> dict[str, Any]:
    number = value.get("format")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InputError(f"{path}: damaged, format is {number!r}, expected a number from 1 to {FORMAT}.")
    if number > FORMAT:
        raise InputError(f"{path}: format {number}, this elman reads up to {FORMAT}; install a newer elman.")
    for part, kind in CONFIG_PARTS.items():
        if not isinstance(value.get(part), kind):
            raise InputError(
                f"{path}: damaged, {part!r} is {value.get(part)!r:.60}, expected a {kind.__name__}."
            )
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def json_of(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged, not JSON in UTF-8 ({error}).") from error


def dtype(where: Path, name: str) -> str:
    """NumPy's name of a safetensors dtype."""
    if name not in DTYPES:
        raise InputError(f"{where}: holds a tensor of dtype {name}, expected one of {', '.join(DTYPES)}.")
    return DTYPES[name]

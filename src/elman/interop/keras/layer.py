"""One layer of a Keras model as its file has it: its options by name, its arrays by place and shape."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elman.errors import InputError
from elman.graph import Array
from elman.interop.keras.archive import Stored
from elman.interop.keras.draft import Draft

LARGEST = 1 << 31
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Where the layers lie in a .weights.h5; the second is that of Keras 2.12 and 2.13."""
_OURS = "elman>"
"""How the layers of `elman.keras` are registered."""
_NEUTRAL = re.compile(
    r".*_(initializer|regularizer|constraint)|[WUb]_(regularizer|constraint)|(inner_|forget_bias_)?init|name|trainable"
    r"|dropout(_[WU])?|recurrent_dropout|seed|noise_shape|rate|p|implementation|consume_less|unroll|momentum"
    r"|input_(dim|length|dtype)|batch_(input_)?shape|synchronized|fused|renorm.*|weights|use_cudnn|lora_alpha"
)
"""Options that change how a layer begins, learns or computes, but not what it gives."""


class Layer:
    """A layer while it is read. Every option has to be asked for, or to be one without effect: see `finish`.

    spec: its entry in the architecture. path: its place in a .weights.h5.
    """

    def __init__(self, draft: Draft, stored: Stored, spec: Mapping[str, Any], path: str) -> None:
        self.draft, self.stored, self.path = draft, stored, path
        self.kind, self.config = kind_of(spec, stored.where)
        self.name = str(spec.get("name") or self.config.get("name") or self.kind)
        self._places = _old_places(stored, self.name)
        self._asked: set[str] = set()
        self._check_precision()

    def refusal(self, why: str) -> InputError:
        """The error that says which layer cannot be carried, and why."""
        return InputError(f"{self.stored.where}: layer {self.name!r} ({self.kind}): {why}.")

    def option(self, name: str, default: Any = None, *, old: str = "") -> Any:
        """An option by its name, or by its `old` one of Keras 1."""
        self._asked |= {name, old}
        return self.config.get(name, self.config.get(old, default) if old else default)

    def flag(self, name: str, default: bool = False, *, old: str = "") -> bool:
        value = self.option(name, default, old=old)
        if not isinstance(value, bool):
            raise self.refusal(f"{name} is {value!r:.60}; expected true or false")
        return value

    def size(self, name: str, *, old: str = "") -> int:
        value = self.option(name, old=old)
        if type(value) is not int or not 0 < value < LARGEST:
            raise self.refusal(f"{name} is {value!r:.60}; expected a whole number above 0")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.option(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refusal(f"{name} is {value!r:.60}; expected a number")
        return float(value)

    def inner(self, name: str, part: str) -> Layer:
        """The layer a wrapper holds, whose arrays lie under `part`, in old files among the wrapper's own."""
        spec = self.option(name)
        if not isinstance(spec, dict):
            raise self.refusal(f"{name} is {spec!r:.60}; expected a layer")
        layer = Layer(self.draft, self.stored, spec, f"{self.path}/{part}")
        layer.name, layer._places = self.name, self._places
        return layer

    def arrays(self, part: str, *shapes: Sequence[int | None]) -> list[Array]:
        """The next arrays, of the given shapes (None: any size), in the model's dtype.

        part: where a new file has them, under the layer.
        """
        if self._places is None:
            folder = "/".join(filter(None, (self.path, part, "vars")))
            names = [f"{folder}/{n}" for n in range(len(shapes))]
            if f"{folder}/{len(shapes)}" in self.stored.arrays:
                raise self.refusal(f"its file has more than {len(shapes)} arrays in {folder}")
        else:
            names = [self._places.pop(0) if self._places else "" for _ in shapes]
        return [self._array(name, shape) for name, shape in zip(names, shapes, strict=True)]

    def finish(self) -> None:
        """Raise InputError if the layer has arrays nobody read, or an option nobody knows."""
        if self._places:
            raise self.refusal(
                f"{len(self._places)} arrays more than such a layer has, {self._places[0]!r} first"
            )
        for name, value in self.config.items():
            if name not in self._asked and value not in (None, False) and not _NEUTRAL.fullmatch(name):
                raise self.refusal(f"option {name}={value!r:.60} is not one elman carries")

    def _array(self, place: str, shape: Sequence[int | None]) -> Array:
        array = self.stored.arrays.get(place)
        wanted = f"({', '.join('any' if size is None else str(size) for size in shape)})"
        if array is None:
            raise self.refusal(f"array {place!r} of shape {wanted} is missing in the file")
        fits = len(array.shape) == len(shape) and all(
            size in (None, found) for size, found in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype.kind != "f":
            raise self.refusal(
                f"array {place!r} is {array.dtype} of shape {array.shape}, expected floats {wanted}"
            )
        return array.astype(self.draft.dtype, copy=False)

    def _check_precision(self) -> None:
        policy = self.option("dtype", "float32")
        if isinstance(policy, dict):
            inner = policy.get("config")
            policy = inner.get("name") if isinstance(inner, dict) else None
        if policy is not None and not re.fullmatch(r"(mixed_)?b?float(16|32|64)|int32|int64", str(policy)):
            raise self.refusal(f"dtype {policy!r:.60} is not one elman carries; save the model unquantised")


def kind_of(spec: Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """Class and options of a layer. Raises InputError for what is no layer of Keras, by name."""
    kind, config = spec.get("class_name"), spec.get("config")
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise InputError(f"{where}: an entry of the architecture is no layer: {spec!r:.80}.")
    registered, module = str(spec.get("registered_name") or ""), str(spec.get("module") or "keras")
    foreign = ">" in registered and not registered.startswith(_OURS)
    if foreign or not re.match(r"(tf_)?keras\b|elman\.keras\b|builtins$", module):
        raise InputError(
            f"{where}: {registered or f'{module}.{kind}'} is a custom object: its program is not in the file, and elman"
            " would not run it. Replace it by layers of Keras."
        )
    return kind, config


def places(kinds: Sequence[str], stored: Stored) -> list[str]:
    """Where a .weights.h5 keeps the arrays of layers of these classes, which it tells apart by number."""
    used: dict[str, int] = {}
    container = next((c for c in _CONTAINERS if c in stored.attributes), _CONTAINERS[0])
    found = []
    for kind in kinds:
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
        number = used[name] = used.get(name, -1) + 1
        found.append(f"{container}/{name}" + (f"_{number}" if number else ""))
    return found


def dtype_of(stored: Stored) -> np.dtype[np.generic]:
    """The dtype of all numbers in the model: float64 if its weights are, else float32, half precision too."""
    kinds = {array.dtype.name for array in stored.arrays.values() if array.dtype.kind == "f"}
    if {"float32", "float64"} <= kinds:
        raise InputError(
            f"{stored.where}: layers of float32 and of float64; elman computes a model in one of them."
        )
    return np.dtype("float64" if "float64" in kinds else "float32")


def _old_places(stored: Stored, name: str) -> list[str] | None:
    """The arrays of a layer in the order of an old .h5; None if the file is a newer one."""
    root = next((r for r in ("model_weights", "") if "layer_names" in stored.attributes.get(r, {})), None)
    if root is None:
        return None
    group = f"{root}/{name}".lstrip("/")
    return [f"{group}/{weight}" for weight in stored.attributes.get(group, {}).get("weight_names", [])]

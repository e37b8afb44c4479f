"""What an operator is: a function of arrays whose signature says what a node may hold."""

from __future__ import annotations

import inspect
import math
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from elman.errors import InputError, check_choice
from elman.graph._spec import Array, Attribute

Function: TypeAlias = Callable[..., Any]
F = TypeVar("F", bound=Function)

LARGEST = 1 << 27
"""Elements of an array that an operator makes out of numbers alone: a size in a file is no reason to take memory."""

OPERATORS: dict[str, Operator] = {}
"""Every operator by its ONNX name."""

_COUNT = "outputs"  # the keyword of a function that has to know how many outputs its node writes
_KINDS: Mapping[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "str": str}


@dataclass(frozen=True)
class Operator:
    """The meaning of an ONNX operator in NumPy, and what a node of it may hold, all by the function's signature.

    inputs: names; required: how many of them have to be there; variadic: the last one stands for any number.
    outputs: how many there are at most; 0: any number.
    attributes: the annotation of each; needed: those without a default.
    """

    name: str
    function: Function
    inputs: tuple[str, ...]
    required: int
    variadic: bool
    outputs: int
    attributes: Mapping[str, str]
    needed: frozenset[str]

    @property
    def counts(self) -> bool:
        """Whether the function is told how many outputs there are."""
        return self.outputs == 0

    def check(self, inputs: Collection[str], outputs: int, attributes: Mapping[str, Attribute]) -> None:
        """Raise InputError for a node that the operator has no meaning for. inputs: names, "" where left out."""
        given = list(inputs)
        if (len(given) > len(self.inputs) and not self.variadic) or len(given) < self.required:
            raise InputError(f"{len(given)} inputs, expected {self._expected()}.")
        if "" in given[: self.required] or (self.variadic and "" in given):
            raise InputError(f"input {given.index('') + 1} is left out, expected {self._expected()}.")
        if outputs < 1 or (self.outputs and outputs > self.outputs):
            raise InputError(f"{outputs} outputs, expected {self.outputs or 'at least 1'}.")
        for name, value in attributes.items():
            check_choice("attribute", name, self.attributes)
            check_attribute(name, value, self.attributes[name])
        if missing := self.needed - set(attributes):
            raise InputError(f"attribute {min(missing)!r} is missing.")

    def _expected(self) -> str:
        optional = self.inputs[self.required :]
        names = [*self.inputs[: self.required], *(f"[{name}]" for name in optional)]
        return ", ".join(names) + (", ..." if self.variadic else "")


def operator(name: str) -> Callable[[F], F]:
    """Register a function as the meaning of an operator.

    Positional parameters are its inputs, keyword-only ones its attributes, `*arrays` any number of inputs; a function
    that returns tuple[Array, ...] is told by its keyword `outputs` how many.
    """

    def register(function: F) -> F:
        OPERATORS[name] = _described(name, function)
        return function

    return register


def check_attribute(name: str, value: object, kind: str) -> None:
    """Raise InputError unless a value is of a kind: int, float, str, or list[...] of these; `| None` is the default."""
    kind = kind.removesuffix(" | None")
    listed = kind.startswith("list[")
    of = _KINDS[kind[5:-1] if listed else kind]
    values: Iterable[object] = value if listed and isinstance(value, list) else [value]
    if listed != isinstance(value, list) or not all(isinstance(item, of) for item in values):
        raise InputError(f"attribute {name!r} is {reprlib.repr(value)}, expected {kind}.")


def bounded(shape: Iterable[int]) -> tuple[int, ...]:
    """A shape as whole numbers, none negative, that is not too large to be made."""
    sizes = tuple(int(size) for size in shape)
    if any(size < 0 for size in sizes):
        raise InputError(f"a shape {sizes} with a negative size.")
    if len(sizes) > 32 or math.prod(sizes) > LARGEST:
        raise InputError(f"a result of shape {str(sizes)[:80]}; expected at most {LARGEST} elements.")
    return sizes


def one_dtype(*arrays: Array) -> None:
    """Raise InputError unless all arrays are of one dtype: no operator converts by itself."""
    kind = arrays[0].dtype
    for array in arrays:
        if array.dtype != kind:
            raise InputError(f"inputs of dtypes {kind} and {array.dtype}; a Cast brings them together.")


def _described(name: str, function: Function) -> Operator:
    parameters = inspect.signature(function).parameters.values()
    inputs = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    attributes = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != _COUNT]
    returned = str(function.__annotations__["return"])
    several = returned.startswith("tuple")
    return Operator(
        name=name,
        function=function,
        inputs=tuple(p.name for p in inputs),
        required=sum(p.default is p.empty for p in inputs),
        variadic=any(p.kind is p.VAR_POSITIONAL for p in inputs),
        outputs=0 if "..." in returned else returned.count("Array") if several else 1,
        attributes={p.name: str(p.annotation) for p in attributes},
        needed=frozenset(p.name for p in attributes if p.default is p.empty),
    )

"""Activations by Keras' names, as operators of a graph and as activations of a `Recurrent` node."""

from __future__ import annotations

from typing import Any, TypeAlias

from elman.graph._spec import Attribute
from elman.interop.keras.layer import Layer

Squash: TypeAlias = tuple[str, float, float]
"""An activation of a `Recurrent` node: name, alpha, beta."""

OPERATORS: dict[str, tuple[str, dict[str, Attribute]]] = {
    "elu": ("Elu", {"alpha": 1.0}),
    "exponential": ("Exp", {}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
}
RECURRENT: dict[str, Squash] = {
    "elu": ("Elu", 1.0, 0.0),
    "linear": ("Affine", 1.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "softplus": ("Softplus", 0.0, 0.0),
    "softsign": ("Softsign", 0.0, 0.0),
    "tanh": ("Tanh", 0.0, 0.0),
}
HARD_SLOPE = {1: 0.2, 2: 0.2, 3: 1 / 6}
"""Slope of the hard sigmoid, clip(slope * x + 0.5, 0, 1), by Keras' first version number."""


def name(layer: Layer, value: Any) -> str:
    """The name of an activation; `value` as an option has it, a name or a function of Keras as an object."""
    if value is None:
        return "linear"
    if isinstance(value, dict) and value.get("class_name") == "function":
        if ">" in str(value.get("registered_name")) or value.get("module") not in (None, "builtins", "keras"):
            raise layer.refusal(
                f"activation {value.get('registered_name')!r:.60} is a custom object, not in the file"
            )
        value = value.get("config")
    known = {*OPERATORS, *RECURRENT, "hard_sigmoid"}
    if not isinstance(value, str) or value not in known:
        raise layer.refusal(f"activation {value!r:.60} is not one elman carries ({', '.join(sorted(known))})")
    return value


def apply(layer: Layer, value: Any, x: str) -> str:
    """An activation of a value of the graph."""
    called = name(layer, value)
    if called == "linear":
        return x
    if called == "hard_sigmoid":
        return layer.draft.add("HardSigmoid", x, alpha=HARD_SLOPE[layer.stored.major], beta=0.5)
    op, attributes = OPERATORS[called]
    return layer.draft.add(op, x, output=0, **attributes)


def squash(layer: Layer, option: str, default: str, *, old: str = "") -> Squash:
    """An activation of a recurrent layer."""
    called = name(layer, layer.option(option, default, old=old))
    if called == "hard_sigmoid":
        return ("HardSigmoid", HARD_SLOPE[layer.stored.major], 0.5)
    if called not in RECURRENT:
        raise layer.refusal(f"{option} {called!r} is not one elman has within a recurrence")
    return RECURRENT[called]

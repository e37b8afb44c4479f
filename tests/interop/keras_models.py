"""Models of Keras as data: what the tests read, write and have Keras compute. Not every combination, but every value
of every option with several of all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

Spec: TypeAlias = dict[str, Any]
Model: TypeAlias = dict[str, Any]
"""shape: of the input behind the batch. layers: class and options of each. functional, format, dtype: how it is built
and saved. states: it gives its states out too."""

FORMATS = ("keras", "h5", "weights.h5", "keras", "h5")
STEPS, SYMBOLS = 7, 9
KINDS = (
    ("SimpleRNN", {}),
    ("LSTM", {}),
    ("GRU", {"reset_after": True}),
    ("GRU", {"reset_after": False}),
)
ACTIVATIONS = (
    "tanh",
    "tanh",
    "relu",
    "elu",
    "softsign",
    "linear",
    "hard_sigmoid",
    "tanh",
    "softplus",
    "sigmoid",
)
GATES = ("sigmoid", "hard_sigmoid", "sigmoid", "tanh", "softsign")
SHOWN = ("tanh", "hard_sigmoid", "elu", "exponential", "softplus", "softsign", "sigmoid", "linear")
FIRST = (
    [],
    [("Embedding", {"input_dim": SYMBOLS, "output_dim": 5, "mask_zero": True})],
    [("Masking", {"mask_value": 0.5})],
    [("Embedding", {"input_dim": SYMBOLS, "output_dim": 3})],
    [("Masking", {}), ("Dropout", {"rate": 0.3})],
)
MERGES = ("concat", "sum", "mul", "ave", None)


def recurrent(number: int, sequences: bool) -> tuple[str, Spec]:
    """A recurrent layer, its options by number."""
    kind, options = KINDS[number % 4]
    options = {**options, "units": 3 + number % 3, "return_sequences": sequences}
    options["activation"] = ACTIVATIONS[number // 4 % len(ACTIVATIONS)]
    if kind != "SimpleRNN":
        options["recurrent_activation"] = GATES[number // 3 % len(GATES)]
    options |= {"use_bias": number % 5 != 3, "go_backwards": number % 7 in (2, 5)}
    options["zero_output_for_mask"] = number % 6 in (1, 4)
    if kind == "LSTM":
        options["unit_forget_bias"] = number % 2 == 0
    return kind, options


def wrapped(number: int, sequences: bool) -> tuple[str, Spec]:
    """Two directions."""
    kind, options = recurrent(number, sequences)
    options["go_backwards"] = False
    return "Bidirectional", {"layer": (kind, options), "merge_mode": MERGES[number % 5]}


def tail(number: int, sequences: bool) -> list[tuple[str, Spec]]:
    """What stands behind the recurrent layers."""
    dense = (
        "Dense",
        {"units": 4, "activation": ("softmax", None, "relu")[number % 3], "use_bias": number % 4 != 1},
    )
    if not sequences:
        return [[dense], [("BatchNormalization", {}), dense], [("Activation", {"activation": "tanh"})]][
            number % 3
        ]
    return [
        [("TimeDistributed", {"layer": dense})],
        [("BatchNormalization", {"scale": False}), ("SpatialDropout1D", {"rate": 0.2}), dense],
        [("Flatten", {}), dense],
        [("BatchNormalization", {"center": False, "axis": 1})],
        [],
    ][number % 5]


def models() -> Iterator[Model]:
    """All of them."""
    for number in range(240):
        first = FIRST[number % 5]
        sequences = number // 2 % 3 != 0
        core = [wrapped(number // 2, sequences) if number % 2 else recurrent(number // 2, sequences)]
        if number % 9 == 4:
            core.insert(0, recurrent(number // 5, True))
        lists = core[-1][0] == "Bidirectional" and core[-1][1]["merge_mode"] is None
        states = number % 8 in (3, 6)
        end = [] if lists else tail(number // 2, sequences)
        fixed = any(name in ("Flatten", "BatchNormalization") for name, _ in end)
        features = () if first and first[0][0] == "Embedding" else (5,)
        if states:
            inner = core[-1][1]["layer"][1] if core[-1][0] == "Bidirectional" else core[-1][1]
            inner["return_state"] = True
        yield {
            "name": f"model{number}",
            "shape": (STEPS if fixed else None, *features),
            "layers": [*first, *core, *end],
            "functional": bool(states or lists or number % 3 == 0),
            "format": FORMATS[number % len(FORMATS)],
            "dtype": "float64" if number % 12 == 5 else "float32",
        }


def inputs(model: Model, seed: int) -> np.ndarray:
    """A batch for a model: rows with no step that counts, with all, with gaps and with padding."""
    rng = np.random.default_rng(seed)
    counts = rng.random((5, STEPS)) < 0.6
    counts[0], counts[1] = True, False
    counts[2] = np.arange(STEPS) < 4
    if len(model["shape"]) == 1:
        return rng.integers(1, SYMBOLS, counts.shape) * counts
    value = model["layers"][0][1].get("mask_value", 0.0) if model["layers"][0][0] == "Masking" else 0.0
    return np.where(counts[:, :, None], rng.normal(size=(*counts.shape, 5)), value).astype(model["dtype"])

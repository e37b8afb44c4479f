"""The layers of Keras that elman carries, one function each: what comes in, the layer, what goes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from elman.interop.keras import activations, recurrent
from elman.interop.keras.draft import Flow
from elman.interop.keras.layer import Layer

Read: TypeAlias = Callable[[Layer, Flow], list[Flow]]

_BOOL, _INT64 = 9, 7  # TensorProto


def nothing(_: Layer, x: Flow) -> list[Flow]:
    """Dropout: nothing outside training."""
    return [x]


def embedding(layer: Layer, x: Flow) -> list[Flow]:
    """Embedding: a row of its table for each symbol; with mask_zero symbol 0 does not count."""
    if len(x.axes) != 2:
        raise layer.refusal("it reads something else than symbols (batch, time)")
    sizes = layer.size("input_dim"), layer.size("output_dim")
    (table,) = layer.arrays("", sizes)
    draft = layer.draft
    symbols = draft.add("Gather", draft.weight(f"{layer.name}.embeddings", table), x.name, axis=0)
    mask = unequal(layer, x.name, 0, whole=True) if layer.flag("mask_zero") else ""
    return [Flow(symbols, (*x.axes, sizes[1]), mask)]


def masking(layer: Layer, x: Flow) -> list[Flow]:
    """Masking: a step whose features all equal mask_value does not count, and becomes zero."""
    mask = any_feature(layer, unequal(layer, x.name, layer.number("mask_value", 0.0)))
    kept = layer.draft.add("Unsqueeze", mask, layer.draft.integers(-1))
    return [Flow(layer.draft.add("Where", kept, x.name, layer.draft.number(0.0)), x.axes, mask)]


def dense(layer: Layer, x: Flow) -> list[Flow]:
    """Dense: x W + b over the last axis, then its activation."""
    units = layer.size("units", old="output_dim")
    biased = layer.flag("use_bias", True, old="bias")
    shapes = [(_known(x.axes[-1]), units), (units,)]
    arrays, draft = layer.arrays("", *shapes[: 1 + biased]), layer.draft
    y = draft.add("MatMul", x.name, draft.weight(f"{layer.name}.kernel", arrays[0]))
    if biased:
        y = draft.add("Add", y, draft.weight(f"{layer.name}.bias", arrays[1]))
    y = activations.apply(layer, layer.option("activation", "linear"), y)
    return [Flow(y, (*x.axes[:-1], units), x.mask)]


def time_distributed(layer: Layer, x: Flow) -> list[Flow]:
    """TimeDistributed(Dense): Dense, which leaves time alone anyway."""
    inner = layer.inner("layer", "layer")
    if inner.kind != "Dense":
        raise layer.refusal(f"it wraps {inner.kind}; expected Dense")
    outputs = dense(inner, x)
    inner.finish()
    return outputs


def activation(layer: Layer, x: Flow) -> list[Flow]:
    """Activation: a function of each number, or softmax over the last axis."""
    return [Flow(activations.apply(layer, layer.option("activation"), x.name), x.axes, x.mask)]


def flatten(layer: Layer, x: Flow) -> list[Flow]:
    """Flatten: all axes but the batch as one; which step a feature is of is lost, and so is the mask."""
    if layer.option("data_format", "channels_last") not in (None, "channels_last"):
        raise layer.refusal("data_format channels_first is not one elman carries")
    sizes = x.axes[1:]
    if not all(isinstance(size, int) for size in sizes):
        raise layer.refusal("the number of steps is open; a Flatten has to know it")
    total = int(np.prod([int(size) for size in sizes]))
    return [Flow(layer.draft.add("Flatten", x.name, axis=1), (x.axes[0], total))]


def batch_normalization(layer: Layer, x: Flow) -> list[Flow]:
    """BatchNormalization with its moving mean and variance: one factor and one summand for each feature."""
    axis = layer.option("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int or not -len(x.axes) < axis < len(x.axes) or axis == 0 or layer.option("mode"):
        raise layer.refusal(f"axis={axis!r:.40}, mode={layer.option('mode')!r:.40} is not one elman carries")
    size = _known(x.axes[axis])
    scale, center = layer.flag("scale", True), layer.flag("center", True)
    found = layer.arrays("", *[(size,)] * (2 + scale + center))
    gamma = found.pop(0) if scale else 1.0
    beta = found.pop(0) if center else 0.0
    mean, variance = found
    factor = gamma / np.sqrt(variance + layer.number("epsilon", 1e-3))
    behind = (-1, *[1] * (len(x.axes) - axis % len(x.axes) - 1))
    draft = layer.draft
    parts = {"factor": factor, "summand": beta - mean * factor}
    names = [
        draft.weight(f"{layer.name}.{name}", np.asarray(part, draft.dtype).reshape(behind))
        for name, part in parts.items()
    ]
    return [Flow(draft.add("Add", draft.add("Mul", x.name, names[0]), names[1]), x.axes, x.mask)]


def unequal(layer: Layer, x: str, value: float, *, whole: bool = False) -> str:
    """Where x is not a number. whole: x is integers."""
    draft = layer.draft
    number = draft.whole(0) if whole and value == 0 else draft.number(value)
    return draft.add("Not", draft.add("Equal", x, number))


def any_feature(layer: Layer, x: str) -> str:
    """Where a truth holds for any feature."""
    counts = layer.draft.add("Cast", x, to=_INT64)
    return layer.draft.add("Cast", layer.draft.add("ReduceMax", counts, axes=[-1], keepdims=0), to=_BOOL)


def _known(size: int | str) -> int | None:
    return size if isinstance(size, int) else None


LAYERS: dict[str, Read] = {
    "Activation": activation,
    "BatchNormalization": batch_normalization,
    "Bidirectional": recurrent.bidirectional,
    "Dense": dense,
    "Dropout": nothing,
    "Embedding": embedding,
    "Flatten": flatten,
    "Masking": masking,
    "SpatialDropout1D": nothing,
    "TimeDistributed": time_distributed,
    **dict.fromkeys(recurrent.KINDS, recurrent.read),
}
"""Each kind of layer, and what brings one into the graph."""

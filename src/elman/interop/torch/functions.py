"""Operators of a graph as functions of torch: one line each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch.nn import functional as F

from elman.errors import InputError
from elman.graph import Node

if TYPE_CHECKING:
    from elman.interop.torch.modules import Model

Writer: TypeAlias = "Callable[[Model, Node], Any]"

_DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16,
    11: torch.float64,
}  # fmt: skip
"""Of the numbers that ONNX has for types."""


def _plain(function: Any, **renamed: str) -> Writer:
    """The function of all inputs; renamed: its names for attributes."""

    def write(model: Model, node: Node) -> Any:
        named = {renamed[name]: value for name, value in node.attributes.items() if name in renamed}
        return model.call(function, *model.inputs(node), **named)

    return write


def _folded(function: Callable[..., Any]) -> Writer:
    """Of any number of inputs, two at a time."""
    return lambda model, node: functools.reduce(functools.partial(model.call, function), model.inputs(node))


def _axis(function: Callable[..., Any], default: int) -> Writer:
    return lambda model, node: model.call(
        function,
        *model.inputs(node),
        dim=_integer(node, "axis", default),
    )


def _reduce(function: Callable[..., Any]) -> Writer:
    """Over the axes of the second input, or else of the attribute."""

    def write(model: Model, node: Node) -> Any:
        axes = node.attributes.get("axes")
        if len(node.inputs) > 1 and node.inputs[1]:
            axes = [int(axis) for axis in model.constant(node.inputs[1])]
        if axes is None:
            raise InputError(f"{node.op} over all axes has no counterpart in torch here; name the axes.")
        keep = bool(node.attributes.get("keepdims", 1))
        return model.call(function, model[node.inputs[0]], dim=axes, keepdim=keep)

    return write


def _integer(node: Node, name: str, default: int = 0) -> int:
    value = node.attributes.get(name, default)
    assert isinstance(value, int)
    return value


def _integers(model: Model, node: Node, place: int) -> list[int]:
    return [int(value) for value in model.constant(node.inputs[place]).reshape(-1)]


def _gather(model: Model, node: Node) -> Any:
    x, places = model.inputs(node)
    axis = _integer(node, "axis", 0)
    whole = slice(None)
    place = (*[whole] * axis, places) if axis >= 0 else (..., places, *[whole] * (-1 - axis))
    return model.call(torch.Tensor.__getitem__, x, place)


def _slice(model: Model, node: Node) -> Any:
    """Bounds are constants, or of one axis, numbers that the model computes."""
    starts, ends = (
        _integers(model, node, place)
        if node.inputs[place] in model.graph.weights
        else [model[node.inputs[place]]]
        for place in (1, 2)
    )
    axes = _integers(model, node, 3) if len(node.inputs) > 3 and node.inputs[3] else list(range(len(starts)))
    steps = _integers(model, node, 4) if len(node.inputs) > 4 and node.inputs[4] else [1] * len(starts)
    x = model[node.inputs[0]]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis < 0 or step < 1:
            raise InputError(f"Slice of axis {axis} by {step}: expected a positive axis and step.")
        x = model.call(torch.Tensor.__getitem__, x, (*[slice(None)] * axis, slice(start, end, step)))
    return x


def _shape(model: Model, node: Node) -> Any:
    ends = (node.attributes.get("start", 0), node.attributes.get("end"))
    return model.call(
        torch.Tensor.__getitem__, model.call(torch._shape_as_tensor, model[node.inputs[0]]), slice(*ends)
    )


def _squeeze(model: Model, node: Node) -> Any:
    if len(node.inputs) < 2:
        raise InputError("Squeeze of all axes of size 1 has no counterpart in torch here; name the axes.")
    return model.call(torch.squeeze, model[node.inputs[0]], tuple(_integers(model, node, 1)))


def _unsqueeze(model: Model, node: Node) -> Any:
    x = model[node.inputs[0]]
    for axis in sorted(_integers(model, node, 1)):
        x = model.call(torch.unsqueeze, x, axis)
    return x


def _reshape(model: Model, node: Node) -> Any:
    x, shape = model[node.inputs[0]], _integers(model, node, 1)
    sizes = [model.method("size", x, axis) if size == 0 else size for axis, size in enumerate(shape)]
    return model.method("reshape", x, tuple(sizes))


def _clip(model: Model, node: Node) -> Any:
    x, *bounds = [*model.inputs(node), None, None][:3]
    return x if bounds == [None, None] else model.call(torch.clamp, x, *bounds)


def _div(model: Model, node: Node) -> Any:
    """Of whole numbers the whole part, as ONNX has it."""
    rounding = "trunc" if any(_whole(model, name) for name in node.inputs) else None
    return model.call(torch.div, *model.inputs(node), rounding_mode=rounding)


def _whole(model: Model, name: str) -> bool:
    """Whether a value is known to be of whole numbers: by what it is, or by the operator that writes it."""
    if name in model.graph.weights:
        return model.graph.weights[name].dtype.kind == "i"
    writer = model.writer.get(name)
    if writer is None:
        return any(value.name == name and value.dtype.startswith("int") for value in model.graph.inputs)
    if writer.op == "Cast":
        return _integer(writer, "to") in (6, 7)
    return writer.op in ("ArgMax", "Shape")


def _mod(model: Model, node: Node) -> Any:
    return model.call(torch.fmod if node.attributes.get("fmod") else torch.remainder, *model.inputs(node))


def _transpose(model: Model, node: Node) -> Any:
    if "perm" not in node.attributes:
        raise InputError("Transpose without perm has no counterpart in torch here; name the axes.")
    return model.call(torch.permute, model[node.inputs[0]], node.attributes["perm"])


def _split(model: Model, node: Node) -> Any:
    axis = _integer(node, "axis", 0)
    return model.call(torch.split, model[node.inputs[0]], _integers(model, node, 1), axis)


def _arg_max(model: Model, node: Node) -> Any:
    axis, keep = _integer(node, "axis", 0), bool(node.attributes.get("keepdims", 1))
    return model.call(torch.argmax, model[node.inputs[0]], dim=axis, keepdim=keep)


def _pad(model: Model, node: Node) -> Any:
    if node.attributes.get("mode", "constant") != "constant" or len(node.inputs) > 3:
        raise InputError("Pad: only by a constant, and along all axes.")
    pads = _integers(model, node, 1)
    axes = len(pads) // 2
    sides = [pads[place] for axis in reversed(range(axes)) for place in (axis, axis + axes)]
    value = float(model.constant(node.inputs[2])) if len(node.inputs) > 2 and node.inputs[2] else 0.0
    return model.call(F.pad, model[node.inputs[0]], sides, value=value)


def _cum_sum(model: Model, node: Node) -> Any:
    if node.attributes.get("exclusive") or node.attributes.get("reverse"):
        raise InputError("CumSum: exclusive and reverse have no counterpart in torch.")
    return model.call(torch.cumsum, model[node.inputs[0]], dim=int(model.constant(node.inputs[1])))


def _expand(model: Model, node: Node) -> Any:
    x, shape = model.inputs(node)
    both = model.call(torch.broadcast_shapes, model.method("size", x), model.method("tolist", shape))
    return model.call(torch.broadcast_to, x, both)


def _gather_nd(model: Model, node: Node) -> Any:
    if node.attributes.get("batch_dims"):
        raise InputError("GatherND: batch_dims has no counterpart in torch here.")
    x, places = model.inputs(node)
    return model.call(torch.Tensor.__getitem__, x, model.method("unbind", places, -1))


def reverse(model: Model, x: Any, lengths: Any) -> Any:
    """Every row of x (B, T, F) from its last step to its first; what lies behind its length stays."""
    steps = model.call(torch.arange, model.method("size", x, 1))
    ends = model.call(torch.unsqueeze, lengths, 1)
    back = model.call(torch.sub, model.call(torch.sub, ends, 1), steps)
    places = model.call(torch.where, model.call(torch.lt, steps, ends), back, steps)
    return model.call(torch.take_along_dim, x, model.call(torch.unsqueeze, places, 2), 1)


def _reverse_sequence(model: Model, node: Node) -> Any:
    batch, time = _integer(node, "batch_axis", 1), _integer(node, "time_axis", 0)
    x, lengths = model.inputs(node)
    moved = model.call(torch.movedim, x, (batch, time), (0, 1))
    flat = model.call(torch.flatten, model.call(torch.unsqueeze, moved, -1), 2)
    turned = model.call(torch.reshape, reverse(model, flat, lengths), model.method("size", moved))
    return model.call(torch.movedim, turned, (0, 1), (batch, time))


WRITERS: dict[str, Writer] = {
    **{
        name: _plain(function)
        for name, function in {
            "Abs": torch.abs,
            "Add": torch.add,
            "And": torch.logical_and,
            "Asinh": torch.asinh,
            "Equal": torch.eq,
            "Erf": torch.erf,
            "Exp": torch.exp,
            "Greater": torch.gt,
            "GreaterOrEqual": torch.ge,
            "Identity": torch.clone,
            "Less": torch.lt,
            "LessOrEqual": torch.le,
            "Log": torch.log,
            "MatMul": torch.matmul,
            "Mul": torch.mul,
            "Neg": torch.neg,
            "Not": torch.logical_not,
            "Or": torch.logical_or,
            "Pow": torch.pow,
            "Range": torch.arange,
            "Reciprocal": torch.reciprocal,
            "Relu": torch.relu,
            "Sigmoid": torch.sigmoid,
            "Sign": torch.sign,
            "Softplus": F.softplus,
            "Softsign": F.softsign,
            "Sqrt": torch.sqrt,
            "Sub": torch.sub,
            "Tanh": torch.tanh,
            "Where": torch.where,
        }.items()
    },
    "ArgMax": _arg_max,
    "Cast": lambda model, node: model.method("to", model[node.inputs[0]], _DTYPES[_integer(node, "to")]),
    "Clip": _clip,
    "CumSum": _cum_sum,
    "Concat": lambda model, node: model.call(torch.cat, model.inputs(node), _integer(node, "axis")),
    "Div": _div,
    "Dropout": lambda model, node: model[node.inputs[0]],
    "Elu": _plain(F.elu, alpha="alpha"),
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "LeakyRelu": lambda model, node: model.call(
        F.leaky_relu, model[node.inputs[0]], node.attributes.get("alpha", 0.01)
    ),
    "LogSoftmax": _axis(torch.log_softmax, -1),
    "Max": _folded(torch.maximum),
    "Min": _folded(torch.minimum),
    "Mod": _mod,
    "Pad": _pad,
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceSum": _reduce(torch.sum),
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": _axis(torch.softmax, -1),
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}

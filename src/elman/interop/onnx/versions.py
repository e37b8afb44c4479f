"""What changed in ONNX' operators: nodes of older and newer operator sets in the terms of opset 17.

Not named here are operators that mean the same from opset 7 to 25. An attribute or an input that opset 17 does not know
is refused, so that a change this file does not know cannot pass as something else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from elman.graph import Node
from elman.graph._spec import Attribute
from elman.interop.onnx.draft import Draft, integers

OLDEST, NEWEST = 7, 25
"""Operator sets that are read."""
OPSET = 17
"""The operator set a `Graph` is in the terms of."""


def axes_as_input(draft: Draft, node: Node) -> None:
    """Squeeze, Unsqueeze, ReduceSum: axes became an input in 13."""
    attributes = dict(node.attributes)
    axes = attributes.pop("axes", None)
    inputs = node.inputs if axes is None else (node.inputs[0], _integers(draft, "axes", axes))
    draft.nodes.append(Node(node.op, inputs, node.outputs, attributes))


def axes_as_attribute(draft: Draft, node: Node) -> None:
    """The other reductions: axes became an input in 18."""
    attributes = dict(node.attributes)
    if draft.opset >= 18:
        axes = draft.constant(node, 1, "axes")
        nothing_to_do = attributes.pop("noop_with_empty_axes", 0) and (axes is None or not axes.size)
        if nothing_to_do:
            draft.add("Identity", node.inputs[:1], node.outputs[0])
            return
        if axes is not None and axes.size:
            attributes["axes"] = integers(axes)
    draft.nodes.append(Node(node.op, node.inputs[:1], node.outputs, attributes))


def softmax(draft: Draft, node: Node) -> None:
    """Softmax, LogSoftmax: up to 12 over all axes from `axis` on, as one."""
    if draft.opset >= 13:
        draft.nodes.append(node)
        return
    x, axis = node.inputs[0], node.attributes.get("axis", 1)
    if axis == -1:
        draft.nodes.append(Node(node.op, node.inputs, node.outputs, {"axis": -1}))
        return
    rows = draft.add(node.op, (draft.add("Flatten", (x,), axis=axis),), axis=-1)
    draft.add("Reshape", (rows, draft.add("Shape", (x,))), node.outputs[0])


def clip(draft: Draft, node: Node) -> None:
    """Clip: the bounds became inputs in 11."""
    bounds = [
        draft.weight(name, np.asarray(node.attributes[name], np.float32)) if name in node.attributes else ""
        for name in ("min", "max")
    ]
    inputs = node.inputs if draft.opset >= 11 else (node.inputs[0], *bounds)
    draft.add("Clip", inputs, node.outputs[0])


def slice_(draft: Draft, node: Node) -> None:
    """Slice: what to cut became inputs in 10."""
    if draft.opset >= 10:
        draft.nodes.append(node)
        return
    given = (node.attributes.get(name) for name in ("starts", "ends", "axes"))
    inputs = [_integers(draft, "slice", values) if values is not None else "" for values in given]
    draft.add("Slice", (node.inputs[0], *inputs), node.outputs[0])


def split(draft: Draft, node: Node) -> None:
    """Split: the sizes became an input in 13; 18 has the number of parts, which is that of the outputs."""
    attributes = dict(node.attributes)
    sizes = attributes.pop("split", None)
    attributes.pop("num_outputs", None)
    inputs = node.inputs if sizes is None else (node.inputs[0], _integers(draft, "split", sizes))
    draft.nodes.append(Node("Split", inputs, node.outputs, attributes))


def dropout(draft: Draft, node: Node) -> None:
    """Dropout: nothing, outside training."""
    training = draft.constant(node, 2, "training_mode")
    if (training is not None and training.any()) or any(node.outputs[1:]):
        raise draft.refusal(node, "it drops values, or its mask is asked for; expected a model for inference")
    draft.add("Identity", node.inputs[:1], node.outputs[0])


def constant_of_shape(draft: Draft, node: Node) -> None:
    """ConstantOfShape: its value is a tensor, so a weight, spread over the shape."""
    value = node.attributes.get("value")
    name = value if isinstance(value, str) else draft.weight("zero", np.zeros(1, np.float32))
    draft.add("Expand", (name, node.inputs[0]), node.outputs[0])


def _integers(draft: Draft, stem: str, values: Attribute) -> str:
    return draft.weight(stem, np.asarray(values, np.int64))


CHANGED: dict[str, Callable[[Draft, Node], None]] = {
    "Clip": clip,
    "ConstantOfShape": constant_of_shape,
    "Dropout": dropout,
    "LogSoftmax": softmax,
    "ReduceL1": axes_as_attribute,
    "ReduceL2": axes_as_attribute,
    "ReduceLogSumExp": axes_as_attribute,
    "ReduceMax": axes_as_attribute,
    "ReduceMean": axes_as_attribute,
    "ReduceMin": axes_as_attribute,
    "ReduceProd": axes_as_attribute,
    "ReduceSumSquare": axes_as_attribute,
    "ReduceSum": axes_as_input,
    "Slice": slice_,
    "Softmax": softmax,
    "Split": split,
    "Squeeze": axes_as_input,
    "Unsqueeze": axes_as_input,
}
"""Operators whose inputs or meaning changed, each with what brings a node of it into the draft."""

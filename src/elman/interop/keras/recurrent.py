"""SimpleRNN, LSTM, GRU, their CuDNN forms and Bidirectional of Keras as `Recurrent` nodes, masks included.

A masked step of Keras carries the state, and shows the output of the step before it: wherever it is, and zero where
there is none. So the steps that count are moved to the front, the node runs over them with their number as `lengths`,
and every step is shown the output of the last one that counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from elman import cells
from elman.graph import RECURRENT_WEIGHTS, Array
from elman.graph._spec import Attribute
from elman.graph.recurrence import own_activations
from elman.interop.keras.activations import Squash, squash
from elman.interop.keras.draft import Draft, Flow
from elman.interop.keras.layer import Layer
from elman.interop.layouts import reorder

KINDS = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru"}
KERAS_1_GATES = {"lstm": ("i", "g", "f", "o"), "gru_reset_before": ("z", "r", "n")}
"""The order in which Keras 1 keeps the arrays of each gate."""
PART = "cell"
"""Where a new file keeps the arrays of a recurrent layer, under the layer."""
FIRST, LAST = -(2**31), 2**31
"""Where a slice ends that runs to the first step, or to the last one."""


@dataclass(frozen=True)
class Direction:
    """One direction: a recurrent layer of Keras. weights: by RECURRENT_WEIGHTS, in elman's layout."""

    cell: str
    units: int
    squashes: tuple[Squash, ...]
    weights: dict[str, Array]
    backwards: bool
    sequences: bool
    states: bool
    stateful: bool
    zero_masked: bool


def read(layer: Layer, x: Flow) -> list[Flow]:
    """A recurrent layer: its output, and with return_state its states."""
    one = _direction(layer, x)
    output, states = _run(layer, x, [one])
    return [output[0], *states] if one.states else [output[0]]


def bidirectional(layer: Layer, x: Flow) -> list[Flow]:
    """Bidirectional: one node for both directions, and what the merge mode makes of them."""
    inner = [layer.inner("layer", "forward_layer")]
    given = "layer" if layer.option("backward_layer") is None else "backward_layer"
    inner.append(layer.inner(given, "backward_layer"))
    if any(one.kind not in KINDS for one in inner):
        raise layer.refusal(f"it wraps {inner[0].kind}; expected {', '.join(KINDS)}")
    both = [_direction(one, x) for one in inner]
    for one in inner:
        one.finish()
    if given == "layer":
        both[1] = replace(both[1], backwards=not both[0].backwards)
    if both[0].backwards or not both[1].backwards:
        raise layer.refusal("its layers do not run forward and backwards, in this order")
    first, second = both
    if (first.cell.removesuffix("_relu"), first.units) != (second.cell.removesuffix("_relu"), second.units):
        raise layer.refusal("its two layers are of different kind or size")
    zero = first.sequences and _zeroes(layer.stored.version)
    mode = layer.option("merge_mode", "concat")
    outputs, states = _run(
        layer, x, [replace(one, zero_masked=zero) for one in both], joined=mode == "concat"
    )
    merged = _merge(layer, outputs, mode)
    return [*merged, *states] if first.states else merged


def _zeroes(version: str) -> bool:
    """Whether Bidirectional shows zeros at masked steps: it does since it is part of TensorFlow, 2.4 or "2.2.4-tf"."""
    numbers = tuple(int(part) if part.isdecimal() else 0 for part in version.split("-")[0].split(".")[:2])
    return "tf" in version or numbers >= (2, 4)


def _direction(layer: Layer, x: Flow) -> Direction:
    if len(x.axes) != 3:
        raise layer.refusal(f"its input has {len(x.axes)} axes; expected batch, time and features")
    if layer.flag("time_major"):
        raise layer.refusal("time_major, where time stands before the batch, is not one elman carries")
    cell, units = KINDS[layer.kind], layer.size("units", old="output_dim")
    after = layer.flag("reset_after", layer.kind == "CuDNNGRU")
    if cell == "gru" and not after:
        cell = "gru_reset_before"
    squashes = _squashes(layer, cell)
    if cell == "rnn" and squashes[0][0] == "Relu":
        cell = "rnn_relu"
    layer.option("unit_forget_bias")
    return Direction(
        cell=cell,
        units=units,
        squashes=squashes,
        weights=_weights(layer, cell, units, x.axes[2] if isinstance(x.axes[2], int) else None),
        backwards=layer.flag("go_backwards"),
        sequences=layer.flag("return_sequences"),
        states=layer.flag("return_state"),
        stateful=layer.flag("stateful"),
        zero_masked=layer.flag("zero_output_for_mask"),
    )


def _squashes(layer: Layer, cell: str) -> tuple[Squash, ...]:
    f = squash(layer, "activation", "tanh")
    if cell == "rnn":
        return (f,)
    old = "hard_sigmoid" if layer.stored.major == 1 else "sigmoid"
    gates = squash(layer, "recurrent_activation", old, old="inner_activation")
    return (gates, f, f) if cell == "lstm" else (gates, f)


def _weights(layer: Layer, cell: str, units: int, features: int | None) -> dict[str, Array]:
    """Arrays of one direction in elman's layout, out of any of Keras' layouts."""
    declared = cells.get(cell)
    layout, gates = declared.layouts["keras"], declared.gate_names
    rows = units * len(gates)
    biased = layer.flag("use_bias", True)
    bias: Array | None
    if layer.kind.startswith("CuDNN"):
        kernel, recurrent, bias = _cudnn(layer, units, rows, features)
    elif layer.stored.major == 1 and cell in KERAS_1_GATES and layer.config.get("consume_less") != "gpu":
        kernel, recurrent, bias = _keras_1(layer, KERAS_1_GATES[cell], layout.gates, units, features)
    else:
        shape = (2, rows) if layout.biases == "stacked" else (rows,)
        found = layer.arrays(PART, (features, rows), (units, rows), *([shape] if biased else []))
        kernel, recurrent, bias = found[0], found[1], found[2] if biased else None
    weights = {"weight_ih": kernel.T, "weight_hh": recurrent.T}
    if bias is not None:
        two = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        weights |= {"bias_ih": two[0], "bias_hh": two[1]}
    return {name: reorder(array, layout.gates, gates) for name, array in weights.items()}


def _cudnn(layer: Layer, units: int, rows: int, features: int | None) -> tuple[Array, Array, Array]:
    """CuDNN's layers keep the kernel of each gate with its two axes swapped but in its old shape, and both biases."""
    kernel, recurrent, bias = layer.arrays(PART, (features, rows), (units, rows), (2 * rows,))
    gates = np.split(kernel, rows // units, 1)
    kernel = np.hstack([gate.T.reshape(gate.shape, order="F") for gate in gates])
    recurrent = np.hstack([gate.T for gate in np.split(recurrent, rows // units, 1)])
    two = bias.reshape(2, rows)
    return kernel, recurrent, two if layer.kind == "CuDNNGRU" else two.sum(0)


def _keras_1(
    layer: Layer, order: tuple[str, ...], wanted: tuple[str, ...], units: int, features: int | None
) -> tuple[Array, Array, Array]:
    """Keras 1 keeps three arrays for each gate, one gate after the other."""
    found = layer.arrays(PART, *[(features, units), (units, units), (units,)] * len(order))
    kernel, recurrent, bias = (np.concatenate(found[n::3], axis=-1) for n in range(3))
    return (
        reorder(kernel, order, wanted, 1),
        reorder(recurrent, order, wanted, 1),
        reorder(bias, order, wanted, 0),
    )


def _run(
    layer: Layer, x: Flow, directions: list[Direction], *, joined: bool = False
) -> tuple[list[Flow], list[Flow]]:
    """One `Recurrent` node: the output of each direction, at each step or the last one; the states of each.

    joined: the outputs of all directions side by side at once, where that is possible.
    """
    draft, first = layer.draft, directions[0]
    data, lengths = _to_front(draft, x) if x.mask else (x.name, "")
    ends = _node(layer, data, lengths, directions)
    numbers = range(len(directions))
    if not first.sequences:
        outputs = [_last(draft, x, lengths, _pick(draft, ends[1], n), directions[n]) for n in numbers]
    elif len(directions) == 1:
        output = _back(draft, x.mask, ends[0], first)
        outputs = [
            Flow(_flip(draft, output) if first.backwards else output, (*x.axes[:2], first.units), x.mask)
        ]
    elif joined and (first.zero_masked or not x.mask):
        outputs = [Flow(_back(draft, x.mask, ends[0], first), (*x.axes[:2], 2 * first.units), x.mask)]
    else:
        shown = [draft.slice(ends[0], 2, n * first.units, (n + 1) * first.units) for n in numbers]
        shown = [_back(draft, x.mask, shown[n], directions[n]) for n in numbers]
        outputs = [Flow(name, (*x.axes[:2], first.units), x.mask) for name in shown]
    states = [
        Flow(_pick(draft, end, number), ("batch", first.units)) for number in numbers for end in ends[1:]
    ]
    return outputs, states


def _node(layer: Layer, data: str, lengths: str, directions: list[Direction]) -> tuple[str, ...]:
    """The node; names of its output and of its final states."""
    draft, first = layer.draft, directions[0]
    cell = first.cell if all(one.cell == first.cell for one in directions) else "rnn"
    declared = cells.get(cell)
    alone = "reverse" if first.backwards else "forward"
    direction = "bidirectional" if len(directions) == 2 else alone
    attributes: dict[str, Attribute] = {"cell": cell, "direction": direction}
    squashes = [squash for one in directions for squash in one.squashes]
    if [squash[0] for squash in squashes] != own_activations(declared) * len(directions):
        attributes |= {
            "activations": [squash[0] for squash in squashes],
            "alphas": [squash[1] for squash in squashes],
            "betas": [squash[2] for squash in squashes],
        }
    given = ["", ""]
    if first.stateful:
        axes = (len(directions), "batch", first.units)
        for position, state in enumerate(declared.state_names):
            name = f"{layer.name}.{state}"
            given[position] = draft.input(name, draft.dtype.name, axes, optional=True)
    weights = []
    for number, one in enumerate(directions):
        suffix = "_reverse" if number else ""
        weights += [
            draft.weight(f"{layer.name}.{name}{suffix}", one.weights[name]) if name in one.weights else ""
            for name in RECURRENT_WEIGHTS
        ]
    inputs = (data, lengths, *given, *weights)
    ends = draft.several("Recurrent", inputs, 1 + len(declared.states), **attributes)
    if first.stateful:
        draft.states |= {
            f"{layer.name}.{s}": end for s, end in zip(declared.state_names, ends[1:], strict=True)
        }
    return ends


def _to_front(draft: Draft, x: Flow) -> tuple[str, str]:
    """x with the steps that count moved to the front, in their order, and how many there are in each row."""
    steps = draft.add("Unsqueeze", _order(draft, x.mask), draft.integers(2))
    lengths = draft.add("ReduceSum", _counts(draft, x.mask), draft.integers(1), keepdims=0)
    return draft.add("GatherND", x.name, steps, batch_dims=1), lengths


def _order(draft: Draft, mask: str) -> str:
    """The steps of each row (batch, time), those that count first: TopK keeps the order of equals."""
    counts = draft.add("Cast", mask, to=1)
    return draft.add("TopK", counts, draft.slice(draft.add("Shape", mask), 0, 1, 2), output=1, axis=1)


def _counts(draft: Draft, mask: str) -> str:
    return draft.add("Cast", mask, to=7)


def _pick(draft: Draft, states: str, number: int) -> str:
    """The state (batch, features) of one direction."""
    return draft.add("Gather", states, draft.whole(number), axis=0)


def _flip(draft: Draft, output: str) -> str:
    """The steps in the other order."""
    return draft.slice(output, 1, -1, FIRST, -1)


def _back(draft: Draft, mask: str, output: str, one: Direction) -> str:
    """From the steps at the front to where they stood; a masked step shows the one before it, or zero."""
    if not mask:
        return output
    counts = _counts(draft, mask)
    before = draft.add("CumSum", counts, draft.whole(1), exclusive=int(one.backwards))
    if not one.backwards:  # row 0 stands for "no step yet"; a row shorter than its steps ends in zeros anyway
        output = draft.add("Pad", output, draft.integers(0, 1, 0, 0, 0, 0))
    shown = draft.add("GatherND", output, draft.add("Unsqueeze", before, draft.integers(2)), batch_dims=1)
    if not one.zero_masked:
        return shown
    return draft.add("Where", draft.add("Unsqueeze", mask, draft.integers(2)), shown, draft.number(0.0))


def _last(draft: Draft, x: Flow, lengths: str, state: str, one: Direction) -> Flow:
    """The output of the last step: the final state, but zero for a row none of whose steps counts."""
    axes = (x.axes[0], one.units)
    if not x.mask:
        return Flow(state, axes)
    counted = draft.add("Greater", lengths, draft.whole(0))
    if one.zero_masked:
        counted = draft.slice(x.mask, 1, 0, 1) if one.backwards else draft.slice(x.mask, 1, -1, LAST)
        counted = draft.add("Squeeze", counted, draft.integers(1))
    shown = draft.add("Unsqueeze", counted, draft.integers(1))
    return Flow(draft.add("Where", shown, state, draft.number(0.0)), axes)


def _merge(layer: Layer, outputs: list[Flow], mode: object) -> list[Flow]:
    if mode is None or len(outputs) == 1:
        return outputs
    draft, (a, b) = layer.draft, outputs
    if mode == "concat":
        axes = (*a.axes[:-1], 2 * int(a.axes[-1]))
        return [Flow(draft.add("Concat", a.name, b.name, axis=-1), axes, a.mask)]
    operators = {"sum": "Add", "ave": "Add", "mul": "Mul"}
    if mode not in operators:
        raise layer.refusal(f"merge_mode {mode!r:.60} is not one Keras has")
    merged = draft.add(operators[str(mode)], a.name, b.name)
    if mode == "ave":
        merged = draft.add("Mul", merged, draft.number(0.5))
    return [Flow(merged, a.axes, a.mask)]

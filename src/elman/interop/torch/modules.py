"""A graph as a torch model of torch.nn modules and torch functions: it needs elman no longer."""

from __future__ import annotations

import keyword
import operator
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.nn.utils import rnn

from elman.errors import InputError
from elman.graph import RECURRENT_INPUTS, RECURRENT_WEIGHTS, Array, Graph, Node
from elman.interop.torch import functions

_CLASSES: dict[str, tuple[Callable[..., nn.RNNBase], dict[str, Any]]] = {
    "rnn": (nn.RNN, {}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
}


_TAKEN = {*dir(fx.GraphModule(nn.Module(), fx.Graph())), "self", "torch"}
"""Names that modules of torch, or the code that torch makes of a graph, have already."""


def to_torch(graph: Graph) -> fx.GraphModule:
    """A plain torch model that computes the same: nn.Embedding, nn.RNN, nn.GRU, nn.LSTM, nn.Linear, torch functions.

    Its arguments are the graph's inputs by name (those that may be left out are 0), what it returns a dict of the
    outputs. Parameters carry the names of the graph's weights, so its state dict is that of the original model; layers
    on top of each other that are named as one stack become one module. `model.code` shows what runs.

    Raises InputError: a cell or operator that torch.nn does not have (gru_reset_before, peepholes, ...), by name.

    >>> from elman.graph import Builder
    >>> b = Builder()
    >>> words = b.weight("words.weight", torch.ones(5, 3).numpy())
    >>> vectors = b.gather(words, b.input("symbols", "int64", ("batch", "time")))
    >>> b.output("vectors", vectors, "float32", ("batch", "time", 3))
    >>> model = to_torch(b.graph())
    >>> model.words, model(torch.zeros(1, 2, dtype=torch.long))["vectors"].shape
    (Embedding(5, 3), torch.Size([1, 2, 3]))
    """
    return Model(graph).module()


class Model:
    """A graph on its way to torch: what every name has become."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.fx, self.root = graph, fx.Graph(), nn.Module()
        self.values: dict[str, Any] = {"": None}
        self.readers = Counter(name for node in graph.nodes for name in node.inputs if name)
        self.readers.update(value.name for value in graph.outputs)
        self.reader = {name: node for node in graph.nodes for name in node.inputs}
        self.writer = {name: node for node in graph.nodes for name in node.outputs}
        self.done: set[int] = set()

    def module(self) -> fx.GraphModule:
        for value in sorted(self.graph.inputs, key=lambda value: value.optional):
            default = {"default_value": 0.0} if value.optional else {}
            self.values[value.name] = self.fx.placeholder(identifier(value.name), **default)
        for node in self.graph.nodes:
            self._add(node)
        self.fx.output({value.name: self.values[value.name] for value in self.graph.outputs})
        made = fx.GraphModule(self.root, self.fx).eval()
        made.graph.eliminate_dead_code()
        made.recompile()
        return made

    def _add(self, node: Node) -> None:
        if id(node) in self.done:
            return
        self.done.add(id(node))
        pattern = _PATTERNS.get(node.op)
        if pattern is not None and pattern(self, node):
            return
        writer = functions.WRITERS.get(node.op)
        if writer is None:
            known = ", ".join(sorted({*functions.WRITERS, *_PATTERNS}))
            raise InputError(f"operator {node.op} has no counterpart in torch here; known: {known}.")
        found = writer(self, node)
        if len(node.outputs) == 1:
            self.values[node.outputs[0]] = found
            return
        for place, name in enumerate(node.outputs):
            self.values[name] = self.call(operator.getitem, found, place)

    # --- what writers use

    def __getitem__(self, name: str) -> Any:
        """What a name has become; a weight becomes a parameter where it is first read, a node is added before its turn
        where a stack of layers needs it."""
        if name not in self.values and name in self.writer:
            self._add(self.writer[name])
        if name not in self.values:
            self.values[name] = self.fx.get_attr(self.parameter(name))
        return self.values[name]

    def inputs(self, node: Node) -> list[Any]:
        return [self[name] for name in node.inputs]

    def call(self, function: Callable[..., Any], *inputs: Any, **named: Any) -> fx.Node:
        return self.fx.call_function(function, inputs, named)

    def method(self, name: str, *inputs: Any, **named: Any) -> fx.Node:
        return self.fx.call_method(name, inputs, named)

    def constant(self, name: str) -> Array:
        """The value of an input that shapes the model."""
        if name not in self.graph.weights:
            raise InputError(
                f"{name} is computed while the model runs; torch needs it when the model is made."
            )
        return self.graph.weights[name]

    def parameter(self, name: str) -> str:
        array = self.graph.weights[name]
        name, owner, leaf = self.free(name)
        if array.dtype.kind == "f":
            setattr(owner, leaf, nn.Parameter(torch.from_numpy(array.copy())))
        else:
            owner.register_buffer(leaf, torch.from_numpy(array.copy()))
        return ".".join(identifier(part) for part in name.split("."))

    def place(self, name: str) -> tuple[nn.Module, str]:
        """The module that holds what has a dotted name, made where it is not there yet, and the last part."""
        owner = self.root
        *path, leaf = (identifier(part) for part in name.split("."))
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            owner = getattr(owner, part)
            if not isinstance(owner, nn.Module):
                raise InputError(f"torch: {name!r} is within {part!r}, which is a weight itself.")
        return owner, leaf

    def free(self, name: str) -> tuple[str, nn.Module, str]:
        """The name, another one if that is taken, with its place."""
        while True:
            owner, leaf = self.place(name)
            if not hasattr(owner, leaf):
                return name, owner, leaf
            name += "_again"

    def layer(self, name: str, made: nn.Module, tensors: Mapping[str, str]) -> str:
        """Put a module with the weights named into its place; returns its path, another one if that is taken."""
        with torch.no_grad():
            for parameter, weight in tensors.items():
                getattr(made, parameter).copy_(torch.from_numpy(self.graph.weights[weight].copy()))
        name, owner, leaf = self.free(name)
        owner.add_module(leaf, made)
        return ".".join(identifier(part) for part in name.split("."))

    def only_reader(self, name: str) -> Node | None:
        return self.reader.get(name) if self.readers[name] == 1 else None


# --- layers, found by what their nodes look like


def _embedding(model: Model, node: Node) -> bool:
    table = model.graph.weights.get(node.inputs[0])
    name = node.inputs[0]
    if table is None or table.ndim != 2 or table.dtype.kind != "f" or node.attributes.get("axis", 0) != 0:
        return False
    if model.readers[name] > 1 or not name.endswith(".weight") or node.inputs[1] in model.graph.weights:
        return False
    made = nn.Embedding(table.shape[0], table.shape[1], dtype=_dtype(table))
    path = model.layer(name.removesuffix(".weight"), made, {"weight": name})
    model.values[node.outputs[0]] = model.fx.call_module(path, (model[node.inputs[1]],))
    return True


def _linear(model: Model, node: Node) -> bool:
    """x W' + b: a Transpose of a weight, read by one MatMul, read by one Add of a vector; or a Gemm."""
    if node.op == "Gemm":
        a = node.attributes
        plain = (
            a.get("alpha", 1.0) == 1
            and a.get("beta", 1.0) == 1
            and not a.get("transA", 0)
            and a.get("transB", 0)
        )
        x, name, bias = (*node.inputs, "", "")[:3]
        if not plain or not _linear_weights(model, name, bias):
            return False
        model.values[node.outputs[0]] = _linear_layer(model, model[x], name, bias)
        return True
    product = model.only_reader(node.outputs[0])
    name = node.inputs[0]
    if product is None or product.op != "MatMul" or product.inputs[1] != node.outputs[0]:
        return False
    if list(node.attributes.get("perm", [1, 0])) != [1, 0] or not _linear_weights(model, name, ""):  # type: ignore[arg-type]
        return False
    last, bias = product, ""
    added = model.only_reader(product.outputs[0])
    if added is not None and added.op == "Add":
        other = added.inputs[added.inputs[0] == product.outputs[0]]
        if _linear_weights(model, name, other) and other:
            last, bias = added, other
    model.done |= {id(product), id(last)}
    model.values[last.outputs[0]] = _linear_layer(model, model[product.inputs[0]], name, bias)
    return True


def _linear_weights(model: Model, name: str, bias: str) -> bool:
    weight, vector = model.graph.weights.get(name), model.graph.weights.get(bias)
    if weight is None or weight.ndim != 2 or not name.endswith(".weight") or model.readers[name] > 1:
        return False
    return not bias or (vector is not None and vector.shape == weight.shape[:1] and model.readers[bias] == 1)


def _linear_layer(model: Model, x: Any, name: str, bias: str) -> fx.Node:
    weight = model.graph.weights[name]
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bool(bias), dtype=_dtype(weight))
    tensors = {"weight": name, **({"bias": bias} if bias else {})}
    return model.fx.call_module(model.layer(name.removesuffix(".weight"), made, tensors), (x,))


def _recurrent(model: Model, node: Node) -> bool:
    """A stack: this node, and those on top of it that are named as layers of the same module."""
    layers = [node]
    while (above := _above(model, layers[-1], len(layers))) is not None:
        layers.append(above)
    made, tensors = _stack(model, layers)
    path = model.layer(_stack_name(layers[0]), made, tensors)
    x, lengths = model[node.inputs[0]], model[node.inputs[1]] if len(node.inputs) > 1 else None
    if _weights(node, 0)["weight_ih"] and _symbols(model, node):
        x = model.method("to", model.call(F.one_hot, x, made.input_size), made.weight_ih_l0.dtype)
    reverse = node.attributes.get("direction") == "reverse"
    if reverse:
        x = _reversed(model, x, lengths)
    output, states = _run(model, path, made, layers, x, lengths)
    if reverse:
        output = _reversed(model, output, lengths)
    model.values[layers[-1].outputs[0]] = output
    directions = 2 if made.bidirectional else 1
    for number, layer in enumerate(layers):
        model.done.add(id(layer))
        for state, name in zip(states, layer.outputs[1:], strict=False):
            if name and model.readers[name]:
                first = number * directions
                model.values[name] = model.call(operator.getitem, state, slice(first, first + directions))
    return True


def _run(
    model: Model, path: str, made: nn.RNNBase, layers: Sequence[Node], x: Any, lengths: Any
) -> tuple[Any, list[Any]]:
    """The module over a batch, and its states; with lengths as a packed sequence, and rows of length 0 as they were."""
    lstm = isinstance(made, nn.LSTM)
    before = [_initial(model, made, layers, which, x) for which in ((2, 3) if lstm else (2,))]
    given = [] if all(each is None for each in before) else [tuple(before) if lstm else before[0]]
    if lengths is None:
        ran = model.fx.call_module(path, (x, *given))
        output, after = model.call(operator.getitem, ran, 0), model.call(operator.getitem, ran, 1)
        return output, [
            model.call(operator.getitem, after, 0),
            model.call(operator.getitem, after, 1),
        ] if lstm else [after]
    most = model.method("size", x, 1)
    packed = model.call(
        rnn.pack_padded_sequence,
        x,
        model.method("clamp", lengths, min=1),
        batch_first=True,
        enforce_sorted=False,
    )
    ran = model.fx.call_module(path, (packed, *given))
    padded = model.call(
        rnn.pad_packed_sequence, model.call(operator.getitem, ran, 0), batch_first=True, total_length=most
    )
    after = model.call(operator.getitem, ran, 1)
    some = model.call(torch.gt, lengths, 0)
    output = model.call(
        torch.mul,
        model.call(operator.getitem, padded, 0),
        model.call(operator.getitem, some, (slice(None), None, None)),
    )
    states = (
        [model.call(operator.getitem, after, 0), model.call(operator.getitem, after, 1)] if lstm else [after]
    )
    kept = model.call(operator.getitem, some, (None, slice(None), None))
    return output, [
        model.call(torch.where, kept, state, 0.0 if start is None else start)
        for state, start in zip(states, before, strict=True)
    ]


def _initial(model: Model, made: nn.RNNBase, layers: Sequence[Node], which: int, x: Any) -> Any:
    """The states of all layers before the first step; None for zeros."""
    names = [layer.inputs[which] if len(layer.inputs) > which else "" for layer in layers]
    if not any(names):
        return None
    directions = 2 if made.bidirectional else 1
    size = (made.proj_size or made.hidden_size) if which == 2 else made.hidden_size
    batch = model.method("size", x, 0)
    zeros = model.call(torch.zeros, (directions, batch, size), dtype=made.weight_ih_l0.dtype)
    return model.call(
        torch.cat, [model.call(torch.add, zeros, model[name]) if name else zeros for name in names]
    )


def _stack(model: Model, layers: Sequence[Node]) -> tuple[nn.RNNBase, dict[str, str]]:
    first = layers[0]
    cell = str(first.attributes["cell"])
    strange = sorted(set(first.attributes) - {"cell", "direction"})
    if cell not in _CLASSES or strange:
        told = f"cell {cell!r}" if cell not in _CLASSES else f"a {cell} with {', '.join(strange)}"
        raise InputError(f"torch.nn has no {told}; it has {', '.join(_CLASSES)}.")
    kind, extra = _CLASSES[cell]
    both = first.attributes.get("direction") == "bidirectional"
    arrays = {stem: model.graph.weights[name] for stem, name in _weights(first, 0).items() if name}
    if "weight_ch" in arrays:
        raise InputError("torch.nn has no LSTM with peepholes.")
    size = arrays["weight_hr"].shape[1] if "weight_hr" in arrays else arrays["weight_hh"].shape[1]
    if "weight_hr" in arrays:
        extra = {**extra, "proj_size": arrays["weight_hr"].shape[0]}
    made = kind(
        arrays["weight_ih"].shape[1],
        size,
        num_layers=len(layers),
        bias="bias_ih" in arrays or "bias_hh" in arrays,
        batch_first=True,
        bidirectional=both,
        dtype=_dtype(arrays["weight_ih"]),
        **extra,
    )
    tensors: dict[str, str] = {}
    for number, layer in enumerate(layers):
        for direction in range(1 + both):
            suffix = f"_l{number}{'_reverse' * direction}"
            for stem, name in _weights(layer, direction).items():
                if name:
                    tensors[stem + suffix] = name
                elif hasattr(made, stem + suffix):
                    nn.init.zeros_(getattr(made, stem + suffix))
    return made, tensors


def _above(model: Model, node: Node, number: int) -> Node | None:
    """The node that is the next layer of the same module: named so, alike, and alone in reading this one."""
    above = model.only_reader(node.outputs[0])
    if above is None or above.op != "Recurrent" or above.inputs[0] != node.outputs[0]:
        return None
    lengths = [(*each.inputs, "")[1] for each in (node, above)]
    name, expected = _weights(above, 0)["weight_ih"], f"{_stack_name(node)}.weight_ih_l{number}".lstrip(".")
    alike = dict(above.attributes) == dict(node.attributes) and lengths[0] == lengths[1]
    return above if name == expected and alike and node.attributes.get("direction") != "reverse" else None


def _stack_name(node: Node) -> str:
    return _weights(node, 0)["weight_ih"].rpartition("weight_ih")[0].rstrip(".") or "recurrent"


def _weights(node: Node, direction: int) -> dict[str, str]:
    """Names of the weights of one direction; "" where there is none."""
    first = len(RECURRENT_INPUTS) + direction * len(RECURRENT_WEIGHTS)
    names = (*node.inputs, *[""] * (first + len(RECURRENT_WEIGHTS)))[first:][: len(RECURRENT_WEIGHTS)]
    return dict(zip(RECURRENT_WEIGHTS, names, strict=True))


def _symbols(model: Model, node: Node) -> bool:
    """Whether a Recurrent node reads symbols: an integer input of the graph with two axes."""
    given = {value.name: value for value in model.graph.inputs}.get(node.inputs[0])
    return given is not None and given.dtype == "int64" and len(given.axes) == 2


def _reversed(model: Model, x: Any, lengths: Any) -> Any:
    """Every row (B, T, F) from its last step to its first."""
    return model.call(torch.flip, x, [1]) if lengths is None else functions.reverse(model, x, lengths)


def identifier(name: str) -> str:
    """A name of Python, and none that torch has use for: whatever else stands in it becomes a line below."""
    letters = unicodedata.normalize("NFKC", name)  # as Python does
    made = "".join(letter if f"a{letter}".isidentifier() else "_" for letter in letters)
    if not made.isidentifier() or keyword.iskeyword(made):
        made = f"_{made}"
    return f"{made}_" if made in _TAKEN else made


def _dtype(array: Array) -> torch.dtype:
    return torch.from_numpy(array[:0].copy()).dtype


_PATTERNS: dict[str, Callable[[Model, Node], bool]] = {
    "Gather": _embedding,
    "Transpose": _linear,
    "Gemm": _linear,
    "Recurrent": _recurrent,
}

"""Whether a graph is one: names, order, operators and attributes, before anything is computed or read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from elman import cells
from elman.errors import InputError, check_choice
from elman.graph._operators import OPERATORS, check_attribute
from elman.graph._spec import RECURRENT_INPUTS, RECURRENT_WEIGHTS, Node, Value
from elman.graph.recurrence import DIRECTIONS

DTYPES = ("float32", "float64", "int32", "int64", "bool")
RECURRENT = "Recurrent"

_ATTRIBUTES = {
    "cell": "str",
    "direction": "str",
    "activations": "list[str]",
    "alphas": "list[float]",
    "betas": "list[float]",
    "clip": "float",
    "input_forget": "int",
}


def operators() -> tuple[str, ...]:
    """The ONNX operators (opset 17) a graph may hold, beside `Recurrent`.

    >>> "Gather" in operators(), "Loop" in operators()
    (True, False)
    """
    return tuple(sorted(OPERATORS))


def check(
    inputs: Sequence[Value], outputs: Sequence[Value], nodes: Iterable[Node], weights: Collection[str]
) -> None:
    """Raise InputError for what makes no graph: a name missing, written twice or read before it is written, an
    operator that is unknown or has no such inputs, outputs or attributes.
    """
    known = set(weights)
    for value in (*inputs, *outputs):
        _check_value(value)
    for value in inputs:
        _add(known, value.name, "an input")
    for node in nodes:
        for name in node.inputs:
            if name and name not in known:
                raise InputError(
                    f"graph: {described(node)} reads {name!r:.60}, which no input, weight or node before it gives."
                )
        try:
            _check_node(node)
        except InputError as error:
            raise InputError(f"graph: {described(node)}: {error}") from None
        for name in filter(None, node.outputs):
            _add(known, name, described(node))
    names = [value.name for value in outputs]
    if not names or len(set(names)) < len(names):
        raise InputError(f"graph: outputs {str(names)[:80]}, expected different names, at least one.")
    if missing := [name for name in names if name not in known]:
        raise InputError(f"graph: output {missing[0]!r:.60} is written by no node.")


def described(node: Node) -> str:
    """A node in messages: its operator, and what it writes."""
    return f"{ascii(node.op)[1:-1]:.40} that writes {next(filter(None, node.outputs), '')!r:.60}"


def _add(known: set[str], name: str, what: str) -> None:
    if not name or name in known:
        raise InputError(f"graph: {what} has the name {name!r:.60}; expected one that nothing else has.")
    known.add(name)


def _check_value(value: Value) -> None:
    if value.dtype not in DTYPES:
        raise InputError(
            f"graph: {value.name!r:.60} has dtype {value.dtype!r:.40}, expected one of {', '.join(DTYPES)}."
        )
    for axis in value.axes:
        if axis == "" or (not isinstance(axis, str) and (isinstance(axis, bool) or axis < 0)):
            raise InputError(f"graph: {value.name!r:.60} has an axis {axis!r}, expected a size or a name.")


def _check_node(node: Node) -> None:
    if node.op == RECURRENT:
        _check_recurrent(node)
        return
    if not any(node.outputs):
        raise InputError("it writes nothing.")
    if (operator := OPERATORS.get(node.op)) is None:
        check_choice("operator", node.op, [*OPERATORS, RECURRENT])
    else:
        operator.check(node.inputs, len(node.outputs), node.attributes)


def _check_recurrent(node: Node) -> None:
    for name, value in node.attributes.items():
        check_choice("attribute", name, _ATTRIBUTES)
        check_attribute(name, value, _ATTRIBUTES[name])
    cell = cells.get(str(node.attributes.get("cell", "")))
    direction = check_choice("direction", str(node.attributes.get("direction", "forward")), DIRECTIONS)
    count = len(RECURRENT_INPUTS) + len(RECURRENT_WEIGHTS) * len(DIRECTIONS[direction])
    if len(node.inputs) != count or not node.inputs[0]:
        raise InputError(f"{len(node.inputs)} inputs, expected x and {count - 1} more, '' where left out.")
    if not 1 <= len(node.outputs) <= 1 + len(cell.states):
        raise InputError(
            f"{len(node.outputs)} outputs, expected output and {', '.join(cell.state_names)} after it."
        )

"""What a cell declares: names, equation, one step and its derivative, weights, source. Nothing here computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from elman.cells._ops import Array, BackwardProduct, ByName, Ops, Recurrent

Step: TypeAlias = Callable[[Ops, ByName, Recurrent, ByName], tuple[ByName, ByName]]
Backward: TypeAlias = Callable[
    [Ops, ByName, ByName, ByName, ByName, BackwardProduct],
    tuple[ByName, dict[str, Array]],
]
Activation: TypeAlias = Literal["sigmoid", "tanh", "relu"]


@dataclass(frozen=True)
class Gate:
    """One block of H rows in the stacked weights, in the order the cell lists them (torch's order).

    bias: the value `init="elman"` gives to this gate's bias (1 for a forget gate, else 0).
    """

    name: str
    activation: Activation
    meaning: str
    bias: float = 0.0


@dataclass(frozen=True)
class State:
    """What one step hands to the next. The first state of a cell is `h`, its output."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Source:
    """The paper, and where the cell differs from it."""

    authors: str
    year: int
    title: str
    link: str
    deviation: str = "none"


@dataclass(frozen=True)
class Layout:
    """How another system stores this cell's weights, as data for `elman.interop`.

    gates: order of the blocks along the gate axis.
    columns: True if a weight is (features, G*H), Keras' way; False if it is (G*H, features).
    biases: "two" (input and recurrent apart), "one" (their sum), "concatenated" (one vector, input first),
        "stacked" (one (2, G*H) matrix).
    operator: the other system's name for the layer, with the attributes that make it this cell.
    """

    gates: tuple[str, ...]
    columns: bool
    biases: Literal["two", "one", "concatenated", "stacked"]
    operator: str


@dataclass(frozen=True)
class Cell:
    """A recurrence: one time step, declared once. It never sees time, padding, direction or depth.

    step(ops, x, recurrent, state) -> (new_state, kept): x holds W_k x_t + b_k by gate name, `recurrent(h)` gives
        U_k h + d_k by gate name; `kept` holds every gate's activation, by gate name, and the `intermediates`.
    backward(ops, grad, kept, previous, state, product) -> (grad_x, grad_previous): `grad` is the gradient with
        respect to the new state, grad_x that with respect to x by gate, grad_previous that with respect to the
        previous state; `product` is the reverse of `recurrent`.
    projection: the output h may be projected to proj_size < H after the step (h_t = V h'_t), torch's `proj_size`.
    """

    name: str
    title: str
    equation: str
    symbols: tuple[tuple[str, str], ...]
    gates: tuple[Gate, ...]
    states: tuple[State, ...]
    step: Step
    backward: Backward
    source: Source
    layouts: dict[str, Layout]
    intermediates: tuple[str, ...] = ()
    projection: bool = False
    not_covered: str = "nothing"

    @property
    def gate_names(self) -> tuple[str, ...]:
        """Names of the gates in the order of the stacked weights."""
        return tuple(gate.name for gate in self.gates)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states, `h` first."""
        return tuple(state.name for state in self.states)

"""The simple recurrent network of Elman: the new state is a squashed sum of the input and the old state."""

from __future__ import annotations

from elman.cells._ops import Array, BackwardProduct, ByName, Ops, Recurrent
from elman.cells._spec import Activation, Backward, Cell, Gate, Layout, Source, State, Step

EQUATION = "h_t = {f}(W x_t + b + U h_{{t-1}} + d)"

SYMBOLS = (
    ("x_t", "input at step t, (I,)"),
    ("h_t", "hidden state and output at step t, (H,)"),
    ("W, b", "input weight (H, I) and its bias: weight_ih, bias_ih"),
    ("U, d", "recurrent weight (H, H) and its bias: weight_hh, bias_hh"),
)


def _step(activation: Activation) -> Step:
    def step(ops: Ops, x: ByName, recurrent: Recurrent, state: ByName) -> tuple[ByName, ByName]:
        h = getattr(ops, activation)(x["h"] + recurrent(state["h"])["h"])
        return {"h": h}, {"h": h}

    return step


def _backward(activation: Activation) -> Backward:
    def backward(
        ops: Ops, grad: ByName, kept: ByName, previous: ByName, state: ByName, product: BackwardProduct
    ) -> tuple[ByName, dict[str, Array]]:
        d = {"h": grad["h"] * getattr(ops, f"{activation}_slope")(kept["h"])}
        return d, {"h": product(previous["h"], d)}

    return backward


def _cell(name: str, activation: Activation, title: str, keras: str, onnx: str) -> Cell:
    return Cell(
        name=name,
        title=title,
        equation=EQUATION.format(f=activation),
        symbols=SYMBOLS,
        gates=(Gate("h", activation, "the new hidden state"),),
        states=(State("h", "hidden state, the output"),),
        step=_step(activation),
        backward=_backward(activation),
        source=Source(
            authors="Jeffrey L. Elman",
            year=1990,
            title="Finding Structure in Time",
            link="https://doi.org/10.1207/s15516709cog1402_1",
            deviation=f"{activation} in place of the logistic function; two biases, as in torch",
        ),
        layouts={
            "torch": Layout(("h",), False, "two", f"RNN(nonlinearity={activation!r})"),
            "keras": Layout(("h",), True, "one", keras),
            "onnx": Layout(("h",), False, "concatenated", onnx),
        },
    )


CELLS = (
    _cell("rnn", "tanh", "Elman network (simple RNN)", "SimpleRNN()", "RNN()"),
    _cell(
        "rnn_relu",
        "relu",
        "Elman network with rectified units",
        "SimpleRNN(activation='relu')",
        "RNN(activations=['Relu'])",
    ),
)

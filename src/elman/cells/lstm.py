"""Long short-term memory: a cell state that is carried along, written, erased and read through gates."""

from __future__ import annotations

from elman.cells._ops import Array, BackwardProduct, ByName, Ops, Recurrent
from elman.cells._spec import Cell, Gate, Layout, Source, State

EQUATION = """\
i_t = sigmoid(W_i x_t + b_i + U_i h_{t-1} + d_i)
f_t = sigmoid(W_f x_t + b_f + U_f h_{t-1} + d_f)
g_t = tanh(W_g x_t + b_g + U_g h_{t-1} + d_g)
o_t = sigmoid(W_o x_t + b_o + U_o h_{t-1} + d_o)
c_t = f_t * c_{t-1} + i_t * g_t
h_t = o_t * tanh(c_t)"""


def step(ops: Ops, x: ByName, recurrent: Recurrent, state: ByName) -> tuple[ByName, ByName]:
    u = recurrent(state["h"])
    i = ops.sigmoid(x["i"] + u["i"])
    f = ops.sigmoid(x["f"] + u["f"])
    g = ops.tanh(x["g"] + u["g"])
    o = ops.sigmoid(x["o"] + u["o"])
    c = f * state["c"] + i * g
    h = o * ops.tanh(c)
    return {"h": h, "c": c}, {"i": i, "f": f, "g": g, "o": o}


def backward(
    ops: Ops, grad: ByName, kept: ByName, previous: ByName, state: ByName, product: BackwardProduct
) -> tuple[ByName, dict[str, Array]]:
    i, f, g, o = kept["i"], kept["f"], kept["g"], kept["o"]
    squashed = ops.tanh(state["c"])
    c = grad["c"] + grad["h"] * o * ops.tanh_slope(squashed)
    d = {
        "i": c * g * ops.sigmoid_slope(i),
        "f": c * previous["c"] * ops.sigmoid_slope(f),
        "g": c * i * ops.tanh_slope(g),
        "o": grad["h"] * squashed * ops.sigmoid_slope(o),
    }
    return d, {"h": product(previous["h"], d), "c": c * f}


CELLS = (
    Cell(
        name="lstm",
        title="Long short-term memory",
        equation=EQUATION,
        symbols=(
            ("x_t", "input at step t, (I,)"),
            ("h_t", "hidden state and output at step t, (H,), or (P,) after the projection h_t := V h_t"),
            ("c_t", "cell state at step t, (H,)"),
            ("i_t, f_t, o_t", "input, forget and output gate, (H,), between 0 and 1"),
            ("g_t", "candidate written to the cell state, (H,), between -1 and 1"),
            ("W_k, b_k", "input weight (H, I) and bias of gate k: rows of weight_ih and bias_ih"),
            ("U_k, d_k", "recurrent weight (H, H) and bias of gate k: rows of weight_hh and bias_hh"),
            ("V", "projection (P, H), only with proj_size: weight_hr"),
        ),
        gates=(
            Gate("i", "sigmoid", "input gate: how much of the candidate is written"),
            Gate("f", "sigmoid", "forget gate: how much of the old cell state is kept", bias=1.0),
            Gate("g", "tanh", "candidate for the cell state"),
            Gate("o", "sigmoid", "output gate: how much of the cell state is shown"),
        ),
        states=(State("h", "hidden state, the output"), State("c", "cell state, the memory")),
        step=step,
        backward=backward,
        source=Source(
            authors="Sepp Hochreiter, Juergen Schmidhuber",
            year=1997,
            title="Long Short-Term Memory",
            link="https://doi.org/10.1162/neco.1997.9.8.1735",
            deviation="forget gate as in Gers, Schmidhuber and Cummins (2000); no peepholes; two biases, as in torch",
        ),
        layouts={
            "torch": Layout(("i", "f", "g", "o"), False, "two", "LSTM()"),
            "keras": Layout(("i", "f", "g", "o"), True, "one", "LSTM()"),
            "onnx": Layout(("i", "o", "f", "g"), False, "concatenated", "LSTM()"),
        },
        projection=True,
        not_covered="peephole connections, coupled input and forget gates",
    ),
)

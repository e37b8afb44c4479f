"""Gated recurrent unit, reset gate applied after the recurrent product (torch, cuDNN, Keras' default)."""

from __future__ import annotations

from elman.cells._ops import Array, BackwardProduct, ByName, Ops, Recurrent
from elman.cells._spec import Cell, Gate, Layout, Source, State

EQUATION = """\
r_t = sigmoid(W_r x_t + b_r + U_r h_{t-1} + d_r)
z_t = sigmoid(W_z x_t + b_z + U_z h_{t-1} + d_z)
n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + d_n))
h_t = (1 - z_t) * n_t + z_t * h_{t-1}"""

SYMBOLS = (
    ("x_t", "input at step t, (I,)"),
    ("h_t", "hidden state and output at step t, (H,)"),
    ("r_t", "reset gate, (H,), between 0 and 1"),
    ("z_t", "update gate, (H,), between 0 and 1; it keeps the old state"),
    ("n_t", "candidate for the new state, (H,), between -1 and 1"),
    ("W_k, b_k", "input weight (H, I) and bias of gate k: rows of weight_ih and bias_ih"),
    ("U_k, d_k", "recurrent weight (H, H) and bias of gate k: rows of weight_hh and bias_hh"),
)

GATES = (
    Gate("r", "sigmoid", "reset gate: how much of the old state the candidate sees"),
    Gate("z", "sigmoid", "update gate: how much of the old state is kept"),
    Gate("n", "tanh", "candidate for the new state"),
)


SOURCE = Source(
    authors="Kyunghyun Cho, Bart van Merrienboer, Caglar Gulcehre, Dzmitry Bahdanau, Fethi Bougares,"
    " Holger Schwenk, Yoshua Bengio",
    year=2014,
    title="Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
    link="https://arxiv.org/abs/1406.1078",
    deviation="the reset gate multiplies the recurrent product, not the state (the form cuDNN computes);"
    " two biases, as in torch",
)


def step(ops: Ops, x: ByName, recurrent: Recurrent, state: ByName) -> tuple[ByName, ByName]:
    h = state["h"]
    u = recurrent(h)
    r = ops.sigmoid(x["r"] + u["r"])
    z = ops.sigmoid(x["z"] + u["z"])
    n = ops.tanh(x["n"] + r * u["n"])
    return {"h": (1 - z) * n + z * h}, {"r": r, "z": z, "n": n, "u_n": u["n"]}


def backward(
    ops: Ops, grad: ByName, kept: ByName, previous: ByName, state: ByName, product: BackwardProduct
) -> tuple[ByName, dict[str, Array]]:
    r, z, n, h = kept["r"], kept["z"], kept["n"], previous["h"]
    d_n = grad["h"] * (1 - z) * ops.tanh_slope(n)
    d_r = d_n * kept["u_n"] * ops.sigmoid_slope(r)
    d_z = grad["h"] * (h - n) * ops.sigmoid_slope(z)
    d_h = product(h, {"r": d_r, "z": d_z, "n": d_n * r}) + grad["h"] * z
    return {"r": d_r, "z": d_z, "n": d_n}, {"h": d_h}


CELLS = (
    Cell(
        name="gru",
        title="Gated recurrent unit",
        equation=EQUATION,
        symbols=SYMBOLS,
        gates=GATES,
        states=(State("h", "hidden state, the output"),),
        step=step,
        backward=backward,
        source=SOURCE,
        layouts={
            "torch": Layout(("r", "z", "n"), False, "two", "GRU()"),
            "keras": Layout(("z", "r", "n"), True, "stacked", "GRU(reset_after=True)"),
            "onnx": Layout(("z", "r", "n"), False, "concatenated", "GRU(linear_before_reset=1)"),
        },
        intermediates=("u_n",),
        not_covered="the reset gate before the product: see gru_reset_before",
    ),
)

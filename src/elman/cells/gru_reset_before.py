"""Gated recurrent unit, reset gate applied to the state before the recurrent product (the paper, ONNX' default)."""

from __future__ import annotations

from dataclasses import replace

from elman.cells._ops import Array, BackwardProduct, ByName, Ops, Recurrent
from elman.cells._spec import Cell, Layout, State
from elman.cells.gru import GATES, SOURCE, SYMBOLS

EQUATION = """\
r_t = sigmoid(W_r x_t + b_r + U_r h_{t-1} + d_r)
z_t = sigmoid(W_z x_t + b_z + U_z h_{t-1} + d_z)
n_t = tanh(W_n x_t + b_n + U_n (r_t * h_{t-1}) + d_n)
h_t = (1 - z_t) * n_t + z_t * h_{t-1}"""


def step(ops: Ops, x: ByName, recurrent: Recurrent, state: ByName) -> tuple[ByName, ByName]:
    h = state["h"]
    u = recurrent(h, "r", "z")
    r = ops.sigmoid(x["r"] + u["r"])
    z = ops.sigmoid(x["z"] + u["z"])
    n = ops.tanh(x["n"] + recurrent(r * h, "n")["n"])
    return {"h": (1 - z) * n + z * h}, {"r": r, "z": z, "n": n}


def backward(
    ops: Ops, grad: ByName, kept: ByName, previous: ByName, state: ByName, product: BackwardProduct
) -> tuple[ByName, dict[str, Array]]:
    r, z, n, h = kept["r"], kept["z"], kept["n"], previous["h"]
    d_n = grad["h"] * (1 - z) * ops.tanh_slope(n)
    d_reset = product(r * h, {"n": d_n})
    d_r = d_reset * h * ops.sigmoid_slope(r)
    d_z = grad["h"] * (h - n) * ops.sigmoid_slope(z)
    d_h = product(h, {"r": d_r, "z": d_z}) + d_reset * r + grad["h"] * z
    return {"r": d_r, "z": d_z, "n": d_n}, {"h": d_h}


CELLS = (
    Cell(
        name="gru_reset_before",
        title="Gated recurrent unit, reset before the product",
        equation=EQUATION,
        symbols=SYMBOLS,
        gates=GATES,
        states=(State("h", "hidden state, the output"),),
        step=step,
        backward=backward,
        source=replace(SOURCE, deviation="two biases, as in torch"),
        layouts={
            "keras": Layout(("z", "r", "n"), True, "one", "GRU(reset_after=False)"),
            "onnx": Layout(("z", "r", "n"), False, "concatenated", "GRU(linear_before_reset=0)"),
        },
        not_covered="the reset gate after the product: see gru",
    ),
)

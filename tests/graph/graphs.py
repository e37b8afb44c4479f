"""Small graphs that several tests run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from elman import reference
from elman.graph import Array, Builder, Graph, Node, Value


def one(op: str, *inputs: Array, **attributes: Any) -> Graph:
    """One node of inputs x0, x1, ... with axes that no size is known of, and an output y of the dtype of the first."""
    names = tuple(f"x{k}" for k in range(len(inputs)))
    values = tuple(
        Value(n, a.dtype.name, tuple(f"{n}.{k}" for k in range(a.ndim)))
        for n, a in zip(names, inputs, strict=True)
    )
    return Graph(values, (Value("y", inputs[0].dtype.name, ()),), (Node(op, names, ("y",), attributes),), {})


def given(*inputs: Array) -> dict[str, Array]:
    return {f"x{k}": array for k, array in enumerate(inputs)}


def recurrent_weights(cell: str, dtype: str = "float32", **sizes: Any) -> list[dict[str, Array]]:
    """Drawn weights of one layer over 3 features with 5 units, of each direction by stem."""
    params = reference.draw(cell, 3, 5, np.random.default_rng(5), **sizes)
    suffixes = ("_l0", "_l0_reverse")[: 1 + bool(sizes.get("bidirectional"))]
    return [
        {n.removesuffix(s): a.astype(dtype) for n, a in params.items() if n.endswith(s)} for s in suffixes
    ]


def layer(
    cell: str, weights: list[dict[str, Array]], *, symbols: bool = False, dtype: str = "float32", **more: Any
) -> Graph:
    """A graph of one `Recurrent` with lengths, and a state that may be left out."""
    b = Builder()
    x = b.input("x", *(("int64", ("batch", "time")) if symbols else (dtype, ("batch", "time", 3))))
    lengths = b.input("lengths", "int64", ("batch",))
    size = len(weights[0].get("weight_hr", weights[0]["weight_hh"].T))
    h_0 = b.input("h_0", dtype, (len(weights), "batch", size), optional=True)
    named = [{stem: b.weight(f"{k}.{stem}", a) for stem, a in w.items()} for k, w in enumerate(weights)]
    outputs = b.recurrent(cell, x, named, lengths=lengths, h_0=h_0, **more)
    for name, value in zip(("output", "h_n", "c_n"), outputs, strict=False):
        b.output(name, value, dtype, ("a", "b", "c"))
    return b.graph()


def model() -> Graph:
    """Symbols to scores: table, layer, weights that another node reads first, constants of every dtype, and facts."""
    b, rng = Builder(), np.random.default_rng(1)
    symbols = b.input("symbols", "int64", ("batch", "time"))
    lengths = b.input("lengths", "int64", ("batch",))
    h_0 = b.input("h_0", "float32", (1, "batch", 5), optional=True)
    x = b.gather(b.weight("embedding", rng.normal(size=(7, 3)).astype(np.float32)), symbols)
    (named,) = recurrent_weights("gru")
    weights = {stem: b.weight(f"layer.{stem}", array) for stem, array in named.items()}
    output, h_n = b.recurrent("gru", x, [weights], lengths=lengths, h_0=h_0)
    table = b.transpose(b.weight("head", rng.normal(size=(2, 5)).astype(np.float32)), perm=[1, 0])
    scores = b.add(b.mat_mul(output, table), b.constant(np.array([0.5, -np.inf], np.float32)))
    seen = b.unsqueeze(b.less(b.range(0, b.gather(b.shape(x), 1), 1), b.unsqueeze(lengths, [1])), [2])
    b.output("scores", b.where(seen, scores, np.float32(0)), "float32", ("batch", "time", 2))
    b.output("h_n", h_n, "float32", (1, "batch", 5))
    return b.graph({"labels": ["ko", "한국어"], "scale": 0.1})


def model_inputs(batch: int = 3, time: int = 4) -> Mapping[str, Array]:
    rng = np.random.default_rng(2)
    return {"symbols": rng.integers(7, size=(batch, time)), "lengths": rng.integers(time + 1, size=batch)}

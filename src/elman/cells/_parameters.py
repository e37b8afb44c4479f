"""Names, shapes and initial values of a layer's parameters, as data: every array library draws them its own way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from elman.cells._spec import Cell
from elman.errors import check_choice

Init = Literal["torch", "elman"]


@dataclass(frozen=True)
class Block:
    """Initial value of some consecutive rows of a parameter.

    law: "uniform" in [-value, value]; "orthogonal" (rows or columns orthonormal); "constant" (all `value`).
    """

    rows: int
    law: Literal["uniform", "orthogonal", "constant"]
    value: float = 0.0


@dataclass(frozen=True)
class Parameter:
    """One parameter: its state-dict name, its shape and the blocks of rows it is initialised in."""

    name: str
    shape: tuple[int, ...]
    blocks: tuple[Block, ...]


def suffix(layer: int, reverse: bool) -> str:
    """The state-dict suffix of a layer and direction: `_l0`, `_l0_reverse`, `_l1`, ..."""
    return f"_l{layer}{'_reverse' if reverse else ''}"


def parameters(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    proj_size: int = 0,
    init: Init = "torch",
) -> Iterator[Parameter]:
    """Every parameter of a stack, in torch's order.

    init="torch": every value uniform in [-1/sqrt(H), 1/sqrt(H)].
    init="elman": weight_ih uniform in [-sqrt(6/(I+H)), sqrt(6/(I+H))] (Glorot and Bengio 2010), each gate's block
        of weight_hh orthogonal (Saxe et al. 2014), biases 0 but for a forget gate's, which is 1 (Gers et al. 2000).
    """
    directions = 2 if bidirectional else 1
    output_size = proj_size or hidden_size
    for layer in range(num_layers):
        features = input_size if layer == 0 else output_size * directions
        for reverse in (False, True)[:directions]:
            for stem, shape in _shapes(cell, features, hidden_size, bias, proj_size):
                yield Parameter(
                    stem + suffix(layer, reverse), shape, _blocks(cell, stem, shape, hidden_size, init)
                )


def _shapes(
    cell: Cell, features: int, hidden_size: int, bias: bool, proj_size: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    rows = len(cell.gates) * hidden_size
    yield "weight_ih", (rows, features)
    yield "weight_hh", (rows, proj_size or hidden_size)
    if bias:
        yield "bias_ih", (rows,)
        yield "bias_hh", (rows,)
    if proj_size:
        yield "weight_hr", (proj_size, hidden_size)


def _blocks(cell: Cell, stem: str, shape: tuple[int, ...], hidden_size: int, init: Init) -> tuple[Block, ...]:
    if check_choice("init", init, ("torch", "elman")) == "torch":
        return (Block(shape[0], "uniform", 1 / math.sqrt(hidden_size) if hidden_size else 0.0),)
    if stem == "weight_hh":
        return tuple(Block(hidden_size, "orthogonal") for _ in cell.gates)
    if stem == "bias_ih":
        return tuple(Block(hidden_size, "constant", gate.bias) for gate in cell.gates)
    if stem == "bias_hh":
        return (Block(shape[0], "constant"),)
    fan = shape[1] + hidden_size if stem == "weight_ih" else sum(shape)
    return (Block(shape[0], "uniform", math.sqrt(6 / fan)),)

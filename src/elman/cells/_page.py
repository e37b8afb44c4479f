"""The documentation page of a cell, written from its declaration: nothing on the page is typed twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from elman.cells._parameters import Block, Init, Parameter, parameters
from elman.cells._spec import Cell, Layout

_BIASES = {
    "two": "two: input and recurrent apart",
    "one": "one: their sum",
    "concatenated": "one vector, input bias first",
    "stacked": "one (2, G*H) matrix",
}
_I, _H, _P = (
    1_000_003,
    1_009,
    101,
)  # sizes no sum or product of which equals another, to be read back as letters


def page(cell: Cell) -> str:
    """The Markdown page of one cell: equation, symbols, gates, states, parameters, initial values, source, layouts."""
    return (
        "\n\n".join(
            [
                f"# {cell.title}: `{cell.name}`",
                f"```text\n{cell.equation}\n```",
                _table(("symbol", "meaning"), ((f"`{name}`", meaning) for name, meaning in cell.symbols)),
                "`*` multiplies element by element; I is the input size, H the hidden size, G the number of gates.",
                "## Gates",
                "In the order of the stacked weights.",
                _table(
                    ("gate", "activation", "meaning"),
                    ((f"`{g.name}`", g.activation, g.meaning) for g in cell.gates),
                ),
                "## States",
                _table(("state", "meaning"), ((f"`{s.name}`", s.meaning) for s in cell.states)),
                "## Parameters",
                _parameters(cell),
                "`_l0` is the first layer; a deeper layer reads H features (2H if bidirectional) in place of I; the"
                " reverse direction adds `_reverse` to the name.",
                "## Source",
                f"{cell.source.authors} ({cell.source.year}). [{cell.source.title}]({cell.source.link}).",
                f"Deviation from the paper: {cell.source.deviation}.",
                "## Weights of other systems",
                _layouts(cell.layouts),
                "## Use",
                _use(cell),
                f"Not covered: {cell.not_covered}.",
            ]
        )
        + "\n"
    )


def index(cells: Iterable[Cell]) -> str:
    """The Markdown table of all cells, each linked to its page."""
    rows = (
        (f"[`{c.name}`]({c.name}.md)", c.title, ", ".join(c.state_names), f"{c.source.year}") for c in cells
    )
    return (
        "# Cells\n\nOne file in `src/elman/cells` is one recurrence; these pages are written from them.\n\n"
        + (_table(("name", "cell", "states", "year"), rows) + "\n")
    )


def _parameters(cell: Cell) -> str:
    proj_size = _P if cell.projection else 0
    drawn: dict[Init, list[Parameter]] = {
        init: list(parameters(cell, _I, _H, proj_size=proj_size, init=init)) for init in ("torch", "elman")
    }
    rows = (
        (f"`{torch.name}`", _shape(torch), _law(cell, torch), _law(cell, elman))
        for torch, elman in zip(drawn["torch"], drawn["elman"], strict=True)
    )
    note = "\n\nP is the projected size: `weight_hr` is there, and H becomes P in `weight_hh`, only with `proj_size`."
    header = ("name", "shape", 'initial value, `init="torch"`', '`init="elman"`')
    return _table(header, rows) + (note if cell.projection else "")


def _shape(parameter: Parameter) -> str:
    letters = [_letters(size) for size in parameter.shape]
    return f"({', '.join(letters)}{',' if len(letters) == 1 else ''})"


def _letters(size: int) -> str:
    if size % _H == 0:
        return f"{size // _H}H" if size > _H else "H"
    return {_I: "I", _P: "P"}[size]


def _law(cell: Cell, parameter: Parameter) -> str:
    blocks = parameter.blocks
    if len({(block.law, block.value) for block in blocks}) == 1:
        return _block(blocks[0], parameter.shape)
    return "; ".join(
        f"{gate}: {_block(block, parameter.shape)}"
        for gate, block in zip(cell.gate_names, blocks, strict=True)
    )


def _block(block: Block, shape: tuple[int, ...]) -> str:
    if block.law == "constant":
        return f"{block.value:g}"
    if block.law == "orthogonal":
        return "orthogonal, gate by gate"
    if abs(block.value - _H**-0.5) < 1e-9:
        return "uniform, bound 1/sqrt(H)"
    fan = (_letters(shape[1]), "H") if shape[0] % _H == 0 else tuple(map(_letters, shape))
    return f"uniform, bound sqrt(6/({fan[0]}+{fan[1]}))"


def _layouts(layouts: dict[str, Layout]) -> str:
    header = ("system", "layer", "gate order", "weight", "biases")
    return _table(
        header,
        (
            (
                system,
                f"`{layout.operator}`",
                " ".join(layout.gates),
                "(features, G*H)" if layout.columns else "(G*H, features)",
                _BIASES[layout.biases],
            )
            for system, layout in layouts.items()
        ),
    )


def _use(cell: Cell) -> str:
    return (
        "```python\n"
        "import torch\nfrom elman.nn import Recurrent\n\n"
        f'layer = Recurrent("{cell.name}", input_size=5, hidden_size=7)\n'
        "output, state = layer(torch.randn(2, 9, 5))\n"
        f"assert output.shape == (2, 9, 7) and list(state) == {json.dumps(cell.state_names)}\n"
        "```\n\n"
        f"```sh\nelman train language-model book.txt --cell {cell.name} --learning-rate 0.001\n```"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)

"""An inspection in words with numbers, and as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from elman.inspection.advice import Finding, grid
from elman.inspection.examining import Inspection, LayerFacts, StackFacts
from elman.inspection.reach import FELT, Reach
from elman.inspection.report import Grid, Picture, Text, page
from elman.inspection.unrolled import unrolled

Parts = tuple[str, Sequence[Text | Grid | Picture]]


def told(inspection: Inspection, found: Sequence[Finding], more: str = "") -> str:
    """What was measured, more lines, and the advice, as lines to read."""
    rows = inspection.inspected.steps
    count = f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'}"
    lines = [
        f"read {count} of up to {max(map(len, rows)):,} steps; felt means more than {FELT:.0%} of the strongest effect"
    ]
    for stack in inspection.stacks:
        lines += ["", *_of_stack(stack, inspection.inspected.asked)]
    lines += more.splitlines()
    lines += ["", "advice" if found else "advice: nothing to mend was found"]
    lines += [f"- {finding.what}: {finding.evidence}. Try: {finding.remedy}." for finding in found]
    return "\n".join(lines)


def _of_stack(stack: StackFacts, asked: str) -> Iterator[str]:
    first = stack.layers[0]
    both = any(layer.reverse for layer in stack.layers)
    depth = len(stack.layers) // (2 if both else 1)
    yield f"{stack.name}: {first.cell}, {depth} x {first.units} units{', both directions' if both else ''}"
    yield f"  memory    a changed input is felt in the output {_felt(stack.output.back)} later"
    if stack.output.ahead.length():
        yield f"            and {_felt(stack.output.ahead)} before it"
    if stack.answer is not None:
        yield f"            in the answer {_felt(stack.answer.back)} later"
    yield f"  gradient  of {asked}"
    for layer in stack.layers:
        where = "ahead" if layer.reverse else "back"
        factor = layer.gradient.factor
        change = "" if math.isnan(factor) else f", {factor:.3g} times with each"
        yield f"    {layer.name}: felt {_felt(layer.gradient)} {where}{change}{_jacobian(layer)}"
    yield "  gates     mean, share of values shut and open"
    for layer in stack.layers:
        uses = "; ".join(f"{use.gate} {use.mean:.2f} {use.shut:.0%} {use.open:.0%}" for use in layer.gates)
        still = f"; {layer.still} of {layer.units} units never move" if layer.still else ""
        yield f"    {layer.name}: {uses}{still}"


def _felt(reach: Reach) -> str:
    length = reach.length()
    more = "at least " if length == reach.seen and length else ""
    return f"{more}{length:,} {'step' if length == 1 else 'steps'}"


def _jacobian(layer: LayerFacts) -> str:
    if layer.spectrum is None:
        return ""
    singular, radius = layer.spectrum.singular[0], layer.spectrum.radius
    return f"; Jacobian: largest singular value {singular:.3g}, eigenvalue {radius:.3g}"


def inspection_page(
    title: str,
    inspection: Inspection,
    found: Sequence[Finding],
    pictures: Mapping[str, Picture],
    more: Sequence[Parts] = (),
) -> str:
    """The page of an inspection: advice, pictures, numbers, and the net unrolled; then more sections.

    pictures: those of `named_figures`, by name.
    """
    rows = inspection.inspected.steps
    sections: list[Parts] = [
        ("Advice", [grid(found) if found else Text("", "Nothing to mend was found.")]),
        ("How far it reaches", [pictures["reach"], _memory_grid(inspection), _gradient_grid(inspection)]),
        ("Gates", [pictures["gates"], _gate_grid(inspection)]),
        *([("Recurrent Jacobian", [pictures["jacobian"]])] if "jacobian" in pictures else []),
        *more,
        ("Unrolled", [Picture(svg, _UNROLLED) for svg in _unrolled(inspection)]),
    ]
    summary = (
        f"{len(rows):,} rows of up to {max(map(len, rows)):,} steps; the numbers watched are those of the layers' own"
        f" path within {inspection.difference:.1g} of the largest"
    )
    return page(title, summary, sections)


def _unrolled(inspection: Inspection) -> Iterator[str]:
    """The first row through the first stack; where something else is read while it writes, through every one."""
    for number, call in enumerate(inspection.trace.calls):
        if not number or inspection.inspected.written:
            yield unrolled(call.layers, inspection.inspected.read_by(number)[0], steps=3)


def unrolled_first(inspection: Inspection, steps: int) -> str:
    """The first row through the first stack, unrolled over so many steps."""
    return unrolled(inspection.trace.calls[0].layers, inspection.inspected.steps[0], steps=steps)


def _memory_grid(inspection: Inspection) -> Grid:
    rows = [
        (stack.name, what, reach.length(), reach.seen)
        for stack in inspection.stacks
        for what, effect in (("output", stack.output), ("answer", stack.answer))
        if effect is not None
        for what, reach in ((f"{what}, later", effect.back), (f"{what}, before", effect.ahead))
        if reach.length() or what.endswith("later")
    ]
    return Grid(("layers", "a changed input is felt in", "steps", "steps that could be seen"), rows)


def _gradient_grid(inspection: Inspection) -> Grid:
    rows = [
        (layer.name, state, reach.length(), reach.seen, reach.factor, *_numbers(layer))
        for layer in inspection.layers
        for state, reach in layer.gradients.items()
    ]
    head = (
        "layer",
        "state",
        "gradient felt, steps",
        "of",
        "times a step",
        "largest singular value",
        "eigenvalue",
    )
    return Grid(head, rows)


def _numbers(layer: LayerFacts) -> tuple[float | str, float | str]:
    if layer.spectrum is None:
        return "too large", ""
    return float(layer.spectrum.singular[0]), layer.spectrum.radius


def _gate_grid(inspection: Inspection) -> Grid:
    rows = [
        (layer.name, use.gate, use.meaning, use.mean, use.shut, use.open, use.stuck_shut, use.stuck_open)
        for layer in inspection.layers
        for use in layer.gates
    ]
    return Grid(
        ("layer", "gate", "what it does", "mean", "shut", "open", "units stuck shut", "stuck open"), rows
    )


_UNROLLED = (
    "The first steps of the first row. Between two cells: the states that one hands to the next; inside: its gates. The"
    " first units of each, with their real numbers."
)

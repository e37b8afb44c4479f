"""Plain advice: what the measurements of a model say is wrong with it, by which evidence, and what may help.

Every rule is a comparison with a number that stands below; none fires without the evidence it names.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elman.inspection.reach import FELT, SHORT
from elman.inspection.report import Grid

if TYPE_CHECKING:
    from elman.inspection.examining import Inspection, LayerFacts, StackFacts
    from elman.inspection.gates import GateUse

ENOUGH = 20  # steps that must be there to call one short
GROWS = 1.02  # a step: from there on a gradient explodes
STUCK = 0.5  # share of a layer's units with a gate that never moves
FLAT = 0.5  # share of all values of a nonlinearity beyond its bounds
STILL = 0.1  # share of a layer's units that never move
CLIPPED = 0.9  # share of the updates whose gradient was shortened
LARGE, SMALL = 0.03, 1e-5  # change of a layer's weights in an update, by their size; about 0.001 is usual
RISEN = 1.02  # validation loss at the end, by that at the best

_PLAIN = ("rnn", "rnn_relu")


@dataclass(frozen=True)
class Finding:
    """What is the matter, the numbers that say so, and what may help."""

    what: str
    evidence: str
    remedy: str


def findings(
    inspection: Inspection, records: Sequence[Mapping[str, Any]] = (), clip_norm: float = 0.0
) -> list[Finding]:
    """What to tell of a model.

    Args:
        inspection: what was measured.
        records: the lines of its metrics.jsonl.
        clip_norm: the longest gradient that its training let pass.
    """
    found: list[Finding] = []
    window = inspection.inspected.window
    for stack in inspection.stacks:
        looked_at = inspection.inspected.written and stack is not inspection.stacks[-1]
        for layer in stack.layers:
            if not looked_at:  # else attention reaches each step directly, and a lag is no way
                found += _of_gradient(layer, window)
            found += _of_units(layer)
            found += [finding for use in layer.gates for finding in _of_gate(layer, use)]
        found += _of_memory(stack, window)
    return [*found, *of_training(records, clip_norm)]


def of_training(records: Sequence[Mapping[str, Any]], clip_norm: float) -> list[Finding]:
    """What the lines of metrics.jsonl alone say; see `findings`."""
    return [*_of_clipping(records, clip_norm), *_of_updates(records), *_of_losses(records)]


def grid(found: Sequence[Finding]) -> Grid:
    """Advice as a table."""
    return Grid(("what", "evidence", "what may help"), [(f.what, f.evidence, f.remedy) for f in found])


def _of_gradient(layer: LayerFacts, window: int | None) -> Iterator[Finding]:
    reach = layer.gradient
    length, seen = reach.length(), reach.seen
    learned = min(seen, window or seen)
    if seen >= ENOUGH and reach.factor > GROWS and length == seen:
        yield Finding(
            f"The gradient explodes in {layer.name}",
            f"it grows {reach.factor:.3g} times with every step back, {reach.factor**seen:.3g} times over {seen} steps",
            "clip it (--clip-norm 1), start from orthogonal weights (--init elman), or lower --learning-rate",
        )
    elif seen >= ENOUGH and length < SHORT * learned:
        yield Finding(
            f"The gradient vanishes in {layer.name}",
            f"it falls to {FELT:.0%} within {length + 1} steps ({reach.factor:.3g} times with every step back),"
            f" of {learned} that it could learn from: what is farther apart is not learned together",
            "if the task needs a longer memory, a gated cell (--cell lstm, --cell gru)"
            if layer.cell in _PLAIN
            else "if the task needs a longer memory, train longer or with --init elman (forget bias 1)",
        )
    elif window is not None and length > window:
        yield Finding(
            f"Training cuts the gradient of {layer.name} short",
            f"it is felt for {length} steps, and was cut after --sequence-length {window}",
            f"a longer one, such as --sequence-length {2 * window}",
        )


def _of_memory(stack: StackFacts, window: int | None) -> Iterator[Finding]:
    back = stack.output.back
    learned = min(back.seen, window or back.seen)
    vanishing = any(each.gradient.length() < SHORT * learned for each in stack.layers)
    if back.seen >= ENOUGH and back.length() < SHORT * learned and not vanishing:
        yield Finding(
            f"{stack.name} forgets soon",
            f"an input moves its output by more than {FELT:.0%} of the strongest effect for {back.length()} steps, of"
            f" {learned} that it could learn from, though the gradient reaches farther",
            "if that is enough for the task, shorter sequences train faster; if not, train longer",
        )


def _of_units(layer: LayerFacts) -> Iterator[Finding]:
    if layer.still > STILL * layer.units:
        yield Finding(
            f"Units of {layer.name} are dead",
            f"{layer.still} of {layer.units} say the same whatever is read",
            "lower --learning-rate, or take another cell"
            if layer.cell == "rnn_relu"
            else "a smaller --hidden-size would do the same work",
        )


def _of_gate(layer: LayerFacts, use: GateUse) -> Iterator[Finding]:
    for stuck, how in ((use.stuck_open, "open"), (use.stuck_shut, "shut")):
        if stuck > STUCK and len(layer.gates) > 1:
            yield Finding(
                f"{layer.name}: gate {use.gate} is stuck {how}",
                f"in {stuck:.0%} of the units it never leaves that end ({use.meaning})",
                "there it learns nothing: lower --learning-rate, or add --weight-decay with --optimizer adamw",
            )
    if len(layer.gates) == 1 and use.shut + use.open > FLAT:
        yield Finding(
            f"{layer.name}: the state is saturated",
            f"{use.shut + use.open:.0%} of its values are at an end of its range, where the slope is near 0",
            "lower --learning-rate, or add --weight-decay with --optimizer adamw",
        )


def _of_clipping(records: Sequence[Mapping[str, Any]], clip_norm: float) -> Iterator[Finding]:
    shares = [row["clipped"] for row in records if row.get("clipped") is not None]
    clipped = sum(shares) / max(1, len(shares))
    if clip_norm and clipped > CLIPPED:
        yield Finding(
            "Clipping decides the length of nearly every update",
            f"the gradient was longer than --clip-norm {clip_norm:g} in {clipped:.0%} of the updates",
            "a higher --clip-norm, or a lower --learning-rate, lets its length say something",
        )


def _of_updates(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    layers = dict.fromkeys(name for row in records for name in row if name.startswith("update_ratio/"))
    for name in layers:
        ratio = statistics.median(row[name] for row in records if row.get(name) is not None)
        layer = name.removeprefix("update_ratio/")
        if ratio > LARGE:
            yield Finding(
                f"Updates of {layer} are large",
                f"each changes its weights by {ratio:.1%} of their size, in the median",
                "lower --learning-rate, or let it rise slowly (--warmup-steps 100)",
            )
        elif ratio < SMALL:
            yield Finding(
                f"{layer} hardly learns",
                f"an update changes its weights by {ratio:.1g} of their size, in the median",
                "a higher --learning-rate",
            )


def _of_losses(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    losses = [row["validation_loss"] for row in records if row.get("validation_loss") is not None]
    if len(losses) > 2 and min(losses) > 0 and losses[-1] > RISEN * min(losses):
        best = records[losses.index(min(losses))]
        yield Finding(
            "It learned its training data by heart",
            f"the validation loss was {min(losses):.4g} at step {best['step']:,} and {losses[-1]:.4g} at the end, while"
            f" the training loss is {records[-1]['train_loss']:.4g}",
            "--dropout 0.3, more data, a smaller --hidden-size; --patience 3 stops in time",
        )

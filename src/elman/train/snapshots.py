"""Weights from the course of a training, kept in the run folder for those who want to see how the network came to be.

Those before the first update and after evaluations 1, 2, 4, 8, ... are kept, since change is fast at first; every other
of these goes when they would be too many. What is kept follows from the number of evaluations alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.train.checkpoint import BEST, weights

FOLDER = "snapshots"


def name(step: int) -> str:
    """The file of the weights after so many updates."""
    return f"{FOLDER}/{step}.safetensors"


def steps(run: RunFolder) -> list[int]:
    """The numbers of updates after which weights were kept, ascending."""
    found = (run.path / FOLDER).glob("*.safetensors")
    return sorted(int(path.stem) for path in found if path.stem.isdecimal())


def file_of(run: RunFolder, step: int | None) -> str:
    """The file of the weights after so many updates, or of the best; raises InputError where they were not kept."""
    if step is None or step == run.read_metadata(BEST).get("step"):
        return BEST
    found = steps(run)
    if step not in found:
        known = ", ".join(f"{one:,}" for one in found) or "none"
        raise InputError(
            f"{run.path}: the weights of step {step:,} are not kept; there are those of {known}."
        )
    return name(step)


def kept(evaluations: int, most: int) -> list[int]:
    """The numbers of the evaluations whose weights are kept after so many of them, 0 being the begin.

    >>> kept(10, 6), kept(40, 6), kept(3, 0)
    ([0, 1, 2, 4, 8], [0, 2, 8, 32], [])
    """
    numbers = [0, *(1 << k for k in range(evaluations.bit_length()))] if most else []
    while len(numbers) > most:
        numbers = numbers[::2]
    return numbers


def keep(
    run: RunFolder,
    model: torch.nn.Module,
    records: Sequence[Mapping[str, Any]],
    most: int,
    *,
    last: bool = False,
) -> None:
    """Keep the present weights, if it is their turn or they are the `last`; records: the evaluations so far."""
    now = _places(records)[-1]
    if most and (last or now in _wanted(records, most)):
        run.write_tensors(
            name(now), {key: w.cpu().numpy() for key, w in weights(model).items()}, {"step": now}
        )
    thin(run, records, most)


def thin(run: RunFolder, records: Sequence[Mapping[str, Any]], most: int) -> None:
    """Take away what is not kept any more, and what came after the last of these evaluations, which stays if most."""
    spared = _places(records)[-1:] if most else []
    for step in set(steps(run)) - _wanted(records, most) - set(spared):
        run.remove(name(step))


def _places(records: Sequence[Mapping[str, Any]]) -> list[int]:
    return [0, *(record["step"] for record in records)]


def _wanted(records: Sequence[Mapping[str, Any]], most: int) -> set[int]:
    places = _places(records)
    return {places[number] for number in kept(len(records), most)}

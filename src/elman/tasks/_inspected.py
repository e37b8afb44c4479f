"""How networks of tasks read what `elman inspect` is given, where that takes more than a few lines. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from elman import data
from elman.errors import InputError
from elman.inspection.inspected import ROWS, Inspected, few, lead
from elman.nn.blank import BlankNetwork
from elman.nn.forecaster import ForecastNetwork, Law, Member, Window
from elman.nn.language import LanguageNetwork, Symbols, warm
from elman.nn.tagger import TaggerNetwork, Words
from elman.tasks._measuring import marked

_PIECE = 400  # symbols of a piece
_SCORES = 1 << 24  # scores of a reading


def pieces(network: LanguageNetwork, text: Symbols, names: Sequence[str], window: int) -> Inspected:
    """A text of at least two symbols, cut into pieces, evenly spread over it; each goes on from what stands before it.

    names: of all symbols, as texts; window: through which gradients flowed in training.
    """
    length = min(_PIECE, len(text) - 1)
    most = max(1, min(ROWS, _SCORES // (length * len(names))))
    starts = np.linspace(0, len(text) - 1 - length, min(most, max(1, (len(text) - 1) // length))).astype(
        np.int64
    )
    rows = torch.from_numpy(np.asarray(text[starts[:, None] + np.arange(length + 1)], np.int64))
    rows = rows.to(network.output.weight.device)
    network.eval()
    with torch.no_grad():
        state = warm(network, text, starts, length) if len(starts) > 1 else None
    return _pieces(network, rows, state, names, window, lambda other: pieces(other, text, names, window))


def _pieces(
    network: LanguageNetwork,
    rows: Tensor,
    state: Mapping[str, Tensor] | None,
    names: Sequence[str],
    window: int,
    again: Callable[[LanguageNetwork], Inspected],
) -> Inspected:
    """Pieces (B, T + 1), each after a state."""

    def read() -> Tensor:
        scores: Tensor = network(rows[:, :-1], state)[0]
        return scores

    def loss(scores: Tensor) -> Tensor:
        return F.cross_entropy(scores.transpose(1, 2), rows[:, 1:], reduction="none")

    def fewer(count: int) -> Inspected:
        first = None if state is None else {name: part[:, :count] for name, part in state.items()}
        return _pieces(network, rows[:count], first, names, window, again)

    steps = [[names[k] for k in row] for row in rows[:, :-1].tolist()]
    return Inspected(
        network,
        read,
        loss,
        "the loss of the next symbol",
        steps,
        answers=names,
        window=window,
        fewer=fewer,
        again=again,
    )


def single_texts(
    network: LanguageNetwork,
    texts: Sequence[Symbols],
    conditions: NDArray[np.float32] | None,
    names: Sequence[str],
    window: int,
) -> Inspected:
    """Texts that stand alone, each read from the mark before it on; names: of all symbols, the mark last."""
    texts = texts[: few([len(text) + 1 for text in texts])]
    device = network.output.weight.device
    symbols, targets = (torch.from_numpy(part).to(device) for part in marked(texts, len(names) - 1))
    lengths = (targets >= 0).sum(1)
    condition = None if conditions is None else torch.from_numpy(conditions[: len(texts)]).to(device)
    network.eval()

    def read() -> Tensor:
        scores: Tensor = network(symbols, None, condition, lengths)[0]
        return scores

    def loss(scores: Tensor) -> Tensor:
        return F.cross_entropy(scores.transpose(1, 2), targets, ignore_index=-1, reduction="none")

    return Inspected(
        network,
        read,
        loss,
        "the loss of the next symbol",
        [[names[-1], *(names[k] for k in text)] for text in texts],
        answers=names,
        window=window,
        again=lambda other: single_texts(other, texts, conditions, names, window),
    )


def sentences(
    network: TaggerNetwork,
    words: Sequence[Sequence[str]],
    batch: Callable[[Sequence[Sequence[str]]], Words],
    tags: Sequence[str],
) -> Inspected:
    """Sentences that are tagged; batch: makes of some what the network reads."""
    rows = [row for row in words if row]
    if not rows:
        raise InputError("nothing to inspect: give a sentence, or a file of them.")
    rows = rows[: few([len(row) for row in rows])]
    given = batch(rows)
    network.eval()

    def read() -> Tensor:
        scores: Tensor = network(given)
        return scores

    return Inspected(network, read, lead, "the lead of the likeliest tag", rows, answers=tags)


def blanks(network: BlankNetwork, texts: Sequence[NDArray[np.int64]], names: Sequence[str]) -> Inspected:
    """Sequences with the known item hidden that is nearest to the middle; names: of all symbols, as texts.

    Each side is read up to the blank, from the edge on.
    """
    rows = [row for row in texts if (row >= network.first).any()]
    if not rows:
        raise InputError("nothing to inspect: no line holds an item that the vocabulary knows.")
    rows = rows[: few([len(row) for row in rows])]
    padded, counts = (torch.from_numpy(part).to(network.bias.device) for part in data.pad(rows))
    known = [np.flatnonzero(row >= network.first) for row in rows]
    places = torch.tensor([k[np.abs(k - len(row) // 2).argmin()] for k, row in zip(known, rows, strict=True)])
    asked = torch.zeros_like(padded, dtype=torch.bool)
    asked[torch.arange(len(rows)), places] = True
    wanted = padded[asked] - network.first
    symbols = padded.masked_fill(asked, network.hidden)
    network.eval()

    def read() -> Tensor:
        scores: Tensor = network(symbols, counts, asked)
        return scores

    def loss(scores: Tensor) -> Tensor:
        return F.cross_entropy(scores, wanted, reduction="none")

    ends = {"left": places, "right": counts.cpu() - 1 - places}
    layers = {name: end for name, end in ends.items() if getattr(network, name) is not None}
    read_first = rows if "left" in layers else [row[::-1] for row in rows]
    steps = [["(edge)", *(names[k] for k in row[:-1])] for row in read_first]
    return Inspected(
        network,
        read,
        loss,
        "the loss of the blank",
        steps,
        layers=layers,
        answers=names[network.first : network.last],
        vectors="embedding",
        items=[
            ["(edge)", *("(blank)" if step == place else names[k] for step, k in enumerate(row)), "(edge)"]
            for row, place in zip(rows, places.tolist(), strict=True)
        ],
        places=[_items_read(side, counts.cpu(), padded.shape[1]) for side in layers],
    )


def _items_read(side: str, counts: Tensor, steps: int) -> Tensor:
    """(B, T) the item that each step of a side reads, the edge before the row being item 0."""
    read = torch.arange(steps).expand(len(counts), -1)
    return read if side == "left" else counts[:, None] + 1 - read


def windows(network: ForecastNetwork, window: Window, steps: Sequence[Sequence[str]]) -> Inspected:
    """Windows of series, read by the first member of the network."""
    member = network.members[0]
    assert isinstance(member, Member)
    network.eval()

    def read() -> Tensor:
        law: Law = member(window)
        return law.location / law.size

    return Inspected(
        network,
        read,
        lambda forecast: forecast.sum(1),
        "the forecast, summed over its steps",
        steps,
        layers={"members.0.encoder": None},
        text=False,
    )

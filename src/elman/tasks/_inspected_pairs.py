"""How networks that write from what they have read are looked into: translate, caption. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.inspection.inspected import Ends, Inspected, lead
from elman.nn.encoder_decoder import EncoderDecoder

START = "▸"
_END = "(end)"


def translations(
    network: EncoderDecoder,
    sources: tuple[Tensor, Tensor],
    read: Sequence[Sequence[str]],
    targets: tuple[Tensor, Tensor],
    written: Sequence[Sequence[str]],
    answers: Sequence[str],
) -> Inspected:
    """Sources, and what was written from them, step by step.

    sources, targets: symbols and their numbers of each row; read, written: these symbols as texts; answers: the symbols
    that are written, and the end mark, as texts.
    """
    if network.encoder is None:
        return captions(network, sources, [], targets, written, answers)
    network.eval()
    lengths, last = targets[1].cpu() + 1, targets[1].cpu().clamp(min=1) - 1
    counts = torch.tensor([len(row) for row in read])

    def objective(scores: Tensor) -> Tensor:
        return lead(scores)[torch.arange(len(last)), last.to(scores.device)]

    return Inspected(
        network,
        lambda: _scores(network, sources, targets),
        objective,
        "the lead of the last symbol that it writes",
        read,
        layers={"encoder.recurrent": None, "decoder.recurrent": last},
        answers=answers,
        vectors="encoder.input_dropout",
        items=[[*row, START, *said] for row, said in zip(read, written, strict=True)],
        places=[
            torch.arange(int(counts.max())).expand(len(counts), -1),
            counts[:, None] + torch.arange(int(lengths.max())),
        ],
        written=[[*row, _END] for row in written],
        said=network.decoder.shifted(*targets)[1],
        stepped=lengths,
        again=lambda other: translations(other, sources, read, targets, written, answers),
    )


def captions(
    network: EncoderDecoder,
    sources: tuple[Tensor, Tensor],
    parts: Sequence[Sequence[str]],
    targets: tuple[Tensor, Tensor],
    written: Sequence[Sequence[str]],
    answers: Sequence[str],
    images: Sequence[NDArray[Any]] = (),
    grid: tuple[int, int] = (0, 0),
) -> Inspected:
    """What was written from something that is no sequence: its parts, as texts; images and grid where these are cells
    of images. The others as for `translations`."""
    network.eval()
    lengths: Ends = targets[1].cpu() + 1
    return Inspected(
        network,
        lambda: _scores(network, sources, targets),
        lead,
        "the lead of the likeliest symbol",
        [[START, *row] for row in written],
        layers={"decoder.recurrent": None},
        answers=answers,
        vectors="encoder.output_dropout" if parts else "decoder.input_dropout",
        said=network.decoder.shifted(*targets)[1],
        stepped=lengths,
        parts=parts,
        images=images,
        grid=grid,
        again=lambda other: captions(other, sources, parts, targets, written, answers, images, grid),
    )


def _scores(
    network: EncoderDecoder, sources: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor]
) -> Tensor:
    scores: Tensor = network(*sources, *targets)[0]
    return scores

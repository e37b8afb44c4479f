"""Encoder and decoder: steps equal the whole, losses by their definition, what is fed, sampled and smoothed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from elman import cells
from elman.errors import InputError
from elman.nn import Recurrent
from elman.nn.attention import KINDS, Attention
from elman.nn.decoder import Decoder
from elman.nn.encoder_decoder import Encoder, EncoderDecoder, Start

READ, WRITTEN, E, H = 8, 7, 4, 5  # the last of those read, 7, is the end of those written
SOURCES = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]])
LENGTHS = torch.tensor([4, 2, 1])
TARGETS = torch.tensor([[3, 0, 0], [1, 2, 6], [4, 5, 0]])
TARGET_LENGTHS = torch.tensor([1, 3, 2])


def network(
    attention: str | None = "additive",
    feeding: bool = True,
    cell: str = "gru",
    layers: int = 1,
    **options: Any,
) -> EncoderDecoder:
    """With `copying` the symbols read must be among those written: see SOURCES."""
    torch.manual_seed(0)
    encoder = Encoder(nn.Embedding(READ, E), Recurrent(cell, E, H, bidirectional=True, num_layers=layers))
    looking = None if attention is None else Attention(attention, H, encoder.size, 6)
    written = nn.Embedding(WRITTEN + 1, E)
    recurrent = Recurrent(cell, 2 * E if feeding else E, H, num_layers=layers)
    return EncoderDecoder(Decoder(written, recurrent, looking, **options), encoder)


@pytest.mark.parametrize("copying", [True, False])
@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize("attention", [*KINDS, None])
def test_step_by_step_is_the_whole(attention: str | None, feeding: bool, copying: bool) -> None:
    whole = network(attention, feeding, "lstm", layers=2, copying=copying).eval()
    scores, weights = whole(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    carried, symbols = whole.begin(SOURCES, LENGTHS), torch.full((3, 1), WRITTEN)
    for t in range(4):
        found, carried = whole.decoder.step(symbols, carried)
        for row in range(3):
            if t <= TARGET_LENGTHS[row]:
                torch.testing.assert_close(found[row, 0], scores[row, t])
                if weights is not None and carried.looked is not None:
                    torch.testing.assert_close(carried.looked[row, 0, 0], weights[row, t])
                    torch.testing.assert_close(carried.looked[row, 0, 1], weights[row, : t + 1].sum(0))
        symbols = TARGETS[:, t : t + 1] if t < 3 else symbols


@pytest.mark.parametrize("cell", cells.names())
def test_every_cell_reads_and_writes(cell: str) -> None:
    found = network(cell=cell, layers=2)
    nats, _, count = found.count(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    nats.backward()
    assert count == 9
    assert all(p.grad is not None and p.grad.any() for p in found.parameters())


@torch.no_grad()
@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize("copying", [True, False])
def test_the_loss_is_its_definition(feeding: bool, copying: bool) -> None:
    found = network(feeding=feeding, copying=copying).eval()
    nats, right, count = found.count(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    scores, _ = found(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    expected, hits = 0.0, 0
    for row, length in enumerate(TARGET_LENGTHS.tolist()):
        for t, symbol in enumerate([*TARGETS[row, :length].tolist(), WRITTEN]):
            expected -= float(scores[row, t].log_softmax(0)[symbol])
            hits += int(scores[row, t].argmax()) == symbol
    assert (float(nats), int(right), count) == (pytest.approx(expected, rel=1e-5), hits, 9)


@torch.no_grad()
def test_a_share_of_the_time_symbols_are_copied() -> None:
    found, plain = network(copying=True).eval(), network().eval()
    gate = found.decoder.gate
    assert gate is not None
    plain.load_state_dict(found.state_dict(), strict=False)
    scores, weights = found(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    spoken, looked = plain(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    readouts, _ = plain.decoder(
        plain.decoder.shifted(TARGETS, TARGET_LENGTHS)[0], TARGET_LENGTHS + 1, plain.begin(SOURCES, LENGTHS)
    )
    torch.testing.assert_close(weights, looked)
    for row, t in ((0, 0), (1, 2), (2, 1)):
        share = float(torch.sigmoid(readouts[row, t] @ gate.weight[0] + gate.bias[0]))
        expected = [(1 - share) * float(p) for p in spoken[row, t].softmax(0)]
        for place in range(int(LENGTHS[row])):
            expected[int(SOURCES[row, place])] += share * float(looked[row, t, place])
        assert sum(expected) == pytest.approx(1, abs=1e-5)
        torch.testing.assert_close(scores[row, t].exp(), torch.tensor(expected))


def test_the_share_that_is_copied_is_learned() -> None:
    found = network(copying=True)
    nats, _, _ = found.count(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    nats.backward()
    assert all(p.grad is not None and p.grad.any() for p in found.parameters())


@pytest.mark.parametrize("copying", [True, False])
def test_smoothing_is_cross_entropys_own_and_of_the_training_alone(copying: bool) -> None:
    smooth, plain = network(smoothing=0.3, copying=copying), network(copying=copying)
    given = (SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    with torch.no_grad():
        for each in (smooth, plain):
            each.decoder.bias += torch.arange(WRITTEN + 1) / 5
    scores, _ = plain(*given)
    _, wanted = plain.decoder.shifted(TARGETS, TARGET_LENGTHS)
    flat = scores.flatten(0, 1), wanted.flatten()
    expected = F.cross_entropy(*flat, ignore_index=-1, reduction="sum", label_smoothing=0.3)
    torch.testing.assert_close(smooth.count(*given)[0], expected)
    (found,) = torch.autograd.grad(smooth.count(*given)[0], smooth.decoder.embedding.weight)
    (slope,) = torch.autograd.grad(expected, plain.decoder.embedding.weight)
    torch.testing.assert_close(found, slope)
    torch.testing.assert_close(smooth.eval().count(*given)[0], plain.eval().count(*given)[0])


@pytest.mark.parametrize("attention", KINDS)
def test_rows_do_not_see_each_other(attention: str) -> None:
    found = network(attention).eval()
    together, _ = found(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    for row in range(3):
        source, target = SOURCES[row : row + 1, : LENGTHS[row]], TARGETS[row : row + 1, : TARGET_LENGTHS[row]]
        alone, _ = found(source, LENGTHS[row : row + 1], target, TARGET_LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row, : alone.shape[1]])


def test_feeding_tells_the_layers_what_was_read() -> None:
    scores = [
        network(feeding=feeding)(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)[0] for feeding in (True, False)
    ]
    assert not torch.allclose(*scores)
    fed = network().eval()
    carried = fed.begin(SOURCES, LENGTHS)
    _, carried = fed.decoder.step(torch.full((3, 1), WRITTEN), carried)
    again, _ = fed.decoder.step(torch.full((3, 1), 2), carried)
    blank = carried.__class__(carried.memory, carried.state, torch.zeros_like(carried.fed), carried.looked)
    assert not torch.allclose(again, fed.decoder.step(torch.full((3, 1), 2), blank)[0])


def test_sampling_rises_and_reads_the_decoders_own() -> None:
    found = network(sampling=1.0, sampling_steps=2)
    plain = network()
    given = (SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)
    inputs, _ = plain.decoder.shifted(TARGETS, TARGET_LENGTHS)
    assert [found.decoder._sampling_rate() for _ in range(3)] == [0.5, 1.0, 1.0]
    readouts, _ = found.decoder(inputs, TARGET_LENGTHS + 1, found.begin(SOURCES, LENGTHS))
    carried, symbols = plain.begin(SOURCES, LENGTHS), inputs[:, :1]
    for t in range(4):
        scores, carried = plain.decoder.step(symbols, carried)
        torch.testing.assert_close(readouts[:, t], carried.fed[:, 0])
        symbols = scores.argmax(2)
    assert not torch.equal(inputs[:, 1:2], symbols)
    torch.testing.assert_close(found.eval().count(*given)[0], plain.eval().count(*given)[0])
    assert "decoder.updates" in found.state_dict()


@pytest.mark.parametrize("copying", [True, False])
def test_hypotheses_and_rows_are_picked(copying: bool) -> None:
    found = network(cell="lstm", layers=2, copying=copying).eval()
    carried = found.begin(SOURCES, LENGTHS).hypotheses(torch.zeros(3, 2, dtype=torch.long))
    symbols = torch.tensor([[1, 2], [3, 4], [5, 6]])
    _, carried = found.decoder.step(symbols, carried)
    picked = carried.rows(torch.tensor([2, 0])).hypotheses(torch.tensor([[1], [0]]))
    scores, _ = found.decoder.step(torch.tensor([[3], [1]]), picked)
    for row, (source, past, symbol) in enumerate([(2, 6, 3), (0, 1, 1)]):
        one = found.begin(SOURCES[source : source + 1], LENGTHS[source : source + 1])
        _, one = found.decoder.step(torch.tensor([[past]]), one)
        torch.testing.assert_close(scores[row], found.decoder.step(torch.tensor([[symbol]]), one)[0][0])


def test_the_vector_is_what_the_last_layer_ends_with() -> None:
    encoder = network(layers=2).encoder
    assert encoder is not None
    memory, vector = encoder(SOURCES, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(vector[row, :H], memory[row, length - 1, :H])
        torch.testing.assert_close(vector[row, H:], memory[row, 0, H:])


def test_a_start_fills_only_what_is_an_activation() -> None:
    start = Start(3, Recurrent("lstm", 2, 4, num_layers=2))(torch.randn(5, 3))
    assert {name: tuple(part.shape) for name, part in start.items()} == {"h": (2, 5, 4), "c": (2, 5, 4)}
    assert all((part.abs() < 1).all() and part.any() for part in start.values())


def test_without_an_encoder_nothing_is_read() -> None:
    torch.manual_seed(0)
    alone = EncoderDecoder(Decoder(nn.Embedding(WRITTEN + 1, E), Recurrent("gru", E, H)))
    first = alone.count(SOURCES, LENGTHS, TARGETS, TARGET_LENGTHS)[0]
    assert torch.equal(first, alone.count(SOURCES + 1, LENGTHS, TARGETS, TARGET_LENGTHS)[0])


def test_layers_of_another_size_are_refused() -> None:
    with pytest.raises(
        InputError, match="the layers read 5 features, expected 4, those of the embedding, or 8"
    ):
        Decoder(nn.Embedding(3, 4), Recurrent("gru", 5, 6))

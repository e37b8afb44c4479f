"""Networks that write from what they have read: their decoders, step by step, and what each symbol is owed to."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman import api
from elman.inspection import Inspected, attribute, examine, tracing
from elman.inspection.exploring import View, explore_page
from elman.nn import Recurrent
from elman.nn.attention import Attention
from elman.nn.decoder import Decoder
from elman.nn.encoder_decoder import Encoder, EncoderDecoder
from elman.nn.picture import Picture
from elman.tasks._inspected_pairs import START, captions, translations
from elman.tasks.translate import Translator

COUNTS, ENDS = [4, 6, 2], [3, 1, 5]  # symbols that are read, and written, of three rows
NAMES = [*"abcdefg", "(end)"]


def decoder(size: int, *, feeding: bool) -> Decoder:
    layers = Recurrent("lstm", 10 if feeding else 5, 6, num_layers=2)
    return Decoder(torch.nn.Embedding(8, 5), layers, Attention("additive", 6, size, 6))


def padded(counts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 7, (len(counts), max(counts))), torch.tensor(counts)


def texts(symbols: torch.Tensor, counts: torch.Tensor) -> list[list[str]]:
    return [[NAMES[k] for k in row[:n]] for row, n in zip(symbols.tolist(), counts.tolist(), strict=True)]


def translating(*, feeding: bool = True) -> Inspected:
    torch.manual_seed(0)
    encoder = Encoder(torch.nn.Embedding(7, 4), Recurrent("lstm", 4, 3, bidirectional=True))
    network = EncoderDecoder(decoder(6, feeding=feeding), encoder).double()
    sources, targets = padded(COUNTS), padded(ENDS)
    return translations(network, sources, texts(*sources), targets, texts(*targets), NAMES)


def row_alone(inspected: Inspected, row: int) -> tuple[Any, Any, list[torch.Tensor]]:
    """The network, where its decoder begins with a row alone, and what that then reads, (1, 1) at every step."""
    network: Any = inspected.network
    read = torch.tensor([[NAMES.index(item) for item in inspected.steps[row]]])
    written = [7, *(NAMES.index(item) for item in inspected.written[row][:-1])]
    return network, network.begin(read, torch.tensor([read.shape[1]])), [torch.tensor([[k]]) for k in written]


@pytest.mark.parametrize("feeding", [True, False])
def test_a_decoder_that_is_called_step_by_step_is_seen_as_one(feeding: bool) -> None:
    inspected = translating(feeding=feeding)
    with torch.no_grad(), tracing(inspected.network, inspected.layers, inspected.stepped) as seen:
        inspected.read()
    assert [call.name for call in seen.calls] == ["encoder.recurrent", "decoder.recurrent"]
    assert seen.difference < 1e-12
    layers = seen.calls[1].layers
    assert [layer.lengths.tolist() for layer in layers] == [[count + 1 for count in ENDS]] * 2
    for row in range(3):
        network, carried, symbols = row_alone(inspected, row)
        for t, symbol in enumerate(symbols):
            with torch.no_grad():
                _, carried = network.decoder.step(symbol, carried)
            for number, layer in enumerate(layers):
                for name in "hc":
                    wanted = carried.state[name][number, 0].numpy()
                    np.testing.assert_allclose(layer.states(name)[row, t].numpy(), wanted, atol=1e-12)


def test_its_gradient_through_time_is_that_of_differences() -> None:
    """The state at each step is moved a little, and the rest is written anew."""
    inspected = translating()
    reach = examine(inspected, spectra=False).stacks[1].layers[1].gradients["h"]
    norms = []
    for row, count in enumerate(ENDS):
        network, carried, symbols = row_alone(inspected, row)
        found = []
        for t in range(count):
            with torch.no_grad():
                _, carried = network.decoder.step(symbols[t], carried)
                found.append(_slope(network, carried, symbols[t + 1 : count]))
        norms.append(found[::-1])
    for lag in range(4):
        wanted = np.mean([row[lag] for row in norms if len(row) > lag])
        assert reach.strength[lag] == pytest.approx(wanted, rel=1e-5)


def _slope(network: Any, carried: Any, rest: list[torch.Tensor]) -> float:
    """The norm of the last lead's gradient by h of the upper layer, from which what is said then follows, too."""
    small, found = 1e-6, []
    for unit in range(6):
        leads = []
        for sign in (1, -1):
            h = carried.state["h"].clone()
            h[1, 0, unit] += sign * small
            moved = replace(carried, fed=network.decoder._look(h[1][:, None], carried)[0])
            moved = replace(moved, state={**carried.state, "h": h})
            scores = network.decoder.scores(moved.fed)
            for symbol in rest:
                scores, moved = network.decoder.step(symbol, moved)
            best = scores[0, 0].topk(2).values
            leads.append(float(best[0] - best[1]))
        found.append((leads[0] - leads[1]) / (2 * small))
    return float(np.linalg.norm(found))


def test_the_page_holds_what_is_read_and_what_is_written() -> None:
    inspected = translating()
    with torch.no_grad(), tracing(inspected.network, inspected.layers, inspected.stepped) as seen:
        inspected.read()
    page = explore_page("title", [View("now", inspected, seen)])
    found = re.search(r'id="data">(.*)</script>\n<script>', page)
    assert found
    data = json.loads(found[1])
    assert {channel["layer"].split(".")[0] for channel in data["channels"]} == {"encoder", "decoder"}
    for row, (read, written) in enumerate(zip(inspected.steps, inspected.written, strict=True)):
        assert data["rows"][row]["items"] == [*read, START, *written[:-1]]
        answers = data["views"][0]["answers"][row]
        assert answers[: len(read)] == [[]] * len(read)
        shares = inspected.read()[row].detach().softmax(1)
        for step, told in enumerate(answers[len(read) :]):
            assert told[0][0] == NAMES[int(shares[step].argmax())]
            assert told[0][1] == pytest.approx(float(shares[step].max()), abs=1e-4)


def test_what_is_read_gets_attributions_and_they_are_complete() -> None:
    inspected = translating()
    found = attribute(inspected, step=0)
    assert found.remainder.max() <= 0.01
    assert found.answers == [row[0] for row in inspected.written]  # not the likeliest: it was drawn at random
    for values, read in zip(found.values, inspected.steps, strict=True):
        assert np.isfinite(values[: len(read)]).all()
        assert np.isnan(values[len(read) :]).all()
    torch.testing.assert_close(
        torch.tensor(found.found),
        torch.stack(
            [
                scores[0].log_softmax(0)[NAMES.index(row[0])]
                for scores, row in zip(inspected.read().detach(), inspected.written, strict=True)
            ]
        ),
    )


def test_cells_of_an_image() -> None:
    """Slopes at the cells are those of the parts of the network put together by hand."""
    torch.manual_seed(1)
    picture = Picture(8, 12, 6, channels=8, blocks=2)
    network: Any = EncoderDecoder(decoder(6, feeding=True), picture).double().eval()
    images = torch.randint(0, 256, (2, 8, 12, 3), dtype=torch.uint8)
    sources, targets = (images, torch.full((2,), 6)), padded([3, 2])
    parts = [[str(k) for k in range(6)]] * 2
    inspected = captions(
        network, sources, parts, targets, texts(*targets), NAMES, list(images.numpy()), picture.grid
    )
    found = attribute(inspected, "saliency", answer="c", step=1)
    cells = picture(*sources)[0].detach().requires_grad_()
    carried = network.decoder.begin(cells, sources[1], network.start(cells.amax(1)))
    for symbols in (torch.full((2, 1), 7), targets[0][:, :1]):
        scores, carried = network.decoder.step(symbols, carried)
    (slope,) = torch.autograd.grad(scores[:, 0].log_softmax(1)[:, 2].sum(), cells)
    np.testing.assert_allclose(np.stack(found.values), slope.norm(dim=2).numpy(), rtol=1e-6)
    assert found.items == parts


def test_each_digit_is_owed_to_its_digit(tmp_path: Path) -> None:
    """Learned from numbers written digit by digit: symbol 2 k is digit k, whatever else is read."""
    files, options = Translator.example(tmp_path)
    Translator(hidden_size=24, epochs=25, learning_rate=0.01, **options).fit(files, out=tmp_path / "run")
    numbers = ["137", "185", "142"]
    model = api.load(tmp_path / "run")
    assert model.predict(numbers) == ["일 삼 칠", "일 팔 오", "일 사 이"]  # type: ignore[attr-defined]
    inspected = model.inspected(numbers)
    for digit in (0, 1, 2):
        for values in attribute(inspected, step=2 * digit).values:
            assert int(np.nanargmax(values)) == digit
    values, told = api.inspect(
        tmp_path / "run", numbers, tmp_path / "seen", attribution="integrated-gradients", step=0
    )
    assert [row["answer"] for row in values["attribution"]["rows"]] == ["일"] * 3
    assert "complete" in told
    for one in values["training"]:
        assert [stack["name"] for stack in one["stacks"]] == ["encoder.recurrent", "decoder.recurrent"]
    assert (tmp_path / "seen" / "states2.png").stat().st_size > 1000

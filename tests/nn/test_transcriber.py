"""The network of a transcriber: steps of frames, its loss beside all paths, and sounds that come in pieces."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from elman import cells
from elman.errors import InputError
from elman.nn import Recurrent
from elman.nn.transcriber import Hearing, TranscriberNetwork
from elman.testing.close import assert_close


def _network(cell: str = "gru", *, bidirectional: bool = False, reduction: int = 3) -> TranscriberNetwork:
    torch.manual_seed(1)
    layers = Recurrent(cell, 5 * reduction, 8, num_layers=2, bidirectional=bidirectional)
    return TranscriberNetwork(layers, 4, time_reduction=reduction).eval()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_and_company_change_nothing(bidirectional: bool) -> None:
    network = _network(bidirectional=bidirectional).double()
    frames, lengths = torch.randn(3, 10, 5, dtype=torch.float64), torch.tensor([10, 4, 7])
    logs, steps, _ = network(frames, lengths)
    assert steps.tolist() == [4, 2, 3]
    for row, length in enumerate(lengths.tolist()):
        alone, count, _ = network(frames[row : row + 1, :length], torch.tensor([length]))
        assert_close("split", logs[row, : int(count)], alone[0].detach(), f"row {row}")


def test_a_step_is_some_frames_side_by_side() -> None:
    network = _network().double()
    frames = torch.randn(1, 7, 5, dtype=torch.float64)
    logs, _, _ = network(frames, torch.tensor([7]))
    x = torch.cat([frames[0], torch.zeros(2, 5)]).reshape(1, 3, 15)
    output, _ = network.recurrent(x)
    expected = torch.log_softmax(network.output(output), -1)
    np.testing.assert_allclose(logs.detach(), expected.detach(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(logs.detach().exp().sum(-1), 1, rtol=0, atol=1e-6)


def test_nats_are_all_paths_added_up() -> None:
    logs = torch.log_softmax(torch.randn(2, 5, 3, dtype=torch.float64), -1)
    steps, texts = torch.tensor([5, 4]), [np.array([1, 1]), np.array([0, 1, 0])]
    found = _network().nats(logs, steps, texts)
    for row, text in enumerate(texts):
        total = 0.0
        for path in itertools.product(range(3), repeat=int(steps[row])):
            joined = [symbol for symbol, _ in itertools.groupby(path) if symbol != 2]
            if joined == text.tolist():
                total += float(sum(logs[row, t, k] for t, k in enumerate(path)).exp())
        assert float(found[row]) == pytest.approx(-np.log(total), abs=1e-10)


def test_a_text_without_a_path_weighs_nothing() -> None:
    logs = torch.log_softmax(torch.randn(1, 3, 3), -1).requires_grad_()
    nats = _network().nats(logs, torch.tensor([3]), [np.array([1, 1, 1])])
    nats.sum().backward()
    assert nats.tolist() == [0]
    assert logs.grad is not None
    assert not logs.grad.any()


@pytest.mark.parametrize("cell", cells.names())
@pytest.mark.parametrize("bidirectional", [False, True])
def test_pieces_are_the_whole_to_the_bit(cell: str, bidirectional: bool) -> None:
    network = _network(cell, bidirectional=bidirectional)
    frames = np.random.default_rng(0).normal(size=(67, 5)).astype(np.float32)
    whole = Hearing(network)
    expected = np.concatenate([whole.push(frames), whole.finish()])
    for cuts in ([1, 2, 3, 50], list(range(1, 67)), [12, 24]):
        hearing = Hearing(network)
        found = [hearing.push(part) for part in np.split(frames, cuts)]
        early = sum(map(len, found))
        assert early == 0 if bidirectional else early >= 20
        assert np.array_equal(np.concatenate([*found, hearing.finish()]), expected)
    logs, _, _ = network(torch.from_numpy(frames)[None], torch.tensor([67]))
    assert_close("reference", expected, logs[0].detach().numpy(), "beside the whole in one call")


def test_nothing_is_said_about_no_sound() -> None:
    hearing = Hearing(_network())
    assert hearing.push(np.empty((0, 5), np.float32)).shape == hearing.finish().shape == (0, 5)


def test_layers_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match="10 features cannot read 3 frames"):
        TranscriberNetwork(Recurrent("gru", 10, 4), 2, time_reduction=3)

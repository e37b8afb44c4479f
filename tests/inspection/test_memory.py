"""Memory, measured on networks whose memory is known."""

from __future__ import annotations

import numpy as np
import torch

from elman.inspection import effect_of_inputs
from elman.nn import Recurrent


def delay_line(steps: int) -> Recurrent:
    """What is read moves on by one unit with each step, and falls out after `steps` of them."""
    layer = Recurrent("rnn_relu", 1, steps + 1, bias=False)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        layer.weight_ih_l0[0] = 1
        layer.weight_hh_l0.copy_(torch.diag(torch.ones(steps), -1))
    return layer


def test_a_delay_line_of_17_steps_remembers_17() -> None:
    layer, x = delay_line(17), torch.rand(3, 60, 1) + 0.1
    whole = effect_of_inputs(lambda given: layer(given)[0], x)
    assert (whole.back.length(), whole.ahead.length(), whole.back.seen) == (17, 0, 59)
    last = effect_of_inputs(lambda given: layer(given)[0][:, :, 17:], x)
    assert np.flatnonzero(np.nan_to_num(last.back.strength)).tolist() == [17]


def test_an_answer_of_the_row_is_felt_from_its_own_end() -> None:
    layer, x, lengths = delay_line(5), torch.rand(2, 20, 1) + 0.1, torch.tensor([20, 13])

    def read(given: torch.Tensor) -> torch.Tensor:
        output, _ = layer(given, lengths=lengths)
        return output[torch.arange(2), lengths - 1, 5:]

    assert effect_of_inputs(read, x, lengths).back.length() == 5
    ends = torch.tensor([18, 11])
    assert effect_of_inputs(read, x, lengths, ends=ends).back.length() == 4


def test_a_layer_in_reverse_feels_what_comes_after() -> None:
    layer = Recurrent("rnn_relu", 1, 4, bidirectional=True, bias=False)
    line = delay_line(3)
    with torch.no_grad():
        for name, values in layer.named_parameters():
            values.copy_(
                line.get_parameter(name.removesuffix("_reverse")) if "reverse" in name else 0 * values
            )
    effect = effect_of_inputs(lambda given: layer(given)[0], torch.rand(2, 15, 1) + 0.1)
    assert (effect.back.length(), effect.ahead.length()) == (0, 3)


def test_rare_steps_that_matter_are_tried() -> None:
    """One step in two hundred is marked, and only a mark is kept."""
    x = torch.zeros(4, 200, 2)
    x[..., 0] = torch.rand(4, 200)
    x[torch.arange(4), torch.tensor([20, 90, 130, 60]), 1] = 1

    def read(given: torch.Tensor) -> torch.Tensor:
        return (given[..., :1] * given[..., 1:]).cumsum(1)

    assert effect_of_inputs(read, x, trials=32).back.length() > 150


def test_symbols_and_rows_that_are_all_alike() -> None:
    layer = Recurrent("gru", 5, 4)
    effect = effect_of_inputs(lambda given: layer(given)[0], torch.randint(5, (2, 12)))
    assert effect.back.length() > 0
    alike = effect_of_inputs(lambda given: layer(given)[0], torch.full((1, 12), 3))
    assert alike.back.length() > 0
    again = [
        effect_of_inputs(lambda given: layer(given)[0], torch.randint(5, (2, 12)), seed=1) for _ in range(1)
    ]
    assert again[0].back.seen == 11

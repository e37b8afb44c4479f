"""What is seen of a network: the very numbers of its layers, in one graph with its answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman import InputError, cells, reference
from elman.inspection import trace, tracing
from elman.nn import LSTM, Recurrent
from elman.testing import assert_close
from elman.testing.toys import toy


class Network(torch.nn.Module):
    """Two stacks, one of them a drop-in that reads time first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Recurrent("gru", 3, 4, num_layers=2, bidirectional=True)
        self.second = LSTM(8, 5)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        output, _ = self.first(x, lengths=lengths)
        after, _ = self.second(output.transpose(0, 1))
        return after.transpose(0, 1)


def test_every_layer_of_every_module_is_seen_with_its_own_numbers() -> None:
    torch.manual_seed(0)
    network, x, lengths = Network(), torch.randn(3, 6, 3), torch.tensor([6, 2, 4])
    seen = trace(network, x, lengths)
    names = ["first_l0", "first_l0_reverse", "first_l1", "first_l1_reverse", "second_l0"]
    assert [layer.name for layer in seen.layers] == names
    assert_close("split", seen.output, network(x, lengths), "output")
    assert 0 <= seen.difference < 1e-6
    assert torch.equal(seen.layers[4].states("h"), seen.output.detach())
    own, _ = network.first(x, lengths=lengths)
    inside = seen.layers[2].inside
    both = torch.cat([seen.layers[2].states(), seen.layers[3].states()], 2)
    assert_close("split", both[inside], own[inside], "states of the upper layer")
    assert inside.tolist() == [[t < n for t in range(6)] for n in (6, 2, 4)]


@pytest.mark.parametrize("cell", cells.names())
def test_gates_are_those_of_the_reference(cell: str) -> None:
    problem = toy(cell, steps=7, ragged=False, with_state=False)
    layer = Recurrent(cell, 5, 7).double()
    layer.load_state_dict({name: torch.from_numpy(values) for name, values in problem.params.items()})
    (seen,) = trace(layer, torch.from_numpy(problem.x)).layers
    _, _, wanted = reference.forward(cell, problem.params, problem.x, return_gates=True)
    for gate in cells.get(cell).gate_names:
        expected = np.stack([moment.kept[gate] for moment in wanted["_l0"]], 1)
        assert_close("reference", seen.gates(gate), expected, f"{cell} {gate}")


def test_only_the_modules_that_are_named_are_watched() -> None:
    network, x = Network(), torch.randn(1, 4, 3)
    with tracing(network, ["second"]) as seen:
        network(x, torch.tensor([4]))
    assert [call.name for call in seen.calls] == ["second"]
    with tracing(network) as seen:
        network(x, torch.tensor([4]))
        network(x, torch.tensor([4]))
    assert [call.name for call in seen.calls] == ["first", "second", "first#2", "second#2"]
    network(x, torch.tensor([4]))
    assert len(seen.calls) == 4


def test_a_state_that_the_cell_lacks() -> None:
    (layer,) = trace(Recurrent("gru", 3, 4), torch.randn(1, 2, 3)).layers
    with pytest.raises(InputError, match="gru has the states h; got 'c'"):
        layer.nodes("c")

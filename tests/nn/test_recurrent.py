"""Recurrent: options, initial values, state by name, symbols, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from elman import InputError, cells, reference
from elman.nn import GRU, Recurrent, accelerate
from elman.testing import assert_close
from elman.testing.toys import toy


def layer(cell="lstm", **options):
    torch.manual_seed(0)
    return Recurrent(cell, 5, 7, **options)


@pytest.mark.parametrize("cell", cells.names())
def test_parameters_are_the_declared_ones(cell):
    made = layer(cell, num_layers=2, bidirectional=True)
    declared = list(cells.parameters(cells.get(cell), 5, 7, num_layers=2, bidirectional=True))
    assert {p.name: p.shape for p in declared} == {n: tuple(p.shape) for n, p in made.named_parameters()}


def test_initial_values():
    elman_way, torch_way = layer(), layer(init="torch")
    forget = elman_way.bias_ih_l0[7:14]
    assert torch.equal(forget, torch.ones(7))
    assert not elman_way.bias_hh_l0.any()
    for block in elman_way.weight_hh_l0.split(7):
        assert torch.allclose(block @ block.T, torch.eye(7), atol=1e-5)
    assert torch_way.weight_hh_l0.abs().max() <= 7**-0.5
    torch.manual_seed(0)
    wanted = torch.nn.LSTM(5, 7)
    assert all(torch.equal(a, b) for a, b in zip(torch_way.parameters(), wanted.parameters(), strict=True))


def test_every_option_changes_the_result():
    x, results = torch.randn(2, 6, 5), []
    for options in (
        {},
        {"num_layers": 2},
        {"bidirectional": True},
        {"bias": False},
        {"proj_size": 3},
        {"init": "torch"},
        {"num_layers": 2, "dropout": 0.5},
    ):
        results.append(layer(**options)(x)[0])
    for n, a in enumerate(results):
        assert all(a.shape != b.shape or not torch.equal(a, b) for b in results[:n])


def test_dropout_only_while_training():
    made, x = layer(num_layers=2, dropout=0.5), torch.randn(2, 6, 5)
    assert not torch.equal(made(x)[0], made(x)[0])
    made.eval()
    assert torch.equal(made(x)[0], made(x)[0])


@pytest.mark.parametrize("cell", cells.names())
def test_state_goes_on(cell):
    made, x = layer(cell, num_layers=2), torch.randn(3, 9, 5)
    whole, final = made(x)
    first, state = made(x[:, :4])
    second, state = made(x[:, 4:], state)
    assert_close("split", torch.cat([first, second], 1), whole, "output")
    assert list(final) == list(cells.get(cell).state_names)
    for name, value in final.items():
        assert_close("split", state[name], value, name)


def test_copies_and_repr():
    made = layer("gru_reset_before", num_layers=2, bias=False)
    x = torch.randn(2, 6, 5)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(other(x)[0], made(x)[0])
    assert repr(made) == "Recurrent('gru_reset_before', 5, 7, num_layers=2, bias=False)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "lstn"}, "Did you mean 'lstm'"),
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"dropout": 2.0, "num_layers": 2}, "probability"),
        ({"dropout": 0.5}, "between layers"),
        ({"cell": "gru", "proj_size": 3}, "gru has no projection"),
        ({"proj_size": 7}, "proj_size must lie between"),
        ({"init": "zeros"}, "unknown init"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message):
        Recurrent(**{"cell": "lstm", "input_size": 5, "hidden_size": 7, **options})


@pytest.mark.parametrize(
    ("x", "state", "message"),
    [
        (torch.zeros(2, 6, 4), None, r"4 features.*expected input_size=5.*\(2, 6, 4\)"),
        (torch.zeros(6, 5), None, "x must be floats"),
        (torch.zeros(2, 6, 5, dtype=torch.float64), None, r"Give x.to\(torch.float32\)"),
        (torch.zeros(2, 6, 5, dtype=torch.int64), None, "integer symbols"),
        (torch.full((2, 6), 5), None, "symbols from 0 to 4"),
        (torch.zeros(2, 6, 5), {"h": torch.zeros(1, 2, 7)}, "states h, c; got h"),
        (torch.zeros(2, 6, 5), {"h": torch.zeros(1, 2, 7), "c": torch.zeros(1, 2, 8)}, "state 'c' has shape"),
    ],
)
def test_calls_that_do_not_fit(x, state, message):
    with pytest.raises(InputError, match=message):
        layer()(x, state)


def test_symbols_of_any_integer_dtype():
    made, symbols = layer("gru"), torch.randint(5, (2, 6))
    wanted = made(symbols)[0]
    for dtype in (torch.int32, torch.uint8, torch.int16):
        assert torch.equal(made(symbols.to(dtype))[0], wanted)


@pytest.mark.parametrize("cell", cells.names())
def test_symbols_are_one_hot_where_torch_or_the_text_computes(cell):
    made, symbols = layer(cell, num_layers=2, bidirectional=True).bfloat16(), torch.randint(5, (2, 6))
    one_hot = torch.nn.functional.one_hot(symbols, 5).bfloat16()
    lengths = torch.tensor([4, 0])
    assert torch.equal(made(symbols.to(torch.uint8), lengths=lengths)[0], made(one_hot, lengths=lengths)[0])


STACKS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3},
    {"bias": False},
]


@pytest.mark.parametrize("cell", cells.names())
@pytest.mark.parametrize("options", STACKS, ids=str)
def test_steps_are_those_of_the_reference(cell, options):
    """Every state and gate of every layer, direction and step, beside `elman.reference` in NumPy."""
    problem = toy(cell, steps=9, **options)
    made = Recurrent(cell, 5, 7, **options).double()
    made.load_state_dict({name: torch.from_numpy(values) for name, values in problem.params.items()})
    state = {name: torch.from_numpy(values) for name, values in problem.state.items()}
    lengths = torch.from_numpy(problem.lengths)
    output, _, steps = made(
        torch.from_numpy(problem.x), state, lengths, return_gates=True, return_states=True
    )
    assert_close("split", output, made(torch.from_numpy(problem.x), state, lengths)[0], "output")
    _, _, wanted = reference.forward(
        cell, problem.params, problem.x, problem.state, problem.lengths, return_gates=True
    )
    for number, (suffix, moments) in enumerate(wanted.items()):
        for row, length in enumerate(lengths.tolist()):
            order = range(length)[::-1] if suffix.endswith("_reverse") else range(length)
            for moment, t in zip(moments, order, strict=False):
                for name, value in steps.states.items():
                    assert_close(
                        "reference", value[number, row, t], moment.state[name][row], f"{name}{suffix}"
                    )
                for name, value in steps.gates.items():
                    assert_close(
                        "reference", value[number, row, t], moment.kept[name][row], f"gate {name}{suffix}"
                    )
            for value in (*steps.states.values(), *steps.gates.values(), *steps.preactivations.values()):
                assert not value[number, row, length:].any()


def test_preactivations_are_what_gates_are_the_nonlinearity_of():
    for cell in ("rnn", "lstm", "gru", "gru_reset_before"):
        _, _, steps = layer(cell)(torch.randn(2, 6, 5), return_gates=True)
        for gate in cells.get(cell).gates:
            squashed = getattr(torch, gate.activation)(steps.preactivations[gate.name])
            assert_close("split", squashed, steps.gates[gate.name], f"{cell} {gate.name}")


def test_only_what_is_asked_for_comes_back():
    made, x = layer(), torch.randn(2, 6, 5)
    assert len(made(x)) == 2
    _, _, gates = made(x, return_gates=True)
    _, _, states = made(x, return_states=True)
    assert (set(gates.gates), set(gates.states)) == (set("ifgo"), set())
    assert (set(states.gates), set(states.states)) == (set(), {"h", "c"})


def test_a_gradient_flows_through_every_step_that_comes_back():
    made, x = layer(), torch.randn(2, 6, 5, requires_grad=True)
    for kind, name in (("states", "c"), ("gates", "f"), ("preactivations", "o")):
        _, _, steps = made(x, return_gates=True, return_states=True)
        (gradient,) = torch.autograd.grad(getattr(steps, kind)[name][0, :, 3].sum(), x)
        assert gradient[:, :4].abs().amin(-1).all()
        assert not gradient[:, 4:].any()


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: (torch.nn.LSTM(5, 7, 2, bidirectional=True), torch.randn(6, 3, 5)), (4, 6, 3, 7)),
        (lambda: (torch.nn.GRU(5, 7, batch_first=True), torch.randn(3, 6, 5)), (1, 3, 6, 7)),
        (lambda: (torch.nn.RNN(5, 7), torch.randn(6, 5)), (1, 6, 7)),
        (lambda: (torch.nn.LSTM(5, 7, proj_size=3), torch.randn(6, 3, 5)), (1, 6, 3, 3)),
    ],
)
def test_drop_ins_tell_their_steps(make, shape):
    made, x = make()
    accelerate(made)
    wanted = made(x)
    output, state, steps = made(x, return_states=True, return_gates=True)
    assert_close("split", output, wanted[0], "output")
    assert type(state) is type(wanted[1])
    h = steps.states["h"]
    assert h.shape == shape
    directions = [h[-1]] if not made.bidirectional else [h[-2], h[-1]]
    assert torch.equal(torch.cat(directions, -1), output)
    assert steps.gates[cells.get(made.cell).gate_names[0]].shape == (*shape[:-1], 7)


def test_steps_of_a_packed_sequence_are_refused():
    packed = torch.nn.utils.rnn.pack_sequence([torch.randn(3, 5)])
    with pytest.raises(InputError, match="give lengths="):
        GRU(5, 7)(packed, return_gates=True)


def test_lengths_are_given_in_any_form():
    layer, x = Recurrent("gru", 3, 4), torch.randn(3, 5, 3)
    expected = layer(x, lengths=torch.tensor([2, 0, 5]))[0]
    for given in ([2, 0, 5], (2, 0, 5), np.array([2, 0, 5])):
        assert torch.equal(layer(x, lengths=given)[0], expected)
    assert layer(x[:0], lengths=[])[0].shape == (0, 5, 4)

"""RNN, LSTM, GRU where a user meets them: construction, repr, errors, copies, parameters, dropout, lengths."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import elman.nn
from elman import InputError
from elman.testing import assert_close

KINDS = ("RNN", "LSTM", "GRU")
each_kind = pytest.mark.parametrize("kind", KINDS)


def pair(kind, *args, **options):
    """torch's layer and ours, made from the same seed."""
    made = []
    for module in (nn, elman.nn):
        torch.manual_seed(0)
        made.append(getattr(module, kind)(*args, **options))
    return made


@each_kind
def test_same_arguments_by_position(kind):
    given = (3, 4, 2, *(("relu",) if kind == "RNN" else ()), False, True, 0.25, True)
    theirs, ours = pair(kind, *given)
    assert repr(theirs) == repr(ours)
    names = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size", "mode")
    for name in (*names, *(("nonlinearity",) if kind == "RNN" else ())):
        assert getattr(theirs, name) == getattr(ours, name)


@each_kind
def test_state_dicts_load_both_ways(kind):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True)
    changed = {name: p + 1 for name, p in theirs.state_dict().items()}
    ours.load_state_dict(changed)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 2, 3)
    assert_close("torch", ours(x)[0], theirs(x)[0], kind)
    assert len(ours.all_weights) == 4
    assert ours.all_weights[1][0] is ours.weight_ih_l0_reverse


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GRU", {"dropout": 1.5}),
        ("GRU", {"bias": 1}),
        ("GRU", {"batch_first": "no"}),
        ("GRU", {"num_layers": 0}),
        ("GRU", {"proj_size": 2}),
        ("RNN", {"proj_size": 0}),
        ("RNN", {"nonlinearity": "sine"}),
        ("LSTM", {"proj_size": -1}),
        ("LSTM", {"proj_size": 4}),
        ("LSTM", {"hidden_size": 0}),
        ("LSTM", {"input_size": 2.5}),
    ],
)
def test_construction_is_refused_as_by_torch(kind, options):
    errors = []
    for module in (nn, elman.nn):
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(module, kind)(**{"input_size": 3, "hidden_size": 4, **options})
        errors.append(caught.value)
    assert type(errors[0]) is type(errors[1])
    assert str(errors[0]) == str(errors[1])


def bad_calls(kind):
    """Calls torch refuses: input and state; the layer has I=3, H=4."""
    h = (
        (lambda *shape: (torch.zeros(shape), torch.zeros(shape)))
        if kind == "LSTM"
        else lambda *s: torch.zeros(s)
    )
    yield "axes", torch.zeros(3), None
    yield "features", torch.zeros(5, 2, 7), None
    yield "dtype", torch.zeros(5, 2, 3, dtype=torch.float64), None
    yield "empty", torch.zeros(0, 2, 3), None
    yield "batch of the state", torch.zeros(5, 2, 3), h(1, 9, 4)
    yield "size of the state", torch.zeros(5, 2, 3), h(1, 2, 9)
    yield "layers of the state", torch.zeros(5, 2, 3), h(2, 2, 4)
    yield "axes of the state", torch.zeros(5, 2, 3), h(1, 4)
    yield "axes of the state, unbatched", torch.zeros(5, 3), h(1, 2, 4)
    if kind != "LSTM":  # torch's LSTM does not look at a packed input's features
        yield "packed features", pack_sequence([torch.zeros(5, 7)]), None


@each_kind
def test_calls_are_refused_as_by_torch(kind):
    theirs, ours = pair(kind, 3, 4)
    for name, x, state in bad_calls(kind):
        errors = []
        for layer in (theirs, ours):
            with pytest.raises((ValueError, RuntimeError)) as caught:
                layer(x, state)
            errors.append(caught.value)
        assert type(errors[0]) is type(errors[1]), name
        assert str(errors[1]).startswith(str(errors[0])), f"{name}: {errors[1]}"


@each_kind
def test_state_of_another_dtype_is_refused(kind):
    _, ours = pair(kind, 3, 4)
    h = torch.zeros(1, 2, 4, dtype=torch.float64)
    with pytest.raises((RuntimeError, ValueError), match="dtype"):
        ours(torch.zeros(5, 2, 3), (h, h) if kind == "LSTM" else h)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([5, 6], "between 0 and the 5 steps"),
        ([-1, 2], "between 0 and the 5 steps"),
        ([1, 2, 3], r"expected \(2,\)"),
        ([1.0, 2.0], "must be integers"),
        (torch.tensor([True, False]), "must be integers"),
    ],
)
def test_lengths_that_do_not_fit(lengths, message):
    with pytest.raises(InputError, match=f"GRU: lengths.*{message}"):
        elman.nn.GRU(3, 4)(torch.zeros(5, 2, 3), lengths=lengths)


def test_packed_with_lengths_is_refused():
    with pytest.raises(InputError, match="leave out lengths="):
        elman.nn.GRU(3, 4)(pack_sequence([torch.zeros(5, 3)]), lengths=[5])


@each_kind
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_are_packing_without_sorting(kind, batch_first):
    theirs, ours = pair(kind, 3, 4, 2, batch_first=batch_first, bidirectional=True)
    x, lengths = torch.randn(3, 6, 3), torch.tensor([2, 6, 1])
    x = x if batch_first else x.transpose(0, 1)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    wanted, state = theirs(packed)
    wanted, _ = nn.utils.rnn.pad_packed_sequence(wanted, batch_first)
    found, ours_state = ours(x, lengths=lengths)
    assert_close("torch", found, wanted, "output")
    for a, b in zip(ours_state, state, strict=True):
        assert_close("torch", a, b, "state")
    assert not torch.equal(found, ours(x)[0])


@each_kind
def test_lengths_of_nothing(kind):
    """All rows empty, no steps at all, and no rows at all: zeros out, the state as it came."""
    _, ours = pair(kind, 3, 4)
    h = torch.randn(1, 2, 4)
    state = (h, h + 1) if kind == "LSTM" else h
    for steps in (5, 0):
        output, final = ours(torch.randn(steps, 2, 3), state, lengths=[0, 0])
        assert output.shape == (steps, 2, 4)
        assert not output.any()
        assert all(torch.equal(a, b) for a, b in zip(final, state, strict=True))
    assert ours(torch.randn(5, 0, 3), lengths=[])[0].shape == (5, 0, 4)


@each_kind
def test_dropout_draws_torchs_masks(kind):
    theirs, ours = pair(kind, 3, 4, 3, dropout=0.5, batch_first=True, bidirectional=True)
    x, results = torch.randn(2, 6, 3), []
    for layer in (theirs, ours):
        torch.manual_seed(1)
        results.append(layer(x)[0])
    assert_close("torch", results[1], results[0], "with dropout")
    assert not torch.equal(ours.eval()(x)[0], results[1])
    assert_close("torch", ours(x)[0], theirs.eval()(x)[0], "without")


def test_every_option_changes_the_result():
    x, results = torch.randn(6, 2, 3), []
    changes = [{}, {"nonlinearity": "relu"}, {"bias": False}, {"num_layers": 2}, {"bidirectional": True}]
    for options in [*changes, {"batch_first": True}]:
        torch.manual_seed(0)
        results.append(elman.nn.RNN(3, 4, **options)(x)[0])
    for n, a in enumerate(results):
        assert all(a.shape != b.shape or not torch.equal(a, b) for b in results[:n])


@each_kind
def test_copies_compute_the_same(kind):
    _, ours = pair(kind, 3, 4, 2)
    x = torch.randn(5, 2, 3)
    saved = io.BytesIO()
    torch.save(ours, saved)
    saved.seek(0)
    for other in (
        copy.deepcopy(ours),
        pickle.loads(pickle.dumps(ours)),
        torch.load(saved, weights_only=False),
    ):
        assert torch.equal(other(x)[0], ours(x)[0])
        with torch.no_grad():
            other.weight_hh_l1.mul_(2)
        assert not torch.equal(other(x)[0], ours(x)[0])


@each_kind
def test_parameters_are_read_anew_at_every_call(kind):
    """Replaced, normalised, parametrised, swapped by functional_call, converted, shared, deleted and set."""
    theirs, ours = pair(kind, 3, 4)
    x = torch.randn(5, 2, 3)
    before = ours(x)[0]
    for layer in (theirs, ours):
        layer.weight_hh_l0 = nn.Parameter(torch.full_like(layer.weight_hh_l0, 0.1))
    assert not torch.equal(ours(x)[0], before)
    assert_close("torch", ours(x)[0], theirs(x)[0], "replaced")
    swapped = {name: p * 2 for name, p in ours.named_parameters()}
    found, wanted = (torch.func.functional_call(layer, swapped, (x,))[0] for layer in (ours, theirs))
    assert_close("torch", found, wanted, "functional_call")
    assert_close("torch", ours(x)[0], theirs(x)[0], "and back")
    for layer in (theirs, ours):
        nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
        layer.parametrizations.weight_hh_l0.original0.data.mul_(1.5)
    assert_close("torch", ours(x)[0], theirs(x)[0], "parametrised")
    ours(x)[0].sum().backward()
    assert ours.parametrizations.weight_hh_l0.original0.grad is not None
    found = ours.double()(x.double())[0]
    assert found.dtype == torch.float64
    assert_close("torch", found, theirs.double()(x.double())[0], "converted")


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@each_kind
def test_old_weight_norm(kind):
    theirs, ours = (nn.utils.weight_norm(layer, "weight_hh_l0") for layer in pair(kind, 3, 4))
    x = torch.randn(5, 2, 3)
    assert_close("torch", ours(x)[0], theirs(x)[0], "weight_norm")


@each_kind
def test_second_derivative(kind):
    _, ours = pair(kind, 2, 3, bidirectional=True, dtype=torch.float64)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    names, values = zip(*ours.named_parameters(), strict=True)

    def call(x, *params):
        return torch.func.functional_call(
            ours, dict(zip(names, params, strict=True)), (x,), {"lengths": [3, 1]}
        )[0]

    assert torch.autograd.gradcheck(call, (x, *values), fast_mode=True)
    assert torch.autograd.gradgradcheck(call, (x, *values), fast_mode=True)


def test_gradients_are_the_same_when_they_will_be_differentiated():
    """What leads from x to h_0 outside the layer must not be counted a second time inside."""
    _, ours = pair("GRU", 2, 3, dtype=torch.float64)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    h0 = (x.sum(0) @ torch.randn(2, 3, dtype=torch.float64))[None]
    loss = ours(x, h0)[0].square().sum()
    once, again = (torch.autograd.grad(loss, x, retain_graph=True, create_graph=c)[0] for c in (False, True))
    assert_close("split", again, once, "gradient of x")


@pytest.mark.parametrize(
    ("name", "shape"), [("weight_hh_l0", (12, 3)), ("weight_ih_l0", (12, 9)), ("bias_hh_l0", (4,))]
)
def test_parameters_of_another_shape_are_refused(name, shape):
    """The core reads raw memory: nothing of the wrong size may reach it."""
    _, ours = pair("GRU", 3, 4)
    setattr(ours, name, nn.Parameter(torch.zeros(shape)))
    with pytest.raises(InputError, match=r"gru: .*shape"):
        ours(torch.zeros(5, 2, 3))


@each_kind
def test_gradients_for_many_outputs_at_once(kind):
    """autograd.grad with is_grads_batched sends a batch of gradients back in one pass."""
    _, ours = pair(kind, 3, 4, dtype=torch.float64)
    output = ours(torch.randn(5, 2, 3, dtype=torch.float64))[0]
    weights = list(ours.parameters())
    many = torch.randn(3, *output.shape, dtype=torch.float64)
    found = torch.autograd.grad(output, weights, many, retain_graph=True, is_grads_batched=True)
    for n in range(3):
        wanted = torch.autograd.grad(output, weights, many[n], retain_graph=True)
        for a, b in zip(found, wanted, strict=True):
            assert_close("split", a[n], b, f"gradients of output {n}")


@each_kind
def test_autocast_is_torchs(kind):
    theirs, ours = pair(kind, 3, 4, 2)
    x = torch.randn(5, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        wanted, found = theirs(x)[0], ours(x)[0]
        ragged = ours(x, lengths=[5, 3])[0]
    assert found.dtype == wanted.dtype
    assert torch.equal(found, wanted)
    assert torch.allclose(ragged.float(), ours(x, lengths=[5, 3])[0], atol=0.05)


@each_kind
def test_frozen_parameters_and_inputs(kind):
    """Gradients go where they are asked for, also when only one thing asks."""
    _, ours = pair(kind, 3, 4)
    x = torch.randn(5, 2, 3)
    ours.requires_grad_(False)
    assert not ours(x)[0].requires_grad
    ours.bias_hh_l0.requires_grad_(True)
    ours(x)[0].sum().backward()
    assert ours.bias_hh_l0.grad is not None
    assert ours.weight_ih_l0.grad is None
    with torch.no_grad():
        assert not ours(x)[0].requires_grad


@each_kind
def test_strides_do_not_matter(kind):
    _, ours = pair(kind, 3, 4)
    x = torch.randn(3, 2, 5).permute(2, 1, 0)
    assert not x.is_contiguous()
    assert_close("split", ours(x)[0], ours(x.contiguous())[0], "transposed input")
    wide = torch.randn(10, 2, 3)
    assert_close("split", ours(wide[::2])[0], ours(wide[::2].contiguous())[0], "every second step")


@each_kind
def test_large_reserves_of_two_calls_are_apart(kind):
    """From a megabyte on a reserve lies in memory that is used again: not before its own way back is done."""
    theirs, ours = (layer.double() for layer in pair(kind, 16, 64))
    inputs = [torch.randn(60, 32, 16, dtype=torch.double, requires_grad=True) for _ in range(2)]
    wanted = torch.autograd.grad(sum(theirs(x)[0].square().sum() for x in inputs), inputs)
    found = torch.autograd.grad(sum(ours(x)[0].square().sum() for x in inputs), inputs)
    for one, other in zip(found, wanted, strict=True):
        assert_close("torch", one, other, "gradient of the input")

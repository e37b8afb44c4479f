"""What torch does to a layer as a program: compile, export, trace, vmap, grad, fake tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

import elman.nn
from elman import InputError, cells
from elman.nn import Recurrent, operator
from elman.testing import assert_close

KINDS = ("RNN", "LSTM", "GRU")
each_kind = pytest.mark.parametrize("kind", KINDS)


class Output(nn.Module):
    """The output alone, so that a model has one tensor in and one out."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths=None):
        return self.layer(x, lengths=lengths)[0]


def drop_in(kind, **options):
    torch.manual_seed(0)
    return Output(getattr(elman.nn, kind)(5, 7, 2, bidirectional=True, **options))


def equal_with_gradients(first, second, parameters):
    assert_close("torch", first, second, "output")
    slopes = [torch.autograd.grad(t.square().sum(), parameters) for t in (first, second)]
    for n, (a, b) in enumerate(zip(*slopes, strict=True)):
        assert_close("torch", a, b, f"gradient {n}")


@each_kind
def test_compile_without_a_graph_break(kind):
    model = drop_in(kind)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for batch in (3, 4):
        x = torch.randn(6, batch, 5, requires_grad=True)
        equal_with_gradients(compiled(x), model(x), [x, *model.parameters()])
    with torch.no_grad():
        assert_close("torch", compiled(x), model(x), "inference")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_with_inductor_and_lengths(tmp_path, monkeypatch):
    # what inductor keeps on disk holds the size of our reserve, which differs between instruction sets
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    model = Output(Recurrent("lstm", 5, 7, num_layers=2, bidirectional=True))
    compiled = torch.compile(model, fullgraph=True)
    x, lengths = torch.randn(3, 6, 5, requires_grad=True), torch.tensor([4, 0, 6])
    equal_with_gradients(compiled(x, lengths), model(x, lengths), [x, *model.parameters()])


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("strict", [False, True])
@each_kind
def test_export_with_dynamic_batch_and_time(kind, strict):
    model = drop_in(kind, batch_first=True).eval()
    axes = {0: torch.export.Dim("batch", max=64), 1: torch.export.Dim("time", max=512)}
    x, lengths = torch.randn(3, 6, 5), torch.tensor([4, 0, 6])
    for given, shapes in (((x,), {"x": axes}), ((x, lengths), {"x": axes, "lengths": {0: axes[0]}})):
        program = torch.export.export(model, given, dynamic_shapes=shapes, strict=strict)
        other = (torch.randn(2, 11, 5), torch.tensor([11, 3]))[: len(given)]
        assert_close("torch", program.module()(*other), model(*other), "exported")
        assert_close("torch", program.run_decompositions().module()(*other), model(*other), "decomposed")


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
@each_kind
def test_trace(kind):
    model = drop_in(kind)
    x = torch.randn(6, 3, 5)
    assert_close("torch", torch.jit.trace(model, (x,))(x), model(x), "traced")


@each_kind
def test_vmap(kind):
    model = drop_in(kind)
    xs = torch.randn(4, 6, 3, 5)
    assert_close("torch", torch.vmap(model)(xs), torch.stack([model(x) for x in xs]), "over inputs")
    assert_close(
        "torch", torch.vmap(model, 2)(xs.movedim(0, 2)), torch.stack([model(x) for x in xs]), "axis 2"
    )
    lengths = torch.tensor([[1, 6, 0], [2, 3, 4], [6, 6, 6], [0, 0, 1]])
    wanted = torch.stack([model(x, n) for x, n in zip(xs, lengths, strict=True)])
    assert_close("torch", torch.vmap(model)(xs, lengths), wanted, "over inputs and lengths")
    stacked = {name: torch.stack([p, -p]) for name, p in model.named_parameters()}
    found = torch.vmap(lambda p: torch.func.functional_call(model, p, (xs[0],)))(stacked)
    for n in range(2):
        single = {name: p[n] for name, p in stacked.items()}
        assert_close(
            "torch", found[n], torch.func.functional_call(model, single, (xs[0],)), "over parameters"
        )


@each_kind
def test_vmap_reaches_autograd(kind):
    model, xs = drop_in(kind), torch.randn(4, 6, 3, 5)
    equal_with_gradients(torch.vmap(model)(xs), torch.stack([model(x) for x in xs]), list(model.parameters()))


@each_kind
def test_gradients_of_each_sample(kind):
    model, xs = drop_in(kind), torch.randn(4, 6, 3, 5)
    parameters = dict(model.named_parameters())

    def loss(parameters, x):
        return torch.func.functional_call(model, parameters, (x,)).square().sum()

    found = torch.vmap(torch.func.grad(loss), (None, 0))(parameters, xs)
    wanted = torch.autograd.grad(loss(parameters, xs[2]), list(parameters.values()))
    for name, slope in zip(parameters, wanted, strict=True):
        assert_close("torch", found[name][2], slope, name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forward_mode():
    model, x = drop_in("GRU").double(), torch.randn(6, 3, 5, dtype=torch.float64)
    along = torch.randn_like(x)
    _, found = torch.func.jvp(model, (x,), (along,))
    step = 1e-6
    wanted = (model(x + step * along) - model(x - step * along)) / (2 * step)
    assert torch.allclose(found, wanted, atol=1e-8)


@pytest.mark.parametrize("cell", cells.names())
@pytest.mark.parametrize("ragged", [False, True])
def test_operator_keeps_torchs_rules(cell, ragged):
    params = [p.detach().requires_grad_() for p in Recurrent(cell, 3, 4, bidirectional=True).parameters()]
    h0 = torch.randn(2, 2, 4, requires_grad=True)
    s0 = torch.randn(2, 2, 4, requires_grad=True) if len(cells.get(cell).states) > 1 else None
    lengths = torch.tensor([5, 2]) if ragged else None
    x = torch.randn(5, 2, 3, requires_grad=True)
    symbols = torch.randint(3, (2, 5))
    # a reserve has bytes no one reads or writes, so values are compared without one
    shapes = ("test_schema", "test_autograd_registration", "test_faketensor")
    for given in (
        (x, h0, s0, params, lengths, cell, True, False),
        (symbols, None, None, params, lengths, cell, True, True),
    ):
        torch.library.opcheck(operator.layer, (*given, False))
        torch.library.opcheck(operator.layer, (*given, True), test_utils=shapes)


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (torch.zeros(5, 2, 3), torch.tensor([5, 6]), "lengths must lie between 0 and the 5 steps"),
        (torch.zeros(5, 2, 3), torch.tensor([5, 5, 5]), r"lengths must be \(2,\) int64"),
        (torch.full((5, 2), 3), None, "symbols from 0 to 2"),
        (torch.zeros(5, 2, 4), None, "weight_ih reads 3 features"),
    ],
)
def test_operator_refuses_what_the_core_must_not_read(x, lengths, message):
    """A compiled program reaches the operator without a layer's checks."""
    params = [p.detach() for p in elman.nn.GRU(3, 4).parameters()]
    with pytest.raises(InputError, match=message):
        torch.ops.elman.layer(x, None, None, params, lengths, "gru", False, False, False)


def test_operator_refuses_gradients_the_core_must_not_read():
    params = [p.detach() for p in elman.nn.GRU(3, 4).parameters()]
    x, found = torch.zeros(5, 2, 3), []
    *found, reserve = torch.ops.elman.layer(x, None, None, params, None, "gru", False, False, True)
    wrong = [torch.zeros(4, 2, 4), *found[1:]]
    for grads, kept in ((wrong, reserve), (found, reserve[:64])):
        with pytest.raises(InputError, match=r"gru: .*shape"):
            torch.ops.elman.layer_backward(grads, x, None, None, params, None, kept, "gru", False, False)


def test_fake_and_meta_tensors_have_the_shapes():
    layer = elman.nn.LSTM(5, 7, device="meta")
    assert layer(torch.randn(6, 3, 5, device="meta"))[0].shape == (6, 3, 7)
    with torch._subclasses.fake_tensor.FakeTensorMode():
        output, state = Recurrent("lstm", 5, 7)(torch.randn(3, 6, 5))
    assert output.shape == (3, 6, 7)
    assert state["c"].shape == (1, 3, 7)


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_per_sample_gradients_are_those_of_each_sample_alone(kind):
    layer, x = drop_in(kind, batch_first=True), torch.randn(5, 6, 5)
    of_samples = call_for_per_sample_grads(layer, batch_size=5)
    of_samples(x).square().sum().backward()
    for n in range(5):
        alone = torch.autograd.grad(layer(x[n : n + 1]).square().sum(), list(layer.parameters()))
        for (name, param), expected in zip(layer.named_parameters(), alone, strict=True):
            assert_close("torch", param.grad_sample[n], expected, f"gradient {name} of sample {n}")
    with pytest.raises(RuntimeError, match="Expanded Weights"):  # better than gradients of other samples
        of_samples(x, lengths=[1, 6, 2, 3, 4])


@each_kind
def test_a_tensor_with_its_own_torch_function_is_asked_as_torch_asks_it(kind):
    asked = []

    class Asking(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            asked.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    x = torch.randn(5, 2, 3).as_subclass(Asking)
    torch_layer, layer = getattr(nn, kind)(3, 4), getattr(elman.nn, kind)(3, 4)
    torch_layer(x)
    expected = {name for name in asked if name.startswith(("rnn_", "lstm", "gru"))}
    asked.clear()
    layer(x)
    assert expected
    assert expected <= set(asked)

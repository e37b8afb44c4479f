"""State dicts in and out beside torch itself; foreign pickles beside what they would have done."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from elman import tasks
from elman.errors import InputError
from elman.graph import Builder, Graph, run
from elman.interop import read
from elman.interop import torch as interop
from elman.interop.checking import made_up


class Model(nn.Module):
    """An embedding, a stack of some kind and a linear layer."""

    def __init__(self, kind: str, layers: int, both: bool, size: int = 6, **how: Any) -> None:
        super().__init__()
        self.out = nn.Linear((how.get("proj_size") or size) * (1 + both), 7)
        self.words = nn.Embedding(11, 5)
        self.rnn = getattr(nn, kind)(5, size, layers, batch_first=True, bidirectional=both, **how)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.out(self.rnn(self.words(symbols))[0])
        return output


KINDS = [
    ("RNN", 1, False, {}),
    ("RNN", 2, True, {"nonlinearity": "relu"}),
    ("GRU", 3, False, {}),
    ("GRU", 1, True, {"bias": False}),
    ("LSTM", 2, True, {}),
    ("LSTM", 2, False, {"proj_size": 4}),
]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(("kind", "layers", "both", "how"), KINDS)
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_a_model_of_torch_comes_and_leaves(
    tmp_path: Path, kind: str, layers: int, both: bool, how: dict[str, Any], suffix: str
) -> None:
    torch.manual_seed(layers)
    model, symbols = Model(kind, layers, both, **how), torch.randint(11, (3, 9))
    _save(model.state_dict(), tmp_path / f"in{suffix}")
    cell = "rnn_relu" if how.get("nonlinearity") else None
    graph = interop.read(tmp_path / f"in{suffix}", cell=cell)
    expected = model(symbols).detach().numpy()
    np.testing.assert_allclose(run(graph, {"symbols": symbols.numpy()})["output"], expected, atol=1e-6)
    plain = interop.to_torch(graph)
    assert {type(part).__module__.split(".")[0] for part in plain.modules()} == {"torch"}
    assert torch.equal(plain(symbols)["output"], model(symbols))
    interop.write(graph, tmp_path / f"out{suffix}")
    back = Model(kind, layers, both, **how)
    back.load_state_dict(_load(tmp_path / f"out{suffix}"))
    assert torch.equal(back(symbols), model(symbols))


@pytest.mark.parametrize("seed", range(200))
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_generated_models_come_and_leave(tmp_path: Path, seed: int) -> None:
    """Any kind, depth, direction and size, with or without embedding, biases, projection and linear layers."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    kind = str(rng.choice(["RNN", "GRU", "LSTM"]))
    sizes = [int(size) for size in rng.permutation(np.arange(2, 14))[:5]]
    sizes[0] += 30  # no other layer writes so many: one order alone fits
    how: dict[str, Any] = {"bias": bool(rng.integers(2)), "bidirectional": bool(rng.integers(2))}
    if kind == "RNN":
        how["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    if kind == "LSTM" and min(sizes[1:3]) == sizes[2] and rng.integers(2):
        how["proj_size"] = sizes[2]
    layer = getattr(nn, kind)(sizes[0], sizes[1], int(rng.integers(1, 4)), batch_first=True, **how)
    width = (1 + how["bidirectional"]) * how.get("proj_size", sizes[1])
    linear = nn.Linear(width, sizes[3], bias=bool(rng.integers(2))) if rng.integers(2) else None
    words = nn.Embedding(sizes[4] + 50, sizes[0]) if rng.integers(2) else None
    parts = {"words": words, "rnn": layer, "out": linear}
    model = nn.ModuleDict({name: part for name, part in parts.items() if part is not None})
    if words is None:
        x = torch.randn(3, 5, sizes[0])
        expected = layer(x)[0]
    else:
        x = torch.randint(words.num_embeddings, (3, 5))
        expected = layer(words(x))[0]
    expected = expected if linear is None else linear(expected)
    _save(model.state_dict(), tmp_path / "in.safetensors")
    cell = "rnn_relu" if how.get("nonlinearity") == "relu" else None
    graph = interop.read(tmp_path / "in.safetensors", cell=cell)
    found = run(graph, {graph.inputs[0].name: x.numpy()})["output"]
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-6)
    interop.write(graph, tmp_path / "out.safetensors")
    back = _load(tmp_path / "out.safetensors")
    assert back.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, back[name]) for name, tensor in model.state_dict().items())
    plain = interop.to_torch(graph)(x)["output"]
    np.testing.assert_allclose(plain.detach().numpy(), expected.detach().numpy(), atol=1e-6)


def test_states_go_in_and_come_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.LSTM(4, 5, 2, batch_first=True), torch.randn(3, 7, 4)
    _save({f"rnn.{name}": tensor for name, tensor in model.state_dict().items()}, tmp_path / "a.pt")
    graph = interop.read(tmp_path / "a.pt")
    first = run(graph, {"x": x[:, :4].numpy()})
    carried = {name.replace("_n_", "_0_"): array for name, array in first.items() if name != "output"}
    assert len(carried) == 4
    rest = run(graph, {"x": x[:, 4:].numpy(), **carried})["output"]
    expected = model(x)[0].detach().numpy()
    np.testing.assert_allclose(np.concatenate([first["output"], rest], 1), expected, atol=1e-6)
    plain = interop.to_torch(graph)
    states = {name.replace(".", "_"): torch.from_numpy(array) for name, array in carried.items()}
    np.testing.assert_allclose(plain(x[:, 4:], **states)["output"].detach(), expected[:, 4:], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), direction=st.sampled_from(["forward", "reverse", "bidirectional"]))
def test_lengths_and_directions_are_kept(seed: int, direction: str) -> None:
    """The packed sequences and flips of the plain model beside the graph's own run; a length may be 0."""
    rng = np.random.default_rng(seed)
    both = direction == "bidirectional"
    b = Builder()
    x, lengths = b.input("x", "float32", ("batch", "time", 3)), b.input("lengths", "int64", ("batch",))
    shapes = {"weight_ih": (12, 3), "weight_hh": (12, 4), "bias_ih": (12,), "bias_hh": (12,)}
    if rng.random() < 0.5:
        shapes = {"weight_ih": (12, 3), "weight_hh": (12, 4)}
    suffixes = ("_l0", "_l0_reverse")[: 1 + both]
    weights = [
        {
            stem: b.weight(f"r.{stem}{suffix}", rng.normal(size=shape).astype(np.float32))
            for stem, shape in shapes.items()
        }
        for suffix in suffixes
    ]
    h_0 = b.input("h", "float32", (1 + both, "batch", 4)) if rng.random() < 0.5 else None
    output, h_n = b.recurrent("gru", x, weights, lengths=lengths, h_0=h_0, direction=direction)
    b.output("output", output, "float32", ("batch", "time", 4 * (1 + both)))
    b.output("h_n", h_n, "float32", (1 + both, "batch", 4))
    graph = b.graph()
    told = {"x": rng.normal(size=(5, 6, 3)).astype(np.float32), "lengths": rng.integers(0, 7, 5)}
    if h_0:
        told["h"] = rng.normal(size=(1 + both, 5, 4)).astype(np.float32)
    expected = run(graph, told)
    found = interop.to_torch(graph)(**{name: torch.from_numpy(array) for name, array in told.items()})
    for name, array in expected.items():
        np.testing.assert_allclose(found[name].detach().numpy(), array, atol=1e-6)


def test_operators_are_those_of_torch() -> None:
    """Every operator that has a function of torch, beside the graph's own run."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", "float32", ("batch", 4))
    some = b.sigmoid(x)
    flags = b.greater(x, 0.1)
    made = {
        "plain": [b.abs(x), b.add(x, some), b.div(x, some), b.erf(x), b.exp(x), b.log(some), b.max(x, some),
                  b.min(x, some), b.mul(x, some), b.neg(x), b.pow(some, 2.0), b.reciprocal(some),
                  b.relu(x), b.sign(x), b.softplus(x),
                  b.softsign(x), b.sqrt(some), b.sub(x, some), b.tanh(x), b.where(flags, x, some), b.clip(x, -0.5, 0.5),
                  b.elu(x, alpha=0.5), b.leaky_relu(x), b.softmax(x, axis=1), b.log_softmax(x), b.identity(x),
                  b.cast(b.and_(flags, b.less(x, 0.9)), to=1), b.cast(b.not_(b.or_(flags, b.equal(x, x))), to=1),
                  b.transpose(b.transpose(x, perm=[1, 0]), perm=[1, 0]), b.squeeze(b.unsqueeze(x, [1]), [1]),
                  b.reshape(x, [0, 4]), b.concat(b.slice(x, [0], [2], [1]), b.slice(x, [2], [9], [1]), axis=1),
                  b.gather(x, [3, 0, 1, 1], axis=1), b.gather(x, [3, 0, 1, 1], axis=-1), b.max(x, some, b.neg(x)),
                  b.min(x), b.mod(x, some, fmod=1), b.clip(x),
                  b.cast(b.div(b.cast(b.mul(x, 9.0), to=7), np.int64(2)), to=1),
                  b.add(b.reduce_sum(x, [1]), x), b.add(b.reduce_mean(x, axes=[1]), x),
                  b.add(b.reduce_max(x, axes=[1]), x), b.mul(b.reduce_min(x, axes=[1]), x),
                  b.add(b.cast(b.arg_max(x, axis=1), to=1), x),
                  b.gemm(x, b.weight("linear.weight", rng.normal(size=(4, 4)).astype(np.float32)), transB=1)],
    }  # fmt: skip
    for number, value in enumerate(made["plain"]):
        b.output(f"y{number}", value, "float32", ("batch", 4))
    graph = b.graph()
    told = rng.normal(size=(3, 4)).astype(np.float32)
    found = interop.to_torch(graph)(torch.from_numpy(told))
    for name, array in run(graph, {"x": told}).items():
        np.testing.assert_allclose(found[name].detach().numpy(), array, atol=1e-6, err_msg=name)


def test_what_torch_does_not_have_is_refused() -> None:
    shapes = {"weight_ih": (12, 3), "weight_hh": (12, 4)}
    for cell, attributes in (("gru_reset_before", {}), ("gru", {"clip": 1.0})):
        b = Builder()
        rows = {stem: b.weight(stem, np.ones(shape, np.float32)) for stem, shape in shapes.items()}
        output, _ = b.recurrent(cell, b.input("x", "float32", ("batch", "time", 3)), [rows], **attributes)
        b.output("y", output, "float32", ("batch", "time", 4))
        with pytest.raises(InputError, match=r"torch\.nn has no .*(gru_reset_before|clip)"):
            interop.to_torch(b.graph())


STACK = {"weight_ih_l0": (4, 3), "weight_hh_l0": (4, 1)}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"weight_ih_l0": (3,)}, r"r\.weight_ih_l0 has shape \(3,\), which no recurrent layer has"),
        ({"weight_hh_l0": ()}, r"r\.weight_hh_l0 has shape \(\), which no"),
        ({"weight_hh_l0": (8, 1)}, r"has shape \(8, 1\), expected \(4, 1\)"),
        ({"bias_ih_l0": (5,)}, r"has shape \(5,\), expected \(4,\)"),
        ({"weight_ih_l1": (4, 1)}, r"weight_hh_l1 is missing, expected \(4, 1\)"),
        ({"weight_ih_l2": (4, 1), "weight_hh_l2": (4, 1)}, "weight_hh_l1 is missing"),
        ({"weight_ih_l00": (4, 3)}, "weight_hh_l1 is missing"),
        ({"weight_ih_l0_reverse": (4, 3)}, "weight_hh_l0_reverse is missing"),
        ({"bias_hh_l0_reverse": (4,)}, r"bias_hh_l0_reverse has shape \(4,\), expected no such tensor"),
    ],
)
def test_no_tensor_of_a_stack_is_left_out(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    state = {f"r.{leaf}": torch.ones(shape) for leaf, shape in {**STACK, **shapes}.items()}
    _save(state, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=message):
        interop.read(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("state", "cell", "message"),
    [
        ({}, None, "tensors of nothing"),
        ({"weight": torch.ones(2, 2).long()}, None, "tensors of int64"),
        ({"weight": torch.ones(2, 2), "bias": torch.ones(2).double()}, None, "tensors of float32, float64"),
        ({"weight": torch.ones(2, 2)}, "lstm", "no recurrent layer that could be of the cell 'lstm'"),
        ({name: torch.ones(shape) for name, shape in STACK.items()}, "indrnn", "unknown cell 'indrnn'"),
        ({"a\x1b[2J": torch.ones(2, 2)}, None, r"named 'a\\x1b\[2J'"),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, state: dict[str, torch.Tensor], cell: str | None, message: str
) -> None:
    _save(state, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=message):
        interop.read(tmp_path / "a.safetensors", cell=cell)


@pytest.mark.parametrize(
    "name",
    ["graph.weight", "_graph", "type.weight", "training", "forward", "²a.weight", "ﬁ.w", "단어.weight", "self.weight",
     "", "torch.weight", "a..b", "class", 'a"]+exit()#', "a\nimport os"],
)  # fmt: skip
def test_any_name_of_a_weight_becomes_one_of_torch(tmp_path: Path, name: str) -> None:
    """Names go into the program that torch.fx makes: none breaks it, and none is anything but a name in it."""
    b = Builder()
    words = b.weight(name or "weight", np.arange(15, dtype=np.float32).reshape(5, 3))
    found = b.gather(words, b.input('x"]+exit()#', "int64", ("batch",)))
    b.output('y"]+exit()#', found, "float32", ("batch", 3))
    model = interop.to_torch(b.graph())
    assert model(torch.tensor([4]))['y"]+exit()#'].tolist() == [[12, 13, 14]]
    interop.write(b.graph(), tmp_path / "a.pt")
    (array,) = interop.read_state(tmp_path / "a.pt").values()
    assert array.shape == (5, 3)


def test_two_weights_of_one_name_in_torch_stay_two() -> None:
    b = Builder()
    x = b.input("x", "float32", ("batch",))
    ones = [b.weight(name, np.full(1, value, np.float32)) for name, value in (("a-b", 1.0), ("a_b", 2.0))]
    b.output("y", b.mul(b.add(x, ones[0]), ones[1]), "float32", ("batch",))
    assert interop.to_torch(b.graph())(torch.ones(1))["y"].tolist() == [4]
    b.output("z", b.add(x, b.weight("a_b.c", np.ones(1, np.float32))), "float32", ("batch",))
    with pytest.raises(InputError, match="which is a weight itself"):
        interop.to_torch(b.graph())


@pytest.mark.parametrize("op", ["transpose", "squeeze", "reduce_sum", "reduce_max"])
def test_axes_that_are_left_out_are_refused(op: str) -> None:
    b = Builder()
    b.output("y", getattr(b, op)(b.input("x", "float32", ("batch", 1))), "float32", (1, 1))
    with pytest.raises(InputError, match="name the axes"):
        interop.to_torch(b.graph())


def test_sizes_that_no_order_fits_are_refused(tmp_path: Path) -> None:
    _save(
        {"a.weight": torch.ones(3, 4), "a.bias": torch.ones(3), "b.weight": torch.ones(5, 6)},
        tmp_path / "a.pt",
    )
    with pytest.raises(InputError, match=r"no order of its layers fits their sizes \(a 4 -> 3; b 6 -> 5\)"):
        interop.read(tmp_path / "a.pt")
    _save({"norm.weight": torch.ones(3)}, tmp_path / "b.pt")
    with pytest.raises(InputError, match="norm is no layer that can be read"):
        interop.read(tmp_path / "b.pt")


def test_an_order_is_not_guessed(tmp_path: Path) -> None:
    """Two matrices of one shape: a pickle knows which came first, safetensors do not."""
    state = {
        "b.weight": torch.ones(3, 3),
        "b.bias": torch.ones(3),
        "a.weight": 2 * torch.ones(3, 3),
        "a.bias": torch.ones(3),
    }
    for suffix in (".pt", ".safetensors"):
        _save(state, tmp_path / f"model{suffix}")
    with pytest.raises(InputError, match="more than one order"):
        interop.read(tmp_path / "model.safetensors")
    found = run(interop.read(tmp_path / "model.pt"), {"x": np.ones((1, 1, 3), np.float32)})["output"]
    assert found.ravel().tolist() == [25, 25, 25]


def test_nested_states_and_all_dtypes_are_read(tmp_path: Path) -> None:
    content = {
        "epoch": 3,
        "model": {
            "half": torch.ones(2, dtype=torch.bfloat16) * 1.5,
            "turned": torch.arange(6.0).reshape(2, 3).t(),
        },
        "flags": torch.tensor([True, False]),
        "shared": nn.Parameter(torch.zeros(2, dtype=torch.float64)),
    }
    _save(content, tmp_path / "a.pt")
    found = interop.read_state(tmp_path / "a.pt")
    assert list(found) == ["model.half", "model.turned", "flags", "shared"]
    assert found["model.half"].tolist() == [1.5, 1.5]
    assert found["model.turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["flags"].dtype == bool
    assert found["shared"].dtype == np.float64


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def _archive(
    path: Path, pickled: bytes, members: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a/data.pkl", pickled)
        for name, content in (members or {}).items():
            archive.writestr(name, content)
    return path


def test_a_payload_never_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for name, content in (("zip.pt", None), ("plain.pt", pickle.dumps(Payload(mark)))):
        path = tmp_path / name
        if content is None:
            torch.save({"a": torch.ones(2), "b": Payload(mark)}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(InputError, match=r"not only tensors|not an archive"):
            interop.read_state(path)
        with pytest.raises(InputError, match=r"not only tensors|not an archive"):
            interop.read(path)
    assert not mark.exists()
    torch.load(tmp_path / "zip.pt", weights_only=False)  # the payload is real
    assert mark.exists()


def _declared(tensor: tuple[Any, ...]) -> bytes:
    """The pickle of {'a': tensor} as torch writes it, with any offset, shape and strides."""

    class Storage:
        pass

    class Writer(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if isinstance(obj, Storage) else None

    class Tensor:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (Storage(), *tensor, False, {})

    buffer = io.BytesIO()
    Writer(buffer, 2).dump({"a": Tensor()})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ((0, (4,), (1,)), None),
        ((1, (4,), (1,)), "reaches beyond"),
        ((0, (10**9,), (0,)), "reaches beyond"),
        ((0, (10**9, 10**9), (1, 1)), "reaches beyond"),
        ((0, (-1,), (1,)), "a tensor whose offset, sizes or strides are none"),
        ((0, (2, 2), (1,)), "a tensor that is none"),
    ],
)
def test_declared_shapes_are_checked_before_they_are_believed(
    tmp_path: Path, tensor: Any, message: str | None
) -> None:
    path = _archive(
        tmp_path / "a.pt", _declared(tensor), {"a/data/0": np.arange(4, dtype=np.float32).tobytes()}
    )
    if message is None:
        assert interop.read_state(path)["a"].tolist() == [0, 1, 2, 3]
        return
    with pytest.raises(InputError, match=message):
        interop.read_state(path)


def test_bombs_and_damage_are_refused(tmp_path: Path) -> None:
    bomb = _archive(
        tmp_path / "a.pt", _declared((0, (4,), (1,))), {"a/data/0": bytes(16)}, zipfile.ZIP_DEFLATED
    )
    with pytest.raises(InputError, match="a compressed archive"):
        interop.read_state(bomb)
    with pytest.raises(InputError, match=r"a/data/0 is 8 bytes, expected 16"):
        interop.read_state(_archive(tmp_path / "b.pt", _declared((0, (2,), (1,))), {"a/data/0": bytes(8)}))
    with pytest.raises(InputError, match="no such file"):
        interop.read_state(tmp_path / "none.pt")
    _save(Model("LSTM", 1, False).state_dict(), tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    for size in (0, 10, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.pt"):
            interop.read_state(tmp_path / "cut.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_differs_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"before")
    with pytest.raises(InputError, match="expected one of"):
        interop.write(_tiny(), tmp_path / "a.txt")
    monkeypatch.setattr(torch.Tensor, "contiguous", lambda tensor: tensor + 1e-3)
    with pytest.raises(
        InputError, match=r"nothing was written; torch gives another 'y' than elman, 0\.001 away"
    ):
        interop.write(_tiny(), path)
    monkeypatch.undo()
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]
    interop.write(_tiny(), path)
    assert interop.read_state(path)["words.weight"].tolist() == np.ones((5, 3)).tolist()


def _tiny() -> Graph:
    b = Builder()
    words = b.weight("words.weight", np.ones((5, 3), np.float32))
    b.output("y", b.gather(words, b.input("x", "int64", ("batch",))), "float32", ("batch", 3))
    return b.graph()


def _save(state: dict[str, Any], path: Path) -> None:
    if path.suffix == ".pt":
        torch.save(state, path)
    else:
        from safetensors.torch import save_file

        save_file(state, path)


def _load(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True)  # type: ignore[no-any-return]
    from safetensors.torch import load_file

    return load_file(path)


@pytest.mark.parametrize("task", ["language-model", "classify", "regress", "tag", "fill", "forecast"])
def test_every_task_leaves_as_a_plain_model(tmp_path: Path, task: str) -> None:
    files, options = tasks.get(task).example(tmp_path)
    tasks.get(task)(**{**options, "max_steps": 2, "threads": 1}).fit(files, out=tmp_path / "run")
    graph = read(tmp_path / "run")
    told = {name: abs(array) + (array.dtype.kind == "f") for name, array in made_up(graph, 3, 60).items()}
    told |= {name: np.ones_like(told[name]) for name in ("begun", "known") if name in told}  # of a forecaster
    found = interop.to_torch(graph)(**{name: torch.from_numpy(array) for name, array in told.items()})
    for name, array in run(graph, told).items():
        assert np.isfinite(array).all()
        np.testing.assert_allclose(found[name].detach().numpy(), array, rtol=1e-4, atol=1e-5, err_msg=name)

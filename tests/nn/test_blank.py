"""The blank network against NumPy, and that no item is told by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from elman import reference
from elman.errors import InputError
from elman.nn import Recurrent, cross_entropy
from elman.nn.blank import BlankNetwork, within
from elman.nn.cross_entropy import linear_cross_entropy
from elman.testing import assert_close

V, E, H, T = 9, 4, 5, 7


def network(
    sides: str = "both", *, unknown: bool = True, num_layers: int = 1, **options: float
) -> BlankNetwork:
    torch.manual_seed(1)
    left, right = (
        Recurrent("lstm", E, H, num_layers=num_layers) if sides in ("both", side) else None
        for side in ("left", "right")
    )
    made = BlankNetwork(V, left, right, embedding_size=E, unknown=unknown, **options)
    torch.nn.init.normal_(made.bias)
    torch.nn.init.normal_(made.embedding.weight)
    return made.double().eval()


def row(seed: int = 0, length: int = T) -> torch.Tensor:
    return torch.randint(1, V, (1, length), generator=torch.Generator().manual_seed(seed))


def by_numpy(net: BlankNetwork, symbols: np.ndarray) -> np.ndarray:
    """Scores (T, A) of every item of one row, each from two runs of the reference over what stands around it."""
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    table, scores = weights["embedding.weight"], []
    for place in range(len(symbols)):
        states = []
        for side, near in (("left", symbols[:place]), ("right", symbols[:place:-1])):
            if f"{side}.weight_ih_l0" not in weights:
                continue
            params = {k.removeprefix(f"{side}."): w for k, w in weights.items() if k.startswith(f"{side}.")}
            output, _ = reference.forward("lstm", params, table[[V, *near]][None])
            states += [output[0, -1], table[[V, *near][-1]]]
        joined = np.tanh(weights["join.weight"] @ np.concatenate(states) + weights["join.bias"])
        scores.append(table[net.first : V] @ joined + weights["bias"])
    return np.array(scores)


@pytest.mark.parametrize("sides", ["both", "left", "right"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_scores_are_the_definition(sides: str, num_layers: int) -> None:
    net, symbols = network(sides, num_layers=num_layers), row()
    assert_close("reference", net(symbols, torch.tensor([T])), by_numpy(net, symbols[0].numpy()), sides)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_an_item_is_never_told_by_itself(num_layers: int) -> None:
    net, symbols = network(num_layers=num_layers), row()
    before = net(symbols, torch.tensor([T]))
    for place in range(T):
        other = symbols.clone()
        other[0, place] = symbols[0, place] % (V - 1) + 1
        same = (net(other, torch.tensor([T])) == before).all(1)
        assert same.tolist() == [k == place for k in range(T)]


@pytest.mark.parametrize(("sides", "sees"), [("left", lambda k, at: at < k), ("right", lambda k, at: at > k)])
def test_one_side_sees_that_side_alone(sides: str, sees: object) -> None:
    net, symbols = network(sides), row()
    other = symbols.clone()
    other[0, 3] = symbols[0, 3] % (V - 1) + 1
    lengths = torch.tensor([T])
    changed = (net(other, lengths) != net(symbols, lengths)).any(1)
    assert changed.tolist() == [sees(k, 3) for k in range(T)]  # type: ignore[operator]


def test_padding_and_company_change_nothing() -> None:
    net, lengths = network(), torch.tensor([3, 7, 1, 0, 5])
    symbols = torch.cat([row(k) for k in range(5)])
    together = net(symbols, lengths).split(lengths.tolist())
    for alone, found, length in zip(symbols, together, lengths.tolist(), strict=True):
        if length:
            wanted = net(alone[None, :length], torch.tensor([length]))
            assert_close("split", found, wanted, f"row of {length}")


@pytest.mark.parametrize("unknown", [True, False])
def test_blanks_are_hidden_from_each_other(unknown: bool) -> None:
    net, symbols = network(unknown=unknown), row()[0]
    hidden = symbols.clone()
    hidden[[2, 4]] = net.hidden
    assert net.hidden == (0 if unknown else V + 1)
    wanted = net(hidden[None], torch.tensor([T]))[[2, 4]]
    asked = {"symbols": hidden[None].numpy(), "lengths": np.array([T]), "places": np.array([[0, 2], [0, 4]])}
    found = net.arrays(asked)["scores"]
    assert_close("split", torch.from_numpy(found), wanted, "two blanks")


def test_hiding_is_for_training_and_as_likely_as_asked() -> None:
    net, symbols = network(hide=0.3), torch.cat([row(k, 50) for k in range(40)])
    lengths = torch.full((40,), 50)
    seen: list[torch.Tensor] = []
    net.embedding.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    net(symbols, lengths)
    assert not any((read == net.hidden).any() for read in seen)
    seen.clear()
    net.train()(symbols, lengths)
    for read in seen:
        assert (read == net.hidden).double().mean() == pytest.approx(0.3 * 49 / 50, abs=0.03)


def judged(net: BlankNetwork, symbols: np.ndarray, lengths: np.ndarray) -> tuple[float, np.ndarray]:
    """The nats of all known items, and the rank of each item, -1 of the others."""
    known = within(torch.from_numpy(symbols), torch.from_numpy(lengths)).numpy() & (symbols >= net.first)
    inputs = {"symbols": symbols, "lengths": lengths, "places": np.argwhere(known)}
    nats, found = net.judge(inputs, symbols[known] - net.first)
    ranks = np.full(symbols.shape, -1)
    ranks[known] = found
    return nats, ranks


def test_judge_ranks_by_the_scores() -> None:
    net, lengths = network(), np.array([7, 4])
    symbols = torch.cat([row(3), row(4)]).numpy()
    symbols[0, 5] = 0
    nats, ranks = judged(net, symbols, lengths)
    wanted, total = np.full((2, T), -1), 0.0
    for r, length in enumerate(lengths):
        scores = by_numpy(net, symbols[r, :length])
        for t in range(length):
            own = symbols[r, t] - 1
            if own >= 0:
                wanted[r, t] = min(5, int((scores[t] > scores[t, own]).sum()))
                total -= scores[t, own] - np.log(np.exp(scores[t]).sum())
    assert np.array_equal(ranks, wanted)
    assert nats == pytest.approx(total, rel=1e-9)


def test_count_is_what_judge_finds() -> None:
    net, lengths = network(), np.array([7, 4])
    symbols = torch.cat([row(3), row(4)])
    symbols[0, 5] = 0
    nats, right, count = net.count(symbols, torch.from_numpy(lengths))
    lost, ranks = judged(net, symbols.numpy(), lengths)
    assert nats.item() == pytest.approx(lost, rel=1e-12)
    assert (int(right), count) == ((ranks == 0).sum(), 10)


def test_no_known_item_still_reaches_the_weights() -> None:
    nats, right, count = (net := network()).count(torch.zeros(1, 1, dtype=torch.long), torch.tensor([0]))
    nats.backward()
    assert (nats.item(), int(right), count) == (0.0, 0, 0)
    assert net.join.weight.grad is not None
    assert not net.join.weight.grad.any()


def test_a_network_reads_something() -> None:
    with pytest.raises(InputError, match="left and right are both None"):
        BlankNetwork(V, None, None, embedding_size=E)


@pytest.mark.parametrize("cells", [1, 3 * 11, 1 << 20])
def test_linear_cross_entropy_is_torchs(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "_CELLS", cells)
    torch.manual_seed(2)
    parts = [
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((8, 3), (11, 3), (11,))
    ]
    targets = torch.randint(11, (8,))
    scores = F.linear(*parts)
    wanted = F.cross_entropy(scores, targets, reduction="sum")
    found, right = linear_cross_entropy(*parts, targets)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)
    assert int(right) == int((scores.argmax(1) == targets).sum())
    grads = zip(torch.autograd.grad(3 * found, parts), torch.autograd.grad(3 * wanted, parts), strict=True)
    for a, b in grads:
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_linear_cross_entropy_in_half_precision() -> None:
    torch.manual_seed(2)
    parts = [torch.randn(shape, requires_grad=True) for shape in ((8, 3), (11, 3), (11,))]
    targets = torch.randint(11, (8,))
    wanted = torch.autograd.grad(F.cross_entropy(F.linear(*parts), targets, reduction="sum"), parts)
    with torch.autocast("cpu", torch.bfloat16):
        nats, _ = linear_cross_entropy(parts[0].bfloat16(), *parts[1:], targets)
    for a, b in zip(torch.autograd.grad(nats, parts), wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05)


def test_linear_cross_entropy_far_from_zero() -> None:
    scores = torch.tensor([[1e4, -1e4]], requires_grad=True)
    nats, _ = linear_cross_entropy(scores, torch.eye(2), torch.zeros(2), torch.tensor([1]))
    assert nats.item() == pytest.approx(2e4)

"""The conditional random field against the enumeration of all paths, in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from elman.data.spans import legal
from elman.nn.crf import Crf
from elman.tasks._chain import NEVER, Chain

TAGS = ["B-x", "I-x", "O", "B-y"]
LENGTHS = torch.tensor([5, 1, 3, 0, 4])


def field(scheme: str | None) -> Crf:
    torch.manual_seed(1)
    allowed = None
    if scheme:
        begin, follow, end = map(torch.from_numpy, legal(TAGS, scheme))
        allowed = begin, follow, end
    crf = Crf(len(TAGS), legal=allowed).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def chain(crf: Crf) -> Chain:
    """The same field in NumPy."""
    names = ("begin", "follow", "end")
    allowed = tuple(~getattr(crf, f"illegal_{name}").numpy() for name in names)
    return Chain.of(len(TAGS), {n: t.detach().numpy() for n, t in crf.ties_learned().items()}, allowed)


def drawn() -> Tensor:
    return torch.randn(5, 5, len(TAGS), dtype=torch.float64, generator=torch.Generator().manual_seed(2)).mul_(
        2
    )


def enumerated(crf: Crf, emissions: np.ndarray) -> dict[tuple[int, ...], float]:
    """The score of every legal path of one sentence, by its definition."""
    begin, follow, end = (getattr(crf, n).detach().numpy() for n in ("begin", "follow", "end"))
    no_begin, no_follow, no_end = (getattr(crf, f"illegal_{n}").numpy() for n in ("begin", "follow", "end"))
    paths = {}
    for path in itertools.product(range(len(TAGS)), repeat=len(emissions)):
        steps = list(itertools.pairwise(path))
        if path and (no_begin[path[0]] or no_end[path[-1]] or any(no_follow[a, b] for a, b in steps)):
            continue
        score = sum(emissions[t, k] for t, k in enumerate(path)) + sum(follow[a, b] for a, b in steps)
        paths[path] = float(score + begin[path[0]] + end[path[-1]]) if path else 0.0
    return paths


def log_sum(scores: list[float]) -> float:
    return max(scores) + float(np.log(np.exp(np.array(scores) - max(scores)).sum()))


SCHEMES = pytest.mark.parametrize("scheme", [None, "bio"])


@SCHEMES
def test_partition_marginals_and_best_are_those_of_all_paths(scheme: str | None) -> None:
    crf, emissions = field(scheme), drawn()
    with torch.no_grad():
        partition = crf.log_partition(emissions, LENGTHS)
    lengths, numbers = LENGTHS.numpy(), emissions.numpy()
    marginals = chain(crf).marginals(numbers, lengths)
    best, scores = chain(crf).best(numbers, lengths, 7)
    viterbi, top = chain(crf).best(numbers, lengths)
    np.testing.assert_allclose(chain(crf).log_partition(numbers, lengths), partition, rtol=0, atol=1e-10)
    for row, length in enumerate(LENGTHS.tolist()):
        paths = enumerated(crf, emissions[row, :length].numpy())
        total = log_sum(list(paths.values()))
        assert partition[row] == pytest.approx(total, abs=1e-10)
        shares = np.zeros((5, len(TAGS)))
        for path, score in paths.items():
            for t, k in enumerate(path):
                shares[t, k] += np.exp(score - total)
        np.testing.assert_allclose(marginals[row], shares, rtol=0, atol=1e-10)
        ranked = sorted(paths, key=lambda path: -paths[path])[:7]
        assert (scores[row] > NEVER / 2).tolist() == [n < len(ranked) for n in range(7)]
        assert [tuple(p[:length]) for p in best[row].tolist()][: len(ranked)] == ranked
        np.testing.assert_allclose(scores[row, : len(ranked)], [paths[p] for p in ranked], rtol=0, atol=1e-10)
        assert (viterbi[row, 0] == best[row, 0]).all()
        assert top[row, 0] == scores[row, 0]
        assert not best[row, 0, length:].any()


@SCHEMES
def test_nats_are_of_the_paths_that_the_known_tags_leave(scheme: str | None) -> None:
    crf, emissions = field(scheme), drawn()
    tags = torch.tensor(
        [[0, 1, 2, 3, 0], [2, -1, -1, -1, -1], [0, -1, -1, 0, 0], [1] * 5, [-1, 1, -1, -1, 3]]
    )
    with torch.no_grad():
        nats = [
            crf.nats(emissions[row : row + 1], tags[row : row + 1], LENGTHS[row : row + 1])
            for row in range(5)
        ]
        assert crf.nats(emissions, tags, LENGTHS) == pytest.approx(float(sum(nats)), abs=1e-10)
    told = chain(crf).nats(emissions.numpy(), tags.numpy(), LENGTHS.numpy())
    assert told == pytest.approx(float(sum(nats)), abs=1e-10)
    for row, length in enumerate(LENGTHS.tolist()):
        paths = enumerated(crf, emissions[row, :length].numpy())
        wanted = tags[row, :length].tolist()
        left = [
            s for path, s in paths.items() if all(w in (-1, k) for w, k in zip(wanted, path, strict=True))
        ]
        assert nats[row] == pytest.approx(log_sum(list(paths.values())) - log_sum(left), abs=1e-10)


@SCHEMES
@pytest.mark.parametrize("gap", [False, True], ids=["known", "gaps"])
def test_gradients(scheme: str | None, gap: bool) -> None:
    crf, emissions = field(scheme), drawn().requires_grad_()
    tags = torch.tensor([[0, 1, 2, 3, 0], [2] * 5, [0, 1, 1, 0, 0], [1] * 5, [2, 2, 0, 1, 3]])
    if gap:
        tags[0, 2] = tags[4, 1] = -1

    def loss(emissions: Tensor, *_: Tensor) -> Tensor:
        return crf.nats(emissions, tags, LENGTHS)

    assert torch.autograd.gradcheck(loss, (emissions, *crf.parameters()))


def test_marginals_are_the_derivative_of_log_partition() -> None:
    crf, emissions = field("bio"), drawn().requires_grad_()
    (slope,) = torch.autograd.grad(crf.log_partition(emissions, LENGTHS).sum(), emissions)
    shares = chain(crf).marginals(emissions.detach().numpy(), LENGTHS.numpy())
    np.testing.assert_allclose(shares, slope, rtol=0, atol=1e-12)


@SCHEMES
def test_scores_far_apart_lose_nothing(scheme: str | None) -> None:
    """Thousands of nats apart, more than a number has room for; beside a row that is not."""
    crf, emissions = field(scheme), drawn()
    far = emissions * torch.tensor([1.0, 1e3, 1e4, 1.0, 1e3])[:, None, None]
    lengths = LENGTHS.numpy()
    with torch.no_grad():
        partition = crf.log_partition(far, LENGTHS)
    np.testing.assert_allclose(chain(crf).log_partition(far.numpy(), lengths), partition, rtol=1e-12)
    together, alone = (chain(crf).marginals(e.numpy(), lengths)[0] for e in (far, emissions))
    assert np.array_equal(together, alone)
    far.requires_grad_()
    (slope,) = torch.autograd.grad(crf.log_partition(far, LENGTHS).sum(), far)
    np.testing.assert_allclose(chain(crf).marginals(far.detach().numpy(), lengths), slope, rtol=0, atol=1e-9)


def test_an_unlikely_begin_is_not_lost_where_it_alone_leads_on() -> None:
    """B-x is 2000 nats below O, and only from it does a sentence go on to I-x, which is 3000 nats above all others."""
    tied = Chain.of(len(TAGS), {}, legal(TAGS, "bio"))
    emissions = np.zeros((2, 2, 4))
    emissions[0, 0, 0], emissions[0, 1, 1] = -2000, 3000
    lengths = np.array([2, 2])
    assert tied.log_partition(emissions, lengths)[0] == pytest.approx(1000, abs=1e-9)
    assert tied.marginals(emissions, lengths)[0].argmax(1).tolist() == [0, 1]


def test_padding_changes_nothing() -> None:
    crf, emissions = field("bio"), drawn()
    inside = torch.arange(5) < LENGTHS[:, None]
    other = emissions.where(inside.unsqueeze(2), 1e6)
    tags = torch.tensor([[0, 1, 2, 3, 0], [2] * 5, [0, 1, 1, 0, 0], [1] * 5, [2, 2, 0, 1, 3]])
    assert torch.equal(crf.nats(emissions, tags, LENGTHS), crf.nats(other, tags, LENGTHS))
    lengths, field_ = LENGTHS.numpy(), chain(crf)
    for read in (
        lambda e: field_.nats(e, tags.numpy(), lengths),
        lambda e: field_.marginals(e, lengths),
        lambda e: field_.best(e, lengths, 3)[0],
        lambda e: field_.best(e, lengths, 3)[1],
    ):
        assert np.array_equal(read(emissions.numpy()), read(other.numpy()))


def test_illegal_paths_never_come_out() -> None:
    unlearned = Chain.of(len(TAGS), {}, legal(TAGS, "bio"))
    emissions = np.zeros((1, 4, 4))
    emissions[..., 1] = 9  # every word would be I-x
    paths, scores = unlearned.best(emissions, np.array([4]))
    assert paths.tolist() == [[[0, 1, 1, 1]]]
    assert scores.item() == 27
    assert unlearned.marginals(emissions, np.array([4]))[0, 0, 1] == 0

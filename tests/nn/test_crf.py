"""The conditional random field against the enumeration of all paths, in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from elman.data.spans import legal
from elman.nn.crf import NEVER, Crf

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
        marginals = crf.marginals(emissions, LENGTHS)
        best, scores = crf.best(emissions, LENGTHS, 7)
        viterbi, top = crf.best(emissions, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        paths = enumerated(crf, emissions[row, :length].numpy())
        total = log_sum(list(paths.values()))
        assert partition[row] == pytest.approx(total, abs=1e-10)
        shares = np.zeros((5, len(TAGS)))
        for path, score in paths.items():
            for t, k in enumerate(path):
                shares[t, k] += np.exp(score - total)
        np.testing.assert_allclose(marginals[row].numpy(), shares, rtol=0, atol=1e-10)
        ranked = sorted(paths, key=lambda path: -paths[path])[:7]
        assert (scores[row] > NEVER / 2).tolist() == [n < len(ranked) for n in range(7)]
        assert [tuple(p[:length]) for p in best[row].tolist()][: len(ranked)] == ranked
        np.testing.assert_allclose(
            scores[row, : len(ranked)].numpy(), [paths[p] for p in ranked], rtol=0, atol=1e-10
        )
        assert torch.equal(viterbi[row, 0], best[row, 0])
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
    torch.testing.assert_close(crf.marginals(emissions, LENGTHS), slope, rtol=0, atol=1e-12)


def test_padding_changes_nothing() -> None:
    crf, emissions = field("bio"), drawn()
    inside = torch.arange(5) < LENGTHS[:, None]
    other = emissions.where(inside.unsqueeze(2), 1e6)
    tags = torch.tensor([[0, 1, 2, 3, 0], [2] * 5, [0, 1, 1, 0, 0], [1] * 5, [2, 2, 0, 1, 3]])
    for read in (
        lambda e: crf.nats(e, tags, LENGTHS),
        lambda e: crf.marginals(e, LENGTHS),
        lambda e: crf.best(e, LENGTHS, 3)[0],
        lambda e: crf.best(e, LENGTHS, 3)[1],
    ):
        assert torch.equal(read(emissions), read(other))


def test_illegal_paths_never_come_out() -> None:
    begin, follow, end = map(torch.from_numpy, legal(TAGS, "bio"))
    crf = Crf(len(TAGS), legal=(begin, follow, end), learned=False)
    emissions = torch.zeros(1, 4, 4)
    emissions[..., 1] = 9  # every word would be I-x
    paths, scores = crf.best(emissions, torch.tensor([4]))
    assert paths.tolist() == [[[0, 1, 1, 1]]]
    assert scores.item() == 27
    assert crf.marginals(emissions, torch.tensor([4]))[0, 0, 1] == 0

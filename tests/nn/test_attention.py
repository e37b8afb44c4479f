"""Attention: the equations written out in NumPy, padding, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from elman.errors import InputError
from elman.nn.attention import KINDS, Attention

Q, E, A, S = 4, 5, 6, 9
LENGTHS = (9, 3, 1)


@pytest.fixture
def given() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    before = torch.rand(3, 2, 2, S)
    for row, length in enumerate(LENGTHS):
        before[row, :, :, length:] = 0
    return torch.randn(3, 2, Q), torch.randn(3, S, E), before


def written_out(
    attention: Attention, query: NDArray[np.float64], memory: NDArray[np.float64], before: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Context and weights of one query (Q,) over a memory (S, E) without padding, step by step."""
    w = {name: value.detach().double().numpy() for name, value in attention.named_parameters()}
    scores = np.empty(len(memory))
    for s, step in enumerate(memory):
        key = w["keys.weight"] @ step
        if attention.kind == "multiplicative":
            scores[s] = query @ key
            continue
        inner = w["query.weight"] @ query + w["query.bias"] + key
        if attention.kind == "location":
            for channel in range(2):
                for offset in range(-7, 8):
                    if 0 <= s + offset < len(memory):
                        weight = w["places.weight"][:, channel * 15 + offset + 7]
                        inner = inner + weight * before[channel, s + offset]
        scores[s] = w["score.weight"][0] @ np.tanh(inner)
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    return shares @ memory, shares


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_its_equation(kind: str, given: tuple[torch.Tensor, ...]) -> None:
    query, memory, before = given
    attention = Attention(kind, Q, E, A)
    context, weights = attention(query, attention.read(memory, torch.tensor(LENGTHS)), before)
    for row, length in enumerate(LENGTHS):
        for k in range(2):
            found = written_out(
                attention,
                query[row, k].double().numpy(),
                memory[row, :length].double().numpy(),
                before[row, k].double().numpy()[:, :length],
            )
            np.testing.assert_allclose(context[row, k].detach(), found[0], atol=1e-6)
            np.testing.assert_allclose(weights[row, k, :length].detach(), found[1], atol=1e-6)
            assert not weights[row, k, length:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_company_change_nothing(kind: str, given: tuple[torch.Tensor, ...]) -> None:
    query, memory, before = given
    attention = Attention(kind, Q, E, A)
    whole, _ = attention(query, attention.read(memory, torch.tensor(LENGTHS)), before)
    spoiled = memory.clone()
    for row, length in enumerate(LENGTHS):
        spoiled[row, length:] = 1e6
    other, _ = attention(query, attention.read(spoiled, torch.tensor(LENGTHS)), before)
    torch.testing.assert_close(whole, other)
    alone, _ = attention(
        query[1:2], attention.read(memory[1:2, :3], torch.tensor([3])), before[1:2, :, :, :3]
    )
    torch.testing.assert_close(whole[1:2], alone)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_memory_says_nothing(kind: str) -> None:
    attention = Attention(kind, Q, E, A)
    memory = torch.randn(1, 2, E, requires_grad=True)
    query = torch.randn(1, 1, Q, requires_grad=True)
    context, weights = attention(query, attention.read(memory, torch.tensor([0])), torch.zeros(1, 1, 2, 2))
    assert not context.any()
    assert not weights.any()
    context.sum().backward()
    assert query.grad is not None
    assert not query.grad.isnan().any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind: str, given: tuple[torch.Tensor, ...]) -> None:
    query, memory, before = given
    attention = Attention(kind, Q, E, A)
    context, _ = attention(query, attention.read(memory, torch.tensor(LENGTHS)), before)
    (context**2).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in attention.parameters())


def test_memory_of_some_rows(given: tuple[torch.Tensor, ...]) -> None:
    query, memory, before = given
    attention = Attention("location", Q, E, A)
    read = attention.read(memory, torch.tensor(LENGTHS))
    rows = torch.tensor([2, 0])
    picked, _ = attention(query[rows], read.rows(rows), before[rows])
    torch.testing.assert_close(picked, attention(query, read, before)[0][rows])


def test_an_unknown_kind_is_told() -> None:
    with pytest.raises(InputError, match="unknown attention 'aditive'"):
        Attention("aditive", Q, E, A)

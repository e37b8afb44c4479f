"""The network of many-to-one tasks: pooling beside NumPy row by row, n-grams, and scores that stand alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from elman.nn import Recurrent
from elman.nn.classifier import SequenceNetwork
from elman.nn.ngrams import NgramEmbedding, frequent_ngrams
from elman.nn.pooling import POOLINGS, Pooling

LENGTHS = [6, 0, 1, 4]


def _layers(bidirectional: bool) -> Recurrent:
    torch.manual_seed(3)
    return Recurrent("lstm", 3, 4, num_layers=2, bidirectional=bidirectional).double()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_is_that_of_each_row_alone(kind: str, bidirectional: bool) -> None:
    layers = _layers(bidirectional)
    pooling = Pooling(kind, layers).double()
    if pooling.query is not None:
        torch.nn.init.normal_(pooling.query)
    x = torch.randn(len(LENGTHS), 6, 3, dtype=torch.float64)
    output, state = layers(x, lengths=LENGTHS)
    output = output + 100 * (torch.arange(6) >= torch.tensor(LENGTHS)[:, None])[:, :, None]  # in the padding
    found = pooling(output, state, torch.tensor(LENGTHS)).detach().numpy()
    for row, length in enumerate(LENGTHS):
        if length == 0:
            assert not found[row].any()
            continue
        steps = layers(x[row : row + 1, :length])[0][0].detach().numpy()
        np.testing.assert_allclose(found[row], _pooled(kind, steps, pooling), rtol=0, atol=1e-12)


def _pooled(kind: str, steps: np.ndarray, pooling: Pooling) -> np.ndarray:
    if kind == "last":
        return np.concatenate([steps[-1, :4], steps[0, 4:]])
    if kind == "mean":
        return steps.mean(0)
    if kind == "max":
        return steps.max(0)
    assert pooling.query is not None
    weights = np.exp(steps @ pooling.query.detach().numpy())
    return (weights[:, None] * steps).sum(0) / weights.sum()


def test_step_dropout_hides_whole_steps_in_training_only() -> None:
    torch.manual_seed(0)
    seen: list[torch.Tensor] = []
    network = SequenceNetwork(Recurrent("rnn", 3, 2), 1, step_dropout=0.5)
    network.recurrent.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x, lengths = torch.ones(8, 50, 3), torch.full((8,), 50)
    network(x, lengths)
    network.eval()(x, lengths)
    hidden = (seen[0] == 0).all(2)
    assert 0.4 < hidden.double().mean() < 0.6
    assert (hidden == (seen[0] == 0).any(2)).all()
    assert (seen[1] == 1).all()


def _embedding(ngrams: int, texts: list[list[int]]) -> NgramEmbedding:
    torch.manual_seed(0)
    codes = frequent_ngrams([np.array(text) for text in texts], ngrams)
    embedding = NgramEmbedding(30, 4, ngrams=ngrams, codes=codes)
    if embedding.runs is not None:
        torch.nn.init.normal_(embedding.runs.weight)
    return embedding


def test_ngrams_see_so_many_symbols_back() -> None:
    text = [1, 2, 3, 4, 5, 1, 2, 3]
    others = [[*text[:place], 29, *text[place + 1 :]] for place in range(8)]
    embedding = _embedding(3, [text, *others] * 2)
    vectors = embedding(torch.tensor([text]))[0]
    for place in range(8):
        changed = (embedding(torch.tensor([others[place]]))[0] != vectors).any(1)
        assert changed.tolist() == [place <= step < place + 3 for step in range(8)]
    assert torch.equal(vectors[2], vectors[7])  # 1 2 3, wherever it stands
    assert not torch.equal(vectors[0], vectors[5])  # 1 at the start, 5 1
    assert torch.equal(embedding(torch.tensor([text[:5]]))[0], vectors[:5])


def test_only_frequent_ngrams_have_a_vector() -> None:
    """Beside a count of tuples: 2- and 3-grams of these texts, and what begins before the start."""
    texts = [[1, 2, 3], [1, 2, 4], [5, 1, 2]]
    counts: Counter[tuple[int, ...]] = Counter()
    for text in texts:
        padded = [-1, -1, *text]
        counts.update(tuple(padded[k - n + 1 : k + 1]) for n in (2, 3) for k in range(2, len(padded)))
    embedding = _embedding(3, texts)
    assert embedding.runs is not None
    assert len(embedding.runs.weight) == sum(count > 1 for count in counts.values())
    alone = embedding.symbols(torch.tensor([[9, 8, 7]])) / 3**0.5
    assert torch.equal(embedding(torch.tensor([[9, 8, 7]])), alone)  # never seen: the symbols' own vectors


def test_ngrams_are_left_out_in_training_only() -> None:
    embedding = _embedding(2, [[1, 2]] * 2)
    embedding.dropout = 0.5
    text = torch.tensor([[1, 2]] * 64)
    embedding.train()
    assert len(embedding(text)[:, 1].unique(dim=0)) == 2
    embedding.eval()
    assert len(embedding(text)[:, 1].unique(dim=0)) == 1


def test_a_bag_of_ngrams_stands_beside_the_layers() -> None:
    """With an output that reads nothing else, scores are those of the sum of vectors / sqrt(length)."""
    embedding = _embedding(2, [[1, 2, 3]] * 2)
    network = SequenceNetwork(Recurrent("rnn", 4, 2), 1, embedding=embedding, pooling="last").eval()
    network.output.weight.data[:, :2] = 0
    text = torch.tensor([[1, 2, 3], [2, 3, 0]])
    found = network(text, torch.tensor([3, 2]))
    vectors = embedding(text).double()
    bags = torch.stack([vectors[0].sum(0) / 3**0.5, vectors[1, :2].sum(0) / 2**0.5])
    weight, bias = network.output.weight[:, 2:].double(), network.output.bias.double()
    torch.testing.assert_close(found, (bags @ weight.T + bias).float())

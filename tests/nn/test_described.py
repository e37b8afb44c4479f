"""Every network of a task beside its graph: random sizes and lengths, the same numbers up to rounding."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from elman import cells
from elman.graph import Graph, from_structure, run, structure
from elman.nn import Recurrent
from elman.nn.blank import BlankNetwork
from elman.nn.classifier import SequenceNetwork
from elman.nn.crf import Crf
from elman.nn.described import Described
from elman.nn.forecaster import ForecastNetwork, Member, Output
from elman.nn.language import LanguageNetwork
from elman.nn.ngrams import NgramEmbedding, frequent_ngrams
from elman.nn.pooling import POOLINGS
from elman.nn.tagger import CharacterReader, TaggerNetwork

Arrays = dict[str, np.ndarray]
SEEDS = pytest.mark.parametrize("seed", range(6))


def assert_described(network: Described, inputs: Arrays) -> Graph:
    """The graph gives what the network gives, from the weights of its state dict alone, on disk and back."""
    for parameter in network.parameters():  # zeros and ones of initial laws would hide what reads them
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    network.train()  # what is described is the network at work
    graph = network.graph()
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    text = json.dumps(structure(graph, weights), allow_nan=False)
    expected, found = network.arrays(inputs), run(from_structure(json.loads(text), weights), inputs)
    assert network.training
    assert list(found) == list(expected) == [value.name for value in graph.outputs]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-5, atol=2e-6, err_msg=name)
        assert found[name].dtype == values.dtype
    stored = set(weights) & set(graph.weights)
    assert {name for name in graph.weights if not name.startswith("constant")} == stored
    return graph


def layers(rng: np.random.Generator, features: int, hidden: int, **options: object) -> Recurrent:
    torch.manual_seed(int(rng.integers(1 << 30)))
    return Recurrent(str(rng.choice(cells.names())), features, hidden, **options)


def some_lengths(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    lengths = rng.integers(0, steps + 1, rows)
    lengths[rng.integers(rows)] = 0
    lengths[rng.integers(rows)] = steps
    return lengths


@SEEDS
@pytest.mark.parametrize("kind", ["one-hot", "embedding", "tied"])
def test_language(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vocabulary, hidden, depth = (int(n) for n in rng.integers((2, 1, 1), (9, 8, 4)))
    embedding = {"one-hot": 0, "embedding": 5, "tied": hidden}[kind]
    recurrent = layers(rng, embedding or vocabulary, hidden, num_layers=depth)
    network = LanguageNetwork(vocabulary, recurrent, embedding_size=embedding, tie_weights=kind == "tied")
    symbols = rng.integers(0, vocabulary, (3, 7))
    graph = assert_described(network, {"symbols": symbols})
    states = {f"{name}_0": rng.normal(size=(depth, 3, hidden)) for name in recurrent.state_sizes}
    states = {name: state.astype(np.float32) for name, state in states.items()}
    assert_described(network, {"symbols": symbols, **states})

    first, whole = run(graph, {"symbols": symbols[:, :4]}), run(graph, {"symbols": symbols})
    carried = {f"{name}_0": first[f"{name}_n"] for name in recurrent.state_sizes}
    rest = run(graph, {"symbols": symbols[:, 4:], **carried})
    np.testing.assert_allclose(rest["scores"], whole["scores"][:, 4:], rtol=0, atol=1e-6)


@SEEDS
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_classifier_of_features(pooling: str, bidirectional: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, hidden, depth = (int(n) for n in rng.integers((1, 1, 1), (5, 8, 3)))
    recurrent = layers(rng, features, hidden, num_layers=depth, bidirectional=bidirectional)
    x = rng.normal(size=(6, 9, features)).astype(np.float32)
    inputs = {"x": x, "lengths": some_lengths(rng, 6, 9)}
    assert_described(SequenceNetwork(recurrent, 3, pooling=pooling), inputs)


@SEEDS
@pytest.mark.parametrize("ngrams", [1, 2, 4])
def test_classifier_of_symbols(ngrams: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts = rng.integers(0, 3, (5, 9))
    codes = frequent_ngrams(list(texts[: seed + 1]), ngrams)[: 4 + seed]
    embedding = NgramEmbedding(4, 5, ngrams=ngrams, codes=codes)
    network = SequenceNetwork(
        layers(rng, 5, 4, bidirectional=True), 2, embedding=embedding, pooling=POOLINGS[seed % 4]
    )
    assert network.bag == (ngrams > 1 and len(codes) > 0)
    assert_described(network, {"x": texts, "lengths": some_lengths(rng, 5, 9)})


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9, 1000])
def test_places_of_codes_are_found_by_halving(count: int) -> None:
    """Texts of two symbols; every second pair has a vector, so that the others lie before, between and behind."""
    texts = np.arange(2 * count + 1)[:, None] + [0, 1]
    codes = frequent_ngrams(list(texts) * 2, 2)
    pairs = np.setdiff1d(codes, frequent_ngrams(list(texts[:, :1]) * 2, 2))
    embedding = NgramEmbedding(2 * count + 2, 3, ngrams=2, codes=np.ascontiguousarray(pairs[1::2]))
    network = SequenceNetwork(Recurrent("rnn", 3, 2), 1, embedding=embedding, pooling="mean")
    assert_described(network, {"x": texts, "lengths": np.full(len(texts), 2)})
    assert embedding.runs is not None
    assert len(embedding.runs.weight) == count


@SEEDS
@pytest.mark.parametrize("learned", [False, True], ids=["words", "field"])
def test_tagger(learned: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with_pairs, spelled, bidirectional = (bool(n) for n in rng.integers(0, 2, 3))
    size = 4 + 2 * 3 * with_pairs + 2 * 5 * spelled
    letters = layers(rng, 2, 5, bidirectional=True)
    network = TaggerNetwork(
        layers(rng, size, 3, bidirectional=bidirectional, num_layers=1 + seed % 2),
        words=nn.Embedding(9, 4),
        crf=Crf(5, learned=learned),
        pairs=nn.Embedding(6, 3) if with_pairs else None,
        characters=CharacterReader(7, 2, letters) if spelled else None,
        rates=torch.full((9,), 0.5),
    )
    lengths = some_lengths(rng, 4, 6)
    inputs = {"words": rng.integers(0, 9, (4, 6)), "lengths": lengths}
    if with_pairs:
        inputs["pairs"] = rng.integers(0, 6, (4, 6, 2))
    if spelled:
        inputs["forms"] = rng.integers(0, 3, (4, 6))
        inputs |= {"characters": rng.integers(0, 7, (3, 5)), "spelled": rng.integers(0, 6, 3)}
    graph = assert_described(network, inputs)
    assert [v.name for v in graph.outputs] == ["scores", "begin", "follow", "end"][: 4 if learned else 1]


@SEEDS
@pytest.mark.parametrize("sides", ["both", "left", "right"])
@pytest.mark.parametrize("unknown", [False, True])
def test_blank(sides: str, unknown: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hidden, depth = int(rng.integers(1, 6)), int(rng.integers(1, 3))
    left = layers(rng, 3, hidden, num_layers=depth) if sides != "right" else None
    right = layers(rng, 3, hidden, num_layers=depth) if sides != "left" else None
    network = BlankNetwork(7, left, right, embedding_size=3, unknown=unknown)
    lengths = some_lengths(rng, 4, 6)
    inside = np.argwhere(np.arange(6) < lengths[:, None])
    asked = rng.permutation(inside)[: int(rng.integers(len(inside) + 1))]
    symbols = rng.integers(0, 7 + 2 * (not unknown), (4, 6))
    assert_described(network, {"symbols": symbols, "lengths": lengths, "places": asked})


@SEEDS
@pytest.mark.parametrize("output", ["quantiles", "normal", "student-t", "point"])
@pytest.mark.parametrize("periods", [(1,), (4,), (7, 3)], ids=str)
def test_forecaster(periods: tuple[int, ...], output: Output, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, reach, context, horizon = 4, 2 * max(periods) + int(rng.integers(2, 9)), 6, int(rng.integers(1, 9))
    inputs, ahead = Member.sizes(periods, 3, 2)
    cell = str(rng.choice(cells.names()))
    torch.manual_seed(seed)
    network = ForecastNetwork(
        [
            Member(
                Recurrent(cell, inputs, 5, num_layers=1 + seed % 2),
                Recurrent(cell, ahead, 5, num_layers=1 + seed % 2),
                periods=periods,
                horizon=horizon,
                output=output,
                levels=[0.1, 0.25, 0.5, 0.75, 0.9],
                dropout=0.0,
                variational=False,
            )
            for _ in range(1 + seed % 3)
        ],
        [0.1, 0.25, 0.5, 0.75, 0.9],
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    begun = np.arange(reach) >= np.array([0, 2, reach - 2, reach - 1])[:, None]
    window = {
        "values": rng.normal(size=(rows, reach)).cumsum(1),
        "known": begun & (rng.random((rows, reach)) > 0.2),
        "begun": begun,
        "inputs": rng.normal(size=(rows, context, 3)),
        "ahead": rng.normal(size=(rows, horizon, 2)),
        "floor": np.array([0.0, 1e-4, 0.5, 0.0]),
    }
    assert_described(network, {name: array.astype(np.float32) for name, array in window.items()})

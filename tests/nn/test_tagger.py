"""The network of a tagger: padding, unknown words, and what reads which features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from elman.nn import Recurrent
from elman.nn.crf import Crf
from elman.nn.tagger import CharacterReader, TaggerNetwork, Words
from elman.tasks._chain import Chain, Decoded

LENGTHS = np.array([4, 1, 3])


def network(*, crf: Crf | None = None, **options: float) -> TaggerNetwork:
    torch.manual_seed(0)
    made = TaggerNetwork(
        Recurrent("gru", 5 + 2 * 3 + 8, 6, bidirectional=True),
        words=nn.Embedding(9, 5),
        crf=crf or Crf(3),
        pairs=nn.Embedding(4, 3),
        characters=CharacterReader(7, 2, Recurrent("gru", 2, 4, bidirectional=True)),
        rates=torch.full((9,), 0.5),
        **options,
    )
    return made.double().eval()


def batch(rows: list[int]) -> Words:
    """Some of three sentences, zeros behind their ends."""
    rng = np.random.default_rng(0)
    words, pairs = rng.integers(1, 9, (3, 4)), rng.integers(0, 4, (3, 4, 2))
    characters, spelled = rng.integers(0, 7, (9, 5)), rng.integers(1, 6, 9)
    steps = LENGTHS[rows].max()
    inside = np.arange(4) < LENGTHS[:, None]
    arrays = (
        (words * inside)[rows, :steps], LENGTHS[rows], (pairs * inside[..., None])[rows, :steps],
        (words * inside)[rows, :steps], characters, spelled,
    )  # fmt: skip
    return Words(*map(torch.from_numpy, arrays))


def decode(model: TaggerNetwork, words: Words, n: int = 1) -> Decoded:
    said = model.arrays({name: part.numpy() for name, part in vars(words).items()})
    allowed = tuple(~getattr(model.crf, f"illegal_{name}").numpy() for name in ("begin", "follow", "end"))
    return Chain.of(model.crf.tags, said, allowed).decode(
        said["scores"].astype(float), words.lengths.numpy(), n
    )


@pytest.mark.parametrize("kind", ["field", "legal", "free"])
def test_company_and_order_do_not_matter(kind: str) -> None:
    open_ = torch.ones(3, dtype=torch.bool)
    crf = {
        "field": Crf(3),
        "legal": Crf(3, legal=(open_, torch.eye(3) == 0, open_), learned=False),
        "free": Crf(3, learned=False),
    }[kind]
    model = network(crf=crf)
    tags = torch.tensor([[0, 1, 2, 1], [1, -1, -1, -1], [2, 0, 1, -1]])
    with torch.no_grad():
        one, two = decode(model, batch([0, 1, 2])), decode(model, batch([0, 1, 2]), 2)
        assert np.array_equal(one.paths[:, 0], two.paths[:, 0])
        np.testing.assert_allclose(one.logs[:, 0], two.logs[:, 0], rtol=0, atol=1e-12)
        for n in (1, 2):
            together = decode(model, batch([2, 0, 1]), n)
            for place, row in enumerate([2, 0, 1]):
                alone, steps = decode(model, batch([row]), n), LENGTHS[row]
                assert np.array_equal(together.paths[place, :, :steps], alone.paths[0])
                np.testing.assert_allclose(together.logs[place], alone.logs[0], rtol=0, atol=1e-6)
                np.testing.assert_allclose(
                    together.confidences[place, :steps], alone.confidences[0], rtol=0, atol=1e-6
                )
        nats = model.nats(model(batch([0, 1, 2])), tags, torch.from_numpy(LENGTHS))
        apart = sum(
            model.nats(
                model(batch([row])),
                tags[row : row + 1, : LENGTHS[row]],
                torch.from_numpy(LENGTHS[row : row + 1]),
            )
            for row in range(3)
        )
        torch.testing.assert_close(nats, apart, rtol=1e-6, atol=0)


def test_without_ties_the_probability_is_a_product() -> None:
    model = network(crf=Crf(3, learned=False))
    with torch.no_grad():
        alone, several = decode(model, batch([0, 2])), decode(model, batch([0, 2]), 2)
        shares = torch.softmax(model(batch([0, 2])), 2)
    for row, steps in enumerate([4, 3]):
        best, tags = shares[row, :steps].max(1)
        assert alone.paths[row, 0, :steps].tolist() == tags.tolist()
        assert np.exp(alone.logs[row, 0]) == pytest.approx(best.prod().item(), rel=1e-5)
        assert several.logs[row, 0] == pytest.approx(alone.logs[row, 0].item(), rel=1e-5)
    np.testing.assert_allclose(several.confidences, alone.confidences, rtol=0, atol=1e-12)


def test_words_are_dropped_in_training_only() -> None:
    model = network()
    with torch.no_grad():
        assert torch.equal(model(batch([0])), model(batch([0])))
        model.train()
        assert not torch.equal(model(batch([0])), model(batch([0])))
        model.rates = torch.ones(9)
        blank = Words(**{**vars(batch([0])), "words": torch.zeros(1, 4, dtype=torch.long)})
        assert torch.equal(model(batch([0])), model(blank))


@pytest.mark.parametrize("part", ["words", "pairs", "forms"])
def test_every_feature_is_read(part: str) -> None:
    model, given = network(), batch([0, 1, 2])
    other = Words(**{**vars(given), part: (getattr(given, part) + 1) % 4})
    with torch.no_grad():
        assert not torch.equal(model(given), model(other))


def test_characters_behind_the_end_of_a_word_change_nothing() -> None:
    model, given = network(), batch([0, 1, 2])
    behind = torch.arange(5) >= given.spelled[:, None]
    other = Words(**{**vars(given), "characters": given.characters.masked_fill(behind, 6)})
    with torch.no_grad():
        assert torch.equal(model(given), model(other))

"""The network of a tagger: words in, scores of each word's tags out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.crf import Crf
from elman.nn.described import Described, Description
from elman.nn.dropout import Dropout
from elman.nn.recurrent import Recurrent

UNKNOWN = 0
"""The word that stands for those the vocabulary lacks."""


@dataclass(frozen=True)
class Words:
    """A batch of sentences as tensors of integers; a network reads those it has parts for.

    words: (B, T) numbers of the words; lengths: (B,) from 0 to T in any order.
    pairs: (B, T, 2) numbers of each word's pairs with the word before it and the one behind it.
    forms: (B, T) which of the U different words of the batch each is; characters: (U, C) how these are spelled, each
    with `spelled` (U,) characters.
    """

    words: Tensor
    lengths: Tensor
    pairs: Tensor | None = None
    forms: Tensor | None = None
    characters: Tensor | None = None
    spelled: Tensor | None = None


class CharacterReader(nn.Module):
    """A vector (U, D * H) for each of U words: the states after its last, and its first, character.

    Args:
        characters: number of characters, 0..characters-1.
        size: features of a character.
        recurrent: the layers that read them.

    >>> reader = CharacterReader(5, 3, Recurrent("gru", 3, 4, bidirectional=True))
    >>> reader(torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1])).shape
    torch.Size([2, 8])
    """

    def __init__(self, characters: int, size: int, recurrent: Recurrent) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, size)
        self.recurrent = recurrent
        self.directions = 2 if recurrent.bidirectional else 1
        self.size = self.directions * recurrent.hidden_size

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        _, state = self.recurrent(self.embedding(characters), lengths=lengths)
        return torch.cat(state["h"][-self.directions :].unbind(0), 1)

    def describe(self, d: Description, characters: str, lengths: str) -> str:
        """The vectors of words (U, C) of so many characters (U,)."""
        _, state = d.layers(d.embedded(characters, self.embedding), self.recurrent, lengths)
        return d.last_states(state[0], self.recurrent)


class TaggerNetwork(Described):
    """Scores of K tags for each word of a batch of sentences.

    word -> its vector, its characters', those of its pairs with both neighbours -> dropout -> recurrent layers ->
    dropout -> linear -> softmax of each word, or conditional random field of the sentence.

    Args:
        recurrent: the layers, reading all these vectors side by side (`Recurrent.input_size`).
        words: a vector for each word; word 0 stands for what the vocabulary lacks.
        crf: how the tags of a sentence hang together; its K is the number of tags.
        pairs: a vector for each pair of neighbours, pair 0 for the unknown; None: without.
        characters: reads words by their characters; None: without.
        rates: (V,) probability with which each word is read as unknown in training; None: never.
        dropout: probability in [0, 1) on the outputs of the last layer; input_dropout: on what the first one reads.
        variational: drop the same features at every word of a row.

    Input: `Words`. Output: scores (B, T, K), float32.

    >>> network = TaggerNetwork(Recurrent("gru", 4, 5), words=nn.Embedding(9, 4), crf=Crf(3))
    >>> words = Words(torch.zeros(2, 3, dtype=torch.long), torch.tensor([3, 1]))
    >>> network(words).shape
    torch.Size([2, 3, 3])
    """

    def __init__(
        self,
        recurrent: Recurrent,
        *,
        words: nn.Embedding,
        crf: Crf,
        pairs: nn.Embedding | None = None,
        characters: CharacterReader | None = None,
        rates: Tensor | None = None,
        dropout: float = 0.0,
        variational: bool = False,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.words, self.pairs, self.characters = words, pairs, characters
        self.rates: Tensor | None
        self.register_buffer("rates", rates, persistent=False)
        self.input_dropout = Dropout(input_dropout, variational)
        self.recurrent = recurrent
        self.output_dropout = Dropout(dropout, variational)
        self.output = nn.Linear(recurrent.hidden_size * (1 + recurrent.bidirectional), crf.tags)
        self.crf = crf

    def forward(self, batch: Words) -> Tensor:
        device = self.output.weight.device
        words = batch.words.to(device)
        if self.training and self.rates is not None:
            words = words.where(torch.rand(words.shape, device=device) >= self.rates[words], UNKNOWN)
        parts = [self.words(words)]
        if self.pairs is not None:
            assert batch.pairs is not None
            parts.append(self.pairs(batch.pairs.to(device)).flatten(2))
        if self.characters is not None:
            assert batch.characters is not None
            assert batch.spelled is not None
            assert batch.forms is not None
            spelled = self.characters(batch.characters.to(device), batch.spelled)
            parts.append(spelled[batch.forms.to(device)])
        x = self.input_dropout(torch.cat(parts, 2))
        output, _ = self.recurrent(x, lengths=batch.lengths)
        scores: Tensor = self.output(self.output_dropout(output))
        return scores.float()

    def describe(self, d: Description) -> None:
        """The arrays of `Words` it reads; scores of each word's tags (B, T, K), and those of neighbours, `begin` (K,),
        `follow` (K, K) and `end` (K,), where they are learned: see `Crf`."""
        words = d.input("words", "int64", ("batch", "time"))
        lengths = d.input("lengths", "int64", ("batch",))
        parts = [d.embedded(words, self.words)]
        if self.pairs is not None:
            pairs = d.embedded(d.input("pairs", "int64", ("batch", "time", 2)), self.pairs)
            parts.append(d.reshape(pairs, [0, 0, 2 * self.pairs.embedding_dim]))
        if self.characters is not None:
            forms = d.input("forms", "int64", ("batch", "time"))
            characters = d.input("characters", "int64", ("forms", "letters"))
            spelled = self.characters.describe(d, characters, d.input("spelled", "int64", ("forms",)))
            parts.append(d.gather(spelled, forms))
        x = d.concat(*parts, axis=2) if len(parts) > 1 else parts[0]
        output, _ = d.layers(x, self.recurrent, lengths)
        tags = self.crf.tags
        d.output("scores", d.linear(output, self.output), "float32", ("batch", "time", tags))
        for name, tensor in self.crf.ties_learned().items():
            d.output(name, d.tensor(tensor), "float32", tuple(tensor.shape))

    def answer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"scores": self(Words(**inputs)), **self.crf.ties_learned()}

    def nats(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """-ln P(tags) summed over the batch; a tag (B, T) of -1 is unknown, or padding."""
        if self.crf.learned:
            return self.crf.nats(emissions, tags, lengths)
        return F.cross_entropy(emissions.flatten(0, 1), tags.flatten(), ignore_index=-1, reduction="sum")

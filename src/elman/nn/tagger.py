"""The network of a tagger: words in, scores of each word's tags out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.crf import Crf
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


@dataclass(frozen=True)
class Decoded:
    """What a tagger makes of a batch.

    emissions: (B, T, K); paths: the n best tags of each row (B, n, T) and logs: ln of their probabilities (B, n);
    confidences: probability of each tag of each word (B, T, K). Zero behind a row's length, but for emissions.
    """

    emissions: Tensor
    paths: Tensor
    logs: Tensor
    confidences: Tensor


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


class TaggerNetwork(nn.Module):
    """Scores of K tags for each word of a batch of sentences, and the sequence of tags they make most likely.

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
    >>> network(words).shape, network.decode(words, 2).paths.shape
    (torch.Size([2, 3, 3]), torch.Size([2, 2, 3]))
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

    def nats(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """-ln P(tags) summed over the batch; a tag (B, T) of -1 is unknown, or padding."""
        if self.crf.learned:
            return self.crf.nats(emissions, tags, lengths)
        return F.cross_entropy(emissions.flatten(0, 1), tags.flatten(), ignore_index=-1, reduction="sum")

    def decode(self, batch: Words, n: int = 1) -> Decoded:
        """The n most likely sequences of legal tags for each row, and how sure each tag is."""
        emissions = self(batch)
        lengths = batch.lengths.to(emissions.device)
        if n == 1 and not self.crf.ties:
            return _independent(emissions, lengths)
        paths, scores = self.crf.best(emissions, lengths, n)
        logs = scores - self.crf.log_partition(emissions, lengths)[:, None]
        return Decoded(emissions, paths, logs, self.crf.marginals(emissions, lengths))


def _independent(emissions: Tensor, lengths: Tensor) -> Decoded:
    """The most likely tag of each word by itself: what a field without ties comes to."""
    inside = torch.arange(emissions.shape[1], device=lengths.device) < lengths[:, None]
    logs = torch.log_softmax(emissions, 2) * inside.unsqueeze(2)
    best, tags = logs.max(2)
    return Decoded(
        emissions,
        tags.where(inside, 0).unsqueeze(1),
        best.sum(1, keepdim=True),
        logs.exp() * inside.unsqueeze(2),
    )

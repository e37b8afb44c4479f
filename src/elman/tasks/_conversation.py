"""Talking with a model that answers texts: one answer after the other, chosen or drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.options import check, option
from elman.tasks._sampling import Drawing
from elman.tasks._writing import Searching

if TYPE_CHECKING:
    from elman.tasks.translate import Translator


@dataclass(kw_only=True)
class Talking(Drawing):
    """How answers are found: by a beam search, or drawn."""

    temperature: float = option(
        0.0, "0: the best answer of a beam search; else drawn, scores divided by it", minimum=0
    )
    beam_size: int = option(5, "hypotheses of the beam search", minimum=1)
    max_length: int | None = option(
        None, "most symbols [ten more than the longest in training, or than twice the text]", minimum=1
    )


@dataclass(frozen=True)
class Turn:
    """What was said, what was answered."""

    said: str
    answered: str


class Conversation:
    """A conversation with a translator that has learned answers to texts. It answers each text by itself.

    Attributes: `how` it answers; `turns`, those so far.
    """

    def __init__(self, model: Translator, how: Talking) -> None:
        check(how)
        self.model, self.how = model, how
        self.turns: list[Turn] = []
        self._rng = np.random.default_rng(how.seed)

    def change(self, **options: Any) -> None:
        """Answer in another way from now on; InputError for what is out of range, and nothing is changed."""
        how = replace(self.how, **options)
        check(how)
        self.how = how

    def reset(self) -> None:
        """Forget what was said, and draw as at the beginning."""
        self.turns.clear()
        self._rng = np.random.default_rng(self.how.seed)

    def reply(self, text: str) -> Iterator[str]:
        """The answer in pieces, as they are written; raises InputError for a text that cannot be read."""
        pieces: list[str] = []
        for piece in self._pieces(text):
            pieces.append(piece)
            yield piece
        self.turns.append(Turn(text, "".join(pieces)))

    def unknown(self, text: str) -> list[str]:
        """The symbols of a text that the model does not know."""
        return self.model.unknown_symbols(text)

    def _pieces(self, text: str) -> Iterator[str]:
        how = self.how
        if not how.temperature:
            options = Searching(beam_size=how.beam_size, max_length=how.max_length)
            yield self.model.search([text], **vars(options))[0][0].text
            return
        yield from self.model.draw(text, lambda scores: how.choose(scores, self._rng), how.max_length)

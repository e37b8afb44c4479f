"""A trained language model as what a beam asks about the symbols that follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.data import Vocabulary
from elman.errors import InputError
from elman.runfolder import RunFolder

if TYPE_CHECKING:
    import torch

    from elman.nn.language import LanguageNetwork, States
    from elman.tasks.language_model import LanguageModel

Told = tuple[Any, NDArray[np.float64]]


class SymbolLanguage:
    """ln P of each symbol of a vocabulary after all before it, and of the line's end: `data.ctc.Language`.

    Raises InputError for a model of another kind of symbols, or one that lacks a symbol and has none for the unknown.
    """

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary, name: str) -> None:
        theirs = model.vocabulary_
        if (theirs.kind, theirs.jamo) != (vocabulary.kind, vocabulary.jamo):
            raise InputError(
                f"{name}: reads {_kind(theirs)}, but texts are written in {_kind(vocabulary)}; train one with "
                f"--vocabulary {vocabulary.kind}{' --jamo' if vocabulary.jamo else ''}."
            )
        ids = {symbol: place for place, symbol in enumerate(theirs.symbols)}
        self._ids: list[int] = []
        for symbol in vocabulary.symbols:
            found = ids.get(symbol, theirs.unknown_id)
            if found is None:
                raise InputError(
                    f"{name}: has never seen {symbol!r}, which texts are written with; train it on texts that have it."
                )
            self._ids.append(found)
        if model.conditions_ is not None:
            raise InputError(
                f"{name}: writes from a condition, which a sound does not have; train one without."
            )
        self._end = len(theirs) if model.by_rows else ids.get("\n")
        self._start = model._start
        self._network: LanguageNetwork = model.network_

    def begin(self) -> Told:
        """The start of a line."""
        return self._read([self._start], None)[0]

    def follow(self, states: Sequence[Any], symbols: Sequence[int]) -> list[Told]:
        """After one more symbol each, all at once."""
        import torch

        merged = {name: torch.cat([state[name] for state in states], 1) for name in states[0]}
        return self._read([self._ids[symbol] for symbol in symbols], merged)

    def _read(self, symbols: Sequence[int], state: States | None) -> list[Told]:
        import torch

        with torch.inference_mode():
            x = torch.tensor(symbols, device=self._network.output.weight.device)[:, None]
            scores, after = self._network.advance(x, state)
            logs = torch.log_softmax(scores.double(), -1).cpu().numpy()
        return [(_row(after, row), self._of_symbols(logs[row])) for row in range(len(symbols))]

    def _of_symbols(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        end = 0.0 if self._end is None else logs[self._end]
        return np.append(logs[self._ids], end)


def load_language(path: str, vocabulary: Vocabulary) -> SymbolLanguage:
    """The language model of a run, for texts written with `vocabulary`."""
    from elman.tasks.language_model import LanguageModel

    task = RunFolder.open(path).read_config()["task"]
    if task != LanguageModel.name:
        raise InputError(f"{path}: a run of the task {task!r}, expected a language-model.")
    return SymbolLanguage(LanguageModel.load(path), vocabulary, path)


def _row(state: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    return {name: part[:, row : row + 1] for name, part in state.items()}


def _kind(vocabulary: Vocabulary) -> str:
    return f"{vocabulary.kind} symbols{', Korean syllables in jamo' if vocabulary.jamo else ''}"

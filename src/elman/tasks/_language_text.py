"""A language model of one long text: what is learned from and held out, its scores, and how the loop sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from elman import data
from elman.data import Vocabulary
from elman.inspection import Section, Text
from elman.runfolder import RunFolder
from elman.tasks._measuring import measure, measure_windows
from elman.tasks._ngram import Bigram, Symbols
from elman.tasks._task import Scores

if TYPE_CHECKING:
    from elman.tasks.language_model import LanguageModel
    from elman.train.problem import Loss

_ROWS = 64  # rows that validation reads side by side, and the symbols each must have to be worth it
_ROW = 2000
_JUDGED = 1 << 17  # predictions in the training text that are judged where nothing is held out
_PIECE = 1 << 16
_LOOK = 1 << 20  # symbols within which a text of several lines has a line end
_SCORES = ("perplexity", "bits_per_character", "accuracy")


class RunningText:
    """A text as one long sequence; its end is held out.

    Attributes:
        training: its symbols.
        held_out: those that are held out, or None.
        start: the symbol a new text starts after.
    """

    def __init__(self, task: LanguageModel, files: list[Any]) -> None:
        self._task = task
        task.vocabulary_ = task.build_vocabulary(data.read_blocks(files), unknown=task.unknown == "map")
        self.training: Symbols = task._encode(files)
        self.held_out: Symbols | None = None
        if isinstance(task.validation, str):
            self.held_out = task._encode([task.validation])
        elif task.validation:
            self.training, self.held_out = data.split_tail(self.training, task.validation)
        if task.train_fraction < 1:
            self.training, _ = data.split_tail(self.training, 1 - task.train_fraction)
        if self.held_out is not None:
            self._held_out_characters = characters(task.vocabulary_, self.held_out)
        self.start = _start(task.vocabulary_, self.training)

    def problem(self) -> TextProblem:
        """What is learned, for the loop."""
        return TextProblem(self._task, self)

    def facts(self, files: list[Any]) -> dict[str, Any]:
        """What config.json records."""
        task = self._task
        facts: dict[str, Any] = {"text": data.fingerprint(files)}
        if isinstance(task.validation, str):
            facts["validation"] = data.fingerprint([task.validation])
        return facts | {
            "start_symbol": task.vocabulary_.symbols[self.start],
            "distinct_symbols": len(task.vocabulary_),
            "training_symbols": len(self.training),
            "held_out_symbols": 0 if self.held_out is None else len(self.held_out),
        }

    def validate(self) -> Scores:
        """Scores on the held-out part."""
        assert self.held_out is not None
        return text_scores(self._task, self.held_out, rows(self.held_out), self._held_out_characters)

    def final_scores(self, run: RunFolder) -> Scores:
        """Scores of the best weights on what is judged."""
        if self.held_out is not None:
            return best_scores(run)
        judged, task = self._judged_part(), self._task
        if task.cut == "stream":
            return text_scores(task, judged, rows(judged))
        nats, correct, count = measure_windows(task.network_, judged, task.sequence_length)
        share = characters(task.vocabulary_, judged) / (len(judged) - 1)
        return scores(nats, correct, count, count * share)

    def judged(self) -> str:
        """What is judged, in words."""
        if self.held_out is not None:
            return "the held-out part of the text"
        part, whole = len(self._judged_part()), len(self.training)
        told = "training text" if part == whole else f"last {part:,} of {whole:,} training symbols"
        return f"the {told}: nothing was held out"

    def baselines(self) -> dict[str, Scores]:
        """Unigram and interpolated bigram, fitted to the training part and judged on the held-out part."""
        if self.held_out is None:
            return {}
        model = Bigram.count(self.training, len(self._task.vocabulary_))
        losses = {"bigram": model.bigram(self.held_out), "unigram": model.unigram(self.held_out)}
        count = len(self.held_out) - 1
        return {
            name: scores(loss * count, None, count, self._held_out_characters)
            for name, loss in losses.items()
        }

    def section(self) -> Section:
        """Samples for the report."""
        task = self._task
        samples = [
            Text(
                f"temperature {temperature}",
                "".join(task.generate(length=300, temperature=temperature, seed=task.seed)),
            )
            for temperature in (0.5, 1.0)
        ]
        return Section("Samples", samples)

    def _judged_part(self) -> Symbols:
        """The training text where it is short, else its end: as much as costs about `_JUDGED` predictions."""
        count = _JUDGED if self._task.cut == "stream" else _JUDGED // self._task.sequence_length
        return self.training[-max(count, self._task.sequence_length + 1) :]


class Problem:
    """A language model as the training loop sees it. Without held-out text its scores are those of the training."""

    def __init__(self, task: LanguageModel, held_out: bool) -> None:
        self._task, self._held_out = task, held_out
        self.model = task.network_
        self.items = {"word": "words", "subword": "subwords", "byte": "bytes"}.get(
            task.vocabulary, "characters"
        )
        self.score = "accuracy" if held_out else "train_accuracy"

    def validate(self) -> Scores:
        correct, count = self._seen.tolist()
        train = {"train_accuracy": correct / max(count, 1)}
        return {**self._task._material.validate(), **train} if self._held_out else train

    def _count(self, correct: Any, count: int, before: Mapping[str, Any] | None) -> Any:
        """Right guesses and targets of the epoch, with those of one batch more."""
        import torch

        seen = torch.stack([correct, torch.tensor(count, device=self.model.output.weight.device)])
        self._seen = seen if before is None else before["seen"] + seen
        return self._seen


class TextProblem(Problem):
    """Of one long text."""

    def __init__(self, task: LanguageModel, text: RunningText) -> None:
        from elman import train

        super().__init__(task, text.held_out is not None)
        world = train.World.here()
        cut = data.StreamBatches if task.cut == "stream" else data.WindowBatches
        self.batches = cut(
            text.training,
            task.batch_size * world.size,
            task.sequence_length,
            seed=task.seed,
            rank=world.rank,
            world=world.size,
        )

    def loss(self, batch: data.Batch, carry: Any) -> Loss:
        """Cross-entropy of the targets; what is carried: the state, and right guesses and targets of the epoch."""
        import torch

        from elman.train.problem import Loss

        device = self.model.output.weight.device
        inputs, targets = (torch.from_numpy(part).to(device) for part in (batch.inputs, batch.targets))
        state = None if batch.fresh or carry is None else carry["state"]
        nats, correct, state = self.model.count(inputs, targets, state)
        seen = self._count(correct, batch.targets.size, carry)
        state = None if self._task.cut == "windows" else state
        return Loss(nats, batch.targets.size, {"state": state, "seen": seen})

    def sample(self) -> str:
        return "".join(self._task.generate(length=100, temperature=0.7, seed=self._task.seed))


def text_scores(task: LanguageModel, symbols: Symbols, rows: int, characters_of: int | None = None) -> Scores:
    """Scores on one text, read in so many rows; the characters its symbols spell are counted, unless they are known."""
    nats, correct, count = measure(task.network_, symbols, rows=rows)
    if characters_of is None:
        characters_of = characters(task.vocabulary_, symbols)
    return scores(nats, correct, count, characters_of)


def best_scores(run: RunFolder) -> Scores:
    """Scores of the weights that were kept, as they were when these were validated."""
    from elman.train import checkpoint

    kept = run.read_metadata(checkpoint.BEST)["step"]
    best = next(row for row in run.metrics() if row["step"] == kept)
    found = {"loss": best["validation_loss"], **{name: best[name] for name in _SCORES if name in best}}
    return {name: math.inf if value is None else value for name, value in found.items()}


def scores(nats: float, correct: int | None, count: int, spelled: float) -> Scores:
    """Scores of a sum of nats over `count` targets that spell so many characters."""
    loss = nats / count
    found = {
        "loss": loss,
        "perplexity": math.exp(loss) if loss < 700 else math.inf,
        "bits_per_character": nats / math.log(2) / spelled if spelled else math.inf,
    }
    return found if correct is None else found | {"accuracy": correct / count}


def characters(vocabulary: Vocabulary, symbols: Symbols) -> int:
    """Characters (code points) that the symbols after the first spell."""
    pieces = (symbols[start : start + _PIECE] for start in range(1, len(symbols), _PIECE))
    if vocabulary.kind in ("grapheme", "character") and not vocabulary.jamo:
        lengths = np.array([len(vocabulary.decode([symbol])) for symbol in range(len(vocabulary))])
        return sum(int(lengths[piece].sum()) for piece in pieces)
    decoder = vocabulary.decoder()
    decoder.push(int(symbols[0]))
    return sum(len(decoder.push(symbol)) for piece in pieces for symbol in piece.tolist()) + len(
        decoder.finish()
    )


def rows(symbols: Symbols) -> int:
    """In how many rows a text is judged side by side."""
    return max(1, min(_ROWS, len(symbols) // _ROW))


def _start(vocabulary: Vocabulary, symbols: Symbols) -> int:
    """The symbol a new text starts after: the line end, where the text has more than one line, or its first symbol."""
    line_end = vocabulary.symbols.index("\n") if "\n" in vocabulary.symbols else -1
    return line_end if line_end in symbols[: min(_LOOK, len(symbols) - 1)] else int(symbols[0])

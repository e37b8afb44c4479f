"""language-model: the next symbol of a text, from all symbols before it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import Vocabulary
from elman.errors import InputError
from elman.inspection import Compared, Inspected, Section, Text
from elman.options import check, option
from elman.runfolder import RunFolder
from elman.tasks._inputs import Answer, is_file, text_groups
from elman.tasks._measuring import measure, measure_windows
from elman.tasks._ngram import Bigram, Symbols
from elman.tasks._options import SymbolOptions
from elman.tasks._sampling import Sampling
from elman.tasks._task import Data, Scores, Task, sources

if TYPE_CHECKING:
    from elman.nn.language import Continuation, LanguageNetwork
    from elman.train.problem import Loss

ONE_HOT = "one-hot"
_ROWS = 64  # rows that validation reads side by side, and the symbols each must have to be worth it
_ROW = 2000
_JUDGED = 1 << 17  # predictions in the training text that are judged where nothing is held out
_SCORES = ("perplexity", "bits_per_character", "accuracy")
_PIECE = 1 << 16
_WRITTEN = 1000  # symbols of a text that is written to be inspected
_LOOK = 1 << 20  # symbols within which a text of several lines has a line end


@dataclass(kw_only=True)
class Reading:
    """How a text is read."""

    rows: int = option(1, "parts of the text read side by side, faster; 1: exactly, as one text", minimum=1)


@dataclass(kw_only=True)
class Guessing:
    """What is told of the next symbol."""

    top_k: int = option(5, "how many of the most likely next symbols", minimum=1)
    unknown: Literal["error", "map"] = option(
        "error", "a symbol the model has never seen: stop, or read it as unknown", choices=("error", "map")
    )


@dataclass(kw_only=True)
class LanguageModel(SymbolOptions, Task):
    """Writes text like the text it was trained on: the probability of every next symbol, given all before it.

    The constructor takes the options as keywords (`elman train language-model --help` lists them all).
    The text is one long sequence; files follow each other with nothing in between.

    Attributes, after `fit` or `load`: `vocabulary_`, the symbols; `network_`, the torch model; and those of `Task`.

    Not covered: several texts kept apart by a mark of their own, sampled softmax for very large vocabularies.

    >>> LanguageModel(cell="gru", hidden_size=64).options()["vocabulary"]
    'grapheme'
    """

    name: ClassVar[str] = "language-model"
    compared: ClassVar[Compared] = Compared("loss", "nats per symbol")
    evaluating: ClassVar[type[Any]] = Reading
    predicting: ClassVar[type[Any]] = Guessing

    unknown: Literal["error", "map"] = option(
        "error",
        "a symbol the vocabulary lacks: stop, or read it as the unknown symbol",
        choices=("error", "map"),
    )
    cut: Literal["stream", "windows"] = option(
        "stream", "stream: rows of consecutive text, state carried along; windows: every window, from state zero",
        choices=("stream", "windows"),
    )  # fmt: skip
    sequence_length: int = option(100, "symbols through which gradients flow back", minimum=1)
    embedding: int | str = option(
        ONE_HOT, "input: one-hot, or the size of a learned vector", metavar="one-hot|N"
    )
    tie_weights: bool = option(False, "one matrix for embedding and output; embedding must be hidden_size")
    input_dropout: float = option(
        0.0, "probability of dropping a feature of the embedding", minimum=0, maximum=0.99
    )

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        if isinstance(self.embedding, str):
            if self.embedding != ONE_HOT:
                raise InputError(f"embedding is {self.embedding!r}, expected {ONE_HOT} or a whole number.")
        elif self.embedding < 1:
            raise InputError(f"embedding is {self.embedding}, expected {ONE_HOT} or at least 1.")

    # --- use

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores on files: loss (nats per symbol), perplexity, bits_per_character, accuracy.

        Args:
            data: files or folders.
            options: `rows`: 1 carries the state through the whole text; more read so many parts side by side, faster,
                each with a state warmed up on the symbols before it.
        """
        how = Reading(**options)
        check(how)
        self._fitted()
        return self._measure(self._encode(self.vocabulary_, sources(data)), how.rows)

    def predict(self, texts: Sequence[str], **options: Any) -> list[list[tuple[str, float]]]:
        """What may follow each text: the most likely symbols and their probabilities.

        Args:
            texts: any texts; the empty one stands for a line end.
            options: `top_k`, how many; `unknown`, "map" to read symbols that were never seen.
        """
        how = Guessing(**options)
        check(how)
        self._fitted()
        guesses, reader = [], self.network_.continuation()
        for text in texts:
            reader.reset()
            scores = reader.read(self._read(text, how.unknown))
            likely = np.exp(scores - scores.max())
            best = np.argsort(-likely, kind="stable")[: how.top_k]
            guesses.append([(self._spelled(int(k)), float(likely[k] / likely.sum())) for k in best])
        return guesses

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """The most likely next symbols after each text."""
        for group in text_groups(inputs):
            for text, guesses in zip(group, self.predict(group, **options), strict=True):
                told = "  ".join(f"{symbol!r} {share:.3f}" for symbol, share in guesses)
                following = [{"symbol": symbol, "probability": share} for symbol, share in guesses]
                yield Answer(told, {"text": text, "next": following})

    def generate(self, prompt: str = "", **sampling: Any) -> Iterator[str]:
        """Continue a text, piece by piece: constant time and memory for every symbol.

        An empty prompt stands for a line end; after a training text without one, for the symbol it began with, which is
        then written too.

        Args:
            prompt: any text; it is not repeated in what is written.
            sampling: the fields of `elman.tasks.Sampling`: length, temperature, top_k, top_p, seed, unknown.
        """
        how = Sampling(**sampling)
        check(how)
        if not hasattr(self, "network_"):
            self._fitted()
        return self._continue(self._read(prompt, how.unknown), how, written=bool(prompt) or self._starts_line)

    def step(self, read: str | int, unknown: Literal["error", "map"] = "error") -> NDArray[np.float64]:
        """Read on: one symbol by its number in `vocabulary_`, or a text; the state is kept from call to call.

        Returns scores (V,) of the symbol that follows: P(k) = exp(s_k) / sum over j of exp(s_j).
        """
        symbols = [read] if isinstance(read, int) else self._read(read, unknown)
        if not 0 <= min(symbols) <= max(symbols) < len(self.vocabulary_):
            raise InputError(f"the symbol {read} is out of range, expected 0 to {len(self.vocabulary_) - 1}.")
        return self._stream.read(symbols)

    def reset(self) -> None:
        """Forget what `step` has read: the state is zero again."""
        self._stream.reset()

    @property
    def state(self) -> dict[str, NDArray[np.float32]]:
        """What `step` remembers, as arrays (L, 1, H) by name: to be kept, and set again to go on from there."""
        return self._stream.state

    @state.setter
    def state(self, state: Mapping[str, NDArray[Any]]) -> None:
        expected, given = ({n: np.shape(a) for n, a in one.items()} for one in (self.state, state))
        if given != expected:
            raise InputError(f"the state has the arrays {given}, expected {expected}.")
        self._stream.state = state

    def baselines(self) -> dict[str, Scores]:
        """Unigram and interpolated bigram, fitted to the training part and judged on the held-out part."""
        if self._held_out is None:
            return {}
        model = Bigram.count(self._training, len(self.vocabulary_))
        losses = {"bigram": model.bigram(self._held_out), "unigram": model.unigram(self._held_out)}
        count, characters = len(self._held_out) - 1, self._held_out_characters
        return {name: _scores(loss * count, None, count, characters) for name, loss in losses.items()}

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """A text of six hundred lines about rivers, in two languages."""
        words = ("강", "바다", "river", "sea", "the", "and", "물", "a")
        lines = (f"{words[i % 8]} {words[i * i % 7]}{'.' * (i % 3)}\n" for i in range(600))
        path = folder / "text.txt"
        path.write_text("".join(lines), encoding="utf-8")
        return [path], {}

    def _prepare(self, files: list[Any]) -> _Problem:
        self.vocabulary_ = self.build_vocabulary(data.read_blocks(files), unknown=self.unknown == "map")
        self._training = self._encode(self.vocabulary_, files)
        self._held_out: Symbols | None = None
        if isinstance(self.validation, str):
            self._held_out = self._encode(self.vocabulary_, [self.validation])
        elif self.validation:
            self._training, self._held_out = data.split_tail(self._training, self.validation)
        if self.train_fraction < 1:
            self._training, _ = data.split_tail(self._training, 1 - self.train_fraction)
        if self._held_out is not None:
            self._held_out_characters = _characters(self.vocabulary_, self._held_out)
        self._start = _start(self.vocabulary_, self._training)
        self.network_ = self._build()
        return _Problem(self)

    def _facts(self, files: list[Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"text": data.fingerprint(files)}
        if isinstance(self.validation, str):
            facts["validation"] = data.fingerprint([self.validation])
        return facts | {
            "start_symbol": self.vocabulary_.symbols[self._start],
            "distinct_symbols": len(self.vocabulary_),
            "training_symbols": len(self._training),
            "held_out_symbols": 0 if self._held_out is None else len(self._held_out),
        }

    def _save(self, run: RunFolder) -> None:
        self.vocabulary_.save(run.path / "vocabulary.json")

    def _restore(self, run: RunFolder) -> None:
        self.vocabulary_ = Vocabulary.load(run.path / "vocabulary.json")
        start = run.read_config()["data"].get("start_symbol")
        if start not in self.vocabulary_.symbols:
            raise InputError(f"{run.path / 'config.json'}: damaged, start_symbol is {start!r}, no symbol.")
        self._start = self.vocabulary_.symbols.index(start)
        self.network_ = self._network(run, self._build, scores=len(self.vocabulary_))

    def _final_scores(self, run: RunFolder) -> Scores:
        if self._held_out is not None:
            best = min(run.metrics(), key=lambda row: row["validation_loss"])
            scores = {
                "loss": best["validation_loss"],
                **{name: best[name] for name in _SCORES if name in best},
            }
            return {name: math.inf if value is None else value for name, value in scores.items()}
        judged = self._judged_part()
        if self.cut == "stream":
            return self._measure(judged, _rows(judged))
        nats, correct, count = measure_windows(self.network_, judged, self.sequence_length)
        share = _characters(self.vocabulary_, judged) / (len(judged) - 1)
        return _scores(nats, correct, count, count * share)

    def _judged(self) -> str:
        if self._held_out is not None:
            return "the held-out part of the text"
        part, whole = len(self._judged_part()), len(self._training)
        told = "training text" if part == whole else f"last {part:,} of {whole:,} training symbols"
        return f"the {told}: nothing was held out"

    def _judged_part(self) -> Symbols:
        """The training text where it is short, else its end: as much as costs about `_JUDGED` predictions."""
        count = _JUDGED if self.cut == "stream" else _JUDGED // self.sequence_length
        return self._training[-max(count, self.sequence_length + 1) :]

    def _sections(self) -> list[Section]:
        samples = [
            Text(
                f"temperature {temperature}",
                "".join(self.generate(length=300, temperature=temperature, seed=self.seed)),
            )
            for temperature in (0.5, 1.0)
        ]
        return [Section("Samples", samples)]

    def _usage(self, run: RunFolder) -> list[str]:
        python = (
            f'import elman\n\nmodel = elman.load("{run.path}")\nprint("".join(model.generate(length=200)))'
        )
        return [f"elman generate {run.path} --length 500", f"elman evaluate {run.path} TEXT", python]

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """Pieces of the texts and files, each after a state warmed up on what stands before it; without any, of a text
        that it writes itself."""
        from elman.tasks._inspected import pieces

        given = inputs or ["".join(self.generate(length=_WRITTEN))]
        symbols = np.concatenate([self._symbols_of(word) for word in given])
        if len(symbols) < 2:
            raise InputError(
                f"{given[0]!r}: one symbol, expected at least two: one to read and one to foretell."
            )
        names = [self._spelled(k) for k in range(len(self.vocabulary_))]
        return pieces(self.network_, symbols, names, self.sequence_length)

    # --- within

    @property
    def _stream(self) -> Continuation:
        """What `step` reads with; it is made anew when the network is another one."""
        self._fitted()
        if getattr(self, "_streamed", None) is not self.network_:
            self._streamed, self._reader = self.network_, self.network_.continuation()
        return self._reader

    def _symbols_of(self, word: str) -> Symbols:
        """The symbols of a word of the command line: a file, or a text."""
        if is_file(word):
            return self._encode(self.vocabulary_, [word])
        return self.vocabulary_.encode(word, "error" if self.vocabulary_.unknown_id is None else "map")

    def _build(self) -> LanguageNetwork:
        from elman.nn.language import LanguageNetwork

        size = 0 if isinstance(self.embedding, str) else self.embedding
        return LanguageNetwork(
            len(self.vocabulary_),
            self.recurrent(size or len(self.vocabulary_)),
            embedding_size=size,
            tie_weights=self.tie_weights,
            dropout=self.dropout,
            variational=self.variational,
            input_dropout=self.input_dropout,
        )

    def _encode(self, vocabulary: Vocabulary, files: Iterable[Any]) -> Symbols:
        """The symbols of files; a vocabulary that was cut maps what it lacks, another one as the option says."""
        unknown = "error" if vocabulary.unknown_id is None else "map"
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "elman"
        return data.encode_corpus(vocabulary, files, unknown=unknown, cache=cache)

    def _validate(self) -> Scores:
        held_out = cast(Symbols, self._held_out)
        return self._measure(held_out, _rows(held_out), self._held_out_characters)

    def _measure(self, symbols: Symbols, rows: int, characters: int | None = None) -> Scores:
        nats, correct, count = measure(self.network_, symbols, rows=rows)
        if characters is None:
            characters = _characters(self.vocabulary_, symbols)
        return _scores(nats, correct, count, characters)

    def _spelled(self, symbol: int) -> str:
        decoder = self.vocabulary_.decoder()
        return decoder.push(symbol) + decoder.finish()

    def _read(self, prompt: str, unknown: Literal["error", "map"]) -> list[int]:
        """The symbols of a prompt; raises InputError for one the vocabulary lacks, unless it is to be mapped."""
        if not prompt:
            return [self._start]
        symbols = self.vocabulary_.encode(prompt, unknown)
        if not len(symbols):
            raise InputError(
                f"the prompt {prompt!r} holds no symbol of a {self.vocabulary_.kind} vocabulary."
            )
        return [int(symbol) for symbol in symbols]

    @property
    def _starts_line(self) -> bool:
        return self.vocabulary_.decode([self._start]) == "\n"

    def _continue(self, symbols: list[int], how: Sampling, written: bool) -> Iterator[str]:
        """The text after `symbols`; if they are not `written` yet, they come first."""
        rng = np.random.default_rng(how.seed)
        reader, decoder = self.network_.continuation(), self.vocabulary_.decoder()
        before = "".join(map(decoder.push, symbols))
        if written:
            decoder.finish()  # a syllable that may go on: the prompt shows it already
        elif before:
            yield before
        for _ in range(how.length):
            scores = reader.read(symbols)
            if self.vocabulary_.unknown_id is not None:
                scores[self.vocabulary_.unknown_id] = -np.inf
            symbols = [how.choose(scores, rng)]
            if text := decoder.push(symbols[0]):
                yield text
        if text := decoder.finish():
            yield text


class _Problem:
    """A language model as the training loop sees it. Without held-out text its scores are those of the training."""

    def __init__(self, task: LanguageModel) -> None:
        from elman import train

        world = train.World.here()
        cut = data.StreamBatches if task.cut == "stream" else data.WindowBatches
        self._task = task
        self.model = task.network_
        self.batches = cut(
            task._training,
            task.batch_size * world.size,
            task.sequence_length,
            seed=task.seed,
            rank=world.rank,
            world=world.size,
        )
        self.items = {"word": "words", "subword": "subwords", "byte": "bytes"}.get(
            task.vocabulary, "characters"
        )
        self.score = "train_accuracy" if task._held_out is None else "accuracy"

    def loss(self, batch: data.Batch, carry: Any) -> Loss:
        """Cross-entropy of the targets; what is carried: the state, and right guesses and targets of the epoch."""
        import torch

        from elman.train.problem import Loss

        device = self.model.output.weight.device
        inputs, targets = (torch.from_numpy(part).to(device) for part in (batch.inputs, batch.targets))
        state = None if batch.fresh or carry is None else carry["state"]
        nats, correct, state = self.model.count(inputs, targets, state)
        seen = torch.stack([correct, torch.tensor(batch.targets.size, device=device)])
        self._seen = seen if carry is None else carry["seen"] + seen
        return Loss(
            nats,
            batch.targets.size,
            {"state": None if self._task.cut == "windows" else state, "seen": self._seen},
        )

    def validate(self) -> Scores:
        correct, count = self._seen.tolist()
        train = {"train_accuracy": correct / count}
        return train if self._task._held_out is None else {**self._task._validate(), **train}

    def sample(self) -> str:
        return "".join(self._task.generate(length=100, temperature=0.7, seed=self._task.seed))


def _scores(nats: float, correct: int | None, count: int, characters: float) -> Scores:
    """Scores of a sum of nats over `count` targets that spell `characters` characters."""
    loss = nats / count
    scores = {
        "loss": loss,
        "perplexity": math.exp(loss) if loss < 700 else math.inf,
        "bits_per_character": nats / math.log(2) / characters if characters else math.inf,
    }
    return scores if correct is None else scores | {"accuracy": correct / count}


def _characters(vocabulary: Vocabulary, symbols: Symbols) -> int:
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


def _start(vocabulary: Vocabulary, symbols: Symbols) -> int:
    """The symbol a new text starts after: the line end, where the text has more than one line, or its first symbol."""
    line_end = vocabulary.symbols.index("\n") if "\n" in vocabulary.symbols else -1
    return line_end if line_end in symbols[: min(_LOOK, len(symbols) - 1)] else int(symbols[0])


def _rows(symbols: Symbols) -> int:
    return max(1, min(_ROWS, len(symbols) // _ROW))


TASK = LanguageModel

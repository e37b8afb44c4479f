"""language-model: the next symbol of a text, from all symbols before it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import Vocabulary
from elman.errors import InputError
from elman.inspection import Compared, Inspected, Section
from elman.inspection.inspected import ROWS
from elman.options import check, option
from elman.runfolder import RunFolder
from elman.tasks._conditions import Conditions, Floats
from elman.tasks._examples import TABLES
from elman.tasks._inputs import Answer, is_file, text_groups
from elman.tasks._language_rows import (
    RowOptions,
    RowProblem,
    RowTexts,
    SingleTexts,
    read_row_texts,
    row_scores,
)
from elman.tasks._language_text import RunningText, TextProblem, text_scores
from elman.tasks._ngram import Symbols
from elman.tasks._options import SymbolOptions
from elman.tasks._sampling import Sampling
from elman.tasks._task import Data, Scores, Task, sources

if TYPE_CHECKING:
    from elman.nn.language import Continuation, LanguageNetwork

ONE_HOT = "one-hot"
_WRITTEN = 1000  # symbols of a text that is written to be inspected


@dataclass(kw_only=True)
class Reading:
    """How a text is read."""

    rows: int = option(1, "parts of one long text read side by side, faster; 1: exactly", minimum=1)


@dataclass(kw_only=True)
class Guessing:
    """What is told of the next symbol."""

    top_k: int = option(5, "how many of the most likely next symbols", minimum=1)
    unknown: Literal["error", "map"] = option(
        "error", "a symbol the model has never seen: stop, or read it as unknown", choices=("error", "map")
    )
    condition: str | None = option(
        None, "what the texts are written from, in a model trained so; rows of a table tell theirs [none]",
        metavar="VALUES",
    )  # fmt: skip


@dataclass(kw_only=True)
class LanguageModel(RowOptions, SymbolOptions, Task):
    """Writes text like the text it was trained on: the probability of every next symbol, given all before it.

    The constructor takes the options as keywords (`elman train language-model --help` lists them all).
    The text is one long sequence; files follow each other with nothing in between. Or, with `text_column` or
    `condition_column`, every row of a table is a text that stands alone, from its begin to its end, and may be written
    from a condition: P(y_t | y_1 .. y_(t-1), v), one thing to many.

    Attributes, after `fit` or `load`: `vocabulary_`, the symbols; `conditions_`, what texts are written from, or None;
    `network_`, the torch model; and those of `Task`.

    Not covered: sampled softmax for very large vocabularies.

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
        self.check_columns()
        if self.by_rows and self.cut != "stream":
            raise InputError(
                f"cut {self.cut} is of one long text; rows of a table are learned whole: leave it out."
            )
        if isinstance(self.embedding, str):
            if self.embedding != ONE_HOT:
                raise InputError(f"embedding is {self.embedding!r}, expected {ONE_HOT} or a whole number.")
        elif self.embedding < 1:
            raise InputError(f"embedding is {self.embedding}, expected {ONE_HOT} or at least 1.")

    # --- use

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores on files: loss (nats per symbol), perplexity, bits_per_character, accuracy.

        Args:
            data: files or folders; where texts stand alone, tables, folders or dataframes as in training.
            options: `rows`: 1 carries the state through the whole text; more read so many parts side by side, faster,
                each with a state warmed up on the symbols before it.
        """
        how = Reading(**options)
        check(how)
        self._fitted()
        if not self.by_rows:
            return text_scores(self, self._encode(sources(data)), how.rows)
        if how.rows != 1:
            raise InputError(f"rows is {how.rows}, of one long text; these texts stand alone: leave it out.")
        found, _ = read_row_texts(sources(data), *self.columns_)
        return row_scores(self, found, *self._encode_rows(found))

    def predict(self, texts: Sequence[str], **options: Any) -> list[list[tuple[str, float]]]:
        """What may follow each text: the most likely symbols and their probabilities.

        Args:
            texts: any texts; the empty one stands for a line end, or, where texts stand alone, for the begin. What
                follows may then be the end, an empty symbol.
            options: `top_k`, how many; `unknown`, "map" to read symbols that were never seen; `condition`, as for
                `generate`.
        """
        how = Guessing(**options)
        check(how)
        self._fitted()
        reader = self.network_.continuation(self._vector(how.condition))
        return [self._guess(reader, text, how) for text in texts]

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """The most likely next symbols after each text; a table tells the condition of each of its rows."""
        for given in inputs:
            if self.by_rows and given.lower().endswith(TABLES) and is_file(given):
                if options.get("condition") is not None:
                    raise InputError(
                        f"{given}: the rows of a table tell their conditions; leave condition out."
                    )
                found, _ = read_row_texts([given], *self.columns_)
                for row, text in enumerate(found.texts):
                    told = {name: values[row] for name, values in found.conditions.items()}
                    (guesses,) = self.predict([text], **{**options, "condition": told or None})
                    yield _answer({"text": text, **told}, guesses)
                continue
            for group in text_groups([given]):
                for text, guesses in zip(group, self.predict(group, **options), strict=True):
                    yield _answer({"text": text}, guesses)

    def generate(self, prompt: str = "", **sampling: Any) -> Iterator[str]:
        """Continue a text, piece by piece: constant time and memory for every symbol.

        An empty prompt stands for a line end; after a training text without one, for the symbol it began with, which is
        then written too.

        Args:
            prompt: any text; it is not repeated in what is written.
            sampling: the fields of `elman.tasks.Sampling`: length, count, condition, temperature, top_k, top_p, seed,
                unknown. Several texts have a line end between them. A condition is a text as on the command line, a
                mapping by column, or the value of the only column.
        """
        return _in_lines(self.samples(prompt, **sampling))

    def samples(self, prompt: str = "", **sampling: Any) -> Iterator[Iterator[str]]:
        """`generate`, each of the `count` texts by itself, in pieces."""
        how = Sampling(**sampling)
        check(how)
        if not hasattr(self, "network_"):
            self._fitted()
        vector, read, rng = (
            self._vector(how.condition),
            self._read(prompt, how.unknown),
            np.random.default_rng(how.seed),
        )
        written = bool(prompt) or self.by_rows or self._starts_line
        return (self._continue(read, vector, how, rng, written) for _ in range(how.count))

    def step(self, read: str | int, unknown: Literal["error", "map"] = "error") -> NDArray[np.float64]:
        """Read on: one symbol by its number in `vocabulary_`, or a text; the state is kept from call to call.

        Returns scores (V,) of the symbol that follows: P(k) = exp(s_k) / sum over j of exp(s_j). Where texts stand
        alone there is one more, of the end; the first call then reads the begin before anything else.
        """
        stream = self._stream
        begin = not self.by_rows or self._fresh
        if isinstance(read, int):
            symbols = [*([self._start] if self.by_rows and begin else []), read]
        else:
            symbols = self._read(read, unknown, begin=begin)
        if not 0 <= min(symbols) <= max(symbols) < self.network_.vocabulary_size:
            raise InputError(
                f"the symbol {read} is out of range, expected 0 to {self.network_.vocabulary_size - 1}."
            )
        self._fresh: bool = False
        return stream.read(symbols)

    def reset(self, condition: Any = None) -> None:
        """Forget what `step` has read: the state is zero again; condition: of what is read from now on."""
        self._fitted()
        self._reader = self.network_.continuation(self._vector(condition))
        self._streamed, self._fresh, self._condition = self.network_, True, condition

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
        self._fresh = False

    def baselines(self) -> dict[str, Scores]:
        """Unigram and interpolated bigram, and one bigram for each label, fitted to the training part and judged on the
        held-out part."""
        return self._material.baselines()

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """A text of six hundred lines about rivers, in two languages."""
        words = ("강", "바다", "river", "sea", "the", "and", "물", "a")
        lines = (f"{words[i % 8]} {words[i * i % 7]}{'.' * (i % 3)}\n" for i in range(600))
        path = folder / "text.txt"
        path.write_text("".join(lines), encoding="utf-8")
        return [path], {}

    def _prepare(self, given: list[Any]) -> TextProblem | RowProblem:
        self.conditions_: Conditions | None = None
        self._material = SingleTexts(self, given) if self.by_rows else RunningText(self, given)
        self._start = self._material.start
        self.network_ = self._build()
        return self._material.problem()

    def _facts(self, given: list[Any]) -> dict[str, Any]:
        return self._material.facts(given)

    def _save(self, run: RunFolder) -> None:
        self.vocabulary_.save(run.path / "vocabulary.json")
        if self.by_rows:
            conditions = None if self.conditions_ is None else self.conditions_.values()
            run.write_json("task.json", {"text_column": self.columns_[0], "conditions": conditions})

    def _restore(self, run: RunFolder) -> None:
        self.vocabulary_ = Vocabulary.load(run.path / "vocabulary.json")
        self.conditions_ = None
        if self.by_rows:
            self._restore_columns(run)
            self._start = len(self.vocabulary_)
        else:
            start = run.read_config()["data"].get("start_symbol")
            if start not in self.vocabulary_.symbols:
                raise InputError(
                    f"{run.path / 'config.json'}: damaged, start_symbol is {start!r}, no symbol."
                )
            self._start = self.vocabulary_.symbols.index(start)
        self.network_ = self._network(run, self._build, scores=len(self.vocabulary_) + self.by_rows)

    def _restore_columns(self, run: RunFolder) -> None:
        where, content = run.path / "task.json", run.read_json("task.json")
        try:
            column, conditions = content["text_column"], content["conditions"]
            if not isinstance(column, str | None) or (conditions is None) == bool(self.conditioned_on):
                raise ValueError("columns of another model")
            self.columns_ = column, self.conditioned_on
            if conditions is not None:
                self.conditions_ = Conditions.restored(conditions)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: damaged ({error!r}); restore the file or train again.") from error

    def _final_scores(self, run: RunFolder) -> Scores:
        return self._material.final_scores(run)

    def _judged(self) -> str:
        return self._material.judged()

    def _sections(self) -> list[Section]:
        return [self._material.section()]

    def _usage(self, run: RunFolder) -> list[str]:
        asked = "" if self.conditions_ is None else f", condition={self.conditions_.example()!r}"
        flags = "" if self.conditions_ is None else f" --condition {shlex.quote(self.conditions_.example())}"
        length = "" if self.by_rows else " --length 500"
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint("".join(model.generate(length=200{asked})))'
        data = "TABLE" if self.by_rows else "TEXT"
        return [f"elman generate {run.path}{flags}{length}", f"elman evaluate {run.path} {data}", python]

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """Pieces of the texts and files, each after a state warmed up on what stands before it; without any, of a text
        that it writes itself."""
        from elman.tasks import _inspected

        names = [self._spelled(k) for k in range(len(self.vocabulary_))]
        if self.by_rows:
            names.append("(edge)")
            return _inspected.single_texts(
                self.network_, *self._inspected_rows(inputs), names, self.sequence_length
            )
        given = inputs or ["".join(self.generate(length=_WRITTEN))]
        symbols = np.concatenate([self._symbols_of(word) for word in given])
        if len(symbols) < 2:
            raise InputError(
                f"{given[0]!r}: one symbol, expected at least two: one to read and one to foretell."
            )
        return _inspected.pieces(self.network_, symbols, names, self.sequence_length)

    # --- within

    @property
    def _stream(self) -> Continuation:
        """What `step` reads with; it is made anew when the network is another one."""
        self._fitted()
        if getattr(self, "_streamed", None) is not self.network_:
            self.reset(getattr(self, "_condition", None))
        return self._reader

    def _symbols_of(self, word: str) -> Symbols:
        """The symbols of a word of the command line: a file, or a text."""
        return self._encode([word]) if is_file(word) else self._symbols_in(word)

    def _symbols_in(self, text: str) -> Symbols:
        return self.vocabulary_.encode(text, "error" if self.vocabulary_.unknown_id is None else "map")

    def _inspected_rows(self, inputs: Sequence[str]) -> tuple[list[Symbols], Floats | None]:
        """Texts to look into, with their conditions: rows of tables or folders, else words; without any, some that are
        written."""
        if inputs and all(is_file(word) or Path(word).is_dir() for word in inputs):
            found, _ = read_row_texts(inputs, *self.columns_)
            return self._encode_rows(found.take(range(min(len(found), ROWS))))
        if inputs and self.conditions_ is not None:
            raise InputError(
                f"{inputs[0]!r}: texts are written from {self.conditions_}; give a table that has them."
            )
        if inputs:
            return [self._symbols_in(text) for text in inputs[:ROWS]], None
        vectors = None if self.conditions_ is None else self.conditions_.spread(ROWS)
        how, rng = Sampling(length=_WRITTEN // ROWS), np.random.default_rng(self.seed)
        texts = [
            "".join(self._continue([self._start], vector, how, rng, True))
            for vector in ([None] * ROWS if vectors is None else vectors)
        ]
        return [self._symbols_in(text) for text in texts], vectors

    def _build(self) -> LanguageNetwork:
        from elman.nn.language import LanguageNetwork

        size = 0 if isinstance(self.embedding, str) else self.embedding
        symbols = len(self.vocabulary_) + self.by_rows
        features = 0 if self.conditions_ is None else self.conditions_.size
        return LanguageNetwork(
            symbols,
            self.recurrent((size or symbols) + features),
            embedding_size=size,
            tie_weights=self.tie_weights,
            dropout=self.dropout,
            variational=self.variational,
            input_dropout=self.input_dropout,
            condition_size=features,
        )

    def _encode(self, files: Iterable[Any]) -> Symbols:
        """The symbols of files; a vocabulary that was cut maps what it lacks, another one as the option says."""
        vocabulary = self.vocabulary_
        unknown = "error" if vocabulary.unknown_id is None else "map"
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "elman"
        return data.encode_corpus(vocabulary, files, unknown=unknown, cache=cache)

    def _encode_rows(self, found: RowTexts) -> tuple[list[Symbols], Floats | None]:
        """Symbols of texts that stand alone, and their conditions (N, F)."""
        rows = []
        for text, where in zip(found.texts, found.places, strict=True):
            try:
                rows.append(self._symbols_in(text))
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
        if self.conditions_ is None:
            return rows, None
        return rows, self.conditions_.encode(found.conditions, found.places)

    def _vector(self, condition: Any) -> Floats | None:
        """The condition that was asked for, as the network reads it."""
        if self.conditions_ is not None:
            return self.conditions_.read(condition)
        if condition is not None:
            raise InputError(
                f"the condition {condition!r}: this model writes from none; train one with --condition-column."
            )
        return None

    def _spelled(self, symbol: int) -> str:
        if symbol == len(self.vocabulary_):
            return ""
        decoder = self.vocabulary_.decoder()
        return decoder.push(symbol) + decoder.finish()

    def _guess(self, reader: Continuation, text: str, how: Guessing) -> list[tuple[str, float]]:
        reader.reset()
        scores = reader.read(self._read(text, how.unknown))
        likely = np.exp(scores - scores.max())
        best = np.argsort(-likely, kind="stable")[: how.top_k]
        return [(self._spelled(int(k)), float(likely[k] / likely.sum())) for k in best]

    def _read(self, prompt: str, unknown: Literal["error", "map"], *, begin: bool = True) -> list[int]:
        """The symbols of a prompt, after the begin where texts stand alone; raises InputError for one the vocabulary
        lacks, unless it is to be mapped."""
        symbols = [int(symbol) for symbol in self.vocabulary_.encode(prompt, unknown)] if prompt else []
        first = [self._start] if begin and (self.by_rows or not prompt) else []
        if not symbols and (prompt or not first):
            raise InputError(
                f"the prompt {prompt!r} holds no symbol of a {self.vocabulary_.kind} vocabulary."
            )
        return first + symbols

    @property
    def _starts_line(self) -> bool:
        return not self.by_rows and self.vocabulary_.decode([self._start]) == "\n"

    def _continue(
        self,
        symbols: list[int],
        vector: Floats | None,
        how: Sampling,
        rng: np.random.Generator,
        written: bool,
    ) -> Iterator[str]:
        """The text after `symbols`, up to its end; if they are not `written` yet, they come first."""
        end = len(self.vocabulary_)
        reader, decoder = self.network_.continuation(vector), self.vocabulary_.decoder()
        before = "".join(decoder.push(symbol) for symbol in symbols if symbol != end)
        if written:
            decoder.finish()  # a syllable that may go on: the prompt shows it already
        elif before:
            yield before
        for _ in range(how.length):
            scores = reader.read(symbols)
            if self.vocabulary_.unknown_id is not None:
                scores[self.vocabulary_.unknown_id] = -np.inf
            symbols = [how.choose(scores, rng)]
            if symbols[0] == end:
                break
            if text := decoder.push(symbols[0]):
                yield text
        if text := decoder.finish():
            yield text


def _answer(about: dict[str, Any], guesses: Sequence[tuple[str, float]]) -> Answer:
    told = "  ".join(f"{symbol!r} {share:.3f}" for symbol, share in guesses)
    following = [{"symbol": symbol, "probability": share} for symbol, share in guesses]
    return Answer(told, {**about, "next": following})


def _in_lines(texts: Iterable[Iterable[str]]) -> Iterator[str]:
    for number, pieces in enumerate(texts):
        if number:
            yield "\n"
        yield from pieces


TASK = LanguageModel

"""translate: a text from another text, symbol by symbol: translator, chatbot, anything that comes in pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import Vocabulary
from elman.errors import InputError
from elman.inspection import Compared, Inspected, Section
from elman.inspection.inspected import ROWS, few
from elman.options import option
from elman.runfolder import RunFolder
from elman.tasks import _translate_report as report
from elman.tasks._conversation import Conversation, Talking
from elman.tasks._inputs import Answer, Unreadable, is_file, text_groups
from elman.tasks._options import SymbolOptions
from elman.tasks._pairs import PairOptions, Pairs, read_pairs
from elman.tasks._recall import Nearest, Recall, encoded, symbols
from elman.tasks._task import Data, Scores, Task, sources
from elman.tasks._text_scores import signatures, text_scores
from elman.tasks._translate_problem import TranslationProblem, padding
from elman.tasks._writing import (
    DecoderOptions,
    Searching,
    Written,
    forbidden,
    next_symbol_scores,
    padded,
    spelled,
    write,
)

if TYPE_CHECKING:
    import torch

    from elman.nn.decoder import Carried
    from elman.nn.encoder_decoder import EncoderDecoder

Rows = list[NDArray[np.int64]]

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_READ = 64  # rows read, or written, at once
_JUDGED = 2000  # sources that are answered for the final scores
_KNOWN = 20_000  # pairs that retrieval looks through
_LONGER = 10  # symbols by which an answer may be longer than the longest of the training


@dataclass(kw_only=True)
class Translator(PairOptions, SymbolOptions, DecoderOptions, Task):
    """Writes the text that belongs to a text: learned from pairs, by an encoder-decoder with attention.

    Recurrent layers read the source, others write the target, looking at each step at what the first made of the
    source. Beam search finds the answer. The constructor takes the options as keywords (`elman train translate --help`
    lists them all).

    Attributes, after `fit` or `load`: `source_vocabulary_` and `vocabulary_`, the symbols read and written; `network_`,
    the torch model; and those of `Task`.

    Not covered: sources of several texts (earlier turns of a conversation), texts larger than memory.

    >>> Translator(vocabulary="word", attention="multiplicative").options()["input_feeding"]
    True
    """

    name: ClassVar[str] = "translate"
    compared: ClassVar[Compared] = Compared("chrf", "", higher_is_better=True)
    predicting: ClassVar[type[Any]] = Searching
    evaluating: ClassVar[type[Any]] = Searching

    shared_vocabulary: bool = option(False, "sources and targets have one vocabulary, and one set of vectors")
    recall: int = option(
        0, "read with a source this many known ones like it, each with its target", minimum=0, maximum=16
    )
    recall_ngrams: int = option(
        4, "texts are alike by their runs of up to this many characters", minimum=1, maximum=8
    )
    copying: bool = option(
        False, "symbols may be copied from where the decoder looks, a learned share of the time"
    )
    bidirectional: bool = option(True, "a second set of layers reads each source from its end")
    sequence_length: int = option(
        300, "most symbols of a source or a target; a longer pair is refused", minimum=1
    )
    unconditional: bool = option(
        False, "read no source: a language model of the targets, to see what the sources tell"
    )

    # --- use

    def predict(self, texts: Sequence[str], **options: Any) -> list[str]:
        """The best answer to each text; options: the fields of `elman.tasks.Searching`."""
        return [found[0].text for found in self.search(texts, **options)]

    def search(self, texts: Sequence[str], **options: Any) -> list[list[Written]]:
        """The `n_best` answers to each text with their scores, best first; options as for `predict`.

        Raises InputError for a text that is empty or longer than `sequence_length`.
        """
        how = Searching(**options).checked()
        self._fitted()
        if isinstance(texts, str):
            raise InputError("one text, expected a list of them: predict([...]).")
        rows = self._encoded(self.source_vocabulary_, texts)
        for text, row in zip(texts, rows, strict=True):
            if problem := self._problem_of(text, row):
                raise InputError(problem)
        return self._write(texts, rows, how)

    def draw(
        self, text: str, choose: Callable[[NDArray[np.float64]], int], max_length: int | None = None
    ) -> Iterator[str]:
        """An answer to a text in pieces, as they are written; `choose` takes a symbol by its scores (V + 1,)."""
        from elman.nn.beam import draw

        self._fitted()
        text = text.strip()
        (row,) = self._encoded(self.source_vocabulary_, [text])
        if problem := self._problem_of(text, row):
            raise InputError(problem)
        decoder, vocabulary = self.network_.decoder, self.vocabulary_
        (read,) = self.recall_.parts([text])
        banned, pieces = forbidden(decoder, vocabulary, Searching()), vocabulary.decoder()
        limit = max_length or self._limit(row)
        for symbol, place in draw(
            decoder, self._begin([encoded(self.source_vocabulary_, read)]), limit, choose, banned
        ):
            if symbol == vocabulary.unknown_id and place is not None:
                yield pieces.push(symbol).replace(
                    spelled(vocabulary, [symbol]), symbols(self.source_vocabulary_, read)[place]
                )
            elif piece := pieces.push(symbol):
                yield piece
        if rest := pieces.finish():
            yield rest

    def converse(self, **options: Any) -> Conversation:
        """A conversation; options: the fields of `Talking`: temperature, top_k, top_p, seed, beam_size, max_length."""
        self._fitted()
        return Conversation(self, Talking(**options))

    def unknown_symbols(self, text: str) -> list[str]:
        """The symbols of a text that were never read in training, which the model cannot tell apart."""
        vocabulary, text = self.source_vocabulary_, text.strip()
        (row,) = self._encoded(vocabulary, [text])
        places = (
            [] if vocabulary.unknown_id is None else np.flatnonzero(row == vocabulary.unknown_id).tolist()
        )
        return list(dict.fromkeys(vocabulary.symbol_at(text, place) for place in places))

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """The answer to each text, line of a file or source in a table. What cannot be read is told, no more."""
        how = Searching(**options).checked()
        self._fitted()
        for given in inputs:
            try:
                for texts in self._asked([given]):
                    yield from self._answered_texts(texts, how)
            except InputError as error:  # a file, that is; what is wrong with a text is its answer
                yield self._answer(given, [], str(error), how.n_best)

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores on pairs: loss (nats per symbol), perplexity, accuracy of the next symbol, exact_match, chrf, bleu.

        The first three are of the targets given; the others of the answers to each different source beside all its
        targets. Options: the fields of `elman.tasks.Searching`.
        """
        how = Searching(**options).checked()
        self._fitted()
        pairs, _, _ = read_pairs(sources(data), *self.columns_, header=self.header)
        rows = self._encoded_pairs(pairs)
        return {**self._losses(*rows), **self._answered(pairs.references(), how)[0]}

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """The first sources of the texts, files and tables, and the answers that it writes to them."""
        from elman.tasks._inspected_pairs import translations

        texts = [text.strip() for group in self._asked(inputs) for text in group if text.strip()][:ROWS]
        if not texts:
            raise InputError("nothing to inspect: give a text, a file of lines, or a table of sources.")
        parts = self.recall_.parts(texts)
        read = [symbols(self.source_vocabulary_, each) for each in parts]
        read = read[: few([len(row) for row in read])]
        found = [answers[0].symbols for answers in self.search(texts[: len(read)])]
        names = [spelled(self.vocabulary_, [k]) for k in range(len(self.vocabulary_))]
        return translations(
            self.network_,
            self._tensors([encoded(self.source_vocabulary_, each) for each in parts[: len(read)]]),
            read,
            self._tensors([np.array(row, np.int64) for row in found]),
            [[names[k] for k in row] for row in found],
            [*names, "(end)"],
        )

    @classmethod
    def remarks(cls) -> list[str]:
        """What must be said beside the scores."""
        return signatures()

    def baselines(self) -> dict[str, Scores]:
        """The target of the source that is most like the one asked, by character n-grams."""
        asked = self._judged_references()
        step = -(-len(self._training) // _KNOWN)
        known = self._training.take(range(0, len(self._training), step))
        best = Nearest(known.sources).find(list(asked), others=self._training_judged)
        found = ["".join(known.targets[k] for k in numbers) for numbers in best]
        return {"nearest source": text_scores(found, list(asked.values()))}

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """Numbers below two hundred, in digits and digit by digit in Korean."""
        names = dict(zip("0123456789", "영일이삼사오육칠팔구", strict=True))
        lines = [f"{number}\t{' '.join(names[digit] for digit in str(number))}\n" for number in range(200)]
        path = folder / "numbers.tsv"
        path.write_text("".join(["digits\tkorean\n", *lines]), encoding="utf-8")
        columns = {"source_column": "digits", "target_column": "korean", "header": True}
        return [path], {**columns, "embedding": 8}

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        if self.sampling_steps != 1000 and not self.scheduled_sampling:
            raise InputError("sampling_steps says when a probability is reached; give --scheduled-sampling.")
        if self.recall_ngrams != 4 and not self.recall:
            raise InputError("recall_ngrams says which sources are recalled; give --recall.")
        for name, off in (("recall", "--recall 0"), ("copying", "--no-copying")):
            if getattr(self, name) and self.unconditional:
                raise InputError(
                    f"{name} is of a source, but unconditional reads none; leave it out ({off})."
                )
            if getattr(self, name) and not self.shared_vocabulary:
                raise InputError(
                    f"{name} reads what may be written, in the same symbols; give --shared-vocabulary."
                )
        if self.copying and self.attention == "none":
            raise InputError("copying is from where the decoder looks, but attention is none; give another.")

    def _prepare(self, given: list[Any]) -> TranslationProblem:
        pairs, *names = read_pairs(given, self.source_column, self.target_column, header=self.header)
        self.columns_ = names[0], names[1]
        self._held = Pairs([], [], [])
        if isinstance(self.validation, str):
            self._held, *_ = read_pairs([self.validation], *self.columns_, header=self.header)
        else:
            pairs, self._held = pairs.split(self.validation, self.seed)
        self._training_judged = not len(self._held)  # each source then without what is known of itself
        if self.train_fraction < 1:
            pairs, _ = pairs.split(1 - self.train_fraction, self.seed + 1)
        self._training = pairs
        listed = self.vocabulary in ("grapheme", "character", "word")
        spoken = [pairs.sources, pairs.targets]
        spoken = [spoken[0] + spoken[1]] * 2 if self.shared_vocabulary else spoken
        self.source_vocabulary_, self.vocabulary_ = (
            self.build_vocabulary(texts, unknown=listed) for texts in spoken
        )
        self.recall_ = Recall.of(pairs, self.recall, self.recall_ngrams)
        self._rows = self._encoded_pairs(pairs, others=True)
        self._held_rows = self._encoded_pairs(self._held)
        self._longest = max(map(len, self._rows[1]))
        self.network_ = self._build()
        return TranslationProblem(self)

    def _facts(self, given: list[Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"pairs": {"files": [data.table_fingerprint(each) for each in given]}}
        if isinstance(self.validation, str):
            facts["validation"] = {"files": [data.table_fingerprint(self.validation)]}
        return facts | {
            "training_pairs": len(self._training),
            "held_out_pairs": len(self._held),
            "held_out_sources": len(self._held.references()),
            "source_symbols": len(self.source_vocabulary_),
            "target_symbols": len(self.vocabulary_),
            "longest_target": self._longest,
            "padding": round(padding(self), 4),
            "scores": "; ".join(signatures()),
        }

    def _save(self, run: RunFolder) -> None:
        self.vocabulary_.save(run.path / "vocabulary.json")
        if not self.shared_vocabulary:
            self.source_vocabulary_.save(run.path / "source_vocabulary.json")
        values: dict[str, Any] = {"columns": self.columns_, "longest": self._longest}
        if self.recall_.count:
            values["recall"] = self.recall_.values()
        run.write_json("task.json", values)

    def _restore(self, run: RunFolder) -> None:
        where, content = run.path / "task.json", run.read_json("task.json")
        try:
            first, second = map(str, content["columns"])
            self.columns_, self._longest = (first, second), int(content["longest"])
            self.recall_ = Recall([], [], 0, self.recall_ngrams)
            if self.recall:
                self.recall_ = Recall.restored(content["recall"], self.recall, self.recall_ngrams)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: damaged ({error!r}); restore the file or train again.") from error
        self.vocabulary_ = self.source_vocabulary_ = Vocabulary.load(run.path / "vocabulary.json")
        if not self.shared_vocabulary:
            self.source_vocabulary_ = Vocabulary.load(run.path / "source_vocabulary.json")
        self.network_ = self._with_weights(self._build(), run)

    def _final_scores(self, run: RunFolder) -> Scores:  # noqa: ARG002
        asked = self._judged_references()
        answered, self._shown = self._answered(asked, Searching(), others=self._training_judged)
        rows = self._held_rows if len(self._held) else tuple(part[:_JUDGED] for part in self._rows)
        return {**self._losses(*rows), **answered}

    def _judged(self) -> str:
        if not len(self._held):
            return "training pairs: nothing was held out"
        asked, count = len(self._held.references()), len(self._judged_references())
        part = "" if count == asked else f"; answers are those to the first {count:,}"
        return f"{len(self._held):,} held-out pairs of {asked:,} sources{part}"

    def _sections(self) -> list[Section]:
        return report.sections(self._judged_references(), self._shown, self._looked(), signatures())

    def _usage(self, run: RunFolder) -> list[str]:
        text = next(iter(self._judged_references()))
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint(model.predict([{text!r}]))'
        return [
            f"elman predict {run.path} {text!r}",
            f"elman chat {run.path}",
            f"elman evaluate {run.path} PAIRS",
            python,
        ]

    # --- within

    def _build(self) -> EncoderDecoder:
        from torch import nn

        from elman.nn.encoder_decoder import Encoder, EncoderDecoder

        written = nn.Embedding(len(self.vocabulary_) + 1, self.embedding)
        if self.unconditional:
            return EncoderDecoder(self.decoder(written, None))
        read = written
        if not self.shared_vocabulary:
            read = nn.Embedding(len(self.source_vocabulary_), self.embedding)
            nn.init.normal_(read.weight, std=self.embedding**-0.5)
        encoder = Encoder(
            read,
            self.recurrent(self.embedding, bidirectional=self.bidirectional),
            dropout=self.dropout,
            variational=self.variational,
            input_dropout=self.input_dropout,
        )
        return EncoderDecoder(self.decoder(written, encoder.size, copying=self.copying), encoder)

    def _encoded(self, vocabulary: Vocabulary, texts: Sequence[str]) -> Rows:
        return [vocabulary.encode(text.strip(), "map").astype(np.int64) for text in texts]

    def _encoded_pairs(self, pairs: Pairs, *, others: bool = False) -> tuple[Rows, Rows]:
        """What is read for sources, and targets, as numbers; raises InputError for the first that is too long."""
        rows = (
            self._encoded(self.source_vocabulary_, pairs.sources),
            self._encoded(self.vocabulary_, pairs.targets),
        )
        for side, part in zip(("source", "target"), rows, strict=True):
            for row, place in zip(part, pairs.places, strict=True):
                if len(row) > self.sequence_length:
                    raise InputError(f"{place}: the {side} has {self._too_long(row)}, or take the pair out.")
        if not self.recall_.count:
            return rows
        read = self.recall_.parts(pairs.sources, others=others)
        return [encoded(self.source_vocabulary_, parts) for parts in read], rows[1]

    def _too_long(self, row: NDArray[np.int64]) -> str:
        return f"{len(row):,} symbols, expected at most {self.sequence_length:,}; train with a higher --sequence-length"

    def _problem_of(self, text: str, row: NDArray[np.int64]) -> str:
        """What is wrong with a source, or nothing."""
        if isinstance(text, Unreadable):
            return str(text)
        if not len(row):
            return f"the text {text!r} holds nothing to read, expected a source."
        if len(row) > self.sequence_length:
            return f"the text {text[:40]!r}... has {self._too_long(row)}, or give it in parts."
        return ""

    def _asked(self, inputs: Sequence[str]) -> Iterator[list[str]]:
        """The sources of the words of a command line: those of a table, else lines or texts."""
        for given in inputs:
            if given.lower().endswith(_TABLES) and " " not in given:
                if not is_file(given):
                    raise InputError(f"{given}: no such file.")
                table = data.read_table(given, header=self.header)
                column = table.column(self.columns_[0], "source_column")
                yield ["" if value is None else str(value) for value in column]
            else:
                yield from text_groups([given], unreadable=True)

    def _answered_texts(self, texts: Sequence[str], how: Searching) -> Iterator[Answer]:
        rows = self._encoded(self.source_vocabulary_, texts)
        problems = [self._problem_of(text, row) for text, row in zip(texts, rows, strict=True)]
        fine = [k for k, problem in enumerate(problems) if not problem]
        found = dict(
            zip(fine, self._write([texts[k] for k in fine], [rows[k] for k in fine], how), strict=True)
        )
        for k, text in enumerate(texts):
            yield self._answer(text, found.get(k, []), problems[k], how.n_best)

    def _answer(self, text: str, found: list[Written], problem: str, count: int) -> Answer:
        if problem:
            return Answer("", {"source": text, "problem": problem}, problem=problem)
        values: dict[str, Any] = {"source": text, **found[0].values()}
        lines = found[0].text
        if count > 1:
            values["candidates"] = [each.values() for each in found]
            lines = "\n".join(f"{each.score:.4f}\t{each.text}" for each in found)
        note = ""
        if unknown := self.unknown_symbols(text):
            values["unknown"] = unknown
            note = f"{text[:40]!r}: never seen in training: {', '.join(map(repr, unknown))}"
        return Answer(lines, values, note=note)

    def _begin(self, rows: Rows) -> Carried:
        """The decoder before its first symbol, with these sources read."""
        import torch

        with torch.inference_mode():
            return self.network_.begin(*self._tensors(rows))

    def _tensors(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        return padded(rows, self.network_.decoder.bias.device)

    def _limit(self, row: NDArray[np.int64]) -> int:
        return max(self._longest, 2 * len(row)) + _LONGER

    def _write(
        self, texts: Sequence[str], rows: Rows, how: Searching, *, others: bool = False
    ) -> list[list[Written]]:
        """The answers to sources; those of like length are read and written together. others: see `Recall.parts`."""
        found: list[list[Written]] = [[] for _ in rows]
        training = self.network_.training
        self.network_.eval()
        for batch in data.in_batches(list(map(len, rows)), _READ):
            limits = [how.max_length or self._limit(rows[k]) for k in batch]
            asked = self.recall_.parts([texts[k] for k in batch], others=others)

            def copied(row: int, place: int, asked: list[list[str]] = asked) -> str:
                return symbols(self.source_vocabulary_, asked[row])[place]

            given = self._begin([encoded(self.source_vocabulary_, parts) for parts in asked])
            written = write(self.network_.decoder, given, limits, self.vocabulary_, how, copied)
            for k, answers in zip(batch, written, strict=True):
                found[k] = answers
        self.network_.train(training)
        return found

    def _losses(self, read: Rows, written: Rows) -> Scores:
        given = (
            (*self._tensors([read[k] for k in batch]), *self._tensors([written[k] for k in batch]))
            for batch in data.in_batches(list(map(len, written)), _READ)
        )
        return next_symbol_scores(self.network_, given)

    def _answered(
        self, asked: dict[str, list[str]], how: Searching, *, others: bool = False
    ) -> tuple[Scores, list[Written]]:
        """Scores of the best answers to some sources, and the answers."""
        rows = self._encoded(self.source_vocabulary_, list(asked))
        found = [answers[0] for answers in self._write(list(asked), rows, how, others=others)]
        return text_scores([each.text for each in found], list(asked.values())), found

    def _judged_references(self) -> dict[str, list[str]]:
        """The sources whose answers are scored, and their targets: those held out, or else of the training."""
        found = (self._training if self._training_judged else self._held).references()
        return dict(list(found.items())[:_JUDGED])

    def _looked(self) -> list[report.Look]:
        """Where the decoder looked while it wrote some of the answers."""
        import torch

        looks: list[report.Look] = []
        if self.network_.decoder.attention is None:
            return looks
        asked = zip(self._judged_references(), self._shown, strict=True)
        for text, written in report.chosen(list(asked)):
            (parts,) = self.recall_.parts([text], others=self._training_judged)
            source = self._tensors([encoded(self.source_vocabulary_, parts)])
            target = self._tensors([np.array(written.symbols, np.int64)])
            with torch.inference_mode():
                _, weights = self.network_(*source, *target)
            read = symbols(self.source_vocabulary_, parts)
            told = [self.vocabulary_.decode([symbol]) for symbol in written.symbols]
            looks.append(report.Look(read, [*told, "end"], weights[0].float().cpu().numpy()))
        return looks


TASK = Translator

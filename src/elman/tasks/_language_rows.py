"""A language model of texts that stand alone, each from its begin to its end, and perhaps written from a condition."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import Table
from elman.data.images import FEATURES
from elman.errors import InputError
from elman.inspection import Grid, Section
from elman.options import option
from elman.runfolder import RunFolder
from elman.tasks import _examples as examples
from elman.tasks._conditions import Conditions, Floats
from elman.tasks._language_text import Problem, best_scores, scores
from elman.tasks._measuring import marked, measure_rows
from elman.tasks._ngram import Bigram, Symbols
from elman.tasks._task import Scores

if TYPE_CHECKING:
    from elman.tasks.language_model import LanguageModel
    from elman.train.problem import Loss

_JUDGED = 20_000  # training texts that are judged where nothing is held out
_SHOWN = 24  # conditions whose samples the report shows
_SAMPLES = 4  # of each
_LENGTH = 200  # symbols of a sample, at most
_WIDE = 40  # characters of a condition in the report


@dataclass(kw_only=True)
class RowOptions:
    """Texts that stand alone."""

    text_column: str | None = option(
        None,
        "each row of a table is a text of its own, in this column [with condition_column: the one it can be]",
        metavar="NAME",
    )
    condition_column: str | None = option(
        None,
        "columns of what each text is written from, separated by commas: labels, numbers, .npy files; of a folder with"
        " a .txt file for each label, what to call the label []",
        metavar="NAMES",
    )

    @property
    def conditioned_on(self) -> tuple[str, ...]:
        """The columns of the condition."""
        return tuple(name.strip() for name in (self.condition_column or "").split(",") if name.strip())

    @property
    def by_rows(self) -> bool:
        """Whether texts stand alone."""
        return self.text_column is not None or bool(self.conditioned_on)

    def check_columns(self) -> None:
        """Raise InputError for a condition that names no column, one twice, or the one of the texts."""
        names = self.conditioned_on
        if self.condition_column is not None and not names:
            raise InputError(f"condition_column is {self.condition_column!r}, expected names of columns.")
        for place, name in enumerate(names):
            if name == self.text_column or name in names[:place]:
                raise InputError(f"condition_column names {name!r}, which is there already; leave it out.")


@dataclass(frozen=True)
class RowTexts:
    """Texts in order; what each is written from, by column; and where each stands, for messages."""

    texts: list[str]
    conditions: dict[str, list[Any]]
    places: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Iterable[int]) -> RowTexts:
        """Some of them, in that order."""
        kept = list(rows)
        texts, places = ([part[row] for row in kept] for part in (self.texts, self.places))
        conditions = {name: [values[row] for row in kept] for name, values in self.conditions.items()}
        return RowTexts(texts, conditions, places)


def read_row_texts(
    given: Sequence[Any], column: str | None, conditions: Sequence[str]
) -> tuple[RowTexts, str | None]:
    """The texts of tables, dataframes and folders with a .txt file for each label, and the column they stand in.

    column: None: the one it can be. Raises InputError for what is missing, ambiguous or empty.
    """
    found = RowTexts([], {name: [] for name in conditions}, [])
    for source in given:
        folder = isinstance(source, str | Path) and Path(source).is_dir()
        if folder:
            part = _read_folder(source, conditions)
        else:
            table = data.read_table(source)
            column = column or _only_text(table, conditions)
            part = _read_table(table, source, column, conditions)
        found.texts.extend(part.texts)
        found.places.extend(part.places)
        for name in conditions:
            found.conditions[name].extend(part.conditions[name])
    if not len(found):
        raise InputError("no data given, expected a table with a column of texts, or a folder of LABEL.txt.")
    return found, column


def _read_folder(folder: Any, conditions: Sequence[str]) -> RowTexts:
    if len(conditions) > 1:
        raise InputError(
            f"{folder}: a folder tells one label of each text, the name of its file, but condition_column names"
            f" {len(conditions)}: {', '.join(conditions)}."
        )
    lines = examples.read_examples([folder], examples.Columns(kind="text"))
    return RowTexts(lines.inputs, {name: lines.targets or [] for name in conditions}, lines.places)


def _read_table(table: Table, source: Any, column: str, conditions: Sequence[str]) -> RowTexts:
    beside = Path(source).parent if isinstance(source, str | Path) else Path()
    texts = table.texts(column, "text_column")
    places = [table.where(row) for row in range(len(table))]
    for text, where in zip(texts, places, strict=True):
        if not text:
            raise InputError(f"{where}: the text is empty, expected one symbol at least; leave the row out.")
    columns = {
        name: [
            str(beside / value) if isinstance(value, str) and value.endswith(FEATURES) else value
            for value in table.column(name, "condition_column")
        ]
        for name in conditions
    }
    return RowTexts(texts, columns, places)


def _only_text(table: Table, conditions: Sequence[str]) -> str:
    others = [name for name in table.columns if name not in conditions]
    found = [name for name in others if name.lower() in examples.TEXTS] or others
    if len(found) != 1:
        raise InputError(
            f"{table.name}: which column holds the texts? Say --text-column NAME; there are"
            f" {', '.join(map(repr, table.columns))}."
        )
    return found[0]


@dataclass(frozen=True)
class _Part:
    """Texts, their symbols and conditions (N, F)."""

    found: RowTexts
    rows: list[Symbols]
    conditions: Floats | None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def symbols(self) -> int:
        """Targets: symbols and ends."""
        return sum(len(row) + 1 for row in self.rows)


class SingleTexts:
    """Texts that stand alone; some of them are held out, equal ones together.

    Attributes:
        training, held_out: the two parts.
        start: the mark that stands before a text and behind it, a symbol of the network that the vocabulary lacks.
    """

    def __init__(self, task: LanguageModel, given: list[Any]) -> None:
        self._task = task
        found, column = read_row_texts(given, task.text_column, task.conditioned_on)
        task.columns_ = column, task.conditioned_on
        task.conditions_ = _conditions(
            found
        )  # of all, to tell which columns hold the labels that rows are split by
        task.vocabulary_ = task.build_vocabulary(found.texts, unknown=task.unknown == "map")
        self.start = len(task.vocabulary_)
        strata = self._keys(found)
        kept, held = np.arange(len(found)), np.empty(0, np.int64)
        held_texts = None
        if isinstance(task.validation, str):
            held_texts, _ = read_row_texts([task.validation], *task.columns_)
        else:
            kept, held = examples.hold_out(found.texts, strata, task.validation, task.seed)
        if task.train_fraction < 1:
            less = [strata[row] for row in kept]
            kept = kept[examples.hold_out(range(len(kept)), less, 1 - task.train_fraction, task.seed + 1)[0]]
        training = found.take(kept)
        task.conditions_ = _conditions(training)
        self.training = self._part(training)
        self.held_out = self._part(found.take(held) if held_texts is None else held_texts)

    def problem(self) -> RowProblem:
        """What is learned, for the loop."""
        return RowProblem(self._task, self.training, len(self.held_out) > 0)

    def facts(self, given: list[Any]) -> dict[str, Any]:
        """What config.json records."""
        task = self._task
        facts: dict[str, Any] = {"texts": examples.fingerprint(given)}
        if isinstance(task.validation, str):
            facts["validation"] = examples.fingerprint([task.validation])
        if task.conditions_ is not None:
            facts["written_from"] = "; ".join(task.conditions_.told())
            assert self.training.conditions is not None
            facts["conditions_sha256"] = hashlib.sha256(self.training.conditions.tobytes()).hexdigest()[:12]
        return facts | {
            "distinct_symbols": len(task.vocabulary_),
            "training_texts": len(self.training),
            "held_out_texts": len(self.held_out),
            "longest_text": max(map(len, self.training.rows)),
            "training_symbols": self.training.symbols,
            "held_out_symbols": self.held_out.symbols,
        }

    def validate(self) -> Scores:
        """Scores on the texts that are held out."""
        return self._scores(self.held_out)

    def final_scores(self, run: RunFolder) -> Scores:
        """Scores of the best weights on what is judged."""
        return best_scores(run) if len(self.held_out) else self._scores(self._judged_part)

    def judged(self) -> str:
        """What is judged, in words."""
        if len(self.held_out):
            return f"{len(self.held_out):,} held-out texts"
        part, whole = len(self._judged_part), len(self.training)
        told = "training texts" if part == whole else f"first {part:,} of {whole:,} training texts"
        return f"the {told}: nothing was held out"

    def baselines(self) -> dict[str, Scores]:
        """Bigram and unigram of all texts, and a bigram of each label, fitted to the training part."""
        if not len(self.held_out):
            return {}
        size = len(self._task.vocabulary_) + 1
        known, judged = self.training, self.held_out
        model = Bigram.count(_joined(known.rows, size - 1), size)
        text = _joined(judged.rows, size - 1)
        losses = {"bigram": model.bigram(text), "unigram": model.unigram(text)}
        count, spelled = judged.symbols, _characters(judged.found)
        if self._task.conditions_ is not None and any(self._keys(judged.found)):
            nats = 0.0
            keys, known_keys = self._keys(judged.found), self._keys(known.found)
            of_label = _grouped(known.rows, known_keys)
            for key, rows in _grouped(judged.rows, keys).items():
                own = Bigram.count(_joined(of_label[key], size - 1), size) if key in of_label else model
                nats += own.bigram(_joined(rows, size - 1)) * sum(len(row) + 1 for row in rows)
            losses = {"bigram of the label": nats / count, **losses}
        return {name: scores(loss * count, None, count, spelled) for name, loss in losses.items()}

    def section(self) -> Section:
        """Samples for the report: of each label, or of some conditions, beside a text that was really there."""
        task, found = self._task, self._judged_part.found
        keys = self._keys(found)
        often = Counter(keys)
        first: dict[Any, int] = {}
        for row, key in enumerate(keys):
            first.setdefault(key or row, row)
        shown = sorted(first.items(), key=lambda item: -often[item[0]])[:_SHOWN]
        grid = []
        for row in sorted((row for _, row in shown), key=lambda row: keys[row]):
            told = {name: values[row] for name, values in found.conditions.items()}
            written = task.samples(
                condition=told or None, length=_LENGTH, temperature=0.8, count=_SAMPLES, seed=task.seed + row
            )
            texts = ["".join(pieces) for pieces in written]
            grid.append([*(str(value)[:_WIDE] for value in told.values()), found.texts[row], *texts])
        head = [*found.conditions, "real", *(f"written {k + 1}" for k in range(_SAMPLES))]
        return Section("Samples at temperature 0.8", [Grid(head, grid)])

    def _part(self, found: RowTexts) -> _Part:
        return _Part(found, *self._task._encode_rows(found))

    def _keys(self, found: RowTexts) -> list[tuple[str, ...]]:
        conditions = self._task.conditions_
        return [()] * len(found) if conditions is None else conditions.keys(found.conditions)

    def _scores(self, part: _Part) -> Scores:
        return row_scores(self._task, part.found, part.rows, part.conditions)

    @property
    def _judged_part(self) -> _Part:
        """The texts that are held out, or the first of the others."""
        if len(self.held_out):
            return self.held_out
        return self._part(self.training.found.take(range(min(len(self.training), _JUDGED))))


def _grouped(
    rows: Sequence[Symbols], keys: Sequence[tuple[str, ...]]
) -> dict[tuple[str, ...], list[Symbols]]:
    groups: dict[tuple[str, ...], list[Symbols]] = {}
    for row, key in zip(rows, keys, strict=True):
        groups.setdefault(key, []).append(row)
    return groups


def _conditions(found: RowTexts) -> Conditions | None:
    return Conditions.learn(found.conditions, found.places) if found.conditions else None


class RowProblem(Problem):
    """Of texts that stand alone."""

    def __init__(self, task: LanguageModel, training: _Part, held_out: bool) -> None:
        from elman import train

        super().__init__(task, held_out)
        self._training = training
        world = train.World.here()
        self.batches = data.BucketBatches(
            [len(row) + 1 for row in training.rows],
            task.batch_size * world.size,
            seed=task.seed,
            rank=world.rank,
            world=world.size,
        )

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:
        """Cross-entropy of the symbols and ends of some texts; what is carried: right guesses and targets so far.

        A text longer than `sequence_length` is read on from the state before, through which no gradient flows.
        """
        import torch

        from elman.train.problem import Loss

        weight = self.model.output.weight
        nats, right = weight.new_zeros(()), torch.zeros((), dtype=torch.long, device=weight.device)
        if not len(batch):  # more processes than texts: nothing, that still reaches every weight
            nats = torch.stack([p.sum() for p in self.model.parameters()]).sum() * 0
            return Loss(nats, 0, {"seen": self._count(right, 0, carry)})
        arrays = marked([self._training.rows[k] for k in batch], self.model.vocabulary_size - 1)
        inputs, targets = (torch.from_numpy(part).to(weight.device) for part in arrays)
        beside = self._training.conditions
        condition = None if beside is None else torch.from_numpy(beside[batch]).to(weight.device)
        state, step = None, self._task.sequence_length
        for at in range(0, inputs.shape[1], step):
            part = inputs[:, at : at + step], targets[:, at : at + step]
            lost, guessed, state = self.model.count(*part, state, condition)
            nats, right = nats + lost, right + guessed
            state = {name: values.detach() for name, values in state.items()}
        count = int((arrays[1] >= 0).sum())
        return Loss(nats, count, {"seen": self._count(right, count, carry)})

    def sample(self) -> str:
        conditions = self._task.conditions_
        condition = None if conditions is None else conditions.typical()
        written = self._task.generate(condition=condition, length=100, temperature=0.7, seed=self._task.seed)
        return "".join(written)


def row_scores(
    task: LanguageModel, found: RowTexts, rows: Sequence[Symbols], conditions: Floats | None
) -> Scores:
    """Scores on texts that stand alone; the end of each counts as a character, as a line end does."""
    nats, right, count = measure_rows(task.network_, rows, conditions)
    return scores(nats, right, count, _characters(found))


def _characters(found: RowTexts) -> int:
    return sum(len(text) + 1 for text in found.texts)


def _joined(rows: Sequence[Symbols], mark: int) -> Symbols:
    """The texts as one, with a mark before, between and behind them."""
    edge = np.array([mark])
    return np.concatenate([edge, *(part for row in rows for part in (row, edge))])

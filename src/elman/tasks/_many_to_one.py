"""What tasks share that read a whole sequence and say one thing of it: from files to a trained network."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import Vocabulary
from elman.errors import InputError
from elman.inspection import Inspected
from elman.inspection.inspected import ROWS, few, lead
from elman.options import check, option
from elman.runfolder import RunFolder
from elman.tasks import _examples as examples
from elman.tasks._encoding import Arrays, Encoder, ReadingOptions
from elman.tasks._examples import Columns, ExampleOptions, Examples
from elman.tasks._inputs import Answer, is_file, text_groups
from elman.tasks._row_scores import read, scores_of
from elman.tasks._task import Data, Scores, Task, sources

if TYPE_CHECKING:
    import torch

    from elman.nn.classifier import SequenceNetwork
    from elman.train.problem import Loss

_GROUP = 256  # examples answered at once
_NGRAMS = 1 << 16  # that a run may have


@dataclass(kw_only=True)
class SequenceOptions:
    """How a sequence becomes one vector."""

    bidirectional: bool = option(True, "a second set of layers reads each sequence from its end")
    pooling: Literal["last", "mean", "max", "attention"] = option(
        "max", "one vector of the outputs at all steps; last: of the last step of each direction",
        choices=("last", "mean", "max", "attention"),
    )  # fmt: skip
    step_dropout: float = option(
        0.0, "probability of hiding a step (a symbol, a row, a window) in training", minimum=0, maximum=0.99
    )


@dataclass(kw_only=True)
class ManyToOne(ExampleOptions, ReadingOptions, SequenceOptions, Task):
    """One thing said of a whole sequence.

    A subclass says what is learned of the targets (`_learn_targets`, `_truth`), the loss, and what is told of scores.
    """

    target_option: ClassVar[str]
    """Name of the option that says in which column the targets stand."""

    # --- what a subclass defines

    @abstractmethod
    def _learn_targets(self, found: Examples, training: NDArray[np.int64]) -> None:
        """Learn what the targets are, from all that was found, or from the rows that are the training part."""

    @abstractmethod
    def _strata(self, found: Examples) -> list[Any]:
        """What is to be as frequent in the held-out part as in the other."""

    @abstractmethod
    def _truth(self, found: Examples) -> NDArray[Any]:
        """Targets as the loss and the scores need them."""

    @property
    @abstractmethod
    def _outputs(self) -> int:
        """Scores the network gives for a sequence."""

    @abstractmethod
    def _loss(self, scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Sum of the losses of a batch."""

    @abstractmethod
    def _scores_of(self, scores: NDArray[np.float64], truth: NDArray[Any]) -> Scores:
        """What `validate` says of scores (N, K), the sum of the losses aside."""

    @abstractmethod
    def _answer(self, about: dict[str, str], scores: NDArray[np.float64], how: Any) -> Answer:
        """What is told of one sequence with the scores (K,)."""

    @abstractmethod
    def _target_values(self) -> dict[str, Any]:
        """What was learned of the targets, to be written to the run."""

    @abstractmethod
    def _restore_targets(self, values: dict[str, Any]) -> None:
        """Take back what `_target_values` gave; KeyError, TypeError or ValueError for anything else."""

    # --- use

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores on files, folders or dataframes of the kind it was trained on."""
        check(self.evaluating(**options))
        self._fitted()
        found = examples.read_examples(sources(data), self.columns_)
        truth = self._truth(found)
        return self._scores_of(self._network_scores(self.encoder_.encode(found.inputs)), truth)

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """One answer for every text, line of a file, row of a table, sequence or sound, in their order."""
        how = self.predicting(**options)
        check(how)
        self._fitted()
        for about, group in self._asked(inputs):
            scores = self._network_scores(self.encoder_.encode(group))
            for one, row in zip(about, scores, strict=True):
                yield self._answer(one, row, how)

    def _read_scores(self, inputs: Sequence[Any]) -> NDArray[np.float64]:
        """Scores (N, K) of inputs in memory: texts, arrays (t, F), or paths of sound files."""
        if isinstance(inputs, str | Path):
            raise InputError("one input, expected a list of them: predict([...]).")
        self._fitted()
        return self._network_scores(self.encoder_.encode(inputs))

    def _asked(self, inputs: Sequence[str]) -> Iterator[tuple[list[dict[str, str]], list[Any]]]:
        """What to answer, in groups, each with what it is called."""
        for given in inputs:
            table = given.lower().endswith(examples.TABLES)
            if self.columns_.kind == "text" and table and " " not in given and not is_file(given):
                raise InputError(f"{given}: no such file.")
            if self.columns_.kind == "text" and not (table and is_file(given)):
                for texts in text_groups([given]):
                    yield [{"text": text} for text in texts], list(texts)
            elif given == "-":
                yield from self._asked([line.strip() for line in sys.stdin if line.strip()])
            else:
                found = examples.read_examples([given], self.columns_, targets=False)
                for start in range(0, len(found), _GROUP):
                    group = found.take(range(start, min(start + _GROUP, len(found))))
                    yield [self._called(group, row) for row in range(len(group))], group.inputs

    def _called(self, found: Examples, row: int) -> dict[str, str]:
        if found.columns.kind == "text":
            return {"text": found.inputs[row]}
        return {"file" if found.columns.kind == "audio" else "sequence": found.places[row]}

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """The first texts, sequences or sounds, each with some steps, and by how much the best score of each leads."""
        given: list[Any] = []
        for _, group in self._asked(inputs):
            given += group
            if len(given) >= ROWS:
                break
        rows = [row for row in self.encoder_.encode(given[:ROWS]) if len(row)]
        if not rows:
            raise InputError("nothing to inspect: give a text, a file, or a table with some steps to read.")
        rows = rows[: few([len(row) for row in rows])]
        network, vocabulary = self.network_.eval(), self.encoder_.vocabulary
        names: tuple[str, ...] = getattr(self, "classes_", ())
        return Inspected(
            network,
            lambda: read(network, rows),
            lead,
            "the lead of the likeliest class" if names else "the number it says",
            [
                [str(t) for t in range(len(row))]
                if vocabulary is None
                else [vocabulary.decode([k]) for k in row]
                for row in rows
            ],
            answers=names,
            vectors="" if network.embedding is None else "embedding",
            text=vocabulary is not None,
        )

    # --- what Task asks for

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        if self.feature_columns is not None and self.id_column is None:
            raise InputError(
                "feature_columns are of a table with one row a step; say which is its --id-column."
            )
        named = [name for name in (self.text_column, self.audio_column, self.id_column) if name is not None]
        if len(named) > 1:
            raise InputError(
                "text_column, audio_column and id_column are of three kinds of data: give one of them."
            )

    def _prepare(self, given: list[Any]) -> _Problem:
        found = examples.read_examples(given, self._columns())
        found = found.once() if self.distinct else found
        self.columns_ = found.columns
        kept, held = np.arange(len(found)), np.empty(0, np.int64)
        if isinstance(self.validation, str):
            self._held_examples = examples.read_examples([self.validation], self.columns_)
        else:
            kept, held = examples.hold_out(found.keys(), self._strata(found), self.validation, self.seed)
            self._held_examples = found.take(held)
        if self.train_fraction < 1:
            strata = self._strata(found.take(kept))
            kept = kept[
                examples.hold_out(range(len(kept)), strata, 1 - self.train_fraction, self.seed + 1)[0]
            ]
        self._learn_targets(found, kept)
        self._training_examples = found.take(kept)
        self._training_truth = self._truth(self._training_examples)
        self._held_truth = self._truth(self._held_examples)
        self.encoder_, self._training_rows = Encoder.learn(
            str(found.columns.kind), self._training_examples.inputs, self
        )
        self._held_rows = self.encoder_.encode(self._held_examples.inputs)
        self._ngram_codes = np.empty(0, np.int64)
        if self.ngrams > 1:
            from elman.nn.ngrams import frequent_ngrams

            self._ngram_codes = frequent_ngrams(self._training_rows, self.ngrams)
        self.network_ = self._build()
        return _Problem(self)

    def _facts(self, given: list[Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"examples": examples.fingerprint(given)}
        if isinstance(self.validation, str):
            facts["validation"] = examples.fingerprint([self.validation])
        if self.columns_.audio is not None:
            heard = [*self._training_examples.inputs, *self._held_examples.inputs]
            facts["sounds"] = examples.listed_fingerprint(heard, "sound files")
        return facts | {
            "kind": self.columns_.kind,
            "training_sequences": len(self._training_rows),
            "held_out_sequences": len(self._held_rows),
            "longest_sequence": max(map(len, self._training_rows)),
            "distinct_symbols" if self.encoder_.vocabulary else "features": self.encoder_.size,
            "padding": round(_batches(self).padding, 4),
        }

    def _save(self, run: RunFolder) -> None:
        if self.encoder_.vocabulary is not None:
            self.encoder_.vocabulary.save(run.path / "vocabulary.json")
        self._write_learned(run)

    def _write_learned(self, run: RunFolder) -> None:
        learned: dict[str, Any] = {"columns": self.columns_.values(), "encoder": self.encoder_.values()}
        learned["ngrams"] = len(self._ngram_codes)  # they themselves are kept with the weights
        run.write_json("task.json", {**learned, "targets": self._target_values()})

    def _restore(self, run: RunFolder) -> None:
        where, values = run.path / "task.json", run.read_json("task.json")
        try:
            columns = dict(values["columns"])
            self.columns_ = Columns(**{**columns, "features": tuple(columns["features"])})
            text = self.columns_.kind == "text"
            vocabulary = Vocabulary.load(run.path / "vocabulary.json") if text else None
            self.encoder_ = Encoder.restored(values["encoder"], vocabulary)
            self._restore_targets(values["targets"])
            if not 0 <= values["ngrams"] <= _NGRAMS:
                raise ValueError(f"{values['ngrams']} n-grams")
            self._ngram_codes = np.zeros(values["ngrams"], np.int64)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: damaged ({error!r}); restore the file or train again.") from error
        self.network_ = self._network(run, self._build, scores=self._outputs)

    def _final_scores(self, run: RunFolder) -> Scores:  # noqa: ARG002
        return self._scores_of(self._judged_scores, self._judged_part[2])

    def _finish(self, run: RunFolder) -> None:  # noqa: ARG002
        self._judged_scores = self._network_scores(self._judged_part[1])

    def _judged(self) -> str:
        if len(self._held_examples):
            return f"{len(self._held_examples):,} held-out sequences"
        return "the training sequences: nothing was held out"

    # --- within

    @property
    def _judged_part(self) -> tuple[Examples, Arrays, NDArray[Any]]:
        """The examples, arrays and truth that scores are of: those held out, or else those learned from."""
        if len(self._held_examples):
            return self._held_examples, self._held_rows, self._held_truth
        return self._training_examples, self._training_rows, self._training_truth

    def _columns(self) -> Columns:
        features = tuple(name.strip() for name in (self.feature_columns or "").split(",") if name.strip())
        return Columns(
            text=self.text_column,
            audio=self.audio_column,
            id=self.id_column,
            features=features,
            group=self.group_column,
            target=getattr(self, self.target_option),
            target_option=self.target_option,
        )

    def _build(self) -> SequenceNetwork:
        from elman.nn.classifier import SequenceNetwork
        from elman.nn.ngrams import NgramEmbedding

        size, embedding = self.encoder_.size, None
        if self.encoder_.vocabulary is not None:
            embedding = NgramEmbedding(
                size, self.embedding, ngrams=self.ngrams, codes=self._ngram_codes, dropout=self.dropout
            )
            size = self.embedding
        return SequenceNetwork(
            self.recurrent(size, bidirectional=self.bidirectional),
            self._outputs,
            pooling=self.pooling,
            embedding=embedding,
            dropout=self.dropout,
            variational=self.variational,
            step_dropout=self.step_dropout,
        )

    def _network_scores(self, rows: Arrays) -> NDArray[np.float64]:
        return scores_of(self.network_, rows)


class _Problem:
    """A many-to-one task as the training loop sees it. Without held-out data it has no validation loss."""

    def __init__(self, task: ManyToOne) -> None:
        self._task = task
        self.model = task.network_
        self.batches = _batches(task)
        self.items = "sequences"
        self.score = task.compared.score

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:  # noqa: ARG002
        import torch

        from elman.train.problem import Loss

        task, weight = self._task, self.model.output.weight
        if not len(batch):
            return Loss(sum((p.sum() * 0 for p in self.model.parameters()), weight.new_zeros(())), 0)
        scores = read(self.model, [task._training_rows[row] for row in batch])
        truth = torch.from_numpy(task._training_truth[batch]).to(weight.device)
        return Loss(task._loss(scores, truth), len(batch))

    def validate(self) -> Scores:
        import torch

        task = self._task
        _, rows, truth = task._judged_part
        scores = task._network_scores(rows)
        if not len(task._held_rows):
            return task._scores_of(scores, truth)
        device = self.model.output.weight.device
        told = [torch.from_numpy(values).to(device) for values in (scores, truth)]
        return {"loss": float(task._loss(*told)) / len(rows), **task._scores_of(scores, truth)}

    def sample(self) -> None:
        return None


def _batches(task: ManyToOne) -> data.BucketBatches:
    from elman import train

    world = train.World.here()
    lengths = [len(row) for row in task._training_rows]
    return data.BucketBatches(
        lengths, task.batch_size * world.size, seed=task.seed, rank=world.rank, world=world.size
    )

"""tag: one label for each word of a sentence, such as its part of speech, or the names in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from elman import data
from elman.data import Vocabulary
from elman.data.coding import WordCoder
from elman.data.conll import Columns, Sentence, read_conll, split_words
from elman.data.spans import broken, legal, marked, scheme_of, spans
from elman.errors import InputError
from elman.inspection import Compared, Inspected, Section
from elman.options import check
from elman.runfolder import RunFolder
from elman.tasks import _tagging
from elman.tasks._chain import Chain, Legal
from elman.tasks._inputs import Answer, is_file, text_groups
from elman.tasks._tag_answers import Tagging
from elman.tasks._tag_options import Answering, ColumnOptions, WordOptions, stored_problem
from elman.tasks._tagging import Judgement, MostFrequent
from elman.tasks._task import Data, Scores, Task, sources

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from elman.nn.tagger import TaggerNetwork, Words
    from elman.train.problem import Loss

_READ = 64  # sentences read at once without learning
_GROUP = 256  # sentences of a file answered together
_ILLEGAL = -1e29  # ln P of what cannot be lies below
_TRAINED = 500  # sentences of the training part that are judged where nothing is held out


@dataclass(kw_only=True)
class SequenceTagger(ColumnOptions, WordOptions, Task):
    """Tags every word of a sentence: its part of speech, or which names it belongs to.

    The constructor takes the options as keywords (`elman train tag --help` lists them all). Files are CoNLL-U or CoNLL
    (`elman.data.conll`); a tag of `_` is neither learned nor scored. Tags that mark spans (B-PER I-PER O) are found
    to do so, checked, and never come out broken.

    Attributes, after `fit` or `load`: `tags_`, the tags in the order of their numbers; `scheme_`, how they mark spans,
    or None; `coder_`, the words it knows; `network_`, the torch model; and those of `Task`.

    Not covered: several tags a word learned at once, spans inside spans, vectors of words from elsewhere.

    >>> SequenceTagger(crf=True).options()["field"]
    'upos'
    """

    name: ClassVar[str] = "tag"
    compared: ClassVar[Compared] = Compared("accuracy", "", higher_is_better=True)
    predicting: ClassVar[type[Any]] = Answering

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        if self.jamo and not self.characters:
            raise InputError("jamo says how words are spelled, but characters is off; leave one of them out.")
        if self.repair and self.scheme == "none":
            raise InputError(
                "repair mends tags that break their scheme, but scheme is none; leave one of them out."
            )

    # --- use

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores on files: loss (nats a word), accuracy, unknown_accuracy, sentence_accuracy, and of tags that mark
        spans span_precision, span_recall and span_f1 (conlleval)."""
        check(self.evaluating(**options))
        self._fitted()
        sentences = self._read(sources(data))
        self._check_scheme(sentences)
        return self._measure(sentences)[0]

    def predict(self, sentences: Sequence[str | Sequence[str]]) -> list[list[str]]:
        """The tags of each sentence, given as words, or as text to split into them."""
        self._fitted()
        return [found.paths[0] for found in self._decode(self._split(sentences))]

    def predict_proba(self, sentences: Sequence[str | Sequence[str]]) -> list[NDArray[np.float32]]:
        """The probability of each of `tags_` at each word: an array (words, tags) for each sentence."""
        self._fitted()
        return [found.shares for found in self._decode(self._split(sentences))]

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """Tagged sentences: of a file with its other columns and comments, of a text as word/TAG word/TAG."""
        how = Answering(**options)
        check(how)
        self._fitted()
        if how.show_spans and self.scheme_ is None:
            raise InputError("show_spans shows spans, but the tags of this run mark none; leave it out.")
        for given in inputs:
            if not how.plain and given != "-" and is_file(given):
                yield from self._answer_file(given, how)
                continue
            for texts in text_groups([given]):
                for found in self._decode(self._split(texts), how.n_best):
                    text = found.text(how.n_best, show_spans=how.show_spans)
                    yield Answer(text, found.values(of_spans=self.scheme_ is not None))

    def _answer_file(self, file: str, how: Answering) -> Iterator[Answer]:
        sentences = read_conll(file, self._columns(width=self._width))
        while group := list(itertools.islice(sentences, _GROUP)):
            decoded = self._decode([sentence.words for sentence in group], how.n_best)
            for sentence, found in zip(group, decoded, strict=True):
                values = found.values(of_spans=self.scheme_ is not None)
                yield Answer(found.in_file(sentence, how.n_best), values)

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """The first sentences of the texts and files."""
        from elman.tasks._inspected import sentences

        files, texts = [x for x in inputs if is_file(x)], [x for x in inputs if not is_file(x)]
        rows: list[Sequence[str]]
        rows = [s.words for f in files for s in read_conll(f, self._columns(self._width))]
        rows += [words for group in text_groups(texts) for words in self._split(group)]
        return sentences(self.network_, rows, self._batch, self.tags_)

    def baselines(self) -> dict[str, Scores]:
        """The most frequent tag of each word in the training part, judged on the held-out part."""
        usual = MostFrequent([s.words for s in self._training], [s.tags for s in self._training])
        judged = self._held_out or self._training[:_TRAINED]
        return {"most frequent tag": self._judge(judged, [usual.tag(s.words) for s in judged]).scores(
            of_spans=self.scheme_ is not None)}  # fmt: skip

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """Two hundred sentences about who lives where; a name is of a person or a place by the word before it."""
        names, verbs = ("Ada", "Bora", "Cho", "Dan", "Eun", "Fay"), ("lives", "works", "sleeps")
        lines = []
        for k in range(200):
            who, where = names[k % 6], names[k * k % 5]
            rows = [("here", "O")] * (k % 2) + [
                ("Mr", "B-PER"),
                (who, "I-PER"),
                (verbs[k % 3], "O"),
                ("in", "O"),
            ]
            rows += [(where, "B-LOC"), (str(k), "I-LOC")] if k % 3 else [(where, "B-LOC")]
            lines.append("".join(f"{word}\t{tag}\n" for word, tag in rows))
        path = folder / "names.tsv"
        path.write_text("\n".join(lines), encoding="utf-8")
        return [path], {}

    def _prepare(self, files: list[Any]) -> _Problem:
        self._training = self._read(files)
        self._width = self._training[0].width
        self._held_out: list[Sentence] = []
        order = np.random.default_rng((self.seed, 1)).permutation(len(self._training)).tolist()
        if isinstance(self.validation, str):
            self._held_out = self._read([self.validation])
        elif self.validation:
            count = max(1, round(self.validation * len(order)))
            self._held_out = [self._training[row] for row in sorted(order[:count])]
            order = order[count:]
        kept = sorted(order[: math.ceil(self.train_fraction * len(order))])
        self._training = [self._training[row] for row in kept]
        self._learn_tags()
        self.coder_ = WordCoder.learn(
            [s.words for s in self._training],
            characters=self.characters,
            jamo=self.jamo,
            pairs=self.pairs > 0,
            lowercase=self.lowercase,
            min_count=self.min_count,
        )
        self.network_ = self._build(self.coder_.counts(s.words for s in self._training))
        return _Problem(self)

    def _facts(self, files: list[Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"text": data.fingerprint(files)}
        if isinstance(self.validation, str):
            facts["validation"] = data.fingerprint([self.validation])
        lengths = [len(s.words) for s in self._training]
        return facts | {
            "training_sentences": len(lengths),
            "training_words": sum(lengths),
            "held_out_sentences": len(self._held_out),
            "held_out_words": sum(len(s.words) for s in self._held_out),
            "distinct_words": len(self.coder_.words) - 1,
            "distinct_tags": len(self.tags_),
            "scheme": self.scheme_ or "none",
            "padding": round(data.BucketBatches(lengths, self.batch_size, seed=self.seed).padding, 4),
        }

    def _save(self, run: RunFolder) -> None:
        self.coder_.words.save(run.path / "vocabulary.json")
        if self.coder_.characters is not None:
            self.coder_.characters.save(run.path / "characters.json")
        content = {
            "tags": self.tags_,
            "scheme": self.scheme_,
            "width": self._width,
            "split": self._by_character,
        }
        run.write_json("task.json", content | {"pairs": self.coder_.pairs})

    def _restore(self, run: RunFolder) -> None:
        content = run.read_json("task.json")
        if problem := stored_problem(content, pairs=self.pairs > 0):
            raise InputError(
                f"{run.path / 'task.json'}: damaged, {problem}; restore the file or train again."
            )
        self.tags_, self.scheme_ = tuple(content["tags"]), content["scheme"]
        self._width, self._by_character = content["width"], content["split"]
        self.coder_ = WordCoder(
            Vocabulary.load(run.path / "vocabulary.json"),
            Vocabulary.load(run.path / "characters.json") if self.characters else None,
            pairs=None if content["pairs"] is None else [(one, two) for one, two in content["pairs"]],
            lowercase=self.lowercase,
        )
        self.network_ = self._network(run, self._build, scores=len(self.tags_))

    def _final_scores(self, run: RunFolder) -> Scores:  # noqa: ARG002
        scores, self._judged_sentences = self._measure(self._held_out or self._training[:_TRAINED])
        return scores

    def _judged(self) -> str:
        if self._held_out:
            return f"the {len(self._held_out):,} sentences held out"
        judged = min(_TRAINED, len(self._training))
        return f"the first {judged:,} of {len(self._training):,} training sentences: nothing was held out"

    def _compared(self) -> Compared:
        return Compared("span_f1", "", higher_is_better=True) if self.scheme_ else self.compared

    def _sections(self) -> list[Section]:
        crf = self.network_.crf if self.crf else None
        return _tagging.sections(
            self._judged_sentences, self.tags_, crf, of_spans=self.scheme_ is not None, joint=self._joint
        )

    def _usage(self, run: RunFolder) -> list[str]:
        words = self._training[0].words[:8]
        text = self._joint.join(words)
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint(model.predict([{words!r}]))'
        return [
            f"elman predict {run.path} {text!r}",
            f"elman predict {run.path} FILE --out TAGGED",
            f"elman evaluate {run.path} FILE",
            python,
        ]

    # --- reading

    def _columns(self, width: int | None = None) -> Columns:
        return Columns(self.format, self.field, self.word_column, self.tag_column, self.comment, width)

    def _read(self, files: Iterable[Any]) -> list[Sentence]:
        """The sentences of files that have words."""
        files = list(files)
        for file in files:
            if not isinstance(file, str | Path):
                raise InputError(f"{type(file).__name__} is no file, expected CoNLL-U or CoNLL.")
        found = (s for path in data.text_files(files) for s in read_conll(path, self._columns()))
        return [sentence for sentence in found if sentence.words]

    def _learn_tags(self) -> None:
        """The tags of the training part, their scheme, and whether words are single characters."""
        if not self._training:
            raise InputError(
                "nothing to learn from: all sentences are held out. Give a smaller --validation."
            )
        count = sum(tag is not None for s in self._training for tag in s.tags)
        tags = {tag for s in self._training for tag in s.tags if tag is not None}
        where = self._training[0].name
        if len(tags) < 2:
            told = f"every word has the tag {min(tags)!r}" if tags else "no word has a tag"
            raise InputError(f"{where}: {told}, expected at least two tags. Is it the right column?")
        if 2 * len(tags) > count:
            raise InputError(
                f"{where}: {len(tags):,} different tags for {count:,} words: there is nothing to learn from."
                " Say where the tags are with --tag-column or --field."
            )
        found = scheme_of(tags)
        self.scheme_ = found if self.scheme == "auto" else None if self.scheme == "none" else self.scheme
        if self.scheme_ is not None and found is None:
            raise InputError(
                f"scheme is {self.scheme}, but the tags of {where} mark no spans: {min(tags)!r}, ..."
            )
        self._check_scheme([*self._training, *self._held_out])
        self.tags_ = tuple(sorted({tag for s in self._training for tag in s.tags if tag is not None}))
        self._by_character = all(len(word) == 1 for s in self._training for word in s.words)

    def _check_scheme(self, sentences: Iterable[Sentence]) -> None:
        """Raise InputError for the first tag that breaks the scheme, or repair all that do."""
        if self.scheme_ is None:
            return
        for sentence in sentences:
            place = broken(sentence.tags, self.scheme_)
            if place is None:
                continue
            if not self.repair:
                before = repr(sentence.tags[place - 1]) if place else "the begin of the sentence"
                raise InputError(
                    f"{sentence.where(place)}: the tag {sentence.tags[place]!r} after {before} breaks"
                    f" {self.scheme_.upper()}. Mend it, or train with --repair, or with --scheme none."
                )
            mended = marked(spans(sentence.tags), len(sentence.tags), self.scheme_)
            sentence.tags[:] = [
                None if tag is None else new for tag, new in zip(sentence.tags, mended, strict=True)
            ]

    def _split(self, sentences: Iterable[str | Sequence[str]]) -> list[Sequence[str]]:
        symbols = self.coder_.words.symbols if self._by_character else None
        return [split_words(s, symbols) if isinstance(s, str) else s for s in sentences]

    # --- the model

    def _build(self, counts: NDArray[np.int64] | None = None) -> TaggerNetwork:
        import torch
        from torch import nn

        from elman.nn import Recurrent
        from elman.nn.crf import Crf
        from elman.nn.tagger import CharacterReader, TaggerNetwork

        coder, reader, pairs = self.coder_, None, None
        if coder.characters is not None:
            layers = Recurrent(
                self.cell,
                self.character_embedding,
                self.character_hidden_size,
                bidirectional=True,
                init=self.init,
            )
            reader = CharacterReader(len(coder.characters), self.character_embedding, layers)
        if coder.pairs is not None:
            pairs = nn.Embedding(len(coder.pairs) + 1, self.pairs)
        size = self.embedding + 2 * self.pairs + (reader.size if reader else 0)
        allowed: Any = None if self._legal is None else tuple(map(torch.from_numpy, self._legal))
        rates = (
            None
            if counts is None or not self.word_dropout
            else self.word_dropout / (self.word_dropout + counts)
        )
        return TaggerNetwork(
            self.recurrent(size, bidirectional=self.bidirectional),
            words=nn.Embedding(len(coder.words), self.embedding),
            crf=Crf(len(self.tags_), legal=allowed, learned=self.crf),
            pairs=pairs,
            characters=reader,
            rates=None if rates is None else torch.from_numpy(rates).float(),
            dropout=self.dropout,
            variational=self.variational,
            input_dropout=self.input_dropout,
        )

    # --- within

    @property
    def _legal(self) -> Legal | None:
        """What the scheme allows to begin, follow and end; None: everything."""
        return None if self.scheme_ is None else legal(self.tags_, self.scheme_)

    @property
    def _joint(self) -> str:
        """What stands between two words of a text."""
        return "" if self._by_character else " "

    def _numbers(self, sentences: Iterable[Sentence]) -> list[NDArray[np.int64]]:
        """The tags of each sentence by number, -1 for one that is not there or was not in training."""
        places = {tag: place for place, tag in enumerate(self.tags_)}
        return [np.array([places.get(tag or "", -1) for tag in s.tags], np.int64) for s in sentences]

    def _decode(self, sentences: Sequence[Sequence[str]], n: int = 1) -> list[Tagging]:
        """The n best sequences of tags of each sentence."""
        return self._decoded(sentences, n, None)[0]

    def _decoded(
        self, sentences: Sequence[Sequence[str]], n: int, truth: Sequence[NDArray[np.int64]] | None
    ) -> tuple[list[Tagging], float]:
        """The n best sequences of tags of each sentence, and -ln P of the true ones, summed, where they are given."""
        found: list[Any] = [None] * len(sentences)
        nats = 0.0
        for rows in data.in_batches([len(words) for words in sentences], _READ):
            inputs = self.coder_.code([sentences[row] for row in rows]).arrays()
            said = self.network_.arrays(inputs)
            emissions, lengths = said["scores"].astype(np.float64), inputs["lengths"]
            chain = Chain.of(len(self.tags_), said, self._legal)
            if truth is not None:
                tags = (
                    data.pad([truth[row] + 1 for row in rows])[0] - 1
                )  # padding is 0, which -1 makes unknown
                # without a field, what is learned are the words' own probabilities, whatever is legal
                judge = chain if self.crf else Chain.of(len(self.tags_), {}, None)
                nats += judge.nats(emissions, tags, lengths)
            decoded = chain.decode(emissions, lengths, n)
            for row, *parts in zip(rows, decoded.paths, decoded.logs, decoded.confidences, strict=True):
                found[row] = self._tagging(sentences[row], *parts)
        return found, nats

    def _tagging(
        self, words: Sequence[str], paths: NDArray[np.int64], logs: NDArray[Any], shares: NDArray[np.float64]
    ) -> Tagging:
        """What the network says of a sentence: of its paths (n, T) the legal ones."""
        paths, logs = paths[logs > _ILLEGAL, : len(words)], logs[logs > _ILLEGAL]
        return Tagging(
            words,
            [[self.tags_[k] for k in path] for path in paths],
            np.exp(logs).tolist(),
            [round(float(row[k]), 6) for row, k in zip(shares, paths[0], strict=False)],
            shares[: len(words)].astype(np.float32),
            self._joint,
        )

    def _batch(self, sentences: Sequence[Sequence[str]]) -> Words:
        import torch

        from elman.nn.tagger import Words

        coded = self.coder_.code(sentences).arrays()
        return Words(**{name: torch.from_numpy(array) for name, array in coded.items()})

    def _measure(self, sentences: Sequence[Sentence]) -> tuple[Scores, Judgement]:
        truth = self._numbers(sentences)
        found, nats = self._decoded([s.words for s in sentences], 1, truth)
        judged = self._judge(sentences, [tagging.paths[0] for tagging in found])
        count = sum(int((tags >= 0).sum()) for tags in truth)
        if not count:
            raise InputError(f"{sentences[0].name}: no word has a tag that the run knows; nothing to score.")
        return {"loss": nats / count, **judged.scores(of_spans=self.scheme_ is not None)}, judged

    def _judge(self, sentences: Iterable[Sentence], guess: Sequence[Sequence[str]]) -> Judgement:
        judged = Judgement()
        for sentence, tags in zip(sentences, guess, strict=True):
            judged.words.append(sentence.words)
            judged.truth.append(sentence.tags)
            judged.guess.append(tags)
            judged.known.append([self.coder_.knows(word) for word in sentence.words])
        return judged


class _Problem:
    """A tagger as the training loop sees it."""

    items = "words"

    def __init__(self, task: SequenceTagger) -> None:
        from elman import train

        world = train.World.here()
        self._task = task
        self._words = [s.words for s in task._training]
        self._tags = task._numbers(task._training)
        self.model = task.network_
        self.batches = data.BucketBatches(
            [len(words) for words in self._words],
            task.batch_size * world.size,
            seed=task.seed,
            rank=world.rank,
            world=world.size,
        )
        held = "" if task._held_out else "train_"
        self.score = held + ("span_f1" if task.scheme_ else "accuracy")

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:  # noqa: ARG002
        """-ln P of the tags of the sentences; where tags are tied together that of a sentence is one product."""
        import torch

        from elman.train.problem import Loss

        if not len(batch):  # more processes than sentences: nothing, that still reaches every weight
            return Loss(torch.stack([p.sum() for p in self.model.parameters()]).sum() * 0, 0)
        emissions = self.model(self._task._batch([self._words[row] for row in batch]))
        padded, lengths = data.pad(
            [self._tags[row] + 1 for row in batch]
        )  # padding is 0, which -1 makes unknown
        tags, steps = (torch.from_numpy(array).to(emissions.device) for array in (padded - 1, lengths))
        return Loss(self.model.nats(emissions, tags, steps), int((padded > 0).sum()))

    def validate(self) -> Scores:
        task = self._task
        if task._held_out:
            return task._measure(task._held_out)[0]
        scores, _ = task._measure(task._training[:_TRAINED])
        return {f"train_{name}": score for name, score in scores.items() if name != "loss"}

    def sample(self) -> str:
        """A sentence with its tags."""
        task = self._task
        words = (task._held_out or task._training)[0].words
        return task._decode([words])[0].text(1, show_spans=False)


TASK = SequenceTagger

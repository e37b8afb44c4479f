"""fill: the missing item of a sequence, from the items on both sides of it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import Vocabulary
from elman.errors import InputError
from elman.inspection import Compared, Grid, Inspected, Section, Text
from elman.options import check, option
from elman.runfolder import RunFolder
from elman.tasks._blanks import Blank, read_blanks
from elman.tasks._inputs import Answer, is_file, text_groups
from elman.tasks._options import SymbolOptions
from elman.tasks._ranks import Rows, counted_scores, parts, rank_scores
from elman.tasks._task import Data, Scores, Task, sources

if TYPE_CHECKING:
    from elman.nn.blank import BlankNetwork
    from elman.train.problem import Loss

Guesses = list[tuple[str, float]]

_KINDS = ("word", "grapheme", "character", "subword")
_ITEMS = 2048  # items scored at once while judging
_UNHELD = 20_000  # training items that are judged where nothing is held out
_SHOWN = 12  # examples in the report, with so many items on each side of the blank
_AROUND = 8


@dataclass(kw_only=True)
class Filling:
    """How blanks are filled."""

    top_k: int = option(5, "how many of the most likely items", minimum=1)
    blank: str = option("[ ]", "what marks a blank in the text")
    candidates: str | None = option(None, "choose among these only: items with commas between", metavar="A,B")


@dataclass(kw_only=True)
class BlankFiller(SymbolOptions, Task):
    """Fills blanks: the probability of every item of a sequence, given all the others of it.

    One network reads what stands left of an item, another what stands right of it; neither sees the item, so every item
    of a text is an example of training. A line of the text is a sequence, or a window of running text is.
    The constructor takes the options as keywords (`elman train fill --help` lists them all).

    An item that the vocabulary lacks is read as `<unk>` and is never an answer: it counts as wrong in `accuracy` and
    `top_5`, and is left out of `loss`, `perplexity`, `known_accuracy` and `known_top_5`.

    Attributes, after `fit` or `load`: `vocabulary_`, the symbols; `network_`, the torch model; and those of `Task`.

    Not covered: several blanks filled to fit each other (each is filled with the others unknown), one blank for several
    items, sampled softmax for vocabularies far above 20,000, texts larger than memory.

    >>> BlankFiller(sides="left").options()["vocabulary"]
    'word'
    """

    name: ClassVar[str] = "fill"
    compared: ClassVar[Compared] = Compared("accuracy", "", higher_is_better=True)
    predicting: ClassVar[type[Any]] = Filling

    vocabulary: Literal["word", "grapheme", "character", "subword"] = option(
        "word", "what an item is; a grapheme is what a reader calls a character", choices=_KINDS
    )
    vocabulary_size: int | None = option(20_000, "at most this many symbols, the most frequent", minimum=2)
    sides: Literal["both", "left", "right"] = option(
        "both", "which side of a blank is read", choices=("both", "left", "right")
    )
    cut: Literal["lines", "windows"] = option(
        "lines", "lines: each line by itself; windows: running text, in pieces", choices=("lines", "windows")
    )
    sequence_length: int = option(
        100, "most items of a sequence: a longer line is cut, and a window is as long", minimum=1
    )
    embedding: int = option(128, "features of an item's learned vector, in input and output", minimum=1)
    input_dropout: float = option(
        0.0, "probability of dropping a feature of the embedding", minimum=0, maximum=0.99
    )
    hide: float = option(
        0.1, "probability of hiding an item from its neighbours in training", minimum=0, maximum=0.99
    )

    # --- use

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores on files, every item hidden in turn: loss (nats per known item), perplexity, accuracy, top_5,
        known_accuracy, known_top_5."""
        check(self.evaluating(**options))
        self._fitted()
        return self._judge(self._rows(self._texts(sources(data))))[0]

    def predict(
        self,
        texts: Sequence[str],
        *,
        top_k: int = 5,
        blank: str = "[ ]",
        candidates: Sequence[str] | None = None,
    ) -> list[list[Guesses]]:
        """What each blank of each text may be: the `top_k` most likely fillings and their probabilities, which sum to 1
        over all that fit.

        Args:
            texts: each with at least one blank; of several each is filled with the others unknown.
            top_k: how many.
            blank: what marks a blank.
            candidates: only these; each must be a known item.

        A blank that no known item fits has no guess. Raises InputError for a text without a blank.
        """
        check(Filling(top_k=top_k, blank=blank))
        self._fitted()
        if not blank.strip():
            raise InputError(f"blank is {blank!r}, expected a mark with something to see, such as [ ].")
        return [self._fill(text, top_k, blank, candidates) for text in texts]

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """The most likely fillings of each text; a line of a file or a pipe that has no blank comes back as it is."""
        how = Filling(**options)
        check(how)
        self._fitted()
        candidates = None if how.candidates is None else how.candidates.split(",")
        for given in inputs:
            lines = given == "-" or is_file(given)
            for text in (text for group in text_groups([given]) for text in group):
                if lines and how.blank not in text:
                    yield Answer(text, {"text": text, "filled": text, "blanks": []})
                    continue
                (blanks,) = self.predict([text], top_k=how.top_k, blank=how.blank, candidates=candidates)
                yield _answer(text, how.blank, blanks)

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """The first lines, or pieces of running text, with an item in the middle hidden."""
        from elman.tasks._inspected import blanks

        lines = [text for group in text_groups(inputs) for text in group if text.strip()]
        names = [self.vocabulary_.decode([k]) for k in range(len(self.vocabulary_))]
        return blanks(self.network_, self._rows(lines) if lines else [], names)

    def baselines(self) -> dict[str, Scores]:
        """Unigram, and trigrams of the left, the right and both sides, fitted to the training part."""
        if self._held_out is None:
            return {}
        return counted_scores(self._training, self._held_out, len(self.vocabulary_), self._first)

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """Three hundred lines of four words, the third of which follows from its two neighbours, in two languages."""
        words = (("오늘", "물", "강", "비", "산"), ("today", "sun", "tea", "sea", "ice"))
        lines = []
        for number in range(300):
            left, right, told = number % 4, number // 4 % 4, words[number // 16 % 2]
            lines.append(f"{told[0]} l{left} {told[1 + left % 2 + 2 * (right % 2)]} r{right}\n")
        path = folder / "lines.txt"
        path.write_text("".join(lines), encoding="utf-8")
        return [path], {}

    def _prepare(self, files: list[Any]) -> _Problem:
        texts, held_out = self._texts(files), None
        if isinstance(self.validation, str):
            held_out = self._texts([self.validation])
        elif self.validation:
            texts, held_out = self._split(texts, self.validation)
        if self.train_fraction < 1:
            texts, _ = self._split(texts, 1 - self.train_fraction)
        self.vocabulary_ = self.build_vocabulary(texts, unknown=self.vocabulary != "subword")
        self._training = self._rows(texts)
        self._held_out = None if held_out is None else self._rows(held_out)
        self.network_ = self._build()
        return _Problem(self)

    def _facts(self, files: list[Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"text": data.fingerprint(files)}
        if isinstance(self.validation, str):
            facts["validation"] = data.fingerprint([self.validation])
        held_out = self._held_out or []
        items = sum(map(len, held_out))
        known = sum(int((row >= self._first).sum()) for row in held_out)
        return facts | {
            "distinct_symbols": len(self.vocabulary_),
            "training_sequences": len(self._training),
            "training_items": sum(map(len, self._training)),
            "held_out_sequences": len(held_out),
            "held_out_items": items,
            "held_out_unknown": 1 - known / items if items else 0.0,
            "padding": data.BucketBatches(
                list(map(len, self._training)), self.batch_size, seed=self.seed
            ).padding,
        }

    def _save(self, run: RunFolder) -> None:
        self.vocabulary_.save(run.path / "vocabulary.json")

    def _restore(self, run: RunFolder) -> None:
        self.vocabulary_ = Vocabulary.load(run.path / "vocabulary.json")
        self.network_ = self._network(run, self._build, scores=len(self.vocabulary_) - self._first)

    def _final_scores(self, run: RunFolder) -> Scores:  # noqa: ARG002
        scores, self._ranks = self._judge(self._shown())
        return scores

    def _judged(self) -> str:
        if self._held_out is not None:
            return "the held-out sequences, every item hidden in turn; an unknown item counts as wrong"
        return "training sequences: nothing was held out; an unknown item counts as wrong"

    def _sections(self) -> list[Section]:
        rows = self._shown()
        places = np.concatenate([_places(len(row)) for row in rows])
        right, known = self._ranks == 0, self._ranks >= 0
        by_place = [
            [
                name,
                int((places == k).sum()),
                float(right[places == k].mean()),
                float(known[places == k].mean()),
            ]
            for k, name in enumerate(("first", "inner", "last"))
            if (places == k).any()
        ]
        grids = [
            Grid(("item hidden", "items", "accuracy", "known"), by_place),
            Grid(("sequence", "hidden", "guesses"), list(self._examples(rows))),
        ]
        twin = "both" if self.sides != "both" else "left"
        advice = (
            f"This network reads: {self.sides}. What the other side adds is the accuracy of a network that is trained "
            f"alike but for --sides {twin}, over this one's; of the counting models above both were fitted."
        )
        return [Section("Blanks", grids), Section("Sides", [Text("What each side adds", advice)])]

    def _usage(self, run: RunFolder) -> list[str]:
        row = max(self._shown()[:100], key=len)[:_AROUND]
        text = self._spelled(row, min(1, len(row) - 1))
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint(model.predict([{text!r}]))'
        return [f"elman predict {run.path} {text!r}", f"elman evaluate {run.path} TEXT", python]

    # --- within

    @property
    def _first(self) -> int:
        """The first symbol that can be an answer."""
        return 0 if self.vocabulary_.unknown_id is None else 1

    @property
    def _hidden(self) -> int:
        """What a hidden item is read as: the unknown one, or a symbol of its own behind the edge."""
        return len(self.vocabulary_) + 1 if self.vocabulary_.unknown_id is None else 0

    @functools.cached_property
    def _spellings(self) -> tuple[str, ...]:
        """The text of every answer."""
        symbols = self.vocabulary_.symbols[self._first :]
        if self.vocabulary_.kind == "word":
            return symbols
        return tuple(self.vocabulary_.decode([k + self._first]) for k in range(len(symbols)))

    def _build(self) -> BlankNetwork:
        from elman.nn.blank import BlankNetwork

        left, right = (
            self.recurrent(self.embedding) if self.sides in ("both", side) else None
            for side in ("left", "right")
        )
        return BlankNetwork(
            len(self.vocabulary_),
            left,
            right,
            embedding_size=self.embedding,
            unknown=self.vocabulary_.unknown_id is not None,
            dropout=self.dropout,
            variational=self.variational,
            input_dropout=self.input_dropout,
            hide=self.hide,
        )

    def _texts(self, files: list[Any]) -> list[str]:
        """The lines of files: those with something on them, or, as running text, all with their ends."""
        lines = [line for file in data.text_files(files) for line in data.read_lines(file)]
        if self.cut == "lines":
            lines = [line for line in lines if line.strip()]
        if not any(lines):
            raise InputError(f"{files[0]}: no line with something on it, expected text.")
        return lines if self.cut == "lines" else [f"{line}\n" for line in lines]

    def _split(self, texts: list[str], fraction: float) -> tuple[list[str], list[str]]:
        """The texts without a fraction of them, and that fraction: lines drawn by the seed, of running text the end."""
        count = int(len(texts) * fraction)
        if not 0 < count < len(texts):
            raise InputError(
                f"a share of {fraction:g} of {len(texts)} lines is {count} lines, expected at least 1, and 1 left over."
            )
        order = np.arange(len(texts))
        if self.cut == "lines":
            order = np.random.default_rng(self.seed).permutation(order)
        kept, taken = np.sort(order[:-count]), np.sort(order[-count:])
        return [texts[k] for k in kept], [texts[k] for k in taken]

    def _rows(self, texts: list[str]) -> Rows:
        """The sequences of some texts, cut where they are too long."""
        together = texts if self.cut == "lines" else ["".join(texts)]
        encoded = [self.vocabulary_.encode(text, "map").astype(np.int64) for text in together]
        length = self.sequence_length
        return [row[start : start + length] for row in encoded for start in range(0, len(row), length)]

    def _judge(self, rows: Rows) -> tuple[Scores, NDArray[np.int64]]:
        """Scores of every item of some sequences, and the rank of each among the guesses."""
        lengths = np.array([len(row) for row in rows])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        ranks, nats = np.full(starts[-1], -1), 0.0
        for batch in data.in_batches(lengths, max(1, _ITEMS // int(lengths.max()))):
            symbols, steps = data.pad([rows[k] for k in batch])
            known = (symbols >= self._first) & (np.arange(symbols.shape[1]) < steps[:, None])
            places = np.argwhere(known)
            lost, found = self.network_.judge(
                {"symbols": symbols, "lengths": steps, "places": places}, symbols[known] - self._first
            )
            nats += lost
            ranks[starts[batch[places[:, 0]]] + places[:, 1]] = found
        return rank_scores(nats, ranks), ranks

    def _shown(self) -> Rows:
        """The sequences that the final scores are about."""
        if self._held_out is not None:
            return self._held_out
        return next(parts(self._training, _UNHELD))

    def _examples(self, rows: Rows) -> Iterator[tuple[str, str, str]]:
        """Sequences with one known item hidden, the item, and what the network takes it for."""
        drawn = np.random.default_rng(self.seed).permutation(len(rows))
        for number, row in enumerate(rows[k] for k in drawn[:_SHOWN]):
            known = np.flatnonzero(row >= self._first)
            if not len(known):
                continue
            place = int(known[number % len(known)])
            guesses = self._guess(row.copy(), [Blank(place)], 3, None)[0]
            start = max(0, place - _AROUND)
            text = self._spelled(row[start : place + _AROUND + 1], place - start)
            yield text, self._spellings[row[place] - self._first], _told(guesses)

    def _spelled(self, row: NDArray[np.int64], place: int) -> str:
        """The text of a sequence, a blank in one place."""
        decode, space = self.vocabulary_.decode, " " if self.vocabulary_.kind == "word" else ""
        return f"{decode(row[:place])}{space}[ ]{space}{decode(row[place + 1 :])}".strip()

    def _fill(self, text: str, top_k: int, mark: str, candidates: Sequence[str] | None) -> list[Guesses]:
        if mark not in text:
            raise InputError(f"{text!r} holds no blank: mark what is missing with {mark} (--blank MARK).")
        symbols, blanks = read_blanks(text, mark, self.vocabulary_)
        return self._guess(symbols, blanks, top_k, candidates)

    def _guess(
        self, symbols: NDArray[np.int64], blanks: list[Blank], top_k: int, candidates: Sequence[str] | None
    ) -> list[Guesses]:
        read, places = symbols.copy(), np.array([[0, blank.place] for blank in blanks])
        read[places[:, 1]] = self._hidden
        inputs = {"symbols": read[None], "lengths": np.array([len(read)]), "places": places}
        scores = self.network_.arrays(inputs)["scores"].astype(np.float64)
        guesses = []
        for blank, row in zip(blanks, scores, strict=True):
            fitting = self._fitting(blank, candidates)
            likely = np.exp(row[fitting] - row[fitting].max(initial=-np.inf))
            best = np.argsort(-likely, kind="stable")[:top_k]
            texts = (blank.missing(self._spellings[fitting[k]]) for k in best)
            guesses.append(list(zip(texts, (likely[best] / likely.sum()).tolist(), strict=True)))
        return guesses

    def _fitting(self, blank: Blank, candidates: Sequence[str] | None) -> NDArray[np.int64]:
        """The answers that fit a blank."""
        if candidates is None:
            if not blank.before and not blank.after:
                return np.arange(len(self._spellings))
            return np.array([k for k, text in enumerate(self._spellings) if blank.fits(text)], np.int64)
        known = {text: k for k, text in enumerate(self._spellings)}
        wanted = [f"{blank.before}{candidate.strip()}{blank.after}" for candidate in candidates]
        for text in wanted:
            if text not in known:
                raise InputError(
                    f"the candidate {text!r} is no {self.vocabulary_.kind} of the vocabulary, and cannot be judged;"
                    " leave it out."
                )
        return np.array(list(dict.fromkeys(known[text] for text in wanted)), np.int64)


class _Problem:
    """A blank filler as the training loop sees it. Without held-out lines its scores are those of the training."""

    items = "items"

    def __init__(self, task: BlankFiller) -> None:
        from elman import train

        world = train.World.here()
        self._task, self.model = task, task.network_
        self.batches = data.BucketBatches(
            list(map(len, task._training)),
            task.batch_size * world.size,
            seed=task.seed,
            rank=world.rank,
            world=world.size,
        )
        self.score = "train_accuracy" if task._held_out is None else "known_accuracy"

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:
        """Cross-entropy of the known items; what is carried: right guesses and items of the epoch."""
        import torch

        from elman.train.problem import Loss

        rows = [self._task._training[k] for k in batch] or [np.empty(0, np.int64)]
        symbols, lengths = (torch.from_numpy(part).to(self.model.bias.device) for part in data.pad(rows))
        nats, right, count = self.model.count(symbols, lengths)
        seen = torch.stack([right, torch.tensor(count, device=right.device)])
        self._seen = seen if carry is None else carry + seen
        return Loss(nats, count, self._seen)

    def validate(self) -> Scores:
        right, count = self._seen.tolist()
        train = {"train_accuracy": right / max(count, 1)}
        held_out = self._task._held_out
        return train if held_out is None else {**self._task._judge(held_out)[0], **train}

    def sample(self) -> None:
        return None


def _places(length: int) -> NDArray[np.int64]:
    """For each item of a sequence: 0 the first, 2 the last, 1 between; a single item is the first."""
    places = np.ones(length, np.int64)
    places[-1:] = 2
    places[:1] = 0
    return places


def _answer(text: str, mark: str, blanks: list[Guesses]) -> Answer:
    first, *others = text.split(mark)
    filled = first + "".join(
        (guesses[0][0] if guesses else mark) + part for guesses, part in zip(blanks, others, strict=True)
    )
    listed = [[{"text": item, "probability": share} for item, share in guesses] for guesses in blanks]
    told = " | ".join(_told(guesses) for guesses in blanks)
    return Answer(told, {"text": text, "filled": filled, "blanks": listed})


def _told(guesses: Iterable[tuple[str, float]]) -> str:
    words = (f"{item if item.strip() else repr(item)} {share:.3f}" for item, share in guesses)
    return "  ".join(words) or "(no known item fits)"


TASK = BlankFiller

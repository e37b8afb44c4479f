"""How good tags are: of words, of spans, of sentences; and the tags that counting alone would choose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from elman.data.spans import spans
from elman.inspection import Grid, Picture, Section, Text, figure_svg
from elman.tasks._judging import ByClass
from elman.tasks._tag_answers import in_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from elman.nn.crf import Crf

Tags: TypeAlias = Sequence[str | None]

_DRAWN = 40  # tags that a picture has room for
_WORST = 12  # sentences shown


@dataclass
class Judgement:
    """What a tagger made of sentences beside what is true; a word without a tag of its own is not judged.

    words: of each sentence; truth, guess: their tags; known: whether each word is in the vocabulary.
    """

    words: list[Sequence[str]] = field(default_factory=list)
    truth: list[Tags] = field(default_factory=list)
    guess: list[Tags] = field(default_factory=list)
    known: list[Sequence[bool]] = field(default_factory=list)

    def pairs(self) -> Iterable[tuple[str, str, bool]]:
        """True tag, guessed tag and whether the word is known, of every word that is judged."""
        for truth, guess, known in zip(self.truth, self.guess, self.known, strict=True):
            for true, guessed, seen in zip(truth, guess, known, strict=True):
                if true is not None and guessed is not None:
                    yield true, guessed, seen

    def wrong(self) -> list[int]:
        """Words of each sentence with the wrong tag."""
        return [
            sum(true is not None and true != guessed for true, guessed in zip(truth, guess, strict=True))
            for truth, guess in zip(self.truth, self.guess, strict=True)
        ]

    def scores(self, *, of_spans: bool) -> dict[str, float]:
        """Shares of the words, the unknown words and the sentences that are right; precision, recall, F1 of spans.

        Spans are right if kind, first and last word are (conlleval). A score of nothing, such as the unknown words
        where there are none, is left out.
        """
        words, unknown = [0, 0], [0, 0]
        for true, guessed, seen in self.pairs():
            for tally in (words,) if seen else (words, unknown):
                tally[0] += true == guessed
                tally[1] += 1
        found = {"accuracy": words, "unknown_accuracy": unknown}
        scores = {name: right / count for name, (right, count) in found.items() if count}
        scores["sentence_accuracy"] = sum(not wrong for wrong in self.wrong()) / max(1, len(self.truth))
        if of_spans:
            _, counts = self.by_kind()
            right, guessed_spans, true_spans = (
                int(part.sum()) for part in (counts.right, counts.guessed, counts.true)
            )
            scores["span_precision"] = right / max(1, guessed_spans)
            scores["span_recall"] = right / max(1, true_spans)
            scores["span_f1"] = counts.micro_f1()
        return scores

    def by_kind(self) -> tuple[list[str], ByClass]:
        """Kinds of spans, and how many of each are right, guessed and true."""
        right, guessed, true = Counter[str](), Counter[str](), Counter[str]()
        for truth, guess in zip(self.truth, self.guess, strict=True):
            seen = [None if tag is None else other for tag, other in zip(truth, guess, strict=True)]
            one, two = set(spans(truth)), set(spans(seen))
            for counter, found in ((right, one & two), (guessed, two), (true, one)):
                counter.update(span.kind for span in found)
        kinds = sorted({*guessed, *true})
        return kinds, ByClass(
            *(np.array([c[kind] for kind in kinds], np.int64) for c in (right, guessed, true))
        )

    def by_tag(self) -> tuple[list[str], NDArray[np.int64]]:
        """Tags, most frequent first, and counts (true, guessed)."""
        counts = Counter((true, guessed) for true, guessed, _ in self.pairs())
        total = Counter[str]()
        for (true, guessed), count in counts.items():
            total[true] += count
            total[guessed] += 0
        tags = sorted(total, key=lambda tag: (-total[tag], tag))
        places = {tag: place for place, tag in enumerate(tags)}
        matrix = np.zeros((len(tags), len(tags)), np.int64)
        for (true, guessed), count in counts.items():
            matrix[places[true], places[guessed]] = count
        return tags, matrix


class MostFrequent:
    """The baseline: each word's most frequent tag in training, the most frequent of all for an unknown word."""

    def __init__(self, words: Iterable[Sequence[str]], tags: Iterable[Tags]) -> None:
        counts: dict[str, Counter[str]] = {}
        total = Counter[str]()
        for sentence, row in zip(words, tags, strict=True):
            for word, tag in zip(sentence, row, strict=True):
                if tag is not None:
                    counts.setdefault(word, Counter())[tag] += 1
                    total[tag] += 1
        self._usual = _first(total)
        self._tags = {word: _first(found) for word, found in counts.items()}

    def tag(self, sentence: Sequence[str]) -> list[str]:
        return [self._tags.get(word, self._usual) for word in sentence]


def _first(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))


# --- the report


def sections(
    judged: Judgement, tags: Sequence[str], crf: Crf | None, *, of_spans: bool, joint: str
) -> list[Section]:
    """Scores of each tag and kind of span, confusions, the worst sentences, and what a field has learned."""
    names, matrix = judged.by_tag()
    by_tag = ByClass(np.diag(matrix), matrix.sum(0), matrix.sum(1))
    found = [Section("Tags", [_grid("tag", names, by_tag)])]
    if of_spans:
        found.insert(0, Section("Spans", [_grid("kind", *judged.by_kind())]))
    if 1 < len(names) <= _DRAWN:
        found.append(Section("Confusion", [_confusion(names, matrix)]))
    if worst := _worst(judged, joint, of_spans=of_spans):
        found.append(Section("Worst sentences", [worst]))
    if crf is not None and len(tags) <= _DRAWN:
        found.append(Section("Transitions", [_transitions(tags, crf)]))
    return found


def _grid(name: str, names: Sequence[str], counts: ByClass) -> Grid:
    columns = (counts.true, counts.guessed, counts.precision, counts.recall, counts.f1)
    rows = [[who, *row] for who, *row in zip(names, *(c.tolist() for c in columns), strict=True)]
    return Grid([name, "true", "guessed", "precision", "recall", "F1"], rows)


def _worst(judged: Judgement, joint: str, *, of_spans: bool) -> Text | None:
    """The sentences with most words wrong: with their spans, or each wrong word with both its tags."""
    wrong = judged.wrong()
    order = sorted(range(len(wrong)), key=lambda row: -wrong[row])[:_WORST]
    lines = []
    for row in order:
        if not wrong[row]:
            break
        words, truth, guess = judged.words[row], judged.truth[row], judged.guess[row]
        if of_spans:
            found, true = (in_text(words, spans(tags), joint) for tags in (guess, truth))
            lines.append(f"found  {found}\ntrue   {true}")
        else:
            parts = [
                f"[{word} {guessed}, not {true}]" if true is not None and true != guessed else word
                for word, guessed, true in zip(words, guess, truth, strict=True)
            ]
            lines.append(joint.join(parts))
    told = "Those with most words wrong" + (
        "." if of_spans else ": in brackets with the guessed and the true tag."
    )
    return Text(told, "\n\n".join(lines)) if lines else None


def _confusion(names: Sequence[str], matrix: NDArray[np.int64]) -> Picture:
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)

    def draw(axes: Axes) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xlabel("guessed")
        axes.set_ylabel("true")

    return _matrix(names, names, draw, "Share of each true tag (row) that was guessed as each tag (column).")


def _transitions(tags: Sequence[str], crf: Crf) -> Picture:
    """The scores of the field as a picture: from a tag or the begin, to a tag or the end."""
    size = len(tags)
    scores = np.full((size + 1, size + 1), np.nan)
    for place, name in (((0, slice(size)), "begin"), ((slice(1, None), slice(size)), "follow"),
                        ((slice(1, None), size), "end")):  # fmt: skip
        illegal = getattr(crf, f"illegal_{name}")
        scores[place] = getattr(crf, name).detach().masked_fill(illegal, float("nan")).cpu().numpy()
    limit = float(np.nanmax(np.abs(scores)))

    def draw(axes: Axes) -> None:
        image = axes.imshow(scores, cmap="RdBu", vmin=-limit, vmax=limit)
        axes.figure.colorbar(image, ax=axes, shrink=0.7)
        axes.set_xlabel("to")
        axes.set_ylabel("from")

    told = "Scores (nats) of one tag behind another in the conditional random field; white: not legal."
    return _matrix(["begin", *tags], [*tags, "end"], draw, told)


def _matrix(rows: Sequence[str], columns: Sequence[str], draw: object, caption: str) -> Picture:
    from matplotlib.figure import Figure

    assert callable(draw)
    side = 2.0 + 0.26 * len(columns)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize="small")
    axes.set_yticks(range(len(rows)), rows, fontsize="small")
    return Picture(figure_svg(figure), caption)

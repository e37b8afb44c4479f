"""caption: an image in words, symbol by symbol: one-to-many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import Vocabulary, images
from elman.data.extras import extra
from elman.errors import InputError
from elman.inspection import Compared, Inspected, Section
from elman.inspection.inspected import ROWS
from elman.options import option
from elman.runfolder import RunFolder
from elman.tasks import _caption_report as report
from elman.tasks._caption_data import (
    TABLES,
    Array,
    CaptionColumns,
    Captions,
    ChangeOptions,
    ImageOptions,
    Sight,
    listed,
    read_captions,
)
from elman.tasks._caption_problem import CaptionProblem
from elman.tasks._caption_scores import caption_scores, most_frequent, nearest_pictures
from elman.tasks._examples import fingerprint, hold_out, listed_fingerprint
from elman.tasks._inputs import Answer, Unreadable, text_groups
from elman.tasks._options import SymbolOptions
from elman.tasks._task import Data, Scores, Task, sources
from elman.tasks._text_scores import signatures
from elman.tasks._writing import Beam, DecoderOptions, Written, next_symbol_scores, padded, spelled, write

if TYPE_CHECKING:
    import torch

    from elman.nn.decoder import Carried
    from elman.nn.encoder_decoder import EncoderDecoder, Reader
    from elman.nn.picture import Picture

Rows = list[NDArray[np.int64]]

_READ = 64  # images read, or captions written, at once
_JUDGED = 2000  # images that are described for the final scores
_KNOWN = 20_000  # images that the nearest is looked for among
_LONGER = 10  # symbols by which a caption may be longer than the longest of the training
_OF_IMAGES = ("image_size", "channels", "blocks", "shift", "zoom", "turn", "tint", "flip")


@dataclass(kw_only=True)
class Captioner(ImageOptions, ChangeOptions, SymbolOptions, DecoderOptions, Task):
    """Says in words what an image shows: a convolutional encoder, and a decoder that looks at its cells.

    An image is PNG or JPEG, of any size, transparent parts white; or it is given as feature vectors in an .npy file,
    (F,) or (S, F), that another network made of it. With attention the decoder looks at a cell of the image for each
    symbol; without (`attention="none"`) one vector starts it: one-to-many as it is usually drawn. The constructor
    takes the options as keywords (`elman train caption --help` lists them all).

    Attributes, after `fit` or `load`: `vocabulary_`, the symbols written; `sight_`, what is read of a file;
    `network_`, the torch model; and those of `Task`.

    Not covered: encoders trained on other data, images larger than memory all together, films.

    >>> Captioner(image_size="8x64", attention="none").options()["blocks"]
    3
    """

    name: ClassVar[str] = "caption"
    compared: ClassVar[Compared] = Compared("chrf", "", higher_is_better=True)
    predicting: ClassVar[type[Any]] = Beam
    evaluating: ClassVar[type[Any]] = Beam

    hidden_size: int = option(128, "units of each layer, and features of a cell of the image", minimum=1)

    # --- use

    def predict(self, pictures: Sequence[str | Path | Array], **options: Any) -> list[str]:
        """The best caption of each image: a file, or an array (H, W, 3) from 0 to 255; of each row of features
        (F,) or (S, F) where it has learned from these. Options: `beam_size`, `length_penalty` and the other fields of
        `elman predict RUN --help`."""
        return [found[0].text for found in self.search(pictures, **options)]

    def search(self, pictures: Sequence[str | Path | Array], **options: Any) -> list[list[Written]]:
        """The `n_best` captions of each image with their scores, best first; arguments as for `predict`."""
        how = Beam(**options).checked()
        self._fitted()
        if isinstance(pictures, str | Path):
            raise InputError("one image, expected a list of them: predict([...]).")
        return self._write([self.sight_.read(picture) for picture in pictures], how)

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """The caption of each image, of each that a table names, or of the names that come on standard input (`-`).
        What cannot be read is told, and the rest goes on."""
        how = Beam(**options).checked()
        self._fitted()
        for given in inputs:
            try:
                for names in self._asked(given):
                    yield from self._answered(names, how)
            except InputError as error:
                yield _no_answer(given, error)

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores on tables: loss (nats per symbol), perplexity, accuracy of the next symbol, first_word, exact_match,
        chrf, bleu.

        The first three are of the captions given; the others of those written to each different image, beside all
        that are given of it. Options as for `predict`.
        """
        how = Beam(**options).checked()
        self._fitted()
        found, _, _ = read_captions(sources(data), self.columns_, self._size, self.sight_)
        return {**self._losses(found, self._encoded(found.texts)), **self._described(found, how)[0]}

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """The first of some images, or of those that tables name, and the captions that it writes to them."""
        from elman.tasks._inspected_pairs import captions

        names = [name for given in inputs for group in self._asked(given) for name in group][:ROWS]
        if not names:
            raise InputError("nothing to inspect: give an image, or a table of them.")
        seen = [self.sight_.read(name) for name in names]
        found = [texts[0].symbols for texts in self._write(seen, Beam())]
        symbols = [spelled(self.vocabulary_, [k]) for k in range(len(self.vocabulary_))]
        images, grid = ((), (0, 0)) if self.sight_.features is not None else (seen, self._grid)
        return captions(
            self.network_,
            self._seen(seen),
            [_cells(grid) if images else [f"vector {k}" for k in range(len(one))] for one in seen],
            self._told([np.array(row, np.int64) for row in found]),
            [[symbols[k] for k in row] for row in found],
            [*symbols, "(end)"],
            images,
            grid,
        )

    @classmethod
    def remarks(cls) -> list[str]:
        """What must be said beside the scores."""
        return signatures()

    def baselines(self) -> dict[str, Scores]:
        """The caption that is most frequent, and that of the image that is nearest pixel by pixel."""
        asked, known = self._judged_references(), self._training
        wanted = list(asked.values())
        known = known.take(range(0, len(known), -(-len(known) // _KNOWN)))
        nearest = nearest_pictures(known.pictures, [self._judged_part.pictures[row] for row in asked])
        return {
            "most frequent caption": caption_scores(
                [most_frequent(self._training.texts)] * len(wanted), wanted
            ),
            "nearest image": caption_scores([known.texts[row] for row in nearest], wanted),
        }

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """Squares, bars and rings in four colours, on white, at several places."""
        image = extra("PIL.Image", "images", "image")
        rng = np.random.default_rng(0)
        colours = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 70, 220), "black": (0, 0, 0)}
        shapes = {name: np.ones((5, 5), bool) for name in ("square", "bar", "ring")}
        shapes["bar"][:, [0, 1, 3, 4]] = False
        shapes["ring"][1:4, 1:4] = False
        lines = ["image,text\n"]
        for number in range(72):
            colour, shape = list(colours)[number % 4], list(shapes)[number // 4 % 3]
            pixels = np.full((12, 12, 3), 255, np.uint8)
            top, left = rng.integers(0, 8, 2)
            pixels[top : top + 5, left : left + 5][shapes[shape]] = colours[colour]
            image.fromarray(pixels).save(folder / f"shape{number}.png")
            lines.append(f"shape{number}.png,{colour} {shape}\n")
        path = folder / "shapes.csv"
        path.write_text("".join(lines), encoding="utf-8")
        return [path], {"image_size": "12", "channels": 8, "blocks": 2, "embedding": 8}

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        most = (max(images.parse_size(self.image_size)) - 1).bit_length()
        if self.blocks > most:
            raise InputError(
                f"blocks is {self.blocks}, but after {most} an image of {self.image_size} is a single cell; "
                "give fewer, or a larger --image-size."
            )
        if self.sampling_steps != 1000 and not self.scheduled_sampling:
            raise InputError("sampling_steps says when a probability is reached; give --scheduled-sampling.")

    def _prepare(self, given: list[Any]) -> CaptionProblem:
        columns = CaptionColumns(self.image_column, self.text_column)
        found, self.columns_, self.sight_ = read_captions(given, columns, self._size)
        self._check_used()
        if isinstance(self.validation, str):
            self._held, _, _ = read_captions([self.validation], self.columns_, self._size, self.sight_)
        else:
            kept, held = hold_out(found.keys(), [0] * len(found), self.validation, self.seed)
            found, self._held = found.take(kept), found.take(held)
        if self.train_fraction < 1:
            kept, _ = hold_out(found.keys(), [0] * len(found), 1 - self.train_fraction, self.seed + 1)
            found = found.take(kept)
        self._training = found
        listed = self.vocabulary in ("grapheme", "character", "word")
        self.vocabulary_ = self.build_vocabulary(found.texts, unknown=listed)
        self._rows, self._held_rows = self._encoded(found.texts), self._encoded(self._held.texts)
        self._longest = max(map(len, self._rows))
        self.network_ = self._build()
        problem = CaptionProblem(self)
        self._padding = problem.batches.padding
        return problem

    def _facts(self, given: list[Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"captions": fingerprint(given)}
        if isinstance(self.validation, str):
            facts["validation"] = fingerprint([self.validation])
        facts["images"] = listed_fingerprint([*self._training.paths, *self._held.paths], "images")
        return facts | {
            "training_captions": len(self._training),
            "held_out_captions": len(self._held),
            "held_out_images": len(self._held.references()),
            "distinct_symbols": len(self.vocabulary_),
            "longest_caption": self._longest,
            "padding": round(self._padding, 4),
            "scores": "; ".join(signatures()),
        }

    def _save(self, run: RunFolder) -> None:
        self.vocabulary_.save(run.path / "vocabulary.json")
        told = {"columns": self.columns_.values(), "features": self.sight_.features, "longest": self._longest}
        run.write_json("task.json", told)

    def _restore(self, run: RunFolder) -> None:
        where, content = run.path / "task.json", run.read_json("task.json")
        try:
            self.columns_ = CaptionColumns(**content["columns"])
            features, self._longest = content["features"], int(content["longest"])
            if features is not None and not 1 <= int(features) <= images.VECTOR:
                raise ValueError(f"{features} features")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: damaged ({error!r}); restore the file or train again.") from error
        self.sight_ = Sight(*self._size, features)
        self.vocabulary_ = Vocabulary.load(run.path / "vocabulary.json")
        self.network_ = self._with_weights(self._build(), run)

    def _final_scores(self, run: RunFolder) -> Scores:  # noqa: ARG002
        part = self._judged_part
        scores, self._shown = self._described(part, Beam())
        return {**self._losses(part, self._encoded(part.texts)), **scores}

    def _judged(self) -> str:
        if not len(self._held):
            return "images of the training part: nothing was held out"
        asked, count = len(self._held.references()), len(self._judged_references())
        part = "" if count == asked else f"; captions are those written to the first {count:,}"
        return f"{len(self._held):,} held-out captions of {asked:,} images{part}"

    def _sections(self) -> list[Section]:
        asked, part = self._judged_references(), self._judged_part.take(self._judged_references())
        names = [path.name for path in part.paths]
        looks = self._looks(part.pictures, self._shown)
        return report.sections(names, part.pictures, list(asked.values()), self._shown, looks, signatures())

    def _usage(self, run: RunFolder) -> list[str]:
        file = "IMAGE.png" if self.sight_.features is None else "FEATURES.npy"
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint(model.predict(["{file}"]))'
        return [f"elman predict {run.path} {file}", f"elman evaluate {run.path} TABLE", python]

    # --- within

    @property
    def _size(self) -> tuple[int, int]:
        return images.parse_size(self.image_size)

    @property
    def _grid(self) -> tuple[int, int]:
        """Rows and columns of the cells that an image becomes."""
        return cast("Picture", self.network_.encoder).grid

    @property
    def _judged_part(self) -> Captions:
        """The images that scores are of: those held out, or else some of the training."""
        return (
            self._held if len(self._held) else self._training.take(range(min(_JUDGED, len(self._training))))
        )

    def _judged_references(self) -> dict[int, list[str]]:
        """The rows of the judged part whose captions are scored, one for each image, and what they should be."""
        return dict(list(self._judged_part.references().items())[:_JUDGED])

    def _check_used(self) -> None:
        """Options of images would do nothing where there are none."""
        usual = {field.name: field.default for field in fields(self)}
        for name in _OF_IMAGES if self.sight_.features is not None else ():
            if getattr(self, name) != usual[name]:
                raise InputError(
                    f"{name} is for images, but these are feature vectors; leave --{name.replace('_', '-')} out."
                )

    def _build(self) -> EncoderDecoder:
        from torch import nn

        from elman.nn.encoder_decoder import EncoderDecoder
        from elman.nn.picture import Changes, Features, Picture

        reader: Reader
        if self.sight_.features is not None:
            reader = Features(
                self.sight_.features, self.hidden_size, dropout=self.dropout, variational=self.variational
            )
        else:
            reader = Picture(
                *self._size,
                self.hidden_size,
                channels=self.channels,
                blocks=self.blocks,
                dropout=self.dropout,
                variational=self.variational,
                changes=Changes(self.shift, self.zoom, self.turn, self.tint, self.flip),
            )
        embedding = nn.Embedding(len(self.vocabulary_) + 1, self.embedding)
        return EncoderDecoder(self.decoder(embedding, reader.size), reader)

    def _encoded(self, texts: Sequence[str]) -> Rows:
        return [self.vocabulary_.encode(text, "map").astype(np.int64) for text in texts]

    def _asked(self, given: str) -> Iterator[list[str]]:
        """The files that a word of a command line means: those that a table names, or itself."""
        if given == "-":
            yield from text_groups([given], unreadable=True)
        elif given.lower().endswith(TABLES):
            names = [str(path or "") for path in listed(data.read_table(given), self.columns_, given)]
            for start in range(0, len(names), _READ):
                yield names[start : start + _READ]
        else:
            yield [given]

    def _answered(self, names: Sequence[str], how: Beam) -> Iterator[Answer]:
        """The captions of some files, and what is wrong with those that cannot be read."""
        found: list[Array | Answer] = []
        for name in names:
            try:
                if isinstance(name, Unreadable):
                    raise InputError(name)
                found.append(self.sight_.read(name))
            except InputError as error:
                found.append(_no_answer(name, error))
        written = iter(self._write([each for each in found if not isinstance(each, Answer)], how))
        for name, each in zip(names, found, strict=True):
            yield each if isinstance(each, Answer) else _answer(name, next(written))

    def _seen(self, pictures: Sequence[Array]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network reads of some images: all of them, and how many cells or vectors each has."""
        import torch

        device = self.network_.decoder.bias.device
        if self.sight_.features is None:
            cells = torch.full((len(pictures),), math.prod(self._grid), device=device)
            return torch.from_numpy(np.stack(pictures)).to(device), cells
        return padded(pictures, device)

    def _told(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        return padded(rows, self.network_.decoder.bias.device)

    def _begin(self, pictures: Sequence[Array]) -> Carried:
        """The decoder before its first symbol, with these images read."""
        import torch

        with torch.inference_mode():
            return self.network_.begin(*self._seen(pictures))

    def _write(self, pictures: Sequence[Array], how: Beam) -> list[list[Written]]:
        """The captions of images."""
        found: list[list[Written]] = []
        training = self.network_.training
        self.network_.eval()
        limit = how.max_length or self._longest + _LONGER
        for start in range(0, len(pictures), _READ):
            part = pictures[start : start + _READ]
            carried = self._begin(part)
            found += write(self.network_.decoder, carried, [limit] * len(part), self.vocabulary_, how)
        self.network_.train(training)
        return found

    def _losses(self, captions: Captions, rows: Rows) -> Scores:
        given = (
            (*self._seen([captions.pictures[k] for k in batch]), *self._told([rows[k] for k in batch]))
            for batch in data.in_batches(list(map(len, rows)), _READ)
        )
        return next_symbol_scores(self.network_, given)

    def _described(self, captions: Captions, how: Beam) -> tuple[Scores, list[Written]]:
        """Scores of the best captions of the different images, and these."""
        asked = dict(list(captions.references().items())[:_JUDGED])
        found = [texts[0] for texts in self._write([captions.pictures[row] for row in asked], how)]
        return caption_scores([each.text for each in found], list(asked.values())), found

    def _looks(self, pictures: Sequence[Array], found: Sequence[Written]) -> list[report.Look]:
        """Where the decoder looked while it wrote some of the captions."""
        import torch

        looks: list[report.Look] = []
        if self.network_.decoder.attention is None or self.sight_.features is not None:
            return looks
        told = [k for k, written in enumerate(found) if written.whole and written.text.strip()]
        for k in (told[place] for place in report.spread(len(told), report.LOOKED)):
            symbols = found[k].symbols
            with torch.inference_mode():
                _, weights = self.network_(
                    *self._seen([pictures[k]]), *self._told([np.array(symbols, np.int64)])
                )
            pieces = [self.vocabulary_.decode(symbols[: end + 1]) for end in range(len(symbols))]
            words, shares = report.by_word(pieces, weights[0].float().cpu().numpy())
            looks.append(report.Look(pictures[k], words, shares.reshape(-1, *self._grid)))
        return looks


def _cells(grid: tuple[int, int]) -> list[str]:
    """Names of the cells of an image, row by row.

    >>> _cells((1, 2))
    ['row 0, column 0', 'row 0, column 1']
    """
    return [f"row {row}, column {column}" for row in range(grid[0]) for column in range(grid[1])]


def _answer(name: str, found: Sequence[Written]) -> Answer:
    values: dict[str, Any] = {"image": name, **found[0].values()}
    text = found[0].text
    if len(found) > 1:
        values["candidates"] = [each.values() for each in found]
        text = "\n".join(f"{each.score:.4f}\t{each.text}" for each in found)
    return Answer(text, values)


def _no_answer(name: str, error: InputError) -> Answer:
    return Answer("", {"image": name, "problem": str(error)}, problem=str(error))


TASK = Captioner

"""Tables of images and what is said of them; the arrays that a network reads of images, or of feature vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from elman import data
from elman.data import Table, images
from elman.errors import InputError
from elman.options import option

Array: TypeAlias = NDArray[Any]

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_TEXTS = ("text", "caption", "description", "sentence")
_UNNAMED = "no image is named, expected a file; leave the row out."


@dataclass(kw_only=True)
class ImageOptions:
    """Where an image and its text stand in the files, and how images are read."""

    image_column: str | None = option(
        None, "column of the image or .npy files, as seen from the table's folder [one whose names end so]",
        metavar="NAME",
    )  # fmt: skip
    text_column: str | None = option(
        None, "column of the texts that are written [the one it can be]", metavar="NAME"
    )
    image_size: str = option(
        "64", "pixels that images are brought to, HEIGHTxWIDTH or one number for both", metavar="SIZE"
    )
    channels: int = option(32, "channels of the first block of convolutions", minimum=1)
    blocks: int = option(3, "blocks of convolutions; each halves height and width", minimum=1, maximum=8)


@dataclass(kw_only=True)
class ChangeOptions:
    """How images are changed at random in training; what comes in from outside is white."""

    shift: float = option(0.0, "moved by up to this share of height and width", minimum=0, maximum=0.5)
    zoom: float = option(0.0, "made larger or smaller by up to this share", minimum=0, maximum=0.9)
    turn: float = option(0.0, "turned by up to these degrees", minimum=0, maximum=180)
    tint: float = option(
        0.0, "ink of each colour made stronger or weaker by up to this share", minimum=0, maximum=1
    )
    flip: bool = option(False, "every other image is mirrored, left and right")


@dataclass(frozen=True)
class CaptionColumns:
    """The columns of a table that matter; None: not known yet."""

    image: str | None = None
    text: str | None = None

    def values(self) -> dict[str, Any]:
        """The fields, as they are written to a run."""
        return asdict(self)


@dataclass(frozen=True)
class Sight:
    """What is read of a file: an image of height x width, or vectors of `features` features (None: images)."""

    height: int
    width: int
    features: int | None = None

    @classmethod
    def of_file(cls, path: Path, height: int, width: int) -> Sight:
        """As the first file of a training says."""
        found = images.read_features(path).shape[1] if is_features(path) else None
        return cls(height, width, found)

    def read(self, given: str | Path | Array) -> Array:
        """The image (H, W, 3) or the vectors (S, F) of a file or an array; InputError where there is none."""
        if isinstance(given, str) and not given.strip():
            raise InputError(_UNNAMED)
        if not isinstance(given, str | Path):
            if self.features is None:
                return images.as_image(given, self.height, self.width)
            return self._checked(images.as_features(given), "features")
        if is_features(given) != (self.features is not None):
            wanted = "an image" if self.features is None else "feature vectors, an .npy file"
            raise InputError(f"{given}: expected {wanted}, as in training.")
        if self.features is None:
            return images.read_image(given, self.height, self.width)
        return self._checked(images.read_features(given), str(given))

    def _checked(self, vectors: Array, name: str) -> Array:
        if vectors.shape[1] != self.features:
            raise InputError(f"{name}: vectors of {vectors.shape[1]} features, expected {self.features}.")
        return vectors


@dataclass(frozen=True)
class Captions:
    """Images in order: what is said of each, where it stands, its file, and what is read of it."""

    texts: list[str]
    places: list[str]
    paths: list[Path]
    pictures: list[Array]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Iterable[int]) -> Captions:
        """Some of them, in that order."""
        kept = list(rows)
        parts: tuple[list[Any], ...] = (self.texts, self.places, self.paths, self.pictures)
        return Captions(*([part[row] for row in kept] for part in parts))

    def keys(self) -> list[bytes]:
        """Equal for images that look the same."""
        return [hashlib.sha256(picture.tobytes()).digest() for picture in self.pictures]

    def references(self) -> dict[int, list[str]]:
        """The first row of each different image, and all texts of that image."""
        first: dict[bytes, int] = {}
        found: dict[int, list[str]] = {}
        for row, key in enumerate(self.keys()):
            found.setdefault(first.setdefault(key, row), []).append(self.texts[row])
        return found


def read_captions(
    sources: Sequence[Any], columns: CaptionColumns, size: tuple[int, int], sight: Sight | None = None
) -> tuple[Captions, CaptionColumns, Sight]:
    """The rows of some tables (files or dataframes), and how they were found and read.

    Args:
        columns: what is known of the columns; empty fields are filled in with the only possibility there is.
        size: height and width of images.
        sight: what is read of a file; None: as the first of them says.

    Raises:
        InputError: something is missing, ambiguous, empty or damaged, with the line where it stands.
    """
    found = Captions([], [], [], [])
    for source in sources:
        if isinstance(source, str | Path) and (Path(source).is_dir() or is_picture(source)):
            raise InputError(f"{source}: expected a table with a column of image files and one of texts.")
        table = data.read_table(source)
        columns = _resolved(table, columns)
        found.texts.extend(_texts(table, str(columns.text)))
        for row, path in enumerate(listed(table, columns, source)):
            found.places.append(table.where(row))
            try:
                if path is None:
                    raise InputError(_UNNAMED)
                sight = sight or Sight.of_file(path, *size)
                found.pictures.append(sight.read(path))
                found.paths.append(path)
            except InputError as error:
                raise InputError(f"{table.where(row)}: {error}") from error
    if sight is None:
        raise InputError("no data given, expected a table with a column of image files and one of texts.")
    return found, columns, sight


def listed(table: Table, columns: CaptionColumns, source: Any) -> Iterator[Path | None]:
    """The file that each row of a table names, seen from the table's folder; None where it names nothing."""
    folder = Path(source).parent if isinstance(source, str | Path) else Path()
    for name in table.column(str(columns.image), "image_column"):
        yield folder / str(name) if name else None


def is_picture(source: Any) -> bool:
    """Whether a name is that of an image or of features."""
    return str(source).lower().endswith((*images.SUFFIXES, images.FEATURES))


def is_features(source: Any) -> bool:
    """Whether a name is that of a file of feature vectors."""
    return str(source).lower().endswith(images.FEATURES)


def _texts(table: Table, column: str) -> list[str]:
    texts = [" ".join(str(text or "").split()) for text in table.column(column, "text_column")]
    for row, text in enumerate(texts):
        if not text:
            raise InputError(
                f"{table.where(row)}: the text is empty, expected what the image shows; leave the row out."
            )
    return texts


def _resolved(table: Table, columns: CaptionColumns) -> CaptionColumns:
    """The columns with their empty fields filled in; InputError where there are several possibilities, or none."""
    if columns.image is None:
        named = {name: [value for value in values if value] for name, values in table.columns.items()}
        found = [name for name, values in named.items() if values and all(map(is_picture, values))]
        columns = replace(columns, image=_only(table, found, "names the images", "image"))
    if columns.text is None:
        others = [name for name in table.columns if name != columns.image]
        found = [name for name in others if name.lower() in _TEXTS] or others
        columns = replace(columns, text=_only(table, found, "holds the texts", "text"))
    return columns


def _only(table: Table, found: Sequence[str], what: str, option: str) -> str:
    if len(found) != 1:
        raise InputError(
            f"{table.name}: which column {what}? Say --{option}-column NAME; "
            f"there are {', '.join(map(repr, table.columns))}."
        )
    return found[0]

"""Tables of sounds and what is said in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from elman import data
from elman.data import Table, audio
from elman.errors import InputError

_TEXTS = ("text", "transcript", "transcription", "sentence")


@dataclass(frozen=True)
class RecordingColumns:
    """The columns of a table that matter; None: not known yet."""

    audio: str | None = None
    text: str | None = None
    group: str | None = None

    def values(self) -> dict[str, Any]:
        """The fields, as they are written to a run."""
        return asdict(self)


@dataclass(frozen=True)
class Recordings:
    """Sounds in order: their files, what is said in them (blanks joined), where each stands, and who speaks."""

    columns: RecordingColumns
    paths: list[Path]
    texts: list[str]
    places: list[str]
    groups: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Iterable[int]) -> Recordings:
        """Some of them, in that order."""
        rows = list(rows)

        def part(values: list[Any]) -> list[Any]:
            return [values[row] for row in rows]

        groups = None if self.groups is None else part(self.groups)
        return Recordings(self.columns, part(self.paths), part(self.texts), part(self.places), groups)

    def keys(self) -> list[Any]:
        """Equal for sounds that must not be divided between what is learned and what is held out."""
        if self.groups is not None:
            return self.groups
        return [hashlib.sha256(path.read_bytes()).digest() for path in self.paths]

    def sounds(self, rate: int | None = None) -> list[audio.Sound]:
        """All sounds, at the rate of the first or another one; InputError tells the row of one that is not readable."""
        found: list[audio.Sound] = []
        for path, place in zip(self.paths, self.places, strict=True):
            try:
                found.append(audio.read_sound(path, rate or (found[0].rate if found else None)))
            except InputError as error:
                raise InputError(f"{place}: {error}") from error
        return found


def read_recordings(sources: Sequence[Any], columns: RecordingColumns, *, texts: bool = True) -> Recordings:
    """The rows of some tables (files or dataframes); names of sounds are seen from the folder of their table.

    Args:
        columns: what is known of the columns; empty fields are filled in with the only possibility there is.
        texts: whether the texts are read; None of them may be empty.

    Raises:
        InputError: something is missing, ambiguous or damaged.
    """
    paths: list[Path] = []
    said: list[str] = []
    places: list[str] = []
    groups: list[Any] = []
    for source in sources:
        if isinstance(source, str | Path) and (Path(source).is_dir() or is_sound(source)):
            raise InputError(f"{source}: expected a table with a column of sound files and one of texts.")
        table = data.read_table(source)
        columns = _resolved(table, columns, texts)
        folder = Path(source).parent if isinstance(source, str | Path) else Path()
        for row, name in enumerate(table.column(str(columns.audio), "audio_column")):
            if not name:
                raise InputError(
                    f"{table.where(row)}: no sound is named, expected a file; leave the row out."
                )
            paths.append(folder / str(name))
            places.append(table.where(row))
        if texts:
            said += _texts(table, str(columns.text))
        if columns.group is not None and texts:
            groups += table.column(columns.group, "group_column")
    return Recordings(columns, paths, said, places, groups or None)


def is_sound(source: Any) -> bool:
    """Whether a name is that of a sound file."""
    return str(source).lower().endswith(audio.SUFFIXES)


def joined(text: str) -> str:
    """The text with one blank between two words and none at its ends."""
    return " ".join(text.split())


def _texts(table: Table, column: str) -> list[str]:
    found = []
    for row, text in enumerate(table.column(column, "text_column")):
        found.append(joined("" if text is None else str(text)))
        if not found[-1]:
            raise InputError(
                f"{table.where(row)}: the text is empty, expected what is said; leave the row out."
            )
    return found


def _resolved(table: Table, columns: RecordingColumns, texts: bool) -> RecordingColumns:
    """The columns with their empty fields filled in; InputError where there are several possibilities, or none."""
    if columns.audio is None:
        sounds = [name for name, values in table.columns.items() if all(map(is_sound, values))]
        if len(sounds) != 1:
            raise InputError(
                f"{table.name}: which column names the sound files? Say --audio-column NAME; "
                f"there are {', '.join(map(repr, table.columns))}."
            )
        columns = replace(columns, audio=sounds[0])
    if columns.text is None and texts:
        others = [name for name in table.columns if name not in (columns.audio, columns.group)]
        known = [name for name in others if name.lower() in _TEXTS] or others
        if len(known) != 1:
            raise InputError(
                f"{table.name}: which column holds the texts? Say --text-column NAME; "
                f"there are {', '.join(map(repr, table.columns))}."
            )
        columns = replace(columns, text=known[0])
    return columns

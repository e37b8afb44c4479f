"""Examples of many-to-one tasks: texts, sequences of numbers or sounds, each with what is said of it, from any file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import Table, audio, sequences
from elman.errors import InputError
from elman.options import option

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
KINDS = ("text", "numbers", "audio")
TEXTS = ("text", "sentence", "document", "review", "content", "message", "comment", "question", "name")
TARGETS = ("label", "class", "category", "target", "y")


@dataclass(kw_only=True)
class ExampleOptions:
    """Where an example and what is said of it stand in the files."""

    text_column: str | None = option(
        None, "column of the texts in a table [the one it can be]", metavar="NAME"
    )
    audio_column: str | None = option(
        None, "column of the sound files, as seen from the table's folder [one whose names end in .wav, ...]",
        metavar="NAME",
    )  # fmt: skip
    id_column: str | None = option(
        None, "column that says which rows are the steps of one sequence of numbers []", metavar="NAME"
    )
    feature_columns: str | None = option(
        None, "columns of numbers, separated by commas [all that are not named otherwise]", metavar="NAMES"
    )
    group_column: str | None = option(
        None, "column of who or what an example comes from: a group is held out whole or not at all []",
        metavar="NAME",
    )  # fmt: skip

    distinct: bool = option(False, "equal examples (input and target) are learned and judged once")


@dataclass(frozen=True)
class Columns:
    """What is read: the kind of the examples, and the columns of a table that matter; None: not known yet."""

    kind: str | None = None
    text: str | None = None
    audio: str | None = None
    id: str | None = None
    features: tuple[str, ...] = ()
    group: str | None = None
    target: str | None = None
    target_option: str = "label_column"

    def values(self) -> dict[str, Any]:
        """The fields, as they are written to a run."""
        return asdict(self)


@dataclass(frozen=True)
class Examples:
    """Examples in order.

    Attributes:
        columns: how they were found: what more files are read by.
        inputs: texts, arrays (t, F), or paths of sound files.
        targets: what is said of each, as it stands in the file; None where nothing was asked.
        places: where each stands, for messages.
        groups: who each comes from, where a column says so.
    """

    columns: Columns
    inputs: list[Any]
    targets: list[Any] | None
    places: list[str]
    groups: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: Iterable[int]) -> Examples:
        """Some of them, in that order."""
        rows = list(rows)

        def part(values: list[Any] | None) -> Any:
            return None if values is None else [values[row] for row in rows]

        return Examples(
            self.columns, part(self.inputs), part(self.targets), part(self.places), part(self.groups)
        )

    def keys(self) -> list[Any]:
        """Equal for examples that must not be divided between what is learned and what is held out."""
        return self._contents() if self.groups is None else self.groups

    def once(self) -> Examples:
        """Without those whose input and target have come before."""
        targets = ["" if target is None else str(target) for target in self.targets or [""] * len(self)]
        rows: dict[Any, int] = {}
        for row, pair in enumerate(zip(self._contents(), targets, strict=True)):
            rows.setdefault(pair, row)
        return self.take(rows.values())

    def _contents(self) -> list[Any]:
        return [_content(value) for value in self.inputs]


def read_examples(sources: Sequence[Any], columns: Columns, *, targets: bool = True) -> Examples:
    """All examples of some files, folders or dataframes.

    A table (.csv, .tsv, .jsonl, .parquet, any other file, a dataframe) has a text, a sound file or a step of a sequence
    in each row; an .npz file sequences of numbers (`data.sequences`). A folder has either one .txt file for each class,
    whose lines are the examples; or one folder of sound files for each class; or sound files named CLASS_....wav, as a
    sound file by itself is.

    Args:
        sources: one or several, all of one kind.
        columns: what is known of the columns; empty fields are filled in with the only possibility there is.
        targets: whether examples without anything said of them are refused.

    Raises:
        InputError: something is missing, ambiguous or damaged.
    """
    if not sources:
        raise InputError("no data given, expected files, a folder or a dataframe.")
    tables = [source for source in sources if _is_table(source)]
    if tables and len(tables) == len(sources):
        return _table(data.read_tables(tables), _folder(tables), columns, targets)
    parts: list[Examples] = []
    for source in sources:
        read = _read_source(source, columns, targets)
        if parts and read.columns.kind != parts[0].columns.kind:
            raise InputError(
                f"{source}: {read.columns.kind}, but {parts[0].columns.kind} before; give one kind."
            )
        parts.append(read)
    first = parts[0]
    if len(parts) == 1:
        return first
    return Examples(
        first.columns,
        [value for part in parts for value in part.inputs],
        [value for part in parts for value in part.targets or ()] if first.targets is not None else None,
        [place for part in parts for place in part.places],
    )


def hold_out(
    keys: Sequence[Any], strata: Sequence[Any], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to keep and rows to hold out: `fraction` of the distinct keys, as many of every stratum, at random.

    Rows of one key stay together; one that stands in several strata belongs to the rarest. Each side gets at least one.

    >>> kept, held = hold_out(["a", "b", "a", "c", "d"], [0, 0, 0, 1, 1], 0.5, seed=0)
    >>> len(held) in (2, 3), set(kept) | set(held) == set(range(5))
    (True, True)
    """
    first: dict[Any, int] = {}
    units = np.array([first.setdefault(key, len(first)) for key in keys])
    count = len(first)
    held_count = min(max(1, round(fraction * count)), count - 1)
    if fraction <= 0 or count < 2:
        return np.arange(len(keys)), np.empty(0, np.int64)
    frequency = Counter(strata)
    rarest = sorted(frequency, key=lambda stratum: (frequency[stratum], str(stratum)))
    names = {stratum: place for place, stratum in enumerate(rarest)}
    stratum = np.full(count, len(names))
    np.minimum.at(stratum, units, [names[each] for each in strata])
    rng = np.random.default_rng((seed, 1))
    shuffled = rng.permutation(count)
    order = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    chosen = order[((np.arange(held_count) + rng.random()) * count / held_count).astype(np.int64)]
    held = np.isin(units, chosen)
    return np.flatnonzero(~held), np.flatnonzero(held)


def fingerprint(sources: Iterable[Any]) -> dict[str, Any]:
    """Name, size and SHA-256 of each source; a folder as one, of all its files."""
    return {
        "files": [
            _folder_fingerprint(Path(s)) if _is_folder(s) else data.table_fingerprint(s) for s in sources
        ]
    }


def listed_fingerprint(paths: Iterable[Path], what: str) -> dict[str, Any]:
    """The files that a table names, as one; what they are, in the plural."""
    paths = list(paths)
    return {"files": [_digest(f"{len(paths)} {what}", paths)]}


# --- kinds of sources


def _is_table(source: Any) -> bool:
    if not isinstance(source, str | Path):
        return True
    return not _is_folder(source) and Path(source).suffix.lower() not in (".npz", *audio.SUFFIXES)


def _is_folder(source: Any) -> bool:
    return isinstance(source, str | Path) and Path(source).is_dir()


def _folder(sources: Sequence[Any]) -> Path:
    first = sources[0]
    return Path(first).parent if isinstance(first, str | Path) else Path()


def _read_source(source: Any, columns: Columns, targets: bool) -> Examples:
    if _is_table(source):
        return _table(data.read_table(source), _folder([source]), columns, targets)
    path = Path(source)
    if columns.group is not None:
        raise InputError(f"{path}: group_column names a column, but this is no table; leave it out.")
    if path.is_dir():
        return _class_folder(path, columns)
    if path.suffix.lower() == ".npz":
        inputs, y = sequences.read_npz(path, targets)
        places = [f"{path}: sequence {number + 1}" for number in range(len(inputs))]
        return Examples(_of_kind(columns, "numbers", path), list(inputs), y, places)
    return _sounds([path], [_name_label(path)] if targets else None, columns, path)


def _of_kind(columns: Columns, kind: str, where: Any) -> Columns:
    if columns.kind not in (None, kind):
        raise InputError(f"{where}: {kind}, expected {columns.kind}, as the model was trained on.")
    return replace(columns, kind=kind)


def _sounds(paths: list[Path], targets: list[Any] | None, columns: Columns, where: Any) -> Examples:
    return Examples(_of_kind(columns, "audio", where), list(paths), targets, [str(path) for path in paths])


def _class_folder(folder: Path, columns: Columns) -> Examples:
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    direct = [path for path in inside if path.suffix.lower() in audio.SUFFIXES]
    if direct:
        return _sounds(direct, [_name_label(path) for path in direct], columns, folder)
    below = [
        path
        for part in inside
        if part.is_dir()
        for path in sorted(part.rglob("*"))
        if path.suffix.lower() in audio.SUFFIXES
    ]
    if below:
        return _sounds(below, [path.relative_to(folder).parts[0] for path in below], columns, folder)
    texts = [path for path in inside if path.suffix.lower() == ".txt"]
    if not texts:
        raise InputError(
            f"{folder}: expected CLASS.txt files with one example a line, folders of sound files, one for each class,"
            " or sound files named CLASS_....wav."
        )
    rows = [(line, path.stem, f"{path}:{number}") for path in texts for number, line in _lines(path)]
    lines, labels, places = map(list, zip(*rows, strict=True))
    return Examples(_of_kind(columns, "text", folder), lines, labels, places)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    lines = (line for block in data.read_blocks([path]) for line in block.splitlines())
    return ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())


def _name_label(path: Path) -> str:
    label, mark, _ = path.stem.partition("_")
    if not mark or not label:
        raise InputError(
            f"{path}: no class in the name, expected CLASS_....wav, a folder for each class, or a table of files."
        )
    return label


# --- tables


def _table(table: Table, folder: Path, columns: Columns, targets: bool) -> Examples:
    columns = _resolved(table, columns, targets)
    groups = None if columns.group is None else table.column(columns.group, "group_column")
    places = [table.where(row) for row in range(len(table))]
    target = columns.target if targets else None
    if columns.kind == "numbers":
        if columns.id is None:
            raise InputError(f"{table.name}: say with --id-column which rows are the steps of one sequence.")
        inputs, found, firsts = sequences.read_steps(table, columns.id, columns.features, target)
        groups = None if groups is None else [groups[row] for row in firsts]
        return Examples(columns, list(inputs), found, [places[row] for row in firsts], groups)
    found = None if target is None else table.column(target, columns.target_option)
    if columns.kind == "audio":
        files = [folder / str(name) for name in table.column(str(columns.audio), "audio_column")]
        return Examples(columns, list(files), found, places, groups)
    texts = ["" if text is None else str(text) for text in table.column(str(columns.text), "text_column")]
    return Examples(columns, list(texts), found, places, groups)


def _resolved(table: Table, columns: Columns, targets: bool) -> Columns:
    """The columns with their empty fields filled in; InputError where there are several possibilities, or none."""
    if columns.target is None and targets:
        columns = replace(columns, target=_target(table, columns))
    named = {columns.target, columns.group, columns.id, columns.text, columns.audio}
    others = [name for name in table.columns if name not in named]
    if columns.id is not None:
        features = columns.features or tuple(others)
        return replace(_of_kind(columns, "numbers", table.name), features=features)
    if columns.audio is None and columns.text is None and columns.kind != "text":
        sounds = [name for name in others if _names_sounds(table.columns[name])]
        if len(sounds) == 1:
            columns = replace(columns, audio=sounds[0])
    if columns.audio is not None:
        return _of_kind(columns, "audio", table.name)
    if columns.text is None:
        columns = replace(columns, text=_text(table, others))
    return _of_kind(columns, "text", table.name)


def _target(table: Table, columns: Columns) -> str:
    known = [name for name in table.columns if name.lower() in TARGETS]
    if len(known) != 1:
        flag = columns.target_option.replace("_", "-")
        raise InputError(
            f"{table.name}: which column is to be learned? Say --{flag} NAME; "
            f"there are {', '.join(map(repr, table.columns))}."
        )
    return known[0]


def _text(table: Table, others: Sequence[str]) -> str:
    known = [name for name in others if name.lower() in TEXTS] or list(others)
    if len(known) != 1:
        raise InputError(
            f"{table.name}: which column holds the texts? Say --text-column NAME (or --audio-column, or --id-column for"
            f" sequences of numbers); there are {', '.join(map(repr, table.columns))}."
        )
    return known[0]


def _names_sounds(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) and value.lower().endswith(audio.SUFFIXES) for value in values)


# --- content


def _content(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Path):
        return hashlib.sha256(value.read_bytes()).digest() if value.is_file() else value
    return hashlib.sha256(np.asarray(value).tobytes()).digest() + str(value.shape).encode()


def _folder_fingerprint(folder: Path) -> dict[str, Any]:
    return _digest(folder.name, sorted(path for path in folder.rglob("*") if path.is_file()))


def _digest(name: str, paths: Sequence[Path]) -> dict[str, Any]:
    found = [data.table_fingerprint(path) for path in paths]
    digest = hashlib.sha256("".join(f"{one['name']}\0{one['sha256']}\n" for one in found).encode())
    return {"name": name, "size": sum(one["size"] for one in found), "sha256": digest.hexdigest()}

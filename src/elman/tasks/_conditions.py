"""What a text is written from: labels, numbers and vectors in columns of a table, together one vector."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elman.data.images import FEATURES, read_features
from elman.data.tables import MISSING
from elman.errors import InputError
from elman.settings import nearest

Floats: TypeAlias = NDArray[np.float32]

_TOLD = 20  # labels named in a message
_SIZE = 1 << 16  # features of a run's conditions, at most


@dataclass(frozen=True)
class Label:
    """One of several names: 1 in its place, 0 elsewhere."""

    names: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def words(self) -> int:
        """How many words of a command line tell it."""
        return 1

    def vector(self, value: Any, where: str) -> Floats:
        """InputError for a name that was not there in training."""
        name = str(value).strip()
        if name not in self.names:
            known = ", ".join(self.names[:_TOLD]) + (", ..." if len(self.names) > _TOLD else "")
            raise InputError(
                f"{where}: the condition {name!r} was not there in training, which knows {known}."
                f"{nearest(name, self.names)}"
            )
        return np.array([each == name for each in self.names], np.float32)


@dataclass(frozen=True)
class Numbers:
    """A number, or several, so scaled that over the training part each has mean 0 and deviation 1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, rows: NDArray[np.float64]) -> Self:
        """As they lie in rows (N, F)."""
        deviation = rows.std(0)
        return cls(tuple(rows.mean(0).tolist()), tuple(np.where(deviation > 0, deviation, 1.0).tolist()))

    @property
    def size(self) -> int:
        return len(self.mean)

    @property
    def words(self) -> int:
        """How many words of a command line tell them."""
        return len(self.mean)

    def vector(self, value: Any, where: str) -> Floats:
        """InputError for another number of numbers, or none."""
        found = _numbers(value, where)
        if found is None:
            raise InputError(f"{where}: the condition {value!r}, expected {_counted(self.size)}.")
        if len(found) != self.size:
            raise InputError(f"{where}: the condition has {len(found)} numbers, expected {self.size}.")
        return np.asarray((found - self.mean) / self.deviation, np.float32)


@dataclass(frozen=True)
class Conditions:
    """The columns a text is written from, and what each is; the vector is theirs side by side.

    A column of numbers is a number, one of lists of numbers or of .npy files a vector, any other one a label.

    >>> rows = {"language": ["ko", "fr", "ko"], "year": ["1990", "2000", "2010"]}
    >>> conditions = Conditions.learn(rows, ["names:1", "names:2", "names:3"])
    >>> conditions.read("fr,2000").tolist(), conditions.told()
    ([1.0, 0.0, 0.0], ['language: 2 labels', 'year: a number'])
    """

    columns: tuple[str, ...]
    parts: tuple[Label | Numbers, ...]

    @classmethod
    def learn(cls, columns: Mapping[str, Sequence[Any]], places: Sequence[str]) -> Self:
        """Of the columns of the training part; places: where each row stands, for messages.

        Raises InputError for an empty cell, a number that is missing, vectors of several lengths, and labels of which
        each row has its own.
        """
        return cls(tuple(columns), tuple(_learned(name, values, places) for name, values in columns.items()))

    @property
    def size(self) -> int:
        """F, features of the vector."""
        return sum(part.size for part in self.parts)

    def encode(self, columns: Mapping[str, Sequence[Any]], places: Sequence[str]) -> Floats:
        """Vectors (N, F) of rows."""
        found = np.empty((len(places), self.size), np.float32)
        start = 0
        for name, part in zip(self.columns, self.parts, strict=True):
            for row, (value, where) in enumerate(zip(columns[name], places, strict=True)):
                found[row, start : start + part.size] = part.vector(value, where)
            start += part.size
        return found

    def read(self, given: Any) -> Floats:
        """The vector (F,) of a condition that is told: a text with commas between its values, as on the command line, a
        mapping by column, or the value of the only column."""
        if given is None:
            raise InputError(f"texts are written from {self}: say which with condition (--condition).")
        if isinstance(given, str):
            values = self._split(given)
        elif isinstance(given, Mapping):
            if set(given) != set(self.columns):
                raise InputError(f"the condition has {', '.join(map(repr, given))}, expected {self}.")
            values = [given[name] for name in self.columns]
        elif len(self.parts) > 1:
            raise InputError(f"the condition {given!r} is one value, expected {self}.")
        else:
            values = [given]
        vectors = (
            part.vector(value, name)
            for value, part, name in zip(values, self.parts, self.columns, strict=True)
        )
        return np.concatenate(list(vectors))

    def told(self) -> list[str]:
        """Each column and what it is, in words."""
        return [
            f"{name}: {f'{part.size} labels' if isinstance(part, Label) else _counted(part.size)}"
            for name, part in zip(self.columns, self.parts, strict=True)
        ]

    def keys(self, columns: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
        """The labels of each row, empty where no column holds labels."""
        labels = [
            name for name, part in zip(self.columns, self.parts, strict=True) if isinstance(part, Label)
        ]
        return [
            tuple(str(columns[name][row]).strip() for name in labels)
            for row in range(len(columns[self.columns[0]]))
        ]

    def typical(self) -> dict[str, Any]:
        """A condition, by column: the first label, numbers at their mean."""
        return {
            name: part.names[0] if isinstance(part, Label) else part.mean
            for name, part in zip(self.columns, self.parts, strict=True)
        }

    def example(self) -> str:
        """A condition as it is told on the command line."""
        words: list[str] = []
        for value in self.typical().values():
            words += [value] if isinstance(value, str) else [f"{mean:.6g}" for mean in value]
        if len(self.parts) == 1:
            return ",".join(words)
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(words)
        return line.getvalue()[:-1]

    def spread(self, most: int) -> Floats:
        """Vectors (N, F), N at most `most`: one of each label, with numbers at their mean."""
        kinds = [part.size for part in self.parts if isinstance(part, Label)]
        found = np.zeros((min(most, max(kinds, default=1)), self.size), np.float32)
        start = 0
        for part in self.parts:
            if isinstance(part, Label):
                rows = np.arange(len(found))
                found[rows, start + rows % part.size] = 1
            start += part.size
        return found

    def values(self) -> dict[str, Any]:
        """What is written to a run."""
        return asdict(self)

    @classmethod
    def restored(cls, values: Mapping[str, Any]) -> Self:
        """What `values` gave; raises KeyError, TypeError or ValueError for anything else."""
        parts = tuple(_restored(part) for part in values["parts"])
        found = cls(tuple(map(str, values["columns"])), parts)
        if len(found.columns) != len(parts) or not 0 < found.size <= _SIZE:
            raise ValueError(f"{len(found.columns)} columns, {len(parts)} parts of {found.size} features")
        return found

    def __str__(self) -> str:
        return ", ".join(map(repr, self.columns))

    def _split(self, text: str) -> list[Any]:
        """The values in a text: a label is one of its words, a vector an .npy file or as many as it has numbers."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Label):
            return [text]  # whatever commas it holds
        try:
            found = next(csv.reader(io.StringIO(text, newline=""), skipinitialspace=True), [])
        except csv.Error as error:
            raise InputError(f"the condition {text!r} cannot be read ({error}), expected {self}.") from error
        words = [word.strip() for word in found]
        values: list[Any] = []
        for part in self.parts:
            if not words:
                raise InputError(f"the condition {text!r} has too few values, expected {self}.")
            count = 1 if words[0].endswith(FEATURES) else part.words
            values.append(words[0] if count == 1 else words[:count])
            words = words[count:]
        if words:
            raise InputError(f"the condition {text!r} has too many values, expected {self}.")
        return values


def _learned(name: str, values: Sequence[Any], places: Sequence[str]) -> Label | Numbers:
    found = [_numbers(value, where) for value, where in zip(values, places, strict=True)]
    absent = [_absent(value) for value in values]
    if any(row is not None for row in found) and all(
        row is not None or gone for row, gone in zip(found, absent, strict=True)
    ):
        return _scaled(name, [row for row in found if row is not None], absent, places)
    for value, where in zip(values, places, strict=True):
        if value is None or not str(value).strip():
            raise InputError(f"{where}: the condition {name!r} is empty; fill it in or leave the row out.")
    names = sorted({str(value).strip() for value in values})
    if len(names) >= len(values):
        raise InputError(
            f"column {name!r}: {len(names)} labels in {len(values)} rows: there is nothing to learn from. Is it the"
            " right column?"
        )
    return Label(tuple(names))


def _scaled(
    name: str, rows: Sequence[NDArray[np.float64]], absent: Sequence[bool], places: Sequence[str]
) -> Numbers:
    if any(absent):
        raise InputError(
            f"{places[absent.index(True)]}: the condition {name!r} is missing, expected"
            f" {_counted(len(rows[0]))}; fill it in or leave the row out."
        )
    for row, where in zip(rows, places, strict=True):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{where}: the condition {name!r} has {len(row)} numbers, expected {len(rows[0])} as before."
            )
    return Numbers.of(np.stack(rows))


def _absent(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and value.strip().lower() in MISSING)
    )


def _numbers(value: Any, where: str) -> NDArray[np.float64] | None:
    """The finite numbers that a value is, or an .npy file holds; None for anything else."""
    if isinstance(value, str | Path) and str(value).endswith(FEATURES):
        try:
            found = read_features(value)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        if len(found) > 1:
            raise InputError(f"{where}: {value} holds {len(found)} vectors, expected one.")
        return np.asarray(found[0], np.float64)
    if isinstance(value, str) and "_" in value:  # 1_000 is a number to Python alone
        return None
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    try:
        numbers = [float(each) for each in (value if several else [value])]
    except (TypeError, ValueError):
        return None
    return np.array(numbers) if numbers and all(map(math.isfinite, numbers)) else None


def _restored(values: Mapping[str, Any]) -> Label | Numbers:
    if "names" in values:
        names = tuple(values["names"])
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a label is no text")
        return Label(names)
    mean, deviation = (tuple(float(number) for number in values[key]) for key in ("mean", "deviation"))
    if len(mean) != len(deviation) or not all(0 < number < math.inf for number in deviation):
        raise ValueError("mean and deviation are no such thing")
    return Numbers(mean, deviation)


def _counted(count: int) -> str:
    return "a number" if count == 1 else f"{count} numbers"

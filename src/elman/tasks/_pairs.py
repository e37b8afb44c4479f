"""Pairs of texts, a source and its target, from tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from elman import data
from elman.data import Table
from elman.errors import InputError
from elman.options import option
from elman.tasks._examples import hold_out


@dataclass(kw_only=True)
class PairOptions:
    """Where a source and its target stand in the files."""

    source_column: str | None = option(
        None, "column that is read [the first of two, or the other one]", metavar="NAME"
    )
    target_column: str | None = option(
        None, "column that is written [the second of two, or the other one]", metavar="NAME"
    )
    header: bool = option(True, "the first line of a CSV or TSV names its columns; else they are 1, 2, ...")


@dataclass(frozen=True)
class Pairs:
    """Sources and targets in order, and where each pair stands, for messages."""

    sources: list[str]
    targets: list[str]
    places: list[str]

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: Iterable[int]) -> Pairs:
        """Some of them, in that order."""
        kept = list(rows)
        parts = (self.sources, self.targets, self.places)
        return Pairs(*([part[row] for row in kept] for part in parts))

    def split(self, fraction: float, seed: int) -> tuple[Pairs, Pairs]:
        """The pairs without a share of the different sources, and that share: all targets of a source on one side."""
        kept, held = hold_out(self.sources, [0] * len(self), fraction, seed)
        return self.take(kept), self.take(held)

    def references(self) -> dict[str, list[str]]:
        """All targets of each source."""
        found: dict[str, list[str]] = {}
        for source, target in zip(self.sources, self.targets, strict=True):
            found.setdefault(source, []).append(target)
        return found


def read_pairs(
    given: Sequence[Any], source: str | None, target: str | None, *, header: bool
) -> tuple[Pairs, str, str]:
    """The pairs of CSV, TSV, JSON Lines and Parquet files or dataframes, and the names of the columns they stand in.

    Raises:
        InputError: a file or a column is missing, it is not clear which column is meant, a line has another number of
            columns, or one side of a pair is empty (with its line).
    """
    pairs = Pairs([], [], [])
    for each in given:
        table = data.read_table(each, header=header)
        source, target = _columns(table, source, target)
        for name, side in ((source, pairs.sources), (target, pairs.targets)):
            side += _texts(table, name, "source_column" if side is pairs.sources else "target_column")
        pairs.places.extend(table.where(row) for row in range(len(table)))
    if source is None or target is None:
        raise InputError("no data given, expected a table of pairs: TSV, CSV, JSON Lines or Parquet.")
    return pairs, source, target


def _texts(table: Table, name: str, option: str) -> list[str]:
    """A column of texts without blanks around them, none of them empty."""
    texts = table.texts(name, option)
    for row, text in enumerate(texts):
        if not text:
            raise InputError(
                f"{table.where(row)}: column {name!r} is empty, expected text on both sides of a pair; fill it in or"
                " take the line out."
            )
    return texts


def _columns(table: Table, source: str | None, target: str | None) -> tuple[str, str]:
    names = list(table.columns)
    if len(names) == 2 and (source is None or target is None):
        source = source or next(name for name in names if name != target)
        target = target or next(name for name in names if name != source)
    if source is None or target is None:
        missing = "source" if source is None else "target"
        raise InputError(
            f"{table.name}: which column is the {missing}? Say --{missing}-column NAME; there are "
            f"{', '.join(map(repr, names))} (--no-header: the first line is a pair, and columns are 1, 2, ...)."
        )
    return source, target

"""Tables in, columns out: CSV, TSV, JSON Lines, Parquet, or a dataframe of any library."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.extras import extra
from elman.data.files import file_fingerprint, read_lines
from elman.errors import InputError
from elman.settings import nearest

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
MISSING = frozenset({"", "na", "nan", "n/a", "null", "none"})
"""What stands for a missing number, in any case."""

_DELIMITERS = ",\t;|"
csv.field_size_limit(1 << 28)


@dataclass(frozen=True)
class Table:
    """Columns of equal length by name.

    Attributes:
        name: what messages call it: the file.
        columns: values by column name; texts where the file is one of text, None for an absent one.
        lines: line of each row in the file, None where it has no lines.

    >>> table = read_table(io.StringIO("text,label\\nfine,1\\n"))
    >>> table.columns, table.where(0)
    ({'text': ['fine'], 'label': ['1']}, 'table:2')
    """

    name: str
    columns: dict[str, list[Any]]
    lines: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def where(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"{self.name}: row {row + 1}" if self.lines is None else f"{self.name}:{self.lines[row]}"

    def column(self, name: str, option: str = "") -> list[Any]:
        """A column; raises InputError with the names there are, and the option that says which one is meant."""
        if name not in self.columns:
            told = f" Say which one with --{option.replace('_', '-')}." if option else ""
            raise InputError(
                f"{self.name}: no column {name!r}, it has {', '.join(map(repr, self.columns))}."
                f"{nearest(name, self.columns)}{told}"
            )
        return self.columns[name]

    def texts(self, name: str, option: str = "") -> list[str]:
        """A column as texts without blanks around them, the empty one where a value is missing."""
        values = self.column(name, option)
        return ["" if value is None or value != value else str(value).strip() for value in values]

    def numbers(self, name: str, option: str = "") -> NDArray[np.float64]:
        """A column as float64, NaN where a value is missing; raises InputError with the row of a text."""
        values = self.column(name, option)
        out = np.empty(len(values))
        for row, value in enumerate(values):
            if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
                out[row] = math.nan
                continue
            try:
                out[row] = float(value)
            except (TypeError, ValueError):
                raise InputError(
                    f"{self.where(row)}: column {name!r} holds {value!r}, expected a number; "
                    "a missing one is left empty or written NA."
                ) from None
        return out

    def take(self, rows: Iterable[int]) -> Table:
        """The table of some rows, in that order."""
        rows = list(rows)
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return Table(self.name, columns, None if self.lines is None else [self.lines[row] for row in rows])


def read_table(
    source: Any, *, delimiter: str | None = None, quotes: bool | None = None, header: bool = True
) -> Table:
    """A file as its suffix says (anything but .jsonl, .ndjson and .parquet is delimited text), or a dataframe.

    Args:
        source: path, text stream of delimited text, mapping of columns, or a dataframe of pandas, polars, Arrow, ...
        delimiter: of delimited text; None: the one of comma, tab, semicolon and bar that the header has most of.
        quotes: whether "..." keeps delimiters and line ends inside a field; None: yes, but not where tabs delimit.
        header: whether the first line of delimited text names the columns; else they are named "1", "2", ...

    Raises:
        InputError: no such file, not UTF-8, no rows, a name twice in the header, a row with more or fewer fields than
            the header (with its line).
    """
    if isinstance(source, io.TextIOBase):
        return _delimited("table", iter(source), delimiter, quotes, header)
    if not isinstance(source, str | Path):
        return _frame(source)
    path = Path(source)
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    lines = read_lines(path, keepends=True)  # a quoted field may hold some
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _json_lines(str(path), lines)
    return _delimited(str(path), lines, delimiter, quotes, header)


def read_tables(sources: Iterable[Any], **how: Any) -> Table:
    """Several tables as one, which then tells rows, not lines; InputError unless all have the same columns."""
    tables = [read_table(source, **how) for source in sources]
    if len(tables) == 1:
        return tables[0]
    for table in tables[1:]:
        if set(table.columns) != set(tables[0].columns):
            other = set(table.columns) ^ set(tables[0].columns)
            raise InputError(
                f"{table.name}: other columns than {tables[0].name}: {', '.join(map(repr, sorted(other)))}"
            )
    names = ", ".join(table.name for table in tables)
    return Table(names, {c: [v for table in tables for v in table.columns[c]] for c in tables[0].columns})


def table_fingerprint(source: Any) -> dict[str, Any]:
    """Name, size in bytes and SHA-256 of a file, or of the content of a dataframe."""
    if isinstance(source, str | Path):
        return file_fingerprint(Path(source))
    content = json.dumps(_frame(source).columns, ensure_ascii=False, default=str).encode()
    return {"name": "dataframe", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _delimited(
    name: str, lines: Iterator[str], delimiter: str | None, quotes: bool | None, named: bool
) -> Table:
    first = next(lines, "")
    delimiter = delimiter or max(_DELIMITERS, key=first.count)
    quoted = delimiter != "\t" if quotes is None else quotes
    reader = csv.reader(
        (line for part in ([first], lines) for line in part),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    rows: list[list[str]] = []
    ends: list[int] = []
    try:
        header = next(reader, [])
        if named:
            _check_header(name, header)
        else:
            rows, ends = [header], [reader.line_num]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{name}:{reader.line_num}: {len(row)} fields, expected {len(header)} as in the "
                    f"{'header' if named else 'first line'} ({', '.join(header)})."
                )
            rows.append(row)
            ends.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{name}:{reader.line_num}: not a table ({error}).") from error
    if not rows:
        raise InputError(f"{name}: a header and no rows, expected at least one row.")
    if not named:
        header = [str(number) for number in range(1, len(header) + 1)]
    return Table(name, {c: list(v) for c, v in zip(header, zip(*rows, strict=True), strict=True)}, ends)


def _check_header(name: str, header: list[str]) -> None:
    twice = [column for place, column in enumerate(header) if column in header[:place]]
    if twice:
        raise InputError(f"{name}:1: the column {twice[0]!r} is there twice; name each column once.")


def _json_lines(name: str, lines: Iterator[str]) -> Table:
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}:{number}: not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise InputError(f"{name}:{number}: {type(row).__name__}, expected one JSON object a line.")
        rows.append(row)
        places.append(number)
    if not rows:
        raise InputError(f"{name}: no rows, expected one JSON object a line.")
    names = dict.fromkeys(column for row in rows for column in row)
    return Table(name, {column: [row.get(column) for row in rows] for column in names}, places)


def _parquet(path: Path) -> Table:
    polars = extra("polars", "Parquet files")
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        frame = polars.read_parquet(path)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({' '.join(str(error).split())}).") from error
    return _filled(Table(str(path), frame.to_dict(as_series=False)))


def _frame(source: Any) -> Table:
    if isinstance(source, dict):
        return _filled(Table("table", _columns(source)))
    narwhals = extra("narwhals", "dataframes")
    try:
        frame = narwhals.from_native(source, eager_only=True)
    except TypeError:
        raise InputError(
            f"{type(source).__name__} is no table, expected a file, a mapping of columns or a dataframe."
        ) from None
    return _filled(Table("dataframe", {str(n): v for n, v in frame.to_dict(as_series=False).items()}))


def _columns(source: Mapping[Any, Any]) -> dict[str, list[Any]]:
    columns = {}
    for name, values in source.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise InputError(f"table: column {name!r} is {values!r:.60}, expected a list of values.")
        columns[str(name)] = list(values)
    lengths = {name: len(values) for name, values in columns.items()}
    for name, length in lengths.items():
        if length != max(lengths.values()):
            raise InputError(
                f"table: column {name!r} has {length} values, expected {max(lengths.values())} as in the longest."
            )
    return columns


def _filled(table: Table) -> Table:
    if not len(table):
        raise InputError(f"{table.name}: no rows.")
    return table

"""Sequences of numbers in: `.npz` files, and tables with one row for each step."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.tables import Table
from elman.errors import InputError

Floats = NDArray[np.float32]

_FORM = (
    "x, numbers: (N, T), (N, T, F), or (N, T, F) with lengths (N,), or all steps one after the other (S, F) "
    "with lengths (N,) that sum to S; and y (N,)"
)


def read_npz(path: str | Path, targets: bool = True) -> tuple[list[Floats], list[Any] | None]:
    """The sequences (t_b, F) of an .npz file, and what `y` says of each, or None where there is no `y`.

    Keys: `x`, numbers: (N, T, F); or (N, T), one feature; or, with `lengths` (N,), padded (N, T, F), of which row b has
    its first lengths[b] steps, or ragged, all steps one after the other (S, F) with S the sum of `lengths`. `y` (N,):
    classes or numbers.

    Args:
        targets: whether `y` must be there.

    Raises:
        InputError: a file that is no such archive, an array that is missing, of another shape, or not of numbers; a
            value in `x` that is NaN or infinite (with its sequence).
    """
    arrays = _arrays(Path(path))
    if "x" not in arrays:
        raise InputError(f"{path}: no array 'x', it has {', '.join(map(repr, arrays))}. Expected {_FORM}.")
    if targets and "y" not in arrays:
        raise InputError(
            f"{path}: no array 'y' of what is to be learned, it has {', '.join(map(repr, arrays))}."
        )
    rows = _rows(path, arrays["x"], arrays.get("lengths"))
    check_finite(rows, lambda row: f"{path}: sequence {row + 1}")
    y = arrays.get("y")
    if y is not None and y.shape != (len(rows),):
        raise InputError(
            f"{path}: y has shape {y.shape}, expected ({len(rows)},), one value for each sequence."
        )
    return rows, None if y is None else y.tolist()


def read_steps(
    table: Table, id_column: str, features: Sequence[str], target: str | None
) -> tuple[list[Floats], list[Any] | None, list[int]]:
    """The sequences (t_b, F) of a table with one row for each step; rows of one id make one, in the table's order.

    Args:
        table: the rows; those of one id need not stand together.
        id_column: says which sequence a row belongs to.
        features: columns of numbers.
        target: column that says the same in all rows of a sequence; None: nothing is asked.

    Returns: sequences in the order in which their ids come, their targets, the first row of each.

    Raises:
        InputError: a column is missing, a feature is no number (with its line), or a sequence has two targets.
    """
    groups: dict[Any, list[int]] = {}
    for row, name in enumerate(table.column(id_column, "id_column")):
        groups.setdefault(name, []).append(row)
    values = np.stack([table.numbers(name, "feature_columns") for name in features], 1).astype(np.float32)
    bad = ~np.isfinite(values)
    if bad.any():
        row, place = np.argwhere(bad)[0]
        raise InputError(
            f"{table.where(int(row))}: column {features[place]!r} is empty or not finite, expected a number; "
            "fill it in or leave the step out."
        )
    sequences = [values[rows] for rows in groups.values()]
    firsts = [rows[0] for rows in groups.values()]
    if target is None:
        return sequences, None, firsts
    column = table.column(target)
    for name, rows in groups.items():
        other = next((row for row in rows if column[row] != column[rows[0]]), None)
        if other is not None:
            raise InputError(
                f"{table.where(other)}: {target!r} is {column[other]!r}, but {column[rows[0]]!r} before in the "
                f"sequence {name!r}; expected the same in all its rows."
            )
    return sequences, [column[row] for row in firsts], firsts


def check_finite(rows: Sequence[NDArray[Any]], where: Any) -> None:
    """Raise InputError for the first sequence that holds NaN or infinity; `where` names a sequence by its number."""
    for number, row in enumerate(rows):
        if not np.isfinite(row).all():
            step = int(np.argwhere(~np.isfinite(row))[0][0])
            raise InputError(f"{where(number)}, step {step + 1}: NaN or infinity, expected finite numbers.")


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(
                    f"{path}: one array, expected an archive of several: numpy.savez(path, x=..., y=...)."
                )
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not an .npz file of numbers ({error}). Expected {_FORM}.") from error


def _rows(path: str | Path, x: NDArray[Any], lengths: NDArray[Any] | None) -> list[Floats]:
    if x.dtype.kind not in "biuf" or x.ndim not in (2, 3) or not len(x):
        raise InputError(f"{path}: x is {x.dtype} of shape {x.shape}. Expected {_FORM}.")
    x = x.astype(np.float32)
    if lengths is None:
        return list(x if x.ndim == 3 else x[:, :, None])
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise InputError(f"{path}: lengths are {lengths.dtype} of shape {lengths.shape}. Expected {_FORM}.")
    if x.ndim == 3:
        if len(lengths) != len(x) or lengths.max() > x.shape[1]:
            raise InputError(
                f"{path}: {len(lengths)} lengths of up to {lengths.max()} steps do not fit x of shape {x.shape}."
            )
        return [row[:length] for row, length in zip(x, lengths, strict=True)]
    if lengths.sum() != len(x):
        raise InputError(f"{path}: lengths sum to {lengths.sum()}, but x has {len(x)} steps.")
    return np.split(x, np.cumsum(lengths)[:-1])

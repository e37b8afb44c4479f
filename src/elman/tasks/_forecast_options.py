"""Options of forecasts: the columns of the table, and what the verbs ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.data.series import Columns
from elman.errors import InputError
from elman.options import option


@dataclass(kw_only=True)
class SeriesOptions:
    """What the columns of the table are."""

    time_column: str = option(
        "", "times; several columns by commas: year,month,day [the one of times]", metavar="NAME"
    )
    target_column: str = option("", "values to forecast [the one column of numbers]", metavar="NAME")
    series_column: str | None = option(
        None, "which series a row is of [the one text column, if times repeat]", metavar="NAME"
    )
    past_covariates: str = option("", "columns known up to the present, by commas [none]", metavar="NAMES")
    future_covariates: str = option("", "columns known ahead, by commas [none]", metavar="NAMES")
    static_columns: str = option("", "columns that tell of a whole series, by commas [none]", metavar="NAMES")
    time_format: str | None = option(
        None, "how times are written, such as %d.%m.%Y [as they show]", metavar="FORM"
    )
    frequency: str | None = option(
        None, "step: hour, 15 minutes, business day, month, ... [as the times show]", metavar="NAME"
    )
    duplicates: Literal["error", "mean", "sum", "last"] = option(
        "error", "rows of one series in one step", choices=("error", "mean", "sum", "last")
    )
    unknown: Literal["error", "map"] = option(
        "error", "a category never seen in training: stop, or read it as missing", choices=("error", "map")
    )
    seasonality: str = option(
        "", "periods in steps by commas, the main one first: 24,168 [by the frequency]", metavar="N,N"
    )

    def columns(self) -> Columns:
        """The columns as far as they are named."""
        several = (self.past_covariates, self.future_covariates, self.static_columns)
        past, future, static = (names_of(names) for names in several)
        return Columns(self.time_column, self.target_column, self.series_column, past, future, static)

    def periods(self, usual: tuple[int, ...]) -> tuple[int, ...]:
        """The periods asked for, or else the usual ones."""
        if not self.seasonality:
            return usual
        if not all(part.isdecimal() and int(part) for part in names_of(self.seasonality)):
            raise InputError(
                f"seasonality is {self.seasonality!r}, expected periods in steps, such as 24,168."
            )
        return tuple(dict.fromkeys(int(part) for part in names_of(self.seasonality)))


@dataclass(kw_only=True)
class BackTest:
    """From which origins is forecast and judged."""

    folds: int = option(10, "origins of each series, the last as late as the horizon allows", minimum=1)
    stride: int | None = option(None, "steps between two origins [the horizon]", minimum=1)
    baselines: bool = option(True, "judge the baselines on the same origins too")


@dataclass(kw_only=True)
class Ahead:
    """How far is forecast."""

    horizon: int | None = option(None, "steps ahead [as trained; a direct model cannot do more]", minimum=1)


def names_of(text: str) -> tuple[str, ...]:
    """Names by commas.

    >>> names_of("a, b")
    ('a', 'b')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())

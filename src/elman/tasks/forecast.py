"""forecast: the next values of series, and how sure they are."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from elman import data
from elman.data import series as reading
from elman.data.calendar import Frequency
from elman.data.series import Columns, Covariate, Series
from elman.data.tables import Table, read_table
from elman.errors import InputError
from elman.inspection import Compared, Inspected, Section
from elman.inspection.inspected import ROWS
from elman.options import check, option
from elman.runfolder import RunFolder
from elman.tasks import _forecast_report as report
from elman.tasks import _forecast_scores as scores
from elman.tasks import _forecast_state as state
from elman.tasks._forecast_judging import BATCH, Predictor, compare, folds, truth
from elman.tasks._forecast_options import Ahead, BackTest, SeriesOptions
from elman.tasks._forecast_scores import LEVELS, MEDIAN
from elman.tasks._forecast_windows import Places, Split, View, Windows, constant, latest, thinned
from elman.tasks._inputs import Answer
from elman.tasks._task import Data, Scores, Task, sources

if TYPE_CHECKING:
    from elman.nn.forecaster import ForecastNetwork, Window
    from elman.train.problem import Loss

_TRUSTED = 500  # windows of each series by which the simple forecasts are weighed at first
# Windows side by side in validation that count as much as the training part: to widen intervals, and to narrow them.
_BELIEVED = 2, 10
_WELL_ABOVE = 0.1  # of the median of a series: its least value, where logarithms are learned unasked
_CYCLES = 10  # of the longest season, that the simple forecasts remember
_JUDGED = 60  # origins of a series that are judged at most after a training, and while it runs


@dataclass(kw_only=True)
class Forecaster(SeriesOptions, Task):
    """Forecasts one or many series, with intervals that hold what they promise.

    The table is in long form: a row for each time of each series, in any order. The frequency is seen from the times;
    gaps become missing values, which are masked. What is after the last target of a series is its future: rows with an
    empty target there tell future covariates.

    Attributes, after `fit` or `load`: `history_`, the end of each series, from which `predict` goes on and to which
    `update` adds; `network_`, the torch model; `view_`, how series are seen; and those of `Task`.

    Not covered: several targets at once, sums that must agree between series, covariates of another frequency.

    >>> Forecaster(horizon=12).options()["mode"]
    'direct'
    """

    name: ClassVar[str] = "forecast"
    compared: ClassVar[Compared] = Compared(
        "mase", "errors of the seasonal naive forecast in the training part"
    )
    evaluating: ClassVar[type[Any]] = BackTest
    predicting: ClassVar[type[Any]] = Ahead
    needs_input: ClassVar[bool] = False

    horizon: int | None = option(None, "steps ahead [one season]", minimum=1)
    context: int | None = option(
        None, "steps the recurrent layers read [two seasons, at least 24]", minimum=2
    )
    mode: Literal["direct", "recursive"] = option(
        "direct",
        "all steps at once, or one step, which is then read to forecast the next",
        choices=("direct", "recursive"),
    )
    output: Literal["quantiles", "normal", "student-t", "point"] = option(
        "quantiles",
        "what is learned of each step; point: no intervals",
        choices=("quantiles", "normal", "student-t", "point"),
    )
    transform: Literal["auto", "none", "log"] = option(
        "auto",
        "learn values or their logarithms; auto: logarithms where all values are well above 0",
        choices=("auto", "none", "log"),
    )
    calendar: bool = option(True, "tell hour, weekday and time of the year")
    members: int = option(3, "networks whose forecasts are averaged", minimum=1)
    hold_out: int = option(
        0, "last steps of each series neither learned from nor validated on, to judge by", minimum=0
    )
    hidden_size: int = option(32, "units of each layer", minimum=1)
    max_steps: int | None = option(1000, "stop after this many updates", minimum=1, steering=True)
    evaluate_every: int | None = option(
        50, "updates between two evaluations [each epoch]", minimum=1, steering=True
    )

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        if self.mode == "recursive" and self.output == "point":
            raise InputError(
                "a recursive forecast draws paths from a law, and output point has none; choose another."
            )
        self.periods((1,))

    # --- use

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Rolling-origin back-test: mase, mae, rmse, smape, crps, coverage_80, and the mase of the baselines.

        At each origin the model, as it was trained, sees what is before it; the baselines are fitted anew. Scores are
        means over origins and steps, each defined in `elman.tasks._forecast_scores`. The unit of mase is the error of
        the seasonal naive forecast before the first origin.

        Args:
            data: tables as in training, each series with its history.
            options: `folds`, origins of each series; `stride`, steps between them; `baselines`.
        """
        how = BackTest(**options)
        check(how)
        self._fitted()
        series = self._read(data)
        places = folds(series, self.view_.horizon, how.folds, how.stride or self.view_.horizon)
        judged = self._predictor.judge(series, places)
        found = judged.scores()
        if how.baselines:
            compared, _ = compare(series, judged, self.view_.periods[0])
            found |= {f"mase_{who}": values["mase"] for who, values in compared.items() if "mase" in values}
        return found

    def predict(self, data: Data | None = None, **options: Any) -> Table:
        """What comes after the end of each series: columns time, series, median, and the quantiles by probability.

        Args:
            data: tables as in training; None: goes on from the end of the training data and what `update` added.
            options: `horizon`, steps.
        """
        how = Ahead(**options)
        check(how)
        self._fitted()
        steps = how.horizon or self.view_.horizon
        known = self.history_ if data is None else self._read(data)
        places = np.array([[number, len(one)] for number, one in enumerate(known)])
        quantiles = self._predictor.forecast(known, places, steps, beyond=steps)
        columns: dict[str, list[Any]] = {}
        for one, values in zip(known, quantiles, strict=True):
            times = self.view_.frequency.times(one.start + len(one) + np.arange(steps))
            columns.setdefault("time", []).extend(self.view_.frequency.text(times))
            columns.setdefault("series", []).extend([one.name] * steps)
            columns.setdefault("median", []).extend(values[:, MEDIAN].tolist())
            for k, level in enumerate(LEVELS) if self.output != "point" else ():
                columns.setdefault(f"{level:g}", []).extend(values[:, k].tolist())
        return Table("forecast", columns)

    def update(self, data: Data) -> Self:
        """Add new rows to the end of the series, without learning; `predict()` then starts from there.

        It is the same as reading the whole history. A series not seen before begins with these rows.

        Raises:
            InputError: a row is not later than the end of its series.
        """
        self._fitted()
        self.history_: list[Series] = state.joined(self.history_, self._read(data), self.view_)
        return self

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """CSV, one answer for each series; without inputs from the end of the training data; `-`: standard input."""
        for given in inputs or (None,):
            table = self.predict(_piped() if given == "-" else given, **options)
            names = list(table.columns)
            rows = [dict(zip(names, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]
            for place, name in enumerate(dict.fromkeys(row["series"] for row in rows)):
                own = [row for row in rows if row["series"] == name]
                lines = [",".join(names)] if place == 0 else []
                lines += [_csv(row.values()) for row in own]
                yield Answer("\n".join(lines), {"series": name, "forecast": own})

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """The ends of the first series of the tables; without any, of the training data."""
        from elman.tasks._inspected import windows

        known = (self._read(list(inputs)) if inputs else self.history_)[:ROWS]
        places = np.array([[number, len(one)] for number, one in enumerate(known)])
        steps = np.arange(-self.view_.context, 0)
        return windows(
            self.network_,
            self._predictor.window(Windows(self.view_, known, self.view_.horizon), places),
            [
                list(self.view_.frequency.text(self.view_.frequency.times(one.start + len(one) + steps)))
                for one in known
            ],
        )

    def save(self, path: str | Path) -> None:
        """Copy the run to a new folder, with what `update` added."""
        super().save(path)
        self._save(RunFolder(path))

    def baselines(self) -> dict[str, Scores]:
        """Naive, seasonal naive, ETS and Theta on the origins the model is judged on."""
        self._baselines, self._failures = compare(self._series, self._judged_by, self.view_.periods[0])
        return self._baselines

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """Four months of daily visits to two shops, more at weekends and on holidays, less in yesterday's rain."""
        rows = ["day,shop,visits,rain"]
        for shop, base in (("north", 50), ("south", 80)):
            for day in range(120):
                rain, before = (d * d % 7 / 7 for d in (day, day - 1))
                visits = base + 8 * (day % 7 >= 5) - 9 * before + day * day % 5
                rows.append(f"{date(2024, 1, 1) + timedelta(day)},{shop},{visits:.2f},{rain:.3f}")
        path = folder / "visits.csv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        columns = {"time_column": "day", "target_column": "visits", "series_column": "shop"}
        covariates = {"past_covariates": "rain", "static_columns": "shop"}
        return [path], {**columns, **covariates, "horizon": 5, "hold_out": 20, "members": 2}

    def _prepare(self, files: list[Any]) -> _Problem:
        table = data.read_tables(files)
        columns = reading.choose_columns(table, self.columns(), self.time_format)
        read = self._reading(table, columns, self.frequency, None)
        own = read.series
        periods = self.periods(read.frequency.seasonality())
        horizon = self.horizon or max(periods[0], 2)
        judged: list[Series] = []
        if isinstance(self.validation, str):
            kinds = _kinds(own[0])
            judged = self._reading(data.read_table(self.validation), columns, read.frequency, kinds).series
        self._series, self._notes = own + judged, read.notes
        self._split = Split.of(
            own,
            judged,
            horizon,
            fraction=self.validation if isinstance(self.validation, float) else 0.0,
            hold_out=self.hold_out,
            least=max(periods) + 1,
        )
        if 0 < self.hold_out < horizon:
            raise InputError(f"hold_out is {self.hold_out}, expected 0 or at least the horizon, {horizon}.")
        if not len(self._split.train):
            raise InputError(
                f"{table.name}: the longest series has {max(map(len, own))} steps, too few for training windows "
                f"of horizon {horizon} beside validation {self.validation} and hold_out {self.hold_out}; shorten these."
            )
        self.view_ = self._learn_view(read.frequency, columns, periods, horizon)
        if self.train_fraction < 1:
            self._split = replace(self._split, train=latest(self._split.train, self.train_fraction))
        self.history_ = [one.tail(self.view_.reach + 1) for one in own]
        self.widening_ = np.ones(horizon)
        self.network_ = self._build()
        return _Problem(self)

    def _facts(self, files: list[Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"table": {"files": [data.table_fingerprint(file) for file in files]}}
        if isinstance(self.validation, str):
            facts["validation"] = {"files": [data.table_fingerprint(self.validation)]}
        split = self._split
        return facts | {
            "series": len(self._series),
            "frequency": self.view_.frequency.name,
            "periods": ", ".join(map(str, self.view_.periods)),
            "learned_as": {"log": "logarithms", "none": "values"}[self.view_.transform],
            "steps": sum(map(len, self._series)),
            "missing_targets": sum(int(np.isnan(one.target).sum()) for one in self._series),
            **self._notes,
            "training_windows": len(split.train),
            "validation_windows": len(split.validation),
            "held_out_windows": len(split.held_out),
            "padding": float(np.maximum(1 - split.train[:, 1] / self.view_.context, 0).mean()),
        }

    def _save(self, run: RunFolder) -> None:
        history = [state.series_to_json(one) for one in self.history_]
        kept = {"view": state.view_to_json(self.view_), "history": history}
        run.write_json("task.json", {**kept, "widening": self.widening_.tolist()})

    def _restore(self, run: RunFolder) -> None:
        content = run.read_json("task.json")
        try:
            self.view_ = state.view_from_json(content["view"])
            self.history_ = [state.series_from_json(one, self.view_) for one in content["history"]]
            self.widening_ = state.widening_from_json(content["widening"], self.view_)
            if not self.history_:
                raise ValueError("no series")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{run.path / 'task.json'}: damaged ({error}).") from error
        self.network_ = self._network(
            run, self._build, location=self.view_.horizon if self.mode == "direct" else 1
        )

    def _finish(self, run: RunFolder) -> None:
        """Widen the intervals until they held what they promise on the validation origins."""
        if not len(self._split.validation) or self.output == "point":
            return
        places = thinned(self._split.validation, 4 * _JUDGED)
        horizon = self.view_.horizon
        came = self.view_.forward(truth(self._series, places, horizon))
        factors = scores.widening(came, self._predictor.quantiles(self._series, places, horizon))
        several = len(self._split.validation) / horizon
        self.widening_ = factors ** (several / (several + np.where(factors > 1, *_BELIEVED)))
        self._save(run)

    def _final_scores(self, run: RunFolder) -> Scores:  # noqa: ARG002
        split = self._split
        places = next(each for each in (split.held_out, split.validation, split.train) if len(each))
        self._judged_by = self._predictor.judge(self._series, thinned(places, _JUDGED), split.ends)
        return self._judged_by.scores()

    def _judged(self) -> str:
        count = f"{len(self._judged_by.places):,} origins, {self.view_.horizon} steps ahead"
        if len(self._split.held_out):
            return f"the last {self.hold_out} steps, held out: {count}"
        if len(self._split.validation):
            return f"the validation part, on which the best weights and the widths of intervals were chosen: {count}"
        return f"the training part: nothing was held out: {count}"

    def _sections(self) -> list[Section]:
        return report.sections(self._series, self._judged_by, self._baselines, self.view_, self._failures)

    def _usage(self, run: RunFolder) -> list[str]:
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint(model.predict().columns["median"])'
        return [f"elman predict {run.path}", f"elman evaluate {run.path} TABLE --folds 10", python]

    # --- within

    @property
    def _predictor(self) -> Predictor:
        return Predictor(self.network_, self.view_, self.mode, self.output, self.widening_)

    def _reading(
        self, table: Table, columns: Columns, frequency: Frequency | str | None, kinds: dict[str, str] | None
    ) -> reading.Reading:
        return reading.read_series(
            table,
            columns,
            frequency=frequency,
            form=self.time_format,
            duplicates=self.duplicates,
            kinds=kinds,
            placed=self.frequency is not None,
        )

    def _read(self, given: Data | Table) -> list[Series]:
        """Tables as they were read in training."""
        kinds = {covariate.name: covariate.kind for covariate in self.view_.covariates}
        table = given if isinstance(given, Table) else data.read_tables(sources(given))
        return self._reading(table, self.view_.columns, self.view_.frequency, kinds).series

    def _learn_view(
        self, frequency: Frequency, columns: Columns, periods: tuple[int, ...], horizon: int
    ) -> View:
        """All that is learned of the columns, from the training part alone."""
        parts = [(one, end) for one, end in zip(self._series, self._split.ends, strict=True) if end]
        known = [one.target[:end][~np.isnan(one.target[:end])] for one, end in parts]
        positive = all(one.min() > _WELL_ABOVE * np.median(one) for one in known if len(one))
        covariates = [
            Covariate.learn(name, np.concatenate([one.covariates[name][:end] for one, end in parts]))
            for name in columns.covariates
        ] + [
            Covariate.learn(name, np.concatenate([constant(one, name, 1) for one, _ in parts]))
            for name in columns.static
        ]
        chosen = self.transform if self.transform != "auto" else "log" if positive else "none"
        context = self.context or max(2 * periods[0], 24)
        return View(
            frequency=frequency,
            columns=columns,
            covariates=tuple(covariates),
            transform=chosen,
            context=context,
            reach=max(context, _CYCLES * max(periods)),
            horizon=horizon,
            periods=periods,
            calendar=self.calendar,
            unknown=self.unknown,
        )

    def _build(self) -> ForecastNetwork:
        from elman.nn.forecaster import ForecastNetwork, Member

        view = self.view_
        inputs, ahead = Member.sizes(view.periods, *view.widths)
        members = [
            Member(
                self.recurrent(inputs),
                self.recurrent(ahead),
                periods=view.periods,
                horizon=view.horizon if self.mode == "direct" else 1,
                output=self.output,
                levels=LEVELS,
                dropout=self.dropout,
                variational=self.variational,
            )
            for _ in range(self.members)
        ]
        return ForecastNetwork(members, LEVELS)


class _Problem:
    """A forecaster as the training loop sees it."""

    items = "windows"

    def __init__(self, task: Forecaster) -> None:
        from elman import train

        world = train.World.here()
        self._task, self._split = task, task._split
        self._places = self._split.train
        self._windows = Windows(task.view_, task._series, task.view_.horizon)
        self.model = task.network_
        self.model.trust(self._window(thinned(self._places, _TRUSTED)))
        self.batches = data.BucketBatches(
            np.full(len(self._places), task.view_.context),
            task.batch_size * world.size,
            seed=task.seed,
            pool=1,
            rank=world.rank,
            world=world.size,
        )
        self.score = "mase" if len(self._split.validation) else "loss"

    def loss(self, batch: NDArray[np.int64], carry: Any) -> Loss:  # noqa: ARG002
        import torch

        from elman.train.problem import Loss

        if not len(batch):
            return Loss(torch.stack([weight.sum() for weight in self.model.parameters()]).sum() * 0.0, 0)
        return Loss(*self.model.loss(self._window(self._places[batch])))

    def _window(self, places: Places) -> Window:
        task = self._task
        return task._predictor.window(self._windows, places, None if task.mode == "direct" else 1)

    def validate(self) -> Scores:
        places = self._split.validation
        if not len(places):
            return {}
        places = thinned(places, 4 * _JUDGED)
        total, count = 0.0, 0
        for start in range(0, len(places), BATCH):
            part, items = self.model.loss(self._window(places[start : start + BATCH]))
            total, count = total + float(part), count + items
        judged = self._task._predictor.judge(self._task._series, thinned(places, _JUDGED), self._split.ends)
        return {"loss": total / count, **judged.scores()}

    def sample(self) -> None:
        return None


def _kinds(series: Series) -> dict[str, str]:
    kinds = {
        name: "category" if values.dtype == object else "number" for name, values in series.covariates.items()
    }
    return kinds | {
        name: "number" if isinstance(value, float) else "category" for name, value in series.static.items()
    }


def _piped() -> Table:
    try:
        return read_table(sys.stdin)
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 ({error}). Convert it: iconv -t UTF-8") from error


def _csv(values: Iterable[Any]) -> str:
    """A line of CSV; numbers with six significant digits."""
    line = io.StringIO()
    told = (f"{value:.6g}" if isinstance(value, float) else value for value in values)
    csv.writer(line, lineterminator="").writerow(told)
    return line.getvalue()


TASK = Forecaster

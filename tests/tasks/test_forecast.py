"""The forecaster: nothing leaks from the future, the present is used, and what is promised of its verbs holds."""

from __future__ import annotations

import functools
import io
import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman.cli import main
from elman.data import Table, read_table
from elman.errors import InputError
from elman.tasks._forecast_judging import compare, folds
from elman.tasks._forecast_scores import MEDIAN
from elman.tasks._forecast_windows import Windows
from elman.tasks.forecast import Forecaster

DAYS, HORIZON = 100, 4
SMALL: dict[str, Any] = {
    "target_column": "y", "series_column": "shop", "horizon": HORIZON, "hidden_size": 6, "members": 1, "max_steps": 4,
    "context": 14, "threads": 1, "evaluate_every": 2,
}  # fmt: skip
COVARIATES = {"past_covariates": "rain", "future_covariates": "sky", "static_columns": "size"}


def _columns(days: int = DAYS, seed: int = 0) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    rows = [
        (str(date(2024, 1, 1) + timedelta(day)), shop, 20 + 5 * (day % 7 >= 5) + rng.normal(), rng.normal(),
         ("sun", "rain")[rng.integers(2)], size)
        for shop, size in (("a", 1.0), ("b", 2.0))
        for day in range(days)
    ]  # fmt: skip
    return dict(
        zip(("day", "shop", "y", "rain", "sky", "size"), map(list, zip(*rows, strict=True)), strict=True)
    )


def _fit(columns: dict[str, list[Any]], **options: Any) -> Forecaster:
    return Forecaster(**{**SMALL, **options}).fit(columns)


@functools.cache
def _fitted(**options: Any) -> Forecaster:
    """One for all tests that leave it as it is."""
    return _fit(_columns(), **options)


def _cut(columns: dict[str, list[Any]], keep: Any) -> dict[str, list[Any]]:
    rows = [row for row, day in enumerate(columns["day"]) if keep(day)]
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def _tables_equal(one: Table, other: Table) -> bool:
    return one.columns == other.columns


# --- the future and the present


def test_no_value_after_an_origin_reaches_its_forecast_or_a_training_window() -> None:
    """All values held out are changed, wildly: windows, all that is learned, and earlier forecasts stay to the bit."""
    columns = _columns()
    first_held = str(date(2024, 1, 1) + timedelta(DAYS - 20))
    changed = {name: list(values) for name, values in columns.items()}
    for row, day in enumerate(columns["day"]):
        if day >= first_held:
            changed["y"][row] = 1e4 + row
            changed["rain"][row] = -50.0 * row
    fitted = [_fit(each, hold_out=20, **COVARIATES) for each in (columns, changed)]
    assert fitted[0].view_ == fitted[1].view_
    split = fitted[0]._split
    windows = [
        Windows(each.view_, each._series, HORIZON).batch(np.concatenate([split.train, split.validation]))
        for each in fitted
    ]
    for name, values in windows[0].items():
        assert np.array_equal(values, windows[1][name]), name
    weights = [each.network_.state_dict() for each in fitted]
    assert all((weights[0][key] == weights[1][key]).all() for key in weights[0])
    places = np.array([[0, DAYS - 20], [1, DAYS - 20]])
    quantiles = [each._predictor.forecast(each._series, places, HORIZON) for each in fitted]
    assert np.array_equal(quantiles[0], quantiles[1])


def test_every_single_value_after_an_origin_changes_nothing() -> None:
    model, columns, origin = _fitted(**COVARIATES), _columns(), DAYS - HORIZON - 2
    place = np.array([[0, origin]])
    before = model._predictor.forecast(model._read(columns), place, HORIZON)
    for name in ("y", "rain"):
        for row in range(origin, DAYS):
            changed = {**columns, name: [*columns[name][:row], 777.0, *columns[name][row + 1 :]]}
            assert np.array_equal(model._predictor.forecast(model._read(changed), place, HORIZON), before), (
                name,
                row,
            )


@pytest.mark.parametrize("mode", ["direct", "recursive"])
def test_the_last_observation_is_used(mode: str) -> None:
    model, columns = _fitted(mode=mode, **COVARIATES), _columns()
    place = np.array([[0, DAYS - HORIZON]])
    before = model._predictor.forecast(model._read(columns), place, HORIZON)
    row = DAYS - HORIZON - 1
    for name, value in (("y", columns["y"][row] + 3.0), ("rain", 9.0)):
        changed = {**columns, name: [*columns[name][:row], value, *columns[name][row + 1 :]]}
        assert not np.allclose(
            model._predictor.forecast(model._read(changed), place, HORIZON), before, rtol=1e-6
        ), name


def test_what_is_known_ahead_is_used() -> None:
    columns = _columns()
    model = _fit(columns, learning_rate=0.05, max_steps=20, **COVARIATES)
    place, row = np.array([[0, DAYS - HORIZON]]), DAYS - 1
    other = "sun" if columns["sky"][row] == "rain" else "rain"
    changed = {**columns, "sky": [*columns["sky"][:row], other, *columns["sky"][row + 1 :]]}
    found = [model._predictor.forecast(model._read(each), place, HORIZON) for each in (columns, changed)]
    assert not np.array_equal(found[0][0, -1], found[1][0, -1])
    assert np.array_equal(found[0][0, :-1], found[1][0, :-1])


def test_a_missing_target_is_no_number() -> None:
    """Masked in the loss, in the scores and in what the network sees; the column's mark for it says nothing."""
    columns = _columns()
    texts = [
        {**columns, "y": [mark if row % 9 == 4 else y for row, y in enumerate(columns["y"])]}
        for mark in ("NA", None)
    ]
    models = [_fit(each) for each in texts]
    weights = [each.network_.state_dict() for each in models]
    assert all((weights[0][key] == weights[1][key]).all() for key in weights[0])
    batch = Windows(models[0].view_, models[0]._series, HORIZON).batch(np.array([[0, 56]]))
    gaps = np.array([day % 9 == 4 for day in range(56 - batch["known"].shape[1], 56)])
    assert (batch["known"][0][batch["begun"][0] > 0] == ~gaps[batch["begun"][0] > 0]).all()
    assert batch["wanted"].tolist() == [[day % 9 != 4 for day in range(56, 60)]]
    assert all(np.isfinite(value) for value in models[0].scores_["model"].values())


# --- verbs


@pytest.mark.parametrize("mode", ["direct", "recursive"])
def test_update_equals_reading_the_whole_history(mode: str, tmp_path: Path) -> None:
    columns = _columns()
    first = _cut(columns, lambda day: day < "2024-03-20")
    model = _fit(first, mode=mode, past_covariates="rain", static_columns="size")
    before = model.predict()
    for day in sorted({day for day in columns["day"] if day >= "2024-03-20"}):
        model.update(_cut(columns, lambda each, day=day: each == day))
    assert _tables_equal(model.predict(), model.predict(columns))
    assert not _tables_equal(model.predict(), before)
    model.save(tmp_path / "kept")
    assert _tables_equal(elman.load(tmp_path / "kept").predict(), model.predict())
    with pytest.raises(
        InputError, match="update: a row of series 'a' is of 2024-01-01, expected rows after 2024-04-09"
    ):
        model.update(columns)


def test_update_with_a_gap_and_a_new_series() -> None:
    columns = _columns()
    model = _fit(_cut(columns, lambda day: day < "2024-03-20"))
    late = _cut(columns, lambda day: day >= "2024-04-02")
    model.update(late)
    rows = _cut(columns, lambda day: day < "2024-03-20" or day >= "2024-04-02")
    assert _tables_equal(model.predict(), model.predict(rows))
    new = {**late, "shop": ["c" if shop == "a" else "d" for shop in late["shop"]]}
    assert model.update(new).predict().columns["series"] == [s for s in "abcd" for _ in range(HORIZON)]


def test_future_covariates_reach_past_the_last_target() -> None:
    columns = _columns()
    model = _fitted(future_covariates="sky")
    known = {
        **columns,
        "y": [None if day > "2024-04-05" else y for day, y in zip(columns["day"], columns["y"], strict=True)],
    }
    table = model.predict(known)
    assert table.columns["time"][:HORIZON] == ["2024-04-06", "2024-04-07", "2024-04-08", "2024-04-09"]
    with pytest.raises(
        InputError, match=r"'sky' of series 'a' is known for 0 steps after .*expected 4: add rows"
    ):
        model.predict(columns)


def test_a_recursive_model_goes_as_far_as_asked_a_direct_one_does_not() -> None:
    table = _fitted(mode="recursive").predict(horizon=9)
    assert len(table) == 18
    assert all(low < high for low, high in zip(table.columns["0.1"], table.columns["0.9"], strict=True))
    with pytest.raises(InputError, match=r"horizon is 9, expected at most 4.*--mode recursive"):
        _fitted().predict(horizon=9)
    assert len(_fitted().predict(horizon=2)) == 4


def test_a_back_test_is_a_forecast_from_every_origin() -> None:
    columns, model = _columns(), _fitted()
    found = model.evaluate(columns, folds=3, stride=2)
    errors = []
    for end in (DAYS - HORIZON - 4, DAYS - HORIZON - 2, DAYS - HORIZON):
        last = str(date(2024, 1, 1) + timedelta(end))
        table = model.predict(_cut(columns, lambda day, last=last: day < last))
        for place, shop in enumerate("ab"):
            came = [y for y, s in zip(columns["y"], columns["shop"], strict=True) if s == shop][
                end : end + HORIZON
            ]
            errors += np.abs(
                np.array(came) - table.columns["median"][place * HORIZON : (place + 1) * HORIZON]
            ).tolist()
    assert found["mae"] == pytest.approx(np.mean(errors))
    series = model._read(columns)
    judged = model._predictor.judge(series, folds(series, HORIZON, 3, 2))
    last = [np.abs(series[s].target[o : o + HORIZON] - series[s].target[o - 1]) for s, o in judged.places]
    assert compare(series, judged, 7)[0]["naive"]["mae"] == pytest.approx(np.mean(last))
    assert {"mase_naive", "mase_seasonal_naive", "mase_ets", "mase_theta"} < set(found)
    assert "mase_ets" not in model.evaluate(columns, folds=3, stride=2, baselines=False)


def test_series_stand_alone() -> None:
    columns, model = _columns(), _fitted()
    alone = {name: values[DAYS:] for name, values in columns.items()}
    both, one = model.predict(columns), model.predict(alone)
    assert np.allclose(both.columns["median"][HORIZON:], one.columns["median"], rtol=1e-6)


def test_it_learns_what_the_simple_forecasts_cannot_know() -> None:
    """Tomorrow's value is the covariate known ahead: far below the error of every baseline."""
    rng = np.random.default_rng(1)
    promo = rng.integers(0, 2, 400)
    columns = {
        "day": [str(date(2023, 1, 1) + timedelta(d)) for d in range(400)],
        "y": (10 + 5.0 * promo + rng.normal(0, 0.2, 400)).tolist(), "promo": promo.astype(float).tolist(),
    }  # fmt: skip
    options = {
        **SMALL,
        "series_column": None,
        "future_covariates": "promo",
        "hidden_size": 16,
        "hold_out": 60,
    }
    model = Forecaster(**{**options, "max_steps": 150, "learning_rate": 0.01, "dropout": 0.3}).fit(columns)
    assert model.scores_["model"]["mase"] < 0.5 * min(
        scores["mase"] for who, scores in model.scores_.items() if who != "model"
    )
    judged = [
        replace(model._predictor, widening=factors).judge(model._series, model._split.validation).scores()
        for factors in (np.ones(HORIZON), model.widening_)
    ]
    away = [abs(scores["coverage_80"] - 0.8) for scores in judged]
    assert away[1] < away[0]
    assert judged[0]["mae"] == judged[1]["mae"]
    page = (model.run_.path / "report.html").read_text()
    assert "Beats seasonal naive by" in page
    assert "80 % interval holds" in page


@functools.cache
def _one_series() -> Forecaster:
    return _fit({name: values[:DAYS] for name, values in _columns().items()}, learning_rate=0.02)


@pytest.mark.parametrize(
    "option",
    [{"output": "normal"}, {"output": "student-t"}, {"output": "point"}, {"transform": "none"}, {"calendar": False},
     {"seasonality": "5"}, {"seasonality": "7,14"}, {"context": 20}, {"members": 2}, {"mode": "recursive"},
     {"past_covariates": "rain"}, {"future_covariates": "sky"}, {"static_columns": "size"}, {"train_fraction": 0.3},
     {"validation": 0.4}, {"hold_out": 10}, {"frequency": "2 days", "duplicates": "mean"}],
    ids=str,
)  # fmt: skip
def test_every_option_changes_something(option: dict[str, Any]) -> None:
    columns = {name: values[:DAYS] for name, values in _columns().items()}
    base, other = _one_series(), _fit(columns, learning_rate=0.02, **option)
    assert base.scores_["model"] != other.scores_["model"]


def test_validation_may_be_a_table_of_its_own(tmp_path: Path) -> None:
    columns = _columns(seed=5)
    path = tmp_path / "later.csv"
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(rows))
    model = _fit(_columns(), validation=str(path))
    assert {int(number) for number in model._split.validation[:, 0]} == {2, 3}
    assert model._split.ends[:2] == [DAYS, DAYS]


# --- the command line


def _csv(path: Path, columns: dict[str, list[Any]]) -> str:
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_predict_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, run = _fitted(), str(tmp_path / "run")
    model.save(run)
    assert main(["predict", run]) == 0
    printed = capsys.readouterr().out
    table = read_table(io.StringIO(printed))
    assert list(table.columns)[:4] == ["time", "series", "median", "0.05"]
    assert np.allclose(table.numbers("median"), model.predict().columns["median"], rtol=1e-5)
    file = _csv(tmp_path / "data.csv", _columns())
    assert main(["predict", run, file]) == 0
    assert capsys.readouterr().out == printed
    assert main(["predict", run, "--json", "--horizon", "1"]) == 0
    told = json.loads(capsys.readouterr().out)["predictions"]
    assert [(one["series"], len(one["forecast"])) for one in told] == [("a", 1), ("b", 1)]
    assert main(["evaluate", run, file, "--folds", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["coverage_80"] >= 0


def test_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, run = _fitted(), str(tmp_path / "run")
    model.save(run)
    file = _csv(tmp_path / "data.csv", _columns())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(file).read_bytes()), "utf-8"))
    assert main(["predict", run, "-"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2 * HORIZON


# --- what is refused


@pytest.mark.parametrize(
    ("options", "change", "told"),
    [
        ({"horizon": 200}, {}, r"longest series has 100 steps, too few for training windows of horizon 200"),
        ({"hold_out": 2}, {}, r"hold_out is 2, expected 0 or at least the horizon, 4"),
        ({"target_column": "z"}, {}, r"no column 'z', it has 'day', 'shop', 'y'"),
        ({"series_column": None, "target_column": "y"}, {"shop": [1.0] * 200}, r"--duplicates.*--series-column"),
        ({"seasonality": "weekly"}, {}, r"seasonality is 'weekly', expected periods in steps, such as 24,168"),
        ({"mode": "recursive", "output": "point"}, {}, r"recursive forecast draws paths"),
        ({"transform": "log"}, {"y": [-1.0] * 200}, r"'y' holds -1, expected values above 0.*--transform none"),
        ({"frequency": "fortnight"}, {}, r"frequency is 'fortnight'"),
        ({"horizon": 0}, {}, r"horizon is 0, expected at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(
    options: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        _fit({**_columns(), **change}, **options)


def test_what_cannot_be_forecast_is_refused() -> None:
    columns = _columns()
    model = _fitted(future_covariates="sky")
    with pytest.raises(InputError, match="column 'sky' holds 'fog', never seen in training"):
        model.evaluate({**columns, "sky": ["fog"] * 200})
    mapped = _fit(columns, future_covariates="sky", unknown="map")
    assert mapped.evaluate({**columns, "sky": ["fog"] * 200}, folds=1)["mae"] > 0
    with pytest.raises(InputError, match="no column 'sky'"):
        model.evaluate({name: values for name, values in columns.items() if name != "sky"})
    with pytest.raises(InputError, match="horizon 4 is longer than the series: the longest has 3 steps"):
        model.evaluate(_cut(columns, lambda day: day <= "2024-01-03"))
    with pytest.raises(InputError, match="learned nothing yet"):
        Forecaster().predict()


def test_medians_are_between_the_quantiles() -> None:
    model = _fitted(output="normal")
    quantiles = model._predictor.forecast(model.history_, np.array([[0, len(model.history_[0])]]), HORIZON)
    assert model.predict().columns["median"][:HORIZON] == quantiles[0, :, MEDIAN].tolist()
    assert (np.diff(quantiles, axis=-1) > 0).all()


def test_a_gap_at_the_begin_of_what_is_kept_is_filled_as_in_the_whole_history() -> None:
    columns = _columns(days=200)
    for row, day in enumerate(columns["day"]):
        if day > "2024-01-20":
            columns["rain"][row] = None  # the last one known lies before what is kept
        if "2024-04-10" < day < "2024-05-20":
            columns["y"][row] = None
    model = _fit(columns, past_covariates="rain")
    assert len(model.history_[0]) < 200
    assert _tables_equal(model.predict(), model.predict(columns))


def test_names_with_commas_stay_one_field(tmp_path: Path) -> None:
    columns = _columns()
    columns["shop"] = [f'shop "{shop}", Seoul' for shop in columns["shop"]]
    text = "\n".join(answer.text for answer in _fit(columns).answers([]))
    (tmp_path / "forecast.csv").write_text(text, encoding="utf-8")
    assert set(read_table(tmp_path / "forecast.csv").columns["series"]) == set(columns["shop"])


def test_standard_input_that_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.TextIOWrapper(io.BytesIO(b"day,shop,y\n2024-01-01,a,\xff\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", piped)
    with pytest.raises(InputError, match="not UTF-8"):
        list(_fitted().answers(["-"]))


def test_the_share_that_is_learned_from_is_recorded() -> None:
    whole, part = (_fit(_columns(), train_fraction=share) for share in (1.0, 0.5))
    windows = [model.run_.read_config()["data"]["training_windows"] for model in (whole, part)]
    assert windows[1] == round(windows[0] / 2)


_DAMAGE: list[tuple[tuple[Any, ...], Any]] = [
    ((), []),
    (("view",), None),
    (("view", "columns"), None),
    (("view", "columns", "past"), None),
    (("view", "columns", "future"), ["other"]),
    (("view", "frequency", "phase"), None),
    (("view", "frequency", "phase"), 10**30),
    (("view", "frequency", "unit"), "fortnight"),
    (("view", "covariates", 0, "mean"), ""),
    (("view", "covariates", 0, "scale"), 0),
    (("view", "covariates", 0, "missing"), 10**30),
    (("view", "covariates", 1, "categories"), [[1]]),
    (("view", "transform"), "root"),
    (("view", "periods"), []),
    (("view", "reach"), 1),
    (("history",), ""),
    (("history", 0, "start"), 10**30),
    (("history", 0, "target"), []),
    (("history", 0, "covariates"), {}),
    (("history", 0, "static"), None),
    (("history", 0, "static", "size"), []),
    (("widening", 0), -1),
    (("widening", 0), None),
]


@pytest.mark.parametrize(("place", "value"), _DAMAGE, ids=str)
def test_a_damaged_memory_is_told(place: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    model = _fitted(**COVARIATES)
    model.save(tmp_path / "run")
    path = tmp_path / "run" / "task.json"
    content = {"whole": json.loads(path.read_text(encoding="utf-8"))}
    part: Any = content
    for step in ("whole", *place)[:-1]:
        part = part[step]
    part[("whole", *place)[-1]] = value
    path.write_text(json.dumps(content["whole"]), encoding="utf-8")
    with pytest.raises(InputError, match=r"task\.json: damaged"):
        elman.load(tmp_path / "run")

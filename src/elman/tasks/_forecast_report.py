"""What the report shows of forecasts: pictures, scores by series and by step, and whether it beats doing nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elman.data.series import Series
from elman.inspection import Grid, Picture, Section, Text, figure_svg
from elman.tasks._forecast_scores import HIGH, LEVELS, LOW, MEDIAN, Judged, coverage, crps
from elman.tasks._forecast_windows import View
from elman.tasks._statistics import Failures

_DRAWN = 4  # series in pictures
_LISTED = 50  # series in the table
_BANDS = ((0.05, 0.95), (0.1, 0.9), (0.25, 0.75))


def sections(
    series: Sequence[Series],
    judged: Judged,
    baselines: Mapping[str, Mapping[str, float]],
    view: View,
    failures: Mapping[str, Failures],
) -> list[Section]:
    """The parts of the report."""
    lines = [verdict(judged.scores(), baselines), *_told(failures)]
    parts = [Section("Against the simplest forecasts", [Text("", "\n".join(lines))])]
    numbers = list(dict.fromkeys(judged.places[:, 0].tolist()))
    pictures = [_picture(series[number], judged.of(number), view) for number in numbers[:_DRAWN]]
    parts.append(Section("Forecasts", pictures))
    parts.append(Section("By step ahead", [_by_horizon(judged)]))
    if len(numbers) > 1:
        parts.append(Section("By series", [_by_series(series, judged, numbers)]))
    return parts


def verdict(scores: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> str:
    """One honest sentence: which baselines the model beats, by the error of its medians.

    >>> verdict({"mae": 0.9}, {"naive": {"mae": 1.0}, "ets": {"mae": 0.8}})
    'Beats naive by 10.0 % of its error; does not beat ets, whose error is 11.1 % lower.'
    """
    ours = scores.get("mase", scores["mae"])
    theirs = {who.replace("_", " "): values.get("mase", values["mae"]) for who, values in baselines.items()}
    won = [f"{who} by {100 * (1 - ours / each):.1f} %" for who, each in theirs.items() if each > ours]
    lost = [
        f"{who}, whose error is {100 * (1 - each / ours):.1f} % lower"
        for who, each in theirs.items()
        if not each > ours
    ]
    beaten = f"Beats {', '.join(won)} of its error" if won else "Beats none of them"
    return f"{beaten}; does not beat {', '.join(lost)}." if lost else f"{beaten}."


def _told(failures: Mapping[str, Failures]) -> list[str]:
    return [
        f"{who}: {each.unconverged} fits stopped before they converged and were used as they were; "
        f"{each.fallbacks} failed and gave the seasonal naive forecast."
        for who, each in failures.items()
        if each.unconverged or each.fallbacks
    ]


def _picture(series: Series, judged: Judged, view: View) -> Picture:
    """The last forecast that was judged, what came, and the history before it."""
    from matplotlib.figure import Figure

    origin, steps = int(judged.places[-1, 1]), judged.truth.shape[1]
    begin = max(0, origin - max(3 * steps, 2 * view.periods[0]))
    times = view.frequency.times(series.start + np.arange(begin, origin + steps))
    across: Any = times.astype(np.int64) if view.frequency.unit == "number" else times
    known, ahead = across[: origin - begin], across[origin - begin :]
    quantiles = judged.quantiles[-1]
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(known, series.target[begin:origin], color="#444444", lw=1.2, label="history")
    axes.plot(ahead, judged.truth[-1], "o-", color="#444444", ms=2.5, lw=0.8, label="what came")
    axes.plot(ahead, quantiles[:, MEDIAN], color="#1f5f99", lw=1.6, label="forecast (median)")
    if (quantiles[:, LOW] < quantiles[:, HIGH]).any():
        axes.fill_between(
            ahead, quantiles[:, LOW], quantiles[:, HIGH], color="#1f5f99", alpha=0.2, lw=0, label="80 %"
        )
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", rotation=20, labelsize="small")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    told = view.frequency.text(times[origin - begin : origin - begin + 1])[0]
    return Picture(figure_svg(figure), f"{series.name or view.columns.target}, forecast from {told} on")


def _by_horizon(judged: Judged) -> Grid:
    """CRPS and coverage of each step; of many steps some."""
    steps = judged.truth.shape[1]
    shown = sorted({*np.linspace(1, steps, min(steps, 24)).round().astype(int).tolist()})
    with_law = bool((judged.quantiles[..., LOW] < judged.quantiles[..., HIGH]).any())
    loss = crps(judged.truth, judged.quantiles)
    bands = [
        (f"{100 * (high - low):.0f} % interval holds", LEVELS.index(low), LEVELS.index(high))
        for low, high in _BANDS
    ]
    rows = []
    for step in shown:
        truth, quantiles = judged.truth[:, step - 1], judged.quantiles[:, step - 1]
        if np.isnan(truth).all():
            continue
        row = [
            step,
            float(np.nanmean(np.abs(truth - quantiles[:, MEDIAN]))),
            float(np.nanmean(loss[:, step - 1])),
        ]
        rows.append(
            row + ([coverage(truth, quantiles, low, high) for _, low, high in bands] if with_law else [])
        )
    return Grid(["step", "MAE", "CRPS", *([name for name, _, _ in bands] if with_law else [])], rows)


def _by_series(series: Sequence[Series], judged: Judged, numbers: Sequence[int]) -> Grid:
    own = {number: judged.of(number).scores() for number in numbers}
    shown = sorted(numbers, key=lambda number: -own[number].get("mase", math.inf))[:_LISTED]
    names = list(dict.fromkeys(name for scores in own.values() for name in scores))
    return Grid(
        ["series (worst first)", *names],
        [[series[number].name, *(own[number].get(name, "") for name in names)] for number in shown],
    )

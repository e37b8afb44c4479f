"""A trained network at work: forecasts from any origin, and beside the baselines on the same origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.data.series import Series
from elman.errors import InputError
from elman.tasks import _forecast_law as law
from elman.tasks import _forecast_scores as scores
from elman.tasks._forecast_scores import Judged
from elman.tasks._forecast_windows import Places, View, Windows
from elman.tasks._statistics import Failures, methods, remembered

if TYPE_CHECKING:
    from elman.nn.forecaster import Window

_PATHS = 100  # simulated paths of a recursive forecast
BATCH = 256  # windows forecast at once


@dataclass
class Predictor:
    """A network, how it sees series, what it says of each step, and by how much its intervals are widened, (H,)."""

    network: Any
    view: View
    mode: Literal["direct", "recursive"]
    output: str
    widening: NDArray[np.float64]

    def window(self, windows: Windows, places: Places, steps: int | None = None) -> Window:
        """A batch on the device of a torch network, with so many steps ahead, else the horizon."""
        from elman.nn.forecaster import Window

        return Window.of(windows.batch(places, steps), next(self.network.parameters()).device)

    def quantiles(
        self, series: Sequence[Series], places: Places, steps: int, beyond: int = 0
    ) -> NDArray[np.float64]:
        """Quantiles (N, steps, Q) as the network sees values, not yet widened; `beyond` as for `Windows`."""
        if self.mode == "direct" and steps > self.view.horizon:
            raise InputError(
                f"horizon is {steps}, expected at most {self.view.horizon}, as trained; train with a longer one "
                "or with --mode recursive, which has no limit."
            )
        windows = Windows(self.view, series, max(steps, self.view.horizon), beyond)
        found, how = [], (self.output, scores.LEVELS)
        for start in range(0, len(places), BATCH):
            some = places[start : start + BATCH]
            if self.mode == "direct":
                quantiles = law.quantiles(self.network, windows.batch(some), *how)[:, :steps]
            else:
                quantiles = law.simulated(self.network, windows.batch(some, steps), *how, paths=_PATHS)
            found.append(quantiles + windows.centers(some)[:, None, None])
        return np.concatenate(found)

    def forecast(
        self, series: Sequence[Series], places: Places, steps: int, beyond: int = 0
    ) -> NDArray[np.float64]:
        """Quantiles (N, steps, Q) in the unit of the series, widened."""
        quantiles = self.quantiles(series, places, steps, beyond)
        factors = self.widening[np.minimum(np.arange(steps), self.view.horizon - 1)]
        return self.view.backward(scores.widened(quantiles, factors))

    def judge(self, series: Sequence[Series], places: Places, ends: Sequence[int] | None = None) -> Judged:
        """Forecasts beside what came. ends: steps that give the unit of mase; None: those before the first origin."""
        units = {}
        for number in np.unique(places[:, 0]).tolist():
            end = ends[number] if ends and ends[number] else int(places[places[:, 0] == number][0, 1])
            units[number] = scores.scale(series[number].target[:end], self.view.periods[0])
        quantiles = self.forecast(series, places, self.view.horizon)
        scales = np.array([units[number] for number in places[:, 0].tolist()])
        return Judged(places, truth(series, places, self.view.horizon), quantiles, scales)


def truth(series: Sequence[Series], places: Places, steps: int) -> NDArray[np.float64]:
    """What came after each origin, (N, steps), NaN where it is unknown."""
    longer = [np.concatenate([one.target, np.full(steps, np.nan)]) for one in series]
    return np.stack([longer[number][origin : origin + steps] for number, origin in places])


def compare(
    series: Sequence[Series], judged: Judged, period: int
) -> tuple[dict[str, dict[str, float]], dict[str, Failures]]:
    """Scores of the baselines on the same origins, each fitted to what is before the origin; and what went wrong."""
    failures: dict[str, Failures] = {}
    found: dict[str, list[NDArray[np.float64]]] = {}
    for number in dict.fromkeys(judged.places[:, 0].tolist()):
        fitted = methods(period, failures)
        for _, origin in judged.places[judged.places[:, 0] == number]:
            values = remembered(series[number].target[:origin], period)
            for who, method in fitted.items():
                found.setdefault(who, []).append(method(values, judged.truth.shape[1]))
    return {
        who: scores.all_scores(judged.truth, np.stack(forecasts), judged.scales)
        for who, forecasts in found.items()
    }, failures


def folds(series: Sequence[Series], steps: int, count: int, stride: int) -> Places:
    """The last `count` origins of each series, `stride` steps apart, that a value comes before."""
    places = [
        (number, origin)
        for number, one in enumerate(series)
        for origin in range(len(one) - steps - (count - 1) * stride, len(one) - steps + 1, stride)
        if origin > 0 and not np.isnan(one.target[:origin]).all()
    ]
    if not places:
        raise InputError(
            f"horizon {steps} is longer than the series: the longest has {max(map(len, series))} steps, and at "
            "least one must be known before the first forecast."
        )
    return np.array(places)

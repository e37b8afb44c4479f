"""The network of a forecaster: a window of a series in, the distribution of the steps after it out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.dropout import Dropout
from elman.nn.recurrent import Recurrent

Output = Literal["quantiles", "normal", "student-t", "point"]

_RATES = ("level", "trend", "season", "damping")
_RATE_STARTS = (0.5, 0.2, 0.3, 0.97)
_SIZE_RATE = 0.1  # weight of a step in the present size of steps falls by this a step into the past
_POWERS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_NORMAL_MEAN = math.sqrt(2 / math.pi)  # of |x|, x normal with deviation 1
_PACE = 10.0  # the few global parameters move so many times faster than the weights
_SMALLEST = 1e-6


@dataclass(slots=True)
class Window:
    """A batch of windows. B rows, R remembered steps, C <= R of them read by the recurrent layers, H steps ahead.

    Attributes:
        values: (B, R) the target less its last known value, a gap filled with the value before it.
        known: (B, R) 1 where there was a value, 0 where it is filled or before the series began.
        begun: (B, R) 1 from the first value of the series on.
        inputs: (B, C, I) covariates and calendar of the last C steps.
        ahead: (B, H, G) what is known of the steps ahead.
        targets: (B, H) values ahead, less the last known one; absent when forecasting.
        wanted: (B, H) 1 where a target is known.
        floor: (B,) least size of a step of the series that counts as one.
    """

    values: Tensor
    known: Tensor
    begun: Tensor
    inputs: Tensor
    ahead: Tensor
    targets: Tensor
    wanted: Tensor
    floor: Tensor

    @classmethod
    def of(cls, arrays: dict[str, NDArray[np.float32]], device: torch.device) -> Window:
        return cls(**{field.name: torch.from_numpy(arrays[field.name]).to(device) for field in fields(cls)})


@dataclass(slots=True)
class Law:
    """What is forecast for each row and step, (B, H): `location`, the median; `spread` > 0; and the `shape`.

    size: (B, 1) of a step of the window, the unit of the loss.
    shape: (B, H, Q - 1) steps from one quantile to the next, in units of `spread`, the middle one at the location;
    or for student-t (B, H, 1) degrees of freedom; else (B, H, 0).
    """

    location: Tensor
    spread: Tensor
    shape: Tensor
    size: Tensor


class Smoothing(nn.Module):
    """Level, trend and season of a window by exponential weights: the method of Holt and Winters in closed form.

    With cycles i = 1..n of m steps, their means u_i, and weights w that fall by (1 - rate) a cycle or step back:
        b = mean_w(u_i - u_{i-1})                            trend of one cycle
        s_p = mean_w(y_{i,p} - u_i - b (p - (m-1)/2) / m)    season of phase p
        l = mean_w(y_t - s_t + b (T - t) / m)                level at the end
        y_{T+h} = l + b / m (d + d^2 + ... + d^h) + s_h      d: damping
    The three rates and d are learned, one of each for all series.

    Input: values, begun (B, R). Output: (B, H), and the seasonally adjusted window less the level, (B, R).
    """

    def __init__(self, period: int, horizon: int) -> None:
        super().__init__()
        self.period, self.horizon = period, horizon
        starts = torch.tensor(_RATE_STARTS)
        self.rates = nn.Parameter((starts / (1 - starts)).log() / _PACE)

    def forward(self, values: Tensor, begun: Tensor) -> tuple[Tensor, Tensor]:
        m = self.period
        cycles = values.shape[1] // m
        level_rate, trend_rate, season_rate, damping = torch.sigmoid(_PACE * self.rates).unbind()
        y = values[:, -cycles * m :].reshape(-1, cycles, m)
        whole = begun[:, -cycles * m :].reshape(-1, cycles, m).amin(-1)
        means = y.mean(-1)
        trend = _mean(means.diff(dim=1), whole[:, 1:] * whole[:, :-1], trend_rate)
        place = (torch.arange(m, device=y.device) - (m - 1) / 2) / m
        deviation = y - means.unsqueeze(-1) - trend[:, None, None] * place
        season = _mean(deviation.transpose(1, 2), whole.unsqueeze(1), season_rate)
        age = torch.arange(values.shape[1] - 1, -1, -1, device=y.device)
        adjusted = values - season[:, (m - 1 - age) % m] + trend.unsqueeze(1) * age / m
        level = _mean(adjusted, begun, level_rate)
        ahead = torch.arange(1, self.horizon + 1, device=y.device)
        climb = torch.cumsum(damping**ahead, 0) / m
        forecast = level.unsqueeze(1) + trend.unsqueeze(1) * climb + season[:, (ahead - 1) % m]
        return forecast, adjusted - level.unsqueeze(1)


def _mean(values: Tensor, counted: Tensor, rate: Tensor) -> Tensor:
    """Mean along the last axis, with weights that fall by (1 - rate) a place from its end; 0 where nothing counts."""
    age = torch.arange(values.shape[-1] - 1, -1, -1, device=values.device)
    weights = counted * torch.exp(torch.log1p(-rate) * age)
    return (weights * values).sum(-1) / weights.sum(-1).clamp_min(1e-12)


class Anchors(nn.Module):
    """Simple forecasts of a window, from which the network's own is mixed: (B, H, K).

    The last value; exponential smoothing; and for every period m: the last cycle again, the last cycle raised by the
    difference of the last two cycles' means, and smoothing with a season of m.
    """

    def __init__(self, periods: Sequence[int], horizon: int) -> None:
        super().__init__()
        self.periods, self.horizon = [period for period in periods if period > 1], horizon
        self.smoothing = nn.ModuleList(Smoothing(period, horizon) for period in (1, *self.periods))

    @property
    def count(self) -> int:
        return 2 + 3 * len(self.periods)

    def forward(self, values: Tensor, begun: Tensor) -> tuple[Tensor, Tensor]:
        """The forecasts, and the window less season and level, by the first period, (B, R)."""
        smooth = [smoothing(values, begun) for smoothing in self.smoothing]
        found = [torch.zeros_like(values[:, :1]).expand(-1, self.horizon), smooth[0][0]]
        ahead = torch.arange(self.horizon, device=values.device)
        for period, (forecast, _) in zip(self.periods, smooth[1:], strict=True):
            again = values[:, -period:][:, ahead % period]
            both = begun[:, -2 * period :].amin(-1)
            rise = (values[:, -period:].mean(-1) - values[:, -2 * period : -period].mean(-1)) * both
            found += [again, again + rise.unsqueeze(1) * (ahead // period + 1), forecast]
        return torch.stack(found, dim=-1), smooth[min(1, len(self.periods))][1]


class Member(nn.Module):
    """One forecaster: an encoder reads the window, a decoder the steps ahead, and a head says what comes.

    location_h = sum_k softmax(w_h + W g_h)_k anchor_{h,k} + r (v . g_h),   g_h the decoder's output at step h
    spread_h = r exp(e_h + u . g_h),   r the size of a step: the least mean |difference| over one step or one period.
    All that depends on g starts at zero: before the first update the forecast is the mean of the anchors.
    """

    def __init__(
        self,
        encoder: Recurrent,
        decoder: Recurrent,
        *,
        periods: Sequence[int],
        horizon: int,
        output: Output,
        levels: Sequence[float],
        dropout: float,
        variational: bool,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.output = encoder, decoder, output
        self.anchors = Anchors(periods, horizon)
        self.dropout = Dropout(dropout, variational)
        steps = _shape_start(output, levels)
        self.mixture = nn.Parameter(torch.zeros(horizon, self.anchors.count))
        self.widths = nn.Parameter(0.5 * torch.arange(1, horizon + 1).log() / _PACE)
        self.shape = nn.Parameter(steps)
        self.head = nn.Linear(decoder.hidden_size, self.anchors.count + 2 + len(steps))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @staticmethod
    def sizes(periods: Sequence[int], inputs: int, ahead: int) -> tuple[int, int]:
        """Features that encoder and decoder read, of windows with so many `inputs` and `ahead`."""
        seasons = len([period for period in periods if period > 1])
        return inputs + 5 + seasons, ahead + 2 + 2 + 3 * seasons

    @torch.no_grad()
    def trust(self, window: Window) -> None:
        """First values from some windows: weights of the anchors by their errors, and how far off the mixture is.

        The weights of each step are the errors to a negative power, that with the least error of the mixture.
        """
        anchors, _ = self.anchors(window.values, window.begun)
        size, wanted = self._size(window).unsqueeze(1), window.wanted
        count = wanted.sum(0).clamp_min(1)

        def error(forecast: Tensor) -> Tensor:
            """Mean over the windows in units of their size, (H, ...)."""
            off = (window.targets.unsqueeze(-1) - forecast).abs() / size.unsqueeze(-1)
            return (off * wanted.unsqueeze(-1)).sum(0) / count.unsqueeze(-1)

        single = error(anchors).clamp_min(_SMALLEST).log()
        tried = []
        for power in _POWERS:
            weights = torch.softmax(-power * single, dim=-1)
            off = error((weights * anchors).sum(-1, keepdim=True)).squeeze(-1)
            tried.append((float(off.mean()), power, off))
        _, power, off = min(tried, key=lambda each: each[:2])
        self.mixture.copy_(-power * (single - single.amin(-1, keepdim=True)) / _PACE)
        self.widths.copy_((off.clamp_min(_SMALLEST) / _NORMAL_MEAN).log() / _PACE)

    def forward(self, window: Window) -> Law:
        values, begun = window.values, window.begun
        anchors, adjusted = self.anchors(values, begun)
        size = self._size(window).unsqueeze(1)
        _, state = self.encoder(self._read(window, adjusted, size))
        horizon = anchors.shape[1]
        step = torch.arange(1, horizon + 1, device=values.device) / horizon
        places = torch.stack([step, step.sqrt()], dim=-1).expand(len(values), -1, -1)
        told = torch.asinh(anchors / size.unsqueeze(2))
        decoded, _ = self.decoder(torch.cat([window.ahead, places, told], dim=-1), state)
        head = self.head(self.dropout(decoded))
        weights, shift, wider, shape = head.split([self.anchors.count, 1, 1, len(self.shape)], dim=-1)
        mixed = (torch.softmax(_PACE * self.mixture + weights, dim=-1) * anchors).sum(-1)
        spread = torch.exp((_PACE * self.widths + wider.squeeze(-1)).clamp(-8, 8)) * size
        return Law(mixed + size * shift.squeeze(-1), spread, F.softplus(self.shape + shape), size)

    def _size(self, window: Window) -> Tensor:
        """r, (B,): how much the window moves once its season and trend are taken off, by the best of the periods."""
        sizes, rate = [], torch.tensor(_SIZE_RATE, device=window.values.device)
        for period in (1, *self.anchors.periods):
            change = window.values[:, period:] - window.values[:, :-period]
            counted = window.known[:, period:] * window.known[:, :-period]
            middle = (change * counted).sum(-1, keepdim=True) / counted.sum(-1, keepdim=True).clamp_min(1)
            change = (change - middle).abs()
            mean = _mean(change, counted, rate).maximum(_mean(change, counted, 0 * rate))
            sizes.append(torch.where(counted.sum(-1) >= 2, mean, math.inf))
        smallest = torch.stack(sizes).amin(0)
        return torch.where(smallest.isfinite(), smallest, 0).clamp_min(window.floor.clamp_min(_SMALLEST))

    def _read(self, window: Window, adjusted: Tensor, unit: Tensor) -> Tensor:
        """What the encoder reads, (B, C, I + ...): the window seen in several ways, and the inputs."""
        steps = window.inputs.shape[1]
        values = window.values
        around = (values - values[:, -steps:].mean(-1, keepdim=True)) * window.begun
        broad = around[:, -steps:].abs().mean(-1, keepdim=True).maximum(unit)
        seen = [around / broad, torch.asinh(adjusted * window.begun / unit), window.known]
        for period in (1, *self.anchors.periods):
            change = F.pad(values[:, period:] - values[:, :-period], (period, 0))
            seen.append(torch.asinh(change / unit))
        seen.append((unit / broad).log().expand_as(values))
        return torch.cat([torch.stack([part[:, -steps:] for part in seen], dim=-1), window.inputs], dim=-1)


class ForecastNetwork(nn.Module):
    """Several `Member`s, each trained on its own; what is forecast is the mean of their quantiles.

    Args:
        members: at least one, all of one output.
        levels: probabilities of the quantiles, increasing, symmetric around 0.5.
    """

    def __init__(self, members: Sequence[Member], levels: Sequence[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.levels, self.output = list(levels), members[0].output

    def trust(self, window: Window) -> None:
        """First values from some windows of the training part: `Member.trust` of each."""
        for member in self._members():
            member.trust(window)

    def loss(self, window: Window) -> tuple[Tensor, int]:
        """Sum over all wanted targets, and their number.

        quantiles: twice the mean pinball loss over the levels, in units of r (an estimate of the CRPS);
        point: |error| / r; normal, student-t: -ln density of the target in units of r, in nats.
        """
        losses = torch.stack([self._loss(member(window), window) for member in self.members])
        return (losses.mean(0) * window.wanted).sum(), int(window.wanted.sum())

    def _members(self) -> list[Member]:
        return [member for member in self.members if isinstance(member, Member)]

    def _loss(self, law: Law, window: Window) -> Tensor:
        size = law.size
        if self.output == "point":
            return (window.targets - law.location).abs() / size
        if self.output == "quantiles":
            levels = torch.tensor(self.levels, device=size.device)
            error = (window.targets.unsqueeze(-1) - _quantiles(law)) / size.unsqueeze(-1)
            return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)
        spread = law.spread / size
        error = (window.targets - law.location) / size
        if self.output == "normal":
            return 0.5 * (error / spread).square() + spread.log() + 0.5 * math.log(2 * math.pi)
        free = 2 + law.shape.squeeze(-1)
        norm = (
            torch.lgamma((free + 1) / 2)
            - torch.lgamma(free / 2)
            - 0.5 * (math.pi * free).log()
            - spread.log()
        )
        return (free + 1) / 2 * torch.log1p((error / spread).square() / free) - norm

    @torch.inference_mode()
    def quantiles(self, window: Window) -> NDArray[np.float64]:
        """Values (B, H, Q) at the levels, less the last known value; of a point forecast all Q are the same."""
        return np.asarray(np.mean([self._levels(member(window)) for member in self.members], axis=0))

    @torch.inference_mode()
    def simulate(self, window: Window, paths: int) -> NDArray[np.float64]:
        """Quantiles (B, H, Q) of a network that forecasts one step, by so many paths of steps that follow each other.

        Each path draws its next value from the law of one step and reads it as if it had been seen. The probabilities
        drawn are the same for every row: a forecast does not depend on its company. Past covariates keep their last.
        """
        rows, horizon = window.ahead.shape[:2]
        drawn = np.random.default_rng(0).permuted(
            np.tile((np.arange(paths) + 0.5) / paths, (horizon, 1)), axis=1
        )
        now = Window(*(getattr(window, f.name).repeat_interleave(paths, 0) for f in fields(window)))
        ahead, level = now.ahead, torch.zeros(rows * paths, dtype=torch.float64, device=now.values.device)
        past = now.inputs[:, -1:, ahead.shape[2] :]
        found = []
        for step in range(horizon):
            now.ahead = ahead[:, step : step + 1]
            law = self.quantiles(now)[:, 0]
            value = torch.from_numpy(_drawn(law, np.tile(drawn[step], rows), self.levels)).to(level)
            level = level + value
            found.append(level.cpu().numpy().reshape(rows, paths))
            value = value.to(now.values).unsqueeze(1)
            now.values = torch.cat([now.values[:, 1:], value], dim=1) - value
            now.known, now.begun = (F.pad(part[:, 1:], (0, 1), value=1.0) for part in (now.known, now.begun))
            now.inputs = torch.cat([now.inputs[:, 1:], torch.cat([now.ahead, past], dim=-1)], dim=1)
        return np.asarray(np.quantile(np.stack(found, axis=1), self.levels, axis=-1).transpose(1, 2, 0))

    def _levels(self, law: Law) -> NDArray[np.float64]:
        if self.output == "quantiles":
            return _quantiles(law).double().cpu().numpy()
        location, spread = (x.double().cpu().numpy()[..., None] for x in (law.location, law.spread))
        if self.output == "point":
            return np.repeat(location, len(self.levels), axis=-1)
        if self.output == "normal":
            offsets = np.array([NormalDist().inv_cdf(level) for level in self.levels])
        else:
            from scipy.stats import t

            offsets = t.ppf(self.levels, 2 + law.shape.double().cpu().numpy())
        return np.asarray(location + spread * offsets)


def _drawn(
    quantiles: NDArray[np.float64], drawn: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """The quantile of each row (B, Q) at its own probability (B,): between the levels, and beyond them, on a line."""
    places = np.array(levels)
    right = np.clip(np.searchsorted(places, drawn), 1, len(places) - 1)
    share = (drawn - places[right - 1]) / (places[right] - places[right - 1])
    rows = np.arange(len(quantiles))
    left = quantiles[rows, right - 1]
    return np.asarray(left + share * (quantiles[rows, right] - left))


def _quantiles(law: Law) -> Tensor:
    """(B, H, Q): the median, and away from it the sums of the steps."""
    steps = law.shape * law.spread.unsqueeze(-1)
    middle = steps.shape[-1] // 2
    below = -steps[..., :middle].flip(-1).cumsum(-1).flip(-1)
    above = steps[..., middle:].cumsum(-1)
    location = law.location.unsqueeze(-1)
    return torch.cat([location + below, location, location + above], dim=-1)


def _shape_start(output: Output, levels: Sequence[float]) -> Tensor:
    """What gives, through softplus, the quantiles of a normal law, or some eight degrees of freedom."""
    if output == "student-t":
        return torch.tensor([6.0])
    if output != "quantiles":
        return torch.zeros(0)
    steps = np.diff([NormalDist().inv_cdf(level) for level in levels])
    return torch.tensor(np.log(np.expm1(steps)), dtype=torch.float32)

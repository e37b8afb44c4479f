"""The network of a forecaster: a window of a series in, the distribution of the steps after it out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.described import END, FLOAT, Described, Description
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

    def describe(self, d: Description, values: str, begun: str) -> tuple[str, str]:
        m, logits = self.period, d.mul(d.tensor(self.rates), _PACE)
        kept = d.neg(d.softplus(logits))  # ln(1 - rate)
        steps = d.gather(d.shape(values), 1)
        rest = d.unsqueeze(d.mod(steps, m), [0])
        y, whole = (d.reshape(d.slice(x, rest, [END], [1]), [0, -1, m]) for x in (values, begun))
        whole = d.reduce_min(whole, axes=[2], keepdims=0)
        means = d.reduce_mean(y, axes=[2], keepdims=0)
        rises = d.sub(d.slice(means, [1], [END], [1]), d.slice(means, [0], [-1], [1]))
        both = d.mul(d.slice(whole, [1], [END], [1]), d.slice(whole, [0], [-1], [1]))
        trend = d.unsqueeze(_described_mean(d, rises, both, d.gather(kept, 1)), [1])
        place = (np.arange(m, dtype=np.float32) - (m - 1) / 2) / m
        deviation = d.sub(d.sub(y, d.unsqueeze(means, [2])), d.mul(d.unsqueeze(trend, [2]), place))
        by_phase = d.transpose(deviation, perm=[0, 2, 1])
        season = _described_mean(d, by_phase, d.unsqueeze(whole, [1]), d.gather(kept, 2))
        age = d.range(d.sub(steps, 1), -1, -1)
        climbed = d.div(d.mul(trend, d.cast(age, to=FLOAT)), float(m))
        phases = d.gather(season, d.mod(d.sub(m - 1, age), m), axis=1)
        adjusted = d.add(d.sub(values, phases), climbed)
        level = d.unsqueeze(_described_mean(d, adjusted, begun, d.gather(kept, 0)), [1])
        ahead = np.arange(1, self.horizon + 1)
        damped = d.pow(d.sigmoid(d.gather(logits, 3)), ahead.astype(np.float32))
        climb = d.div(d.cum_sum(damped, 0), float(m))
        forecast = d.add(d.add(level, d.mul(trend, climb)), d.gather(season, (ahead - 1) % m, axis=1))
        return forecast, d.sub(adjusted, level)


def _mean(values: Tensor, counted: Tensor, rate: Tensor) -> Tensor:
    """Mean along the last axis, with weights that fall by (1 - rate) a place from its end; 0 where nothing counts."""
    age = torch.arange(values.shape[-1] - 1, -1, -1, device=values.device)
    weights = counted * torch.exp(torch.log1p(-rate) * age)
    return (weights * values).sum(-1) / weights.sum(-1).clamp_min(1e-12)


def _described_mean(d: Description, values: str, counted: str, kept: str | np.float32) -> str:
    """`_mean`; kept: ln(1 - rate)."""
    age = d.range(d.sub(d.gather(d.shape(values), -1), 1), -1, -1)
    weights = d.mul(counted, d.exp(d.mul(kept, d.cast(age, to=FLOAT))))
    total = d.reduce_sum(d.mul(weights, values), [-1], keepdims=0)
    return d.div(total, d.max(d.reduce_sum(weights, [-1], keepdims=0), 1e-12))


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

    def describe(self, d: Description, values: str, begun: str) -> tuple[str, str]:
        smooth = [part.describe(d, values, begun) for part in self.smoothing if isinstance(part, Smoothing)]
        ahead = np.arange(self.horizon)
        nothing = d.mul(d.slice(values, [0], [1], [1]), np.zeros((1, self.horizon), np.float32))
        found = [nothing, smooth[0][0]]
        for period, (forecast, _) in zip(self.periods, smooth[1:], strict=True):
            last = d.slice(values, [-period], [END], [1])
            again = d.gather(last, ahead % period, axis=1)
            both = d.reduce_min(d.slice(begun, [-2 * period], [END], [1]), axes=[1])
            before = d.reduce_mean(d.slice(values, [-2 * period], [-period], [1]), axes=[1])
            rise = d.mul(d.sub(d.reduce_mean(last, axes=[1]), before), both)
            cycles = (ahead // period + 1).astype(np.float32)
            found += [again, d.add(again, d.mul(rise, cycles)), forecast]
        stacked = d.concat(*(d.unsqueeze(one, [2]) for one in found), axis=2)
        return stacked, smooth[min(1, len(self.periods))][1]


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

    def describe(self, d: Description, window: Mapping[str, str]) -> tuple[str, str, str | None]:
        """Location, spread and, where the law has one, shape."""
        values, begun = window["values"], window["begun"]
        anchors, adjusted = self.anchors.describe(d, values, begun)
        size = d.unsqueeze(self._describe_size(d, window), [1])
        _, state = d.layers(self._describe_read(d, window, adjusted, size), self.encoder)
        horizon = self.anchors.horizon
        step = np.arange(1, horizon + 1, dtype=np.float32) / horizon
        places = np.stack([step, np.sqrt(step)], -1)[None]
        shape = d.concat(d.shape(window["ahead"], end=1), d.constant([horizon, 2]), axis=0)
        told = d.asinh(d.div(anchors, d.unsqueeze(size, [2])))
        decoded, _ = d.layers(
            d.concat(window["ahead"], d.expand(places, shape), told, axis=2), self.decoder, state=state
        )
        sizes = [self.anchors.count, 1, 1, *([len(self.shape)] if len(self.shape) else [])]
        weights, shift, wider, *steps = d.parts(d.linear(decoded, self.head), sizes, axis=2)
        shares = d.softmax(d.add(d.mul(d.tensor(self.mixture), _PACE), weights), axis=2)
        mixed = d.reduce_sum(d.mul(shares, anchors), [2], keepdims=0)
        logs = d.add(d.mul(d.tensor(self.widths), _PACE), d.squeeze(wider, [2]))
        return (
            d.add(mixed, d.mul(size, d.squeeze(shift, [2]))),
            d.mul(d.exp(d.clip(logs, -8.0, 8.0)), size),
            d.softplus(d.add(d.tensor(self.shape), steps[0])) if steps else None,
        )

    def _describe_size(self, d: Description, window: Mapping[str, str]) -> str:
        sizes, large = [], np.finfo(np.float32).max
        for period in (1, *self.anchors.periods):
            now, past = ((d.slice(window[name], [period], [END], [1]), d.slice(window[name], [0], [-period], [1]))
                         for name in ("values", "known"))  # fmt: skip
            change, counted = d.sub(*now), d.mul(*past)
            count = d.reduce_sum(counted, [1])
            middle = d.div(d.reduce_sum(d.mul(change, counted), [1]), d.max(count, 1.0))
            change = d.abs(d.sub(change, middle))
            rates = (np.float32(np.log1p(-_SIZE_RATE)), np.float32(0))
            mean = d.max(*(_described_mean(d, change, counted, kept) for kept in rates))
            sizes.append(d.where(d.less(d.squeeze(count, [1]), 2.0), large, mean))
        smallest = d.min(*sizes)
        smallest = d.where(d.less(smallest, large), smallest, 0.0)
        return d.max(smallest, d.max(window["floor"], _SMALLEST))

    def _describe_read(self, d: Description, window: Mapping[str, str], adjusted: str, unit: str) -> str:
        values, begun = window["values"], window["begun"]
        first = d.neg(d.shape(window["inputs"], start=1, end=2))

        def read(x: str) -> str:
            return d.slice(x, first, [END], [1])

        around = d.mul(d.sub(values, d.reduce_mean(read(values), axes=[1])), begun)
        broad = d.max(d.reduce_mean(d.abs(read(around)), axes=[1]), unit)
        seen = [d.div(around, broad), d.asinh(d.div(d.mul(adjusted, begun), unit)), window["known"]]
        for period in (1, *self.anchors.periods):
            change = d.sub(d.slice(values, [period], [END], [1]), d.slice(values, [0], [-period], [1]))
            seen.append(d.asinh(d.div(d.pad(change, [0, period, 0, 0]), unit)))
        seen.append(d.expand(d.log(d.div(unit, broad)), d.shape(values)))
        return d.concat(*(d.unsqueeze(read(part), [2]) for part in seen), window["inputs"], axis=2)


class ForecastNetwork(Described):
    """Several `Member`s, each trained on its own; what is forecast is the mean of their quantiles.

    Args:
        members: at least one, all of one output.
        levels: probabilities of the quantiles, increasing, symmetric around 0.5.
    """

    def __init__(self, members: Sequence[Member], levels: Sequence[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.levels, self.output = list(levels), members[0].output

    def describe(self, d: Description) -> None:
        """What `Window` has beside the targets; of each member the `Law`: location and spread (B, M, H), and where the
        law has one its shape (B, M, H, S)."""
        member = self._members()[0]
        horizon, extra = member.anchors.horizon, 5 + len(member.anchors.periods)
        ahead = member.decoder.input_size - 2 - member.anchors.count
        sizes: dict[str, tuple[int | str, ...]] = {
            **dict.fromkeys(("values", "known", "begun"), ("batch", "reach")),
            "inputs": ("batch", "context", member.encoder.input_size - extra),
            "ahead": ("batch", horizon, ahead),
            "floor": ("batch",),
        }
        window = {name: d.input(name, "float32", axes) for name, axes in sizes.items()}
        laws = zip(*(one.describe(d, window) for one in self._members()), strict=True)
        axes = ("batch", len(self.members), horizon)
        for name, parts in zip(("location", "spread", "shape"), laws, strict=True):
            found = [d.unsqueeze(part, [1]) for part in parts if part is not None]
            behind = (len(member.shape),) if name == "shape" else ()
            if found:
                d.output(name, d.concat(*found, axis=1), "float32", (*axes, *behind))

    def answer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        nothing = torch.zeros_like(inputs["floor"])
        laws = [member(Window(**inputs, targets=nothing, wanted=nothing)) for member in self.members]
        names = ("location", "spread", *(("shape",) if laws[0].shape.shape[2] else ()))
        return {name: torch.stack([getattr(law, name) for law in laws], 1) for name in names}

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

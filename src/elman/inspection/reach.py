"""How far something is felt through time: a gradient on its way back, a changed input on its way on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FELT = 0.01
"""Share of the strongest effect, or gradient, below which one counts as gone."""


SHORT = 0.25
"""Share of the steps that could be seen; what reaches less far back is short."""


@dataclass(frozen=True)
class Reach:
    """How far something is felt: its strength at lags 0, 1, 2, ... steps, in the direction in which it was read.

    strength: (K,), NaN at a lag that was not seen.
    """

    strength: NDArray[np.float64]

    def length(self, share: float = FELT) -> int:
        """The largest lag at which the strength is still more than `share` of the largest; 0 where nothing is felt."""
        known = np.nan_to_num(self.strength)
        felt = np.flatnonzero(known > share * known.max(initial=0.0))
        return int(felt[-1]) if len(felt) else 0

    @property
    def seen(self) -> int:
        """The largest lag that could be seen."""
        known = np.flatnonzero(~np.isnan(self.strength))
        return int(known[-1]) if len(known) else 0

    @property
    def factor(self) -> float:
        """By what it changes from one lag to the next, in geometric mean from lag 1 to the last that is above a
        millionth of the largest: below 1 it vanishes, above 1 it explodes; NaN where fewer than three lags tell."""
        known = np.nan_to_num(self.strength)
        end = self.length(1e-6)
        if end < 3 or not known[1] > 0:
            return math.nan
        return float((known[end] / known[1]) ** (1 / (end - 1)))

"""Daily prices of futures months that move together, from a seed: a history for margin models where no real one is long enough.

The logarithm of a month's price is that of one market in two factors (Schwartz and Smith 2000), as in `valuation`:

| part | of every month | a day |
|---|---|---|
| slow | whole | normal, (1 - fast part) of the variance |
| fast | exp(-reversion x months ahead / 12) of it | normal, the rest of the variance; drawn back to zero |
| own | its own | normal, `OWN_SHARE` of the volatility: months do not move quite alike |
| launch | whole | -0.22 on the days of a hardware launch (Assody, "Pricing Compute Futures", SSRN 6926798, 2026) |

Volatility itself is not constant: it follows an exponentially weighted mean of its own squares (`CALM` a day), so quiet times and
wild ones come in bunches, as they do in real prices. This is a model of a world, not a forecast.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.simulation.chance import stream
from ciyuan.simulation.valuation import DAYS_IN_YEAR, FAST_PART

LAUNCH_LOG = -0.22
OWN_SHARE = 0.15
"""A month's own daily volatility, as a share of the market's."""
CALM = 0.9
"""How much of yesterday's variance is in today's; the rest is the long-run variance and yesterday's squared move."""
NEWS = 0.07
"""How much of yesterday's squared move is in today's variance."""


@dataclass(frozen=True, slots=True)
class PathTerms:
    """What the paths are made of: `start_usd` of the nearest month, a year's volatility and reversion, launch days from 1 on."""

    start_usd: float = 0.95
    volatility_year: float = 0.45
    reversion_year: float = 12.0
    launch_days: Sequence[int] = ()


def month_paths(seed: int, days: int, months: int, terms: PathTerms) -> NDArray[np.float64]:
    """USD per unit at each day's end, (days, months), the nearest month first; row 0 is `terms.start_usd` for all."""
    luck = stream(seed, "month paths")
    shocks = luck.normal(size=(days, 2 + months))
    daily = terms.volatility_year / np.sqrt(DAYS_IN_YEAR)
    scale = daily * _clustered(shocks[:, 0])
    moves = np.sqrt(1 - FAST_PART) * scale * shocks[:, 0]
    for day in terms.launch_days:
        moves[day] += LAUNCH_LOG
    moves[0] = 0.0
    fast, kept = np.zeros(days), np.exp(-terms.reversion_year / DAYS_IN_YEAR)
    for day in range(1, days):
        fast[day] = kept * fast[day - 1] + np.sqrt(FAST_PART) * scale[day] * shocks[day, 1]
    own = OWN_SHARE * scale[:, None] * shocks[:, 2:]
    own[0] = 0.0
    loads = np.exp(-terms.reversion_year * np.arange(months) / 12)
    prices: NDArray[np.float64] = terms.start_usd * np.exp(
        np.cumsum(moves)[:, None] + fast[:, None] * loads + np.cumsum(own, axis=0)
    )
    return prices


def _clustered(shocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each day's volatility as a multiple of the long-run one, known the evening before."""
    variance = np.ones(len(shocks))
    for day in range(1, len(shocks)):
        moved = variance[day - 1] * shocks[day - 1] ** 2
        variance[day] = 1 - CALM - NEWS + CALM * variance[day - 1] + NEWS * moved
    root: NDArray[np.float64] = np.sqrt(variance)
    return root

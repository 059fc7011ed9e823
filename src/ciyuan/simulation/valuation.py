"""What a standard token is worth to the simulated market, day by day and within the day.

The logarithm of the value is the sum of a slow part and a fast part (Schwartz and Smith 2000): the slow part drifts
and jumps, the fast one is drawn back to zero; a jump down is a cheaper way to make tokens (new software or hardware).
This is a model of a world, not a forecast: the parameters are the scenario's, and it says nothing of a price that can
be had.
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.simulation.chance import stream
from ciyuan.simulation.scenario import Scenario

DAYS_IN_YEAR = 365.0
FAST_PART = 0.6
"""Share of the daily variance that is in the part that reverts."""


def daily_values(scenario: Scenario, start_usd_per_mtok: float, days: int) -> NDArray[np.float64]:
    """Values of a standard MTok at the start of each day, shape (days,), USD; the first is `start_usd_per_mtok`."""
    slow, fast = paths(scenario, stream(scenario.seed, "valuation"), days)
    values: NDArray[np.float64] = start_usd_per_mtok * np.exp(slow + fast)
    return values


def paths(
    scenario: Scenario, luck: np.random.Generator, days: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The slow and the fast part of the value's logarithm at the start of each day, (days,) each; both begin at 0."""
    step = scenario.volatility_year / np.sqrt(DAYS_IN_YEAR)
    slow = luck.normal(scenario.drift_year / DAYS_IN_YEAR, step * np.sqrt(1 - FAST_PART), days)
    slow += luck.poisson(scenario.jumps_year / DAYS_IN_YEAR, days) * scenario.jump_log
    shocks = luck.normal(0.0, step * np.sqrt(FAST_PART), days)
    kept = np.exp(-scenario.reversion_year / DAYS_IN_YEAR)
    fast = np.zeros(days)
    for day in range(1, days):
        fast[day] = fast[day - 1] * kept + shocks[day]
    slow[0] = 0.0
    return np.cumsum(slow), fast


def expected_growth_year(scenario: Scenario) -> float:
    """Logarithm of the factor by which the value should grow in a year: drift, jumps, and half the slow part's variance."""
    jumps = scenario.jumps_year * float(np.expm1(scenario.jump_log))
    return scenario.drift_year + jumps + 0.5 * (1 - FAST_PART) * scenario.volatility_year**2


def within_day(scenario: Scenario, day: int, value: float, after: float, steps: int) -> NDArray[np.float64]:
    """Values at each of `steps` steps of a day, shape (steps,): a bridge from the day's value to the next day's."""
    luck = stream(scenario.seed, "within day", day)
    step = scenario.volatility_year / np.sqrt(DAYS_IN_YEAR * max(steps, 1))
    walk = np.cumsum(luck.normal(0.0, 0.5 * step, steps))
    along = np.arange(1, steps + 1) / max(steps, 1)
    bridged: NDArray[np.float64] = value * np.exp(
        walk - along * (walk[-1] if steps else 0.0) + along * np.log(after / value)
    )
    return bridged

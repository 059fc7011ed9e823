"""Where the scenarios of §6.2 come from: filtered historical simulation. A model, in floats, crossing once into whole ticks.

History is not played back as it was: each day's returns are divided by the volatility of their own time and multiplied by the
present one (Hull & White, "Incorporating volatility updating into the historical simulation method for value-at-risk", Journal of
Risk 1, 1998; Barone-Adesi, Giannopoulos & Vosper, "VaR without correlations for portfolios of derivative securities", Journal of
Futures Markets 19, 1999). All factors move by what they did on the same days, so that what moved together still does.

| quantity | is |
|---|---|
| return r(t) | log price(t) - log price(t - 1) |
| variance v(t), known before day t | decay x v(t - 1) + (1 - decay) x r(t - 1)^2; v(1) = the mean of all r^2 |
| volatility | the root of v, not less than `floor_share` of the long-run one (the root of the mean of all r^2) |
| filtered scenario | present volatility x the sum of r / volatility over `horizon_days` days in a row (windows overlap) |
| stressed scenario | a launch, or a window of history as it was: half those with the deepest fall, half the steepest rise |
| move, ticks | price x exp(scenario), half up, not less than one tick, less the price |

The decay is a choice: RiskMetrics (Technical Document, 4th edition, 1996) found 0.94 best for daily and 0.97 for monthly
forecasts; the slower one makes margin follow more calmly. The floor divides as well as it multiplies, so that a jump out of a
quiet time is not blown up by more than 1 / floor_share. It is the second brake on procyclicality beside the stressed scenarios
(Regulation (EU) 153/2013, article 28, has both).

A launch takes -0.22 off the log of prices per hardware generation (Assody, "Pricing Compute Futures", SSRN 6926798, 2026).

Logarithms and exponentials may differ in their last bit from one machine to another. So it is the moves, in ticks, that are the
margin's input and are to be recorded; from them on everything is exact (`scenario_margin`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.clearing.scenario_kernels import ewma_variance
from ciyuan.clearing.scenario_margin import MOVE_MAX

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]

LAUNCH_LOG = -0.22
"""What a hardware generation takes off the log of prices."""


@dataclass(frozen=True, slots=True)
class FilterTerms:
    """The parameters of the model; those of the house stand as defaults.

    `decay`: of the exponentially weighted variance, between 0 and 1. `floor_share`: of the long-run volatility, 0 to 1.
    `horizon_days`: §6.2 says two. `filtered`, `stressed`: how many scenarios at most; the latest, and the worst, are kept.
    Raises Malformed for a number outside its range.
    """

    decay: float = 0.97
    floor_share: float = 0.75
    horizon_days: int = 2
    filtered: int = 1_000
    stressed: int = 250

    def __post_init__(self) -> None:
        fits = 0 < self.decay < 1 and 0 <= self.floor_share <= 1
        if not fits or min(self.horizon_days, self.filtered, self.stressed) < 1:
            raise Malformed("terms of the filter", found=self, expected="decay in (0, 1), floor share in [0, 1], counts from 1",
                            remedy="See the class.")  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ScenarioSet:
    """Moves from the present prices in ticks, int64: `filtered` (n, k) in order of time, `stressed` (s, k), launches first."""

    filtered: Ints
    stressed: Ints


def scenario_set(
    prices: Reals, present_ticks: Ints, terms: FilterTerms, launches: Reals | None = None
) -> ScenarioSet:
    """The scenarios after the last of `prices` (days + 1, k), for contracts that now stand at `present_ticks` (k,) int64.

    The history may be that of anything that moves like the contracts: only its returns count. `launches` as `stressed_returns`.
    Raises Malformed as `log_returns` and `moves_half_up`, and for fewer returns than the horizon has days.
    """
    returns = log_returns(prices)
    if len(returns) < terms.horizon_days:
        raise Malformed("price history", found=len(returns), expected=f"at least {terms.horizon_days} returns",
                        remedy="Margin by the ladder (§6.1) until there is a history.")  # fmt: skip
    return ScenarioSet(
        moves_half_up(filtered_returns(returns, terms), present_ticks),
        moves_half_up(stressed_returns(returns, terms, launches), present_ticks),
    )


def log_returns(prices: Reals) -> Reals:
    """(days, k) of prices (days + 1, k). Raises Malformed for another shape, and prices that are not finite and above zero."""
    if prices.ndim != 2 or 0 in prices.shape:
        raise Malformed("price history", found=prices.shape, expected="(days + 1, factors)",
                        remedy="Give one column a factor.")  # fmt: skip
    good = np.isfinite(prices) & (prices > 0)
    if not good.all():
        day, factor = np.argwhere(~good)[0].tolist()
        raise Malformed(f"price history, row {day}, factor {factor}", found=float(prices[day, factor]),
                        expected="a finite price above zero", remedy="Leave the day out, or mend its price.")  # fmt: skip
    return np.diff(np.log(prices), axis=0)


def volatility(returns: Reals, terms: FilterTerms) -> Reals:
    """(days + 1, k): of each day as known the evening before, floored; the last row is the present one. `returns` (days, k)."""
    long_run = np.mean(returns**2, axis=0)
    variance = np.empty((len(returns) + 1, returns.shape[1]))
    variance[0] = long_run
    ewma_variance(returns, terms.decay, variance)
    floored: Reals = np.sqrt(np.maximum(variance, terms.floor_share**2 * long_run))
    return floored


def windows(returns: Reals, horizon_days: int) -> Reals:
    """Sums over every window of so many days in a row, (days - horizon_days + 1, k); windows overlap."""
    summed: Reals = np.lib.stride_tricks.sliding_window_view(returns, horizon_days, axis=0).sum(axis=-1)
    return summed


def filtered_returns(returns: Reals, terms: FilterTerms) -> Reals:
    """The filtered scenarios as log returns over the horizon, (n, k); a factor that never moved stays still."""
    sigma = volatility(returns, terms)
    devolatilised = np.divide(returns, sigma[:-1], out=np.zeros_like(returns), where=sigma[:-1] > 0)
    scenarios: Reals = windows(devolatilised, terms.horizon_days)[-terms.filtered :] * sigma[-1]
    return scenarios


def stressed_returns(returns: Reals, terms: FilterTerms, launches: Reals | None = None) -> Reals:
    """The stressed scenarios as log returns over the horizon, (s, k): launches, then the worst windows in the order of time.

    `launches` (launches, k): how many generations each factor loses, 1.0 in every factor if none is given; a month that is
    delivered before the launch has 0. Windows are judged by the mean of their factors; the rest of `terms.stressed` is filled
    with them, by turns from the lowest and from the highest. Raises Malformed for launches of another shape, below zero, or
    more than `terms.stressed`.
    """
    factors = returns.shape[1]
    generations = np.ones((1, factors)) if launches is None else launches
    fits = generations.ndim == 2 and generations.shape[1] == factors and len(generations) <= terms.stressed
    if not fits or not (np.isfinite(generations) & (generations >= 0)).all():
        raise Malformed("launches", found=generations.shape, expected=f"up to {terms.stressed} rows of {factors} numbers from 0",
                        remedy="One row a launch: how many generations each factor loses.")  # fmt: skip
    past = windows(returns, terms.horizon_days)
    room = min(terms.stressed - len(generations), len(past))
    order = np.argsort(past.mean(axis=1), kind="stable")
    falls = (room + 1) // 2
    chosen = np.sort(np.concatenate([order[:falls], order[len(order) - (room - falls) :]]))
    return np.concatenate([LAUNCH_LOG * generations, past[chosen]])


def moves_half_up(returns: Reals, present_ticks: Ints) -> Ints:
    """Bridge from log returns (rows, k) to moves in ticks from `present_ticks` (k,): a half rounds up, no price is below a tick.

    Raises Malformed for present prices below one tick or of another shape, and moves that do not fit in 32 bits.
    """
    if (
        present_ticks.shape != returns.shape[1:]
        or present_ticks.dtype != np.int64
        or (present_ticks < 1).any()
    ):
        raise Malformed("present prices", found=present_ticks.tolist(), expected=f"{returns.shape[1]} int64 prices from 1 tick",
                        remedy="Give the settlement price of each contract, in ticks.")  # fmt: skip
    with np.errstate(over="ignore"):
        prices = np.maximum(np.floor(present_ticks * np.exp(returns) + 0.5), 1.0)
    moves: Reals = prices - present_ticks
    if not (np.abs(moves) <= MOVE_MAX).all():
        raise Malformed("scenario", found=float(np.abs(moves).max()), expected=f"a move of at most {MOVE_MAX:,} ticks",
                        remedy="Check the history: no price moves so far in the horizon.")  # fmt: skip
    return moves.astype(np.int64)

"""Is scenario margin enough, and does it stay calm? The daily back-test of §6.2, over any history. A model's report, in floats.

Of every day the margin is worked out from that day and the days before it, and held against what the same positions then lost.
A day on which the loss is larger is an exception; at 99% one day in a hundred may be one.

| test | asks | statistic | freedom |
|---|---|---|---|
| proportion of failures (Kupiec) | as many as said? | 2 (log L(share found) - log L(share said)) | 1 |
| independence (Christoffersen) | one by one? | 2 (log L(a share after an exception, one after none) - log L(one share)) | 1 |
| conditional coverage (Christoffersen) | both? | the sum of the two | 2 |

Kupiec, "Techniques for verifying the accuracy of risk measurement models", Journal of Derivatives 3, 1995; Christoffersen,
"Evaluating interval forecasts", International Economic Review 39, 1998. The p-value of a statistic x is erfc(sqrt(x / 2)) with
one degree of freedom and exp(-x / 2) with two.

Windows of two days overlap, so one bad day makes two exceptions: a bunch by construction. Independence is therefore to be read
of one-day losses and of windows that do not overlap; over overlapping windows Kupiec's test rejects more often than its p-value
says. Margin is an expected shortfall over two days with stress in it: fewer exceptions than 1% are meant, and the side of the
test that matters is too many (`Coverage.too_many`).

| procyclicality: Murphy, Vasios & Vause, Bank of England Financial Stability Paper 29, 2014 | |
|---|---|
| peak to trough | the largest ratio of the highest to the lowest margin within 30 days |
| n-day rise | the largest growth of margin over n days, as a share; n = 1 and 5 |
"""

from dataclasses import dataclass
from math import erfc, exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.clearing.scenario_margin import STRESS_WEIGHT_MIN_BP, MarginModel, scenario_margin_micro
from ciyuan.clearing.scenarios import FilterTerms, Reals, scenario_set

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

RATE = 0.01
"""How often a loss over margin may happen (§6.2)."""
CYCLE_DAYS = 30
RISE_DAYS = 5


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A likelihood ratio: its statistic, never below zero, and how likely one so large is if what is asked is true."""

    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Exceptions against what was said. `kupiec` is two-sided; `too_many` is whether it rejects at 5%, and from above."""

    observations: int
    exceptions: int
    expected: float
    kupiec: Likelihood
    independence: Likelihood
    conditional: Likelihood

    @property
    def too_many(self) -> bool:
        """Whether there are more exceptions than the rate explains."""
        return self.exceptions > self.expected and self.kupiec.p_value < 0.05


@dataclass(frozen=True, slots=True)
class Procyclicality:
    """How margin moves by itself: `peak_to_trough` a ratio from 1; `rise_1_day` and `rise_5_days` shares of margin, from 0."""

    peak_to_trough: float
    rise_1_day: float
    rise_5_days: float


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """What was asked and what was lost: rows are days, columns portfolios; all int64.

    `day` (t,): the row of the price history whose evening it is. `margin_micro` (t, p). `loss_1_day_micro` and
    `loss_horizon_micro` (t, p): over the next day, and over the next `horizon_days`; below zero for a gain.
    """

    horizon_days: int
    day: Ints
    margin_micro: Ints
    loss_1_day_micro: Ints
    loss_horizon_micro: Ints

    def over_horizon(self, portfolio: int) -> Coverage:
        """Of the windows of `horizon_days` that follow each day; they overlap."""
        return coverage(self._hits(self.loss_horizon_micro, portfolio))

    def apart(self, portfolio: int) -> Coverage:
        """Of those windows that do not overlap: every `horizon_days`-th."""
        return coverage(self._hits(self.loss_horizon_micro, portfolio)[:: self.horizon_days])

    def over_one_day(self, portfolio: int) -> Coverage:
        """Of the day that follows each day."""
        return coverage(self._hits(self.loss_1_day_micro, portfolio))

    def procyclicality(self, portfolio: int) -> Procyclicality:
        """Of the margin of one portfolio that is held unchanged."""
        return procyclicality(self.margin_micro[:, portfolio])

    def _hits(self, loss_micro: Ints, portfolio: int) -> Flags:
        hits: Flags = loss_micro[:, portfolio] > self.margin_micro[:, portfolio]
        return hits


def backtest(
    prices_ticks: Ints,
    lots: Ints,
    tick_value_micro: Ints,
    terms: FilterTerms,
    first: int,
    stress_weight_bp: int = STRESS_WEIGHT_MIN_BP,
) -> Backtest:
    """Roll the margin over a history, with the positions held unchanged and without add-ons.

    `prices_ticks` (days + 1, k) int64, `lots` (portfolios, k) int64, `tick_value_micro` (k,) int64; `first`: the row of the first
    day with a margin, which has so many returns before it. Raises Malformed for a history that is too short, and as
    `scenario_set` and `MarginModel`.
    """
    days = np.arange(first, len(prices_ticks) - terms.horizon_days, dtype=np.int64)
    if first < terms.horizon_days or len(days) < 1:
        raise Malformed("back-test", found=(first, len(prices_ticks)),
                        expected=f"a first day from {terms.horizon_days} on, and as many days behind it",
                        remedy="Give a longer history, or begin within it.")  # fmt: skip
    prices = prices_ticks.astype(np.float64)
    none = np.zeros_like(tick_value_micro)
    margin = np.empty((len(days), len(lots)), dtype=np.int64)
    for row, day in enumerate(days):
        moves = scenario_set(prices[: day + 1], prices_ticks[day], terms)
        model = MarginModel(
            moves.filtered, moves.stressed, tick_value_micro, none, none, none, stress_weight_bp
        )
        margin[row] = scenario_margin_micro(lots, model)
    worth = prices_ticks @ (lots * tick_value_micro).T
    return Backtest(
        terms.horizon_days,
        days,
        margin,
        worth[days] - worth[days + 1],
        worth[days] - worth[days + terms.horizon_days],
    )


def coverage(hits: Flags, rate: float = RATE) -> Coverage:
    """Judge a row of exceptions (t,) bool in the order of time, at least one."""
    exceptions = int(hits.sum())
    share, bunch = kupiec(exceptions, len(hits), rate), independence(hits)
    both = share.statistic + bunch.statistic
    return Coverage(len(hits), exceptions, rate * len(hits), share, bunch, Likelihood(both, exp(-both / 2)))


def kupiec(exceptions: int, observations: int, rate: float = RATE) -> Likelihood:
    """Kupiec's proportion of failures. `observations` at least 1."""
    return _ratio(_log_likelihood(exceptions, observations) - _log_likelihood(exceptions, observations, rate))


def independence(hits: Flags) -> Likelihood:
    """Christoffersen's test of independence of (t,) exceptions in the order of time, over the t - 1 pairs of neighbours."""
    before, after = hits[:-1], hits[1:]
    return independence_of(
        int((~before & ~after).sum()),
        int((~before & after).sum()),
        int((before & ~after).sum()),
        int((before & after).sum()),
    )


def independence_of(none_none: int, none_hit: int, hit_none: int, hit_hit: int) -> Likelihood:
    """The same from the counts of pairs: after no exception none or one, after an exception none or one."""
    apart = _log_likelihood(none_hit, none_none + none_hit) + _log_likelihood(hit_hit, hit_none + hit_hit)
    pairs = none_none + none_hit + hit_none + hit_hit
    return _ratio(apart - _log_likelihood(none_hit + hit_hit, pairs))


def _log_likelihood(exceptions: int, observations: int, rate: float | None = None) -> float:
    """Of so many exceptions, at a rate or at the share that was found; 0 log 0 is 0."""
    share = rate if rate is not None else exceptions / max(1, observations)
    passed = observations - exceptions
    return (exceptions * log(share) if exceptions else 0.0) + (passed * log(1 - share) if passed else 0.0)


def _ratio(difference: float) -> Likelihood:
    statistic = max(0.0, 2 * difference)
    return Likelihood(statistic, erfc(sqrt(statistic / 2)))


def procyclicality(margin_micro: Ints) -> Procyclicality:
    """The three measures of a row of margins (t,) int64; days on which none was asked are left out."""
    margin: Reals = margin_micro[margin_micro > 0].astype(np.float64)
    days = max(1, min(CYCLE_DAYS, len(margin)))
    view = np.lib.stride_tricks.sliding_window_view(margin, days) if len(margin) else np.ones((1, 1))
    ratio = float((view.max(axis=1) / view.min(axis=1)).max())
    return Procyclicality(ratio, _rise(margin, 1), _rise(margin, RISE_DAYS))


def _rise(margin: Reals, days: int) -> float:
    """The largest growth over so many days, as a share; 0 if it never grew."""
    grown = margin[days:] / margin[:-days] - 1
    return max(0.0, float(grown.max())) if len(grown) else 0.0

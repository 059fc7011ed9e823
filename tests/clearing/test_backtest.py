"""The back-test: likelihood ratios against textbooks, no look into the future, and what it says of simulated and real prices."""

import csv
from collections import defaultdict
from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.clearing.backtest import (
    Backtest,
    Ints,
    backtest,
    coverage,
    independence,
    independence_of,
    kupiec,
    procyclicality,
)
from ciyuan.clearing.scenarios import LAUNCH_LOG, FilterTerms
from tests.sources import ROOT

RENTAL = ROOT.parent / "shared" / "data" / "prices" / "gpu_rental.csv"
TICK_VALUE = 1_000_000


def values(contracts: int) -> Ints:
    return np.full(contracts, TICK_VALUE, dtype=np.int64)


# --- the statistics ---

NOT_REJECTED = (
    (0.01, 255, 1, 6), (0.01, 510, 2, 10), (0.01, 1000, 5, 16),
    (0.025, 255, 3, 11), (0.025, 510, 7, 20), (0.025, 1000, 16, 35),
    (0.05, 255, 7, 20), (0.05, 510, 17, 35), (0.05, 1000, 38, 64),
    (0.075, 255, 12, 27), (0.075, 510, 28, 50), (0.075, 1000, 60, 91),
    (0.10, 255, 17, 35), (0.10, 510, 39, 64), (0.10, 1000, 82, 119),
)  # fmt: skip
"""Rate, days, and the fewest and most failures that do not reject it at 95%: Kupiec (1995), as Jorion, "Value at Risk", 3rd
edition, 2006, table 6-2, prints it (4 < N < 17 at 1% and 1,000
days). At 1% and 255 days it prints N < 7: no failure at all would be one too few (5.13), which nobody minds."""


@pytest.mark.parametrize(("rate", "days", "fewest", "most"), NOT_REJECTED)
def test_kupiec_s_table(rate: float, days: int, fewest: int, most: int):
    kept = [count for count in range(days) if kupiec(count, days, rate).p_value > 0.05]
    assert (kept[0], kept[-1]) == (fewest, most)


def test_jorion_s_examples():
    """Value at Risk, 3rd edition, chapter 6: J.P. Morgan's 20 exceptions of 252 days at 5%, of which 6 follow another
    (section 6.3.2: 3.91 and 9.53), and question 10: 6 of 252 at 1%, 4 in a row after another (3.498 and 25.837).
    """
    assert kupiec(20, 252, 0.05).statistic == pytest.approx(3.91, abs=0.005)
    assert independence_of(218, 14, 14, 6).statistic == pytest.approx(9.53, abs=0.005)
    assert kupiec(6, 252, 0.01).statistic == pytest.approx(3.498, abs=0.001)
    assert independence_of(244, 2, 2, 4).statistic == pytest.approx(25.837, abs=0.001)


def test_p_values_are_those_of_chi_square():
    """3.841 and 5.991 are what a 95% test rejects from, with one degree of freedom and with two."""
    assert min(kupiec(n, 1000).statistic for n in range(17, 40)) > 3.841 > kupiec(16, 1000).statistic
    assert kupiec(16, 1000).p_value > 0.05 > kupiec(17, 1000).p_value
    hits = np.zeros(252, dtype=np.bool_)
    hits[[10, 11, 12, 13, 100, 101]] = True
    judged = coverage(hits)
    assert judged.conditional.statistic == pytest.approx(
        judged.kupiec.statistic + judged.independence.statistic
    )
    assert judged.conditional.p_value == pytest.approx(np.exp(-judged.conditional.statistic / 2))


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.floats(0.001, 0.5))
def test_likelihoods_are_those_of_the_definition(days: list[bool], rate: float):
    """By products over the days instead of counts; a ratio is never below zero, and a p-value is a share."""
    hits = np.array(days)
    judged = coverage(hits, rate)
    share = hits.mean()
    found = sum(log(share if hit else 1 - share) for hit in days)
    said = sum(log(rate if hit else 1 - rate) for hit in days)
    assert judged.kupiec.statistic == pytest.approx(2 * (found - said), abs=1e-9)
    pairs = list(pairwise(days))
    after = {state: [b for a, b in pairs if a is state] for state in (False, True)}
    one = [b for _, b in pairs]
    free = sum(
        log(sum(row) / len(row) if b else 1 - sum(row) / len(row)) for row in after.values() for b in row
    )
    bound = sum(log(sum(one) / len(one) if b else 1 - sum(one) / len(one)) for b in one)
    assert independence(hits).statistic == pytest.approx(max(0.0, 2 * (free - bound)), abs=1e-9)
    for ratio in (judged.kupiec, judged.independence, judged.conditional):
        assert ratio.statistic >= 0
        assert 0 <= ratio.p_value <= 1


def test_bunched_exceptions_are_not_independent():
    apart, bunched = np.zeros(500, dtype=np.bool_), np.zeros(500, dtype=np.bool_)
    apart[::50], bunched[200:210] = True, True
    assert independence(apart).p_value > 0.05 > independence(bunched).p_value
    assert not coverage(apart[:250]).too_many
    assert coverage(bunched[200:]).too_many


def test_too_few_exceptions_are_not_too_many():
    never = coverage(np.zeros(1_000, dtype=np.bool_))
    assert never.kupiec.p_value < 0.001
    assert not never.too_many


# --- procyclicality ---


def test_procyclicality_by_hand():
    margin = np.array([100, 100, 110, 99, 150, 120, 200, *[180] * 30, 90], dtype=np.int64)
    found = procyclicality(margin)
    assert found.peak_to_trough == pytest.approx(200 / 99)  # 180 to 90 is twice as well
    assert found.rise_1_day == pytest.approx(200 / 120 - 1)
    assert found.rise_5_days == pytest.approx(200 / 100 - 1)


def test_margin_that_never_moves_is_not_procyclical():
    for days in (0, 1, 4, 100):
        found = procyclicality(np.full(days, 7, dtype=np.int64))
        assert (found.peak_to_trough, found.rise_1_day, found.rise_5_days) == (1.0, 0.0, 0.0)


# --- rolling ---

PORTFOLIOS = np.array([[1, 0, 0], [-1, 0, 0], [1, -1, 0], [1, -2, 1]])


def simulated(seed: int, days: int) -> Ints:
    """Three months of one grade: a level that returns to its mean, volatility in bunches, jumps, and a launch a year."""
    chance = np.random.Generator(np.random.PCG64(seed))
    shocks, draws = chance.standard_normal((days, 5)), chance.random((days, 2))
    x, mean, sigma = np.zeros((days + 1, 3)), 0.0, 0.02
    for day in range(days):
        sigma = max(
            0.008, 0.02 + 0.95 * (sigma - 0.02) + (0.004 * abs(shocks[day, 0]) if draws[day, 0] < 0.1 else 0)
        )
        move = sigma * shocks[day, 1] + (0.08 * np.sign(shocks[day, 0]) if draws[day, 1] < 0.01 else 0)
        if (day + 1) % 250 == 0:
            mean, move = mean + LAUNCH_LOG, move + LAUNCH_LOG
        x[day + 1] = x[day] + 0.03 * (mean - x[day]) + move + 0.3 * sigma * shocks[day, 2:]
    prices: Ints = np.maximum(1, np.rint(5_000 * np.exp(x))).astype(np.int64)
    return prices


@pytest.fixture(scope="module")
def rolled() -> Backtest:
    return backtest(simulated(1, 1_500), PORTFOLIOS, values(3), FilterTerms(), first=250)


def test_losses_are_those_of_the_days_that_follow(rolled: Backtest):
    prices = simulated(1, 1_500)
    assert (rolled.day[0], rolled.day[-1]) == (250, 1_498)
    for row in (0, 7, len(rolled.day) - 1):
        now, one, two = prices[rolled.day[row] + np.arange(3)]
        assert rolled.loss_1_day_micro[row].tolist() == (-TICK_VALUE * PORTFOLIOS @ (one - now)).tolist()
        assert rolled.loss_horizon_micro[row].tolist() == (-TICK_VALUE * PORTFOLIOS @ (two - now)).tolist()


def test_the_future_does_not_matter(rolled: Backtest):
    """Margin of a day is the same whatever comes after it."""
    prices = simulated(1, 1_500)
    prices[401:] = prices[401:] // 2 + 1
    changed = backtest(prices[:440], PORTFOLIOS, values(3), FilterTerms(), first=250)
    assert np.array_equal(changed.margin_micro[:151], rolled.margin_micro[:151])
    assert not np.array_equal(
        changed.margin_micro[151:], rolled.margin_micro[151 : len(changed.margin_micro)]
    )


def test_margin_holds_on_simulated_prices_with_launches(rolled: Backtest):
    """Long, short, calendar spread and butterfly: never more exceptions than 1% explains."""
    for portfolio in range(len(PORTFOLIOS)):
        for judged in (
            rolled.over_horizon(portfolio),
            rolled.apart(portfolio),
            rolled.over_one_day(portfolio),
        ):
            assert not judged.too_many, judged
            assert judged.exceptions <= 0.012 * judged.observations
    assert rolled.over_one_day(0).exceptions <= rolled.over_horizon(0).exceptions
    assert rolled.apart(0).observations == -(-rolled.over_horizon(0).observations // 2)


def test_a_spread_needs_less_than_its_legs(rolled: Backtest):
    """What §6.3 leaves to the scenarios: months that move together offset each other."""
    long, short, spread, butterfly = rolled.margin_micro.mean(axis=0)
    assert spread < 0.5 * min(long, short)
    assert butterfly < long + short


def test_a_slower_decay_is_calmer():
    """The reason for 0.97: with 0.94 the same margin rises further and faster."""
    prices = simulated(2, 900)
    slow, fast = (
        backtest(prices, PORTFOLIOS[:2], values(3), FilterTerms(decay=decay), first=250)
        for decay in (0.97, 0.94)
    )
    for portfolio in range(2):
        calm, quick = slow.procyclicality(portfolio), fast.procyclicality(portfolio)
        assert calm.rise_1_day < quick.rise_1_day
        assert calm.peak_to_trough < quick.peak_to_trough


def test_more_stress_is_more_margin():
    prices = simulated(3, 400)
    some, more = (
        backtest(prices, PORTFOLIOS[:1], values(3), FilterTerms(), 250, weight).margin_micro
        for weight in (2_500, 10_000)
    )
    assert more.mean() > some.mean()


@pytest.mark.parametrize(("first", "days"), [(1, 100), (98, 99), (500, 100)])
def test_a_history_that_is_too_short_is_refused(first: int, days: int):
    with pytest.raises(Malformed, match="back-test"):
        backtest(simulated(1, days - 1), PORTFOLIOS, values(3), FilterTerms(), first)


# --- real rents ---


def panel(gpu: str, least: int = 135) -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """Median price and offers by day, of the on-demand listings of one tracker that are there nearly throughout (see the
    file's own notes: the set of providers changes, so a median over whoever is there would move without any price).
    """
    seen: dict[tuple[str, str], dict[str, tuple[float, float]]] = defaultdict(dict)
    with RENTAL.open(newline="") as file:
        for row in csv.DictReader(file):
            if (
                row["source"].startswith("cherielilili/")
                and row["gpu"].startswith(gpu)
                and row["kind"] == "on_demand"
            ):
                seen[row["provider"], row["gpu"]][row["date"]] = (
                    float(row["usd_median"]),
                    float(row["n_offers"]),
                )
    return {name: days for name, days in seen.items() if len(days) >= least}


def weighted_median(offers: list[tuple[float, float]]) -> float:
    """The lowest price at which half of all offers are reached."""
    left = sum(weight for _, weight in offers) / 2
    for price, weight in sorted(offers):
        left -= weight
        if left <= 0:
            return price
    raise AssertionError("no offers")


@pytest.mark.skipif(not RENTAL.is_file(), reason="the shared data folder is not beside this checkout")
def test_real_rents_of_gpus():
    """H100 and A100 on demand, 118 days of 2026 on which all ten listings quote. Rents stand still and then jump by a tenth or
    more, so a few days decide; the margin of what was lent out (long) is the one that is exceeded.
    """
    panels = [panel("H100"), panel("A100")]
    days = sorted(set.intersection(*(set(quotes) for listed in panels for quotes in listed.values())))
    assert (len(panels[0]), len(panels[1]), len(days)) == (5, 5, 118)
    prices = np.array(
        [
            [round(1000 * weighted_median([quotes[day] for quotes in listed.values()])) for listed in panels]
            for day in days
        ]
    )
    lots = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, -1]])
    found = backtest(prices, lots, values(2), FilterTerms(), first=60)
    assert [found.over_horizon(p).exceptions for p in range(5)] == [2, 0, 0, 0, 2]
    assert [found.apart(p).exceptions for p in range(5)] == [1, 0, 0, 0, 1]
    assert not any(found.over_horizon(p).too_many or found.apart(p).too_many for p in range(5))
    assert found.over_horizon(0).observations == 56

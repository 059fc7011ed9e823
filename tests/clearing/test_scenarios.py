"""Filtered historical simulation: by hand where it can be, by property where it cannot."""

from itertools import pairwise
from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.clearing.scenario_margin import MOVE_MAX
from ciyuan.clearing.scenarios import (
    LAUNCH_LOG,
    FilterTerms,
    Reals,
    filtered_returns,
    log_returns,
    moves_half_up,
    scenario_set,
    stressed_returns,
    volatility,
    windows,
)

PRICES = np.array([[100.0, 50.0], [102.0, 50.5], [101.0, 52.0], [99.0, 51.0], [104.0, 51.5]])


def ticks(*prices: int) -> np.ndarray:
    return np.array(prices, dtype=np.int64)


def walk(seed: int, days: int, factors: int, sigma: float = 0.02) -> Reals:
    chance = np.random.default_rng(seed)
    return 1000.0 * np.exp(np.cumsum(sigma * chance.standard_normal((days + 1, factors)), axis=0))


def plain_filtered(prices: list[float], decay: float, floor_share: float) -> list[float]:
    """The filtered two-day scenarios of one factor, day by day, as the table of the module says."""
    returns = [log(b / a) for a, b in pairwise(prices)]
    long_run = sum(r * r for r in returns) / len(returns)
    variance, sigmas = long_run, []
    for r in [*returns, 0.0]:
        sigmas.append(max(sqrt(variance), floor_share * sqrt(long_run)))
        variance = decay * variance + (1 - decay) * r * r
    z = [r / s for r, s in zip(returns, sigmas, strict=False)]
    return [(a + b) * sigmas[-1] for a, b in pairwise(z)]


@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(0.5, 0.99), st.floats(0, 1))
def test_the_filter_is_the_plain_one(seed: int, days: int, decay: float, floor_share: float):
    prices = walk(seed, days, 2)
    found = filtered_returns(log_returns(prices), FilterTerms(decay=decay, floor_share=floor_share))
    for factor in range(2):
        due = plain_filtered(prices[:, factor].tolist(), decay, floor_share)
        assert found[:, factor] == pytest.approx(due, rel=1e-9, abs=1e-12)


def test_two_days_are_the_sum_of_neighbours():
    returns = log_returns(PRICES)
    assert windows(returns, 2)[:, 0] == pytest.approx(np.log([1.01, 99 / 102, 104 / 101]))
    assert len(windows(returns, 2)) == 3


def test_volatility_is_known_the_evening_before():
    """A jump on the last day changes the present volatility and no earlier one."""
    calm, jump = walk(1, 100, 1), walk(1, 100, 1)
    jump[-1] *= 2
    terms = FilterTerms(floor_share=0.0)
    ratio = volatility(log_returns(jump), terms) / volatility(log_returns(calm), terms)
    assert ratio[-1, 0] > 1.5 * ratio[-2, 0]


def test_a_quiet_present_is_scaled_no_lower_than_the_floor():
    chance = np.random.default_rng(5)
    returns = np.concatenate(
        [0.05 * chance.standard_normal((300, 1)), 0.001 * chance.standard_normal((300, 1))]
    )
    long_run = sqrt(float(np.mean(returns**2)))
    assert volatility(returns, FilterTerms(floor_share=0.75))[-1, 0] == pytest.approx(0.75 * long_run)
    assert volatility(returns, FilterTerms(floor_share=0.0))[-1, 0] < 0.1 * long_run


def test_a_loud_present_makes_scenarios_wider_than_history():
    chance = np.random.default_rng(6)
    returns = np.concatenate(
        [0.01 * chance.standard_normal((400, 1)), 0.05 * chance.standard_normal((60, 1))]
    )
    wide = filtered_returns(returns, FilterTerms())[:300]
    assert wide.std() > 2 * windows(returns, 2)[:300].std()


def test_what_moved_together_still_does():
    """Two contracts with one history have one scenario each day; two opposite ones have opposite scenarios."""
    one = walk(2, 300, 1)
    both = filtered_returns(log_returns(np.hstack([one, 3 * one, 1 / one])), FilterTerms())
    assert both[:, 1] == pytest.approx(both[:, 0])
    assert both[:, 2] == pytest.approx(-both[:, 0])


def test_the_latest_scenarios_are_kept():
    returns = log_returns(walk(3, 200, 2))
    every, kept = (filtered_returns(returns, FilterTerms(filtered=count)) for count in (1_000, 50))
    assert len(every) == 199
    assert np.array_equal(kept, every[-50:])


def test_stress_is_launches_and_both_ends_of_history_unscaled():
    returns = np.array([[0.0], [0.10], [0.0], [0.0], [-0.30], [0.0], [0.01], [0.0]])
    found = stressed_returns(returns, FilterTerms(stressed=5))
    # The windows: .10 .10 .00 -.30 -.30 .01 .01. The two lowest and the two highest, in the order of time.
    assert found[:, 0] == pytest.approx([LAUNCH_LOG, 0.10, 0.10, -0.30, -0.30])


def test_a_launch_spares_what_is_delivered_before_it():
    returns = log_returns(walk(4, 20, 3))
    launches = np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 2.0]])
    found = stressed_returns(returns, FilterTerms(stressed=4), launches)
    assert found[:2] == pytest.approx(LAUNCH_LOG * launches)
    assert len(found) == 4


def test_a_launch_takes_a_fifth_off():
    moves = moves_half_up(np.array([[LAUNCH_LOG]]), ticks(1000))
    assert moves.tolist() == [[-197]]  # 1000 exp(-0.22) = 802.5188, half up 803


@pytest.mark.parametrize(
    ("present", "new", "move"), [(3, 2.5, 0), (3, 3.5, 1), (3, 2.49, -1), (3, 0.2, -2), (1, 0.001, 0)]
)
def test_a_half_tick_rounds_up_and_a_price_has_a_tick(present: int, new: float, move: int):
    nudge = 1e-12 if new in {2.5, 3.5} else 0.0  # exp(log x) may fall a bit short of x
    assert moves_half_up(np.array([[log(new / present) + nudge]]), ticks(present)).tolist() == [[move]]


@given(st.lists(st.floats(-50, 7), min_size=1, max_size=20), st.integers(1, 10**6))
def test_no_price_falls_below_a_tick(returns: list[float], present: int):
    moves = moves_half_up(np.array(returns)[:, None], ticks(present))
    assert (moves + present >= 1).all()
    exact = [max(1.0, present * exp(r)) - present for r in returns]
    assert moves[:, 0].tolist() == pytest.approx(exact, abs=0.5000001, rel=1e-9)


def test_only_returns_count_of_the_history():
    prices, terms = walk(7, 100, 2), FilterTerms()
    one, other = (scenario_set(history, ticks(900, 950), terms) for history in (prices, prices * [0.25, 4.0]))
    assert np.array_equal(one.filtered, other.filtered)
    assert np.array_equal(one.stressed, other.stressed)


def test_a_price_that_never_moved_stays():
    prices = np.hstack([walk(8, 50, 1), np.full((51, 1), 7.0)])
    found = scenario_set(prices, ticks(900, 950), FilterTerms(), np.array([[1.0, 0.0]]))
    assert not found.filtered[:, 1].any()
    assert not found.stressed[:, 1].any()


def test_as_many_scenarios_as_the_terms_say():
    found = scenario_set(walk(9, 1_500, 3), ticks(900, 900, 900), FilterTerms())
    assert (found.filtered.shape, found.stressed.shape) == ((1_000, 3), (250, 3))
    assert found.filtered.dtype == found.stressed.dtype == np.int64


@pytest.mark.parametrize(
    ("prices", "thing"),
    [
        (np.array([[1.0], [0.0]]), "row 1, factor 0"),
        (np.array([[1.0, 2.0], [1.0, np.nan]]), "row 1, factor 1"),
        (np.array([[1.0], [np.inf]]), "row 1"),
        (np.array([1.0, 2.0]), "price history"),
        (np.ones((5, 0)), "price history"),
    ],
)
def test_a_history_that_is_none_is_refused(prices: Reals, thing: str):
    with pytest.raises(Malformed, match=thing):
        log_returns(prices)


@pytest.mark.parametrize(
    ("wrong", "thing"),
    [
        (lambda: scenario_set(PRICES[:2], ticks(1, 1), FilterTerms()), "at least 2 returns"),
        (lambda: scenario_set(PRICES, ticks(1, 0), FilterTerms()), "present prices"),
        (lambda: scenario_set(PRICES, ticks(1), FilterTerms()), "present prices"),
        (lambda: scenario_set(PRICES, ticks(1, 1), FilterTerms(), np.ones((1, 3))), "launches"),
        (lambda: scenario_set(PRICES, ticks(1, 1), FilterTerms(), -np.ones((1, 2))), "launches"),
        (lambda: scenario_set(PRICES, ticks(1, 1), FilterTerms(stressed=1), np.ones((2, 2))), "launches"),
        (lambda: moves_half_up(np.array([[30.0]]), ticks(1000)), f"{MOVE_MAX:,}"),
        (lambda: moves_half_up(np.array([[1e4]]), ticks(1000)), f"{MOVE_MAX:,}"),
        (lambda: FilterTerms(decay=1.0), "terms"),
        (lambda: FilterTerms(floor_share=1.1), "terms"),
        (lambda: FilterTerms(horizon_days=0), "terms"),
    ],
)
def test_what_cannot_be_is_refused(wrong, thing: str):
    with pytest.raises(Malformed, match=thing):
        wrong()

"""Limits and averages, in ticks."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.exchange.settlement import average_ticks, daily_limits, middle_ticks, months_apart


@given(st.integers(1, 10**9), st.integers(1, 10_000))
def test_limits_are_the_exact_percentage_rounded_away(previous, rate_bp):
    lower, upper = daily_limits(previous, rate_bp)
    exact_lower = Fraction(previous) * (1 - Fraction(rate_bp, 10_000))
    exact_upper = Fraction(previous) * (1 + Fraction(rate_bp, 10_000))
    assert upper - 1 < exact_upper <= upper
    assert lower == 1 or lower <= exact_lower < lower + 1
    assert 1 <= lower <= previous < upper


@pytest.mark.parametrize(
    ("previous", "rate_bp", "limits"),
    [(1000, 500, (950, 1050)), (953, 500, (905, 1001)), (1, 100, (1, 2)), (5, 10_000, (1, 10))],
)
def test_limits(previous, rate_bp, limits):
    assert daily_limits(previous, rate_bp) == limits


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 1000)), min_size=1))
def test_the_average_is_rounded_half_up(trades):
    volume = sum(lots for _, lots in trades)
    turnover = sum(price * lots for price, lots in trades)
    average = average_ticks(turnover, volume)
    assert average - Fraction(1, 2) <= Fraction(turnover, volume) < average + Fraction(1, 2)


def test_a_half_goes_up():
    assert (average_ticks(1901, 2), middle_ticks(950, 951), middle_ticks(950, 952)) == (951, 951, 951)


@pytest.mark.parametrize(
    ("month", "other", "apart"),
    [(202610, 202610, 0), (202610, 202701, 3), (202701, 202610, -3), (202612, 202812, 24)],
)
def test_months_apart(month, other, apart):
    assert months_apart(month, other) == apart

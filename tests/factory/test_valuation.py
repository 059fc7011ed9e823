"""What a chip is worth: never less than scrap, more when it earns more, and gone when power is too dear."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.plant import PriceList
from ciyuan.factory.valuation import (
    Holding,
    Market,
    present_value,
    retirement_order,
    revenue_usd_per_hour,
    worth,
)
from tests.factory.cases import CASE, RATES, site

HELD = Holding(5.0, 500.0, 0.1, 0.1)
MARKET = Market(PriceList(0.5, 0.1, 2.0), 0.3)
USD = st.floats(0.0, 50_000.0)
DECLINES = st.floats(-0.5, 0.9)


@given(
    USD,
    st.floats(-5_000.0, 50_000.0),
    DECLINES,
    st.floats(0.0, 10.0),
    st.floats(0.0, 5_000.0),
    st.floats(0.0, 0.5),
)
def test_it_is_never_worth_less_than_scrap(
    revenue: float, cost: float, decline: float, years: float, scrap: float, discount: float
):
    value, kept = present_value(revenue, cost, decline, Holding(years, scrap, discount))
    assert value >= scrap
    assert 0 <= kept <= years


@given(
    USD,
    st.floats(0.0, 20_000.0),
    st.floats(0.01, 0.9),
    st.floats(0.1, 8.0),
    st.floats(0.0, 5_000.0),
    st.floats(0.01, 0.5),
)
def test_no_other_time_of_giving_it_up_is_better(
    revenue: float, cost: float, decline: float, years: float, scrap: float, discount: float
):
    """The closed form against a sum over months of every other time to stop."""
    value, _ = present_value(revenue, cost, decline, Holding(years, scrap, discount))
    for stop in np.linspace(0.0, years, 9):
        times = np.linspace(0.0, stop, 2001)
        rate, fall = np.log1p(discount), -np.log1p(-decline)
        earned = np.trapezoid((revenue * np.exp(-fall * times) - cost) * np.exp(-rate * times), times)
        assert value >= earned + scrap * np.exp(-rate * stop) - 1e-3 * (revenue + cost + 1)


def test_the_formula_by_hand():
    """Steady 1,000 a year for 3 years, no interest: 3,000 and the scrap."""
    value, kept = present_value(1500.0, 500.0, 0.0, Holding(3.0, 200.0, 0.0))
    assert value == pytest.approx(3200.0)
    assert kept == 3.0
    """Halving each year from 1,000 with 250 to pay: two years, 1000 x 0.75 / ln 2 - 500."""
    value, kept = present_value(1000.0, 250.0, 0.5, Holding(9.0, 0.0, 0.0))
    assert kept == pytest.approx(2.0)
    assert value == pytest.approx(750 / np.log(2) - 500)


def test_what_costs_nothing_is_kept_to_its_end():
    assert present_value(100.0, -50.0, 0.5, Holding(7.0, 0.0, 0.1))[1] == 7.0
    assert present_value(100.0, 50.0, -0.1, Holding(7.0, 0.0, 0.1))[1] == 7.0


def test_worth_follows_the_power_price():
    cheap, dear = (worth(RATES, site(), CASE.duty, MARKET, HELD, price) for price in (-20.0, 200.0))
    assert cheap.value_usd > dear.value_usd
    assert cheap.energy_usd_per_hour < 0
    assert cheap.power_usd_per_mwh_max == dear.power_usd_per_mwh_max
    at_limit = worth(RATES, site(), CASE.duty, MARKET, HELD, cheap.power_usd_per_mwh_max)
    assert at_limit.rent_usd_per_hour == pytest.approx(0.0, abs=1e-9)
    assert at_limit.value_usd == HELD.scrap_usd


def test_revenue_counts_every_leg():
    """200 tokens/s out and 400 fresh, 400 cached in, busy 57% of an hour."""
    expected = (400 * 0.5 + 400 * 0.1 + 200 * 2.0) * 3600 / 1e6 * 0.57
    assert revenue_usd_per_hour(RATES, MARKET.prices, CASE.duty) == pytest.approx(expected)


@given(st.lists(st.floats(10.0, 5_000.0), min_size=1, max_size=6))
def test_the_least_efficient_retires_first(rates: list[float]):
    worths = [
        worth(replace(RATES, output_tokens_per_s=rate), site(), CASE.duty, MARKET, HELD, 60.0)
        for rate in rates
    ]
    limits = [one.power_usd_per_mwh_max for one in retirement_order(worths)]
    assert limits == sorted(limits)
    assert len(limits) == len(rates)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(Malformed, match="decline"):
        Market(MARKET.prices, 1.0)
    with pytest.raises(Malformed, match="scrap"):
        Holding(1.0, -1.0, 0.1)
    with pytest.raises(Malformed, match="discount"):
        Holding(1.0, 0.0, 1.0)

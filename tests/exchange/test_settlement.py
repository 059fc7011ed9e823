"""Limits and settlement prices: the arithmetic, in ticks, and days of it through the whole exchange."""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import Row, code_of
from ciyuan.exchange import (
    Contract,
    ContractKind,
    ExchangeEvent,
    SessionState,
    SettlementMethod,
    Side,
    close_day_row,
    order_row,
    session_row,
)
from ciyuan.exchange.room import Room
from ciyuan.exchange.settlement import average_ticks, daily_limits, middle_ticks, months_apart
from tests.exchange.scenario_runner import MACHINES, Machine

DAY = 20_000
ROOM = Room(accounts=4, orders=64, ladder_ticks=4_096)

# Days by the rule of the Chinese commodity exchanges: trades as (price, lots), settlement price, limit rate, the next day's
# limits. The first is the worked example of wodefinance.com/Futuresplatform/xjwzlodxpp.html, which gives no rate. The other's
# limits are those worked out for sugar at Zhengzhou in .../nsbbsvdoyc.html: 3,160 x 1.06 = 3,349.6, published as 3,350, and x
# 0.94 = 2,970.4, published as 2,970 (the page misprints the factor 3,160 there). Both read on 2026-11-21.
PUBLISHED_DAYS = (
    ([(2000, 10), (2020, 5), (1990, 20), (2010, 15)], 2001, 400, (1920, 2082)),
    ([(3160, 1)], 3160, 600, (2970, 3350)),
)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("trades", "settlement", "rate_bp", "limits"), PUBLISHED_DAYS, ids=["average", "limits"]
)
def test_a_published_day(trades, settlement, rate_bp, limits, machine):
    closed, state = day_of(MACHINES[machine], trades, trades[0][0], rate_bp)
    assert closed == (settlement, SettlementMethod.TRADES, *limits)
    assert state == limits


@given(
    trades=st.lists(st.tuples(st.integers(900, 1100), st.integers(1, 50)), min_size=1, max_size=20),
    rate_bp=st.integers(500, 2_000),
)
def test_any_day(trades, rate_bp):
    mean = Fraction(sum(price * lots for price, lots in trades), sum(lots for _, lots in trades))
    settlement = floor(mean + Fraction(1, 2))
    limits = (
        floor(settlement * (1 - Fraction(rate_bp, 10_000))),
        ceil(settlement * (1 + Fraction(rate_bp, 10_000))),
    )
    closed, state = day_of(MACHINES["kernel"], trades, 1_000, rate_bp)
    assert closed == (settlement, SettlementMethod.TRADES, *limits)
    assert state == limits


def day_of(
    make: type[Machine], trades: Iterable[tuple[int, int]], start: int, rate_bp: int
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """A contract's first day with these trades: (settlement price, method, next lower, next upper limit) as they are told,
    and the limits in force then."""
    contract = Contract(
        number=1, code="S", kind=ContractKind.CASH_FUTURE, grade=1, tick_micro=1_000, lot_mtok=1, first_day=DAY, last_day=DAY,
        month=202410, limit_rate_bp=rate_bp, initial_price_ticks=start, max_lots_per_order=1_000,
    )  # fmt: skip
    exchange = make([contract], ROOM, everyone=True)
    rows = [session_row(0, 1, SessionState.CONTINUOUS, DAY)]
    for number, (price, lots) in enumerate(trades, 1):
        rows += [
            order_row(0, account, number, 1, side, price, lots)
            for account, side in ((1, Side.SELL), (2, Side.BUY))
        ]
    rows += [session_row(0, 1, state, DAY) for state in (SessionState.CLOSING, SessionState.SETTLEMENT)]
    rows.append(close_day_row(0, 1, DAY))
    events: list[Row] = []
    for row in rows:
        exchange.apply_one(row, events)
    price, _, method, upper, lower = next(
        row[3:] for row in events if code_of(row[0]) == ExchangeEvent.SETTLEMENT_PRICE
    )
    return (price, method, lower, upper), exchange.limits(1)


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

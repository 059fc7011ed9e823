"""The functions of margin: the ladder's dates, roundings, and the worst case against every way that orders can fill."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.calendar import day_from_iso, iso_of_day
from ciyuan.clearing.margin import (
    Stage,
    fee_kept_micro,
    fill_fee_micro,
    limit_lots,
    margin_lot_micro,
    rate_bp,
    stage_of,
    worst_lots,
)
from ciyuan.clearing.messages import Fees, Ladder, PositionLimits
from tests.clearing.floor import CALENDAR, future

NOVEMBER = future(3, 202611)

LADDER_DAYS = (
    ("2026-01-05", Stage.ORDINARY, 1200),
    ("2026-09-30", Stage.ORDINARY, 1200),
    ("2026-10-01", Stage.MONTH_BEFORE, 1500),
    ("2026-10-30", Stage.MONTH_BEFORE, 1500),
    ("2026-10-31", Stage.MONTH_BEFORE, 1500),
    ("2026-11-02", Stage.DELIVERY_MONTH, 2000),
    ("2026-11-25", Stage.DELIVERY_MONTH, 2000),
    ("2026-11-26", Stage.LAST_DAYS, 2500),
    ("2026-11-27", Stage.LAST_DAYS, 2500),
    ("2026-11-30", Stage.LAST_DAYS, 2500),
    ("2026-12-01", Stage.LAST_DAYS, 2500),
)
"""Of the November contract: its last day is Monday the 30th, and two business days before it is Thursday the 26th."""


@pytest.mark.parametrize(("day", "stage", "rate"), LADDER_DAYS)
def test_the_ladder_steps_on_the_day_that_the_rulebook_names(day: str, stage: Stage, rate: int):
    found = stage_of(NOVEMBER, day_from_iso(day), Ladder(), CALENDAR)
    assert (found, rate_bp(found, Ladder())) == (stage, rate)


def test_the_ladder_never_steps_down():
    first, last = NOVEMBER.first_day, NOVEMBER.last_day + 10
    stages = [stage_of(NOVEMBER, day, Ladder(), CALENDAR) for day in range(first, last)]
    assert stages == sorted(stages), iso_of_day(first)
    assert set(stages) == set(Stage)


def test_december_before_january_is_the_month_before():
    january = future(9, 202701)
    assert stage_of(january, day_from_iso("2026-12-01"), Ladder(), CALENDAR) == Stage.MONTH_BEFORE
    assert stage_of(january, day_from_iso("2026-11-30"), Ladder(), CALENDAR) == Stage.ORDINARY


def test_limits_shrink_as_delivery_comes():
    limits = PositionLimits(30, 20, 10)
    assert [limit_lots(stage, limits) for stage in Stage] == [30, 20, 10, 10]


def test_margin_is_rounded_up_to_the_micro_unit():
    assert margin_lot_micro(1200, 1520, 1_000_000) == 182_400_000
    assert margin_lot_micro(1201, 7, 3) == 3  # 2.5221


@given(st.integers(0, 5000), st.integers(1, 10**6), st.integers(1, 10**9))
def test_margin_is_the_least_whole_number_that_covers_the_rate(rate: int, ticks: int, value: int):
    exact = Fraction(rate * ticks * value, 10_000)
    assert 0 <= margin_lot_micro(rate, ticks, value) - exact < 1


@given(
    position=st.integers(-20, 20),
    orders=st.lists(st.tuples(st.sampled_from((-1, 1)), st.integers(1, 6)), max_size=6),
)
def test_the_worst_case_is_the_worst_of_all_fills(position: int, orders: list[tuple[int, int]]):
    """Every order fills by none, some or all of its lots, in every combination."""
    reached = [
        position + sum(side * lots for (side, _), lots in zip(orders, fills, strict=True))
        for fills in product(*(range(lots + 1) for _, lots in orders))
    ]
    buys = sum(lots for side, lots in orders if side > 0)
    sells = sum(lots for side, lots in orders if side < 0)
    assert worst_lots(position, buys, sells) == max(abs(lots) for lots in reached)


def test_a_fill_costs_at_least_one_micro_unit():
    assert fill_fee_micro(1, 1, 0, 100) == 1
    assert fill_fee_micro(1_500_000_000, 1, 0, 0) == 1
    assert fill_fee_micro(15_000_000_000, 10, 20_000, 100) == 200_000 + 1_500_000
    assert fill_fee_micro(5_000, 0, 0, 300) == 2  # 1.5, a half upward


@given(
    upper=st.integers(1, 5000),
    value=st.integers(1, 10**6),
    fees=st.builds(Fees, *(st.integers(0, 10**5),) * 2, *(st.integers(0, 2000),) * 2),
    fills=st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1), st.booleans()), min_size=1, max_size=8),
)
def test_the_fee_kept_back_covers_any_split_into_fills(
    upper: int, value: int, fees: Fees, fills: list[tuple[int, float, bool]]
):
    paid = 0
    for lots, share, taker in fills:
        price = max(1, round(upper * share))
        lot, ppm = (
            (fees.taker_lot_micro, fees.taker_turnover_ppm)
            if taker
            else (fees.maker_lot_micro, fees.maker_turnover_ppm)
        )
        paid += fill_fee_micro(price * value * lots, lots, lot, ppm)
    assert paid <= sum(lots for lots, _, _ in fills) * fee_kept_micro(upper, value, fees)

"""Credits of the ladder (§6.3)."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.money import parse_micro
from ciyuan.clearing.credits import credits_micro, pairs_of
from ciyuan.clearing.messages import ClearingTerms, SpreadCredit
from tests.clearing.floor import DEC, HOUSE, KIMI, NOV, OCT, Floor, future
from tests.sources import table, text_of

OTHER = 8
MONTHS = (future(OCT, 202610), future(NOV, 202611), future(DEC, 202612))
BOTH = (*MONTHS, replace(future(5, 202611), grade=OTHER), replace(future(6, 202612), grade=OTHER))
TABLE = (SpreadCredit(KIMI, KIMI, 7500), SpreadCredit(KIMI, OTHER, 4000))
MARGINS = np.array([225, 180, 180, 150, 150], dtype=np.int64) * 10**6
SEPTEMBER, OCTOBER = day_from_iso("2026-09-28"), day_from_iso("2026-10-01")


def test_months_next_to_each_other_are_paired_first_and_none_in_its_delivery_month():
    assert pairs_of(MONTHS, TABLE, SEPTEMBER) == [(0, 1, 7500), (1, 2, 7500), (0, 2, 7500)]
    assert pairs_of(MONTHS, TABLE, OCTOBER) == [(1, 2, 7500)]


def test_two_grades_are_paired_month_by_month():
    assert pairs_of(BOTH, TABLE[1:], OCTOBER) == [(1, 3, 4000), (2, 4, 4000)]


def test_contracts_of_another_lot_are_not_paired():
    small = (MONTHS[0], replace(MONTHS[1], lot_mtok=1))
    assert pairs_of(small, TABLE, SEPTEMBER) == []


def test_opposite_lots_get_a_share_of_both_margins():
    lots = np.array([[10, -4, 0, 0, 0], [10, -10, -5, 5, 0], [3, 3, 0, 0, 0], [0, 0, 0, 0, 0]])
    pairs = pairs_of(BOTH, TABLE, SEPTEMBER)
    assert credits_micro(lots, MARGINS, pairs).tolist() == [
        4 * (225 + 180) * 750_000,
        10 * (225 + 180) * 750_000,
        0,
        0,
    ]


@given(
    st.lists(st.tuples(*[st.integers(-50, 50)] * 5), min_size=1, max_size=6),
    st.lists(st.integers(1, 10**9), min_size=5, max_size=5),
    st.integers(0, 10_000),
)
def test_a_credit_is_never_above_the_margins_of_the_lots(lots, margins, rate):
    table = (
        SpreadCredit(KIMI, KIMI, rate),
        SpreadCredit(KIMI, OTHER, rate),
        SpreadCredit(OTHER, OTHER, rate),
    )
    held, asked = np.array(lots), np.array(margins)
    credit = credits_micro(held, asked, pairs_of(BOTH, table, SEPTEMBER))
    gross = np.abs(held) @ asked
    assert (credit >= 0).all()
    assert (credit * 10_000 <= gross * rate).all()
    one_side = (held >= 0).all(axis=1) | (held <= 0).all(axis=1)
    assert not credit[one_side].any()
    assert np.array_equal(credit, credits_micro(-held, asked, pairs_of(BOTH, table, SEPTEMBER)))


PAGE_ROWS = table(
    text_of("docs/spec/clearing.md"),
    "lots of October, November, December",
    "margins of a lot, USD",
    "rate, bp",
    "credit, USD",
)


@pytest.mark.parametrize("cells", PAGE_ROWS, ids=lambda cells: cells[0])
def test_credits_are_as_the_page_says(cells: list[str]):
    lots, margins, rate, due = cells
    table = (SpreadCredit(KIMI, KIMI, int(rate)),)
    asked = np.array([int(usd) * 10**6 for usd in margins.split(",")])
    held = np.array([[int(count) for count in lots.split(",")]])
    credit = credits_micro(held, asked, pairs_of(MONTHS, table, SEPTEMBER))
    assert credit.tolist() == [parse_micro(due.replace(",", ""))]


def test_a_spread_that_is_held_is_credited_at_the_settlement():
    floor = Floor(terms=ClearingTerms(HOUSE, credits=TABLE[:1]))
    floor.trade(1, 2, NOV, 10, 1500)
    floor.trade(2, 1, DEC, 10, 1500)
    assert floor.house.requirement_micro(1) == floor.house.ladder_micro(1)
    floor.next_day()
    ladder = floor.house.ladder_micro(1)
    assert floor.house.requirement_micro(1) == ladder - ladder * 3 // 4
    floor.trade(3, 1, NOV, 1, 1500)
    assert floor.house.requirement_micro(1) == floor.house.ladder_micro(1), (
        "the offset is of a portfolio that is no more"
    )

"""Admission (§5) by exchange and clearing house together, at its edges: one lot, one micro-dollar, one order more or less."""

import pytest

from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.clearing.messages import ClearingTerms, Fees, Permission, PositionLimits
from ciyuan.exchange.messages import Refusal
from tests.clearing.floor import HEDGER, HOUSE, MAKER, NO_FEES, NOV, OCT, SPECULATOR, SPOT, USD
from tests.venue.chain import Chain

MARGIN_LOT = 225 * USD
"""Of an October lot on 28 September: 15% of 1.500 USD x 1,000 MTok."""
FREE = ClearingTerms(HOUSE, futures_fees=NO_FEES, spot_fees=NO_FEES)


def test_who_is_no_member_is_unknown():
    assert Chain().order(7, OCT, 1, 1500) == Refusal.UNKNOWN_ACCOUNT
    assert Chain().order(9, 77, 1, 1500) == Refusal.UNKNOWN_ACCOUNT


@pytest.mark.parametrize(
    ("permissions", "contract"), [(Permission.FUTURES, SPOT), (Permission.SPOT, OCT), (0, OCT)]
)
def test_a_member_trades_what_it_is_permitted(permissions: int, contract: int):
    chain = Chain(permissions=permissions)
    assert chain.order(1, contract, 1, 1500) == Refusal.NOT_PERMITTED
    other = chain.order(1, SPOT + OCT - contract, 1, 1500)
    assert other == (chain.order_count if permissions else Refusal.NOT_PERMITTED)


@pytest.mark.parametrize("side", [1, -1])
def test_margin_is_enough_to_the_micro_dollar(side: int):
    """Ten lots at 225 USD, and one micro-dollar of fee for each open lot."""
    chain = Chain(cash_usd=(0,), terms=FREE)
    chain.deposit(1, 10 * MARGIN_LOT + 9)
    assert chain.order(1, OCT, 10 * side, 1500) == Refusal.MARGIN
    chain.deposit(1, 1)
    assert chain.placed(1, OCT, 10 * side, 1500)
    assert chain.house.excess_micro(1) == 0
    assert chain.order(1, OCT, side, 1500) == Refusal.MARGIN


def test_the_two_sides_of_a_quote_are_covered_once():
    """§5.1 takes the larger of the two sides: the other is free, but for its fee."""
    chain = Chain(cash_usd=(0,), terms=FREE)
    chain.deposit(1, 10 * MARGIN_LOT + 20)
    assert chain.placed(1, OCT, 10, 1499)
    assert chain.placed(1, OCT, -10, 1501)
    assert chain.order(1, OCT, -1, 1501) == Refusal.MARGIN


def test_other_contracts_are_no_offset():
    """§6.1 knows no credit between months yet: a spread needs both legs' margins."""
    chain = Chain(cash_usd=(100_000, 0), terms=FREE)
    chain.deposit(2, 10 * MARGIN_LOT + 20)
    chain.trade(2, 1, OCT, 10, 1500)
    assert chain.order(2, NOV, -10, 1500) == Refusal.MARGIN


def test_fees_are_kept_back_at_the_days_upper_limit():
    """Twice 100% above 1.500 on a first day: 100 ppm of 4,500 USD is 0.45 USD a lot."""
    chain = Chain(cash_usd=(0,), terms=ClearingTerms(HOUSE, futures_fees=Fees(0, 0, 50, 100)))
    chain.deposit(1, 10 * (MARGIN_LOT + 450_000) - 1)
    assert chain.order(1, OCT, 10, 1400) == Refusal.MARGIN
    chain.deposit(1, 1)
    assert chain.placed(1, OCT, 10, 1400)


def test_the_fee_kept_back_follows_the_upper_limit():
    """A settlement at 2.000 brings an upper limit of 2.200: 0.22 USD a lot."""
    chain = Chain(cash_usd=(100_000,), terms=ClearingTerms(HOUSE, futures_fees=Fees(0, 0, 50, 100)))
    chain.next_day(OCT=2000)
    chain.placed(1, OCT, 10, 2000)
    assert chain.house.requirement_micro(1) == 10 * (300 * USD + 220_000)


def test_unpaid_fees_are_a_claim_on_the_cash():
    chain = Chain(cash_usd=(100_000, 0), terms=ClearingTerms(HOUSE, futures_fees=Fees(70, 70, 0, 0)))
    chain.deposit(2, 10 * MARGIN_LOT + 700)
    chain.trade(2, 1, OCT, 9, 1500)
    assert chain.house.excess_micro(2) == MARGIN_LOT + 70
    assert chain.placed(2, OCT, 1, 1500)
    assert chain.house.excess_micro(2) == 0


def test_a_running_loss_counts_and_a_running_gain_does_not():
    chain = Chain(cash_usd=(100_000, 0, 100_000), terms=FREE)
    chain.deposit(2, 20 * MARGIN_LOT + 1_000 * USD)
    chain.trade(2, 1, OCT, 10, 1500)
    before = chain.house.equity_micro(2)
    chain.trade(1, 3, OCT, 1, 1400)
    assert chain.house.equity_micro(2) == before - 1_000 * USD
    chain.trade(1, 3, OCT, 1, 1600)
    assert chain.house.equity_micro(2) == before


def test_a_reducing_order_needs_no_money_and_one_lot_more_does():
    chain = Chain(cash_usd=(100_000, 0), terms=FREE)
    chain.deposit(2, 10 * MARGIN_LOT + 20)
    chain.trade(2, 1, OCT, 10, 1500)
    chain.next_day(OCT=1400)
    assert chain.house.excess_micro(2) < 0
    assert chain.order(2, OCT, -11, 1400) == Refusal.MARGIN
    assert chain.order(2, OCT, 1, 1400) == Refusal.MARGIN
    assert chain.placed(2, OCT, -4, 1400)
    assert chain.order(2, OCT, -7, 1400) == Refusal.MARGIN
    assert chain.placed(2, OCT, -6, 1400)


def test_the_position_limit_counts_what_is_open_and_the_hedgers_is_its_own():
    terms = ClearingTerms(HOUSE, limits=PositionLimits(5, 4, 2), hedger_limits=PositionLimits(9, 8, 7))
    chain = Chain(terms=terms, roles=(SPECULATOR, HEDGER, MAKER))
    assert chain.order(1, OCT, 5, 1500) == Refusal.POSITION_LIMIT
    assert chain.placed(1, OCT, 3, 1500)
    assert chain.order(1, OCT, 2, 1500) == Refusal.POSITION_LIMIT
    assert chain.placed(1, OCT, 1, 1500)
    assert chain.placed(1, OCT, -4, 1501)
    assert chain.order(3, OCT, -5, 1500) == Refusal.POSITION_LIMIT
    assert chain.placed(2, OCT, 8, 1400)
    assert chain.order(2, OCT, 1, 1400) == Refusal.POSITION_LIMIT
    assert chain.placed(1, NOV, 5, 1400)


def test_a_hedgers_limit_may_also_be_the_lower_one():
    terms = ClearingTerms(HOUSE, limits=PositionLimits(9, 9, 9), hedger_limits=PositionLimits(2, 2, 2))
    chain = Chain(terms=terms, roles=(SPECULATOR, HEDGER, MAKER))
    assert chain.order(2, OCT, 3, 1500) == Refusal.POSITION_LIMIT
    assert chain.placed(3, OCT, 3, 1500)


def test_a_position_over_a_shrunken_limit_may_only_shrink():
    terms = ClearingTerms(HOUSE, limits=PositionLimits(5, 4, 2))
    chain = Chain(terms=terms)
    chain.trade(1, 2, OCT, 4, 1500)
    while chain.day < 20_727:  # October begins, and delivery with it
        chain.next_day()
    assert chain.house.position(1, OCT) == 4
    assert chain.order(1, OCT, 1, 1500) == Refusal.POSITION_LIMIT
    assert chain.order(1, OCT, -7, 1500) == Refusal.POSITION_LIMIT
    assert chain.placed(1, OCT, -6, 1500)


def test_the_order_rate_is_counted_by_the_second_of_the_clock():
    chain = Chain(terms=ClearingTerms(HOUSE, orders_per_second_max=3))
    chain.time_ns = chain.time_ns // NS_PER_SECOND * NS_PER_SECOND
    said = [chain.order(1, OCT, 1, 1500) for _ in range(4)]
    assert said[3] == Refusal.ORDER_RATE
    assert Refusal.ORDER_RATE not in said[:3]
    assert chain.placed(2, OCT, 1, 1500)
    chain.time_ns += NS_PER_SECOND
    assert chain.placed(1, OCT, 1, 1500)


def test_refusals_come_in_the_declared_order():
    """Position limit, then order rate, then margin (§3.5)."""
    terms = ClearingTerms(HOUSE, limits=PositionLimits(5, 5, 5), orders_per_second_max=1)
    chain = Chain(cash_usd=(0,), terms=terms)
    assert chain.order(1, OCT, 6, 1500) == Refusal.POSITION_LIMIT
    assert chain.order(1, OCT, 5, 1500) == Refusal.MARGIN
    assert chain.order(1, OCT, 5, 1500) == Refusal.ORDER_RATE
    assert chain.order(1, OCT, 6, 1500) == Refusal.POSITION_LIMIT


def test_spot_buys_need_their_money_and_spot_sells_their_receipts():
    chain = Chain(cash_usd=(0, 0), receipts=40, terms=FREE)
    chain.deposit(1, 150 * USD + 100)
    assert chain.order(1, SPOT, 101, 1500) == Refusal.MARGIN
    bid = chain.placed(1, SPOT, 100, 1500)
    assert chain.order(1, SPOT, 1, 1) == Refusal.MARGIN
    chain.cancel_of(1, bid)
    assert chain.placed(1, SPOT, 100, 1500)
    assert chain.order(2, SPOT, -41, 1500) == Refusal.MARGIN
    assert chain.placed(2, SPOT, -30, 1500)
    assert chain.order(2, SPOT, -11, 1500) == Refusal.MARGIN
    assert chain.placed(2, SPOT, -10, 1500)


def test_money_held_for_spot_is_no_margin():
    chain = Chain(cash_usd=(1_000,), terms=FREE)
    assert chain.placed(1, SPOT, 600, 1500)
    assert chain.order(1, OCT, 1, 1500) == Refusal.MARGIN

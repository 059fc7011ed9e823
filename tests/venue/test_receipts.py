"""Receipts (§9.1): no more than was proved, issued once, lapsed once, and every one of them accounted for."""

from dataclasses import replace

import pytest

from ciyuan.basics.calendar import day_from_iso
from ciyuan.clearing.messages import ClearingEvent, Life, deliver_row, pledge_row, tender_row
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.venue.messages import Purse, VenueCommand, VenueEvent, VenueRefusal
from tests.venue.market import (
    ADA,
    BO,
    DEE,
    EVE,
    KIMI,
    MONTH,
    QWEN,
    QWEN_SPOT,
    SPOT,
    TERMS,
    USD,
    Market,
    future,
)

CAPACITY, ISSUE, LAPSE = VenueCommand.CAPACITY, VenueCommand.ISSUE, VenueCommand.LAPSE


def test_receipts_are_issued_up_to_what_was_proved():
    market = Market().join()
    assert market.answer(ISSUE, 501, ADA, KIMI, 1, MONTH) == VenueRefusal.OVER_CAPACITY
    assert market.answer(CAPACITY, ADA, KIMI, MONTH, 10) == VenueEvent.CAPACITY_PROVED
    assert market.answer(ISSUE, 501, ADA, KIMI, 7, MONTH) == VenueEvent.ISSUED
    assert market.answer(ISSUE, 502, ADA, KIMI, 4, MONTH) == VenueRefusal.OVER_CAPACITY
    assert market.answer(ISSUE, 503, ADA, KIMI, 3, MONTH) == VenueEvent.ISSUED
    assert market.held_receipts(ADA) == 10
    assert market.venue.ledger.posted(TERMS.chart.issuance(KIMI)) == -10


def test_capacity_is_of_one_supplier_grade_and_month():
    market = Market().join()
    market.ask(CAPACITY, ADA, KIMI, MONTH, 10)
    for words in ((BO, KIMI, 1, MONTH), (ADA, QWEN, 1, MONTH), (ADA, KIMI, 1, MONTH + 1)):
        assert market.answer(ISSUE, 501, *words) == VenueRefusal.OVER_CAPACITY


def test_a_later_word_of_capacity_replaces_the_earlier_but_not_what_was_issued():
    market = Market().join().receipts(count=10)
    assert market.answer(CAPACITY, ADA, KIMI, MONTH, 9) == VenueRefusal.OVER_CAPACITY
    assert market.answer(CAPACITY, ADA, KIMI, MONTH, 10) == VenueEvent.CAPACITY_PROVED
    assert market.answer(CAPACITY, ADA, KIMI, MONTH, 11) == VenueEvent.CAPACITY_PROVED
    assert market.answer(ISSUE, 501, ADA, KIMI, 1, MONTH) == VenueEvent.ISSUED
    assert market.answer(CAPACITY, BO, KIMI, MONTH, 0) == VenueEvent.CAPACITY_PROVED


def test_an_issue_happens_once_under_its_key():
    market = Market().join().receipts(count=10)
    market.ask(CAPACITY, ADA, KIMI, MONTH, 100)
    assert market.answer(ISSUE, 501, ADA, KIMI, 60, MONTH) == VenueEvent.ISSUED
    assert market.answer(ISSUE, 501, ADA, KIMI, 60, MONTH) == VenueEvent.REPEATED
    for words in (
        (ADA, KIMI, 61, MONTH),
        (ADA, KIMI, 60, MONTH + 1),
        (BO, KIMI, 60, MONTH),
        (ADA, QWEN, 60, MONTH),
    ):
        assert market.answer(ISSUE, 501, *words) == VenueRefusal.KEY_USED_OTHERWISE
    assert market.answer(VenueCommand.DEPOSIT, 501, ADA, Purse.CASH, 60) == VenueRefusal.KEY_USED_OTHERWISE
    market.ask(VenueCommand.DEPOSIT, 502, ADA, Purse.CASH, 60)
    assert market.answer(ISSUE, 502, ADA, KIMI, 60, MONTH) == VenueRefusal.KEY_USED_OTHERWISE
    assert market.held_receipts(ADA) == 70


def test_receipts_trade_for_money_and_lapse_from_whoever_holds_them():
    market = Market().join().receipts().receipts(of=QWEN, count=40).open()
    market.order(ADA, SPOT, -10, 1500)
    market.order(DEE, SPOT, 4, 1500)
    market.order(ADA, QWEN_SPOT, -3, 1500)
    market.order(EVE, QWEN_SPOT, 3, 1500)
    assert (market.held_receipts(DEE), market.held_receipts(EVE, QWEN)) == (4, 6)
    assert market.money(EVE) == 10_000 * USD - 6 * 1_500_000
    market.close()
    said = market.ask(LAPSE, KIMI, MONTH)
    assert [event[2:6] for event in said] == [(KIMI, MONTH, ADA, 996), (KIMI, MONTH, DEE, 4)]
    assert market.held_receipts(ADA) == market.held_receipts(DEE) == 0
    assert market.held_receipts(EVE, QWEN) == 6
    assert market.venue.ledger.posted(TERMS.chart.issuance(KIMI)) == 0
    assert market.answer(LAPSE, KIMI, MONTH) == VenueEvent.REPEATED
    assert [event[4:6] for event in market.ask(LAPSE, QWEN, MONTH)] == [(ADA, 34), (EVE, 6)]


def test_what_a_standing_offer_holds_does_not_lapse_under_it():
    market = Market().join().receipts().open()
    market.order(ADA, SPOT, -10, 1500)
    said = market.ask(LAPSE, KIMI, MONTH)
    assert [event[4:6] for event in said] == [(ADA, 990)]
    said = market.order(DEE, SPOT, 10, 1500)
    assert ExchangeEvent.FILLED in market.codes(said)
    assert market.held_receipts(DEE) == 10


def test_receipts_lapse_month_by_month():
    market = Market().join().receipts(count=10)
    assert market.codes(market.ask(LAPSE, KIMI, MONTH)) == [VenueEvent.LAPSED]
    market.ask(CAPACITY, ADA, KIMI, MONTH + 1, 5)
    market.ask(ISSUE, 501, ADA, KIMI, 5, MONTH + 1)
    assert market.codes(market.ask(LAPSE, KIMI, MONTH + 1)) == [VenueEvent.LAPSED]
    assert market.held_receipts(ADA) == 0


def test_a_month_that_has_lapsed_takes_no_new_receipts():
    market = Market().join().receipts(count=10)
    market.ask(LAPSE, KIMI, MONTH)
    market.ask(CAPACITY, ADA, KIMI, MONTH, 100)
    assert market.answer(ISSUE, 501, ADA, KIMI, 5, MONTH) == VenueRefusal.UNKNOWN_MONTH
    assert market.held_receipts(ADA) == 0


@pytest.mark.parametrize("month", [0, -1, 202600, 202613, 1, 2**40, 10**6 + 1, -(2**63)])
def test_a_month_is_a_month(month):
    market = Market().join().receipts(count=10)
    assert market.answer(CAPACITY, ADA, KIMI, month, 10) == VenueRefusal.UNKNOWN_MONTH
    assert market.answer(LAPSE, KIMI, month) == VenueRefusal.UNKNOWN_MONTH
    assert market.held_receipts(ADA) == 10


def test_more_receipts_than_can_be_counted_are_refused_not_wrapped():
    market = Market().join()
    for number in (0, 1):
        market.ask(CAPACITY, ADA, KIMI, MONTH + number, 2**62)
    assert market.answer(ISSUE, 501, ADA, KIMI, 2**62, MONTH) == VenueEvent.ISSUED
    assert market.answer(ISSUE, 502, ADA, KIMI, 2**62, MONTH + 1) == VenueRefusal.AMOUNT_OVERFLOW
    assert market.answer(ISSUE, 502, ADA, KIMI, 1, MONTH + 1) == VenueEvent.ISSUED


# --- held by the clearing house ---

PHYSICAL = 6
LAST = day_from_iso("2026-10-06")
DELIVERING = replace(
    TERMS,
    contracts=(
        *TERMS.contracts,
        replace(
            future(PHYSICAL, MONTH),
            kind=ContractKind.PHYSICAL_FUTURE,
            code="KIMI26P.2610",
            lot_mtok=10,
            last_day=LAST,
        ),
    ),
)


def short() -> Market:
    """Ada has 1,000 receipts and has sold 20 lots of 10 to dee, of a contract that ends on the next day."""
    market = Market(DELIVERING).join().receipts().open()
    market.order(ADA, PHYSICAL, -20, 1500)
    market.order(DEE, PHYSICAL, 20, 1500)
    return market


def test_what_is_pledged_and_tendered_is_given_back_before_it_lapses():
    market = short()
    market.tell(tender_row(market.tick(), ADA, PHYSICAL, 20))
    market.tell(pledge_row(market.tick(), ADA, KIMI, 300))
    assert market.venue.clearing.collateral_micro(ADA) == 300 * 1_050_000
    said = market.ask(LAPSE, KIMI, MONTH)
    assert market.codes(said) == [ClearingEvent.PLEDGED, ClearingEvent.TENDERED, VenueEvent.LAPSED]
    assert said[-1][4:6] == (ADA, 1000)
    assert (market.held_receipts(ADA), market.venue.clearing.collateral_micro(ADA)) == (0, 0)
    market.venue.clearing.check()


def test_what_was_tendered_is_delivered_and_the_exchange_knows():
    market = short()
    market.tell(tender_row(market.tick(), ADA, PHYSICAL, 20))
    market.close()
    market.at("08:00", LAST).open(LAST)
    market.close(LAST)
    assert market.venue.clearing.life(PHYSICAL) == Life.SETTLING
    said = market.tell(deliver_row(market.tick(), PHYSICAL, LAST))
    assert market.of(ClearingEvent.DELIVERED, said)[0][2:] == (DEE, ADA, PHYSICAL, 1500, 20, LAST)
    assert (market.held_receipts(ADA), market.held_receipts(DEE)) == (800, 200)
    assert market.codes(market.tell(deliver_row(market.tick(), PHYSICAL, LAST))) == [ClearingEvent.REPEATED]
    for number in (ADA, DEE):
        assert market.venue.exchange.requirement_micro(number) == 0
        assert market.venue.clearing.requirement_micro(number) == 0
    market.venue.clearing.check()
    redeemed = market.ask(VenueCommand.REDEEM, 700, DEE, KIMI, 200, ADA, MONTH)
    assert market.codes(redeemed)[-1] == VenueEvent.REDEEMED

"""A contract that ends three days in a row at its limit, through the whole venue: margins, suspension, reduction (§4.5)."""

import pytest

from ciyuan.basics.rows import code_of, flags_of
from ciyuan.clearing.messages import ClearingEvent
from ciyuan.exchange.messages import ExchangeEvent, FillFlag, Refusal, SessionState, notice_row, reduce_row
from ciyuan.simulation.auditor import Auditor
from tests.venue.market import ADA, CALENDAR, DAY, DEE, EVE, NOV, SIS, USD, Market, matrix


def locked() -> tuple[Market, int]:
    """November, the day after its third day at the upper limit. Eve is short three lots, and bid for two; dee is long."""
    market, day, price = Market().join(), DAY, 1500
    market.open(day).order(EVE, NOV, -3, 1500)
    market.order(DEE, NOV, 3, 1500)
    for days in (1, 2, 3):
        price = market.venue.exchange.limits(NOV)[1]
        market.order(ADA, NOV, -1, price)
        market.order(SIS, NOV, 1, price)
        market.at("14:50", day).order(EVE, NOV, 2, price)
        market.at("15:00", day).close(day)
        assert [event[4] for event in market.of(ExchangeEvent.LIMIT_LOCKED)][-1:] == [days]
        day = CALENDAR.next_business(day)
        market.at("08:00", day).open(day)
    return market, day


def margin_share_bp(market: Market) -> int:
    """Margin of a November lot, as a share of its settlement price."""
    return (
        market.venue.clearing.margin_lot_micro(NOV)
        * 10_000
        // (market.venue.clearing.settlement_ticks(NOV) * USD)
    )


def check_all(market: Market) -> None:
    """Everything adds up, at the exchange, the clearing house and in the ledger."""
    auditor = Auditor(market.venue)
    auditor.hear(matrix(market.rows), matrix(market.said))
    auditor.check()
    market.venue.clearing.check()


def test_margins_follow_the_limits_and_the_contract_is_suspended():
    market, day = locked()
    told = [event[5:7] for event in market.of(ExchangeEvent.LIMIT_LOCKED)]
    assert told == [(1300, 1500), (1500, 1700), (1500, 1700)]
    assert margin_share_bp(market) == 1700, "two points over the limit; the ladder's is 1500"
    assert market.venue.exchange.book(NOV).state == SessionState.SUSPENDED
    assert {event[7] for event in market.of(ExchangeEvent.REFUSED)} == {Refusal.SUSPENDED}
    market.order(DEE, NOV, 1, 1500)
    assert market.said[-1][7] == Refusal.WRONG_STATE
    check_all(market)
    market.close(day)
    assert market.venue.clearing.trading_day == CALENDAR.next_business(day)
    check_all(market)


def test_a_forced_reduction_closes_what_could_not_be_closed():
    market, day = locked()
    before = {number: market.money(number) for number in (EVE, DEE)}
    said = market.tell(reduce_row(market.tick(), NOV))
    forced = [event for event in said if code_of(event[0]) == ExchangeEvent.FILLED]
    assert all(flags_of(event[0]) & FillFlag.FORCED and event[3] == 0 for event in forced)
    assert market.venue.clearing.position(EVE, NOV) == -1, "two of her lots were bid for at the limit"
    assert sum(market.venue.clearing.position(number, NOV) for number in (ADA, DEE, EVE, SIS)) == 0
    assert margin_share_bp(market) == 1500, "the ladder's own again"
    check_all(market)
    market.close(day)
    fees = [event for event in market.of(ClearingEvent.FEE) if event[7] == day]
    assert not fees, "a forced trade costs none"
    assert market.money(EVE) + market.money(DEE) <= sum(before.values())
    check_all(market)
    day = CALENDAR.next_business(day)
    market.at("08:00", day).open(day)
    assert market.venue.exchange.book(NOV).state == SessionState.CONTINUOUS
    check_all(market)


@pytest.mark.parametrize("rate_bp", [2_000, 0])
def test_a_notice_resets_limits_and_margins(rate_bp: int):
    market, day = locked()
    market.tell(notice_row(market.tick(), NOV, rate_bp))
    assert margin_share_bp(market) == (2200 if rate_bp else 1500)
    market.close(day)
    assert margin_share_bp(market) == (2200 if rate_bp else 1500)
    check_all(market)

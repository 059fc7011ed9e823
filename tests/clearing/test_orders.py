"""What the exchange may say of orders beside the plain life of one: amendments, spreads, forced reduction, locked limits."""

from dataclasses import replace

import pytest

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.rows import kind_word, row
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    Fees,
    MemberRole,
    PositionLimits,
    settle_day_row,
)
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import (
    LEFT_BEFORE_SHIFT,
    AmendFlag,
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    SessionState,
    SettlementMethod,
)
from tests.clearing.floor import CALENDAR, CONTRACTS, DEC, HOUSE, NO_FEES, NOV, OCT, SPOT, USD, Floor, future

SPREAD = 9
FREE = ClearingTerms(HOUSE, futures_fees=NO_FEES, spot_fees=NO_FEES)
BOTH_MONTHS = replace(
    future(SPREAD, 202610), code="KIMI26.2610-2611", kind=ContractKind.SPREAD, near=OCT, far=NOV
)
OCT_LOT, NOV_LOT = 225 * USD, 180 * USD
"""Margins of a lot on 28 September: 15% and 12% of 1.500 USD x 1,000 MTok."""
SELL, TAKER, DONE, LEG, FORCED = (
    FillFlag.SIDE_SELL,
    FillFlag.TAKER,
    FillFlag.DONE,
    FillFlag.LEG,
    FillFlag.FORCED,
)


def a_floor(**more: object) -> Floor:
    return Floor(contracts=(*CONTRACTS, BOTH_MONTHS), **({"terms": FREE} | more))  # type: ignore[arg-type]


def accepted(floor: Floor, account: int, order_id: int, contract: int, lots: int, price: int) -> None:
    """Buy, or sell if negative; good until a date, which stands over the contract."""
    flags = OrderFlag.SIDE_SELL if lots < 0 else 0
    words = (account, order_id, contract | 20_000 << 32, price, abs(lots))
    floor.hear(row(kind_word(ExchangeEvent.ACCEPTED, flags), floor.tick(), words))


def amended(
    floor: Floor, account: int, order_id: int, contract: int, price: int, lots: int, *, before: int, left: int
) -> None:
    """Lots negative: of an order that sells. `before` and `left` are the lots left before and after."""
    flags = AmendFlag.SIDE_SELL if lots < 0 else 0
    words = (account, order_id, contract | before << LEFT_BEFORE_SHIFT, price, abs(lots), left)
    floor.hear(row(kind_word(ExchangeEvent.AMENDED, flags), floor.tick(), words))


def cancelled(floor: Floor, account: int, order_id: int, contract: int, lots: int) -> None:
    """Lots negative: of an order that sells."""
    flags = OrderFlag.SIDE_SELL if lots < 0 else 0
    words = (account, order_id, contract, 1, abs(lots))
    floor.hear(row(kind_word(ExchangeEvent.CANCELLED, flags), floor.tick(), words))


def traded(
    floor: Floor,
    first: tuple[int, int, int],
    second: tuple[int, int, int],
    contract: int,
    price: int,
    lots: int,
) -> None:
    """Two sides, each (account, order id, flags)."""
    floor.trade_count += 1
    for account, order_id, flags in (first, second):
        words = (account, order_id, contract, price, lots, floor.trade_count)
        floor.hear(row(kind_word(ExchangeEvent.FILLED, flags), floor.time_ns, words))


# --- amendments ---


def test_an_amended_order_has_the_lots_that_are_left():
    floor = a_floor()
    accepted(floor, 1, 1, OCT, 10, 1500)
    accepted(floor, 2, 1, OCT, -4, 1500)
    traded(floor, (1, 1, 0), (2, 1, SELL | TAKER | DONE), OCT, 1500, 4)
    amended(floor, 1, 1, OCT, 1490, 6, before=6, left=2)
    assert floor.house.open_lots(1, OCT) == (2, 0)
    assert floor.house.requirement_micro(1) == 6 * OCT_LOT + 2
    amended(floor, 1, 1, OCT, 1490, 20, before=2, left=16)
    assert floor.house.open_lots(1, OCT) == (16, 0)
    cancelled(floor, 1, 1, OCT, 16)
    assert floor.house.open_lots(1, OCT) == (0, 0)
    floor.house.check()


def test_an_amended_spot_order_holds_what_it_may_owe_now():
    floor = a_floor()
    accepted(floor, 1, 1, SPOT, 20, 1400)
    accepted(floor, 2, 1, SPOT, -30, 1390)
    traded(floor, (1, 1, 0), (2, 1, SELL | TAKER), SPOT, 1390, 5)
    held = floor.ledger.account(floor.cash(1)).debits_pending
    assert (held, floor.house.reserved_micro(1)) == (20 * 1_400_000 - 5 * 1_390_000, 15 * 1_400_000)
    amended(floor, 1, 1, SPOT, 1300, 25, before=15, left=20)
    assert floor.ledger.account(floor.cash(1)).debits_pending == 26 * USD == floor.house.reserved_micro(1)
    amended(floor, 2, 1, SPOT, 1500, -15, before=25, left=10)
    assert floor.ledger.account(floor.purse(2)).debits_pending == 10
    assert floor.house.receipts_lots(2, SPOT) == 995
    floor.house.check()
    cancelled(floor, 1, 1, SPOT, 20)
    cancelled(floor, 2, 1, SPOT, -10)
    assert floor.ledger.account(floor.cash(1)).debits_pending == floor.house.reserved_micro(1) == 0
    assert floor.house.credit_micro(1) == floor.house.equity_micro(1)


def test_orders_outlive_the_day_and_a_snapshot():
    floor = a_floor()
    accepted(floor, 1, 1, OCT, 10, 1500)
    accepted(floor, 1, 2, SPOT, 10, 1500)
    accepted(floor, 2, 1, SPREAD, 3, -20)
    floor.price(OCT, 1600)
    floor.next_day(OCT=1600)
    before = floor.house.state_hash()
    floor.house.restore(floor.house.snapshot())
    assert floor.house.state_hash() == before
    assert floor.house.open_lots(1, OCT) == (10, 0)
    assert (floor.house.open_lots(2, OCT), floor.house.open_lots(2, NOV)) == ((3, 0), (0, 3))
    assert floor.house.requirement_micro(1) == 10 * 240 * USD + 10 + 10
    assert floor.house.reserved_micro(1) == 15 * USD
    assert floor.house.spot_order(1, 2) == (SPOT, False)
    assert floor.house.spot_order(1, 1) is None
    floor.house.check()


# --- spreads ---


def test_a_spread_order_is_open_in_both_months():
    floor = a_floor()
    accepted(floor, 1, 1, SPREAD, 3, -20)
    accepted(floor, 2, 1, SPREAD, -2, -10)
    assert (floor.house.open_lots(1, OCT), floor.house.open_lots(1, NOV)) == ((3, 0), (0, 3))
    assert (floor.house.open_lots(2, OCT), floor.house.open_lots(2, NOV)) == ((0, 2), (2, 0))
    assert floor.house.requirement_micro(1) == 3 * (OCT_LOT + NOV_LOT) + 6
    cancelled(floor, 1, 1, SPREAD, 3)
    amended(floor, 2, 1, SPREAD, -10, -1, before=2, left=1)
    assert (floor.house.requirement_micro(1), floor.house.open_lots(2, NOV)) == (0, (1, 0))
    floor.house.check()


@pytest.mark.parametrize("near_first", [True, False])
def test_a_spread_is_filled_month_by_month(near_first: bool):
    """Two spread orders: each is done when both its months are, and the prices, which nobody named, are no marks."""
    floor = a_floor()
    accepted(floor, 1, 1, SPREAD, 3, -20)
    accepted(floor, 2, 1, SPREAD, -3, -20)
    near = ((1, 1, LEG), (2, 1, LEG | SELL | TAKER), OCT, 1480, 3)
    far = ((1, 1, LEG | SELL), (2, 1, LEG | TAKER), NOV, 1500, 3)
    for sides in (near, far) if near_first else (far, near):
        traded(floor, *sides)
    assert [floor.house.position(1, contract) for contract in (OCT, NOV)] == [3, -3]
    assert floor.house.open_lots(1, OCT) == floor.house.open_lots(2, NOV) == (0, 0)
    assert floor.house.equity_micro(1) == 100_000 * USD - 2, "no price moved: only the fees of two fills"
    assert len(floor.events(ClearingEvent.NOVATED)) == 2
    floor.house.check()


def test_an_implied_trade_is_a_mark():
    floor = a_floor()
    accepted(floor, 1, 1, SPREAD, 1, 0)
    accepted(floor, 2, 1, OCT, -1, 1480)
    accepted(floor, 3, 1, NOV, 1, 1500)
    traded(floor, (2, 1, SELL | DONE), (1, 1, LEG | TAKER), OCT, 1480, 1)
    traded(floor, (3, 1, DONE), (1, 1, LEG | SELL | TAKER | DONE), NOV, 1500, 1)
    accepted(floor, 2, 2, OCT, -1, 1470)
    accepted(floor, 3, 2, OCT, 1, 1470)
    traded(floor, (2, 2, SELL | DONE), (3, 2, TAKER | DONE), OCT, 1470, 1)
    assert floor.house.equity_micro(1) == 100_000 * USD - 10 * USD - 2
    floor.house.check()


def test_a_session_and_a_price_of_a_spread_concern_no_position():
    floor = a_floor()
    floor.hear(
        row(kind_word(ExchangeEvent.SESSION_CHANGED), floor.tick(), (SPREAD, SessionState.BREAK, floor.day))
    )
    words = (SPREAD, -20, floor.day, SettlementMethod.LEGS, 10, -50)
    floor.hear(row(kind_word(ExchangeEvent.SETTLEMENT_PRICE), floor.tick(), words))
    assert floor.house.contracts == (SPOT, OCT, NOV, 4)
    assert floor.next_day()


@pytest.mark.parametrize("legs", [(OCT, 77), (SPOT, NOV), (77, OCT)])
def test_a_spread_has_two_futures_that_are_listed(legs: tuple[int, int]):
    odd = replace(BOTH_MONTHS, near=legs[0], far=legs[1])
    with pytest.raises(Malformed, match="two listed futures"):
        Floor(contracts=(*CONTRACTS, odd))


# --- what must not be said ---


@pytest.mark.parametrize("contract", [OCT, SPREAD])
def test_lots_that_were_not_open_are_not_amended_away_or_cancelled(contract: int):
    for say in (
        lambda floor: amended(floor, 1, 7, contract, 1500, 1, before=2, left=1),
        lambda floor: cancelled(floor, 1, 7, contract, 1),
    ):
        with pytest.raises(InvariantBroken, match="orders that end were open"):
            say(a_floor())


def test_receipts_that_were_not_accepted_are_not_amended_or_cancelled():
    for say in (
        lambda floor: amended(floor, 1, 7, SPOT, 1500, 1, before=1, left=1),
        lambda floor: cancelled(floor, 1, 7, SPOT, 0),
    ):
        with pytest.raises(InvariantBroken, match="only an accepted order"):
            say(a_floor())


def test_a_fill_beyond_what_is_open_stops_the_machine():
    floor = a_floor()
    accepted(floor, 1, 1, OCT, 2, 1500)
    accepted(floor, 2, 1, OCT, -4, 1500)
    with pytest.raises(InvariantBroken, match="orders that end were open"):
        traded(floor, (1, 1, 0), (2, 1, SELL | TAKER), OCT, 1500, 3)


# --- forced reduction ---


def test_a_forced_reduction_closes_positions_without_a_fee_or_a_mark():
    floor = a_floor(terms=ClearingTerms(HOUSE, futures_fees=Fees(7, 7, 0, 0)))
    floor.trade(1, 2, OCT, 5, 1500)
    floor.next_day()
    equity = floor.house.equity_micro(1)
    traded(floor, (1, 0, FORCED | SELL), (2, 0, FORCED | TAKER), OCT, 1350, 2)
    assert [floor.house.position(number, OCT) for number in (1, 2)] == [3, -3]
    assert floor.house.requirement_micro(1) == 3 * OCT_LOT
    assert floor.house.equity_micro(1) == equity - 2 * 150 * USD, (
        "what the price cost on two lots, and no fee"
    )
    floor.close()
    assert len([event for event in floor.events(ClearingEvent.FEE) if event[2] == 1]) == 1, (
        "of the first day's fill"
    )
    floor.house.check()


# --- locked limits (§4.5) ---


def locked(floor: Floor, contract: int, days: int, limit_bp: int) -> None:
    words = (contract, 1, days, limit_bp, limit_bp + 200, floor.day)
    floor.hear(row(kind_word(ExchangeEvent.LIMIT_LOCKED), floor.tick(), words))


def test_after_a_locked_day_the_margin_is_over_the_next_limit():
    """10% and 3 points are 13%, and 2 over it 15%; with 5 points more 20%. A day that is not locked is back at 12%."""
    floor, rates = a_floor(), []
    for days, limit_bp in ((1, 1300), (2, 1800), (0, 0)):
        floor.price(DEC, 1500)
        before = floor.house.margin_lot_micro(DEC)
        if days:
            locked(floor, DEC, days, limit_bp)
        assert floor.house.margin_lot_micro(DEC) == before, "not before the day is settled"
        floor.tell(settle_day_row(floor.tick(), floor.day))
        rates.append(floor.house.margin_lot_micro(DEC) * 10_000 // (1500 * USD))
        state = floor.house.state_hash()
        floor.house.restore(floor.house.snapshot())
        assert floor.house.state_hash() == state
        floor.open(CALENDAR.next_business(floor.day))
        assert floor.house.margin_lot_micro(DEC) * 10_000 // (1500 * USD) == rates[-1]
    assert rates == [1500, 2000, 1200]


def test_a_notice_changes_limit_margin_and_fee_at_once():
    floor = a_floor(terms=ClearingTerms(HOUSE, futures_fees=Fees(0, 0, 50, 100)))

    def limits(upper: int, rate_bp: int) -> None:
        words = (OCT, 3000 - upper, upper, rate_bp)
        floor.hear(row(kind_word(ExchangeEvent.LIMITS), floor.tick(), words))

    floor.next_day()
    locked(floor, OCT, 3, 2300)
    limits(1800, 2000)
    risk = floor.house.risk(OCT)
    assert (risk.margin_lot_micro, risk.fee_lot_micro) == (1500 * USD * 2200 // 10_000, 180_000)
    floor.next_day()
    assert floor.house.margin_lot_micro(OCT) == 1500 * USD * 2200 // 10_000, "a notice holds until another"
    limits(1650, 1000)
    risk = floor.house.risk(OCT)
    assert (risk.margin_lot_micro, risk.fee_lot_micro) == (OCT_LOT, 165_000)


def test_limits_of_a_spread_are_passed_over():
    floor = a_floor()
    before = floor.house.state_hash()
    floor.hear(row(kind_word(ExchangeEvent.LIMITS), floor.tick(), (SPREAD, -10, 10, 0)))
    assert floor.house.state_hash() == before


# --- what the exchange is told of a contract ---


def test_what_a_lot_asks_follows_the_terms():
    limits, hedgers = PositionLimits(5, 4, 2), PositionLimits(0, 0, 0)
    terms = replace(FREE, limits=limits, hedger_limits=hedgers, limit_share_bp=2_500)
    floor = a_floor(terms=terms)
    assert (floor.house.risk(OCT).limit_lots, floor.house.risk(OCT).hedger_limit_lots) == (4, 0)
    assert (floor.house.risk(NOV).limit_lots, floor.house.risk(NOV).share_bp) == (5, 2_500)
    assert floor.house.risk(SPOT) == replace(
        floor.house.risk(SPOT), margin_lot_micro=0, limit_lots=0, share_bp=0
    )
    huge = a_floor(terms=replace(FREE, limits=PositionLimits(2**40, 2**40, 2**40)))
    assert huge.house.risk(OCT).limit_lots == 2**25, "no exposure is over that anyhow"


def test_a_large_position_is_measured_by_the_share_of_open_interest_if_that_is_more():
    terms = replace(
        FREE, limits=PositionLimits(5, 5, 5), hedger_limits=PositionLimits(20, 20, 20), limit_share_bp=5_000
    )
    floor = a_floor(terms=terms, roles=(MemberRole.HEDGER, MemberRole.HEDGER, MemberRole.SPECULATOR))
    floor.trade(1, 2, OCT, 14, 1500)
    floor.trade(1, 3, OCT, 4, 1500)
    floor.close()
    assert [event[2:6] for event in floor.events(ClearingEvent.LARGE_POSITION)] == [(1, OCT, 18, 20)]

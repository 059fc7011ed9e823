"""Spot: receipts against money in one chain, holds that cover exactly what is open, nothing left behind."""

from dataclasses import replace

import pytest

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import FLAG_SHIFT, code_of, flags_of, kind_word, reason_of, row
from ciyuan.clearing.messages import ClearingEvent, ClearingTerms, Reason
from ciyuan.exchange.messages import CancelCause, ExchangeEvent, FillFlag, Refusal
from ciyuan.ledger.messages import Command, Flag
from tests.clearing.floor import CONTRACTS, HOUSE, NO_FEES, SPOT, SPOT_MONEY, SPOT_RECEIPTS, USD, Floor

FIRST = 1000
"""A floor's order ids are this plus 1, 2, 3 ..."""
FREE = ClearingTerms(HOUSE, futures_fees=NO_FEES, spot_fees=NO_FEES)


def a_floor() -> Floor:
    return Floor(cash_usd=(1_000, 1_000, 1_000), receipts=100, terms=FREE)


def held_money(floor: Floor, number: int) -> int:
    return floor.ledger.account(floor.cash(number)).debits_pending


def held_receipts(floor: Floor, number: int) -> int:
    return floor.ledger.account(floor.purse(number)).debits_pending


def test_an_order_holds_what_it_may_owe():
    floor = a_floor()
    floor.placed(1, SPOT, 20, 1400)
    floor.placed(2, SPOT, -30, 1500)
    assert (held_money(floor, 1), held_receipts(floor, 1)) == (28 * USD, 0)
    assert (held_money(floor, 2), held_receipts(floor, 2)) == (0, 30)


def test_a_cancel_releases_all_of_it():
    floor = a_floor()
    for order_id in (floor.placed(1, SPOT, 20, 1400), floor.placed(2, SPOT, -30, 1500)):
        floor.cancel(order_id)
    assert held_money(floor, 1) == held_receipts(floor, 2) == 0
    assert floor.ledger.available(floor.cash(1)) == 1_000 * USD


def test_a_fill_delivers_against_payment_in_one_chain():
    floor = a_floor()
    ask, bid = floor.placed(2, SPOT, -30, 1500), floor.placed(1, SPOT, 20, 1600)
    floor.fill(ask, bid, 12)
    chain = floor.ledger.transfers[-4:].tolist()
    assert [code_of(step[0]) for step in chain] == [
        Command.POST,
        Command.POST,
        Command.TRANSFER,
        Command.TRANSFER,
    ]
    assert [flags_of(step[0]) & Flag.LINKED for step in chain] == [1, 1, 1, 0]
    assert [step[3:6] for step in chain] == [
        [floor.cash(1), SPOT_MONEY, 18 * USD],
        [floor.purse(2), SPOT_RECEIPTS, 12],
        [SPOT_MONEY, floor.cash(2), 18 * USD],
        [SPOT_RECEIPTS, floor.purse(1), 12],
    ]
    reasons = [Reason.SPOT_PAYMENT, Reason.SPOT_DELIVERY, Reason.SPOT_PAYMENT, Reason.SPOT_DELIVERY]
    assert [reason_of(step[0]) for step in chain] == reasons


def test_a_better_price_comes_back_at_the_orders_end():
    floor = a_floor()
    ask, bid = floor.placed(2, SPOT, -30, 1500), floor.placed(1, SPOT, 20, 1600)
    floor.fill(ask, bid, 12)
    assert held_money(floor, 1) == 32 * USD - 18 * USD
    assert held_receipts(floor, 2) == 18
    floor.fill(ask, bid, 8)
    assert held_money(floor, 1) == 0
    assert floor.money(1) == 1_000 * USD - 30 * USD
    assert floor.ledger.posted(floor.purse(1)) == 120


def test_a_part_filled_order_that_is_cancelled_keeps_what_it_got():
    floor = a_floor()
    ask, bid = floor.placed(2, SPOT, -30, 1500), floor.placed(1, SPOT, 20, 1600)
    floor.fill(ask, bid, 12)
    floor.cancel(bid)
    floor.cancel(ask)
    assert held_money(floor, 1) == held_receipts(floor, 2) == 0
    assert (floor.money(1), floor.money(2)) == (982 * USD, 1_018 * USD)
    assert [floor.ledger.posted(floor.purse(n)) for n in (1, 2, 3)] == [112, 88, 100]


def test_a_member_that_meets_itself_in_an_auction_is_where_it_was():
    floor = a_floor()
    ask, bid = floor.placed(1, SPOT, -10, 1500), floor.placed(1, SPOT, 10, 1500)
    floor.fill(ask, bid, 10)
    assert (floor.money(1), floor.ledger.posted(floor.purse(1))) == (1_000 * USD, 100)
    assert held_money(floor, 1) == held_receipts(floor, 1) == 0


def test_a_lot_of_several_mtok_is_that_many_receipts():
    """A lot of 10 MTok at 1.500 USD per MTok is 15 USD and ten receipts."""
    lots_of_ten = replace(CONTRACTS[0], lot_mtok=10)
    floor = Floor(cash_usd=(1_000, 1_000), receipts=100, terms=FREE, contracts=(lots_of_ten,))
    assert floor.order(2, SPOT, -11, 1500) == Refusal.MARGIN
    floor.trade(1, 2, SPOT, 3, 1500)
    assert floor.money(2) == 1_045 * USD
    assert floor.ledger.posted(floor.purse(1)) == 130


def test_every_trade_is_novated_under_one_id():
    floor = a_floor()
    ask, bid = floor.placed(2, SPOT, -30, 1500), floor.placed(1, SPOT, 20, 1600)
    floor.fill(ask, bid, 12)
    (event,) = floor.events(ClearingEvent.NOVATED)
    assert event[2:] == (1, 1, 2, SPOT, 1500, 12)
    assert Reason(reason_of(event[0])).rule == "§7.1"


def filled(order: int, account: int, flags: int, lots: int = 5, price: int = 1500) -> tuple[int, ...]:
    return row(
        kind_word(ExchangeEvent.FILLED, flags), 10**18 * 2, (account, FIRST + order, SPOT, price, lots, 1)
    )


@pytest.mark.parametrize(
    "second",
    [
        filled(2, 2, FillFlag.SIDE_SELL, lots=6),
        filled(2, 2, FillFlag.SIDE_SELL, price=1501),
        filled(2, 2, FillFlag.TAKER),
    ],
)
def test_a_trade_whose_sides_differ_stops_the_machine(second: tuple[int, ...]):
    floor = a_floor()
    floor.placed(1, SPOT, 20, 1500)
    floor.placed(2, SPOT, -20, 1500)
    floor.house.on_event(filled(1, 1, 0), [])
    with pytest.raises(InvariantBroken, match="two sides"):
        floor.house.on_event(second, [])


def test_a_fill_of_an_order_that_was_never_accepted_stops_the_machine():
    floor = a_floor()
    floor.placed(1, SPOT, 20, 1500)
    floor.placed(2, SPOT, -20, 1500)
    floor.house.on_event(filled(1, 1, 0), [])
    with pytest.raises(InvariantBroken, match="only an accepted order"):
        floor.house.on_event(filled(99, 2, FillFlag.SIDE_SELL | FillFlag.TAKER), [])


def test_a_cancel_of_more_than_is_open_stops_the_machine():
    floor = a_floor()
    floor.placed(1, SPOT, 20, 1500)
    floor.placed(1, SPOT, 20, 1500)
    with pytest.raises(InvariantBroken, match="what was left"):
        floor.house.on_event(
            row(int(ExchangeEvent.CANCELLED), 1, (1, FIRST + 1, SPOT, CancelCause.REQUEST, 21)), []
        )


def test_a_snapshot_between_the_sides_of_a_trade_is_refused():
    floor = a_floor()
    floor.placed(1, SPOT, 20, 1500)
    floor.house.on_event(filled(1, 1, 0), [])
    with pytest.raises(InvariantBroken, match="two sides"):
        floor.house.snapshot()


def test_the_reason_bits_are_above_the_flags():
    """What a ledger row of ours says of itself can be read back (§11.1)."""
    floor = a_floor()
    floor.placed(1, SPOT, 20, 1400)
    hold = floor.ledger.transfers[-1].tolist()
    assert hold[0] == Command.HOLD | Reason.SPOT_MONEY_HELD << (FLAG_SHIFT + 8)

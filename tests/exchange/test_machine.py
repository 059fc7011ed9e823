"""The machine's edge: batches, views, and what it does not remember."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.exchange import (
    ExchangeEvent,
    OrderFlag,
    Refusal,
    SessionState,
    SettlementMethod,
    Side,
    cancel_row,
    close_day_row,
    order_row,
    session_row,
)
from ciyuan.exchange.machine import Exchange
from tests.exchange.flows import FIRST_DAY, Gate, contract


def opened(*contracts_) -> Exchange:
    exchange = Exchange(contracts_ or (contract(1), contract(3)))
    say(exchange, session_row(1, 0, SessionState.CONTINUOUS, FIRST_DAY))
    return exchange


def say(exchange: Exchange, *rows: Row) -> list[list[int]]:
    events: list[list[int]] = exchange.apply(np.array(rows, dtype=np.int64)).tolist()
    return events


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 7), np.int64), np.zeros(8, np.int64), np.zeros((1, 8), np.int32), np.zeros((1, 8))]
)
def test_a_batch_of_another_shape_is_malformed(rows):
    with pytest.raises(Malformed, match="batch for the exchange"):
        opened().apply(rows)


def test_a_word_that_does_not_fit_is_an_error_and_never_wraps():
    with pytest.raises(OverflowError):
        say(opened(), order_row(2, 1, 2**63, 1, Side.BUY, 100, 1))


def test_two_contracts_of_one_number_are_malformed():
    with pytest.raises(Malformed, match="two with number 1"):
        Exchange([contract(1), contract(1)])


def test_best_prices_limits_and_last():
    exchange = opened()
    assert (exchange.best_bid(1), exchange.best_ask(1), exchange.last(1)) == (0, 0, 0)
    say(exchange, order_row(2, 1, 1, 1, Side.BUY, 98, 5), order_row(2, 2, 1, 1, Side.SELL, 103, 5))
    say(exchange, order_row(2, 2, 2, 1, Side.SELL, 98, 2))
    assert (exchange.best_bid(1), exchange.best_ask(1), exchange.last(1)) == (98, 103, 98)
    assert (exchange.limits(1), exchange.best_bid(3)) == ((80, 120), 0)
    with pytest.raises(KeyError):
        exchange.best_bid(2)


def test_offers_are_the_orders_at_the_lowest_price():
    exchange = opened()
    assert exchange.offers(1) == []
    for account, price in ((1, 104), (2, 103), (3, 103)):
        say(exchange, order_row(2, account, 1, 1, Side.SELL, price, account))
    say(exchange, order_row(2, 4, 1, 1, Side.BUY, 103, 1))
    assert exchange.offers(1) == [(2, 103, 1), (3, 103, 3)]


def test_a_refused_order_leaves_nothing_behind():
    exchange = Exchange([contract(1)], Gate())
    say(exchange, session_row(1, 0, SessionState.CONTINUOUS, FIRST_DAY))
    before = exchange.state_hash()
    (event,) = say(exchange, order_row(1, 8, 1, 1, Side.BUY, 100, 1))
    assert Refusal(event[7]) == Refusal.UNKNOWN_ACCOUNT
    assert exchange.state_hash() == before


def test_only_the_highest_past_id_is_remembered():
    exchange = opened(contract(1))
    say(exchange, *(order_row(2, 1, order_id, 1, Side.BUY, 100, 1) for order_id in range(1, 50)))
    assert len(exchange.snapshot()["orders"]) == 49
    for state in (SessionState.CLOSING, SessionState.SETTLEMENT):
        say(exchange, session_row(3, 1, state, FIRST_DAY))
    say(exchange, close_day_row(3, 1, FIRST_DAY))
    parts = exchange.snapshot()
    assert (len(parts["orders"]), parts["past_ids"].tolist()) == (0, [[1, 1, 49]])


def test_a_view_follows_its_market():
    exchange = opened(contract(1))
    view = exchange.book(1)
    assert (view.contract.number, view.settlement, view.range_ticks) == (1, (100, 0, None), (0, 0, 0))
    say(exchange, *(order_row(2, 1, 1 + n, 1, Side.BUY, 95 + n, 2) for n in range(3)))
    say(exchange, order_row(2, 2, 1, 1, Side.SELL, 96, 3, kind=OrderFlag.FAK))
    assert [(level.price_ticks, level.lots, level.orders) for level in view.levels(Side.BUY)] == [
        (96, 1, 1),
        (95, 2, 1),
    ]
    assert [level.price_ticks for level in view.levels(Side.BUY, 1)] == [96]
    assert view.queue(Side.BUY) == [(1, 2, 96, 1), (1, 1, 95, 2)]
    assert (view.best_bid, view.best_ask, view.last_ticks) == (96, 0, 96)
    assert (view.volume, view.turnover, view.trades) == (3, 97 * 2 + 96, 2)
    assert (view.range_ticks, view.limits) == ((97, 96, 97), (80, 120))
    for state in (SessionState.CLOSING, SessionState.SETTLEMENT):
        say(exchange, session_row(3, 1, state, FIRST_DAY))
    say(exchange, close_day_row(3, 1, FIRST_DAY))
    assert view.settlement == (97, FIRST_DAY, SettlementMethod.TRADES)
    assert (view.state, view.trading_day, view.limits) == (SessionState.SETTLEMENT, FIRST_DAY, (87, 107))


def test_an_order_cancelled_twice_is_cancelled_once():
    exchange = opened(contract(1))
    say(exchange, order_row(2, 1, 1, 1, Side.BUY, 100, 1))
    events = say(exchange, cancel_row(2, 1, 1), cancel_row(2, 1, 1))
    assert [event[0] & CODE_MASK for event in events] == [ExchangeEvent.CANCELLED, ExchangeEvent.REPEATED]


def test_a_view_shows_the_exchange_as_it_is_after_a_restore():
    exchange = opened(contract(1))
    view = exchange.book(1)
    say(exchange, order_row(2, 1, 1, 1, Side.BUY, 95, 2))
    exchange.restore(Exchange([contract(1)]).snapshot())
    assert (view.state, view.best_bid) == (SessionState.CLOSED, 0)


def test_a_view_of_a_contract_that_is_not_listed_is_malformed():
    with pytest.raises(Malformed, match="one of \\[1\\]"):
        opened(contract(1)).book(2)


def test_a_price_may_be_one_tick():
    exchange = opened(contract(1, initial_price_ticks=1))
    assert exchange.limits(1) == (1, 2)
    (event,) = say(exchange, order_row(2, 1, 1, 1, Side.BUY, 1, 1))
    assert event[0] & CODE_MASK == ExchangeEvent.ACCEPTED
    assert exchange.best_bid(1) == 1


@pytest.mark.parametrize(("day", "opens"), [(19_999, False), (20_000, True), (20_001, True), (20_002, False)])
@pytest.mark.parametrize("number", [0, 1])
def test_a_contract_trades_from_its_first_day_to_its_last(day, opens, number):
    exchange = Exchange([contract(1, last_day=FIRST_DAY + 1)])
    (event,) = say(exchange, session_row(1, number, SessionState.CONTINUOUS, day))
    assert (event[0] & CODE_MASK == ExchangeEvent.SESSION_CHANGED) == opens
    assert opens or Refusal(event[7]) == Refusal.WRONG_DAY

"""The tables of the trading day are whole, say what the module's own table says, and hold on the kernel and on its twin."""

import re
from itertools import product

import pytest

from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.exchange import (
    ExchangeEvent,
    OrderFlag,
    Refusal,
    SessionState,
    Side,
    cancel_row,
    close_day_row,
    order_row,
    session,
    session_row,
)
from ciyuan.exchange.room import Room
from ciyuan.exchange.session import CANCELLING, ENDED, FOLLOWS, ORDER_TYPES, TAKES
from tests.exchange.listings import FIRST_DAY, contract
from tests.exchange.twins import MACHINES, Machine

S = SessionState
DECLARED = {S.SUSPENDED}
"""What only the exchange enters; no bell leads there."""
PATHS = {
    S.CLOSED: (), S.AUCTION_ENTRY: (S.AUCTION_ENTRY,), S.AUCTION_FREEZE: (S.AUCTION_ENTRY, S.AUCTION_FREEZE),
    S.AUCTION_MATCH: (S.AUCTION_ENTRY, S.AUCTION_MATCH), S.CONTINUOUS: (S.CONTINUOUS,), S.BREAK: (S.CONTINUOUS, S.BREAK),
    S.CLOSING: (S.CONTINUOUS, S.CLOSING), S.SETTLEMENT: (S.CONTINUOUS, S.CLOSING, S.SETTLEMENT),
}  # fmt: skip
"""Bells that lead to each state."""


def test_every_state_is_in_every_table():
    assert set(FOLLOWS) == set(TAKES) == set(SessionState)
    assert all(TAKES[state] <= ORDER_TYPES for state in SessionState)


def test_every_state_is_reached_and_left():
    assert all(FOLLOWS.values())
    assert set().union(*FOLLOWS.values()) == set(SessionState) - DECLARED


def test_after_the_close_nothing_trades_until_the_next_day():
    for state in ENDED:
        assert not TAKES[state]
        assert FOLLOWS[state] <= ENDED or state == S.CLOSED
    assert not {S.CLOSING, S.SETTLEMENT} & CANCELLING, (
        "the settlement price may be read off the book as it stood"
    )


def test_the_docstring_is_the_table():
    rows = re.findall(
        r"^\| ([A-Z_]+) \| ([A-Z_, ]+) \| ?(.*?) ?\| ?(.*?) ?\|$", session.__doc__ or "", re.MULTILINE
    )
    assert [row[0] for row in rows] == [state.name for state in SessionState]
    for name, follows, orders, cancels in rows:
        state = SessionState[name]
        assert {SessionState[other] for other in follows.split(", ")} == FOLLOWS[state]
        taken = ORDER_TYPES if orders == "all" else orders.split(", ") if orders else []
        assert len(taken) == len(TAKES[state])
        assert (cancels == "yes") == (state in CANCELLING)


# --- on the machines ---


@pytest.fixture(params=MACHINES, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def say(exchange: Machine, *rows: Row) -> list[Row]:
    out: list[Row] = []
    for row in rows:
        exchange.apply_one(row, out)
    return out


def brought_to(kind: type[Machine], state: SessionState) -> Machine:
    """An exchange whose contract is in a state, with an order of account 1 in its book wherever one can be."""
    exchange = kind([contract(1)], Room(accounts=3, orders=9, ladder_ticks=64), everyone=True)
    for follows in PATHS[state]:
        say(exchange, session_row(1, 1, follows, FIRST_DAY), order_row(1, 1, 1, 1, Side.BUY, 95, 2))
    return exchange


@pytest.mark.parametrize(("state", "follows"), list(product(PATHS, S)), ids=lambda state: state.name)
def test_only_what_may_follow_follows(kind, state, follows):
    exchange = brought_to(kind, state)
    event, *_ = say(exchange, session_row(1, 1, follows, FIRST_DAY))
    if state == S.SETTLEMENT and follows == S.CLOSED:
        assert event[7] == Refusal.DAY_NOT_CLOSED
        event, *_ = say(exchange, close_day_row(1, 1, FIRST_DAY), session_row(1, 1, follows, FIRST_DAY))[-1:]
    if follows == S.SUSPENDED:
        assert event[7] == Refusal.UNKNOWN_STATE
    elif state == S.CLOSED and follows == S.CLOSED:
        assert event[7] == Refusal.WRONG_STATE, "the day was not opened yet"
    elif follows == state:
        assert event[0] & CODE_MASK == ExchangeEvent.REPEATED
    elif follows in FOLLOWS[state]:
        assert (event[0] & CODE_MASK, event[2:5]) == (ExchangeEvent.SESSION_CHANGED, (1, follows, FIRST_DAY))
    else:
        assert event[0] & CODE_MASK == ExchangeEvent.REFUSED


@pytest.mark.parametrize("state", PATHS, ids=lambda state: state.name)
def test_a_state_takes_the_orders_of_the_table(kind, state):
    for of_type in sorted(ORDER_TYPES):
        exchange = brought_to(kind, state)
        price = 0 if of_type & OrderFlag.MARKET else 94
        second = {OrderFlag.ICEBERG: 1, OrderFlag.STOP: 99, OrderFlag.STOP | OrderFlag.MARKET: 99}.get(
            OrderFlag(of_type), 0
        )
        row = order_row(1, 2, 1, 1, Side.BUY, price, 2, kind=OrderFlag(of_type), trigger_ticks=second)
        event, *_ = say(exchange, row)
        taken = event[0] & CODE_MASK == ExchangeEvent.ACCEPTED
        assert taken == (of_type in TAKES[state]), of_type
        assert taken or event[7] == (Refusal.TYPE_NOT_IN_STATE if TAKES[state] else Refusal.WRONG_STATE)


@pytest.mark.parametrize(
    "state", [state for state in PATHS if state != S.CLOSED], ids=lambda state: state.name
)
def test_a_state_takes_the_cancels_of_the_table(kind, state):
    (event, *_) = say(brought_to(kind, state), cancel_row(1, 1, 1))
    assert event[0] & CODE_MASK == (ExchangeEvent.CANCELLED if state in CANCELLING else ExchangeEvent.REFUSED)
    assert state in CANCELLING or event[7] == Refusal.WRONG_STATE

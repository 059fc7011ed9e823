"""The tables of the trading day are whole, and say what the module's own table says."""

import re

from ciyuan.exchange import SessionState, session
from ciyuan.exchange.session import CANCELLING, ENDED, FOLLOWS, ORDER_TYPES, TAKES


def test_every_state_is_in_every_table():
    assert set(FOLLOWS) == set(TAKES) == set(SessionState)
    assert all(TAKES[state] <= ORDER_TYPES for state in SessionState)


def test_every_state_is_reached_and_left():
    assert all(FOLLOWS.values())
    assert set().union(*FOLLOWS.values()) == set(SessionState)


def test_after_the_close_nothing_moves_until_the_next_day():
    for state in ENDED:
        assert not TAKES[state]
        assert state not in CANCELLING
        assert FOLLOWS[state] <= ENDED or state == SessionState.CLOSED


def test_the_docstring_is_the_table():
    rows = re.findall(
        r"^\| ([A-Z_]+) \| ([A-Z_, ]+) \| ?(.*?) ?\| ?(.*?) ?\|$", session.__doc__ or "", re.MULTILINE
    )
    assert [row[0] for row in rows] == [state.name for state in SessionState]
    for name, follows, orders, cancels in rows:
        state = SessionState[name]
        assert {SessionState[other] for other in follows.split(", ")} == FOLLOWS[state]
        assert len(orders.split(", ") if orders else []) == len(TAKES[state])
        assert (cancels == "yes") == (state in CANCELLING)

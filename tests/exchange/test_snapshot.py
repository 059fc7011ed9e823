"""A snapshot is the whole state; what is not one is refused and changes nothing. (The same future after it: test_twin.)"""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.exchange import SessionState, Side, order_row, session_row
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.snapshot import COLUMNS, ORDER_COLUMNS
from tests.exchange.flows import FIRST_DAY, contract


def traded() -> Exchange:
    exchange = Exchange([contract(1), contract(2)])
    rows = [
        session_row(1, 0, SessionState.CONTINUOUS, FIRST_DAY),
        order_row(2, 1, 1, 1, Side.BUY, 100, 5),
        order_row(3, 2, 1, 1, Side.SELL, 100, 2),
        order_row(4, 2, 2, 2, Side.SELL, 101, 2),
    ]
    exchange.apply(np.array(rows, dtype=np.int64))
    return exchange


def test_equal_states_have_equal_snapshots_and_others_do_not():
    one, other = traded(), traded()
    assert one.state_hash() == other.state_hash()
    assert {name: part.shape[1] for name, part in one.snapshot().items()} == COLUMNS
    other.apply_one(order_row(4, 2, 3, 2, Side.SELL, 101, 1), [])
    assert one.state_hash() != other.state_hash()


def test_a_restored_exchange_is_equal_and_apart():
    one, other = traded(), Exchange([contract(1), contract(2)])
    other.restore(one.snapshot())
    assert other.state_hash() == one.state_hash()
    assert other.book(1).queue(Side.BUY) == one.book(1).queue(Side.BUY) == [(1, 1, 100, 3)]
    other.apply_one(order_row(5, 2, 9, 1, Side.SELL, 100, 3), [])
    assert one.book(1).queue(Side.BUY) == [(1, 1, 100, 3)]


def damaged(name, change):
    parts = traded().snapshot()
    parts[name] = change(parts[name].copy())
    return parts


def put(row, column, value):
    def change(part):
        part[row, column] = value
        return part

    return change


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "found \\[\\]"),
        ({**traded().snapshot(), "more": np.zeros((1, 1), np.int64)}, "more"),
        (damaged("clock", lambda part: part[:0]), "one row"),
        (damaged("clock", lambda part: part[:, :2]), "clock"),
        (damaged("orders", lambda part: part.astype(np.float64)), "float64"),
        (damaged("contracts", lambda part: part[:1]), "contracts"),
        (damaged("contracts", lambda part: part[::-1]), "contracts"),
        (damaged("contracts", put(0, 1, 77)), "session states"),
        (damaged("orders", put(0, ORDER_COLUMNS.index("contract"), 9)), "\\[9\\]"),
        (damaged("orders", put(0, ORDER_COLUMNS.index("limit_ticks"), 10)), "5|3 lots at 10"),
        (damaged("orders", put(0, ORDER_COLUMNS.index("left"), 0)), "0 lots at 100"),
    ],
)
def test_what_is_no_snapshot_is_malformed_and_changes_nothing(parts, said):
    exchange = traded()
    before = exchange.state_hash()
    with pytest.raises(Malformed, match=said):
        exchange.restore(parts)
    assert exchange.state_hash() == before


def test_a_snapshot_of_other_contracts_is_malformed():
    with pytest.raises(Malformed, match="Restore into an exchange of the same contracts"):
        Exchange([contract(1)]).restore(traded().snapshot())

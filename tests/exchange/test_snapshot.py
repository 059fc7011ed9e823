"""A snapshot is the whole state; what is not one is refused and changes nothing. (The same future after it: test_twin.)"""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import Row
from ciyuan.exchange import OrderFlag, SessionState, Side, order_row, session_row
from ciyuan.exchange.room import Room
from ciyuan.exchange.state import CONTRACT_COLUMNS, ORDER_COLUMNS, PART_COLUMNS, POSITION_COLUMNS
from tests.exchange.flows import Parts
from tests.exchange.listings import FIRST_DAY, contract
from tests.exchange.twins import MACHINES, Machine

ROOM = Room(accounts=8, orders=64, ladder_ticks=128)
CONTRACTS = (contract(1), contract(2))


@pytest.fixture(params=MACHINES, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def traded(kind: type[Machine]) -> Machine:
    exchange = kind(CONTRACTS, ROOM, everyone=True)
    rows = [
        session_row(1, 0, SessionState.CONTINUOUS, FIRST_DAY),
        order_row(2, 1, 1, 1, Side.BUY, 100, 5),
        order_row(3, 2, 1, 1, Side.SELL, 100, 2),
        order_row(4, 2, 2, 2, Side.SELL, 101, 2),
        order_row(4, 3, 1, 2, Side.SELL, 101, 9, kind=OrderFlag.ICEBERG, shown_lots=2),
        order_row(4, 3, 2, 2, Side.BUY, 104, 2, kind=OrderFlag.STOP, trigger_ticks=102),
    ]
    exchange.apply(np.array(rows, dtype=np.int64))
    return exchange


def test_equal_states_have_equal_snapshots_and_others_do_not(kind):
    one, other = traded(kind), traded(kind)
    assert one.state_hash() == other.state_hash()
    parts = one.snapshot()
    assert {name: part.shape[1] for name, part in parts.items()} == {
        name: len(names) for name, names in PART_COLUMNS.items()
    }
    assert {part.dtype for part in parts.values()} == {np.dtype(np.int64)}
    other.apply_one(order_row(4, 2, 3, 2, Side.SELL, 101, 1), [])
    assert one.state_hash() != other.state_hash()


def test_a_snapshot_stays_as_it_was(kind):
    exchange = traded(kind)
    parts = exchange.snapshot()
    held = {name: part.copy() for name, part in parts.items()}
    exchange.apply_one(order_row(5, 2, 9, 1, Side.SELL, 100, 3), [])
    assert all(np.array_equal(part, held[name]) for name, part in parts.items())


@pytest.mark.parametrize("of", MACHINES, ids=lambda kind: kind.__name__)
def test_a_restored_exchange_is_equal_and_apart(kind, of):
    one, other = traded(of), kind(CONTRACTS, ROOM, everyone=True)
    other.restore(one.snapshot())
    assert other.state_hash() == one.state_hash()
    assert other.book(1).queue(Side.BUY) == one.book(1).queue(Side.BUY) == [(1, 1, 100, 3)]
    assert other.book(2).levels(Side.SELL) == one.book(2).levels(Side.SELL)
    other.apply_one(order_row(5, 2, 9, 1, Side.SELL, 100, 3), [])
    assert one.book(1).queue(Side.BUY) == [(1, 1, 100, 3)]


def test_an_exchange_is_restored_over_what_it_held(kind):
    one, other = traded(kind), traded(kind)
    one.apply_one(order_row(5, 4, 9, 1, Side.SELL, 100, 3), [])
    one.restore(other.snapshot())
    assert one.state_hash() == other.state_hash()
    row = order_row(6, 2, 9, 1, Side.SELL, 99, 4)
    said: list[Row] = []
    told: list[Row] = []
    one.apply_one(row, said)
    other.apply_one(row, told)
    assert said == told


def damaged(name, change) -> Parts:
    parts = traded(MACHINES[-1]).snapshot()
    parts[name] = change(parts[name].copy())
    return parts


def put(row, columns, column, value):
    def change(part):
        part[row, columns.index(column)] = value
        return part

    return change


DAMAGES = [
    dict,
    lambda: {**traded(MACHINES[-1]).snapshot(), "more": np.zeros((1, 1), np.int64)},
    lambda: damaged("clock", lambda part: part[:0]),
    lambda: damaged("clock", lambda part: part[:, :2]),
    lambda: damaged("orders", lambda part: part.astype(np.float64)),
    lambda: damaged("orders", lambda part: part[::-1]),
    lambda: damaged("contracts", lambda part: part[:1]),
    lambda: damaged("contracts", lambda part: part[::-1]),
    lambda: damaged("contracts", put(0, CONTRACT_COLUMNS, "state", 77)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "contract", 9)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "limit_ticks", 10)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "left", 0)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "account", 9)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "number", 0)),
    lambda: damaged("accounts", lambda _: np.full((1, 9), 99, np.int64)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "effect", 2**25)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "flags", 2**9)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "triggered", 2)),
    lambda: damaged("orders", put(0, ORDER_COLUMNS, "shown", 10**6)),
    lambda: damaged("positions", put(0, POSITION_COLUMNS, "hedge", 2)),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_what_is_no_snapshot_is_malformed_and_changes_nothing(kind, damage):
    exchange = traded(kind)
    before = exchange.state_hash()
    with pytest.raises(Malformed):
        exchange.restore(damage())
    assert exchange.state_hash() == before


def test_a_snapshot_of_other_contracts_is_malformed(kind):
    with pytest.raises(Malformed, match="Restore into an exchange of the same contracts"):
        kind([contract(1)], ROOM).restore(traded(kind).snapshot())


def test_a_snapshot_that_needs_more_room_is_malformed(kind):
    with pytest.raises(Malformed):
        kind(CONTRACTS, Room(accounts=8, orders=2, ladder_ticks=128), everyone=True).restore(
            traded(kind).snapshot()
        )

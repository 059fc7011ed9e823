"""The machine's edge: batches, views, what it does not remember, and what it lets in. On the kernel and on its twin."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.exchange import (
    AccountFlag,
    ContractKind,
    ExchangeEvent,
    OrderFlag,
    Refusal,
    SelfTrade,
    SessionState,
    SettlementMethod,
    Side,
    account_row,
    cancel_row,
    close_day_row,
    credit_row,
    order_row,
    position_row,
    risk_row,
    session_row,
)
from ciyuan.exchange.contract import LOTS_MAX, Contract
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.room import Room
from ciyuan.exchange.state import POSITION_COLUMNS
from tests.exchange.flows import facts
from tests.exchange.listings import FIRST_DAY, contract
from tests.exchange.twins import MACHINES, Machine

SMALL = Room(accounts=16, orders=8_192, ladder_ticks=128)
SPOT = contract(3, ContractKind.SPOT)


@pytest.fixture(params=MACHINES, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def opened(kind: type[Machine], *contracts: Contract) -> Machine:
    exchange = kind(contracts or (contract(1), SPOT), SMALL, everyone=True)
    say(exchange, session_row(1, 0, SessionState.CONTINUOUS, FIRST_DAY))
    return exchange


def say(exchange: Machine, *rows: Row) -> list[list[int]]:
    events: list[list[int]] = exchange.apply(np.array(rows, dtype=np.int64)).tolist()
    return events


def settle(exchange: Machine, time_ns: int, day: int) -> None:
    for state in (SessionState.CLOSING, SessionState.SETTLEMENT):
        say(exchange, session_row(time_ns, 0, state, day))
    say(exchange, close_day_row(time_ns, 0, day))


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 7), np.int64), np.zeros(8, np.int64), np.zeros((1, 8), np.int32), np.zeros((1, 8))]
)
def test_a_batch_of_another_shape_is_malformed(kind, rows):
    with pytest.raises(Malformed, match="batch for the exchange"):
        opened(kind).apply(rows)


def test_an_empty_batch_says_nothing(kind):
    assert opened(kind).apply(np.empty((0, 8), dtype=np.int64)).shape == (0, 8)


def test_a_word_that_does_not_fit_is_an_error_and_never_wraps():
    exchange = opened(Exchange)
    before = exchange.state_hash()
    with pytest.raises(OverflowError):
        say(exchange, order_row(2, 1, 2**63, 1, Side.BUY, 100, 1))
    with pytest.raises(OverflowError):
        exchange.apply_one(order_row(2, 1, 2**63, 1, Side.BUY, 100, 1), [])
    assert exchange.state_hash() == before


def test_what_a_batch_said_stays_as_it_was(kind):
    """A batch that says much, one that says more than any before, and one that says little."""
    exchange = opened(kind, contract(1))
    held: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for count in (700, 6_000, 700, 3):
        first = sum(len(rows) for rows, _ in held)
        rows = np.array(
            [
                order_row(2, 1, first + n, 1, Side(n % 2), 100, 1, kind=OrderFlag.FAK)
                for n in range(1, count + 1)
            ]
        )
        held.append((rows, exchange.apply(rows)))
    for rows, events in held:
        assert len(events) == 2 * len(rows), "accepted, and what could not be filled at once is cancelled"
        assert events[::2, 3].tolist() == rows[:, 3].tolist() == events[1::2, 3].tolist()


def test_two_contracts_of_one_number_are_malformed(kind):
    with pytest.raises(Malformed, match="contracts"):
        kind([contract(1), contract(1)], SMALL)


def test_a_spread_of_legs_that_are_not_listed_is_malformed(kind):
    with pytest.raises(Malformed):
        kind([contract(1), contract(4, ContractKind.SPREAD, near=1, far=2)], SMALL)


def test_best_prices_limits_and_last(kind):
    exchange = opened(kind)
    assert (exchange.best_bid(1), exchange.best_ask(1), exchange.last(1)) == (0, 0, 0)
    say(exchange, order_row(2, 1, 1, 1, Side.BUY, 98, 5), order_row(2, 2, 1, 1, Side.SELL, 103, 5))
    say(exchange, order_row(2, 2, 2, 1, Side.SELL, 98, 2))
    assert (exchange.best_bid(1), exchange.best_ask(1), exchange.last(1)) == (98, 103, 98)
    assert (exchange.limits(1), exchange.best_bid(3)) == ((80, 120), 0)


def test_who_is_unknown_is_let_in_only_where_everyone_is(kind):
    exchange = kind([contract(1)], SMALL)
    say(exchange, session_row(1, 0, SessionState.CONTINUOUS, FIRST_DAY))
    order = order_row(1, 8, 1, 1, Side.BUY, 100, 1)
    before = exchange.state_hash()
    (event,) = say(exchange, order)
    assert Refusal(event[7]) == Refusal.UNKNOWN_ACCOUNT
    assert exchange.state_hash() == before
    said = say(opened(kind, contract(1)), order)
    assert [event[0] & CODE_MASK for event in said] == [ExchangeEvent.ACCEPTED, ExchangeEvent.LEVEL]


@pytest.mark.parametrize("account", [0, -1, 17, 2**62, -(2**63)])
def test_an_account_out_of_room_is_unknown_where_everyone_is_let_in(kind, account):
    (event,) = say(opened(kind), order_row(2, account, 1, 1, Side.BUY, 100, 1))
    assert Refusal(event[7]) == Refusal.UNKNOWN_ACCOUNT


def test_an_account_that_is_told_of_is_checked_where_everyone_is_let_in(kind):
    exchange = opened(kind, contract(1))
    say(exchange, risk_row(1, 1, margin_lot_micro=1), account_row(1, 8))
    (event,) = say(exchange, order_row(1, 8, 1, 1, Side.BUY, 100, 1))
    assert Refusal(event[7]) == Refusal.MARGIN


def test_only_the_highest_past_id_is_remembered(kind):
    exchange = opened(kind, contract(1))
    say(exchange, *(order_row(2, 1, order_id, 1, Side.BUY, 100, 1) for order_id in range(1, 50)))
    assert len(exchange.snapshot()["orders"]) == 49
    settle(exchange, 3, FIRST_DAY)
    parts = exchange.snapshot()
    assert len(parts["orders"]) == 0
    assert [
        (found["account"], found["past_id"]) for found in facts(parts["positions"], POSITION_COLUMNS)
    ] == [(1, 49)]


def test_memory_does_not_grow_with_the_days(kind):
    exchange = kind([contract(1)], Room(accounts=2, orders=8, ladder_ticks=128), everyone=True)
    for day in range(FIRST_DAY, FIRST_DAY + 20):
        say(exchange, session_row(day, 0, SessionState.CONTINUOUS, day))
        first = (day - FIRST_DAY) * 8
        said = say(
            exchange, *(order_row(day, 1, first + number, 1, Side.BUY, 100, 1) for number in range(1, 9))
        )
        assert not any(event[0] & CODE_MASK == ExchangeEvent.REFUSED for event in said)
        settle(exchange, day, day)
        say(exchange, session_row(day, 0, SessionState.CLOSED, day))
        assert len(exchange.snapshot()["orders"]) == 0


def test_a_view_follows_its_market(kind):
    exchange = opened(kind, contract(1))
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
    settle(exchange, 3, FIRST_DAY)
    assert view.settlement == (97, FIRST_DAY, SettlementMethod.TRADES)
    assert (view.state, view.trading_day, view.limits) == (SessionState.SETTLEMENT, FIRST_DAY, (87, 107))


def test_a_view_shows_what_is_shown_and_not_what_waits(kind):
    exchange = opened(kind, contract(1))
    say(exchange, order_row(2, 1, 1, 1, Side.SELL, 104, 9, kind=OrderFlag.ICEBERG, shown_lots=4))
    say(exchange, order_row(2, 1, 2, 1, Side.SELL, 103, 5, kind=OrderFlag.STOP, trigger_ticks=99))
    say(exchange, order_row(2, 2, 1, 1, Side.SELL, 104, 2), order_row(2, 3, 1, 1, Side.BUY, 104, 4))
    view = exchange.book(1)
    assert [(level.price_ticks, level.lots, level.orders) for level in view.levels(Side.SELL)] == [
        (104, 6, 2)
    ]
    assert view.queue(Side.SELL) == [(2, 1, 104, 2), (1, 1, 104, 5)], (
        "the iceberg shows anew, behind the other"
    )
    assert view.best_ask == 104


def test_an_order_cancelled_twice_is_cancelled_once(kind):
    exchange = opened(kind, contract(1))
    say(exchange, order_row(2, 1, 1, 1, Side.BUY, 100, 1))
    events = say(exchange, cancel_row(2, 1, 1), cancel_row(2, 1, 1))
    expected = [ExchangeEvent.CANCELLED, ExchangeEvent.LEVEL, ExchangeEvent.REPEATED]
    assert [event[0] & CODE_MASK for event in events] == expected


def test_a_view_shows_the_exchange_as_it_is_after_a_restore(kind):
    exchange = opened(kind, contract(1))
    view = exchange.book(1)
    say(exchange, order_row(2, 1, 1, 1, Side.BUY, 95, 2))
    exchange.restore(kind([contract(1)], SMALL, everyone=True).snapshot())
    assert (view.state, view.best_bid) == (SessionState.CLOSED, 0)


def test_a_view_of_a_contract_that_is_not_listed_is_malformed(kind):
    with pytest.raises(Malformed, match="one of \\[1\\]"):
        opened(kind, contract(1)).book(2)


def test_a_price_may_be_one_tick(kind):
    exchange = opened(kind, contract(1, initial_price_ticks=1))
    assert exchange.limits(1) == (1, 2)
    event, *_ = say(exchange, order_row(2, 1, 1, 1, Side.BUY, 1, 1))
    assert event[0] & CODE_MASK == ExchangeEvent.ACCEPTED
    assert exchange.best_bid(1) == 1


@pytest.mark.parametrize(("day", "opens"), [(19_999, False), (20_000, True), (20_001, True), (20_002, False)])
@pytest.mark.parametrize("number", [0, 1])
def test_a_contract_trades_from_its_first_day_to_its_last(kind, day, opens, number):
    exchange = kind([contract(1, last_day=FIRST_DAY + 1)], SMALL)
    (event,) = say(exchange, session_row(1, number, SessionState.CONTINUOUS, day))
    assert (event[0] & CODE_MASK == ExchangeEvent.SESSION_CHANGED) == opens
    assert opens or Refusal(event[7]) == Refusal.WRONG_DAY


def test_no_charge_is_over_its_bound_and_so_no_sum_of_them_overflows(kind):
    """The largest margin: 2^16 lots of it are 2^52 micro-units."""
    exchange = kind([contract(1)], SMALL)
    opening = (
        account_row(0, 1, flags=AccountFlag.UNCHECKED),
        session_row(0, 0, SessionState.CONTINUOUS, FIRST_DAY),
    )
    say(exchange, *opening, risk_row(0, 1, margin_lot_micro=2**36))
    (event,) = say(exchange, position_row(0, 1, 1, 2**16 + 1, 0))
    assert Refusal(event[7]) == Refusal.VALUE_OUT_OF_RANGE
    (event,) = say(exchange, position_row(0, 1, 1, 2**16 - 3, 0))
    assert event[0] & CODE_MASK == ExchangeEvent.SET
    (event,) = say(exchange, order_row(0, 1, 1, 1, Side.BUY, 100, 4))
    assert Refusal(event[7]) == Refusal.MARGIN
    event, *_ = say(exchange, order_row(0, 1, 2, 1, Side.BUY, 100, 3))
    assert event[0] & CODE_MASK == ExchangeEvent.ACCEPTED
    (event,) = say(exchange, risk_row(0, 1, margin_lot_micro=2**36, fee_lot_micro=1))
    assert Refusal(event[7]) == Refusal.VALUE_OUT_OF_RANGE


def test_no_reserve_is_over_its_bound_whoever_asks(kind):
    listed = contract(3, ContractKind.SPOT, tick_micro=2**20, lot_mtok=2**10, max_lots_per_order=LOTS_MAX,
                      initial_price_ticks=1_000, limit_rate_bp=100)  # fmt: skip
    exchange = kind([listed], SMALL)
    say(exchange, account_row(0, 1), credit_row(0, 1, 2**62), account_row(0, 2, flags=AccountFlag.UNCHECKED))
    say(exchange, session_row(0, 0, SessionState.CONTINUOUS, FIRST_DAY))
    most = 2**52 // (1_000 * 2**30)
    for account in (1, 2):
        for order_id, lots in enumerate((most + 1, 2**24, 2**25), 1):
            (event,) = say(exchange, order_row(0, account, order_id, 3, Side.BUY, 1_000, lots))
            assert Refusal(event[7]) == Refusal.MARGIN
        event, *_ = say(exchange, order_row(0, account, 9, 3, Side.BUY, 1_000, most))
        assert event[0] & CODE_MASK == ExchangeEvent.ACCEPTED
        (event,) = say(exchange, order_row(0, account, 10, 3, Side.BUY, 1_000, 1))
        assert Refusal(event[7]) == Refusal.MARGIN


def test_no_exposure_is_over_what_positions_hold(kind):
    exchange = opened(kind, contract(1, max_lots_per_order=LOTS_MAX))
    (event,) = say(exchange, order_row(2, 1, 1, 1, Side.BUY, 100, 2**25 + 1))
    assert Refusal(event[7]) == Refusal.POSITION_LIMIT
    event, *_ = say(exchange, order_row(2, 1, 2, 1, Side.BUY, 100, 2**25))
    assert event[0] & CODE_MASK == ExchangeEvent.ACCEPTED


def test_an_account_may_change_its_mind_on_self_trades(kind):
    exchange = opened(kind, contract(1))
    both = (order_row(2, 1, 1, 1, Side.BUY, 100, 3), order_row(2, 1, 2, 1, Side.SELL, 100, 2))
    say(exchange, *both)
    assert exchange.book(1).queue(Side.BUY) == [(1, 1, 100, 3)]
    say(exchange, account_row(2, 1, self_trade=SelfTrade.DECREMENT, flags=AccountFlag.UNCHECKED))
    say(exchange, order_row(2, 1, 3, 1, Side.SELL, 100, 2))
    assert exchange.book(1).queue(Side.BUY) == [(1, 1, 100, 1)]


def test_a_time_beyond_all_is_refused_and_does_not_move_the_clock(kind):
    exchange = opened(kind, contract(1))
    (event,) = say(exchange, order_row(2**63 - 1, 1, 1, 1, Side.BUY, 100, 1))
    assert Refusal(event[7]) == Refusal.VALUE_OUT_OF_RANGE
    event, *_ = say(exchange, order_row(2, 1, 1, 1, Side.BUY, 100, 1))
    assert event[0] & CODE_MASK == ExchangeEvent.ACCEPTED


def test_an_iceberg_that_a_stop_eats_part_by_part_is_said_whole(kind):
    """One command, and a thousand parts: the stop that the trade triggers sells into the iceberg until nothing is left of it."""
    exchange = opened(kind, contract(1, max_lots_per_order=10_000))
    say(exchange, order_row(2, 1, 1, 1, Side.SELL, 103, 1), order_row(2, 2, 1, 1, Side.BUY, 103, 1))
    stop = order_row(2, 3, 1, 1, Side.SELL, 98, 998, kind=OrderFlag.STOP, trigger_ticks=98)
    say(exchange, stop, order_row(2, 4, 1, 1, Side.SELL, 98, 1))
    (event,) = say(exchange, order_row(2, 5, 1, 1, Side.BUY, 98, 1_000, kind=OrderFlag.ICEBERG, shown_lots=1))
    assert Refusal(event[7]) == Refusal.SHOWN_LOTS_NOT_ALLOWED
    events = say(exchange, order_row(2, 5, 2, 1, Side.BUY, 98, 999, kind=OrderFlag.ICEBERG, shown_lots=1))
    fills = [event for event in events if event[0] & CODE_MASK == ExchangeEvent.FILLED]
    assert (len(fills), sum(event[6] for event in fills)) == (2 * 999, 2 * 999)


def test_ids_far_apart_are_as_good_as_any(kind):
    exchange = opened(kind, contract(1))
    for count in range(1, 40):
        event, *_ = say(exchange, order_row(2, 1, count << 40, 1, Side.BUY, 90, 1))
        assert event[0] & CODE_MASK == ExchangeEvent.ACCEPTED
    events = say(exchange, *(cancel_row(2, 1, count << 40) for count in range(1, 40)))
    assert sum(event[0] & CODE_MASK == ExchangeEvent.CANCELLED for event in events) == 39

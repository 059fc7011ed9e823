"""The plain exchange by itself, its day and its state: rules of docs/spec/exchange.md in a few lines each (§4)."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import Row
from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.exchange import (
    CancelCause,
    ContractKind,
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    Refusal,
    SessionState,
    SettlementMethod,
    close_day_row,
    notice_row,
    position_row,
    reduce_row,
    tick_row,
)
from ciyuan.exchange.plain import PlainExchange
from ciyuan.exchange.room import Room
from tests.exchange.flows import Player, moves_of
from tests.exchange.listings import FIRST_DAY, USUAL, Setting, contract, opening_rows
from tests.exchange.listings import ROOM as WIDE
from tests.exchange.pit import ANN, BEN, BUY, CEM, DAN, FAR, NEAR, ROOM, SELL, THREE, Pit

# --- §4.1, §4.2: the day and its auctions ---


def test_a_contract_goes_from_state_to_state(pit):
    assert pit.bell(SessionState.CONTINUOUS) == ["REPEATED"]
    pit.bell(SessionState.CLOSED)
    assert pit.refusal() == Refusal.WRONG_STATE
    pit.bell(SessionState.CLOSING)
    pit.bell(SessionState.SETTLEMENT)
    pit.bell(SessionState.CLOSED)
    assert pit.refusal() == Refusal.DAY_NOT_CLOSED
    pit.hear(close_day_row(pit.now, 0, pit.day))
    pit.hear(close_day_row(pit.now, 0, pit.day))
    assert pit.names() == ["REPEATED"]
    assert pit.bell(SessionState.CLOSED) == ["SESSION_CHANGED"]


def test_a_day_beyond_the_room_of_the_ladder_cannot_open():
    pit = Pit(room=Room(accounts=5, orders=50, ladder_ticks=40))
    pit.bell(SessionState.CONTINUOUS)
    assert pit.refusal() == Refusal.LADDER_FULL


def test_an_auction_is_indicated_and_held_at_one_price():
    pit = Pit()
    pit.bell(SessionState.AUCTION_ENTRY)
    pit.order(ANN, BUY, 102, 6, kind=OrderFlag.ICEBERG, shown_lots=2)
    assert pit.order(BEN, SELL, 99, 5) == ["ACCEPTED", "INDICATIVE"]
    assert pit.said(ExchangeEvent.INDICATIVE) == [(NEAR, 102, 5, 1, 0, 0)]
    assert pit.order(CEM, SELL, 110, 5) == ["ACCEPTED"]
    names = pit.bell(SessionState.AUCTION_MATCH)
    assert names == ["SESSION_CHANGED", "AUCTION_PRICED", "FILLED", "FILLED", "RELOADED"]
    assert pit.flags(ExchangeEvent.FILLED)[1] & (FillFlag.TAKER | FillFlag.AUCTION)
    assert [row[1:4] for row in pit.said(ExchangeEvent.LEVEL)] == [(102, 1, 1), (99, 0, 0)]


# --- §4.3, §4.4, §4.6: limits, settlement, breaker ---


def test_settlement_by_trades_moves_the_limits(pit):
    pit.order(ANN, SELL, 104, 2)
    pit.order(BEN, BUY, 104, 1)
    pit.order(BEN, BUY, 103, 2)
    pit.order(CEM, SELL, 103, 2)
    pit.close()
    assert pit.said(ExchangeEvent.SETTLEMENT_PRICE) == [
        (NEAR, 103, FIRST_DAY, SettlementMethod.TRADES, 114, 92)
    ]
    assert pit.said(ExchangeEvent.ACTIVITY) == [
        (ANN, NEAR, 1, 0, 1, FIRST_DAY), (BEN, NEAR, 2, 0, 2, FIRST_DAY), (CEM, NEAR, 1, 0, 1, FIRST_DAY),
    ]  # fmt: skip


def test_settlement_by_quotes_or_the_nearest_month(legs):
    legs.order(ANN, BUY, 104, 1, FAR)
    legs.order(BEN, SELL, 107, 1, FAR)
    legs.now += 5 * NS_PER_MINUTE
    legs.order(ANN, BUY, 97, 1)
    legs.order(BEN, SELL, 97, 1)
    legs.close()
    methods = [SettlementMethod.TRADES, SettlementMethod.QUOTES, SettlementMethod.LEGS]
    assert [(row[1], row[3]) for row in legs.said(ExchangeEvent.SETTLEMENT_PRICE)] == list(
        zip([97, 106, -9], methods, strict=True)
    )
    legs.bell(SessionState.CONTINUOUS)
    legs.order(ANN, BUY, 99, 1)
    legs.order(BEN, SELL, 99, 1)
    legs.close()
    settled = legs.said(ExchangeEvent.SETTLEMENT_PRICE)[1]
    assert (settled[1], settled[3]) == (108, SettlementMethod.NEAREST_MONTH)


def test_the_breaker_stops_a_trade_outside_its_band_for_an_auction():
    pit = Pit(contract(NEAR, breaker_bp=200, breaker_minutes=2))
    pit.bell(SessionState.CONTINUOUS)
    for price in (100, 103):
        pit.order(ANN, SELL, price, 2)
    names = pit.order(BEN, BUY, 104, 4)
    assert names == ["ACCEPTED", "FILLED", "FILLED", "SESSION_CHANGED", "INDICATIVE"]
    due = pit.now + 2 * NS_PER_MINUTE
    assert pit.said(ExchangeEvent.SESSION_CHANGED) == [
        (NEAR, SessionState.AUCTION_ENTRY, pit.day, 80, 120, due)
    ]
    pit.hear(tick_row(due + 5))
    assert pit.names() == ["SESSION_CHANGED", "AUCTION_PRICED", "FILLED", "FILLED", "SESSION_CHANGED", "SET"]
    assert pit.heard[0][1] == due
    pit.now = due + 5
    pit.order(ANN, SELL, 101, 1)
    assert pit.order(CEM, BUY, 101, 1) == ["ACCEPTED", "FILLED", "FILLED"], "102 is in the band of 103"


def test_the_breaker_is_ended_before_a_break():
    pit = Pit(contract(NEAR, breaker_bp=200, breaker_minutes=2))
    pit.bell(SessionState.CONTINUOUS)
    for price in (100, 103):
        pit.order(ANN, SELL, price, 1)
    pit.order(BEN, BUY, 104, 2, kind=OrderFlag.FAK)
    assert pit.causes() == [(BEN, CancelCause.BREAKER, 1)]
    pit.bell(SessionState.BREAK)
    states = [SessionState(row[1]).name for row in pit.said(ExchangeEvent.SESSION_CHANGED)]
    assert states == ["AUCTION_MATCH", "CONTINUOUS", "BREAK"]


# --- §4.5: limit lock ---


def locked_day(pit: Pit) -> None:
    """A day on which buyers stand alone at the upper limit."""
    pit.bell(SessionState.CONTINUOUS)
    upper = pit.exchange.limits(NEAR)[1]
    pit.order(ANN, BUY, upper, 4)
    pit.order(BEN, BUY, upper, 8)
    pit.now += 5 * NS_PER_MINUTE
    pit.close()


def test_three_locked_days_suspend_and_positions_are_reduced():
    pit = Pit()
    for account, long, short, basis in (
        (ANN, 0, 3, -200),
        (BEN, 0, 9, -800),
        (CEM, 4, 0, 300),
        (DAN, 1, 0, 90),
    ):
        pit.hear(position_row(pit.now, account, NEAR, long, short, basis))
    widened = []
    for _ in range(3):
        locked_day(pit)
        widened += [row[1:5] for row in pit.said(ExchangeEvent.LIMIT_LOCKED)]
    assert widened == [(1, 1, 1_300, 1_500), (1, 2, 1_500, 1_700), (1, 3, 1_500, 1_700)]
    pit.bell(SessionState.CONTINUOUS)
    assert pit.exchange.book(NEAR).state == SessionState.SUSPENDED
    pit.bell(SessionState.BREAK)
    assert pit.refusal() == Refusal.SUSPENDED
    pit.hear(reduce_row(pit.now, NEAR))
    assert pit.names() == ["FILLED"] * 6 + ["REDUCED", "LIMITS"]
    assert pit.fills() == [
        (ANN, 115, 1),
        (CEM, 115, 1),
        (BEN, 115, 3),
        (CEM, 115, 3),
        (BEN, 115, 1),
        (DAN, 115, 1),
    ]
    assert pit.said(ExchangeEvent.REDUCED) == [(NEAR, 115, 5, 2, 2, 0)]
    assert pit.said(ExchangeEvent.LIMITS)[0][3] == 1_000
    pit.hear(reduce_row(pit.now, NEAR))
    assert pit.refusal() == Refusal.WRONG_STATE
    pit.hear(close_day_row(pit.now, NEAR, pit.day))
    assert pit.names() == ["SETTLEMENT_PRICE"]
    pit.bell(SessionState.CLOSED)


def test_a_notice_sets_limits_at_once(pit):
    pit.order(ANN, BUY, 92, 1, kind=OrderFlag.GTC)
    pit.close()
    pit.hear(notice_row(pit.now, NEAR, 500))
    assert pit.names() == ["SET", "LIMITS", "CANCELLED"]
    assert pit.said(ExchangeEvent.LIMITS) == [(NEAR, 95, 105, 500, 0, 0)]
    assert pit.causes() == [(ANN, CancelCause.PRICE_LIMIT, 1)]


# --- construction, batches, state ---


@pytest.mark.parametrize(
    "contracts",
    [
        (contract(1), contract(1)),
        (THREE[0], THREE[2]),
        (THREE[0], contract(FAR, ContractKind.SPOT), THREE[2]),
        (THREE[0], contract(FAR, month=202611, grade=2), THREE[2]),
        (THREE[0], contract(FAR, month=202609), THREE[2]),
    ],
)
def test_contracts_that_do_not_go_together_are_malformed(contracts):
    with pytest.raises(Malformed):
        PlainExchange(contracts)


def test_a_batch_is_its_rows_one_by_one(pit):
    pit.order(ANN, SELL, 100, 2)
    pit.order(BEN, BUY, 100, 3)
    other = PlainExchange((contract(NEAR),), ROOM, everyone=True)
    events = other.apply(np.array(pit.rows, dtype=np.int64))
    assert events.shape[1] == 8
    assert other.state_hash() == pit.exchange.state_hash()
    with pytest.raises(Malformed):
        other.apply(np.zeros((2, 7), dtype=np.int64))


def test_a_restored_exchange_has_the_same_future():
    first, player = PlainExchange(USUAL, WIDE), Player(Setting())
    first.apply(np.array(opening_rows(Setting()), dtype=np.int64))
    for move in moves_of(11, 200):
        first.apply_one(player.row(move, first.snapshot()), [])
    second = PlainExchange(USUAL, WIDE)
    second.restore(first.snapshot())
    for move in moves_of(12, 200):
        row, one, other = player.row(move, first.snapshot()), list[Row](), list[Row]()
        first.apply_one(row, one)
        second.apply_one(row, other)
        assert (one, first.state_hash()) == (other, second.state_hash())


@pytest.mark.parametrize("part", ["clock", "contracts", "orders", "accounts", "positions"])
def test_a_failed_restore_changes_nothing(pit, part):
    pit.order(ANN, BUY, 100, 2)
    pit.order(BEN, SELL, 100, 2)
    parts = pit.exchange.snapshot()
    before = pit.exchange.state_hash()
    for broken in (parts[part][:, :-1], np.vstack([parts[part], parts[part]]), parts[part].astype(np.int32)):
        if len(broken):
            with pytest.raises(Malformed):
                pit.exchange.restore(parts | {part: broken})
    with pytest.raises(Malformed):
        pit.exchange.restore({name: rows for name, rows in parts.items() if name != part})
    assert pit.exchange.state_hash() == before

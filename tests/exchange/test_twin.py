"""The exchange's kernel and its plain twin hear the same commands, and say and hold the same after every one of them."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.rows import FLAG_SHIFT, Row
from ciyuan.basics.state import state_hash
from ciyuan.exchange import (
    AmendFlag,
    CancelCause,
    Effect,
    ExchangeCommand,
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    Refusal,
    SessionState,
    SettlementMethod,
    Side,
    order_row,
    session_row,
)
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.plain import PlainExchange
from ciyuan.exchange.room import Room
from ciyuan.exchange.session import ORDER_TYPES, TYPE_BITS
from tests.exchange.flows import moves
from tests.exchange.listings import FIRST_DAY, SETTINGS, START_NS, USUAL, Setting
from tests.exchange.tally import Tally
from tests.exchange.twins import Played, Twins, matrix, played, rows_of

SEEDS, COMMANDS = range(20), 5_000
RESTORED = range(len(SETTINGS))
"""A seed of each setting."""


@settings(max_examples=40)
@given(st.lists(moves, min_size=1, max_size=150))
def test_the_twins_agree_after_every_command(some):
    twins, tally = Twins(), Tally(USUAL)
    twins.hear(session_row(START_NS, 0, SessionState.CONTINUOUS, FIRST_DAY))
    twins.play(some)
    for said in twins.said:
        tally.hear(said)
    tally.check(twins.parts)
    assert twins.kernel.state_hash() == twins.plain.state_hash() == state_hash(twins.parts)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_twins_agree_over_many_days(seed):
    flow = played(seed, COMMANDS)
    days = [flow.twins.kernel.book(listed.number).trading_day for listed in flow.twins.setting.contracts]
    assert max(days) > FIRST_DAY + 5, "a flow of several days"
    assert flow.twins.kernel.state_hash() == flow.twins.plain.state_hash()


# --- that the flows reach everything ---


def said(event: ExchangeEvent, word: int) -> set[int]:
    """What a word of an event ever was."""
    return {row[word] for seed in SEEDS for row in rows_of(played(seed, COMMANDS).twins.events, event)}


def flags(event: ExchangeEvent) -> set[int]:
    return {kind >> FLAG_SHIFT & 0xFF for kind in said(event, 0)}


def test_the_flows_hear_every_command_and_say_every_event():
    codes = {row[0] & 0xFFFF for seed in SEEDS for row in played(seed, COMMANDS).twins.events}
    assert set(ExchangeEvent) - codes == set()
    assert {kind >> 24 for kind in said(ExchangeEvent.SET, 0)} | {kind & 0xFFFF for kind in heard()} >= set(
        ExchangeCommand
    )


def heard() -> set[int]:
    return {row[0] for seed in SEEDS for row in played(seed, COMMANDS).twins.rows}


def test_the_flows_end_orders_for_every_cause():
    assert set(CancelCause) - said(ExchangeEvent.CANCELLED, 5) == set()


def test_the_flows_reach_every_state_and_method():
    assert set(SessionState) - said(ExchangeEvent.SESSION_CHANGED, 3) == set()
    assert set(SettlementMethod) - said(ExchangeEvent.SETTLEMENT_PRICE, 5) == set()


def test_the_flows_have_orders_of_every_type_side_lifetime_and_effect():
    accepted = flags(ExchangeEvent.ACCEPTED)
    assert {flag & TYPE_BITS for flag in accepted} == ORDER_TYPES
    assert {flag & OrderFlag.GTC for flag in accepted} == {0, OrderFlag.GTC}
    effects = {kind >> 24 for kind in said(ExchangeEvent.ACCEPTED, 0)}
    ways = {Effect.OPEN, Effect.CLOSE, Effect.CLOSE_TODAY}
    assert effects == {Effect.NET} | ways | {way | Effect.HEDGE for way in ways}
    filled = {kind >> 24 for kind in said(ExchangeEvent.FILLED, 0)}
    assert filled == effects


def test_the_flows_fill_and_amend_in_every_way():
    for event, every in ((ExchangeEvent.FILLED, FillFlag), (ExchangeEvent.AMENDED, AmendFlag)):
        found = flags(event)
        assert [flag for flag in every if not any(flag & some for some in found)] == []
        assert [flag for flag in every if all(flag & some for some in found)] == []


def test_the_flows_lock_suspend_and_reduce():
    assert said(ExchangeEvent.LIMIT_LOCKED, 3) == {-1, 1}
    assert said(ExchangeEvent.LIMIT_LOCKED, 4) >= {1, 2, 3}
    assert max(said(ExchangeEvent.REDUCED, 4)) > 0
    assert max(said(ExchangeEvent.SPREAD_TRADED, 4)) > 0


def test_the_flows_are_refused_for_every_reason():
    assert set(Refusal) - said(ExchangeEvent.REFUSED, 7) == set()


# --- want of room ---


def test_both_have_the_same_room_for_orders():
    twins = Twins(Setting(room=Room(accounts=12, orders=3, ladder_ticks=256)))
    twins.hear(session_row(START_NS, 0, SessionState.CONTINUOUS, FIRST_DAY))
    orders = [
        order_row(START_NS, 7, number, 2, Side(number % 2), 99 + number % 2 * 2, 2) for number in range(1, 6)
    ]
    twins.hear_all(orders)
    refused = rows_of(twins.events, ExchangeEvent.REFUSED)
    assert [(row[3], row[7]) for row in refused] == [(4, Refusal.ORDERS_FULL), (5, Refusal.ORDERS_FULL)]
    twins.hear(orders[2])
    assert rows_of(twins.said[-1], ExchangeEvent.REPEATED)


def test_both_have_the_same_room_for_prices():
    twins = Twins(Setting(room=Room(accounts=12, orders=9, ladder_ticks=17)))
    twins.hear(session_row(START_NS, 0, SessionState.CONTINUOUS, FIRST_DAY))
    opened = {row[2] for row in rows_of(twins.events, ExchangeEvent.SESSION_CHANGED)}
    refused = {row[2]: row[7] for row in rows_of(twins.events, ExchangeEvent.REFUSED)}
    assert opened == {2, 4}, (
        "of twice 4 and 3 percent; a spread's limits are as far apart as those of its legs together"
    )
    assert refused == dict.fromkeys((1, 3, 5, 6, 8), Refusal.LADDER_FULL)


# --- batches ---


@pytest.mark.parametrize("seed", RESTORED)
def test_a_batch_is_its_rows_one_by_one(seed):
    twins = played(seed, COMMANDS).twins
    rows = matrix(twins.rows)
    whole, cut = twins.other(Exchange), twins.other(Exchange)
    events = whole.apply(rows)
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(rows), 300))
    pieces = [cut.apply(piece) for piece in np.split(rows, cuts)]
    assert np.array_equal(events, matrix(twins.events))
    assert np.array_equal(events, np.concatenate(pieces))
    assert whole.state_hash() == cut.state_hash() == twins.plain.state_hash()


def test_the_twin_takes_batches_too():
    twins = played(0, COMMANDS).twins
    plain = twins.other(PlainExchange)
    events = plain.apply(matrix(twins.rows[:500]))
    assert np.array_equal(events, matrix([event for said in twins.said[:500] for event in said]))


# --- snapshots ---


def continued(flow: Played, at: int, machine: Exchange | PlainExchange, count: int) -> None:
    """A machine restored at a moment of a flow says from there what was said, and comes to hold the same."""
    rows, said = flow.twins.rows[at : at + count], flow.twins.said[at : at + count]
    events = machine.apply(matrix(rows))
    assert np.array_equal(events, matrix([event for some in said for event in some]))


@pytest.mark.parametrize("seed", RESTORED)
def test_a_restored_exchange_has_the_same_future(seed):
    flow = played(seed, COMMANDS)
    assert flow.moments, "a moment with an iceberg put behind others, and a stop that waits"
    for at, parts in flow.moments.items():
        kernel, plain = flow.twins.other(Exchange, parts), flow.twins.other(PlainExchange, parts)
        assert kernel.state_hash() == plain.state_hash() == state_hash(parts)
        continued(flow, at, plain, 250)
        continued(flow, at, kernel, 250)
        assert kernel.state_hash() == plain.state_hash()
        again = flow.twins.other(Exchange, kernel.snapshot())
        for machine in (kernel, again, flow.twins.other(Exchange, plain.snapshot())):
            continued(flow, at + 250, machine, COMMANDS)
            assert machine.state_hash() == flow.twins.kernel.state_hash()


def test_a_restored_exchange_is_restored_again_and_again():
    flow = played(0, COMMANDS)
    kernel = flow.twins.other(Exchange)
    for at in range(0, len(flow.twins.rows), 97):
        continued(flow, at, kernel, 97)
        kernel = flow.twins.other(Exchange, kernel.snapshot())
    assert kernel.state_hash() == flow.twins.plain.state_hash()


# --- what is true of every flow ---


@pytest.mark.parametrize("seed", SEEDS)
def test_every_lot_every_level_and_every_position_can_be_recounted(seed):
    twins = played(seed, COMMANDS).twins
    tally = Tally(twins.setting.contracts)
    for some in twins.said:
        tally.hear(some)
    tally.check(twins.parts)
    assert tally.trades > COMMANDS // 100, "a flow that trades"


@pytest.mark.parametrize("seed", RESTORED)
def test_every_moment_of_a_flow_can_be_recounted(seed):
    twins = played(seed, COMMANDS).twins
    kernel, tally = twins.other(Exchange), Tally(twins.setting.contracts)
    for row, some in zip(twins.rows, twins.said, strict=True):
        kernel.apply_one(row, [])
        tally.hear(some)
        tally.check(kernel.snapshot())


def in_order(rows: Iterable[Row]) -> bool:
    times = [row[1] for row in rows]
    return times == sorted(times)


@pytest.mark.parametrize("seed", RESTORED)
def test_events_are_said_in_order_of_time(seed):
    """But for what a command of the past is told, which has that command's time."""
    events = played(seed, COMMANDS).twins.events
    backwards = {(int(ExchangeEvent.REFUSED), int(Refusal.TIME_BACKWARDS))}
    assert in_order(row for row in events if (row[0] & 0xFFFF, row[7]) not in backwards)

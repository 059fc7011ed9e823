"""What only the kernel has: tables that grow, indexes that find keys of any shape, a heap of holds that end by themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import CODE_MASK, KIND
from ciyuan.gateway import (
    LimitUnit,
    LimitWindow,
    MeterEvent,
    PartyRole,
    deliver_row,
    enrol_row,
    hold_row,
    leg_price_row,
    leg_used_row,
    limit_row,
    spender_row,
    tick_row,
    void_row,
)
from ciyuan.gateway.growth import HEAP_ROOM
from ciyuan.gateway.machine import Meter
from ciyuan.ledger.machine import Ledger
from tests.gateway.twins import ADA, NORTH, a_market, list_row, matrix, who


@pytest.mark.parametrize("spread", [1, 2**20, 2**32, 3 * 2**40, 2**59 // 3000])
def test_tables_grow_and_keys_of_any_shape_are_found(spread):
    twins, count = a_market(), 3_000
    meter = twins.fast
    keys = [1 + at * spread for at in range(count)]
    for start in range(0, count, 700):
        events = meter.apply(
            matrix([hold_row(start, key, who(), 1, 1, 10**6 - key % 7) for key in keys[start : start + 700]])
        )
        assert set((events[:, KIND] & CODE_MASK).tolist()) == {MeterEvent.HELD}
    again = meter.apply(
        matrix([hold_row(count, key, who(), 1, 1, 10**6 - key % 7) for key in reversed(keys)])
    )
    assert set((again[:, KIND] & CODE_MASK).tolist()) == {MeterEvent.REPEATED}
    events = meter.apply(matrix([deliver_row(count, key, who(), 1, 0, 1) for key in keys]))
    assert events[:, 2].tolist() == keys
    assert set((events[:, KIND] & CODE_MASK).tolist()) == {MeterEvent.SETTLED}
    restored = Meter(Ledger())
    restored.restore(meter.snapshot())
    assert restored.state_hash() == meter.state_hash()


@pytest.mark.parametrize(
    "row",
    [
        lambda at: enrol_row(1, PartyRole.CUSTOMER, 10 + at, ADA),
        lambda at: list_row(1, 1, at),
        lambda at: list_row(1, 1, grade=2 + at),
        lambda at: hold_row(1, 1 + at, who(), 1, 1),
        lambda at: hold_row(1, 1 + at, who(), 1, 1, 10),
    ],
    ids=["parties", "lists", "books", "requests", "heap"],
)
def test_each_table_grows_by_itself_row_by_row(row):
    twins = a_market()
    rows = [row(at) for at in range(1, 200)]
    for one in rows:
        twins.fast.apply(matrix([one]))
    twins.plain.apply(matrix(rows))
    twins.check_same()
    again = twins.fast.apply(matrix(rows))
    assert set((again[:, KIND] & CODE_MASK).tolist()) == {MeterEvent.REPEATED}


def test_the_tables_of_spenders_limits_and_legs_grow_row_by_row():
    twins = a_market()
    rows = [list_row(1, 1, at) for at in range(1, 200)]
    rows += [spender_row(1, 1_000 + 7 * at, 0 if at % 5 == 0 else 993 + 7 * at, 1) for at in range(150)]
    rows += [
        limit_row(1, 65_000 - 9 * at, 1_000 + 7 * (at % 150), LimitUnit.TOKENS, LimitWindow.DAY, 10**6)
        for at in range(400)
    ]
    rows += [leg_price_row(1, 1, 1, 5, 3, valid_from_ns=at) for at in range(1, 200)]
    rows += [hold_row(300, at, who(), 9, 9, 0, 1_000 + 7 * (at % 150)) for at in range(1, 200)]
    rows += [leg_used_row(300, at, 5, 1) for at in range(1, 200)]
    for one in rows:
        twins.fast.apply(matrix([one]))
    twins.plain.apply(matrix(rows))
    twins.check_same()
    again = twins.fast.apply(matrix([(row[0], 300, *row[2:]) for row in rows]))
    assert set((again[:, KIND] & CODE_MASK).tolist()) == {MeterEvent.REPEATED}
    restored = twins.fast.snapshot()
    twins.fast.restore(restored)
    twins.plain.restore(restored)
    twins.check_same()


def test_many_parties_and_books_are_found():
    twins = a_market()
    meter = twins.fast
    enrolments = [enrol_row(1, PartyRole.CUSTOMER, 1_000 + 7 * at, ADA) for at in range(500)]
    suppliers = [enrol_row(1, PartyRole.SUPPLIER, 60_000 - 11 * at, NORTH) for at in range(500)]
    lists = [list_row(1, 60_000 - 11 * at, grade=1 + at % 3) for at in range(500)]
    assert len(meter.apply(matrix([*enrolments, *suppliers, *lists]))) == 1_500
    parties = [who(1_000 + 7 * at, 60_000 - 11 * at, 1 + at % 3) for at in range(500)]
    events = meter.apply(matrix([hold_row(2, 1 + at, word, 1, 1) for at, word in enumerate(parties)]))
    assert set((events[:, KIND] & CODE_MASK).tolist()) == {MeterEvent.HELD}
    assert [int(event) >> 24 for event in events[:, KIND]] == list(range(3, 503))


@given(
    st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["hold", "hold", "void", "tick"])), max_size=120),
    st.integers(1, 9),
)
def test_holds_end_in_order_however_many(moves, batch):
    twins, rows, clock, request = a_market(), [], 0, 0
    for number, move in moves:
        clock += number % 4
        if move == "hold":
            request += 1
            rows.append(hold_row(clock, request, who(), 1, 1, number))
        elif move == "void" and request:
            rows.append(void_row(clock, 1 + number % request))
        else:
            rows.append(tick_row(clock))
    events = [
        event for start in range(0, len(rows), batch) for event in twins.say(*rows[start : start + batch])
    ]
    events += twins.say(tick_row(clock + 100))
    ended = [(event[1], event[2]) for event in events if event[KIND] & CODE_MASK == MeterEvent.EXPIRED]
    assert ended == sorted(ended)
    assert twins.available(ADA) == twins.posted(ADA) == 10**9
    assert len(ended) + sum(event[KIND] & CODE_MASK == MeterEvent.VOIDED for event in events) == request


def test_the_heap_forgets_holds_that_have_ended():
    twins = a_market()
    for start in range(1, 4_000, 8):
        keys = range(start, start + 8)
        twins.fast.apply(matrix([hold_row(1, key, who(), 1, 1, 10**9) for key in keys]))
        twins.fast.apply(matrix([void_row(1, key) for key in keys]))
    assert len(twins.fast._book.heap) <= HEAP_ROOM


def test_an_array_that_may_not_be_written_to_is_read_as_it_is():
    twins = a_market()
    rows = np.frombuffer(matrix([hold_row(1, 1, who(), 1, 1)]).tobytes(), np.int64).reshape(-1, 8)
    assert not rows.flags.writeable
    assert twins.fast.apply(rows).tolist() == twins.plain.apply(rows).tolist()


def test_no_rows_say_nothing():
    assert a_market().say() == []

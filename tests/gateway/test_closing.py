"""Closing: requests that have ended are forgotten here and in the ledger, and never taken up again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import CODE_MASK, KIND
from ciyuan.gateway import (
    LimitUnit,
    LimitWindow,
    MeterEvent,
    MeterRefusal,
    close_row,
    deliver_row,
    hold_row,
    leg_used_row,
    limit_row,
    spender_row,
    tick_row,
    void_row,
)
from ciyuan.gateway.messages import REQUEST_MAX
from ciyuan.ledger.messages import close_row as ledger_close_row
from ciyuan.ledger.messages import hold_row as ledger_hold_row
from tests.gateway.twins import ADA, NORTH, WORLD, Twins, a_market, code, matrix, refusal, who

R = MeterRefusal
LEG = 5


def with_requests(*keys: int, timeout_ns: int = 0) -> Twins:
    twins = a_market()
    twins.say(*(hold_row(1, key, who(), 10, 10, timeout_ns) for key in keys))
    return twins


def test_a_range_of_requests_that_have_ended_is_forgotten():
    twins = with_requests(1, 2, 3, 7)
    twins.say(
        deliver_row(2, 1, who(), 10, 0, 10),
        leg_used_row(2, 2, LEG, 5),
        void_row(2, 2),
        leg_used_row(2, 7, LEG, 4),
    )
    money = twins.available(ADA), twins.posted(NORTH)
    parties = twins.fast.parties.tolist()
    assert twins.refused(close_row(3, 1, 4)) == R.REQUEST_HELD
    before = twins.fast.ledger.transfer_count
    assert twins.one(close_row(3, 1, 3)) == [MeterEvent.CLOSED, 3, 1, 3, 0, 0, 0, 0]
    assert twins.fast.requests[:, 0].tolist() == [3, 7]
    assert twins.fast.snapshot()["leg_counts"][:, 0].tolist() == [7]
    assert twins.fast.closed == (1, 3)
    assert twins.fast.ledger.transfer_count == before - 4
    assert (twins.available(ADA), twins.posted(NORTH)) == money
    assert twins.fast.parties.tolist() == parties
    twins.say(deliver_row(4, 7, who(), 10, 0, 9), deliver_row(4, 3, who(), 10, 0, 10))
    assert twins.fast.snapshot()["leg_counts"][0, 3] == 4


@pytest.mark.parametrize(
    "row",
    [
        hold_row(4, 2, who(), 10, 10),
        deliver_row(4, 2, who(), 10, 0, 10),
        void_row(4, 2),
        leg_used_row(4, 2, LEG, 1),
    ],
)
def test_of_a_closed_request_nothing_is_taken_not_even_a_repeat(row):
    twins = with_requests(1, 2)
    twins.say(deliver_row(1, 1, who(), 10, 0, 10), deliver_row(1, 2, who(), 10, 0, 10), close_row(2, 1, 3))
    assert twins.refused(row) == R.REQUEST_CLOSED
    restored = twins.fast.snapshot()
    twins.plain.restore(restored)
    twins.fast.restore(restored)
    assert twins.refused(row) == R.REQUEST_CLOSED
    assert twins.refused(hold_row(4, 3, who(), 10, 10)) is None


def test_the_closed_range_grows_upward_only():
    twins = a_market()
    assert code(twins.one(close_row(1, 10, 20))) == MeterEvent.CLOSED
    assert twins.refused(close_row(1, 21, 30)) == R.CLOSE_NOT_NEXT
    assert twins.refused(close_row(1, 15, 30)) == R.CLOSE_NOT_NEXT
    assert twins.refused(close_row(1, 5, 10)) == R.CLOSE_NOT_NEXT
    assert code(twins.one(close_row(1, 10, 20))) == MeterEvent.REPEATED
    assert code(twins.one(close_row(1, 13, 14))) == MeterEvent.REPEATED
    assert code(twins.one(close_row(1, 20, REQUEST_MAX + 1))) == MeterEvent.CLOSED
    assert twins.fast.closed == (10, REQUEST_MAX + 1)
    assert twins.refused(hold_row(2, 9, who(), 1, 1)) is None
    assert twins.refused(hold_row(2, REQUEST_MAX, who(), 1, 1)) == R.REQUEST_CLOSED


def test_what_the_ledger_will_not_close_is_not_closed():
    twins = a_market()
    twins.ledger(ledger_hold_row(1, 4 * 5 + 3, WORLD, ADA, 7))
    assert twins.refused(close_row(1, 1, 6)) == R.LEDGER_REFUSED
    twins = a_market()
    twins.ledger(ledger_close_row(1, 4 * 5, 4 * 6))
    assert twins.refused(close_row(1, 1, 6)) == R.LEDGER_REFUSED
    assert twins.fast.closed == (0, 0)


def test_a_hold_that_has_expired_has_ended():
    twins = with_requests(1, 2, 3, timeout_ns=10)
    twins.say(hold_row(2, 4, who(), 1, 1, 50), hold_row(2, 5, who(), 1, 1, 20))
    events = twins.say(close_row(11, 1, 4))
    assert [code(event) for event in events] == [MeterEvent.EXPIRED] * 3 + [MeterEvent.CLOSED]
    assert [(code(event), event[2]) for event in twins.say(tick_row(100))[:-1]] == [
        (MeterEvent.EXPIRED, 5), (MeterEvent.EXPIRED, 4),
    ]  # fmt: skip


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["hold", "hold", "hold", "end", "end", "leg", "close"]),
        st.integers(0, 30),
        st.booleans(),
    ),
    max_size=60,
)


@given(MOVES, st.integers(1, 7), st.data())
def test_requests_come_and_are_closed_in_any_order_of_their_ends(moves, batch, data):
    """Timed holds among them, so that the heap is made to fit too; and limits, which closing leaves as they are."""
    twins, rows, clock, key, closed = a_market(), [], 0, 0, 1
    rows += [spender_row(0, 1, 0, 1), limit_row(0, 1, 1, LimitUnit.TOKENS, LimitWindow.EVER, 500)]
    for move, number, flag in moves:
        clock += number % 3
        if move == "hold":
            key += 1
            rows.append(hold_row(clock, key, who(), number, 1, number if flag else 0, number % 2))
        elif move == "end" and key:
            request = 1 + number % key
            rows.append(void_row(clock, request) if flag else deliver_row(clock, request, who(), 0, 0, 1))
        elif move == "leg" and key:
            rows.append(leg_used_row(clock, 1 + number % key, LEG, number % 2))
        elif move == "close":
            end = closed + 1 + number % 5
            rows.append(close_row(clock, closed, end))
            closed = data.draw(st.sampled_from([closed, end]))
    for start in range(0, len(rows), batch):
        twins.say(*rows[start : start + batch])
    restored = twins.fast.snapshot()
    twins.say(tick_row(clock + 100))
    assert len(twins.fast.requests) == len(twins.plain.requests)
    first, end = twins.fast.closed
    assert not any(first <= key < end for key in restored["requests"][:, 0].tolist())


def test_closing_keeps_a_meters_size_whatever_passes_through():
    twins = a_market()
    meter, many = twins.fast, 2_000
    sizes = set()
    for turn in range(20):
        start, clock = 1 + turn * many, turn * 10
        keys = range(start, start + many)
        meter.apply(matrix([hold_row(clock, key, who(), 1, 1, 5 * (key % 2) * 10**6) for key in keys]))
        meter.apply(matrix([leg_used_row(clock, key, LEG, 1) for key in keys]))
        meter.apply(matrix([deliver_row(clock, key, who(), 1, 0, 1) for key in keys]))
        events = meter.apply(matrix([close_row(clock + 1, start, start + many)]))
        assert events[-1, KIND] & CODE_MASK == MeterEvent.CLOSED
        book = meter._book
        sizes.add((len(book.requests), len(book.request_slots), len(book.leg_counts), len(book.heap)))
    assert len(sizes) == 1
    assert len(meter.requests) == 0
    assert meter.parties[0, 5] == 20 * many
    assert refusal(meter.apply(matrix([hold_row(999, 5, who(), 1, 1)]))[0].tolist()) == R.REQUEST_CLOSED
    assert np.count_nonzero(meter._book.request_slots) == 0

"""The gateway's rows at the venue: a lane of their own that changes nothing, who may say what, closed keys, prices by leg."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.gateway import (
    LimitUnit,
    LimitWindow,
    MeterEvent,
    close_row,
    deliver_row,
    hold_row,
    leg_price_row,
    leg_used_row,
    limit_row,
    parties_word,
    prices_row,
    spender_row,
    tick_row,
    void_row,
)
from ciyuan.gateway.usage import Leg
from ciyuan.venue.accounts import SUPPLIERS_MAX
from ciyuan.venue.books import LEG_KEYS
from ciyuan.venue.machine import CLOSE_MAX
from ciyuan.venue.messages import Purse, Reason, VenueEvent, VenueRefusal
from tests.venue.market import ADA, BO, DEE, EVE, KIMI, SECOND, Market, matrix

WHO = (parties_word(DEE, ADA, KIMI), parties_word(EVE, BO, KIMI))
ROWS = st.lists(
    st.tuples(
        st.sampled_from(
            ["hold", "hold", "deliver", "deliver", "void", "leg", "tick", "batch", "limit", "close"]
        ),
        st.integers(1, 12),
        st.sampled_from([0, 0, 1, SECOND]),
    ),
    max_size=14,
)


def rows_of(moves: list[tuple[str, int, int]], clock: int) -> list[Row]:
    rows = []
    for move, number, later in moves:
        clock += later
        parties = WHO[number % 2]
        rows.append(
            {
                "hold": hold_row(
                    clock, number, parties, 100, 100, number % 3 * SECOND, 1 if number % 2 == 0 else 0
                ),
                "deliver": deliver_row(clock, number, parties, 90, 10, 50),
                "void": void_row(clock, number),
                "leg": leg_used_row(clock, number, Leg.REASONING, number),
                "tick": tick_row(clock),
                "batch": deliver_row(clock, number, parties, 90, 10, 50, batch=True),
                "limit": limit_row(clock, 1, 1, LimitUnit.TOKENS, LimitWindow.DAY, 100 * number),
                "close": close_row(clock, 1, number + 1),
            }[move]
        )
    return rows


@given(st.lists(ROWS, max_size=6), st.sampled_from(["08:30", "15:10"]))
def test_the_lane_of_deliveries_changes_nothing(batches, clock):
    """At 15:10 what is delivered is observed by the index; at 08:30 it is not."""
    fast, slow = Market().join().listed().at(clock), Market().join().listed().at(clock)
    slow.venue._are_deliveries = lambda rows: False  # type: ignore[method-assign]
    for market in (fast, slow):
        market.tell(
            spender_row(market.now, 1, 0, DEE),
            limit_row(market.now, 1, 1, LimitUnit.TOKENS, LimitWindow.DAY, 900),
        )
    for moves in batches:
        rows = rows_of(moves, fast.now)
        if rows:
            fast.now = slow.now = rows[-1][1]
            assert fast.tell(*rows) == slow.tell(*rows)
    assert fast.venue.state_hash() == slow.venue.state_hash()
    assert fast.observations() == slow.observations()


def test_what_is_not_deliveries_in_order_takes_the_other_way():
    venue = Market().join().venue
    now = Market().now
    assert venue._are_deliveries(matrix([tick_row(now * 2)]))
    for rows in (
        matrix([]),
        matrix([tick_row(now * 2), spender_row(now * 2, 1, 0, DEE)]),
        matrix([tick_row(now * 2), tick_row(now * 2 - 1)]),
        matrix([tick_row(now - 1)]),
        matrix([tick_row(now * 2)] * 4)[::2],
        matrix([tick_row(now * 2)]).reshape(8),
    ):
        assert not venue._are_deliveries(rows)
    venue._gate.next_due_ns = now * 2
    assert not venue._are_deliveries(matrix([tick_row(now * 2)]))


@pytest.mark.parametrize(
    "row",
    [
        leg_price_row(0, SUPPLIERS_MAX + 1, KIMI, 5, 1, valid_from_ns=0),
        prices_row(0, SUPPLIERS_MAX + 1, KIMI, price_in=1, price_cached=1, price_out=1, valid_from_ns=0),
        close_row(0, 1, CLOSE_MAX + 1),
    ],
)
def test_prices_of_tokens_and_keys_that_the_venue_needs_are_its_own(row):
    market = Market().join()
    said = market.tell((row[0], market.tick(), *row[2:]))
    assert said[0][0] & CODE_MASK == VenueEvent.REFUSED
    assert said[0][7] == VenueRefusal.UNKNOWN_COMMAND


def test_the_venues_own_rows_go_round_closed_keys():
    market = Market().join().listed()
    market.serve(DEE, ADA, 100, 100)
    books, chart = market.venue._books, market.venue.terms.chart
    cash, revenue = chart.purse(DEE, Purse.CASH), chart.purse(DEE, Purse.REVENUE)
    books.move(market.tick(), cash, revenue, 5, Reason.MOVE)
    assert books.legs == 1
    said = market.tell(close_row(market.tick(), 1, 1_000))
    assert [event[0] & CODE_MASK for event in said] == [MeterEvent.CLOSED]
    assert books.legs == 999
    books.move(market.tick(), revenue, cash, 5, Reason.MOVE)
    assert market.venue.ledger.transfers[-1, 2] == 4 * 1_000 + LEG_KEYS
    parts = market.venue.snapshot()
    other = Market().venue
    other.restore(parts)
    assert other.state_hash() == market.venue.state_hash()


def test_a_delivery_by_a_list_with_prices_of_legs_is_not_observed():
    market = Market().join().listed().at("15:10")
    market.serve(DEE, ADA, 1_000, 100)
    seen = len(market.observations())
    assert seen > 0
    begins = market.now + SECOND
    market.tell(
        prices_row(
            market.tick(),
            ADA,
            KIMI,
            price_in=10**6,
            price_cached=10**5,
            price_out=10**6,
            valid_from_ns=begins,
        ),
        leg_price_row(market.now, ADA, KIMI, Leg.CACHE_WRITE_SHORT, 2 * 10**6, valid_from_ns=begins),
    )
    market.now = begins
    said = market.serve(DEE, ADA, 1_000, 100)
    assert said[-1][0] & CODE_MASK == MeterEvent.SETTLED
    assert len(market.observations()) == seen
    market.serve(DEE, BO, 1_000, 100)
    assert len(market.observations()) > seen

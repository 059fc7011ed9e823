"""What buyers pay in: enough for the worst case of the day, or for a thrifty one nine tenths of what it will cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.price import PriceList
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway.messages import MeterEvent, MeterRefusal, parties_word
from ciyuan.simulation.traffic import MeterRows, Traffic, with_limits
from ciyuan.simulation.treasury import DayNeed, Treasury, deposit_row, need_of_day, price_row, scaled_list
from ciyuan.venue.messages import Purse, Role, VenueCommand
from tests.venue.market import ADA, CALENDAR, DAY, KIMI, Market

LISTS = (
    PriceList(ADA, KIMI, 0, 950_000, 160_000, 4_000_000),
    PriceList(2, KIMI, 0, 900_000, 200_000, 4_100_000),
)
START = CALENDAR.start_ns(DAY)
LENGTH = 24 * 3600 * NS_PER_SECOND


def need(worst: list[int], likely: list[int]) -> DayNeed:
    return DayNeed(np.array(worst, dtype=np.int64), np.array(likely, dtype=np.int64))


def of(*requests: tuple[int, int, int, int, int]) -> Traffic:
    """Requests of (nanoseconds after the start, customer, input, cached, output per call)."""
    after, customer, asked, cached, output = np.array(sorted(requests), dtype=np.int64).T
    return with_limits(START + after, customer, asked, cached, output)


def test_a_list_is_scaled_leg_by_leg_to_the_nearest():
    base = PriceList(3, KIMI, 5, 1, 3, 1_000_001)
    assert scaled_list(base, 0.6, 9) == PriceList(3, KIMI, 9, 1, 2, 600_001)
    assert scaled_list(LISTS[0], 1.0, 0) == LISTS[0]


def test_rows_say_what_their_words_mean():
    assert price_row(7, LISTS[0]) == (202, 7, ADA, KIMI, 950_000, 160_000, 4_000_000, 0)
    assert deposit_row(7, 3, 9, Purse.PREPAID, 5) == (VenueCommand.DEPOSIT, 7, 3, 9, 1, 5, 0, 0)


def test_the_need_of_a_day_is_by_buyer_at_the_dearest_list():
    found = need_of_day(
        of((5, 0, 1000, 400, 60), (6, 2, 10, 0, 100), (LENGTH, 1, 10**6, 0, 10)),
        START,
        START + LENGTH,
        LISTS,
        3,
    )
    worst = [(1000 * 950_000 + 64 * 4_100_000) // 10**6 + 2, 0, (10 * 950_000 + 128 * 4_100_000) // 10**6 + 2]
    assert found.worst_micro.tolist() == worst
    assert found.likely_micro.tolist() == [(600 * 950_000 + 400 * 200_000 + 60 * 4_100_000) // 10**6, 0,
                                           (10 * 950_000 + 100 * 4_100_000) // 10**6]  # fmt: skip


def test_what_is_still_being_served_at_midnight_is_needed_too():
    served = need_of_day(of((-NS_PER_SECOND, 0, 1000, 0, 10)), START, START + LENGTH, LISTS, 1)
    assert served.worst_micro[0] > 0
    over = need_of_day(of((-10 * NS_PER_SECOND, 0, 1000, 0, 10)), START, START + LENGTH, LISTS, 1)
    assert over.worst_micro.tolist() == [0]


def test_a_buyer_is_topped_up_to_its_need():
    treasury = Treasury((5, 6, 7), 1)
    nothing = np.zeros(3, dtype=np.int64)
    rows = treasury.top_up(9, 40, need([1000, 0, 1000], [500, 0, 500]), nothing)
    assert [row[1:6] for row in rows] == [(9, 40, 5, 1, 1000), (9, 41, 7, 1, 450)]
    assert treasury.top_up(10, 42, need([1000, 0, 1000], [500, 0, 500]), nothing) == []
    rows = treasury.top_up(11, 42, need([1000, 10, 0], [500, 5, 0]), np.array([300, 0, 450]))
    assert [row[1:6] for row in rows] == [(11, 42, 5, 1, 300), (11, 43, 6, 1, 10)]


@pytest.mark.parametrize(("thrifty", "expected"), [(0, [9, 9]), (1, [9, 4]), (2, [4, 4])])
def test_the_last_buyers_are_the_thrifty_ones(thrifty, expected):
    rows = Treasury((1, 2), thrifty).top_up(0, 1, need([9, 9], [5, 5]), np.zeros(2, dtype=np.int64))
    assert [row[5] for row in rows] == expected


def play(traffic: Traffic, thrifty: int, days: int) -> Market:
    """Serve the traffic on a venue, one buyer, topped up each midnight from what it was charged."""
    market = Market()
    market.now = START - 2 * LENGTH
    market.ask(VenueCommand.PARTICIPANT, 1, int(Role.SUPPLIER), 0, 0)
    market.ask(VenueCommand.PARTICIPANT, 2, int(Role.CUSTOMER), 0, 0)
    market.tell(price_row(market.tick(), LISTS[0]))
    rows = MeterRows(
        traffic, np.full(len(traffic), parties_word(2, 1, KIMI), dtype=np.int64), START + 100 * LENGTH
    )
    treasury = Treasury((2,), thrifty)
    key = 1
    for day in range(-1, days):
        start, end = START + day * LENGTH, START + (day + 1) * LENGTH
        charged = np.array([sum(event[7] for event in market.of(MeterEvent.SETTLED))], dtype=np.int64)
        paid = treasury.top_up(start, key, need_of_day(traffic, start, end, LISTS[:1], 1), charged)
        key += len(paid)
        served = [tuple(row) for row in rows.between(start, end).tolist()]
        market.tell(*paid, *served)
    return market


REQUESTS = st.tuples(
    st.integers(1, 3 * LENGTH // NS_PER_SECOND - 1).map(lambda second: second * NS_PER_SECOND)
    | st.sampled_from([day * LENGTH - NS_PER_SECOND for day in (1, 2, 3)]),
    st.just(0),
    st.integers(0, 2000),
    st.just(0),
    st.sampled_from([0, 1, 63, 64, 65, 128, 900]),
)


@settings(max_examples=30)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=12))
def test_a_prudent_buyer_is_never_refused(requests):
    market = play(of(*requests), 0, 4)
    assert not market.of(MeterEvent.REFUSED)
    assert len(market.of(MeterEvent.SETTLED)) == len(requests)


def test_a_thrifty_buyer_is_refused_when_its_money_is_spent():
    requests = [(hour * 3600 * NS_PER_SECOND, 0, 1000, 0, 60) for hour in range(1, 20)]
    market = play(of(*requests), 1, 1)
    refusals = [event[7] for event in market.of(MeterEvent.REFUSED)]
    assert refusals.count(MeterRefusal.INSUFFICIENT_BALANCE) == 2
    assert set(refusals) == {MeterRefusal.INSUFFICIENT_BALANCE, MeterRefusal.REQUEST_UNKNOWN}
    assert len(market.of(MeterEvent.SETTLED)) == 17
    assert market.money(2, Purse.PREPAID) >= 0

"""The auction price: public ladders, and every candidate tried."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.exchange.auction import AuctionPrice, auction_price
from tests.exchange.naive import brute_auction


class Ladder(NamedTuple):
    """A published ladder: lots by price of each side, the reference price, the published price, and ours."""

    name: str
    buys: dict[int, int]
    sells: dict[int, int]
    reference: int
    published: int
    ours: tuple[int, int, int]


# The figures of the ten ladders of bnb-chain/bnb-chain.github.io, docs/beaconchain/match-examples.md (355db899), and of examples
# 1, 2, 3 and 5 of ratzlow/tinyEXCH, AuctionMatchTest.java (1ef58a28; after Xetra's market model), both read on 2026-11-21.
LADDERS = (
    Ladder("bnb 1", {100: 150, 98: 150}, {98: 250, 97: 50}, 98, 98, (98, 300, 0)),
    Ladder("bnb 2", {100: 150, 99: 50, 97: 300}, {97: 200, 96: 100}, 97, 97, (97, 300, 200)),
    Ladder(
        "bnb 3", {102: 300, 100: 100, 99: 200, 98: 300}, {98: 250, 97: 250, 96: 1000}, 96, 96, (96, 900, -100)
    ),
    Ladder("bnb 4", {102: 30, 101: 10, 99: 50, 96: 15}, {98: 10, 97: 50, 95: 50}, 97, 97, (97, 90, -10)),
    Ladder("bnb 5.1", {102: 10, 97: 10}, {95: 50}, 80, 95, (95, 20, -30)),
    Ladder("bnb 5.2", {99: 10, 94: 10}, {92: 50}, 100, 94, (92, 20, -30)),
    Ladder("bnb 5.3", {99: 100}, {92: 50}, 90, 95, (99, 50, 50)),
    Ladder("bnb 5.4", {101: 10, 96: 10}, {94: 50}, 100, 95, (94, 20, -30)),
    Ladder("bnb 6.1", {100: 25, 97: 25}, {98: 25, 95: 25}, 99, 99, (98, 25, -25)),
    Ladder("bnb 6.2", {100: 25, 97: 25}, {98: 25, 95: 25}, 97, 97, (97, 25, 25)),
    Ladder("xetra 1", {202: 200, 201: 200, 200: 300}, {200: 100, 198: 200, 197: 400}, 0, 200, (200, 700, 0)),
    Ladder("xetra 2", {202: 400, 201: 200}, {199: 300, 198: 200}, 0, 201, (201, 500, 100)),
    Ladder("xetra 3", {202: 300, 201: 200}, {199: 400, 198: 200}, 0, 199, (199, 500, -100)),
    Ladder("xetra 5, 200", {202: 300, 201: 200}, {199: 300, 198: 200}, 200, 201, (201, 500, 0)),
    Ladder("xetra 5, 202", {202: 300, 201: 200}, {199: 300, 198: 200}, 202, 201, (201, 500, 0)),
    Ladder("xetra 5, 198", {202: 300, 201: 200}, {199: 300, 198: 200}, 198, 199, (199, 500, 0)),
)
OTHER_RULE = {
    "bnb 5.2": "there the lowest price, 92, is not taken under 5% below the reference; here the daily limits bound it",
    "bnb 5.3": "there the highest price, 99, is not taken over 5% above the reference; here the daily limits bound it",
    "bnb 5.4": "there the lowest price, 94, is not taken under 5% below the reference; here the daily limits bound it",
    "bnb 6.1": "there every tick is a candidate; at 99 the seller at 98 would go unfilled, which §4.2 does not allow",
}
"""Where the published price is not ours, and why."""

sides = st.dictionaries(st.integers(90, 110), st.integers(1, 30), max_size=8)


@pytest.mark.parametrize("ladder", LADDERS, ids=lambda ladder: ladder.name)
def test_published_ladders(ladder):
    assert auction_price(ladder.buys, ladder.sells, ladder.reference) == AuctionPrice(*ladder.ours)
    assert (ladder.published == ladder.ours[0]) == (ladder.name not in OTHER_RULE)


@given(buys=sides, sells=sides, previous=st.integers(85, 115))
def test_it_is_the_best_of_all_candidates(buys, sells, previous):
    orders = [(False, price, lots) for price, lots in buys.items()]
    orders += [(True, price, lots) for price, lots in sells.items()]
    tried = brute_auction(orders, previous)
    assert auction_price(buys, sells, previous) == (AuctionPrice(*tried) if tried else None)


@given(buys=sides, sells=sides, previous=st.integers(85, 115))
def test_all_better_priced_orders_fill_and_none_is_left_that_could_trade(buys, sells, previous):
    found = auction_price(buys, sells, previous)
    if found is None:
        assert not buys or not sells or max(buys) < min(sells)
        return
    price, lots = found.price_ticks, found.lots
    assert sum(some for at, some in buys.items() if at > price) <= lots
    assert sum(some for at, some in sells.items() if at < price) <= lots
    demand = sum(some for at, some in buys.items() if at >= price)
    supply = sum(some for at, some in sells.items() if at <= price)
    assert (lots, found.surplus_lots) == (min(demand, supply), demand - supply)


@given(buys=sides, sells=sides, previous=st.integers(85, 115), data=st.data())
def test_the_order_of_arrival_does_not_count(buys, sells, previous, data):
    def shuffled(side):
        return dict(data.draw(st.permutations(list(side.items()))))

    assert auction_price(shuffled(buys), shuffled(sells), previous) == auction_price(buys, sells, previous)


def test_nothing_meets_nothing():
    assert auction_price({}, {}, 100) is None
    assert auction_price({100: 1}, {}, 100) is None
    assert auction_price({99: 1}, {100: 1}, 100) is None

"""The auction: public ladders by the price rule and through the whole exchange, and every candidate tried."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import Row, code_of
from ciyuan.exchange import (
    Contract,
    ContractKind,
    ExchangeEvent,
    Level,
    SessionState,
    Side,
    order_row,
    session_row,
)
from ciyuan.exchange.auction import AuctionPrice, auction_price
from ciyuan.exchange.room import Room
from ciyuan.exchange.settlement import daily_limits
from tests.exchange.scenario_runner import MACHINES, Machine

RATE_BP = 1_500
"""The daily limit of the ladders' contract; it counts twice on the first day, which all their prices lie within."""
DAY = 20_000
ROOM = Room(accounts=64, orders=64, ladder_ticks=256)


class Ladder(NamedTuple):
    """A published ladder: lots by price of each side, the reference price, the published price, ours (price, lots, surplus), and
    the lots of orders at the market of each side. Such an order is a limit order at the day's far limit (§3.1)."""

    name: str
    buys: dict[int, int]
    sells: dict[int, int]
    reference: int
    published: int
    ours: tuple[int, int, int]
    at_market: tuple[int, int] = (0, 0)

    def sides(self) -> tuple[dict[int, int], dict[int, int]]:
        """Lots by price of buyers and sellers, those at the market among them."""
        lower, upper = daily_limits(self.reference, 2 * RATE_BP)
        buys, sells = (
            {price: lots} if lots else {} for price, lots in zip((upper, lower), self.at_market, strict=True)
        )
        return self.buys | buys, self.sells | sells


# The figures of the ten ladders of bnb-chain/bnb-chain.github.io, docs/beaconchain/match-examples.md (355db899), and of the six
# examples of ratzlow/tinyEXCH, AuctionMatchTest.java (1ef58a28; after Xetra's market model), both read on 2026-11-21. Where an
# example names no reference price one in its midst is taken: its price does not stand on it.
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
    Ladder(
        "xetra 1", {202: 200, 201: 200, 200: 300}, {200: 100, 198: 200, 197: 400}, 200, 200, (200, 700, 0)
    ),
    Ladder("xetra 2", {202: 400, 201: 200}, {199: 300, 198: 200}, 200, 201, (201, 500, 100)),
    Ladder("xetra 3", {202: 300, 201: 200}, {199: 400, 198: 200}, 200, 199, (199, 500, -100)),
    Ladder("xetra 4, 199", {199: 100}, {202: 100}, 199, 199, (199, 100, 100), (100, 100)),
    Ladder("xetra 4, 200", {199: 100}, {202: 100}, 200, 199, (199, 100, 100), (100, 100)),
    Ladder("xetra 5, 200", {202: 300, 201: 200}, {199: 300, 198: 200}, 200, 201, (201, 500, 0)),
    Ladder("xetra 5, 202", {202: 300, 201: 200}, {199: 300, 198: 200}, 202, 201, (201, 500, 0)),
    Ladder("xetra 5, 198", {202: 300, 201: 200}, {199: 300, 198: 200}, 198, 199, (199, 500, 0)),
    Ladder("xetra 6, 250", {}, {}, 250, 250, (325, 800, 100), (900, 800)),
    Ladder("xetra 6, 99", {}, {}, 99, 99, (129, 800, 100), (900, 800)),
)
OTHER_RULE = {
    "bnb 5.2": "there the lowest price, 92, is not taken under 5% below the reference; here the daily limits bound it",
    "bnb 5.3": "there the highest price, 99, is not taken over 5% above the reference; here the daily limits bound it",
    "bnb 5.4": "there the lowest price, 94, is not taken under 5% below the reference; here the daily limits bound it",
    "bnb 6.1": "there every tick is a candidate; at 99 the seller at 98 would go unfilled, which §4.2 does not allow",
    "xetra 6, 250": "there the reference price stands in; here an order at the market names the day's limit (highest, §4.2)",
    "xetra 6, 99": "there the reference price stands in; here an order at the market names the day's limit (highest, §4.2)",
}
"""Where the published price is not ours, and why."""

sides = st.dictionaries(st.integers(90, 110), st.integers(1, 30), max_size=8)


def test_all_published_ladders_are_here():
    names = [ladder.name for ladder in LADDERS]
    assert len([name for name in names if name.startswith("bnb")]) == 10
    assert {name.partition(",")[0] for name in names if name.startswith("xetra")} == {
        f"xetra {n}" for n in range(1, 7)
    }
    assert set(OTHER_RULE) <= set(names)


@pytest.mark.parametrize("ladder", LADDERS, ids=lambda ladder: ladder.name)
def test_published_ladders(ladder):
    buys, sells = ladder.sides()
    assert auction_price(buys, sells, ladder.reference) == AuctionPrice(*ladder.ours)
    assert (ladder.published == ladder.ours[0]) == (ladder.name not in OTHER_RULE)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("ladder", LADDERS, ids=lambda ladder: ladder.name)
def test_published_ladders_through_the_whole_exchange(ladder, machine):
    buys, sells = ladder.sides()
    exchange, events = held(MACHINES[machine], buys, sells, ladder.reference)
    price, lots, _ = ladder.ours
    assert priced(events) == ladder.ours
    fills = [row for row in events if code_of(row[0]) == ExchangeEvent.FILLED]
    assert {row[5] for row in fills} == {price}
    assert sum(row[6] for row in fills) == 2 * lots
    left = {side: exchange.book(1).levels(side) for side in Side}
    assert left == {
        Side.BUY: unfilled(sorted(buys.items(), reverse=True), lots),
        Side.SELL: unfilled(sorted(sells.items()), lots),
    }


def held(
    make: type[Machine], buys: dict[int, int], sells: dict[int, int], reference: int
) -> tuple[Machine, list[Row]]:
    """An exchange that has held an auction of these lots by price, each of an account of its own; and what it said then."""
    contract = Contract(
        number=1, code="L", kind=ContractKind.CASH_FUTURE, grade=1, tick_micro=1_000, lot_mtok=1, first_day=DAY, last_day=DAY,
        month=202410, limit_rate_bp=RATE_BP, initial_price_ticks=reference, max_lots_per_order=10_000,
    )  # fmt: skip
    exchange = make([contract], ROOM, everyone=True)
    events: list[Row] = []
    exchange.apply_one(session_row(0, 1, SessionState.AUCTION_ENTRY, DAY), events)
    orders = [(Side.BUY, *level) for level in buys.items()] + [(Side.SELL, *level) for level in sells.items()]
    for account, (side, price, lots) in enumerate(orders, 1):
        exchange.apply_one(order_row(0, account, 1, 1, side, price, lots), events)
    assert [row for row in events if code_of(row[0]) == ExchangeEvent.REFUSED] == []
    events.clear()
    exchange.apply_one(session_row(0, 1, SessionState.AUCTION_MATCH, DAY), events)
    return exchange, events


def priced(events: Iterable[Row]) -> tuple[int, ...]:
    """Price, lots and surplus of the AUCTION_PRICED row."""
    return next(row[3:6] for row in events if code_of(row[0]) == ExchangeEvent.AUCTION_PRICED)


def unfilled(levels: Iterable[tuple[int, int]], filled: int) -> list[Level]:
    """What is left of a side, best price first, when `filled` lots of it have traded."""
    left = []
    for price, lots in levels:
        traded = min(lots, filled)
        filled -= traded
        left += [Level(price, lots - traded, 1)] if lots > traded else []
    return left


def best_of_all(buys: dict[int, int], sells: dict[int, int], reference: int) -> tuple[int, int, int] | None:
    """(price, lots, surplus) by trying every price at which an order stands; None if nothing would trade."""
    tried = {}
    for price in {*buys, *sells}:
        demand = sum(lots for at, lots in buys.items() if at >= price)
        supply = sum(lots for at, lots in sells.items() if at <= price)
        better = max(demand - buys.get(price, 0), supply - sells.get(price, 0))
        tried[price] = min(demand, supply), demand - supply, better
    most = max((lots for lots, _, _ in tried.values()), default=0)
    if not most:
        return None
    ties = {price: found for price, found in tried.items() if found[0] == most}
    least = min(abs(surplus) for _, surplus, _ in ties.values())
    ties = {price: found for price, found in ties.items() if abs(found[1]) == least}
    if all(surplus > 0 for _, surplus, _ in ties.values()):
        price = max(ties)
    elif all(surplus < 0 for _, surplus, _ in ties.values()):
        price = min(ties)
    else:
        fair = [price for price, (_, _, better) in ties.items() if better <= most]
        price = min(fair, key=lambda at: (abs(at - reference), -at))
    return price, most, ties[price][1]


@given(buys=sides, sells=sides, previous=st.integers(85, 115))
def test_it_is_the_best_of_all_candidates(buys, sells, previous):
    tried = best_of_all(buys, sells, previous)
    assert auction_price(buys, sells, previous) == (AuctionPrice(*tried) if tried else None)


@given(buys=sides, sells=sides, previous=st.integers(90, 115))
def test_the_exchange_finds_the_best_of_all_candidates(buys, sells, previous):
    _, events = held(MACHINES["kernel"], buys, sells, previous)
    assert priced(events) == (best_of_all(buys, sells, previous) or (0, 0, 0))


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

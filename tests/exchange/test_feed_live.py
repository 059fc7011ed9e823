"""The feed beside a live exchange: after every command of several days it shows that exchange's books, queues and figures.

The days are rung by a timetable with a night session; in between a seeded crowd sends orders of every type.
"""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE
from ciyuan.exchange import (
    AccountFlag,
    Contract,
    ContractKind,
    ExchangeEvent,
    Level,
    OrderFlag,
    SelfTrade,
    Side,
    account_row,
    amend_row,
    cancel_row,
    mass_cancel_row,
    order_row,
    session_row,
    tick_row,
)
from ciyuan.exchange.feed import Feed, News
from ciyuan.exchange.feed_levels import LevelBook, Top
from ciyuan.exchange.feed_orders import StandingOrder
from ciyuan.exchange.feed_status import Status
from ciyuan.exchange.feed_tape import Trade, TradeFlag
from ciyuan.exchange.messages import SessionState
from ciyuan.exchange.room import Room
from ciyuan.exchange.session import TAKES
from ciyuan.exchange.state import CONTRACT_COLUMNS
from ciyuan.exchange.timetable import NIGHT_BELLS, Bell, Timetable

CALENDAR = Calendar(8 * NS_PER_HOUR)
FIRST = day_from_iso("2026-10-09")
DAYS = CALENDAR.business_days(FIRST, FIRST + 6)
BELLS = (
    *NIGHT_BELLS,
    Bell("08:55", SessionState.AUCTION_ENTRY),
    Bell("08:59", SessionState.AUCTION_FREEZE),
    Bell("09:00", SessionState.AUCTION_MATCH),
    Bell("09:00", SessionState.CONTINUOUS),
    Bell("10:15", SessionState.BREAK),
    Bell("10:30", SessionState.CONTINUOUS),
    Bell("15:00", SessionState.CLOSING),
    Bell("15:05", SessionState.SETTLEMENT),
    Bell("15:10", SessionState.CLOSED),
)
NEAR, FAR, SPREAD, OTHER, SPOT = 1, 2, 3, 4, 5
TYPES = (
    *[OrderFlag.LIMIT] * 5, *[OrderFlag.ICEBERG] * 3, *[OrderFlag.STOP] * 3, OrderFlag.STOP | OrderFlag.MARKET, OrderFlag.MARKET,
    OrderFlag.FAK, OrderFlag.FOK, OrderFlag.POST_ONLY,
)  # fmt: skip
AUCTION_TYPES = (OrderFlag.LIMIT, OrderFlag.LIMIT, OrderFlag.ICEBERG)
SPREAD_TYPES = (OrderFlag.LIMIT, OrderFlag.LIMIT, OrderFlag.LIMIT, OrderFlag.FAK)
LASTING = {OrderFlag.LIMIT, OrderFlag.ICEBERG, OrderFlag.STOP}
BUSY, QUIET = 60, 6
"""Commands between two bells, with and without a contract that takes orders."""


def listed(number: int, kind: ContractKind, month: int, **given: int) -> Contract:
    return Contract(
        number, f"C{number}", kind, 1, 1000, 1000, FIRST, FIRST + 70, month, 1000, 100, 50, **given
    )


CONTRACTS = (
    listed(NEAR, ContractKind.CASH_FUTURE, 202610),
    listed(FAR, ContractKind.CASH_FUTURE, 202611),
    listed(SPREAD, ContractKind.SPREAD, 202610, near=NEAR, far=FAR),
    listed(OTHER, ContractKind.PHYSICAL_FUTURE, 202611, breaker_bp=200, breaker_minutes=3),
    listed(SPOT, ContractKind.SPOT, 0),
)


class Crowd:
    """Orders of a few accounts around a price of 100, drawn of a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        self.sent = 0
        self.accepted: list[tuple[int, int]] = []

    def draw(self, below: int) -> int:
        return int(self.chance.integers(below))

    def row(self, now: int, states: dict[int, SessionState]) -> Row:
        what, account = self.draw(100), 1 + self.draw(4)
        if what < 62 or not self.accepted:
            return self.order(now, account, states)
        owner, order_id = self.accepted[-1 - self.draw(min(len(self.accepted), 40))]
        if what < 72:
            return cancel_row(now, owner, order_id)
        if what < 93:
            return amend_row(now, owner, order_id, 96 + self.draw(9), 1 + self.draw(12))
        if what < 94:
            return mass_cancel_row(now, account, self.draw(6))
        if what < 98:
            return tick_row(now)
        return account_row(now, account, flags=AccountFlag.UNCHECKED, self_trade=SelfTrade(self.draw(4)))

    def order(self, now: int, account: int, states: dict[int, SessionState]) -> Row:
        """Mostly of a contract and type that its state takes."""
        self.sent += 1
        taking = [contract for contract, state in states.items() if TAKES[state]] or [*states]
        contract, side = taking[self.draw(len(taking))], Side(self.draw(2))
        kinds = TYPES if states[contract] == SessionState.CONTINUOUS else AUCTION_TYPES
        if contract == SPREAD:
            kinds = SPREAD_TYPES
        kind = kinds[self.draw(len(kinds))]
        price = self.draw(7) - 3 if contract == SPREAD else 96 + self.draw(9)
        lots = 1 + self.draw(9)
        lasting = kind in LASTING and contract != SPREAD and self.draw(4) == 0
        return order_row(
            now, account, self.sent, contract, side, 0 if kind & OrderFlag.MARKET else price, lots,
            kind=kind | (OrderFlag.GTC if lasting else 0),
            min_lots=self.draw(3) % (lots + 1) if kind == OrderFlag.FAK and contract != SPREAD else 0,
            shown_lots=1 + self.draw(lots) if kind == OrderFlag.ICEBERG else 0,
            trigger_ticks=97 + self.draw(7) if kind & OrderFlag.STOP else 0,
        )  # fmt: skip


class Client:
    """Follows the news alone."""

    def __init__(self) -> None:
        self.books = {contract.number: LevelBook(contract.number) for contract in CONTRACTS}
        self.tops = {contract.number: Top(contract.number) for contract in CONTRACTS}
        self.statuses = {contract.number: Status(contract.number) for contract in CONTRACTS}
        self.orders: dict[int, StandingOrder] = {}
        self.trades: list[Trade] = []

    def hear(self, news: News) -> None:
        for delta in news.levels:
            assert self.books[delta.contract].hear(delta)
        self.tops.update({top.contract: top for top in news.tops})
        self.statuses.update({status.contract: status for status in news.statuses})
        for order in news.orders:
            assert order.lots or order.number in self.orders
            self.orders[order.number] = order
            if not order.lots:
                del self.orders[order.number]
        self.trades += news.trades

    def queue(self, contract: int, side: Side) -> list[StandingOrder]:
        found = [order for order in self.orders.values() if (order.contract, order.side) == (contract, side)]
        return sorted(
            found, key=lambda order: (order.price_ticks if side else -order.price_ticks, order.priority)
        )


class Floor:
    """An exchange, the feed that hears it, and a client of the feed."""

    def __init__(self, seed: int) -> None:
        from ciyuan.exchange.plain import PlainExchange

        self.exchange = PlainExchange(
            CONTRACTS, Room(accounts=8, orders=1 << 13, ladder_ticks=256), everyone=True
        )
        self.crowd = Crowd(seed)
        self.feed = Feed(CONTRACTS)
        self.client = Client()
        self.numbers: dict[tuple[int, int], int] = {}
        self.batches: list[list[Row]] = []

    def play(self, row: Row) -> None:
        said: list[Row] = []
        self.exchange.apply_one(row, said)
        for event in said:
            if event[0] & CODE_MASK == ExchangeEvent.ACCEPTED:
                self.numbers[event[2], event[3]] = len(self.numbers) + 1
                self.crowd.accepted.append((event[2], event[3]))
        self.batches.append(said)
        self.client.hear(self.feed.hear(said))
        for contract in CONTRACTS:
            self.check(contract.number)

    def run(self) -> None:
        timetable = Timetable(CALENDAR, BELLS)
        for day in DAYS:
            rows = timetable.rows(day, CONTRACTS)
            for row, after in pairwise([*rows, rows[-1]]):
                self.play(row)
                refused = [
                    event for event in self.batches[-1] if event[0] & CODE_MASK == ExchangeEvent.REFUSED
                ]
                assert not refused, row
                self.trade(row[1], after[1])

    def trade(self, start: int, end: int) -> None:
        """Commands between two bells."""
        if start == end:
            return
        count = BUSY if any(TAKES[state] for state in self.states().values()) else QUIET
        for moment in sorted(
            start + self.crowd.draw(min(end - start, 9 * NS_PER_MINUTE)) for _ in range(count)
        ):
            self.play(self.crowd.row(moment, self.states()))

    def states(self) -> dict[int, SessionState]:
        return {contract.number: self.feed.status(contract.number).state for contract in CONTRACTS}

    def check(self, contract: int) -> None:
        book, feed = self.exchange.book(contract), self.feed
        for side in Side:
            levels = feed.levels(contract, side)
            assert levels == book.levels(side) == self.client.books[contract].levels(side)
            orders = feed.orders(contract, side)
            queue = [
                (self.numbers[account, order_id], price) for account, order_id, price, _ in book.queue(side)
            ]
            assert [(order.number, order.price_ticks) for order in orders] == queue
            shown, count = Counter[int](), Counter[int]()
            for order in orders:
                shown[order.price_ticks] += order.lots
                count[order.price_ticks] += 1
            assert [Level(price, lots, count[price]) for price, lots in shown.items()] == levels
            assert self.client.queue(contract, side) == orders
        assert self.client.tops[contract] == feed.top(contract)
        self.check_status(contract)

    def check_status(self, contract: int) -> None:
        book, status = self.exchange.book(contract), self.feed.status(contract)
        assert (status.state, status.trading_day) == (book.state, book.trading_day)
        assert self.client.statuses[contract] == status
        if status.trading_day:
            assert (status.lower_ticks, status.upper_ticks) == book.limits
        if status.settlement:
            settlement = (
                status.settlement.price_ticks,
                status.settlement.trading_day,
                status.settlement.method,
            )
            assert settlement == book.settlement
        day = self.feed.day(contract)
        if contract != SPREAD:
            assert (day.volume, day.turnover, day.trades) == (book.volume, book.turnover, book.trades)
            assert (day.last_ticks or 0) == book.last_ticks
            prices = (day.open_ticks or 0, day.low_ticks or 0, day.high_ticks or 0)
            assert prices == book.range_ticks


@pytest.fixture(scope="module", params=[1, 2, 3])
def floor(request):
    """Several days, checked after every command."""
    played = Floor(request.param)
    played.run()
    return played


def test_the_flow_says_what_there_is_to_hear(floor):
    said = Counter(event[0] & CODE_MASK for batch in floor.batches for event in batch)
    heard = {
        "SESSION_CHANGED", "ACCEPTED", "FILLED", "CANCELLED", "AUCTION_PRICED", "SETTLEMENT_PRICE", "AMENDED", "LEVEL",
        "TRIGGERED", "RELOADED", "SPREAD_TRADED", "INDICATIVE",
    }  # fmt: skip
    assert not [name for name in heard if said[ExchangeEvent[name]] < 5]


def test_the_indicative_price_is_the_exchanges(floor):
    columns = [CONTRACT_COLUMNS.index(f"indicative_{name}") for name in ("ticks", "lots", "surplus")]
    for contract, row in zip(CONTRACTS, floor.exchange.snapshot()["contracts"].tolist(), strict=True):
        held = floor.feed.status(contract.number).indicative
        shown = (held.price_ticks, held.lots, held.surplus_lots) if held else (0, 0, 0)
        assert shown == tuple(row[column] for column in columns)


def test_every_trade_is_on_the_tape_once(floor):
    fills = [
        event for batch in floor.batches for event in batch if event[0] & CODE_MASK == ExchangeEvent.FILLED
    ]
    assert [trade.trade_id for trade in floor.client.trades if not trade.far_trade_id] == [
        event[7] for event in fills[::2]
    ]
    for contract in CONTRACTS:
        trades = floor.feed.trades(contract.number)
        assert trades == [trade for trade in floor.client.trades if trade.contract == contract.number]
        bars = floor.feed.bars(contract.number, NS_PER_HOUR)
        counted = [trade for trade in trades if trade.counts]
        assert sum(bar.volume for bar in bars) == sum(trade.lots for trade in counted)
        assert sum(bar.trades for bar in bars) == len(counted)
        assert [bar.start_ns for bar in bars] == sorted(
            {trade.time_ns // NS_PER_HOUR * NS_PER_HOUR for trade in counted}
        )


@pytest.mark.parametrize("contract", [NEAR, FAR, SPREAD])
@pytest.mark.parametrize("side", Side)
def test_who_comes_to_an_implied_price_trades_at_it(contract, side):
    floor = Floor(0)
    now = CALENDAR.ns_at(DAYS[0], "09:00")
    for number in (NEAR, FAR, SPREAD):
        floor.play(session_row(now, number, SessionState.CONTINUOUS, DAYS[0]))
    prices = {NEAR: (98, 101), FAR: (102, 104), SPREAD: (-5, -2)}
    for order_id, (number, quotes) in enumerate(prices.items(), 1):
        for standing in Side:
            lots = order_id + 2 + standing
            floor.play(
                order_row(now, number, order_id * 2 + standing, number, standing, quotes[standing], lots)
            )
    implied = floor.feed.implied(contract).of(Side(1 - side))
    assert implied is not None
    floor.play(
        order_row(now, 4, 1, contract, side, implied.price_ticks, implied.lots + 20, kind=OrderFlag.FAK)
    )
    implied_trades = [trade for trade in floor.client.trades if trade.flags & TradeFlag.IMPLIED]
    assert Counter(trade.contract for trade in implied_trades) == {NEAR: 1, FAR: 1}
    last = floor.feed.trades(contract)[-1]
    assert (last.price_ticks, last.lots, last.aggressor) == (implied.price_ticks, implied.lots, side)


def test_the_cut_of_the_batches_makes_no_difference(floor):
    events = np.array([event for batch in floor.batches for event in batch], dtype=np.int64)
    for cut in (len(events), 1, 7):
        feed = Feed(CONTRACTS)
        for start in range(0, len(events), cut):
            feed.hear(events[start : start + cut])
        for contract in CONTRACTS:
            number = contract.number
            assert feed.snapshot(number) == floor.feed.snapshot(number)
            assert feed.status(number) == floor.feed.status(number)
            assert feed.day(number) == floor.feed.day(number)
            assert feed.trades(number) == floor.feed.trades(number)
            for side in Side:
                assert feed.orders(number, side) == floor.feed.orders(number, side)


def test_who_joins_late_reaches_the_same_levels(floor):
    feed, late = Feed(CONTRACTS), Feed(CONTRACTS)
    middle = len(floor.batches) // 2
    for batch in floor.batches[:middle]:
        feed.hear(batch)
    for contract in CONTRACTS:
        late.restore(feed.snapshot(contract.number))
    for batch in floor.batches[middle:]:
        late.hear(batch)
    for contract in CONTRACTS:
        assert late.snapshot(contract.number) == floor.feed.snapshot(contract.number)
        assert late.top(contract.number) == floor.feed.top(contract.number)

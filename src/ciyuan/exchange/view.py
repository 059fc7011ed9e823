"""What people and programs see of a market. A view is a window: it shows the market as it is when it is looked at."""

from collections.abc import Callable, Iterator

from ciyuan.exchange.book import (
    ACCOUNT,
    BASE,
    BEST_BUY,
    BEST_SELL,
    DAY,
    DAY_TRADES,
    HEAD,
    HIGH,
    LADDERS,
    LAST,
    LEFT,
    LEVEL_LOTS,
    LEVEL_ORDERS,
    LOW,
    LOWER,
    NEXT,
    OPEN_TICKS,
    ORDER_ID,
    SETTLED_DAY,
    SETTLED_METHOD,
    SETTLEMENT,
    STATE,
    TICKS,
    TURNOVER,
    UPPER,
    VOLUME,
    Book,
    directory_of,
)
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import Level, SessionState, SettlementMethod, Side
from ciyuan.exchange.sweeping import tick_behind


class BookView:
    """One contract's market. Prices are ticks, 0 where there is none; `find` gives the book as it is now."""

    __slots__ = ("_find", "_place", "contract")

    def __init__(self, contract: Contract, place: int, find: Callable[[], Book]) -> None:
        self.contract = contract
        self._place = place
        self._find = find

    def _figure(self, column: int) -> int:
        return int(self._find().markets[self._place, column])

    @property
    def state(self) -> SessionState:
        """Its session state."""
        return SessionState(self._figure(STATE))

    @property
    def trading_day(self) -> int:
        """The day that trades, or the last one that did; 0 before the first."""
        return self._figure(DAY)

    @property
    def best_bid(self) -> int:
        """The highest price that is bid."""
        return self._best(BEST_BUY)

    @property
    def best_ask(self) -> int:
        """The lowest price that is offered."""
        return self._best(BEST_SELL)

    def _best(self, column: int) -> int:
        tick = self._figure(column)
        return self._figure(BASE) + tick if 0 <= tick < int(self._find().scalars[TICKS]) else 0

    @property
    def last_ticks(self) -> int:
        """The price of the last trade, on whichever day."""
        return self._figure(LAST)

    @property
    def limits(self) -> tuple[int, int]:
        """(lower, upper) price limit of the day; once the day is closed, of the next one."""
        return self._figure(LOWER), self._figure(UPPER)

    @property
    def settlement(self) -> tuple[int, int, SettlementMethod | None]:
        """(price, trading day, method) of the last settlement price; before the first (initial price, 0, None)."""
        method = self._figure(SETTLED_METHOD)
        return (
            self._figure(SETTLEMENT),
            self._figure(SETTLED_DAY),
            SettlementMethod(method) if method else None,
        )

    @property
    def volume(self) -> int:
        """Lots traded on the day."""
        return self._figure(VOLUME)

    @property
    def turnover(self) -> int:
        """Tick-lots traded on the day: the sum of price times lots."""
        return self._figure(TURNOVER)

    @property
    def trades(self) -> int:
        """Trades of the day."""
        return self._figure(DAY_TRADES)

    @property
    def range_ticks(self) -> tuple[int, int, int]:
        """(first, lowest, highest) trade price of the day."""
        return self._figure(OPEN_TICKS), self._figure(LOW), self._figure(HIGH)

    def levels(self, side: Side, depth: int = 0) -> list[Level]:
        """The price levels of a side as shown, best first; the first `depth` of them, or (0) all."""
        shown = []
        for price, level in self._levels(side):
            row = self._find().levels[level]
            shown.append(Level(price, int(row[LEVEL_LOTS]), int(row[LEVEL_ORDERS])))
            if len(shown) == depth:
                break
        return shown

    def queue(self, side: Side) -> list[tuple[int, int, int, int]]:
        """(account, order id, price, lots left) of every order of a side, in the order in which they would trade."""
        orders, queue = self._find().orders, []
        for price, level in self._levels(side):
            slot = int(self._find().levels[level, HEAD])
            while slot:
                order = orders[slot]
                queue.append((int(order[ACCOUNT]), int(order[ORDER_ID]), price, int(order[LEFT])))
                slot = int(order[NEXT])
        return queue

    def _levels(self, side: Side) -> Iterator[tuple[int, int]]:
        """(price, row in the book's levels) of every occupied tick of a side, best first."""
        book = self._find()
        ticks, base = int(book.scalars[TICKS]), self._figure(BASE)
        tick = self._figure(BEST_BUY + side)
        while 0 <= tick < ticks:
            yield base + tick, (self._place * LADDERS + side) * ticks + tick
            tick = tick_behind(directory_of(book), self._place, int(side), tick)

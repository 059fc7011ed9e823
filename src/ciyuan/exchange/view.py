"""What people and programs see of a market. A view is a window: it shows the market as it is when it is looked at."""

from collections.abc import Callable

from ciyuan.exchange.book import Ladder
from ciyuan.exchange.market import Market
from ciyuan.exchange.messages import Contract, Level, SessionState, SettlementMethod, Side


class BookView:
    """One contract's market. Prices are ticks, 0 where there is none; `find` gives the market as it is now."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[], Market]) -> None:
        self._find = find

    @property
    def contract(self) -> Contract:
        """The contract as listed."""
        return self._find().contract

    @property
    def state(self) -> SessionState:
        """Its session state."""
        return SessionState(self._find().state)

    @property
    def trading_day(self) -> int:
        """The day that trades, or the last one that did; 0 before the first."""
        return self._find().day

    @property
    def best_bid(self) -> int:
        """The highest price that is bid."""
        return self._find().buys.best

    @property
    def best_ask(self) -> int:
        """The lowest price that is offered."""
        return self._find().sells.best

    @property
    def last_ticks(self) -> int:
        """The price of the last trade, on whichever day."""
        return self._find().last_ticks

    @property
    def limits(self) -> tuple[int, int]:
        """(lower, upper) price limit of the day; once the day is closed, of the next one."""
        market = self._find()
        return market.lower_ticks, market.upper_ticks

    @property
    def settlement(self) -> tuple[int, int, SettlementMethod | None]:
        """(price, trading day, method) of the last settlement price; before the first (initial price, 0, None)."""
        market = self._find()
        method = SettlementMethod(market.settled_method) if market.settled_method else None
        return market.settlement_ticks, market.settled_day, method

    @property
    def volume(self) -> int:
        """Lots traded on the day."""
        return self._find().volume

    @property
    def turnover(self) -> int:
        """Tick-lots traded on the day: the sum of price times lots."""
        return self._find().turnover

    @property
    def trades(self) -> int:
        """Trades of the day."""
        return self._find().trades

    @property
    def range_ticks(self) -> tuple[int, int, int]:
        """(first, lowest, highest) trade price of the day."""
        market = self._find()
        return market.open_ticks, market.low_ticks, market.high_ticks

    def levels(self, side: Side, depth: int = 0) -> list[Level]:
        """The price levels of a side, best first; the first `depth` of them, or (0) all."""
        ladder = self._ladder(side)
        shown = []
        for price in ladder.prices():
            level = ladder.levels[price]
            shown.append(Level(price, level.lots, len(level.orders)))
            if len(shown) == depth:
                break
        return shown

    def queue(self, side: Side) -> list[tuple[int, int, int, int]]:
        """(account, order id, price, lots left) of every order of a side, in the order in which they would trade."""
        ladder = self._ladder(side)
        return [
            (order.account, order.order_id, price, order.left)
            for price in ladder.prices()
            for order in ladder.levels[price].orders.values()
        ]

    def _ladder(self, side: Side) -> Ladder:
        market = self._find()
        return market.sells if side else market.buys

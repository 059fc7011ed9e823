"""What is seen of a contract in the plain exchange: the same window as `view.BookView`."""

from collections.abc import Callable

from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import Level, SessionState, SettlementMethod, Side
from ciyuan.exchange.plain_book import levels, standing
from ciyuan.exchange.plain_market import Market


class PlainView:
    """One contract's market, as it is whenever it is looked at. Prices are ticks, 0 where there is none."""

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
        return self._best(Side.BUY)

    @property
    def best_ask(self) -> int:
        """The lowest price that is offered."""
        return self._best(Side.SELL)

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
        """What each price of a side shows, best first; the first `depth` of them, or (0) all."""
        shown = levels(self._find(), int(side))
        return shown[:depth] if depth else shown

    def queue(self, side: Side) -> list[tuple[int, int, int, int]]:
        """(account, order id, price, lots left) of every standing order of a side, in the order in which they would trade."""
        return [
            (order.account, order.order_id, order.limit_ticks, order.left)
            for order in standing(self._find(), int(side))
        ]

    def _best(self, side: Side) -> int:
        shown = levels(self._find(), int(side))
        return shown[0].price_ticks if shown else 0

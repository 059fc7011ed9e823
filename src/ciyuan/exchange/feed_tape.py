"""The tape: every trade as anybody may know it, and what follows from it: the day's figures, and bars.

| trade | counts in figures and bars |
|---|---|
| of two orders, in continuous trading or in an auction | yes |
| of an order with a leg of a spread order (IMPLIED) | yes, in the contract of the leg; and once in the spread |
| of two spread orders, in the spread | yes |
| of two spread orders, in a leg (LEG) | no: nobody named its price |
| of forced reduction (FORCED) | no |
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag

from ciyuan.basics.errors import Malformed
from ciyuan.exchange.messages import Side


class TradeFlag(IntFlag):
    """What kind of trade it was. LEG: both sides were spread orders. IMPLIED: one was. FORCED: forced reduction (§4.5)."""

    NONE = 0
    AUCTION = 1
    LEG = 2
    IMPLIED = 4
    FORCED = 8


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade. `aggressor` is the side that came to the other; None in an auction and in forced reduction, where nobody did.

    Ids count 1, 2, 3 ... over the exchange. A trade of a spread has those of its two legs: `trade_id` is the near one's,
    `far_trade_id` the far one's, which is 0 for any other trade.
    """

    time_ns: int
    contract: int
    trade_id: int
    price_ticks: int
    lots: int
    aggressor: Side | None
    flags: TradeFlag = TradeFlag.NONE
    far_trade_id: int = 0

    @property
    def counts(self) -> bool:
        """Whether it counts in figures and bars."""
        return not self.flags & (TradeFlag.LEG | TradeFlag.FORCED)


@dataclass(frozen=True, slots=True)
class DayFigures:
    """A trading day of a contract so far: prices in ticks (None without a trade), `volume` lots, `turnover` tick-lots.

    `last_ticks` is of any day: the last trade there was, None before the first.
    """

    trading_day: int = 0
    open_ticks: int | None = None
    high_ticks: int | None = None
    low_ticks: int | None = None
    last_ticks: int | None = None
    volume: int = 0
    turnover: int = 0
    trades: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """The trades of start_ns <= t < end_ns: prices in ticks, `volume` lots, `turnover` tick-lots, `trades` their count."""

    start_ns: int
    end_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume: int
    turnover: int
    trades: int


class Tape:
    """The trades of one contract, in order, and the figures of its day."""

    __slots__ = ("_day", "_first", "_high", "_last", "_low", "_trades", "_turnover", "_volume", "trades")

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self._last: int | None = None
        self.open_day(0)

    def open_day(self, trading_day: int) -> None:
        """Start the figures of a day."""
        self._day = trading_day
        self._first = self._high = self._low = 0
        self._volume = self._turnover = self._trades = 0

    def add(self, trade: Trade) -> None:
        """Write a trade down."""
        self.trades.append(trade)
        if not trade.counts:
            return
        price = trade.price_ticks
        if not self._trades:
            self._first = self._high = self._low = price
        self._high, self._low = max(self._high, price), min(self._low, price)
        self._last = price
        self._trades += 1
        self._volume += trade.lots
        self._turnover += price * trade.lots

    def figures(self) -> DayFigures:
        """The day so far."""
        if not self._trades:
            return DayFigures(self._day, last_ticks=self._last)
        prices = (self._first, self._high, self._low, self._last)
        return DayFigures(self._day, *prices, self._volume, self._turnover, self._trades)

    def forget(self, before_ns: int) -> None:
        """Drop the trades before a moment; the figures stay."""
        self.trades = [trade for trade in self.trades if trade.time_ns >= before_ns]


def bars(trades: Iterable[Trade], every_ns: int, utc_offset_ns: int = 0) -> list[Bar]:
    """The bars of one contract's trades, in order of time. An interval without a trade has none.

    Intervals of `every_ns` are counted from 1970-01-01T00:00 of the zone that is `utc_offset_ns` ahead of UTC.
    """
    if every_ns < 1:
        raise Malformed("bars, interval in ns", found=every_ns, expected="1 or more",
                        remedy="Give the length of a bar, as NS_PER_MINUTE.")  # fmt: skip
    found: list[Bar] = []
    within: list[Trade] = []
    end_ns: int | None = None
    for trade in trades:
        if not trade.counts:
            continue
        if end_ns is None or trade.time_ns >= end_ns:
            found += _bar(within, end_ns, every_ns)
            within = []
            end_ns = trade.time_ns - (trade.time_ns + utc_offset_ns) % every_ns + every_ns
        within.append(trade)
    return found + _bar(within, end_ns, every_ns)


def _bar(within: list[Trade], end_ns: int | None, every_ns: int) -> list[Bar]:
    """The bar of some trades; none of none."""
    if end_ns is None or not within:
        return []
    prices = [trade.price_ticks for trade in within]
    volume = sum(trade.lots for trade in within)
    turnover = sum(trade.price_ticks * trade.lots for trade in within)
    return [
        Bar(
            end_ns - every_ns,
            end_ns,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            volume,
            turnover,
            len(within),
        )
    ]

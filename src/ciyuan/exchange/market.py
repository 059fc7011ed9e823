"""A market: one contract with its book, its session, its day's figures, limits and settlement price.

| field | is |
|---|---|
| `state`, `day` | session state; the trading day it belongs to (of CLOSED: the last one), 0 before the first |
| `reference_ticks` | the settlement price that the day stands on: limits, auction |
| `settlement_ticks`, `settled_day`, `settled_method` | the last one fixed, when and how; the initial price, 0 and 0 before |
| `lower_ticks`, `upper_ticks` | the day's limits; from the close of a day on those of the next |
| `volume`, `turnover`, `trades` | lots, tick-lots and count of the day's trades |
| `open_ticks`, `high_ticks`, `low_ticks` | of the day's trades, 0 without one |
| `last_ticks` | the last trade's price on any day, 0 before the first |
| `both_since_ns`, `closing_ns` | since when both sides stand, and when CLOSING came; -1 when not |
"""

from collections.abc import Iterable

from ciyuan.exchange.book import Ladder, Order
from ciyuan.exchange.messages import Contract, ContractKind, SessionState, SettlementMethod
from ciyuan.exchange.session import CANCELLING, ENDED, TAKES
from ciyuan.exchange.settlement import (
    FIRST_DAY_LIMITS,
    QUOTES_STAND_NS,
    average_ticks,
    daily_limits,
    middle_ticks,
    months_apart,
)

NEVER = -1

FIGURES = (
    "number", "state", "day", "reference_ticks", "settlement_ticks", "settled_day", "settled_method", "lower_ticks",
    "upper_ticks", "volume", "turnover", "trades", "open_ticks", "high_ticks", "low_ticks", "last_ticks", "both_since_ns",
    "closing_ns",
)  # fmt: skip
"""The integers that, with its orders, are a market's whole state; the columns of the snapshot's `contracts`."""


class Market:
    """One contract's market. `today` are all orders accepted on the day, in order of arrival; `past_ids` the highest order id
    that each account used on earlier days."""

    __slots__ = (*FIGURES, "buys", "cancelling", "contract", "past_ids", "sells", "takes", "today")

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.number = contract.number
        self.day = self.settled_day = self.settled_method = 0
        self.reference_ticks = self.settlement_ticks = contract.initial_price_ticks
        self.volume = self.turnover = self.trades = 0
        self.open_ticks = self.high_ticks = self.low_ticks = self.last_ticks = 0
        self.both_since_ns = self.closing_ns = NEVER
        self.today: list[Order] = []
        self.past_ids: dict[int, int] = {}
        self.set_state(SessionState.CLOSED)
        self._set_limits(contract.limit_rate_bp * FIRST_DAY_LIMITS)

    def set_state(self, state: SessionState) -> None:
        """Enter a state, and take what it takes."""
        self.state = int(state)
        self.takes = TAKES[state]
        self.cancelling = state in CANCELLING

    def open_day(self, day: int) -> None:
        """Begin a trading day on the last settlement price."""
        self.day = day
        self.reference_ticks = self.settlement_ticks
        self.volume = self.turnover = self.trades = 0
        self.open_ticks = self.high_ticks = self.low_ticks = 0
        self.both_since_ns = self.closing_ns = NEVER

    def clear_book(self) -> None:
        """An empty book between the limits."""
        self.buys = Ladder(0, self.lower_ticks)
        self.sells = Ladder(1, self.lower_ticks)

    def note_sides(self, time_ns: int) -> None:
        """Keep `both_since_ns` after a change of the book."""
        if not (self.buys.best and self.sells.best):
            self.both_since_ns = NEVER
        elif self.both_since_ns == NEVER:
            self.both_since_ns = time_ns

    def note_trade(self, price_ticks: int, lots: int) -> None:
        """Count a trade into the day's figures."""
        self.volume += lots
        self.turnover += price_ticks * lots
        self.trades += 1
        self.last_ticks = price_ticks
        if price_ticks > self.high_ticks:
            self.high_ticks = price_ticks
        if price_ticks < self.low_ticks or not self.low_ticks:
            self.low_ticks = price_ticks
        if not self.open_ticks:
            self.open_ticks = price_ticks

    def settlement_now(self, others: Iterable["Market"]) -> tuple[int, SettlementMethod]:
        """The day's settlement price and what it stands on (§4.4). `others`: the exchange's markets, for the nearest month."""
        if self.volume:
            return self._clamped(average_ticks(self.turnover, self.volume)), SettlementMethod.TRADES
        stood = self.both_since_ns != NEVER and self.closing_ns - self.both_since_ns >= QUOTES_STAND_NS
        if stood:
            return self._clamped(middle_ticks(self.buys.best, self.sells.best)), SettlementMethod.QUOTES
        change = self._nearest_change(others)
        if change is not None:
            return self._clamped(self.reference_ticks + change), SettlementMethod.NEAREST_MONTH
        return self._clamped(self.reference_ticks), SettlementMethod.PREVIOUS

    def settle(self, price_ticks: int, method: SettlementMethod) -> None:
        """Fix the day's settlement price; the book must be empty by now. The limits become those of the next day."""
        self.settlement_ticks = price_ticks
        self.settled_day = self.day
        self.settled_method = int(method)
        self._set_limits(self.contract.limit_rate_bp)

    def change_by_trades(self, day: int) -> int | None:
        """By how many ticks the settlement price of `day` moved, if it stands on trades and no more can come; else None."""
        if self.day != day or not self.volume or self.state not in ENDED:
            return None
        if self.settled_day == day:
            return self.settlement_ticks - self.reference_ticks
        return self._clamped(average_ticks(self.turnover, self.volume)) - self.reference_ticks

    def _nearest_change(self, others: Iterable["Market"]) -> int | None:
        """The change of the nearest month of the same product that traded; of two as near, the earlier."""
        nearest: tuple[int, int, int] | None = None
        for other in others:
            change = other.change_by_trades(self.day) if self._same_product(other.contract) else None
            if change is not None:
                months = months_apart(self.contract.month, other.contract.month)
                found = (abs(months), months, change)
                nearest = min(nearest or found, found)
        return nearest[2] if nearest else None

    def _same_product(self, other: Contract) -> bool:
        mine = self.contract
        return mine.kind == other.kind != ContractKind.SPOT and mine.grade == other.grade

    def _clamped(self, price_ticks: int) -> int:
        return max(self.lower_ticks, min(self.upper_ticks, price_ticks))

    def _set_limits(self, rate_bp: int) -> None:
        self.lower_ticks, self.upper_ticks = daily_limits(self.settlement_ticks, rate_bp)
        self.clear_book()

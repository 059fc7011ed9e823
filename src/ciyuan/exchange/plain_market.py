"""A contract's figures in the plain exchange, and what follows from them alone: limits, band, settlement by trades or quotes."""

from collections.abc import Sequence

from ciyuan.basics.money import div_ceil, div_floor
from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.exchange.contract import BASIS_POINTS, Contract, ContractKind
from ciyuan.exchange.messages import SessionState
from ciyuan.exchange.plain_state import Order
from ciyuan.exchange.session import ENDED
from ciyuan.exchange.settlement import FIRST_DAY_LIMITS, average_ticks, daily_limits
from ciyuan.exchange.state import CONTRACT_COLUMNS, NEVER


class Market:
    """One contract: the figures of `state.CONTRACT_COLUMNS`, its open orders, and lowest and highest trade of each minute."""

    number: int
    state: int
    day: int
    reference_ticks: int
    settlement_ticks: int
    settled_day: int
    settled_method: int
    lower_ticks: int
    upper_ticks: int
    rate_bp: int
    notice_bp: int
    volume: int
    turnover: int
    trades: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    last_ticks: int
    both_since_ns: int
    closing_ns: int
    lock_side: int
    lock_since_ns: int
    lock_days: int
    lock_direction: int
    lock_ticks: int
    suspend: int
    due_ns: int
    open_interest: int
    margin_lot_micro: int
    fee_lot_micro: int
    limit_lots: int
    hedger_limit_lots: int
    share_bp: int
    sequence: int
    indicative_ticks: int
    indicative_lots: int
    indicative_surplus: int

    def __init__(self, contract: Contract) -> None:
        for name in CONTRACT_COLUMNS:
            setattr(self, name, 0)
        self.contract = contract
        self.number = contract.number
        self.state = int(SessionState.CLOSED)
        self.reference_ticks = self.settlement_ticks = contract.initial_price_ticks
        self.both_since_ns = self.closing_ns = NEVER
        self.open: list[Order] = []
        """Open orders, those that stand in the book and the stops that wait."""
        self.minutes: dict[int, tuple[int, int]] = {}
        """Lowest and highest trade of a minute of the clock, of a contract with a breaker."""
        if not contract.is_spread:
            self.set_rate(self.base_rate_bp)

    @property
    def is_spread(self) -> bool:
        """Whether it is a calendar spread."""
        return self.contract.is_spread

    @property
    def is_spot(self) -> bool:
        """Whether it is spot."""
        return self.contract.kind == ContractKind.SPOT

    @property
    def base_rate_bp(self) -> int:
        """The daily limit without what a limit lock adds: the notice's or the contract's, twice until the first close."""
        return (self.notice_bp or self.contract.limit_rate_bp) * (1 if self.settled_day else FIRST_DAY_LIMITS)

    def set_rate(self, rate_bp: int) -> None:
        """Let the limits follow from a rate and the last settlement price."""
        self.rate_bp = rate_bp
        self.lower_ticks, self.upper_ticks = daily_limits(self.settlement_ticks, rate_bp)

    def open_day(self, day: int) -> None:
        """Begin a trading day on the last settlement price."""
        self.day = day
        self.reference_ticks = self.settlement_ticks
        self.volume = self.turnover = self.trades = 0
        self.open_ticks = self.high_ticks = self.low_ticks = 0
        self.both_since_ns = self.closing_ns = NEVER
        self.lock_side = self.lock_since_ns = 0
        self.suspend = 0
        self.minutes = {}

    def note_trade(self, price_ticks: int, lots: int, time_ns: int) -> None:
        """Count a trade into the day's figures and the breaker's minutes."""
        self.open_ticks = price_ticks if not self.trades else self.open_ticks
        self.high_ticks = max(self.high_ticks, price_ticks)
        self.low_ticks = min(self.low_ticks or price_ticks, price_ticks)
        self.last_ticks = price_ticks
        self.volume += lots
        self.turnover += price_ticks * lots
        self.trades += 1
        if self.contract.breaker_minutes:
            minute = time_ns // NS_PER_MINUTE
            low, high = self.minutes.get(minute, (price_ticks, price_ticks))
            self.minutes[minute] = (min(low, price_ticks), max(high, price_ticks))

    def minutes_at(self, time_ns: int) -> dict[int, tuple[int, int]]:
        """The minutes with trades that the breaker looks at: the one at hand and those before it."""
        first = time_ns // NS_PER_MINUTE - self.contract.breaker_minutes
        return {minute: found for minute, found in self.minutes.items() if minute > first}

    def in_band(self, price_ticks: int, time_ns: int, besides: Sequence[int] = ()) -> bool:
        """Whether a trade at a price would lie in the breaker's band (§4.6); `besides` are prices as if traded already."""
        if not self.contract.breaker_minutes:
            return True
        minutes = [*self.minutes_at(time_ns).values(), *((price, price) for price in besides)]
        if not minutes:
            return True
        lowest = min(low for low, _ in minutes)
        highest = max(high for _, high in minutes)
        most = div_floor(lowest * (BASIS_POINTS + self.contract.breaker_bp), BASIS_POINTS)
        least = div_ceil(highest * (BASIS_POINTS - self.contract.breaker_bp), BASIS_POINTS)
        return least <= price_ticks <= most

    def in_limits(self, price_ticks: int) -> bool:
        """Whether a price lies in the day's limits."""
        return self.lower_ticks <= price_ticks <= self.upper_ticks

    def clamped(self, price_ticks: int) -> int:
        """The price nearest to this one within the day's limits."""
        return max(self.lower_ticks, min(self.upper_ticks, price_ticks))

    def change_by_trades(self, day: int) -> int | None:
        """By how many ticks the settlement price of `day` moved, if it stands on trades and no more can come; else None."""
        if self.day != day or not self.volume or self.state not in ENDED:
            return None
        if self.settled_day == day:
            return self.settlement_ticks - self.reference_ticks
        return self.clamped(average_ticks(self.turnover, self.volume)) - self.reference_ticks

"""How a contract stands: its state and day, its limits, its auction, its settlement price. What of it is public is all of it."""

from dataclasses import dataclass, replace

from ciyuan.exchange.auction import AuctionPrice
from ciyuan.exchange.messages import SessionState, SettlementMethod


@dataclass(frozen=True, slots=True)
class Settlement:
    """A settlement price: of which trading day, and what it stands on."""

    price_ticks: int
    trading_day: int
    method: SettlementMethod


@dataclass(frozen=True, slots=True)
class LimitLock:
    """A day that ended locked at a limit (§4.5): the upper (+1) or the lower (-1), for so many days in a row.

    The next day's limit rate and the least margin are in basis points.
    """

    direction: int
    days: int
    limit_rate_bp: int
    margin_bp: int
    trading_day: int


@dataclass(frozen=True, slots=True)
class Status:
    """A contract as it stands. Before its first SESSION_CHANGED it is closed, of day 0, with limits 0.

    | field | is |
    |---|---|
    | `state`, `trading_day` | session state, and the day that trades or did last |
    | `lower_ticks`, `upper_ticks` | the limits in force; once the day is closed, the next one's |
    | `auction_end_ns` | when the circuit breaker's auction ends (§4.6); 0 when there is none |
    | `indicative` | what the auction would come to now, in its entry and freeze; None if no buyer meets a seller |
    | `auctioned` | what the last auction came to; None if it came to no trade |
    | `settlement` | the last one; None before the first |
    | `lock` | if the last day ended locked, until forced reduction |
    """

    contract: int
    state: SessionState = SessionState.CLOSED
    trading_day: int = 0
    lower_ticks: int = 0
    upper_ticks: int = 0
    auction_end_ns: int = 0
    indicative: AuctionPrice | None = None
    auctioned: AuctionPrice | None = None
    settlement: Settlement | None = None
    lock: LimitLock | None = None

    def entered(
        self, state: int, trading_day: int, lower_ticks: int, upper_ticks: int, end_ns: int
    ) -> "Status":
        """After SESSION_CHANGED. An auction's entry starts without an indicative price, its freeze keeps it."""
        return replace(
            self,
            state=SessionState(state),
            trading_day=trading_day,
            lower_ticks=lower_ticks,
            upper_ticks=upper_ticks,
            auction_end_ns=end_ns,
            indicative=self.indicative if state == SessionState.AUCTION_FREEZE else None,
        )

    def indicated(self, price_ticks: int, lots: int, surplus_lots: int) -> "Status":
        """After INDICATIVE."""
        return replace(self, indicative=_auction(price_ticks, lots, surplus_lots))

    def priced(self, price_ticks: int, lots: int, surplus_lots: int) -> "Status":
        """After AUCTION_PRICED."""
        return replace(self, indicative=None, auctioned=_auction(price_ticks, lots, surplus_lots))

    def settled(
        self, price_ticks: int, trading_day: int, method: int, upper_ticks: int, lower_ticks: int
    ) -> "Status":
        """After SETTLEMENT_PRICE. A lock of the day is told after it, so none stands now."""
        settlement = Settlement(price_ticks, trading_day, SettlementMethod(method))
        return replace(
            self, settlement=settlement, lower_ticks=lower_ticks, upper_ticks=upper_ticks, lock=None
        )

    def locked(
        self, direction: int, days: int, limit_rate_bp: int, margin_bp: int, trading_day: int
    ) -> "Status":
        """After LIMIT_LOCKED."""
        return replace(self, lock=LimitLock(direction, days, limit_rate_bp, margin_bp, trading_day))

    def limited(self, lower_ticks: int, upper_ticks: int) -> "Status":
        """After LIMITS."""
        return replace(self, lower_ticks=lower_ticks, upper_ticks=upper_ticks)

    def reduced(self) -> "Status":
        """After REDUCED: the row of locked days is over."""
        return replace(self, lock=None)


def _auction(price_ticks: int, lots: int, surplus_lots: int) -> AuctionPrice | None:
    """What an auction came to; no lots are no auction price."""
    return AuctionPrice(price_ticks, lots, surplus_lots) if lots else None

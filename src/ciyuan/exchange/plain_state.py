"""What the plain exchange keeps: orders, accounts and positions, each field named as its column in the snapshot (`state`)."""

from dataclasses import dataclass

from ciyuan.exchange.messages import AccountFlag, CancelCause, Effect, OrderFlag, Permission, SelfTrade
from ciyuan.exchange.session import TYPE_BITS
from ciyuan.exchange.state import ENROLLED, FILLED

OPEN = 0
"""`end` of an order that is open."""
DIRECTION = 3
"""The part of an effect that says open or close."""
CLOSING = frozenset({int(Effect.CLOSE), int(Effect.CLOSE_TODAY)})

SELL, MARKET, ICEBERG, STOP = map(
    int, (OrderFlag.SIDE_SELL, OrderFlag.MARKET, OrderFlag.ICEBERG, OrderFlag.STOP)
)
HEDGE, GROSS, UNCHECKED = int(Effect.HEDGE), int(AccountFlag.GROSS), int(AccountFlag.UNCHECKED)
TYPES = int(TYPE_BITS)


@dataclass(slots=True)
class Order:
    """An order that is remembered. `shown` is what a level shows of it, `second` and `sent_*` are as sent."""

    number: int
    account: int
    order_id: int
    contract: int
    flags: int
    effect: int
    limit_ticks: int
    lots: int
    left: int
    shown: int
    second: int
    sent_price: int
    sent_lots: int
    last_day: int
    end: int = OPEN
    triggered: int = 0

    @property
    def sell(self) -> int:
        """1 of a seller's order, 0 of a buyer's."""
        return self.flags & SELL

    @property
    def type(self) -> int:
        """Its type bits."""
        return self.flags & TYPES

    @property
    def waits(self) -> bool:
        """Whether it is a stop that has not been triggered: it stands in no book."""
        return bool(self.flags & STOP) and not self.triggered

    @property
    def hedge(self) -> int:
        """1 if it is for the hedging position of a gross account."""
        return int(bool(self.effect & HEDGE))

    @property
    def closes(self) -> bool:
        """Whether it is to close lots of a gross account."""
        return self.effect & DIRECTION in CLOSING

    @property
    def filled(self) -> int:
        """Lots filled of an open order."""
        return self.lots - self.left

    def crosses(self, price_ticks: int) -> bool:
        """Whether it would trade at a price."""
        return price_ticks >= self.limit_ticks if self.sell else price_ticks <= self.limit_ticks

    def show(self) -> None:
        """Show what its type shows of what is left: an iceberg its shown lots, any other all."""
        self.shown = min(self.second, self.left) if self.flags & ICEBERG else self.left

    def finish(self, end: CancelCause | int) -> None:
        """End it: filled, or why cancelled."""
        self.end = int(end)
        self.left = self.shown = 0

    def fill(self, lots: int) -> None:
        """Fill lots of it; of an iceberg those it shows."""
        self.left -= lots
        self.shown -= lots
        if not self.left:
            self.finish(FILLED)


@dataclass(slots=True)
class Account:
    """Settings and credit of an account; `second_orders` were counted in `second` of the clock."""

    account: int
    flags: int = 0
    self_trade: int = int(SelfTrade.CANCEL_NEWEST)
    orders_per_second_max: int = 0
    permissions: int = 0
    credit_micro: int = 0
    killed: int = 0
    second: int = 0
    second_orders: int = 0

    @property
    def enrolled(self) -> bool:
        """Whether an ACCOUNT was heard of it; if not, but everyone is let in, it may do everything, unchecked."""
        return bool(self.flags & ENROLLED)

    @property
    def gross(self) -> bool:
        """Whether it holds long and short lots apart."""
        return bool(self.flags & GROSS)

    @property
    def unchecked(self) -> bool:
        """Whether nobody asks what it can pay."""
        return not self.enrolled or bool(self.flags & UNCHECKED)

    def may_trade(self, permission: Permission) -> bool:
        """Whether it is permitted such contracts."""
        return not self.enrolled or bool(self.permissions & permission)


@dataclass(slots=True)
class Position:
    """What an account has in a contract. `long` and `short` are all lots, `long_today` and `short_today` those of today."""

    account: int
    contract: int
    hedge: int
    long: int = 0
    short: int = 0
    long_today: int = 0
    short_today: int = 0
    basis: int = 0
    past_id: int = 0
    messages: int = 0
    cancels: int = 0
    fills: int = 0
    reported: int = 0
    quota: int = 0
    receipts: int = 0
    lock_lots: int = 0

    @property
    def net(self) -> int:
        """Long less short lots."""
        return self.long - self.short

    def gain(self, price_ticks: int) -> int:
        """What its net lots are worth at a price over what they cost, in tick-lots."""
        return self.net * price_ticks - self.basis

    def buy(self, direction: int, lots: int, price_ticks: int) -> None:
        """Hold lots that were bought: `direction` opens, closes, closes those of today, or (0) closes first and then opens."""
        closed = _closed(direction, lots, self.short)
        earlier = self.short - self.short_today
        self.short -= closed
        self.short_today -= _closed_today(direction, closed, earlier)
        self.long += lots - closed
        self.long_today += lots - closed
        self._pay(lots * price_ticks)

    def sell(self, direction: int, lots: int, price_ticks: int) -> None:
        """Hold lots that were sold."""
        closed = _closed(direction, lots, self.long)
        earlier = self.long - self.long_today
        self.long -= closed
        self.long_today -= _closed_today(direction, closed, earlier)
        self.short += lots - closed
        self.short_today += lots - closed
        self._pay(-lots * price_ticks)

    def _pay(self, tick_lots: int) -> None:
        self.basis += tick_lots
        if not self.long and not self.short:
            self.basis = 0


def _closed(direction: int, lots: int, held: int) -> int:
    """How many of the lots close lots that are held."""
    if direction == Effect.OPEN:
        return 0
    return lots if direction in CLOSING else min(lots, held)


def _closed_today(direction: int, closed: int, earlier: int) -> int:
    """How many of the closed lots are of today: a net account closes those of earlier days first."""
    if direction == Effect.CLOSE:
        return 0
    return closed if direction == Effect.CLOSE_TODAY else max(closed - earlier, 0)

"""The plain exchange's book: which orders stand, in which order, what a level shows, and how an order leaves.

Nothing is kept but the list of open orders; the book is that list, sorted, whenever it is asked for.
"""

from collections.abc import Iterable

from ciyuan.exchange.messages import LEFT_BEFORE_SHIFT, AmendFlag, CancelCause, ExchangeEvent, Level
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_state import SELL, Order


def standing(market: Market, sell: int) -> list[Order]:
    """The orders of a side of the book, in the order in which they would trade."""
    found = [order for order in market.open if order.sell == sell and not order.waits]
    direction = 1 if sell else -1
    return sorted(found, key=lambda order: (direction * order.limit_ticks, order.number))


def waiting(market: Market, sell: int) -> list[Order]:
    """The stops of a side that wait, in the order in which they would be triggered."""
    found = [order for order in market.open if order.sell == sell and order.waits]
    direction = -1 if sell else 1
    return sorted(found, key=lambda order: (direction * order.second, order.number))


def first(market: Market, sell: int) -> Order | None:
    """The order of a side that would trade next."""
    side = standing(market, sell)
    return side[0] if side else None


def all_in_line(market: Market) -> list[Order]:
    """Every open order: buyers', sellers', buyers' stops, sellers' stops (§3.7)."""
    return standing(market, 0) + standing(market, 1) + waiting(market, 0) + waiting(market, 1)


def levels(market: Market, sell: int) -> list[Level]:
    """What each price of a side shows, best first."""
    shown: dict[int, list[int]] = {}
    for order in standing(market, sell):
        shown.setdefault(order.limit_ticks, []).append(order.shown)
    return [Level(price, sum(lots), len(lots)) for price, lots in shown.items()]


def say_level(floor: Floor, market: Market, sell: int, price_ticks: int) -> None:
    """LEVEL of a price as it is now."""
    shown = [
        order.shown
        for order in market.open
        if order.sell == sell and order.limit_ticks == price_ticks and not order.waits
    ]
    market.sequence += 1
    words = (market.number, price_ticks, sum(shown), len(shown), market.sequence)
    floor.say(ExchangeEvent.LEVEL, *words, flags=sell)


class Trail:
    """The price that the work is at. When the work leaves it, LEVEL is said of it."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.place: tuple[Market, int, int] | None = None

    def at(self, order: Order) -> None:
        """The work is at the price of a standing order, which is about to change. A stop that waits has no level."""
        place = (self.floor.markets[order.contract], order.sell, order.limit_ticks)
        if order.waits or place != self.place:
            self.leave()
        if not order.waits:
            self.place = place

    def leave(self) -> None:
        """The work leaves the price that it was at."""
        if self.place:
            say_level(self.floor, *self.place)
        self.place = None


def rest(floor: Floor, order: Order) -> None:
    """Let an order come to rest with what is left."""
    order.show()
    floor.markets[order.contract].open.append(order)
    if not order.waits:
        say_level(floor, floor.markets[order.contract], order.sell, order.limit_ticks)


def leave(floor: Floor, order: Order) -> None:
    """Take an order out of the book, or out of the stops that wait."""
    book = floor.markets[order.contract].open
    book[:] = [other for other in book if other is not order]


def cancel(floor: Floor, order: Order, cause: CancelCause) -> None:
    """Cancel what is left of an order, wherever it is."""
    leave(floor, order)
    words = (order.account, order.order_id, order.contract, int(cause), order.left)
    floor.say(ExchangeEvent.CANCELLED, *words, flags=order.sell, reason=order.effect)
    order.finish(cause)


def cancel_all(floor: Floor, orders: Iterable[tuple[Order, CancelCause]]) -> None:
    """Cancel one after another; LEVEL as the work leaves a price."""
    trail = Trail(floor)
    for order, cause in orders:
        trail.at(order)
        cancel(floor, order, cause)
    trail.leave()


def say_amended(floor: Floor, order: Order, flags: int, left_before: int) -> None:
    """AMENDED as the order now is, which had `left_before` lots left; `flags` are `AmendFlag`s but the side."""
    word = order.contract | left_before << LEFT_BEFORE_SHIFT
    words = (order.account, order.order_id, word, order.limit_ticks, order.lots, order.left)
    floor.say(ExchangeEvent.AMENDED, *words, flags=flags | order.flags & SELL, reason=order.effect)


def lessen(floor: Floor, order: Order, lots: int) -> None:
    """Take lots off an order that self-trade prevention shortens (§3.3)."""
    before = order.left
    order.lots -= lots
    order.left -= lots
    order.shown = min(order.shown, order.left)
    say_amended(floor, order, AmendFlag.SELF_TRADE | AmendFlag.KEPT, before)


def say_reloaded(floor: Floor, order: Order) -> None:
    """RELOADED as the iceberg now shows."""
    words = (order.account, order.order_id, order.contract, order.limit_ticks, order.shown, order.left)
    floor.say(ExchangeEvent.RELOADED, *words, flags=order.sell)

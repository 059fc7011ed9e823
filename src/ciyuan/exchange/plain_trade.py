"""Trades of the plain exchange: the two rows of one, what it does to positions, what an iceberg shows afterwards."""

from dataclasses import dataclass

from ciyuan.exchange.messages import ExchangeEvent, FillFlag
from ciyuan.exchange.plain_book import leave, say_reloaded
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_risk import hold, report
from ciyuan.exchange.plain_state import OPEN, Order


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a trade: who, by which order (0 for none), and the FILLED flags that are its own."""

    account: int
    order_id: int
    effect: int
    sell: int
    flags: int = 0


def party(order: Order, flags: int = 0) -> Party:
    """The side of an order in a trade of its own contract, after its lots were taken off it."""
    return Party(order.account, order.order_id, order.effect, order.sell, flags | _done(order))


def leg_party(order: Order, sell: int, flags: int = 0) -> Party:
    """The side of a spread order in a leg."""
    return Party(order.account, order.order_id, order.effect, sell, flags | int(FillFlag.LEG) | _done(order))


def _done(order: Order) -> int:
    return 0 if order.left else int(FillFlag.DONE)


def trade(floor: Floor, market: Market, price_ticks: int, lots: int, before: Party, after: Party) -> int:
    """One trade of an outright: its two rows, and REPORTED of large positions. Returns its id."""
    number = floor.next_trade()
    for side, taker in ((before, 0), (after, int(FillFlag.TAKER))):
        hold(floor, market, side.account, side.effect, side.sell, lots, price_ticks)
        words = (side.account, side.order_id, market.number, price_ticks, lots, number)
        floor.say(ExchangeEvent.FILLED, *words, flags=side.sell | taker | side.flags, reason=side.effect)
    for side in (before, after):
        report(floor, market, side.account, side.effect)
    return number


def fill_standing(floor: Floor, order: Order, lots: int) -> None:
    """Fill lots that a standing order shows; it leaves the book when it is filled."""
    order.fill(lots)
    if order.end != OPEN:
        leave(floor, order)


def reload(floor: Floor, order: Order) -> None:
    """Let an iceberg whose shown lots are filled show as many again, behind all others at its price (§3.1)."""
    if order.left and not order.shown:
        order.number = floor.next_number()
        order.show()
        say_reloaded(floor, order)

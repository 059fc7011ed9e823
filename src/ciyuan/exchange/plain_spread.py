"""Calendar spreads in the plain exchange: two spread orders, and spread orders against outrights at implied prices (§2.5)."""

from collections.abc import Iterator
from dataclasses import dataclass

from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.exchange.plain_book import first, leave, say_level
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_state import OPEN, Order
from ciyuan.exchange.plain_trade import fill_standing, leg_party, party, reload, trade


@dataclass(frozen=True, slots=True)
class Implied:
    """What an order may trade with at an implied price: a spread, and the two standing orders first in line, as they are told."""

    spread: Market
    price_ticks: int
    one: Order
    other: Order


def trade_spread(floor: Floor, spread: Market, maker: Order, taker: Order, lots: int) -> None:
    """Two spread orders trade: both legs between their accounts, at prices that nobody named and that count nowhere."""
    near, far = floor.legs(spread)
    price = maker.limit_ticks
    least = max(far.lower_ticks, near.lower_ticks - price)
    most = min(far.upper_ticks, near.upper_ticks - price)
    far_price = max(least, min(most, far.settlement_ticks))
    fill_standing(floor, maker, lots)
    taker.fill(lots)
    ids = []
    for leg, leg_price, turn in ((near, far_price + price, 0), (far, far_price, 1)):
        sides = leg_party(maker, maker.sell ^ turn), leg_party(taker, taker.sell ^ turn)
        ids.append(trade(floor, leg, leg_price, lots, *sides))
    floor.say(ExchangeEvent.SPREAD_TRADED, spread.number, price, lots, *ids, flags=taker.sell)


def best_implied(floor: Floor, order: Order) -> Implied | None:
    """The best implied price that an order may trade at now; of several spreads the lower number."""
    market = floor.markets[order.contract]
    offers = _implied_in(floor, market, order) if market.is_spread else _implied_out(floor, market, order)
    found = [
        implied
        for implied in offers
        if order.crosses(implied.price_ticks) and _allowed(floor, order, implied)
    ]
    direction = -1 if order.sell else 1
    return min(
        found, key=lambda implied: (direction * implied.price_ticks, implied.spread.number), default=None
    )


def _implied_in(floor: Floor, spread: Market, order: Order) -> Iterator[Implied]:
    """To buy a spread is to buy its near leg and to sell its far leg; to sell it, the other way."""
    if not floor.joined(spread):
        return
    near, far = floor.legs(spread)
    one, other = first(near, 1 - order.sell), first(far, order.sell)
    if one and other:
        yield Implied(spread, one.limit_ticks - other.limit_ticks, one, other)


def _implied_out(floor: Floor, market: Market, order: Order) -> Iterator[Implied]:
    """A standing spread order and an outright in its other leg make an order in this leg."""
    for spread in floor.spreads_of(market):
        if not floor.joined(spread):
            continue
        near, far = floor.legs(spread)
        if market is near:
            one, other = first(spread, 1 - order.sell), first(far, 1 - order.sell)
            if one and other:
                yield Implied(spread, one.limit_ticks + other.limit_ticks, one, other)
        else:
            one, other = first(spread, order.sell), first(near, 1 - order.sell)
            if one and other:
                yield Implied(spread, other.limit_ticks - one.limit_ticks, one, other)


def _allowed(floor: Floor, order: Order, implied: Implied) -> bool:
    """Whether no leg would have one account on both sides, or lie outside its limits or band."""
    market, one, other = floor.markets[order.contract], implied.one, implied.other
    far_market = floor.markets[other.contract]
    if market.is_spread:
        sides = [(floor.markets[one.contract], one.limit_ticks), (far_market, other.limit_ticks)]
        alone = order.account in {one.account, other.account}
    else:
        sides = [(market, implied.price_ticks), (far_market, other.limit_ticks)]
        alone = one.account in {order.account, other.account}
    return not alone and all(leg.in_limits(price) and leg.in_band(price, floor.now) for leg, price in sides)


def trade_implied(floor: Floor, order: Order, implied: Implied) -> None:
    """Trade the least of the three quantities, all three orders at once; then LEVEL of the two standing orders' prices."""
    market, one, other = floor.markets[order.contract], implied.one, implied.other
    lots = min(order.left, one.shown, other.shown)
    places = [
        (floor.markets[standing.contract], standing.sell, standing.limit_ticks) for standing in (one, other)
    ]
    for filled in (one, other):
        fill_standing(floor, filled, lots)
    order.fill(lots)
    if market.is_spread:
        _trade_in(floor, order, implied, lots)
    else:
        _trade_out(floor, order, implied, lots)
    for place in places:
        say_level(floor, *place)


def _trade_in(floor: Floor, order: Order, implied: Implied, lots: int) -> None:
    """A spread order takes an order of each leg: near, then far."""
    ids = []
    for standing in (implied.one, implied.other):
        leg = floor.markets[standing.contract]
        price = standing.limit_ticks
        ids.append(trade(floor, leg, price, lots, party(standing), leg_party(order, 1 - standing.sell)))
        leg.note_trade(price, lots, floor.now)
        reload(floor, standing)
    words = (implied.spread.number, implied.price_ticks, lots, *ids)
    floor.say(ExchangeEvent.SPREAD_TRADED, *words, flags=order.sell)


def _trade_out(floor: Floor, order: Order, implied: Implied, lots: int) -> None:
    """An outright takes a spread order, which takes an outright of its other leg."""
    standing, other = implied.one, implied.other
    own, far = floor.markets[order.contract], floor.markets[other.contract]
    own_id = trade(floor, own, implied.price_ticks, lots, leg_party(standing, 1 - order.sell), party(order))
    own.note_trade(implied.price_ticks, lots, floor.now)
    far_id = trade(floor, far, other.limit_ticks, lots, party(other), leg_party(standing, 1 - other.sell))
    far.note_trade(other.limit_ticks, lots, floor.now)
    reload(floor, other)
    near, _ = floor.legs(implied.spread)
    ids = (own_id, far_id) if own is near else (far_id, own_id)
    words = (implied.spread.number, standing.limit_ticks, lots, *ids)
    floor.say(ExchangeEvent.SPREAD_TRADED, *words, flags=standing.sell)


def work_off_implied(floor: Floor, market: Market) -> None:
    """Spread orders that what is implied has come to cross trade with it, when a contract enters CONTINUOUS."""
    for spread in floor.spreads_of(market):
        for sell in (0, 1):
            while _take_implied(floor, spread, sell):
                pass


def _take_implied(floor: Floor, spread: Market, sell: int) -> bool:
    """Let the spread order first in line trade once with what is implied, as an incoming order does. Whether it did."""
    order = first(spread, sell)
    implied = best_implied(floor, order) if order else None
    if not order or not implied:
        return False
    price = order.limit_ticks
    trade_implied(floor, order, implied)
    if order.end != OPEN:
        leave(floor, order)
    say_level(floor, spread, sell, price)
    return True

"""Orders at work in the plain exchange: they trade, meet their own, trip the breaker, rest, are triggered (§3.1, §3.3, §4.6)."""

from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.exchange.messages import CancelCause, ExchangeEvent, SelfTrade, SessionState
from ciyuan.exchange.plain_book import Trail, cancel, first, leave, lessen, rest, standing, waiting
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_spread import best_implied, trade_implied, trade_spread
from ciyuan.exchange.plain_state import MARKET, Order
from ciyuan.exchange.plain_trade import fill_standing, party, reload, trade
from ciyuan.exchange.session import FAK, FOK, POST_ONLY

BREAKER_NS = 2 * NS_PER_MINUTE
"""How long the breaker's auction lasts."""


def work(floor: Floor, order: Order) -> None:
    """Let an order that arrives trade and rest as it may; what is left of it otherwise is cancelled."""
    market = floor.markets[order.contract]
    do = _take if market.state == SessionState.CONTINUOUS else _meet_all_own
    cause = do(floor, market, order)
    if cause is not None:
        cancel(floor, order, cause)
    elif order.left:
        rest(floor, order)


def _asks_at_once(order: Order) -> bool:
    """Whether an order wants all or a least quantity at once: it trades with standing orders of its contract only."""
    return order.type == FOK or (order.type == FAK and order.second > 0)


def _take(floor: Floor, market: Market, order: Order) -> CancelCause | None:
    """Trade an order with all that stands up to its limit. Returns why what is left of it may not rest, None if it may."""
    cause = _not_at_once(floor, market, order)
    if cause is not None:
        return cause
    trail = Trail(floor)
    tripped = stopped = False
    while order.left and not stopped:
        maker = first(market, 1 - order.sell)
        implied = None if _asks_at_once(order) else best_implied(floor, order)
        if maker and not order.crosses(maker.limit_ticks):
            maker = None
        if implied and not (maker and _as_good(order, maker.limit_ticks, implied.price_ticks)):
            trail.leave()
            trade_implied(floor, order, implied)
        elif not maker:
            break
        elif maker.account == order.account:
            stopped = _meet(floor, trail, order, maker)
        elif not market.in_band(maker.limit_ticks, floor.now):
            tripped = stopped = True
        else:
            trail.at(maker)
            _trade_with(floor, market, maker, order)
    trail.leave()
    if not order.left:
        return None
    if tripped:
        _trip(floor, market)
        return _meet_all_own(floor, market, order) if _rests(order) else CancelCause.BREAKER
    return CancelCause.SELF_TRADE if stopped else _remainder(order)


def _as_good(order: Order, price_ticks: int, other_ticks: int) -> bool:
    """Whether a price is as good for an order as another, or better."""
    return price_ticks >= other_ticks if order.sell else price_ticks <= other_ticks


def _rests(order: Order) -> bool:
    """Whether what is left of an order may rest."""
    return not order.type & (FAK | FOK | MARKET)


def _remainder(order: Order) -> CancelCause | None:
    """Why what an order could not trade at once is cancelled; None if it rests."""
    if _rests(order):
        return None
    if order.type & MARKET:
        return CancelCause.MARKET_REMAINDER
    return CancelCause.FAK_REMAINDER if order.type == FAK else CancelCause.FOK_NOT_FILLED


def _trade_with(floor: Floor, market: Market, maker: Order, order: Order) -> None:
    """An incoming order trades with the one first in line, as much as that shows."""
    lots = min(maker.shown, order.left)
    if market.is_spread:
        trade_spread(floor, market, maker, order, lots)
        return
    price = maker.limit_ticks
    fill_standing(floor, maker, lots)
    order.fill(lots)
    trade(floor, market, price, lots, party(maker), party(order))
    market.note_trade(price, lots, floor.now)
    reload(floor, maker)


def _not_at_once(floor: Floor, market: Market, order: Order) -> CancelCause | None:
    """Why an order that trades all (or its least lots) at once or nothing, or nothing at once, is cancelled."""
    if order.type == FOK and not _fillable(floor, market, order, order.left):
        return CancelCause.FOK_NOT_FILLED
    if order.type == FAK and order.second and not _fillable(floor, market, order, order.second):
        return CancelCause.MINIMUM_NOT_FILLED
    if order.type == POST_ONLY:
        best = first(market, 1 - order.sell)
        if (best and order.crosses(best.limit_ticks)) or best_implied(floor, order):
            return CancelCause.POST_ONLY
    return None


def _fillable(floor: Floor, market: Market, order: Order, lots_wanted: int) -> bool:
    """Whether standing orders have so many lots for an order, hidden ones too, before it meets one of its own account.

    The first of its trades moves the breaker's band as any trade does, so the band is looked at as it would be by then.
    """
    passes_over = floor.account(order.account).self_trade == SelfTrade.CANCEL_OLDEST
    lots, prices = 0, list[int]()
    for maker in standing(market, 1 - order.sell):
        own = maker.account == order.account
        if own and passes_over:
            continue
        if (
            own
            or not order.crosses(maker.limit_ticks)
            or not market.in_band(maker.limit_ticks, floor.now, prices)
        ):
            break
        lots += maker.left
        prices.append(maker.limit_ticks)
    return lots >= lots_wanted


def _meet(floor: Floor, trail: Trail, order: Order, own: Order) -> bool:
    """An incoming order comes to one of its own account (§3.3). Whether its rest is to be cancelled."""
    mode = floor.account(order.account).self_trade
    if mode == SelfTrade.CANCEL_NEWEST:
        return True
    trail.at(own)
    if mode == SelfTrade.DECREMENT and own.left > order.left:
        lessen(floor, own, order.left)
        return True
    goes_on = mode == SelfTrade.CANCEL_OLDEST or (mode == SelfTrade.DECREMENT and own.left < order.left)
    lots = own.left
    cancel(floor, own, CancelCause.SELF_TRADE)
    if mode == SelfTrade.DECREMENT and goes_on:
        lessen(floor, order, lots)
    return not goes_on


def _meet_all_own(floor: Floor, market: Market, order: Order) -> CancelCause | None:
    """In an auction: an order meets every order of its own account that it could trade with, before it rests (§3.3)."""
    trail = Trail(floor)
    stopped = False
    for own in standing(market, 1 - order.sell):
        if own.account == order.account and order.crosses(own.limit_ticks) and not stopped:
            stopped = _meet(floor, trail, order, own)
    trail.leave()
    return CancelCause.SELF_TRADE if stopped else None


def _trip(floor: Floor, market: Market) -> None:
    """The circuit breaker stops continuous trading for an auction (§4.6)."""
    market.state = int(SessionState.AUCTION_ENTRY)
    market.due_ns = floor.now + BREAKER_NS
    floor.say_session(market)


def is_triggered(market: Market, stop: Order) -> bool:
    """Whether a contract's last price is at a stop's trigger or beyond it."""
    if market.state != SessionState.CONTINUOUS or not market.last_ticks:
        return False
    return market.last_ticks <= stop.second if stop.sell else market.last_ticks >= stop.second


def trigger(floor: Floor, stop: Order) -> None:
    """A stop enters: it is worked like an order that arrives, under a new number."""
    last_ticks = floor.markets[stop.contract].last_ticks
    leave(floor, stop)
    stop.triggered = 1
    stop.number = floor.next_number()
    words = (stop.account, stop.order_id, stop.contract, last_ticks, stop.limit_ticks)
    floor.say(ExchangeEvent.TRIGGERED, *words, flags=stop.sell)
    work(floor, stop)


def work_stops(floor: Floor) -> None:
    """Let the stops that are triggered enter, one by one, until none is left (§3.1)."""
    while stop := _next_stop(floor):
        trigger(floor, stop)


def _next_stop(floor: Floor) -> Order | None:
    for market in floor.markets.values():
        in_line = [waiting(market, sell)[0] for sell in (0, 1) if waiting(market, sell)]
        due = [stop for stop in in_line if is_triggered(market, stop)]
        if due:
            return min(due, key=lambda stop: stop.number)
    return None

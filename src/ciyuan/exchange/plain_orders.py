"""ORDER and AMEND in the plain exchange: repeats, refusals in the order in which they are declared, what follows acceptance."""

from collections.abc import Sequence
from dataclasses import replace

from ciyuan.basics.rows import flags_of, reason_of
from ciyuan.exchange.messages import (
    CONTRACT_MASK,
    LAST_DAY_SHIFT,
    AmendFlag,
    Effect,
    ExchangeEvent,
    OrderFlag,
    Refusal,
    SessionState,
)
from ciyuan.exchange.plain_answer import repeated
from ciyuan.exchange.plain_book import leave, rest, say_amended, say_level
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_match import is_triggered, trigger, work
from ciyuan.exchange.plain_risk import admit
from ciyuan.exchange.plain_state import DIRECTION, MARKET, OPEN, STOP, Account, Order
from ciyuan.exchange.session import FAK, ICEBERG, LASTING_TYPES, ORDER_TYPES, SPREAD_TYPES, TAKES
from ciyuan.exchange.state import ICEBERG_PARTS_MAX

GTC = int(OrderFlag.GTC)
AMENDING = frozenset({SessionState.AUCTION_ENTRY, SessionState.CONTINUOUS})
"""The states in which orders may be amended."""


def hear_order(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """ORDER."""
    known = floor.orders.get((row[2], row[3]))
    if known is not None and _difference(known, row) is None:
        repeated(floor, row)
        return None
    order = _order_of(row)
    refusal = _screen(floor, order, row, known)
    if refusal is not None:
        return refusal
    market = floor.markets[order.contract]
    if order.flags & MARKET:
        order.limit_ticks = market.lower_ticks if order.sell else market.upper_ticks
    refusal = admit(floor, order)
    if refusal is not None:
        return refusal
    if len(floor.orders) >= floor.room.orders:
        return Refusal.ORDERS_FULL
    _accept(floor, market, order, row)
    return None


def _order_of(row: Sequence[int]) -> Order:
    """The order that a row asks for."""
    kind, _, account, order_id, word, price, lots, second = row
    return Order(
        number=0, account=account, order_id=order_id, contract=word & CONTRACT_MASK, flags=flags_of(kind), effect=reason_of(kind),
        limit_ticks=price, lots=lots, left=lots, shown=lots, second=second, sent_price=price, sent_lots=lots,
        last_day=word >> LAST_DAY_SHIFT,
    )  # fmt: skip


def _accept(floor: Floor, market: Market, order: Order, row: Sequence[int]) -> None:
    """Say that an order is accepted, and let it do what it does."""
    order.number = floor.next_number()
    floor.orders[order.account, order.order_id] = order
    floor.position(order.account, market.number, order.hedge).messages += 1
    words = (order.account, order.order_id, row[4], order.limit_ticks, order.lots, order.second)
    floor.say(ExchangeEvent.ACCEPTED, *words, flags=order.flags, reason=order.effect)
    if not order.waits:
        work(floor, order)
    elif is_triggered(market, order):
        trigger(floor, order)
    else:
        rest(floor, order)


def _difference(known: Order, row: Sequence[int]) -> Refusal | None:
    """The first field in which an ORDER differs from the order of its id as it was sent; None if it is the same (§3.6)."""
    sent = _order_of(row)
    if sent.sell != known.sell:
        return Refusal.ID_USED_WITH_OTHER_SIDE
    if sent.flags != known.flags:
        return Refusal.ID_USED_WITH_OTHER_TYPE
    if sent.effect != known.effect:
        return Refusal.ID_USED_WITH_OTHER_EFFECT
    if (sent.contract, sent.last_day) != (known.contract, known.last_day):
        return Refusal.ID_USED_WITH_OTHER_CONTRACT
    if sent.sent_price != known.sent_price:
        return Refusal.ID_USED_WITH_OTHER_PRICE
    if sent.sent_lots != known.sent_lots:
        return Refusal.ID_USED_WITH_OTHER_LOTS
    return Refusal.ID_USED_WITH_OTHER_SECOND if sent.second != known.second else None


def _screen(floor: Floor, order: Order, row: Sequence[int], known: Order | None) -> Refusal | None:
    """Why an ORDER is refused before it is looked at whether it is covered."""
    if not floor.knows(order.account):
        return Refusal.UNKNOWN_ACCOUNT
    account = floor.account(order.account)
    market = floor.markets.get(order.contract)
    if market is None:
        return Refusal.UNKNOWN_CONTRACT
    if not account.may_trade(market.contract.permission):
        return Refusal.NOT_PERMITTED
    for refusal in (
        _wrong_state(floor, market, order),
        _wrong_type(market, order),
        _wrong_effect(account, market, order),
        _wrong_words(market, order),
    ):
        if refusal is not None:
            return refusal
    limits = [order.limit_ticks] * (not order.flags & MARKET) + [order.second] * bool(order.flags & STOP)
    if not all(market.in_limits(ticks) for ticks in limits):
        return Refusal.PRICE_LIMIT
    if order.order_id <= floor.position(order.account, market.number, 0).past_id:
        return Refusal.ID_OF_PAST_DAY
    return _difference(known, row) if known is not None else None


def _takes_none(floor: Floor, market: Market) -> bool:
    """Whether a contract takes no orders now; a spread does while both its legs trade too."""
    if market.is_spread:
        return not floor.joined(market)
    return not TAKES[SessionState(market.state)]


def _wrong_state(floor: Floor, market: Market, order: Order) -> Refusal | None:
    if _takes_none(floor, market):
        return Refusal.WRONG_STATE
    taken = TAKES[SessionState(market.state)]
    return Refusal.TYPE_NOT_IN_STATE if order.type in ORDER_TYPES - taken else None


def _wrong_type(market: Market, order: Order) -> Refusal | None:
    """Flags that do not go together, a type that a spread does not take, a lifetime that the order may not have (§3.1)."""
    if order.type not in ORDER_TYPES:
        return Refusal.TYPE_UNKNOWN
    if market.is_spread and (order.type not in SPREAD_TYPES or (order.type == FAK and order.second)):
        return Refusal.TYPE_NOT_ON_SPREAD
    if not order.flags & GTC and not order.last_day:
        return None
    may_last = order.type in LASTING_TYPES and order.effect & DIRECTION != Effect.CLOSE_TODAY
    both = order.flags & GTC and order.last_day
    if market.is_spread or not may_last or both or 0 != order.last_day < market.day:
        return Refusal.LIFETIME_NOT_ALLOWED
    return None


def _wrong_effect(account: Account, market: Market, order: Order) -> Refusal | None:
    """An effect that the account cannot have (§3.4)."""
    if not account.gross:
        fits = order.effect == Effect.NET
    elif market.is_spot:
        fits = order.effect == Effect.OPEN
    else:
        fits = order.effect & DIRECTION != 0
    return None if fits else Refusal.EFFECT_NOT_ALLOWED


def _wrong_words(market: Market, order: Order) -> Refusal | None:
    """Numbers that no order of its type has."""
    if order.order_id < 1:
        return Refusal.ORDER_ID_NOT_POSITIVE
    refusal = _wrong_price(market, order, order.limit_ticks)
    if refusal is not None:
        return refusal
    if order.lots < 1:
        return Refusal.LOTS_NOT_POSITIVE
    if order.type == FAK:
        if not 0 <= order.second <= order.lots:
            return Refusal.MIN_LOTS_NOT_ALLOWED
    elif order.type == ICEBERG:
        if not 1 <= order.second <= order.lots or order.lots // order.second >= ICEBERG_PARTS_MAX:
            return Refusal.SHOWN_LOTS_NOT_ALLOWED
    elif order.second and not order.flags & STOP:
        return Refusal.MIN_LOTS_NOT_ALLOWED
    return Refusal.LOTS_OVER_MAXIMUM if order.lots > market.contract.max_lots_per_order else None


def _wrong_price(market: Market, order: Order, price_ticks: int) -> Refusal | None:
    """A market order has no price, any other a price over 0, but for a spread's."""
    if order.flags & MARKET:
        return Refusal.PRICE_ON_MARKET_ORDER if price_ticks else None
    return Refusal.PRICE_NOT_POSITIVE if price_ticks < 1 and not market.is_spread else None


def hear_amend(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """AMEND."""
    _, _, account, order_id, _, price, lots, _ = row
    order = floor.orders.get((account, order_id))
    if order is not None and (price, lots) == (_price_in_force(order), order.lots):
        repeated(floor, row)
        return None
    if not floor.knows(account):
        return Refusal.UNKNOWN_ACCOUNT
    if order is None:
        return Refusal.UNKNOWN_ORDER
    market = floor.markets[order.contract]
    refusal = _wrong_amendment(floor, market, order, price, lots)
    if refusal is not None:
        return refusal
    limit = order.limit_ticks if order.flags & MARKET else price
    kept = limit == order.limit_ticks and lots < order.lots
    amended = replace(order, limit_ticks=limit, lots=lots, left=lots - order.filled)
    refusal = None if kept else admit(floor, amended, order)
    if refusal is not None:
        return refusal
    floor.position(account, market.number, order.hedge).messages += 1
    if kept:
        _keep_place(floor, market, order, lots)
    else:
        _lose_place(floor, market, order, limit, lots)
    return None


def _price_in_force(order: Order) -> int:
    """An order's price as an AMEND would name it."""
    return 0 if order.flags & MARKET else order.limit_ticks


def _wrong_amendment(floor: Floor, market: Market, order: Order, price: int, lots: int) -> Refusal | None:
    """Why an AMEND is refused before it is looked at whether it is covered."""
    if market.state not in AMENDING or (market.is_spread and not floor.joined(market)):
        return Refusal.WRONG_STATE
    if order.end != OPEN:
        return Refusal.ORDER_NOT_OPEN
    refusal = _wrong_price(market, order, price)
    if refusal is not None:
        return refusal
    if lots < 1:
        return Refusal.LOTS_NOT_POSITIVE
    if order.type == ICEBERG and lots // order.second >= ICEBERG_PARTS_MAX:
        return Refusal.SHOWN_LOTS_NOT_ALLOWED
    if lots > market.contract.max_lots_per_order:
        return Refusal.LOTS_OVER_MAXIMUM
    if lots <= order.filled:
        return Refusal.LOTS_ALREADY_FILLED
    if not order.flags & MARKET and not market.in_limits(price):
        return Refusal.PRICE_LIMIT
    return None


def _keep_place(floor: Floor, market: Market, order: Order, lots: int) -> None:
    """Fewer lots at the same price keep the place."""
    before = order.left
    order.left -= order.lots - lots
    order.lots = lots
    order.shown = min(order.shown, order.left)
    say_amended(floor, order, AmendFlag.KEPT, before)
    if not order.waits:
        say_level(floor, market, order.sell, order.limit_ticks)


def _lose_place(floor: Floor, market: Market, order: Order, limit_ticks: int, lots: int) -> None:
    """Anything else: out of the book, and worked like an order that arrives; a stop that waits stays at its trigger."""
    waits, price_before, left_before = order.waits, order.limit_ticks, order.left
    leave(floor, order)
    order.left += lots - order.lots
    order.lots, order.limit_ticks = lots, limit_ticks
    order.number = floor.next_number()
    say_amended(floor, order, AmendFlag(0), left_before)
    if waits:
        rest(floor, order)
    else:
        say_level(floor, market, order.sell, price_before)
        work(floor, order)

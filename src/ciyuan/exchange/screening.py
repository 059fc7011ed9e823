"""Screening: the refusals of an order, in the order of §3.5; the first that applies is given.

The caller has asked the admission who may trade, and asks it last whether the order is covered; what lies between is here.
"""

from collections.abc import Sequence

from ciyuan.basics.rows import FLAG_MASK, FLAG_SHIFT
from ciyuan.exchange.book import Order
from ciyuan.exchange.market import Market
from ciyuan.exchange.messages import OrderFlag, Refusal
from ciyuan.exchange.session import FAK, MARKET, ORDER_TYPES, TYPE_BITS

_SELL = int(OrderFlag.SIDE_SELL)
_TYPES = int(TYPE_BITS)
_KNOWN_FLAGS = _SELL | _TYPES


def screen(market: Market | None, known: Order | None, row: Sequence[int]) -> Refusal | None:
    """Why an ORDER row is refused, from the contract to the id; None if for nothing here.

    `known` is the account's order of the same id, if there is one on the day: then the row differs from it.
    """
    kind, _, account, order_id, _, price, lots, min_lots = row
    if market is None:
        return Refusal.UNKNOWN_CONTRACT
    flags = kind >> FLAG_SHIFT & FLAG_MASK
    order_type = flags & ~_SELL
    if order_type not in market.takes:
        return _not_taken(market, order_type)
    malformed = _malformed(market, order_type, order_id, price, lots, min_lots)
    if malformed is not None:
        return malformed
    if order_type != MARKET and not market.lower_ticks <= price <= market.upper_ticks:
        return Refusal.PRICE_LIMIT
    if known is not None:
        return difference(known, row)
    if order_id <= market.past_ids.get(account, 0):
        return Refusal.ID_OF_PAST_DAY
    return None


def _not_taken(market: Market, order_type: int) -> Refusal:
    """Why the state does not take this type."""
    if not market.takes:
        return Refusal.WRONG_STATE
    return Refusal.TYPE_NOT_IN_STATE if order_type in ORDER_TYPES else Refusal.TYPE_UNKNOWN


def _malformed(
    market: Market, order_type: int, order_id: int, price: int, lots: int, min_lots: int
) -> Refusal | None:
    if order_id < 1:
        return Refusal.ORDER_ID_NOT_POSITIVE
    if order_type == MARKET:
        if price:
            return Refusal.PRICE_ON_MARKET_ORDER
    elif price < 1:
        return Refusal.PRICE_NOT_POSITIVE
    if lots < 1:
        return Refusal.LOTS_NOT_POSITIVE
    if min_lots and not (order_type == FAK and 0 < min_lots <= lots):
        return Refusal.MIN_LOTS_NOT_ALLOWED
    if lots > market.contract.max_lots_per_order:
        return Refusal.LOTS_OVER_MAXIMUM
    return None


def difference(known: Order, row: Sequence[int]) -> Refusal | None:
    """The first field in which an ORDER row differs from the order of its id; None if it is the same (§3.6)."""
    kind, _, _, _, contract, price, lots, min_lots = row
    flags = kind >> FLAG_SHIFT & FLAG_MASK
    price_sent = 0 if known.flags & MARKET else known.limit_ticks
    if (flags ^ known.flags) & _SELL:
        return Refusal.ID_USED_WITH_OTHER_SIDE
    if flags != known.flags:
        return Refusal.ID_USED_WITH_OTHER_TYPE
    if contract != known.contract:
        return Refusal.ID_USED_WITH_OTHER_CONTRACT
    if price != price_sent:
        return Refusal.ID_USED_WITH_OTHER_PRICE
    if lots != known.lots:
        return Refusal.ID_USED_WITH_OTHER_LOTS
    return Refusal.ID_USED_WITH_OTHER_MIN_LOTS if min_lots != known.min_lots else None

"""Positions, worst cases and the admission of orders in the plain exchange (§3.4, §5). Nothing is kept: all is added up anew."""

from collections.abc import Sequence

from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.exchange.contract import BASIS_POINTS
from ciyuan.exchange.messages import AccountFlag, Effect, ExchangeEvent, Refusal
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_state import DIRECTION, HEDGE, Account, Order, Position
from ciyuan.exchange.state import CHARGE_MAX, CREDIT_MAX, EXPOSURE_MAX


def open_lots(floor: Floor, position: Position, orders: Sequence[Order]) -> tuple[int, int]:
    """Lots that the account's open `orders` would (buy, sell) in a position, but those that close lots of a gross account."""
    lots = [0, 0]
    for order in orders:
        if not order.closes and order.hedge == position.hedge:
            for market, sell in floor.sides(floor.markets[order.contract], order.sell):
                lots[sell] += order.left if market.number == position.contract else 0
    return lots[0], lots[1]


def spoken_for(floor: Floor, position: Position, orders: Sequence[Order], sell: int, direction: int) -> int:
    """Lots that the account's open `orders` are to close: sellers long ones, buyers short ones, of earlier days or of today."""
    return sum(
        order.left
        for order in orders
        if order.effect & DIRECTION == direction and order.hedge == position.hedge
        if (position.contract, sell) in [(leg.number, way) for leg, way in floor.sides(floor.markets[order.contract], order.sell)]
    )  # fmt: skip


def worst_cases(
    floor: Floor, account: Account, position: Position, orders: Sequence[Order]
) -> tuple[int, int]:
    """(longest, shortest) that a position may become (§5.1)."""
    buys, sells = open_lots(floor, position, orders)
    if account.gross:
        return position.long + buys, position.short + sells
    return position.net + buys, -position.net + sells


def charge(
    floor: Floor,
    account: Account,
    position: Position,
    orders: Sequence[Order],
    margin_micro: int,
    fee_micro: int,
) -> int:
    """What a position and these open orders in it ask for at a margin and a fee of a lot, in micro-units (§5.1)."""
    worst = max(worst_cases(floor, account, position, orders))
    return worst * margin_micro + sum(open_lots(floor, position, orders)) * fee_micro


def reserved(floor: Floor, position: Position, orders: Sequence[Order]) -> int:
    """Money reserved for open spot buys in a position, in micro-units (§5.1)."""
    market = floor.markets[position.contract]
    buys = [
        order
        for order in orders
        if order.contract == market.number and order.hedge == position.hedge and not order.sell
    ]
    lots = sum(order.left * order.limit_ticks for order in buys) if market.is_spot else 0
    return lots * market.contract.tick_value_micro


def requirement(floor: Floor, account: Account, orders: Sequence[Order]) -> int:
    """What an account must have to hold its positions with these open orders, in micro-units (§5.1)."""
    total = 0
    for market in floor.markets.values():
        for hedge in (0, 1):
            position = floor.positions.get((account.account, market.number, hedge))
            position = position or Position(account.account, market.number, hedge)
            total += charge(floor, account, position, orders, market.margin_lot_micro, market.fee_lot_micro)
            total += reserved(floor, position, orders)
    return total


def limit_of(floor: Floor, account: Account, position: Position) -> int:
    """The position limit in lots; 0 is none (§5.2)."""
    if position.quota:
        return position.quota
    market = floor.markets[position.contract]
    hedges = position.hedge or account.flags & AccountFlag.HEDGER
    share = market.open_interest * market.share_bp // BASIS_POINTS
    return max(market.hedger_limit_lots if hedges else market.limit_lots, share)


def admit(floor: Floor, order: Order, before: Order | None = None) -> Refusal | None:
    """Why an order is not admitted, None if it is (§5). An amended one is judged as it would be, without what it was `before`."""
    account = floor.account(order.account)
    market = floor.markets[order.contract]
    others = [other for other in floor.open_orders(order.account) if other is not before]
    sides = [
        (floor.position(order.account, leg.number, order.hedge), sell)
        for leg, sell in floor.sides(market, order.sell)
    ]
    if order.closes and any(_lacks(floor, order, others, *side) for side in sides):
        return Refusal.NOTHING_TO_CLOSE
    orders = [*others, order]
    exposures = [(worst_cases(floor, account, position, orders)[sell], position) for position, sell in sides]
    reduces = order.closes or all(exposure <= 0 for exposure, _ in exposures)
    if account.killed and not reduces:
        return Refusal.ACCOUNT_KILLED
    if not reduces and any(
        _over(exposure, limit_of(floor, account, position)) for exposure, position in exposures
    ):
        return Refusal.POSITION_LIMIT
    if not _in_rate(account, floor.now):
        return Refusal.ORDER_RATE
    if not reduces and any(_too_large(floor, account, position, orders) for position, _ in sides):
        return Refusal.MARGIN
    if not (account.unchecked or reduces or _covered(floor, account, market, order, orders)):
        return Refusal.MARGIN
    return None


def _too_large(floor: Floor, account: Account, position: Position, orders: Sequence[Order]) -> bool:
    """Whether a charge, or what is reserved, is more than any may be."""
    market = floor.markets[position.contract]
    asked = charge(floor, account, position, orders, market.margin_lot_micro, market.fee_lot_micro)
    return max(asked, reserved(floor, position, orders)) > CHARGE_MAX


def _lacks(floor: Floor, order: Order, others: Sequence[Order], position: Position, sell: int) -> bool:
    """Whether fewer lots are left over than a closing order is to close."""
    direction = order.effect & DIRECTION
    held, today = (position.long, position.long_today) if sell else (position.short, position.short_today)
    held = today if direction == Effect.CLOSE_TODAY else held - today
    return order.left > held - spoken_for(floor, position, others, sell, direction)


def _over(exposure: int, limit_lots: int) -> bool:
    return exposure > EXPOSURE_MAX or 0 < limit_lots < exposure


def _in_rate(account: Account, time_ns: int) -> bool:
    """Count an order in its second of the clock; False if the second is full (§5.3)."""
    if not account.orders_per_second_max:
        return True
    second = time_ns // NS_PER_SECOND
    if second != account.second:
        account.second, account.second_orders = second, 0
    if account.second_orders >= account.orders_per_second_max:
        return False
    account.second_orders += 1
    return True


def _covered(floor: Floor, account: Account, market: Market, order: Order, orders: Sequence[Order]) -> bool:
    """Whether the account has what the order asks for: a spot seller receipts, anyone else credit."""
    if market.is_spot and order.sell:
        position = floor.position(account.account, market.number, 0)
        return position.receipts >= open_lots(floor, position, orders)[1]
    return account.credit_micro >= requirement(floor, account, orders)


def hold(
    floor: Floor, market: Market, account: int, effect: int, sell: int, lots: int, price_ticks: int
) -> None:
    """Lots of an outright changed hands: one side of a trade."""
    hedge = int(bool(effect & HEDGE))
    position = floor.position(account, market.number, hedge)
    position.fills += 1
    if market.is_spot:
        money = lots * price_ticks * market.contract.tick_value_micro
        position.receipts += -lots if sell else lots
        holder = floor.account(account)
        credit = holder.credit_micro + (money if sell else -money)
        holder.credit_micro = max(-CREDIT_MAX, min(CREDIT_MAX, credit))
    elif sell:
        position.sell(effect & DIRECTION, lots, price_ticks)
    else:
        position.buy(effect & DIRECTION, lots, price_ticks)


def report(floor: Floor, market: Market, account: int, effect: int) -> None:
    """REPORTED, if a position has come to four fifths of its limit for the first time on the day (§5.2)."""
    hedge = int(bool(effect & HEDGE))
    position = floor.position(account, market.number, hedge)
    limit = limit_of(floor, floor.account(account), position)
    if position.reported or not limit or max(position.long, position.short) * 5 < limit * 4:
        return
    position.reported = 1
    words = (account, market.number, position.long, position.short, limit)
    floor.say(ExchangeEvent.REPORTED, *words, flags=hedge)

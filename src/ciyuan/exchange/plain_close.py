"""The close of a day in the plain exchange: settlement price, limit lock, the next day's limits, what lapses (§4.4, §4.5)."""

from collections.abc import Sequence

from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import (
    CancelCause,
    ExchangeEvent,
    OrderFlag,
    Refusal,
    SessionState,
    SettlementMethod,
)
from ciyuan.exchange.plain_answer import repeated
from ciyuan.exchange.plain_book import all_in_line, cancel_all, standing
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_state import OPEN, Order, Position
from ciyuan.exchange.settlement import (
    LOCK_STANDS_NS,
    QUOTES_STAND_NS,
    average_ticks,
    middle_ticks,
    months_apart,
)
from ciyuan.exchange.state import NEVER

CLOSABLE = frozenset({SessionState.SETTLEMENT, SessionState.SUSPENDED})
FIRST_LOCK_BP, NEXT_LOCK_BP = 300, 500
"""What is added to the limit rate after the first day locked at a limit, and after any more of them in a row."""
LOCK_MARGIN_BP = 200
"""The least margin after a locked day is so much over the limit rate."""
LOCKED_DAYS_MAX = 3
"""After so many days in a row the contract is suspended."""


def close_day(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """CLOSE_DAY. For contract 0 every contract that is due, outrights first; there must be one."""
    number, _, day = row[2:5]
    if number and number not in floor.markets:
        return Refusal.UNKNOWN_CONTRACT
    asked = [floor.markets[number]] if number else list(floor.markets.values())
    of_day = [market for market in asked if market.day == day != 0]
    due = [market for market in of_day if market.settled_day != day]
    if not of_day:
        return Refusal.WRONG_DAY
    if not due:
        repeated(floor, row)
        return None
    ready = [market for market in due if market.state in CLOSABLE]
    closed = 0
    for market in sorted(ready, key=lambda market: (market.is_spread, market.number)):
        if not _leg_open(floor, market):
            _close(floor, market)
            closed += 1
    if closed:
        return None
    return Refusal.DAY_NOT_CLOSED if ready else Refusal.WRONG_STATE


def _leg_open(floor: Floor, market: Market) -> bool:
    """Whether a spread's leg has a day that it has not closed, which is the spread's."""
    legs = floor.legs(market) if market.is_spread else ()
    return any(leg.day == market.day and leg.settled_day != market.day for leg in legs)


def _close(floor: Floor, market: Market) -> None:
    """Fix the settlement price, move the limits, let orders lapse, say who did what, and begin to forget."""
    price, method = _settlement(floor, market)
    locked = _locked(market)
    suspended = market.state == SessionState.SUSPENDED
    if suspended:
        forget_notes(floor, market)
    market.settlement_ticks, market.settled_day, market.settled_method = price, market.day, int(method)
    locked_at = market.upper_ticks if locked > 0 else market.lower_ticks
    _count_lock(market, locked)
    if market.lock_days >= LOCKED_DAYS_MAX:
        market.suspend = 1
        market.lock_ticks = locked_at
        _note_losers(floor, market)
    if market.is_spread:
        market.lower_ticks, market.upper_ticks = floor.spread_limits(market)
    elif suspended:
        market.set_rate(market.rate_bp)
    else:
        market.set_rate(market.base_rate_bp + _widening_bp(market))
    words = (market.number, price, market.day, int(method), market.upper_ticks, market.lower_ticks)
    floor.say(ExchangeEvent.SETTLEMENT_PRICE, *words)
    if market.lock_days:
        words = (
            market.number,
            locked,
            market.lock_days,
            market.rate_bp,
            market.rate_bp + LOCK_MARGIN_BP,
            market.day,
        )
        floor.say(ExchangeEvent.LIMIT_LOCKED, *words)
    ending = [(order, _end_of(floor, market, order)) for order in all_in_line(market)]
    cancel_all(floor, [(order, cause) for order, cause in ending if cause is not None])
    _turn_positions(floor, market)
    _forget_orders(floor, market)


def _settlement(floor: Floor, market: Market) -> tuple[int, SettlementMethod]:
    """The day's settlement price and what it stands on."""
    if market.is_spread:
        near, far = floor.legs(market)
        return near.settlement_ticks - far.settlement_ticks, SettlementMethod.LEGS
    if market.state != SessionState.SUSPENDED:
        if market.volume:
            return market.clamped(average_ticks(market.turnover, market.volume)), SettlementMethod.TRADES
        if market.both_since_ns != NEVER and market.closing_ns - market.both_since_ns >= QUOTES_STAND_NS:
            bid, ask = standing(market, 0)[0].limit_ticks, standing(market, 1)[0].limit_ticks
            return market.clamped(middle_ticks(bid, ask)), SettlementMethod.QUOTES
        change = _nearest_change(floor, market)
        if change is not None:
            return market.clamped(market.reference_ticks + change), SettlementMethod.NEAREST_MONTH
    return market.clamped(market.reference_ticks), SettlementMethod.PREVIOUS


def _nearest_change(floor: Floor, market: Market) -> int | None:
    """The change of the nearest month of the same product that traded; of two as near, the earlier."""
    mine = market.contract
    found = []
    for other in floor.markets.values():
        its = other.contract
        change = other.change_by_trades(market.day)
        if its.kind == mine.kind != ContractKind.SPOT and its.grade == mine.grade and change is not None:
            months = months_apart(mine.month, its.month)
            found.append((abs(months), months, its.number, change))
    return min(found)[-1] if found else None


def _locked(market: Market) -> int:
    """The limit at which the day was locked: +1 upper, -1 lower, 0 neither (§4.5)."""
    if not market.lock_side or market.closing_ns == NEVER:
        return 0
    return market.lock_side if market.closing_ns - market.lock_since_ns >= LOCK_STANDS_NS else 0


def _count_lock(market: Market, locked: int) -> None:
    """Count the days in a row that were locked at the same limit."""
    market.lock_days = market.lock_days + 1 if locked and locked == market.lock_direction else abs(locked)
    market.lock_direction = locked


def _widening_bp(market: Market) -> int:
    """What the days in a row that were locked add to the limit rate."""
    if not market.lock_days:
        return 0
    return FIRST_LOCK_BP if market.lock_days == 1 else NEXT_LOCK_BP


def _note_losers(floor: Floor, market: Market) -> None:
    """Note of each position at a loss how many lots its account offered to close at the locked limit (§4.5)."""
    for position in floor.positions_in(market.number):
        if position.gain(market.settlement_ticks) < 0:
            offered = sum(
                order.left
                for order in standing(market, int(position.net > 0))
                if order.account == position.account and order.hedge == position.hedge
                if order.limit_ticks == market.lock_ticks and _may_close(floor, order)
            )
            position.lock_lots = min(offered, abs(position.net))


def _may_close(floor: Floor, order: Order) -> bool:
    """Whether an order closes lots: a net account's any, a gross one's those that say so."""
    return order.closes or not floor.account(order.account).gross


def forget_notes(floor: Floor, market: Market) -> None:
    """The row of locked days is over, and nothing is noted for forced reduction any more."""
    market.lock_days = market.lock_direction = market.lock_ticks = 0
    for position in floor.positions_in(market.number):
        position.lock_lots = 0


def _end_of(floor: Floor, market: Market, order: Order) -> CancelCause | None:
    """Why an order ends with the day; None if it outlives it (§3.1). The limits are those of the next day by now."""
    if not (order.flags & OrderFlag.GTC or order.last_day):
        return CancelCause.DAY_END
    if 0 < order.last_day <= market.day or market.contract.last_day <= market.day:
        return CancelCause.EXPIRED
    return None if fits_limits(floor, market, order) else CancelCause.PRICE_LIMIT


def fits_limits(floor: Floor, market: Market, order: Order) -> bool:
    """Whether an order may stand or wait within a contract's limits."""
    if not floor.ladder_holds(market.lower_ticks, market.upper_ticks):
        return False
    return market.in_limits(order.limit_ticks) and (not order.waits or market.in_limits(order.second))


def _turn_positions(floor: Floor, market: Market) -> None:
    """ACTIVITY of the day; lots of today become lots of earlier days."""
    positions = floor.positions_in(market.number)
    for position in positions:
        if position.messages:
            words = (
                position.account,
                market.number,
                position.messages,
                position.cancels,
                position.fills,
                market.day,
            )
            floor.say(ExchangeEvent.ACTIVITY, *words, flags=position.hedge)
        position.messages = position.cancels = position.fills = position.reported = 0
        position.long_today = position.short_today = 0
    market.open_interest = sum(position.long for position in positions)


def _forget_orders(floor: Floor, market: Market) -> None:
    """Of the orders that ended keep the highest id of each account only (§3.6)."""
    ended = [
        order for order in floor.orders.values() if order.contract == market.number and order.end != OPEN
    ]
    for order in ended:
        past: Position = floor.position(order.account, market.number, 0)
        past.past_id = max(past.past_id, order.order_id)
        del floor.orders[order.account, order.order_id]

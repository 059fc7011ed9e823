"""The end of a contract's day: settlement price, limit lock, what lapses, what the accounts did, what is forgotten
(§4.3 to §4.5). Compiled.
"""

from numba import njit

from ciyuan.basics.rows import FLAG_SHIFT
from ciyuan.exchange.book import (
    ACCOUNT,
    ACCOUNT_TOP,
    BASE,
    BASIS,
    BEST_BUY,
    BEST_SELL,
    BOTH_SINCE,
    CANCELLED_ORDERS,
    CLOSING_NS,
    CONTRACT_KIND,
    CONTRACT_RATE,
    DAY,
    EFFECT_SHIFT,
    END,
    FAR,
    FILLS,
    FRESH,
    GRADE,
    HEAD,
    HEDGER_LIMIT,
    HEDGER_LIMIT_NOW,
    IS_REPORTED,
    KIND,
    LADDERS,
    LEFT,
    LIMIT_LOTS,
    LIMIT_NOW,
    LOCK_DAYS,
    LOCK_DIRECTION,
    LOCK_LOTS,
    LOCK_SIDE,
    LOCK_SINCE,
    LOCK_TICKS,
    LONG,
    LONG_TODAY,
    LOWER,
    MESSAGES,
    MONTH,
    NEAR,
    NEXT,
    NOTICE_BP,
    NUMBER,
    OPEN_INTEREST,
    ORDER_ID,
    PAST_ID,
    PLACE_SHIFT,
    RATE_BP,
    REFERENCE,
    SETTLED_DAY,
    SETTLED_METHOD,
    SETTLEMENT,
    SHARE_BP,
    SHORT,
    SHORT_TODAY,
    STATE,
    SUSPEND,
    TICKS,
    TURNOVER,
    UPPER,
    VOLUME,
    Book,
    Matrix,
    Words,
)
from ciyuan.exchange.contract import BASIS_POINTS
from ciyuan.exchange.messages import ExchangeEvent, SessionState, SettlementMethod
from ciyuan.exchange.risk import CLOSE, DIRECTION, SPOT, position_of
from ciyuan.exchange.saying import say
from ciyuan.exchange.settlement import LOCK_STANDS_NS, QUOTES_STAND_NS
from ciyuan.exchange.standing import SPREAD, forget
from ciyuan.exchange.sweeping import move_limits

ACTIVITY, LIMIT_LOCKED, SETTLEMENT_PRICE = (
    int(ExchangeEvent.ACTIVITY),
    int(ExchangeEvent.LIMIT_LOCKED),
    int(ExchangeEvent.SETTLEMENT_PRICE),
)
CLOSED, CLOSING, IN_SETTLEMENT, SUSPENDED = (
    int(SessionState.CLOSED),
    int(SessionState.CLOSING),
    int(SessionState.SETTLEMENT),
    int(SessionState.SUSPENDED),
)
TRADES_METHOD, QUOTES, NEAREST_MONTH, PREVIOUS, LEGS = (
    int(SettlementMethod.TRADES),
    int(SettlementMethod.QUOTES),
    int(SettlementMethod.NEAREST_MONTH),
    int(SettlementMethod.PREVIOUS),
    int(SettlementMethod.LEGS),
)
FIRST_LOCK_BP, LATER_LOCK_BP, MARGIN_OVER_LIMIT_BP = 300, 500, 200
LOCKS_TO_SUSPEND = 3


@njit(cache=True)
def limits_at(price: int, rate_bp: int) -> tuple[int, int]:
    """(lower, upper) daily limit around a price: the upper rounded up, the lower down, and at least one tick (§4.3)."""
    upper = -(-price * (BASIS_POINTS + rate_bp) // BASIS_POINTS)
    return max(1, price * (BASIS_POINTS - rate_bp) // BASIS_POINTS), upper


@njit(cache=True)
def limits_of_spread(book: Book, place: int) -> tuple[int, int]:
    """(lower, upper) limit of a spread, from its legs'."""
    near, far = book.markets[book.markets[place, NEAR]], book.markets[book.markets[place, FAR]]
    return near[LOWER] - far[UPPER], near[UPPER] - far[LOWER]


@njit(cache=True)
def set_position_limits(market: Words) -> None:
    """The position limits in force: RISK's, or the share of the open interest if that is more (§5.2)."""
    share = market[OPEN_INTEREST] * market[SHARE_BP] // BASIS_POINTS
    market[LIMIT_NOW] = max(market[LIMIT_LOTS], share)
    market[HEDGER_LIMIT_NOW] = max(market[HEDGER_LIMIT], share)


# --- the settlement price ---


@njit(cache=True)
def _clamped(market: Words, price: int) -> int:
    return max(market[LOWER], min(market[UPPER], price))


@njit(cache=True)
def _average(market: Words) -> int:
    """The volume-weighted average of the day, half up, within the limits."""
    return _clamped(market, (2 * market[TURNOVER] + market[VOLUME]) // (2 * market[VOLUME]))


@njit(cache=True)
def _settlement(book: Book, place: int) -> tuple[int, int]:
    """A contract's settlement price and its method (§4.4)."""
    market = book.markets[place]
    if market[CONTRACT_KIND] == SPREAD:
        return book.markets[market[NEAR], SETTLEMENT] - book.markets[market[FAR], SETTLEMENT], LEGS
    if market[STATE] == SUSPENDED:
        return market[REFERENCE], PREVIOUS
    if market[VOLUME]:
        return _average(market), TRADES_METHOD
    if market[BOTH_SINCE] >= 0 and market[CLOSING_NS] - market[BOTH_SINCE] >= QUOTES_STAND_NS:
        middle = (2 * market[BASE] + market[BEST_BUY] + market[BEST_SELL] + 1) // 2
        return _clamped(market, middle), QUOTES
    found, change = _nearest_change(book, place)
    if found:
        return _clamped(market, market[REFERENCE] + change), NEAREST_MONTH
    return _clamped(market, market[REFERENCE]), PREVIOUS


@njit(cache=True)
def _nearest_change(book: Book, place: int) -> tuple[bool, int]:
    """Whether a month of the same product settled by trades on the day, and by how many ticks the nearest one moved."""
    mine, best, change = book.markets[place], 1 << 40, 0
    if mine[CONTRACT_KIND] == SPOT:
        return False, 0
    for other_place in range(len(book.markets)):
        other = book.markets[other_place]
        ended = other[STATE] == CLOSING or other[STATE] == IN_SETTLEMENT or other[STATE] == CLOSED
        same = other[CONTRACT_KIND] == mine[CONTRACT_KIND] and other[GRADE] == mine[GRADE]
        if other_place == place or not same or not ended or other[DAY] != mine[DAY] or not other[VOLUME]:
            continue
        months = (other[MONTH] // 100 - mine[MONTH] // 100) * 12 + other[MONTH] % 100 - mine[MONTH] % 100
        rank = 2 * abs(months) + (months > 0)
        if rank < best:
            settled = other[SETTLEMENT] if other[SETTLED_DAY] == other[DAY] else _average(other)
            best, change = rank, settled - other[REFERENCE]
    return best < 1 << 40, change


# --- the limit lock ---


@njit(cache=True)
def _lock(book: Book, place: int, price: int) -> tuple[int, bool]:
    """The next day's limit rate, and whether the day ended locked; the row of locked days is brought up to date (§4.5)."""
    market = book.markets[place]
    if market[STATE] == SUSPENDED:
        market[LOCK_DAYS] = market[LOCK_DIRECTION] = market[LOCK_TICKS] = 0
        clear_notes(book, place)
        return market[RATE_BP], False
    base = market[NOTICE_BP] or market[CONTRACT_RATE]
    locked = market[LOCK_SIDE] != 0 and market[CLOSING_NS] - market[LOCK_SINCE] >= LOCK_STANDS_NS
    if not locked:
        market[LOCK_DAYS] = market[LOCK_DIRECTION] = 0
        return base, False
    market[LOCK_DAYS] = market[LOCK_DAYS] + 1 if market[LOCK_DIRECTION] == market[LOCK_SIDE] else 1
    market[LOCK_DIRECTION] = market[LOCK_SIDE]
    if market[LOCK_DAYS] == LOCKS_TO_SUSPEND:
        market[SUSPEND] = 1
        market[LOCK_TICKS] = market[UPPER] if market[LOCK_SIDE] > 0 else market[LOWER]
        _note_losers(book, place, price)
    return base + (FIRST_LOCK_BP if market[LOCK_DAYS] == 1 else LATER_LOCK_BP), True


@njit(cache=True)
def _note_losers(book: Book, place: int, price: int) -> None:
    """Note how many lots each losing position would close with its account's orders that stand at the locked limit."""
    market, orders, positions = book.markets[place], book.orders, book.positions
    ladder = 0 if market[LOCK_SIDE] > 0 else 1
    level = (place * LADDERS + ladder) * book.scalars[TICKS] + market[LOCK_TICKS] - market[BASE]
    slot = book.levels[level, HEAD]
    while slot != 0:
        effect = orders[slot, KIND] >> EFFECT_SHIFT & 7
        position = positions[position_of(len(book.markets), orders[slot, ACCOUNT], place, effect)]
        net = position[LONG] - position[SHORT]
        against = net < 0 if ladder == 0 else net > 0
        closes = effect & DIRECTION == 0 or effect & DIRECTION >= CLOSE
        if against and closes and net * price - position[BASIS] < 0:
            position[LOCK_LOTS] = min(abs(net), position[LOCK_LOTS] + orders[slot, LEFT])
        slot = orders[slot, NEXT]


@njit(cache=True)
def clear_notes(book: Book, place: int) -> None:
    """Forget what was noted for forced reduction."""
    contracts = len(book.markets)
    for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
        for hedge in range(2):
            book.positions[(account * contracts + place) * 2 + hedge, LOCK_LOTS] = 0


# --- the close ---


@njit(cache=True)
def close_contract(book: Book, events: Matrix, said: int, time: int, place: int) -> int:
    """Close a contract's day (docs/spec/exchange.md, rule 38). Returns the events' count."""
    market = book.markets[place]
    price, method = _settlement(book, place)
    spread = market[CONTRACT_KIND] == SPREAD
    rate, locked = 0, False
    if not spread:
        rate, locked = _lock(book, place, price)
    market[SETTLEMENT], market[SETTLED_DAY], market[SETTLED_METHOD], market[RATE_BP] = (
        price,
        market[DAY],
        method,
        rate,
    )
    lower, upper = limits_of_spread(book, place) if spread else limits_at(price, rate)
    number, day = market[NUMBER], market[DAY]
    said = say(events, said, SETTLEMENT_PRICE, time, number, price, day, method, upper, lower)
    if locked:
        least = rate + MARGIN_OVER_LIMIT_BP
        said = say(
            events, said, LIMIT_LOCKED, time, number, market[LOCK_DIRECTION], market[LOCK_DAYS], rate, least, day
        )  # fmt: skip
    said = move_limits(book, events, said, time, place, lower, upper, day)
    said = _close_positions(book, events, said, time, place)
    _forget_ended(book, place)
    return said


@njit(cache=True)
def _close_positions(book: Book, events: Matrix, said: int, time: int, place: int) -> int:
    """Say what each account did on the day, and make lots of today lots of earlier days."""
    contracts, market, open_interest = len(book.markets), book.markets[place], 0
    for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
        for hedge in range(2):
            position = book.positions[(account * contracts + place) * 2 + hedge]
            if position[MESSAGES]:
                said = say(
                    events, said, ACTIVITY | hedge << FLAG_SHIFT, time, account, market[NUMBER], position[MESSAGES],
                    position[CANCELLED_ORDERS], position[FILLS], market[DAY],
                )  # fmt: skip
            position[MESSAGES] = position[CANCELLED_ORDERS] = position[FILLS] = position[IS_REPORTED] = 0
            position[LONG_TODAY] = position[SHORT_TODAY] = 0
            open_interest += position[LONG]
    market[OPEN_INTEREST] = open_interest
    set_position_limits(market)
    return said


@njit(cache=True)
def _forget_ended(book: Book, place: int) -> None:
    """Forget a contract's ended orders, but for the highest id of each account (§3.6)."""
    orders, contracts = book.orders, len(book.markets)
    for slot in range(1, book.scalars[FRESH]):
        if orders[slot, END] != 0 and orders[slot, KIND] >> PLACE_SHIFT == place:
            position = book.positions[(orders[slot, ACCOUNT] * contracts + place) * 2]
            position[PAST_ID] = max(position[PAST_ID], orders[slot, ORDER_ID])
            forget(book, slot)

"""How an order that arrives is worked: against the book in continuous trading, into the book in an auction. Compiled.

An order arrives when it is accepted, when an amendment cost it its place, and when a stop is triggered. It is in no ladder then.
"""

from numba import njit

from ciyuan.exchange.book import (
    A_SELF_TRADE,
    ACCOUNT,
    BASE,
    BEST_BUY,
    CONTRACT_KIND,
    END,
    HEAD,
    KIND,
    LADDER_WORDS,
    LADDERS,
    LEFT,
    MID_WORDS,
    NEXT,
    OPEN_BUYS,
    OPEN_SELLS,
    PLACE_SHIFT,
    PRICE,
    SECOND,
    SHOWN,
    SPOKEN_LONG,
    SPOKEN_LONG_TODAY,
    SPOKEN_SHORT,
    SPOKEN_SHORT_TODAY,
    SPREAD_ORDERS,
    STATE,
    TICKS,
    Book,
    Matrix,
)
from ciyuan.exchange.implied import best_implied, trade_implied, trade_spreads
from ciyuan.exchange.ladder import next_above, next_below
from ciyuan.exchange.messages import CancelCause, SelfTrade, SessionState
from ciyuan.exchange.risk import position_of
from ciyuan.exchange.session import FAK, FOK, MARKET, POST_ONLY
from ciyuan.exchange.standing import (
    SPREAD,
    band_of,
    decrement,
    end_cancelled,
    flush,
    in_band,
    narrowed,
    shown_of,
    sit,
    take_out,
    trade,
)
from ciyuan.exchange.states import enter_breaker

CONTINUOUS = int(SessionState.CONTINUOUS)
SELF_TRADE, BREAKER = int(CancelCause.SELF_TRADE), int(CancelCause.BREAKER)
POST_ONLY_CAUSE, FOK_CAUSE, MINIMUM_CAUSE = (
    int(CancelCause.POST_ONLY),
    int(CancelCause.FOK_NOT_FILLED),
    int(CancelCause.MINIMUM_NOT_FILLED),
)
FAK_CAUSE, MARKET_CAUSE = int(CancelCause.FAK_REMAINDER), int(CancelCause.MARKET_REMAINDER)
CANCEL_NEWEST, CANCEL_OLDEST, CANCEL_BOTH = (
    int(SelfTrade.CANCEL_NEWEST),
    int(SelfTrade.CANCEL_OLDEST),
    int(SelfTrade.CANCEL_BOTH),
)


@njit(cache=True)
def arrive(book: Book, events: Matrix, said: int, time: int, slot: int, touched: int) -> int:
    """Work an order that arrives. Returns the events' count.

    `touched` is the level at which the loop's express lane has traded it already and of which nothing is said yet, or -1.
    """
    orders = book.orders
    kind = orders[slot, KIND]
    place = kind >> PLACE_SHIFT
    orders[slot, SHOWN] = shown_of(orders, slot)
    if book.markets[place, STATE] != CONTINUOUS:
        return rest_in_auction(book, events, said, time, slot)
    if kind & POST_ONLY and _would_trade(book, time, slot):
        return end_cancelled(book, events, said, time, slot, POST_ONLY_CAUSE)
    if kind & FOK and not _fillable(book, time, slot, orders[slot, LEFT]):
        return end_cancelled(book, events, said, time, slot, FOK_CAUSE)
    if kind & FAK and orders[slot, SECOND] and not _fillable(book, time, slot, orders[slot, SECOND]):
        return end_cancelled(book, events, said, time, slot, MINIMUM_CAUSE)
    said, stopped_by = _take(book, events, said, time, slot, touched)
    if orders[slot, END] != 0:
        return said
    if stopped_by == SELF_TRADE:
        return end_cancelled(book, events, said, time, slot, SELF_TRADE)
    if stopped_by == BREAKER:
        if kind & (FAK | MARKET | FOK):
            return end_cancelled(book, events, said, time, slot, BREAKER)
        return rest_in_auction(book, events, said, time, slot)
    if kind & FAK:
        return end_cancelled(book, events, said, time, slot, FAK_CAUSE)
    if kind & MARKET:
        return end_cancelled(book, events, said, time, slot, MARKET_CAUSE)
    return flush(book, events, said, time, sit(book, slot))


@njit(cache=True)
def rest_in_auction(book: Book, events: Matrix, said: int, time: int, slot: int) -> int:
    """Let an order rest for an auction, once none of its account's own that it could trade with is left (§3.3)."""
    orders, touched = book.orders, -1
    kind = orders[slot, KIND]
    place, other = kind >> PLACE_SHIFT, 1 - (kind & 1)
    tick = book.markets[place, BEST_BUY + other]
    if not _has_open(book, place, orders[slot, ACCOUNT], other):
        tick = -1
    while orders[slot, END] == 0 and _crosses(book, slot, tick):
        level = (place * LADDERS + other) * book.scalars[TICKS] + tick
        own = book.levels[level, HEAD]
        while own != 0 and orders[own, ACCOUNT] != orders[slot, ACCOUNT]:
            own = orders[own, NEXT]
        if own == 0:
            tick = _next_tick(book, place, other, tick)
            continue
        if touched >= 0 and touched != level:
            said = flush(book, events, said, time, touched)
            touched = -1
        said, changed, stopped = _meet_own(book, events, said, time, own, slot)
        if changed:
            touched = level
        if stopped:
            said = flush(book, events, said, time, touched)
            return end_cancelled(book, events, said, time, slot, SELF_TRADE)
        if changed and book.levels[level, HEAD] == 0:
            tick = _next_tick(book, place, other, tick)
    said = flush(book, events, said, time, touched)
    if orders[slot, END] != 0:
        return said
    return flush(book, events, said, time, sit(book, slot))


@njit(cache=True)
def _has_open(book: Book, place: int, account: int, sell: int) -> bool:
    """Whether an account has open lots on a side of an outright, in any of its positions."""
    first = position_of(len(book.markets), account, place, 0)
    for row in (first, first + 1):
        held = book.positions[row]
        if sell and (held[OPEN_SELLS] or held[SPOKEN_LONG] or held[SPOKEN_LONG_TODAY]):
            return True
        if not sell and (held[OPEN_BUYS] or held[SPOKEN_SHORT] or held[SPOKEN_SHORT_TODAY]):
            return True
    return False


@njit(cache=True)
def _crosses(book: Book, slot: int, tick: int) -> bool:
    """Whether an order would trade at a tick of the other side; not at the tick of an empty one."""
    if tick < 0 or tick >= book.scalars[TICKS]:
        return False
    kind = book.orders[slot, KIND]
    price = book.markets[kind >> PLACE_SHIFT, BASE] + tick
    limit = book.orders[slot, PRICE]
    crosses: bool = price >= limit if kind & 1 else price <= limit
    return crosses


@njit(cache=True)
def _next_tick(book: Book, place: int, ladder: int, tick: int) -> int:
    """The next tick with orders behind one, of buyers or sellers."""
    row, mid, words = place * LADDERS + ladder, book.scalars[MID_WORDS], book.scalars[LADDER_WORDS]
    if ladder == 1:
        return next_above(book.bits, row, mid, words, tick)
    return next_below(book.bits, row, mid, words, tick)


@njit(cache=True)
def _would_trade(book: Book, time: int, slot: int) -> bool:
    kind = book.orders[slot, KIND]
    place = kind >> PLACE_SHIFT
    if _crosses(book, slot, book.markets[place, BEST_BUY + 1 - (kind & 1)]):
        return True
    found, price, _ = best_implied(book, time, slot)
    limit = book.orders[slot, PRICE]
    return found >= 0 and (price >= limit if kind & 1 else price <= limit)


@njit(cache=True)
def _fillable(book: Book, time: int, slot: int, wanted: int) -> bool:
    """Whether so many lots would trade at once with standing orders of the contract (§3.1)."""
    orders = book.orders
    kind, account = orders[slot, KIND], orders[slot, ACCOUNT]
    place, other = kind >> PLACE_SHIFT, 1 - (kind & 1)
    passes_own = book.accounts[account, A_SELF_TRADE] == CANCEL_OLDEST
    tick = book.markets[place, BEST_BUY + other]
    lower, upper = band_of(book, place, time)
    lots = 0
    while _crosses(book, slot, tick):
        price = book.markets[place, BASE] + tick
        at = book.levels[(place * LADDERS + other) * book.scalars[TICKS] + tick, HEAD]
        while at != 0:
            if orders[at, ACCOUNT] != account:
                if price < lower or price > upper:
                    return False
                if lots == 0:
                    lower, upper = narrowed(book, place, price, lower, upper)
                lots += orders[at, LEFT]
            elif not passes_own:
                return lots >= wanted
            if lots >= wanted:
                return True
            at = orders[at, NEXT]
        tick = _next_tick(book, place, other, tick)
    return False


@njit(cache=True)
def _take(book: Book, events: Matrix, said: int, time: int, slot: int, touched: int) -> tuple[int, int]:
    """Trade as far as the limit goes, best price first. Returns the events' count, and the cause that stopped it, if one did."""
    orders, markets = book.orders, book.markets
    kind = orders[slot, KIND]
    place, other = kind >> PLACE_SHIFT, 1 - (kind & 1)
    spread = markets[place, CONTRACT_KIND] == SPREAD
    at_once = kind & FOK != 0 or (kind & FAK != 0 and orders[slot, SECOND] != 0)
    while orders[slot, END] == 0:
        tick = markets[place, BEST_BUY + other]
        price = markets[place, BASE] + tick
        direct = _crosses(book, slot, tick)
        if not at_once and (spread or markets[place, SPREAD_ORDERS] > 0):
            found, implied, lots = best_implied(book, time, slot)
            better = implied > price if kind & 1 else implied < price
            within = implied >= orders[slot, PRICE] if kind & 1 else implied <= orders[slot, PRICE]
            if found >= 0 and within and (better or not direct):
                said = flush(book, events, said, time, touched)
                touched = -1
                said = trade_implied(book, events, said, time, slot, found, implied, lots)
                continue
        if not direct:
            break
        level = (place * LADDERS + other) * book.scalars[TICKS] + tick
        if touched >= 0 and touched != level:
            said = flush(book, events, said, time, touched)
            touched = -1
        maker = book.levels[level, HEAD]
        own = orders[maker, ACCOUNT] == orders[slot, ACCOUNT]
        if not own and not spread and not in_band(book, place, time, price):
            said = flush(book, events, said, time, touched)
            return enter_breaker(book, events, said, time, place), BREAKER
        if own:
            said, changed, stopped = _meet_own(book, events, said, time, maker, slot)
            if changed:
                touched = level
            if stopped:
                return flush(book, events, said, time, touched), SELF_TRADE
            continue
        lots = min(orders[slot, LEFT], orders[maker, SHOWN])
        if spread:
            said = trade_spreads(book, events, said, time, maker, slot, lots, price)
        else:
            said, _ = trade(book, events, said, time, maker, slot, lots, price)
        touched = level
    return flush(book, events, said, time, touched), 0


@njit(cache=True)
def _meet_own(
    book: Book, events: Matrix, said: int, time: int, own: int, slot: int
) -> tuple[int, bool, bool]:
    """An order comes to one of its own account (§3.3). Returns the events' count, whether the standing order's level changed, and
    whether the arriving order goes no further and is to be cancelled."""
    orders = book.orders
    mode = book.accounts[orders[slot, ACCOUNT], A_SELF_TRADE]
    if mode == CANCEL_NEWEST:
        return said, False, True
    if mode in (CANCEL_OLDEST, CANCEL_BOTH):
        said, _ = take_out(book, events, said, time, own, SELF_TRADE)
        return said, True, mode == CANCEL_BOTH
    standing, arriving = orders[own, LEFT], orders[slot, LEFT]
    if standing > arriving:
        said = decrement(book, events, said, time, own, arriving, True)
    else:
        said, _ = take_out(book, events, said, time, own, SELF_TRADE)
    if arriving > standing:
        return decrement(book, events, said, time, slot, standing, False), True, False
    return said, True, True

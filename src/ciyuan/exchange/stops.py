"""Stops that the last price has triggered enter one by one (§3.1). Compiled."""

from numba import njit

from ciyuan.basics.rows import FLAG_SHIFT
from ciyuan.exchange.arrival import arrive
from ciyuan.exchange.book import (
    ACCOUNT,
    BUY_STOPS,
    CONTRACT,
    KIND,
    LAST,
    LOWER,
    ORDER_ID,
    PLACE_SHIFT,
    PRICE,
    PRIORITY,
    SECOND,
    SELL_STOPS,
    STATE,
    UPPER,
    WAS_TRIGGERED,
    Book,
    Matrix,
)
from ciyuan.exchange.messages import CONTRACT_MASK, SessionState
from ciyuan.exchange.saying import TRIGGERED, say
from ciyuan.exchange.session import MARKET
from ciyuan.exchange.standing import first_of, leave, renumber

CONTINUOUS = int(SessionState.CONTINUOUS)


@njit(cache=True)
def is_triggered(book: Book, slot: int) -> bool:
    """Whether the last price is at a stop's trigger or beyond."""
    kind, trigger = book.orders[slot, KIND], book.orders[slot, SECOND]
    last = book.markets[kind >> PLACE_SHIFT, LAST]
    if last == 0:
        return False
    there: bool = last <= trigger if kind & 1 else last >= trigger
    return there


@njit(cache=True)
def _next_triggered(book: Book) -> int:
    """The stop that enters next, 0 if none is triggered."""
    for place in range(len(book.markets)):
        if book.markets[place, STATE] == CONTINUOUS:
            buy, sell = first_of(book, place, BUY_STOPS), first_of(book, place, SELL_STOPS)
            if buy != 0 and not is_triggered(book, buy):
                buy = 0
            if sell != 0 and not is_triggered(book, sell):
                sell = 0
            if buy != 0 and (sell == 0 or book.orders[buy, PRIORITY] < book.orders[sell, PRIORITY]):
                return buy
            if sell != 0:
                return sell
    return 0


@njit(cache=True)
def trigger(book: Book, events: Matrix, said: int, time: int, slot: int) -> int:
    """TRIGGERED: a stop that is in no ladder is from now on an order like others, under a new number."""
    order = book.orders[slot]
    sell = order[KIND] & 1
    market = book.markets[order[KIND] >> PLACE_SHIFT]
    order[KIND] |= WAS_TRIGGERED
    renumber(book, slot)
    if order[KIND] & MARKET:
        order[PRICE] = market[LOWER] if sell else market[UPPER]
    kind, number = TRIGGERED | sell << FLAG_SHIFT, order[CONTRACT] & CONTRACT_MASK
    return say(
        events, said, kind, time, order[ACCOUNT], order[ORDER_ID], number, market[LAST], order[PRICE], 0
    )


@njit(cache=True)
def run_stops(book: Book, events: Matrix, said: int, time: int) -> int:
    """Let the triggered stops enter, and those that their trades trigger. Returns the events' count."""
    slot = _next_triggered(book)
    while slot != 0:
        leave(book, slot)
        said = trigger(book, events, said, time, slot)
        said = arrive(book, events, said, time, slot, -1)
        slot = _next_triggered(book)
    return said

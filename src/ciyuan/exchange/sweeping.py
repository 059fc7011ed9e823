"""Many orders at once: mass cancels, the orders that end with a day, and books that move to other limits. Compiled."""

from numba import njit

from ciyuan.exchange.book import (
    ACCOUNT,
    BASE,
    BEST_BUY,
    BEST_BUY_STOP,
    BEST_SELL,
    BEST_SELL_STOP,
    CANCELS,
    CONTRACT,
    HEAD,
    KIND,
    LADDER_WORDS,
    LADDERS,
    LAST_DAY,
    LOWER,
    MID_WORDS,
    NEXT,
    NONE_HIGH,
    NONE_LOW,
    PRICE,
    SECOND,
    TICKS,
    UPPER,
    Book,
    Matrix,
    book_at,
)
from ciyuan.exchange.ladder import next_above, next_below
from ciyuan.exchange.messages import LAST_DAY_SHIFT, CancelCause, OrderFlag
from ciyuan.exchange.standing import flush, sit, take_out, waits

GTC = int(OrderFlag.GTC)
DAY_END, EXPIRED, PRICE_LIMIT = (
    int(CancelCause.DAY_END),
    int(CancelCause.EXPIRED),
    int(CancelCause.PRICE_LIMIT),
)


@njit(cache=True)
def is_rising(ladder: int) -> bool:
    """Whether a ladder's best tick is its lowest: sellers', and buyers' stops."""
    return ladder == 1 or ladder == 2


@njit(cache=True)
def tick_after(book: Book, place: int, ladder: int, tick: int) -> int:
    """The next tick with orders behind one of a ladder; outside the ladder if there is none."""
    row, mid, words = place * LADDERS + ladder, book.scalars[MID_WORDS], book.scalars[LADDER_WORDS]
    if is_rising(ladder):
        return next_above(book.bits, row, mid, words, tick)
    return next_below(book.bits, row, mid, words, tick)


@njit(cache=True)
def tick_behind(directory: Matrix, place: int, ladder: int, tick: int) -> int:
    """What `tick_after` tells, of the book of a directory."""
    return tick_after(book_at(directory), place, ladder, tick)


@njit(cache=True)
def cancel_all(
    book: Book, events: Matrix, said: int, time: int, account: int, place: int, cause: int
) -> tuple[int, int, int]:
    """Cancel an account's orders in a contract, or count them where the state takes no cancels: (events, cancelled, left)."""
    orders, ticks = book.orders, book.scalars[TICKS]
    done = left = 0
    for ladder in range(LADDERS):
        tick = book.markets[place, BEST_BUY + ladder]
        while 0 <= tick < ticks:
            level = (place * LADDERS + ladder) * ticks + tick
            after, slot, touched = tick_after(book, place, ladder, tick), book.levels[level, HEAD], -1
            while slot != 0:
                following = orders[slot, NEXT]
                if orders[slot, ACCOUNT] == account:
                    if book.markets[place, CANCELS]:
                        said, touched = take_out(book, events, said, time, slot, cause)
                        done += 1
                    else:
                        left += 1
                slot = following
            said = flush(book, events, said, time, touched)
            tick = after
    return said, done, left


@njit(cache=True)
def cause_at_close(book: Book, slot: int, place: int, day: int, lower: int, upper: int) -> int:
    """Why an order ends when a day is closed and these are the next limits; 0 if it lives on (§3.1)."""
    order = book.orders[slot]
    last_day = order[CONTRACT] >> LAST_DAY_SHIFT
    if last_day == 0 and order[KIND] & GTC == 0:
        return DAY_END
    if (last_day != 0 and last_day <= day) or book.markets[place, LAST_DAY] <= day:
        return EXPIRED
    return cause_outside(book, slot, lower, upper)


@njit(cache=True)
def cause_outside(book: Book, slot: int, lower: int, upper: int) -> int:
    """PRICE_LIMIT if an order, or the trigger that it waits for, lies outside limits, or no ladder reaches them; else 0."""
    order = book.orders[slot]
    if upper - lower >= book.scalars[TICKS] or order[PRICE] < lower or order[PRICE] > upper:
        return PRICE_LIMIT
    if waits(order[KIND]) and (order[SECOND] < lower or order[SECOND] > upper):
        return PRICE_LIMIT
    return 0


@njit(cache=True)
def move_limits(
    book: Book, events: Matrix, said: int, time: int, place: int, lower: int, upper: int, closed_day: int
) -> int:
    """Give a contract other limits: orders that end are cancelled, the others stand in a ladder that begins at `lower`.

    `closed_day` is the day that is closed, 0 for a notice. Returns the events' count.
    """
    orders, ticks = book.orders, book.scalars[TICKS]
    for ladder in range(LADDERS):
        tick = book.markets[place, BEST_BUY + ladder]
        while 0 <= tick < ticks:
            level = (place * LADDERS + ladder) * ticks + tick
            after, slot, touched = tick_after(book, place, ladder, tick), book.levels[level, HEAD], -1
            while slot != 0:
                following = orders[slot, NEXT]
                if closed_day:
                    cause = cause_at_close(book, slot, place, closed_day, lower, upper)
                else:
                    cause = cause_outside(book, slot, lower, upper)
                if cause:
                    said, touched = take_out(book, events, said, time, slot, cause)
                slot = following
            said = flush(book, events, said, time, touched)
            tick = after
    book.markets[place, LOWER], book.markets[place, UPPER] = lower, upper
    _rebase(book, place, lower)
    return said


@njit(cache=True)
def _rebase(book: Book, place: int, base: int) -> None:
    """Let a contract's ladders begin at another price, with their orders where they stand."""
    if book.markets[place, BASE] == base:
        return
    orders, ticks = book.orders, book.scalars[TICKS]
    first = last = 0
    for ladder in range(LADDERS):
        tick = book.markets[place, BEST_BUY + ladder]
        while 0 <= tick < ticks:
            level = (place * LADDERS + ladder) * ticks + tick
            slot = book.levels[level, HEAD]
            if last != 0:
                orders[last, NEXT] = slot
            else:
                first = slot
            while slot != 0:
                last = slot
                slot = orders[slot, NEXT]
            after = tick_after(book, place, ladder, tick)
            book.levels[level, :] = 0
            tick = after
    empty_ladders(book, place, base)
    slot = first
    while slot != 0:
        following = orders[slot, NEXT]
        sit(book, slot)
        slot = following


@njit(cache=True)
def empty_ladders(book: Book, place: int, base: int) -> None:
    """Ladders without orders, from a price on. The levels must be empty already."""
    words = book.scalars[LADDER_WORDS]
    for at in range(place * LADDERS * words, (place + 1) * LADDERS * words):
        book.bits[at] = 0
    market = book.markets[place]
    market[BASE] = base
    market[BEST_BUY] = market[BEST_SELL_STOP] = NONE_LOW
    market[BEST_SELL] = market[BEST_BUY_STOP] = NONE_HIGH

"""What the kernel says: the rows of its events, written into the batch's matrix. Each returns how many rows there are now."""

from numba import njit

from ciyuan.basics.rows import FLAG_SHIFT, REASON_SHIFT
from ciyuan.exchange.book import (
    ACCOUNT,
    BASE,
    CONTRACT,
    EFFECT_SHIFT,
    IS_REPORTED,
    KIND,
    LADDERS,
    LEFT,
    LEVEL_LOTS,
    LEVEL_ORDERS,
    LONG,
    LOTS,
    NUMBER,
    ORDER_ID,
    PRICE,
    SEQUENCE,
    SHORT,
    SHOWN,
    TICKS,
    TRADES,
    Book,
    Matrix,
)
from ciyuan.exchange.messages import CONTRACT_MASK, LEFT_BEFORE_SHIFT, ExchangeEvent
from ciyuan.exchange.risk import limit_of, position_of

ACCEPTED, FILLED, CANCELLED, AMENDED, LEVEL, TRIGGERED, RELOADED, REPORTED = map(
    int,
    (
        ExchangeEvent.ACCEPTED,
        ExchangeEvent.FILLED,
        ExchangeEvent.CANCELLED,
        ExchangeEvent.AMENDED,
        ExchangeEvent.LEVEL,
        ExchangeEvent.TRIGGERED,
        ExchangeEvent.RELOADED,
        ExchangeEvent.REPORTED,
    ),
)


@njit(cache=True, inline="always")
def say(
    events: Matrix, said: int, kind: int, time: int, a: int, b: int, c: int, d: int, e: int, f: int
) -> int:
    """Write one row."""
    events[said, 0] = kind
    events[said, 1] = time
    events[said, 2] = a
    events[said, 3] = b
    events[said, 4] = c
    events[said, 5] = d
    events[said, 6] = e
    events[said, 7] = f
    return said + 1


@njit(cache=True)
def say_level(book: Book, events: Matrix, said: int, time: int, level: int) -> int:
    """LEVEL of a row of `levels`; nothing for a level of stops."""
    ticks = book.scalars[TICKS]
    row = level // ticks
    ladder, place = row % LADDERS, row // LADDERS
    if ladder > 1:
        return said
    market = book.markets[place]
    market[SEQUENCE] += 1
    price = market[BASE] + level % ticks
    lots, orders = book.levels[level, LEVEL_LOTS], book.levels[level, LEVEL_ORDERS]
    kind = LEVEL | ladder << FLAG_SHIFT
    return say(events, said, kind, time, market[NUMBER], price, lots, orders, market[SEQUENCE], 0)


@njit(cache=True)
def say_of(
    book: Book,
    events: Matrix,
    said: int,
    event: int,
    flags: int,
    time: int,
    slot: int,
    c: int,
    d: int,
    e: int,
) -> int:
    """An event of an order: its account, id and contract, then three words; its effect is the reason."""
    order = book.orders[slot]
    kind = event | flags << FLAG_SHIFT | (order[KIND] >> EFFECT_SHIFT & 7) << REASON_SHIFT
    return say(
        events, said, kind, time, order[ACCOUNT], order[ORDER_ID], order[CONTRACT] & CONTRACT_MASK, c, d, e
    )


@njit(cache=True)
def say_filled(
    book: Book, events: Matrix, said: int, flags: int, time: int, slot: int, place: int, price: int, lots: int
) -> int:
    """FILLED of an order in a contract, which for a spread order is a leg; the trade is the latest."""
    order = book.orders[slot]
    kind = FILLED | flags << FLAG_SHIFT | (order[KIND] >> EFFECT_SHIFT & 7) << REASON_SHIFT
    trade = book.scalars[TRADES]
    return say(
        events,
        said,
        kind,
        time,
        order[ACCOUNT],
        order[ORDER_ID],
        book.markets[place, NUMBER],
        price,
        lots,
        trade,
    )


@njit(cache=True)
def say_amended(
    book: Book, events: Matrix, said: int, flags: int, time: int, slot: int, left_before: int
) -> int:
    """AMENDED as the order now is, which had `left_before` lots left."""
    order = book.orders[slot]
    flags |= order[KIND] & 1
    kind = AMENDED | flags << FLAG_SHIFT | (order[KIND] >> EFFECT_SHIFT & 7) << REASON_SHIFT
    word = order[CONTRACT] & CONTRACT_MASK | left_before << LEFT_BEFORE_SHIFT
    account, order_id = order[ACCOUNT], order[ORDER_ID]
    return say(events, said, kind, time, account, order_id, word, order[PRICE], order[LOTS], order[LEFT])


@njit(cache=True)
def say_reloaded(book: Book, events: Matrix, said: int, time: int, slot: int) -> int:
    """RELOADED as the order now shows."""
    order = book.orders[slot]
    kind = RELOADED | (order[KIND] & 1) << FLAG_SHIFT
    number = order[CONTRACT] & CONTRACT_MASK
    return say(
        events,
        said,
        kind,
        time,
        order[ACCOUNT],
        order[ORDER_ID],
        number,
        order[PRICE],
        order[SHOWN],
        order[LEFT],
    )


@njit(cache=True)
def say_reported(
    book: Book, events: Matrix, said: int, time: int, account: int, place: int, effect: int
) -> int:
    """REPORTED, if a position has come to four fifths of its limit for the first time on the day (§5.2)."""
    position = position_of(len(book.markets), account, place, effect)
    held = book.positions[position]
    if held[IS_REPORTED]:
        return said
    limit = limit_of(book.markets, book.accounts, book.positions, position, account, place)
    if limit == 0 or max(held[LONG], held[SHORT]) * 5 < limit * 4:
        return said
    held[IS_REPORTED] = 1
    kind = REPORTED | (position & 1) << FLAG_SHIFT
    return say(
        events, said, kind, time, account, book.markets[place, NUMBER], held[LONG], held[SHORT], limit, 0
    )

"""The express lane: a limit order of a net account in a future, in continuous trading, against others of the kind.
Compiled.

It is what nearly all messages are, so it is written for speed: one loop, the ladder's primitives inlined, no question
asked twice. Whatever meets something rare - an iceberg, a gross account, an order of its own account, a spread, the
breaker's band - goes on in `arrival.arrive`, from the very fill at which it came up.
"""

from numba import njit

from ciyuan.basics.rows import FLAG_SHIFT
from ciyuan.exchange.arrival import arrive
from ciyuan.exchange.book import (
    ACCOUNT,
    BASE,
    BEST_BUY,
    BREAKER_BP,
    CONTRACT,
    DAY_TRADES,
    EFFECT_SHIFT,
    END,
    HEAD,
    HIGH,
    IS_FUTURE,
    KIND,
    LADDER_WORDS,
    LADDERS,
    LAST,
    LEFT,
    LEVEL_LOTS,
    LEVEL_ORDERS,
    LOTS,
    LOW,
    MID_WORDS,
    NUMBER,
    NUMBERS,
    OPEN_BUYS,
    OPEN_ORDERS,
    OPEN_SELLS,
    OPEN_TICKS,
    ORDER_ID,
    PLACE_SHIFT,
    PRICE,
    PRIORITY,
    SEQUENCE,
    SHOWN,
    SPREAD_ORDERS,
    STATE,
    TICKS,
    TRADES,
    TURNOVER,
    VOLUME,
    Book,
    Matrix,
)
from ciyuan.exchange.ladder import seat, unseat
from ciyuan.exchange.messages import CONTRACT_MASK, LEFT_BEFORE_SHIFT, FillFlag
from ciyuan.exchange.risk import fill_net, limit_of, position_of, recharge
from ciyuan.exchange.saying import AMENDED, CANCELLED, FILLED, LEVEL, say, say_reported
from ciyuan.exchange.session import ICEBERG, TYPE_BITS
from ciyuan.exchange.standing import in_band, note_minute
from ciyuan.exchange.state import FILLED as ENDED_FILLED
from ciyuan.exchange.states import CONTINUOUS

TAKER, DONE = int(FillFlag.TAKER), int(FillFlag.DONE)
NOT_PLAIN = int(TYPE_BITS) | 7 << EFFECT_SHIFT
"""Bits of an order's KIND with which it is not for the express lane: its type, and a gross account's effect."""
NOT_PLAIN_MAKER = ICEBERG | 7 << EFFECT_SHIFT
"""Bits of a standing order's KIND with which it is not for the express lane: an iceberg, a gross account's."""


@njit(cache=True, inline="always")
def say_plain_level(
    book: Book, events: Matrix, said: int, time: int, place: int, side: int, level: int, price: int
) -> int:
    """LEVEL of a level of buyers (0) or sellers (1)."""
    book.markets[place, SEQUENCE] += 1
    lots, orders = book.levels[level, LEVEL_LOTS], book.levels[level, LEVEL_ORDERS]
    number, sequence = book.markets[place, NUMBER], book.markets[place, SEQUENCE]
    return say(events, said, LEVEL | side << FLAG_SHIFT, time, number, price, lots, orders, sequence, 0)


@njit(cache=True)
def work_plain(book: Book, events: Matrix, said: int, time: int, slot: int) -> tuple[int, bool]:
    """Work a plain order that arrives: (events, whether it met something rare)."""
    orders, markets, levels, bits, scalars = book.orders, book.markets, book.levels, book.bits, book.scalars
    ticks, mid, words = scalars[TICKS], scalars[MID_WORDS], scalars[LADDER_WORDS]
    place, sell, account = orders[slot, KIND] >> PLACE_SHIFT, orders[slot, KIND] & 1, orders[slot, ACCOUNT]
    if markets[place, STATE] != CONTINUOUS or markets[place, SPREAD_ORDERS] > 0:
        return arrive(book, events, said, time, slot, -1), True
    base, other = markets[place, BASE], 1 - sell
    own_tick, touched, left = orders[slot, PRICE] - base, -1, orders[slot, LEFT]
    while left > 0:
        tick = markets[place, BEST_BUY + other]
        if (sell and tick < own_tick) or (not sell and tick > own_tick):
            break
        level = (place * LADDERS + other) * ticks + tick
        maker = levels[level, HEAD]
        special = orders[maker, KIND] & NOT_PLAIN_MAKER or orders[maker, ACCOUNT] == account
        if special or (markets[place, BREAKER_BP] and not in_band(book, place, time, base + tick)):
            orders[slot, LEFT] = left
            return arrive(book, events, said, time, slot, touched), True
        if touched >= 0 and touched != level:
            said = say_plain_level(book, events, said, time, place, other, touched, base + touched % ticks)
        touched = level
        lots, maker_left = (
            min(left, orders[maker, LEFT]),
            orders[maker, LEFT] - min(left, orders[maker, LEFT]),
        )
        left -= lots
        said = _fill(book, events, said, time, place, slot, maker, sell, lots, base + tick, left, maker_left)
        if maker_left == 0:
            unseat(orders, levels, bits, markets, place, other, tick, maker, lots, ticks, mid, words)
            scalars[OPEN_ORDERS] -= 1
            orders[maker, END] = ENDED_FILLED
        else:
            levels[level, LEVEL_LOTS] -= lots
        orders[maker, LEFT] = orders[maker, SHOWN] = maker_left
    if touched >= 0:
        said = say_plain_level(book, events, said, time, place, other, touched, base + touched % ticks)
    orders[slot, LEFT] = orders[slot, SHOWN] = left
    if left == 0:
        scalars[OPEN_ORDERS] -= 1
        orders[slot, END] = ENDED_FILLED
    else:
        level = seat(orders, levels, bits, markets, place, sell, own_tick, slot, left, ticks, mid, words)
        said = say_plain_level(book, events, said, time, place, sell, level, base + own_tick)
    return said, False


@njit(cache=True, forceinline=True)
def _fill(
    book: Book,
    events: Matrix,
    said: int,
    time: int,
    place: int,
    slot: int,
    maker: int,
    sell: int,
    lots: int,
    price: int,
    left: int,
    maker_left: int,
) -> int:
    """One trade: both positions, both FILLED, the day's figures. Returns the events' count."""
    markets, accounts, positions, orders = book.markets, book.accounts, book.positions, book.orders
    account, other, contracts, number = (
        orders[slot, ACCOUNT],
        orders[maker, ACCOUNT],
        len(markets),
        markets[place, NUMBER],
    )
    position, of_other = position_of(contracts, account, place, 0), position_of(contracts, other, place, 0)
    fill_net(markets, accounts, positions, of_other, other, place, 1 - sell, lots, price)
    fill_net(markets, accounts, positions, position, account, place, sell, lots, price)
    book.scalars[TRADES] += 1
    trade = book.scalars[TRADES]
    kind = FILLED | (1 - sell | (DONE if maker_left == 0 else 0)) << FLAG_SHIFT
    said = say(events, said, kind, time, other, orders[maker, ORDER_ID], number, price, lots, trade)
    kind = FILLED | (sell | TAKER | (DONE if left == 0 else 0)) << FLAG_SHIFT
    said = say(events, said, kind, time, account, orders[slot, ORDER_ID], number, price, lots, trade)
    if limit_of(markets, accounts, positions, of_other, other, place) > 0:
        said = say_reported(book, events, said, time, other, place, 0)
    if limit_of(markets, accounts, positions, position, account, place) > 0:
        said = say_reported(book, events, said, time, account, place, 0)
    if markets[place, DAY_TRADES] == 0:
        markets[place, OPEN_TICKS] = markets[place, HIGH] = markets[place, LOW] = price
    markets[place, DAY_TRADES] += 1
    markets[place, VOLUME] += lots
    markets[place, TURNOVER] += price * lots
    markets[place, LAST] = price
    markets[place, HIGH] = max(markets[place, HIGH], price)
    markets[place, LOW] = min(markets[place, LOW], price)
    if markets[place, BREAKER_BP]:
        note_minute(markets, book.minutes, place, time, price)
    return said


@njit(cache=True, forceinline=True)
def is_plain(book: Book, slot: int) -> bool:
    """Whether an order is one for the express lane."""
    kind = book.orders[slot, KIND]
    return kind & NOT_PLAIN == 0 and book.markets[kind >> PLACE_SHIFT, IS_FUTURE] != 0


@njit(cache=True, forceinline=True)
def _unseat_plain(book: Book, slot: int) -> int:
    """Take a plain order out of its ladder. Returns the level's row."""
    scalars, kind = book.scalars, book.orders[slot, KIND]
    place = kind >> PLACE_SHIFT
    tick, left = book.orders[slot, PRICE] - book.markets[place, BASE], book.orders[slot, LEFT]
    ticks, mid, words = scalars[TICKS], scalars[MID_WORDS], scalars[LADDER_WORDS]
    return unseat(
        book.orders, book.levels, book.bits, book.markets, place, kind & 1, tick, slot, left, ticks, mid, words
    )  # fmt: skip


@njit(cache=True, forceinline=True)
def cancel_plain(book: Book, events: Matrix, said: int, time: int, slot: int, cause: int) -> int:
    """Cancel a plain order that stands: what `standing.take_out` does, and LEVEL. Returns the events' count."""
    orders, left, price = book.orders, book.orders[slot, LEFT], book.orders[slot, PRICE]
    place, sell, account = orders[slot, KIND] >> PLACE_SHIFT, orders[slot, KIND] & 1, orders[slot, ACCOUNT]
    position = position_of(len(book.markets), account, place, 0)
    level = _unseat_plain(book, slot)
    book.positions[position, OPEN_SELLS if sell else OPEN_BUYS] -= left
    recharge(book.markets, book.accounts, book.positions, position, account, place)
    book.scalars[OPEN_ORDERS] -= 1
    orders[slot, LEFT] = orders[slot, SHOWN] = 0
    orders[slot, END] = cause
    number, kind = orders[slot, CONTRACT] & CONTRACT_MASK, CANCELLED | sell << FLAG_SHIFT
    said = say(events, said, kind, time, account, orders[slot, ORDER_ID], number, cause, left, 0)
    return say_plain_level(book, events, said, time, place, sell, level, price)


@njit(cache=True, forceinline=True)
def reprice_plain(
    book: Book, events: Matrix, said: int, time: int, slot: int, price: int
) -> tuple[int, bool]:
    """Give a plain order that stands another price, with as many lots: (events, whether it met something rare)."""
    orders, before = book.orders, book.orders[slot, PRICE]
    place, sell, account = orders[slot, KIND] >> PLACE_SHIFT, orders[slot, KIND] & 1, orders[slot, ACCOUNT]
    level = _unseat_plain(book, slot)
    book.scalars[NUMBERS] += 1
    orders[slot, PRIORITY] = book.scalars[NUMBERS]
    orders[slot, PRICE] = price
    number, kind = orders[slot, CONTRACT] & CONTRACT_MASK, AMENDED | sell << FLAG_SHIFT
    lots, left = orders[slot, LOTS], orders[slot, LEFT]
    word = number | left << LEFT_BEFORE_SHIFT
    said = say(events, said, kind, time, account, orders[slot, ORDER_ID], word, price, lots, left)
    said = say_plain_level(book, events, said, time, place, sell, level, before)
    return work_plain(book, events, said, time, slot)

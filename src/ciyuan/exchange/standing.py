"""Orders that stand: how one comes to rest, is taken out, ends, trades, and is forgotten. Compiled; all true
functions over the book.

The express lane of the loop (`kernel.py`) does the same inline for what is plain; what is anything else comes here.
"""

from numba import njit

from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.exchange.book import (
    ACCOUNT,
    BAND_LOWER,
    BAND_MINUTE,
    BAND_UPPER,
    BASE,
    BEST_BUY,
    BREAKER_BP,
    BREAKER_MINUTES,
    CHAIN,
    CONTRACT_KIND,
    DAY_TRADES,
    EFFECT_SHIFT,
    END,
    FAR,
    FREE,
    FRESH,
    HASH_MASK,
    HEAD,
    HIGH,
    ICEBERGS,
    KIND,
    LADDER_WORDS,
    LADDERS,
    LAST,
    LEFT,
    LEVEL_LOTS,
    LOTS,
    LOW,
    MID_WORDS,
    MINUTE,
    MINUTE_HIGH,
    MINUTE_LOW,
    MINUTES,
    NEAR,
    NEXT,
    NUMBERS,
    OPEN_ORDERS,
    OPEN_TICKS,
    ORDER_ID,
    PARTS,
    PLACE_SHIFT,
    PRICE,
    PRIORITY,
    SECOND,
    SHOWN,
    SPREAD_ORDERS,
    TICKS,
    TRADES,
    TURNOVER,
    VOLUME,
    WAS_TRIGGERED,
    Book,
    Matrix,
    Slots,
)
from ciyuan.exchange.contract import BASIS_POINTS, ContractKind
from ciyuan.exchange.ladder import seat, unseat
from ciyuan.exchange.messages import AmendFlag, FillFlag, OrderFlag
from ciyuan.exchange.risk import fill_lots, open_lots
from ciyuan.exchange.saying import (
    CANCELLED,
    say_amended,
    say_filled,
    say_level,
    say_of,
    say_reloaded,
    say_reported,
)
from ciyuan.exchange.state import FILLED as ENDED_FILLED

TAKER, DONE, AUCTION, LEG = map(int, (FillFlag.TAKER, FillFlag.DONE, FillFlag.AUCTION, FillFlag.LEG))
AMENDED_BY_SELF_TRADE = int(AmendFlag.SELF_TRADE | AmendFlag.KEPT)
ICEBERG, STOP = int(OrderFlag.ICEBERG), int(OrderFlag.STOP)
SPREAD = int(ContractKind.SPREAD)
HASH_FACTOR = 0x2545F4914F6CDD1D
ANY_LOW, ANY_HIGH = -(1 << 62), 1 << 62
"""A band that is all prices."""


@njit(cache=True, inline="always")
def home_of(account: int, order_id: int, mask: int) -> int:
    """Where an account's order id begins in `heads`: an account's ids in a run, each account's run at a place of its own."""
    return (order_id + ((order_id >> 16) * HASH_FACTOR >> 24) + (account * HASH_FACTOR >> 20)) & mask


@njit(cache=True, inline="always")
def seek_order(orders: Matrix, heads: Slots, mask: int, account: int, order_id: int) -> int:
    """The slot of an order that is remembered, 0 if none is."""
    slot = heads[home_of(account, order_id, mask)]
    while slot != 0 and (orders[slot, ORDER_ID] != order_id or orders[slot, ACCOUNT] != account):
        slot = orders[slot, CHAIN]
    return slot


@njit(cache=True)
def forget(book: Book, slot: int) -> None:
    """Free the slot of an order that has ended."""
    orders, heads = book.orders, book.heads
    home = home_of(orders[slot, ACCOUNT], orders[slot, ORDER_ID], book.scalars[HASH_MASK])
    at = heads[home]
    if at == slot:
        heads[home] = orders[slot, CHAIN]
    else:
        while orders[at, CHAIN] != slot:
            at = orders[at, CHAIN]
        orders[at, CHAIN] = orders[slot, CHAIN]
    orders[slot, :] = 0
    orders[slot, NEXT] = book.scalars[FREE]
    book.scalars[FREE] = slot


@njit(cache=True)
def remember(book: Book, slot: int) -> None:
    """Enter an order into the index."""
    orders, heads = book.orders, book.heads
    home = home_of(orders[slot, ACCOUNT], orders[slot, ORDER_ID], book.scalars[HASH_MASK])
    orders[slot, CHAIN] = heads[home]
    heads[home] = slot


@njit(cache=True, forceinline=True)
def new_slot(book: Book) -> int:
    """A slot for one more order; 0 if there is no room."""
    slot = book.scalars[FREE]
    if slot != 0:
        book.scalars[FREE] = book.orders[slot, NEXT]
        return slot
    slot = book.scalars[FRESH]
    if slot >= len(book.orders):
        return 0
    book.scalars[FRESH] = slot + 1
    return slot


@njit(cache=True, forceinline=True)
def waits(kind: int) -> bool:
    """Whether an order of this KIND is a stop that has not been triggered."""
    return kind & STOP != 0 and kind & WAS_TRIGGERED == 0


@njit(cache=True, forceinline=True)
def parts_of_iceberg(orders: Matrix, slot: int) -> int:
    """In how many parts an iceberg is shown at most, 0 of any other order."""
    if orders[slot, KIND] & ICEBERG == 0:
        return 0
    return orders[slot, LOTS] // orders[slot, SECOND] + 1


@njit(cache=True, forceinline=True)
def shown_of(orders: Matrix, slot: int) -> int:
    """What an order that comes to rest shows."""
    left = orders[slot, LEFT]
    return min(left, orders[slot, SECOND]) if orders[slot, KIND] & ICEBERG else left


@njit(cache=True)
def count_open(book: Book, slot: int, sign: int) -> None:
    """Count an order among the open ones (+1), or no longer (-1)."""
    kind = book.orders[slot, KIND]
    market = book.markets[kind >> PLACE_SHIFT]
    book.scalars[OPEN_ORDERS] += sign
    if kind & ICEBERG:
        book.scalars[PARTS] += sign * parts_of_iceberg(book.orders, slot)
        market[ICEBERGS] += sign
    if market[CONTRACT_KIND] == SPREAD:
        book.markets[market[NEAR], SPREAD_ORDERS] += sign
        book.markets[market[FAR], SPREAD_ORDERS] += sign


@njit(cache=True, forceinline=True)
def ladder_of(kind: int) -> int:
    """The ladder in which an order of this KIND stands."""
    return (kind & 1) + (2 if waits(kind) else 0)


@njit(cache=True)
def sit(book: Book, slot: int) -> int:
    """Put an order last at its price (a stop that waits: at its trigger). Returns the level's row."""
    orders, scalars = book.orders, book.scalars
    kind = orders[slot, KIND]
    place, ladder = kind >> PLACE_SHIFT, ladder_of(kind)
    price = orders[slot, SECOND] if ladder > 1 else orders[slot, PRICE]
    tick = price - book.markets[place, BASE]
    return seat(
        orders, book.levels, book.bits, book.markets, place, ladder, tick, slot, orders[slot, SHOWN],
        scalars[TICKS], scalars[MID_WORDS], scalars[LADDER_WORDS],
    )  # fmt: skip


@njit(cache=True)
def leave(book: Book, slot: int) -> int:
    """Take a standing order out of its ladder. Returns the level's row."""
    orders, scalars = book.orders, book.scalars
    kind = orders[slot, KIND]
    place, ladder = kind >> PLACE_SHIFT, ladder_of(kind)
    price = orders[slot, SECOND] if ladder > 1 else orders[slot, PRICE]
    tick = price - book.markets[place, BASE]
    return unseat(
        orders, book.levels, book.bits, book.markets, place, ladder, tick, slot, orders[slot, SHOWN],
        scalars[TICKS], scalars[MID_WORDS], scalars[LADDER_WORDS],
    )  # fmt: skip


@njit(cache=True, forceinline=True)
def renumber(book: Book, slot: int) -> None:
    """Give an order that loses its place the next priority number."""
    book.scalars[NUMBERS] += 1
    book.orders[slot, PRIORITY] = book.scalars[NUMBERS]


@njit(cache=True)
def end_cancelled(book: Book, events: Matrix, said: int, time: int, slot: int, cause: int) -> int:
    """End an order that is in no ladder any more, and say so."""
    orders = book.orders
    kind, left = orders[slot, KIND], orders[slot, LEFT]
    place, sell = kind >> PLACE_SHIFT, kind & 1
    open_lots(book, place, orders[slot, ACCOUNT], sell, kind >> EFFECT_SHIFT & 7, -left, orders[slot, PRICE])
    count_open(book, slot, -1)
    orders[slot, LEFT] = orders[slot, SHOWN] = 0
    orders[slot, END] = cause
    return say_of(book, events, said, CANCELLED, sell, time, slot, cause, left, 0)


@njit(cache=True)
def take_out(book: Book, events: Matrix, said: int, time: int, slot: int, cause: int) -> tuple[int, int]:
    """Cancel a standing order. Returns the events' count and the level's row, of which nothing is said yet."""
    level = leave(book, slot)
    return end_cancelled(book, events, said, time, slot, cause), level


@njit(cache=True)
def decrement(book: Book, events: Matrix, said: int, time: int, slot: int, lots: int, standing: bool) -> int:
    """Take lots off an order that met its own account's (§3.3); it has more than that."""
    orders = book.orders
    kind = orders[slot, KIND]
    open_lots(
        book, kind >> PLACE_SHIFT, orders[slot, ACCOUNT], kind & 1, kind >> EFFECT_SHIFT & 7, -lots, orders[slot, PRICE]
    )  # fmt: skip
    book.scalars[PARTS] -= parts_of_iceberg(orders, slot)
    orders[slot, LEFT] -= lots
    orders[slot, LOTS] -= lots
    book.scalars[PARTS] += parts_of_iceberg(orders, slot)
    if standing:
        reshow(book, slot, min(orders[slot, SHOWN], orders[slot, LEFT]))
    else:
        orders[slot, SHOWN] = shown_of(orders, slot)
    return say_amended(book, events, said, AMENDED_BY_SELF_TRADE, time, slot, orders[slot, LEFT] + lots)


@njit(cache=True)
def reshow(book: Book, slot: int, shown: int) -> None:
    """Let a standing order show another part, in its place."""
    orders = book.orders
    level = level_of(book, slot)
    book.levels[level, LEVEL_LOTS] += shown - orders[slot, SHOWN]
    orders[slot, SHOWN] = shown


@njit(cache=True, forceinline=True)
def level_of(book: Book, slot: int) -> int:
    """The row of the level at which an order stands."""
    kind = book.orders[slot, KIND]
    place, ladder = kind >> PLACE_SHIFT, ladder_of(kind)
    price = book.orders[slot, SECOND] if ladder > 1 else book.orders[slot, PRICE]
    return (place * LADDERS + ladder) * book.scalars[TICKS] + price - book.markets[place, BASE]


@njit(cache=True)
def first_of(book: Book, place: int, ladder: int) -> int:
    """The order that is first in line in a ladder, 0 if it is empty."""
    tick = book.markets[place, BEST_BUY + ladder]
    if tick < 0 or tick >= book.scalars[TICKS]:
        return 0
    return book.levels[(place * LADDERS + ladder) * book.scalars[TICKS] + tick, HEAD]


# --- trades ---


@njit(cache=True)
def note_trade(markets: Matrix, minutes: Matrix, place: int, time: int, price: int, lots: int) -> None:
    """Count a trade into the day's figures, and into its minute where the contract has a breaker (§4.6)."""
    market = markets[place]
    market[VOLUME] += lots
    market[TURNOVER] += price * lots
    if market[DAY_TRADES] == 0:
        market[OPEN_TICKS] = market[HIGH] = market[LOW] = price
    market[DAY_TRADES] += 1
    market[LAST] = price
    market[HIGH] = max(market[HIGH], price)
    market[LOW] = min(market[LOW], price)
    if market[BREAKER_BP]:
        note_minute(markets, minutes, place, time, price)


@njit(cache=True)
def note_minute(markets: Matrix, minutes: Matrix, place: int, time: int, price: int) -> None:
    """Enter a trade's price into its minute; the band is found anew if that moved it."""
    minute = time // NS_PER_MINUTE
    at = place * MINUTES + minute % MINUTES
    if minutes[at, MINUTE] != minute or minutes[at, MINUTE_LOW] == 0:
        minutes[at, MINUTE], minutes[at, MINUTE_LOW], minutes[at, MINUTE_HIGH] = minute, price, price
        markets[place, BAND_MINUTE] = -1
    elif price < minutes[at, MINUTE_LOW] or price > minutes[at, MINUTE_HIGH]:
        minutes[at, MINUTE_LOW] = min(minutes[at, MINUTE_LOW], price)
        minutes[at, MINUTE_HIGH] = max(minutes[at, MINUTE_HIGH], price)
        markets[place, BAND_MINUTE] = -1


@njit(cache=True)
def find_band(markets: Matrix, minutes: Matrix, place: int, time: int) -> None:
    """Bring BAND_LOWER and BAND_UPPER of a contract with a breaker up to date (§4.6)."""
    market, minute = markets[place], time // NS_PER_MINUTE
    if market[BAND_MINUTE] == minute:
        return
    low, high = ANY_HIGH, ANY_LOW
    for at in range(place * MINUTES, (place + 1) * MINUTES):
        if minutes[at, MINUTE] > minute - market[BREAKER_MINUTES] and minutes[at, MINUTE_LOW] > 0:
            low, high = min(low, minutes[at, MINUTE_LOW]), max(high, minutes[at, MINUTE_HIGH])
    market[BAND_MINUTE], market[BAND_LOWER], market[BAND_UPPER] = minute, ANY_LOW, ANY_HIGH
    if high != ANY_LOW:
        market[BAND_UPPER] = low * (BASIS_POINTS + market[BREAKER_BP]) // BASIS_POINTS
        market[BAND_LOWER] = -(-high * (BASIS_POINTS - market[BREAKER_BP]) // BASIS_POINTS)


@njit(cache=True)
def band_of(book: Book, place: int, time: int) -> tuple[int, int]:
    """The lowest and the highest price at which the contract's breaker lets a trade be."""
    market = book.markets[place]
    if market[BREAKER_BP] == 0:
        return ANY_LOW, ANY_HIGH
    find_band(book.markets, book.minutes, place, time)
    return market[BAND_LOWER], market[BAND_UPPER]


@njit(cache=True)
def narrowed(book: Book, place: int, price: int, lower: int, upper: int) -> tuple[int, int]:
    """The band as it would be after a trade at a price."""
    rate = book.markets[place, BREAKER_BP]
    if rate == 0:
        return lower, upper
    up, down = (
        price * (BASIS_POINTS + rate) // BASIS_POINTS,
        -(-price * (BASIS_POINTS - rate) // BASIS_POINTS),
    )
    return max(lower, down), min(upper, up)


@njit(cache=True)
def in_band(book: Book, place: int, time: int, price: int) -> bool:
    """Whether a trade at a price would not move it further than the contract's breaker lets it."""
    lower, upper = band_of(book, place, time)
    return lower <= price <= upper


@njit(cache=True)
def reduce_taker(book: Book, slot: int, lots: int) -> None:
    """Lots of an order that is in no ladder were filled; ended if they were the last."""
    orders = book.orders
    orders[slot, LEFT] -= lots
    orders[slot, SHOWN] = shown_of(orders, slot)
    if orders[slot, LEFT] == 0:
        count_open(book, slot, -1)
        orders[slot, END] = ENDED_FILLED


@njit(cache=True)
def reduce_standing(book: Book, slot: int, lots: int) -> tuple[int, bool]:
    """Lots that a standing order shows were filled. Returns its level's row, and whether it shows a new part behind
    the others.
    """
    orders = book.orders
    level = level_of(book, slot)
    if lots < orders[slot, SHOWN]:
        orders[slot, LEFT] -= lots
        orders[slot, SHOWN] -= lots
        book.levels[level, LEVEL_LOTS] -= lots
        return level, False
    leave(book, slot)
    reduce_taker(book, slot, lots)
    if orders[slot, LEFT] == 0:
        return level, False
    renumber(book, slot)
    sit(book, slot)
    return level, True


@njit(cache=True)
def fill_of(book: Book, slot: int, place: int, sell: int, lots: int, price: int) -> None:
    """What a fill does to the position of an order's account, in the contract or the leg."""
    orders = book.orders
    effect = orders[slot, KIND] >> EFFECT_SHIFT & 7
    fill_lots(book, place, orders[slot, ACCOUNT], sell, effect, lots, price, orders[slot, PRICE])


@njit(cache=True)
def done_flag(book: Book, slot: int) -> int:
    """DONE if nothing of an order is left."""
    return DONE if book.orders[slot, LEFT] == 0 else 0


@njit(cache=True)
def trade(
    book: Book, events: Matrix, said: int, time: int, maker: int, taker: int, lots: int, price: int
) -> tuple[int, int]:
    """A trade of an arriving order with the standing one that is first. Returns the events' count and the level's row."""
    orders = book.orders
    place = orders[taker, KIND] >> PLACE_SHIFT
    taker_sells = orders[taker, KIND] & 1
    book.scalars[TRADES] += 1
    fill_of(book, maker, place, 1 - taker_sells, lots, price)
    fill_of(book, taker, place, taker_sells, lots, price)
    level, reloaded = reduce_standing(book, maker, lots)
    reduce_taker(book, taker, lots)
    flags = 1 - taker_sells | done_flag(book, maker)
    said = say_filled(book, events, said, flags, time, maker, place, price, lots)
    flags = taker_sells | TAKER | done_flag(book, taker)
    said = say_filled(book, events, said, flags, time, taker, place, price, lots)
    said = report_both(book, events, said, time, maker, taker, place)
    if reloaded:
        said = say_reloaded(book, events, said, time, maker)
    note_trade(book.markets, book.minutes, place, time, price, lots)
    return said, level


@njit(cache=True)
def report_both(book: Book, events: Matrix, said: int, time: int, first: int, second: int, place: int) -> int:
    """REPORTED of the two sides of a trade in a contract, as far as they are due."""
    orders = book.orders
    for slot in (first, second):
        effect = orders[slot, KIND] >> EFFECT_SHIFT & 7
        said = say_reported(book, events, said, time, orders[slot, ACCOUNT], place, effect)
    return said


@njit(cache=True)
def flush(book: Book, events: Matrix, said: int, time: int, level: int) -> int:
    """LEVEL of the price that the work leaves, if there is one."""
    return say_level(book, events, said, time, level) if level >= 0 else said

"""Calendar spreads: prices implied in and out, and trades in which three orders meet (§2.5). Compiled.

| an order to | may trade at |
|---|---|
| buy the spread | near ask - far bid |
| sell the spread | near bid - far ask |
| buy near | spread ask + far ask |
| sell near | spread bid + far bid |
| buy far | near ask - spread bid |
| sell far | near bid - spread ask |

Only the orders that are first in line imply a price, and only of standing orders: what is implied of an implied price is
not worked. An implied trade is done whole, with all three orders at once, so nobody is left with one leg.
"""

from numba import njit

from ciyuan.basics.rows import FLAG_SHIFT
from ciyuan.exchange.book import (
    ACCOUNT,
    CONTRACT_KIND,
    DAY,
    FAR,
    KIND,
    LEFT,
    LEVEL_LOTS,
    LOWER,
    NEAR,
    NUMBER,
    PLACE_SHIFT,
    PRICE,
    SETTLEMENT,
    SHOWN,
    SPREADS,
    STATE,
    TRADES,
    UPPER,
    Book,
    Matrix,
)
from ciyuan.exchange.messages import ExchangeEvent, SessionState
from ciyuan.exchange.saying import say, say_filled, say_reloaded
from ciyuan.exchange.standing import (
    LEG,
    SPREAD,
    TAKER,
    done_flag,
    fill_of,
    first_of,
    flush,
    in_band,
    leave,
    level_of,
    note_trade,
    reduce_standing,
    reduce_taker,
    report_both,
)

CONTINUOUS = int(SessionState.CONTINUOUS)
SPREAD_TRADED = int(ExchangeEvent.SPREAD_TRADED)
NOTHING = -1


@njit(cache=True)
def best_implied(book: Book, time: int, slot: int) -> tuple[int, int, int]:
    """What is implied for an order: the spread it goes through (its place, NOTHING if none), price and lots."""
    kind = book.orders[slot, KIND]
    place, sell = kind >> PLACE_SHIFT, kind & 1
    if book.markets[place, CONTRACT_KIND] == SPREAD:
        return _implied_in(book, time, slot, place, sell)
    found, best, lots = NOTHING, 0, 0
    if book.markets[place, SPREADS]:
        for spread in range(len(book.markets)):
            if book.markets[spread, NEAR] == place or book.markets[spread, FAR] == place:
                price, some = _implied_out(book, time, slot, spread, place, sell)
                if some and (found < 0 or (price > best if sell else price < best)):
                    found, best, lots = spread, price, some
    return found, best, lots


@njit(cache=True)
def legs_trade(book: Book, spread: int) -> bool:
    """Whether a spread and both its legs are in continuous trading."""
    markets = book.markets
    near, far = markets[spread, NEAR], markets[spread, FAR]
    together: bool = markets[spread, STATE] == markets[near, STATE] == markets[far, STATE] == CONTINUOUS
    return together and markets[spread, DAY] == markets[near, DAY] == markets[far, DAY]


@njit(cache=True)
def _implied_in(book: Book, time: int, slot: int, spread: int, sell: int) -> tuple[int, int, int]:
    """Near and far orders for an order in the spread."""
    orders, markets = book.orders, book.markets
    if not legs_trade(book, spread):
        return NOTHING, 0, 0
    near, far = markets[spread, NEAR], markets[spread, FAR]
    first, second = first_of(book, near, 1 - sell), first_of(book, far, sell)
    if first == 0 or second == 0:
        return NOTHING, 0, 0
    account = orders[slot, ACCOUNT]
    if orders[first, ACCOUNT] == account or orders[second, ACCOUNT] == account:
        return NOTHING, 0, 0
    if not (
        in_band(book, near, time, orders[first, PRICE]) and in_band(book, far, time, orders[second, PRICE])
    ):
        return NOTHING, 0, 0
    lots = min(orders[slot, LEFT], orders[first, SHOWN], orders[second, SHOWN])
    return spread, orders[first, PRICE] - orders[second, PRICE], lots


@njit(cache=True)
def _implied_out(book: Book, time: int, slot: int, spread: int, place: int, sell: int) -> tuple[int, int]:
    """Price and lots (0 if none) of an order in one leg, through a spread order and an order in the other leg."""
    orders, markets = book.orders, book.markets
    if not legs_trade(book, spread):
        return 0, 0
    through, other, other_place = _behind(book, spread, place, sell)
    if through == 0 or other == 0:
        return 0, 0
    if (
        orders[through, ACCOUNT] == orders[slot, ACCOUNT]
        or orders[through, ACCOUNT] == orders[other, ACCOUNT]
    ):
        return 0, 0
    if place == markets[spread, NEAR]:
        price = orders[through, PRICE] + orders[other, PRICE]
    else:
        price = orders[other, PRICE] - orders[through, PRICE]
    if price < markets[place, LOWER] or price > markets[place, UPPER]:
        return 0, 0
    if not (in_band(book, place, time, price) and in_band(book, other_place, time, orders[other, PRICE])):
        return 0, 0
    return price, min(orders[slot, LEFT], orders[through, SHOWN], orders[other, SHOWN])


@njit(cache=True)
def _behind(book: Book, spread: int, place: int, sell: int) -> tuple[int, int, int]:
    """The first spread order, the first order of the other leg, and that leg, for an order in `place`."""
    near, far = book.markets[spread, NEAR], book.markets[spread, FAR]
    if place == near:
        return first_of(book, spread, 1 - sell), first_of(book, far, 1 - sell), far
    return first_of(book, spread, sell), first_of(book, near, 1 - sell), near


@njit(cache=True)
def _pair(
    book: Book,
    events: Matrix,
    said: int,
    time: int,
    place: int,
    price: int,
    lots: int,
    first: int,
    first_flags: int,
    second: int,
    second_flags: int,
    reloaded: bool,
) -> int:
    """One leg's two FILLED rows, and what follows them. The flags name side, LEG and TAKER; `reloaded`: the first order was."""
    said = say_filled(
        book, events, said, first_flags | done_flag(book, first), time, first, place, price, lots
    )
    said = say_filled(
        book, events, said, second_flags | done_flag(book, second), time, second, place, price, lots
    )
    said = report_both(book, events, said, time, first, second, place)
    if reloaded:
        said = say_reloaded(book, events, said, time, first)
    return said


@njit(cache=True)
def trade_implied(
    book: Book, events: Matrix, said: int, time: int, slot: int, spread: int, price: int, lots: int
) -> int:
    """Trade an arriving order at an implied price. Returns the events' count."""
    place = book.orders[slot, KIND] >> PLACE_SHIFT
    if place == spread:
        return _trade_in(book, events, said, time, slot, spread, lots)
    return _trade_out(book, events, said, time, slot, spread, place, price, lots)


@njit(cache=True)
def _trade_in(book: Book, events: Matrix, said: int, time: int, slot: int, spread: int, lots: int) -> int:
    orders, markets, trades = book.orders, book.markets, book.scalars[TRADES]
    sell = orders[slot, KIND] & 1
    near, far = markets[spread, NEAR], markets[spread, FAR]
    first, second = first_of(book, near, 1 - sell), first_of(book, far, sell)
    near_price, far_price = orders[first, PRICE], orders[second, PRICE]
    fill_of(book, first, near, 1 - sell, lots, near_price)
    fill_of(book, slot, near, sell, lots, near_price)
    fill_of(book, second, far, sell, lots, far_price)
    fill_of(book, slot, far, 1 - sell, lots, far_price)
    near_level, near_again = reduce_standing(book, first, lots)
    far_level, far_again = reduce_standing(book, second, lots)
    reduce_taker(book, slot, lots)
    book.scalars[TRADES] = trades + 1
    said = _pair(
        book, events, said, time, near, near_price, lots, first, 1 - sell, slot, sell | LEG | TAKER, near_again
    )  # fmt: skip
    book.scalars[TRADES] = trades + 2
    said = _pair(
        book, events, said, time, far, far_price, lots, second, sell, slot, (1 - sell) | LEG | TAKER, far_again
    )  # fmt: skip
    note_trade(markets, book.minutes, near, time, near_price, lots)
    note_trade(markets, book.minutes, far, time, far_price, lots)
    said = _say_spread(
        book, events, said, time, spread, sell, near_price - far_price, lots, trades + 1, trades + 2
    )
    said = flush(book, events, said, time, near_level)
    return flush(book, events, said, time, far_level)


@njit(cache=True)
def _trade_out(
    book: Book,
    events: Matrix,
    said: int,
    time: int,
    slot: int,
    spread: int,
    place: int,
    price: int,
    lots: int,
) -> int:
    orders, markets, trades = book.orders, book.markets, book.scalars[TRADES]
    sell = orders[slot, KIND] & 1
    through, other, other_place = _behind(book, spread, place, sell)
    other_sells, other_price = orders[other, KIND] & 1, orders[other, PRICE]
    spread_sells = orders[through, KIND] & 1
    fill_of(book, through, place, 1 - sell, lots, price)
    fill_of(book, slot, place, sell, lots, price)
    fill_of(book, other, other_place, other_sells, lots, other_price)
    fill_of(book, through, other_place, 1 - other_sells, lots, other_price)
    spread_level, _ = reduce_standing(book, through, lots)
    other_level, again = reduce_standing(book, other, lots)
    reduce_taker(book, slot, lots)
    book.scalars[TRADES] = trades + 1
    said = _pair(
        book, events, said, time, place, price, lots, through, (1 - sell) | LEG, slot, sell | TAKER, False
    )
    book.scalars[TRADES] = trades + 2
    said = _pair(
        book, events, said, time, other_place, other_price, lots, other, other_sells, through,
        (1 - other_sells) | LEG | TAKER, again,
    )  # fmt: skip
    note_trade(markets, book.minutes, place, time, price, lots)
    note_trade(markets, book.minutes, other_place, time, other_price, lots)
    of_spread = price - other_price if place == markets[spread, NEAR] else other_price - price
    near_trade, far_trade = trades + 1, trades + 2
    if place != markets[spread, NEAR]:
        near_trade, far_trade = far_trade, near_trade
    said = _say_spread(book, events, said, time, spread, spread_sells, of_spread, lots, near_trade, far_trade)
    said = flush(book, events, said, time, spread_level)
    return flush(book, events, said, time, other_level)


@njit(cache=True)
def _say_spread(
    book: Book,
    events: Matrix,
    said: int,
    time: int,
    spread: int,
    sell: int,
    price: int,
    lots: int,
    near_trade: int,
    far_trade: int,
) -> int:
    """SPREAD_TRADED, at the legs' difference."""
    kind, number = SPREAD_TRADED | sell << FLAG_SHIFT, book.markets[spread, NUMBER]
    return say(events, said, kind, time, number, price, lots, near_trade, far_trade, 0)


@njit(cache=True)
def trade_spreads(
    book: Book, events: Matrix, said: int, time: int, maker: int, taker: int, lots: int, price: int
) -> int:
    """Two spread orders trade, leg by leg, at prices that nobody named (§2.5): they count in no figure."""
    orders, markets, trades = book.orders, book.markets, book.scalars[TRADES]
    spread, sell = orders[taker, KIND] >> PLACE_SHIFT, orders[taker, KIND] & 1
    near, far = markets[spread, NEAR], markets[spread, FAR]
    lowest = max(markets[far, LOWER], markets[near, LOWER] - price)
    highest = min(markets[far, UPPER], markets[near, UPPER] - price)
    far_price = max(lowest, min(highest, markets[far, SETTLEMENT]))
    near_price = far_price + price
    for leg in range(2):
        place, at, sells = (near, near_price, sell) if leg == 0 else (far, far_price, 1 - sell)
        fill_of(book, maker, place, 1 - sells, lots, at)
        fill_of(book, taker, place, sells, lots, at)
    reduce_standing(book, maker, lots)
    reduce_taker(book, taker, lots)
    for leg in range(2):
        place, at, sells = (near, near_price, sell) if leg == 0 else (far, far_price, 1 - sell)
        book.scalars[TRADES] = trades + 1 + leg
        said = _pair(
            book, events, said, time, place, at, lots, maker, (1 - sells) | LEG, taker, sells | LEG | TAKER, False
        )  # fmt: skip
    return _say_spread(book, events, said, time, spread, sell, price, lots, trades + 1, trades + 2)


@njit(cache=True)
def sweep_spreads(book: Book, events: Matrix, said: int, time: int, place: int) -> int:
    """When a contract enters continuous trading: spread orders that implied prices have come to cross trade with them
    (rule 49).
    """
    markets = book.markets
    for spread in range(len(markets)):
        mine = spread == place or markets[spread, NEAR] == place or markets[spread, FAR] == place
        if markets[spread, CONTRACT_KIND] == SPREAD and mine and legs_trade(book, spread):
            for side in range(2):
                said = _sweep(book, events, said, time, spread, side)
    return said


@njit(cache=True)
def _sweep(book: Book, events: Matrix, said: int, time: int, spread: int, side: int) -> int:
    orders = book.orders
    while True:
        slot = first_of(book, spread, side)
        if slot == 0:
            return said
        found, price, lots = _implied_in(book, time, slot, spread, side)
        if found < 0 or (price < orders[slot, PRICE] if side else price > orders[slot, PRICE]):
            return said
        level = level_of(book, slot)
        if lots == orders[slot, LEFT]:
            leave(book, slot)
        else:
            book.levels[level, LEVEL_LOTS] -= lots
        said = _trade_in(book, events, said, time, slot, spread, lots)
        said = flush(book, events, said, time, level)

"""Matching alone, with the exchange's own ladder: bare rows in, trades out, nothing asked and nothing told.

It does what `reference/ladder.cpp` does, with the primitives of `ciyuan.exchange.ladder`, on arrays laid out like those of
`ciyuan.exchange.book`, but for the orders' rows: only their first 64 bytes are needed here, and a slot is used again.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.exchange_flow import BUY, CANCEL, KIND, LOTS, ORDER, SELL, TICK, TICKS, Bare, Words
from ciyuan.exchange.book import (
    BEST_BUY,
    BEST_SELL,
    HEAD,
    LADDERS,
    LEVEL_LOTS,
    MARKET_WORDS,
    NEXT,
    NONE_HIGH,
    NONE_LOW,
)
from ciyuan.exchange.ladder import seat, unseat
from ciyuan.exchange.tables import table

Matrix: TypeAlias = NDArray[np.int64]
Slots: TypeAlias = NDArray[np.int32]
LOW_WORDS = TICKS // 64
MID = -(-LOW_WORDS // 64)
WORDS = 1 + MID + LOW_WORDS
LEFT, SIDE, AT_TICK, _NEXT, _PREV, NUMBER = range(6)
"""Columns of `orders`; NEXT and PREV are where the ladder has them."""
FREE, FRESH, TRADED = range(3)
"""Places in `counts`."""


class BareBook(NamedTuple):
    """The arrays of one contract's ladder; `slot_of` finds an order by its number."""

    orders: Matrix
    levels: Matrix
    bits: Words
    markets: Matrix
    slot_of: Slots
    trades: Matrix
    counts: Words


def bare_book(orders: int) -> BareBook:
    """An empty ladder with room for so many orders, all of its memory touched."""
    book = BareBook(
        orders=np.full((orders + 1, 8), 0, dtype=np.int64),
        levels=np.full((LADDERS * TICKS, 4), 0, dtype=np.int64),
        bits=np.zeros(LADDERS * WORDS, dtype=np.int64),
        markets=np.zeros((1, MARKET_WORDS), dtype=np.int64),
        slot_of=np.full(orders + 1, 0, dtype=np.int32),
        trades=np.full((2 * orders + 1, 4), 0, dtype=np.int64),
        counts=np.array([0, 1, 0], dtype=np.int64),
    )
    book.markets[0, BEST_BUY], book.markets[0, BEST_SELL] = NONE_LOW, NONE_HIGH
    return book


@njit(cache=True)
def play(
    rows: Bare, orders: Matrix, levels: Matrix, bits: Words, markets: Matrix, slot_of: Slots, trades: Matrix, counts: Words
) -> None:  # fmt: skip
    """Match every row, in one loop; the arrays are those of a `BareBook`."""
    orders, levels, bits, markets = table(orders, 8), table(levels, 4), table(bits, 1), table(markets, 80)
    slot_of, trades, rows = table(slot_of, 1), table(trades, 4), table(rows, 4)
    free, fresh, traded = counts[FREE], counts[FRESH], counts[TRADED]
    for at in range(len(rows)):
        kind, number = rows[at, KIND], rows[at, ORDER]
        slot, side, tick, left = 0, int(kind), int(rows[at, TICK]), int(rows[at, LOTS])
        if kind > SELL:
            slot = int(slot_of[number])
            if slot == 0:
                continue
            side, left, old = orders[slot, SIDE], orders[slot, LEFT], orders[slot, AT_TICK]
            unseat(orders, levels, bits, markets, 0, side, old, slot, left, TICKS, MID, WORDS)
            if kind == CANCEL:
                left = 0
        other = 1 - side
        while left > 0:
            best = markets[0, BEST_BUY + other]
            if (side == BUY and best > tick) or (side != BUY and best < tick):
                break
            level = other * TICKS + best
            maker = levels[level, HEAD]
            lots = min(left, orders[maker, LEFT])
            trades[traded, 0], trades[traded, 1] = orders[maker, NUMBER], number
            trades[traded, 2], trades[traded, 3] = best, lots
            traded += 1
            left -= lots
            if lots == orders[maker, LEFT]:
                unseat(orders, levels, bits, markets, 0, other, best, maker, lots, TICKS, MID, WORDS)
                slot_of[orders[maker, NUMBER]] = 0
                orders[maker, NEXT] = free
                free = maker
            else:
                orders[maker, LEFT] -= lots
                levels[level, LEVEL_LOTS] -= lots
        if left > 0:
            if slot == 0:
                slot = free
                if free != 0:
                    free = orders[slot, NEXT]
                else:
                    slot = fresh
                    fresh += 1
                orders[slot, NUMBER], orders[slot, SIDE] = number, side
                slot_of[number] = slot
            orders[slot, LEFT], orders[slot, AT_TICK] = left, tick
            seat(orders, levels, bits, markets, 0, side, tick, slot, left, TICKS, MID, WORDS)
        elif slot != 0:
            slot_of[number] = 0
            orders[slot, NEXT] = free
            free = slot
    counts[FREE], counts[FRESH], counts[TRADED] = free, fresh, traded

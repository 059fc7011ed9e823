"""The ladder: orders in time priority at every tick, and which ticks have any. The primitives that all matching is made of.

A tick's orders are a doubly linked list of slots. Which ticks have orders is kept in bits on three levels of 64, so the next tick
after any is found in at most five steps, however empty the ladder; the best one is kept in the contract's row.

Everything here is inlined as source into the compiled loops (`inline="always"`, one exit each): a call would count references to
the arrays it is handed, which costs several times the work itself.

`row` is the ladder's number, contract x 4 + ladder; `ticks`, `mid` and `words` are TICKS, MID_WORDS and LADDER_WORDS of the book.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ciyuan.exchange.book import (
    BEST_BUY,
    HEAD,
    LADDERS,
    LEVEL_LOTS,
    LEVEL_ORDERS,
    NEXT,
    NONE_HIGH,
    NONE_LOW,
    PREV,
    TAIL,
    Matrix,
    Words,
)


@intrinsic
def lowest_bit(typing_context: Any, word: Any) -> Any:
    """The place of the lowest bit set in an int64 that is not 0."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


@intrinsic
def highest_bit(typing_context: Any, word: Any) -> Any:
    """The place of the highest bit set in an int64 that is not 0."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        zeros = builder.ctlz(values[0], ir.Constant(ir.IntType(1), 1))
        return builder.sub(zeros.type(63), zeros)

    return types.int64(types.int64), generate


@njit(cache=True, inline="always")
def next_above(bits: Words, row: int, mid: int, words: int, tick: int) -> int:
    """The lowest tick with orders over `tick`; NONE_HIGH if there is none."""
    top = row * words
    low = top + 1 + mid
    place = tick >> 6
    found = NONE_HIGH
    word = bits[low + place] & (-2 << (tick & 63))
    if word == 0:
        part = place >> 6
        word = bits[top + 1 + part] & (-2 << (place & 63))
        if word == 0:
            word = bits[top] & (-2 << part)
            if word != 0:
                part = lowest_bit(word)
                word = bits[top + 1 + part]
        if word != 0:
            place = part << 6 | lowest_bit(word)
            word = bits[low + place]
    if word != 0:
        found = place << 6 | lowest_bit(word)
    return found


@njit(cache=True, inline="always")
def next_below(bits: Words, row: int, mid: int, words: int, tick: int) -> int:
    """The highest tick with orders under `tick`; NONE_LOW if there is none."""
    top = row * words
    low = top + 1 + mid
    place = tick >> 6
    found = NONE_LOW
    word = bits[low + place] & ((1 << (tick & 63)) - 1)
    if word == 0:
        part = place >> 6
        word = bits[top + 1 + part] & ((1 << (place & 63)) - 1)
        if word == 0:
            word = bits[top] & ((1 << part) - 1)
            if word != 0:
                part = highest_bit(word)
                word = bits[top + 1 + part]
        if word != 0:
            place = part << 6 | highest_bit(word)
            word = bits[low + place]
    if word != 0:
        found = place << 6 | highest_bit(word)
    return found


@njit(cache=True, inline="always")
def seat(
    orders: Matrix,
    levels: Matrix,
    bits: Words,
    markets: Matrix,
    place: int,
    ladder: int,
    tick: int,
    slot: int,
    shown: int,
    ticks: int,
    mid: int,
    words: int,
) -> int:
    """Put an order last at a tick of a ladder of a contract. Returns the level's row."""
    row = place * LADDERS + ladder
    level = row * ticks + tick
    tail = levels[level, TAIL]
    orders[slot, NEXT] = 0
    orders[slot, PREV] = tail
    levels[level, TAIL] = slot
    levels[level, LEVEL_LOTS] += shown
    levels[level, LEVEL_ORDERS] += 1
    if tail != 0:
        orders[tail, NEXT] = slot
    else:
        levels[level, HEAD] = slot
        at = row * words
        part = tick >> 6
        bits[at + 1 + mid + part] |= 1 << (tick & 63)
        bits[at + 1 + (part >> 6)] |= 1 << (part & 63)
        bits[at] |= 1 << (part >> 6)
        best = markets[place, BEST_BUY + ladder]
        rising = ladder == 1 or ladder == 2
        if (rising and tick < best) or (not rising and tick > best):
            markets[place, BEST_BUY + ladder] = tick
    return level


@njit(cache=True, inline="always")
def unseat(
    orders: Matrix,
    levels: Matrix,
    bits: Words,
    markets: Matrix,
    place: int,
    ladder: int,
    tick: int,
    slot: int,
    shown: int,
    ticks: int,
    mid: int,
    words: int,
) -> int:
    """Take an order, with the lots it shows, out of its tick. Returns the level's row."""
    row = place * LADDERS + ladder
    level = row * ticks + tick
    after, before = orders[slot, NEXT], orders[slot, PREV]
    levels[level, LEVEL_LOTS] -= shown
    levels[level, LEVEL_ORDERS] -= 1
    if before != 0:
        orders[before, NEXT] = after
    else:
        levels[level, HEAD] = after
    if after != 0:
        orders[after, PREV] = before
    else:
        levels[level, TAIL] = before
    if before == 0 and after == 0:
        at = row * words
        part = tick >> 6
        bits[at + 1 + mid + part] &= ~(1 << (tick & 63))
        if bits[at + 1 + mid + part] == 0:
            bits[at + 1 + (part >> 6)] &= ~(1 << (part & 63))
            if bits[at + 1 + (part >> 6)] == 0:
                bits[at] &= ~(1 << (part >> 6))
        if markets[place, BEST_BUY + ladder] == tick:
            rising = ladder == 1 or ladder == 2
            if rising:
                markets[place, BEST_BUY + ladder] = next_above(bits, row, mid, words, tick)
            else:
                markets[place, BEST_BUY + ladder] = next_below(bits, row, mid, words, tick)
    return level

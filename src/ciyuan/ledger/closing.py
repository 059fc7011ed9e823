"""CLOSE, compiled: which keys are closed, and how their rows are forgotten.

What is forgotten makes room at once: the rows that are kept move together in their order, and index and heap are made anew
for them, in the arrays that are there. The cost is that of the rows there were, kept and forgotten, however much room there is.
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, KIND
from ciyuan.ledger.book import (
    CLOSED,
    CLOSED_COUNT,
    HEAP_EXPIRY,
    HEAP_TRANSFER,
    RANGE_END,
    RANGE_FIRST,
    SCALARS,
    SLOT_BITS,
    Matrix,
    Slots,
    Words,
)
from ciyuan.ledger.expiries import order_all
from ciyuan.ledger.messages import CLOSED_RANGES_MAX, KEY, Command, Refusal
from ciyuan.ledger.slots import empty_all, index_all, seek

WITHIN = -1
"""Said of a range every key of which is closed already."""


@njit(cache=True, inline="always")
def closed_below(scalars: Words) -> int:
    """The end of the last closed range, from which on no key is closed; 0 if there is none. Inlined as source."""
    return scalars[CLOSED + 2 * scalars[CLOSED_COUNT] - 1] if scalars[CLOSED_COUNT] > 0 else 0


@njit(cache=True, inline="always")
def is_closed(scalars: Words, key: int) -> bool:
    """Whether a key lies in a closed range. Inlined as source."""
    found = False
    for place in range(CLOSED, SCALARS, 2):
        found |= scalars[place] <= key < scalars[place + 1]
    return found


@njit(cache=True)
def close_keys(
    transfers: Matrix,
    held: Words,
    slots: Slots,
    heap: Matrix,
    scalars: Words,
    count: int,
    heap_size: int,
    first: int,
    end: int,
    chained: bool,
) -> tuple[int, int, int]:
    """Close the keys from `first` to before `end` in a book of `count` transfers and `heap_size` entries in its heap.

    Returns the refusal or 0; how many transfers were forgotten, or WITHIN; and how many entries the heap has then.
    """
    closed = scalars[CLOSED:].reshape(-1, 2)
    fault = _fault_of_range(closed, scalars[CLOSED_COUNT], first, end)
    rows = 0 if fault != 0 else _rows_within(transfers, held, count, first, end)
    if rows < 0:
        fault = Refusal.PENDING_IN_RANGE
    if fault > 0:
        return fault, 0, heap_size
    if chained:
        return Refusal.CLOSE_IN_CHAIN, 0, heap_size
    if fault == WITHIN:
        return 0, WITHIN, heap_size
    scalars[CLOSED_COUNT] = _enter(closed, scalars[CLOSED_COUNT], first, end)
    if rows > 0:
        heap_size = _forget(transfers, held, slots, heap, scalars[SLOT_BITS], count, heap_size, first, end)
    return 0, rows, heap_size


@njit(cache=True)
def _fault_of_range(closed: Matrix, closed_count: int, first: int, end: int) -> int:
    """A refusal, WITHIN, or 0."""
    touching = 0
    for place in range(closed_count):
        if closed[place, RANGE_FIRST] <= first and end <= closed[place, RANGE_END]:
            return WITHIN
        if closed[place, RANGE_FIRST] < end and first < closed[place, RANGE_END]:
            return Refusal.RANGE_OVERLAPS
        touching += closed[place, RANGE_END] == first or closed[place, RANGE_FIRST] == end
    return Refusal.RANGES_FULL if closed_count - touching == CLOSED_RANGES_MAX else 0


@njit(cache=True)
def _rows_within(transfers: Matrix, held: Words, count: int, first: int, end: int) -> int:
    """How many transfers have a key in the range; -1 if one of them is a hold that is pending."""
    rows = 0
    for index in range(count):
        if first <= transfers[index, KEY] < end:
            if held[index] > 0 and transfers[index, KIND] & CODE_MASK == Command.HOLD:
                return -1
            rows += 1
    return rows


@njit(cache=True)
def _enter(closed: Matrix, closed_count: int, first: int, end: int) -> int:
    """Enter a range in its place, one with those that it touches; returns how many there are then."""
    apart = 0
    for place in range(closed_count):
        from_key, to_key = closed[place, RANGE_FIRST], closed[place, RANGE_END]
        if to_key == first:
            first = from_key
        elif from_key == end:
            end = to_key
        else:
            closed[apart, RANGE_FIRST], closed[apart, RANGE_END] = from_key, to_key
            apart += 1
    closed[apart:] = 0
    place = apart
    while place > 0 and closed[place - 1, RANGE_FIRST] > first:
        closed[place] = closed[place - 1]
        place -= 1
    closed[place, RANGE_FIRST], closed[place, RANGE_END] = first, end
    return apart + 1


@njit(cache=True)
def _forget(
    transfers: Matrix,
    held: Words,
    slots: Slots,
    heap: Matrix,
    bits: int,
    count: int,
    heap_size: int,
    first: int,
    end: int,
) -> int:
    """Take out the transfers with a key in the range, none of which is a pending hold; returns the heap's new size.

    While transfers move, the heap names its holds by key. Keys do not order it, but it is put in order only afterwards.
    """
    empty_all(transfers, count, slots, bits)
    pending = kept = 0
    for entry in range(heap_size):
        index = heap[entry, HEAP_TRANSFER]
        if held[index] > 0:
            heap[pending, HEAP_EXPIRY] = heap[entry, HEAP_EXPIRY]
            heap[pending, HEAP_TRANSFER] = transfers[index, KEY]
            pending += 1
    for index in range(count):
        if not first <= transfers[index, KEY] < end:
            if kept < index:
                transfers[kept], held[kept] = transfers[index], held[index]
            kept += 1
    index_all(transfers, kept, slots, bits)
    for entry in range(pending):
        _, index = seek(transfers, slots, bits, heap[entry, HEAP_TRANSFER])
        heap[entry, HEAP_TRANSFER] = index
    order_all(heap, pending)
    return pending

"""How a meter's arrays come to be, get more room, and turn into a snapshot's parts and back.

Room doubles, so that a row costs the same on average however many there are. An index has twice as many slots as its
table has rows. Before the heap grows, entries of holds that have ended are dropped: its size follows the holds that
are pending.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ciyuan.basics.rows import CODE_MASK, KIND
from ciyuan.gateway.book import (
    BLOCK_COUNT,
    BOOK_BITS,
    BOOK_COUNT,
    BOOK_KEY,
    HEAP_SIZE,
    LEGS_COUNT,
    LIMIT,
    LIMIT_BITS,
    LIMIT_COUNT,
    LIST_COUNT,
    PARTY_BITS,
    PARTY_COUNT,
    PARTY_KEY,
    REQUEST,
    REQUEST_BITS,
    REQUEST_COUNT,
    SCALARS,
    SPENDER,
    SPENDER_BITS,
    SPENDER_COUNT,
    STATUS,
    STEPS_OF_BLOCK,
    Matrix,
    MeterBook,
    Slots,
)
from ciyuan.gateway.lookup import index_all
from ciyuan.gateway.messages import MeterCommand, RequestState

FIRST_ROOM = 64
"""Rows that each table of a new book has room for."""
HEAP_ROOM = 1024
"""Entries that a heap has room for when it is made anew: that is done when it is full, and few holds are pending at a time."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the book: where `scalars` counts its entries, which command adds one, its columns, how many rows an entry has;
    and if it has an index, its name, its key's column and where `scalars` keeps its width."""

    count: int
    command: MeterCommand
    columns: int
    rows: int = 1
    slots: str = ""
    key: int = 0
    bits: int = 0


TABLES = {
    "parties": Table(PARTY_COUNT, MeterCommand.ENROL, 9, 1, "party_slots", PARTY_KEY, PARTY_BITS),
    "price_lists": Table(LIST_COUNT, MeterCommand.PRICES, 10),
    "books": Table(BOOK_COUNT, MeterCommand.PRICES, 5, 1, "book_slots", BOOK_KEY, BOOK_BITS),
    "requests": Table(REQUEST_COUNT, MeterCommand.HOLD, 8, 1, "request_slots", REQUEST, REQUEST_BITS),
    "deliveries": Table(REQUEST_COUNT, MeterCommand.HOLD, 8),
    "spenders": Table(SPENDER_COUNT, MeterCommand.SPENDER, 14, 1, "spender_slots", SPENDER, SPENDER_BITS),
    "limits": Table(LIMIT_COUNT, MeterCommand.LIMIT, 9, 1, "limit_slots", LIMIT, LIMIT_BITS),
    "leg_steps": Table(BLOCK_COUNT, MeterCommand.LEG_PRICE, 22, STEPS_OF_BLOCK),
    "leg_counts": Table(LEGS_COUNT, MeterCommand.LEG_USED, 11),
}


def empty_book(entries: Mapping[str, int] | None = None) -> MeterBook:
    """A book at time 0 with nothing in it, but room for at least as many entries of each table as given."""
    scalars = np.zeros(SCALARS, np.int64)
    arrays: dict[str, Matrix | Slots] = {"heap": np.zeros((FIRST_ROOM, 2), np.int64), "scalars": scalars}
    for name, table in TABLES.items():
        room = _room((entries or {}).get(name, 0))
        arrays[name] = np.zeros((table.rows * room, table.columns), np.int64)
        if table.slots:
            arrays[table.slots] = slots = np.zeros(2 * room, np.int32)
            scalars[table.bits] = _bits(slots)
    return MeterBook._make(arrays[name] for name in MeterBook._fields)


def spare(book: MeterBook) -> int:
    """How many rows the book has room for, whatever they are."""
    counts: list[int] = book.scalars.tolist()
    rooms = (len(getattr(book, name)) // table.rows - counts[table.count] for name, table in TABLES.items())
    return min(len(book.heap) - counts[HEAP_SIZE], *rooms)


def grown(book: MeterBook, rows: Matrix) -> MeterBook:
    """The same book with room for what an (n, 8) batch may add: itself if it has it already."""
    if len(rows) <= spare(book):
        return book
    codes = rows[:, KIND] & CODE_MASK
    larger_ones: dict[str, Matrix | Slots] = {}
    for name, table in TABLES.items():
        matrix: Matrix = getattr(book, name)
        count = int(book.scalars[table.count])
        needed = count + int(np.count_nonzero(codes == table.command))
        if table.rows * needed > len(matrix):
            larger_ones[name] = larger = _enlarged(matrix, table.rows * _room(needed))
            if table.slots:
                larger_ones[table.slots] = slots = np.zeros(2 * len(larger), np.int32)
                book.scalars[table.bits] = _bits(slots)
                index_all(larger, count, table.key, slots, _bits(slots))
    if larger_ones:
        book = MeterBook._make(larger_ones.get(name, getattr(book, name)) for name in MeterBook._fields)
    holds = int(np.count_nonzero(codes == MeterCommand.HOLD))
    if book.scalars[HEAP_SIZE] + holds > len(book.heap):
        entries = book.heap[: int(book.scalars[HEAP_SIZE])]
        held = book.requests[entries[:, 1], STATUS] & CODE_MASK == RequestState.HELD
        book = with_heap(book, entries[held], holds)
    return book


def with_heap(book: MeterBook, entries: Matrix, more: int) -> MeterBook:
    """With `entries` (n, 2) as the heap (what is sorted is a heap) and room for `more`."""
    heap = np.zeros((_room(max(HEAP_ROOM, 2 * len(entries) + more)), 2), np.int64)
    heap[: len(entries)] = entries[np.lexsort((entries[:, 1], entries[:, 0]))]
    book.scalars[HEAP_SIZE] = len(entries)
    return book._replace(heap=heap)


def _enlarged(table: Matrix, room: int) -> Matrix:
    larger = np.zeros((room, table.shape[1]), np.int64)
    larger[: len(table)] = table
    return larger


def _bits(slots: Slots) -> int:
    return len(slots).bit_length() - 1


def _room(rows: int) -> int:
    """The power of two that holds `rows`, FIRST_ROOM at least."""
    return max(FIRST_ROOM, 1 << (rows - 1).bit_length()) if rows > 0 else FIRST_ROOM

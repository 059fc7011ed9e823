"""How a meter's arrays come to be, get more room, and turn into a snapshot's parts and back.

Room doubles, so that a row costs the same on average however many there are. An index has twice as many slots as its
table has rows. Before the heap grows, entries of holds that have ended are dropped: its size follows the holds that
are pending.
"""

from collections.abc import Mapping

import numpy as np

from ciyuan.basics.rows import CODE_MASK, KIND
from ciyuan.gateway.book import (
    BOOK_BITS,
    BOOK_COUNT,
    BOOK_GRADE,
    BOOK_KEY,
    BOOK_SUPPLIER,
    CLOCK,
    EXPIRES_NS,
    GRADE,
    HEAP_SIZE,
    LATEST,
    LIST_COUNT,
    NUMBER,
    OLDER,
    PARTY_BITS,
    PARTY_COUNT,
    PARTY_KEY,
    REQUEST,
    REQUEST_BITS,
    REQUEST_COUNT,
    ROLE,
    STATUS,
    SUPPLIER,
    VALID_FROM,
    Matrix,
    MeterBook,
    Slots,
)
from ciyuan.gateway.edge import PART_WIDTHS
from ciyuan.gateway.lookup import index_all
from ciyuan.gateway.messages import MeterCommand, RequestState

FIRST_ROOM = 64
"""Rows that each table of a new book has room for."""
PARTS = {
    "parties": PARTY_COUNT,
    "price_lists": LIST_COUNT,
    "books": BOOK_COUNT,
    "requests": REQUEST_COUNT,
    "deliveries": REQUEST_COUNT,
}
"""The tables of a snapshot, and where `scalars` counts their rows."""


def empty_book(parties: int = 0, lists: int = 0, requests: int = 0) -> MeterBook:
    """A book at time 0 with nothing in it, but room for at least as many as given."""
    party_room, list_room, request_room = _room(parties), _room(lists), _room(requests)
    scalars = np.zeros(9, np.int64)
    scalars[[PARTY_BITS, BOOK_BITS, REQUEST_BITS]] = [
        (2 * room).bit_length() - 1 for room in (party_room, list_room, request_room)
    ]
    return MeterBook(
        parties=np.zeros((party_room, 9), np.int64),
        price_lists=np.zeros((list_room, 9), np.int64),
        books=np.zeros((list_room, 5), np.int64),
        requests=np.zeros((request_room, 8), np.int64),
        deliveries=np.zeros((request_room, 4), np.int64),
        party_slots=np.zeros(2 * party_room, np.int32),
        book_slots=np.zeros(2 * list_room, np.int32),
        request_slots=np.zeros(2 * request_room, np.int32),
        heap=np.zeros((FIRST_ROOM, 2), np.int64),
        scalars=scalars,
    )


def grown(book: MeterBook, rows: Matrix) -> MeterBook:
    """The same book with room for what an (n, 8) batch may add: itself if it has it already."""
    _, parties, lists, owners, requests, timed, *_ = book.scalars.tolist()
    rooms = (len(book.parties) - parties, len(book.price_lists) - lists, len(book.books) - owners)
    if len(rows) <= min(*rooms, len(book.requests) - requests, len(book.heap) - timed):
        return book
    codes = rows[:, KIND] & CODE_MASK
    parties, lists, holds = (
        int(np.count_nonzero(codes == code))
        for code in (MeterCommand.ENROL, MeterCommand.PRICES, MeterCommand.HOLD)
    )
    scalars = book.scalars
    if scalars[PARTY_COUNT] + parties > len(book.parties):
        table, slots = _indexed(book.parties, int(scalars[PARTY_COUNT]), parties, PARTY_KEY)
        scalars[PARTY_BITS] = _bits(slots)
        book = book._replace(parties=table, party_slots=slots)
    if scalars[LIST_COUNT] + lists > len(book.price_lists):
        book = book._replace(price_lists=_enlarged(book.price_lists, _room(int(scalars[LIST_COUNT]) + lists)))
    if scalars[BOOK_COUNT] + lists > len(book.books):
        table, slots = _indexed(book.books, int(scalars[BOOK_COUNT]), lists, BOOK_KEY)
        scalars[BOOK_BITS] = _bits(slots)
        book = book._replace(books=table, book_slots=slots)
    if scalars[REQUEST_COUNT] + holds > len(book.requests):
        table, slots = _indexed(book.requests, int(scalars[REQUEST_COUNT]), holds, REQUEST)
        scalars[REQUEST_BITS] = _bits(slots)
        book = book._replace(
            requests=table, request_slots=slots, deliveries=_enlarged(book.deliveries, len(table))
        )
    if scalars[HEAP_SIZE] + holds > len(book.heap):
        book = _with_more_heap(book, holds)
    return book


def parts_of(book: MeterBook) -> dict[str, Matrix]:
    """The parts of a snapshot: what is not derived from the rest."""
    parts = {
        name: np.ascontiguousarray(getattr(book, name)[: int(book.scalars[count]), : PART_WIDTHS[name]])
        for name, count in PARTS.items()
    }
    copied = {name: part.copy() if part.base is not None else part for name, part in parts.items()}
    return copied | {"clock": book.scalars[CLOCK : CLOCK + 1].reshape(1, 1).copy()}


def book_of(parts: Mapping[str, Matrix]) -> MeterBook:
    """The book of a snapshot's parts, which are right (`edge.checked_parts`): indexes, chains and heap are derived."""
    book = empty_book(len(parts["parties"]), len(parts["price_lists"]), len(parts["requests"]))
    for name, count in PARTS.items():
        getattr(book, name)[: len(parts[name]), : PART_WIDTHS[name]] = parts[name]
        book.scalars[count] = len(parts[name])
    book.scalars[CLOCK] = parts["clock"][0, 0]
    book.parties[:, PARTY_KEY] = book.parties[:, ROLE] << 32 | book.parties[:, NUMBER]
    book.books[:, BOOK_KEY] = book.books[:, BOOK_SUPPLIER] << 16 | book.books[:, BOOK_GRADE]
    for table, column, slots in (
        (book.parties[: len(parts["parties"])], PARTY_KEY, book.party_slots),
        (book.books[: len(parts["books"])], BOOK_KEY, book.book_slots),
        (book.requests[: len(parts["requests"])], REQUEST, book.request_slots),
    ):
        index_all(table, len(table), column, slots, _bits(slots))
    _chain_lists(book)
    timed = (book.requests[:, STATUS] & CODE_MASK == RequestState.HELD) & (book.requests[:, EXPIRES_NS] > 0)
    places = np.flatnonzero(timed)
    return _with_heap(book, np.column_stack((book.requests[places, EXPIRES_NS], places)), 0)


def _chain_lists(book: MeterBook) -> None:
    """Link each list to the next older of its book, and each book to its latest."""
    count = int(book.scalars[LIST_COUNT])
    lists = book.price_lists[:count]
    keys = lists[:, SUPPLIER] << 16 | lists[:, GRADE]
    order = np.lexsort((lists[:, VALID_FROM], keys))
    same = keys[order][1:] == keys[order][:-1]
    lists[order[1:], OLDER] = np.where(same, order[:-1], -1)
    lists[order[:1], OLDER] = -1
    latest = order[np.concatenate((~same, [True]))] if count else order
    place_of = {
        int(key): place for place, key in enumerate(book.books[: int(book.scalars[BOOK_COUNT]), BOOK_KEY])
    }
    for place in latest.tolist():
        book.books[place_of[int(keys[place])], LATEST] = place


def _indexed(table: Matrix, count: int, more: int, column: int) -> tuple[Matrix, Slots]:
    table = _enlarged(table, _room(count + more))
    slots = np.zeros(2 * len(table), np.int32)
    index_all(table, count, column, slots, _bits(slots))
    return table, slots


def _with_more_heap(book: MeterBook, more: int) -> MeterBook:
    entries = book.heap[: int(book.scalars[HEAP_SIZE])]
    held = book.requests[entries[:, 1], STATUS] & CODE_MASK == RequestState.HELD
    return _with_heap(book, entries[held], more)


def _with_heap(book: MeterBook, entries: Matrix, more: int) -> MeterBook:
    """With `entries` (n, 2) as the heap (what is sorted is a heap) and room for `more`."""
    heap = np.zeros((_room(2 * len(entries) + more), 2), np.int64)
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

"""How a book comes to be, gets more room, and turns into a snapshot's parts and back.

Room doubles, so that a row costs the same on average however many there are. The index is made anew at twice the transfers' room.
Before the heap grows, entries of holds that have ended are dropped: its size follows the holds that are pending. What is
forgotten (`closing`) leaves its room to what comes: a ledger whose keys are closed as they come to rest stops growing.
"""

from collections.abc import Mapping

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, KIND, ROW_WORDS, TIME
from ciyuan.ledger.book import (
    ACCOUNT_COUNT,
    CLOCK,
    CLOSED,
    CLOSED_COUNT,
    HEAP_SIZE,
    HEAP_TRANSFER,
    SCALARS,
    SLOT_BITS,
    TRANSFER_COUNT,
    Book,
    Matrix,
)
from ciyuan.ledger.messages import TIMEOUT, Command
from ciyuan.ledger.slots import index_all

FIRST_ROOM = 1024
"""Rows that a new book has room for."""
TRANSFERS_MAX = 2**30
"""Most transfers of one book: the index counts them, and as many slots again, in 32 bits."""


def empty_book(accounts: int = 0, transfers: int = 0) -> Book:
    """A book at time 0, without accounts or transfers but with room for at least as many as given."""
    room = _room(transfers)
    scalars = np.zeros(SCALARS, dtype=np.int64)
    scalars[SLOT_BITS] = (2 * room).bit_length() - 1
    return Book(
        accounts=np.zeros((_room(accounts + 1), ROW_WORDS), dtype=np.int64),
        transfers=np.zeros((room, ROW_WORDS), dtype=np.int64),
        held=np.zeros(room, dtype=np.int64),
        slots=np.zeros(2 * room, dtype=np.int32),
        heap=np.zeros((FIRST_ROOM, 2), dtype=np.int64),
        scalars=scalars,
    )


def grown(book: Book, rows: int) -> Book:
    """The same book with room for `rows` more accounts, transfers and pending holds: itself if it has it already.

    Raises Malformed if the ledger would hold more than TRANSFERS_MAX transfers.
    """
    account_count, count, heap_size, *_ = book.scalars.tolist()
    if account_count + rows >= len(book.accounts):
        book = book._replace(accounts=_enlarged(book.accounts, _room(account_count + rows + 1)))
    if count + rows > len(book.transfers):
        book = _with_more_transfers(book, count, rows)
    if heap_size + rows > len(book.heap):
        book = _with_more_heap(book, rows)
    return book


def closed_ranges(book: Book) -> Matrix:
    """The closed ranges of keys, (n, 2): first and one past the last. A view."""
    return book.scalars[CLOSED : CLOSED + 2 * int(book.scalars[CLOSED_COUNT])].reshape(-1, 2)


def parts_of(book: Book) -> dict[str, Matrix]:
    """The parts of a snapshot: what is not derived from the rest."""
    count = int(book.scalars[TRANSFER_COUNT])
    transfers = book.transfers[:count].copy()
    index = np.flatnonzero((transfers[:, KIND] & CODE_MASK) == Command.HOLD)
    held = book.held[index]
    return {
        "accounts": book.accounts[1 : int(book.scalars[ACCOUNT_COUNT]) + 1].copy(),
        "transfers": transfers,
        "holds": np.column_stack((index, np.maximum(-held, 0), np.maximum(held, 0))),
        "closed": closed_ranges(book).copy(),
        "clock": book.scalars[CLOCK : CLOCK + 1].reshape(1, 1).copy(),
    }


def book_of(parts: Mapping[str, Matrix]) -> Book:
    """The book of a snapshot's parts, which are right (`edge.checked_parts`): index and heap are derived."""
    accounts, transfers, holds, closed = (
        parts["accounts"],
        parts["transfers"],
        parts["holds"],
        parts["closed"],
    )
    book = empty_book(len(accounts), len(transfers))
    book.accounts[1 : len(accounts) + 1] = accounts
    book.transfers[: len(transfers)] = transfers
    index, status, remaining = holds.T
    book.held[index] = np.where(remaining > 0, remaining, -status)
    book.scalars[CLOSED : CLOSED + closed.size] = closed.ravel()
    book.scalars[[ACCOUNT_COUNT, TRANSFER_COUNT, CLOSED_COUNT]] = len(accounts), len(transfers), len(closed)
    book.scalars[CLOCK] = parts["clock"][0, 0]
    index_all(book.transfers, len(transfers), book.slots, int(book.scalars[SLOT_BITS]))
    pending = index[(remaining > 0) & (transfers[index, TIMEOUT] > 0)]
    entries = np.column_stack((transfers[pending, TIME] + transfers[pending, TIMEOUT], pending))
    return _with_heap(book, entries, 0)


def _with_more_transfers(book: Book, count: int, rows: int) -> Book:
    if count + rows > TRANSFERS_MAX:
        raise Malformed(
            "a batch for a full ledger",
            found=count + rows,
            expected=f"at most {TRANSFERS_MAX} transfers in one ledger",
            remedy="Open a new ledger with the balances of this one.",
        )
    room = _room(count + rows)
    transfers, slots = _enlarged(book.transfers, room), np.zeros(2 * room, dtype=np.int32)
    book.scalars[SLOT_BITS] = (2 * room).bit_length() - 1
    index_all(transfers, count, slots, int(book.scalars[SLOT_BITS]))
    return book._replace(transfers=transfers, slots=slots, held=_enlarged(book.held, room))


def _with_more_heap(book: Book, rows: int) -> Book:
    entries = book.heap[: int(book.scalars[HEAP_SIZE])]
    return _with_heap(book, entries[book.held[entries[:, HEAP_TRANSFER]] > 0], rows)


def _with_heap(book: Book, entries: Matrix, rows: int) -> Book:
    """With `entries` (n, 2), in order of expiry, as the heap (what is sorted is a heap) and room for `rows` more."""
    heap = np.zeros((_room(2 * len(entries) + rows), 2), dtype=np.int64)
    heap[: len(entries)] = entries[np.lexsort((entries[:, 1], entries[:, 0]))]
    book.scalars[HEAP_SIZE] = len(entries)
    return book._replace(heap=heap)


def _enlarged(array: Matrix, room: int) -> Matrix:
    """A copy with `room` rows, those that are new being zero."""
    larger = np.zeros((room, *array.shape[1:]), dtype=array.dtype)
    larger[: len(array)] = array
    return larger


def _room(rows: int) -> int:
    """The power of two that holds `rows`, FIRST_ROOM at least."""
    return max(FIRST_ROOM, 1 << (rows - 1).bit_length()) if rows > 0 else FIRST_ROOM

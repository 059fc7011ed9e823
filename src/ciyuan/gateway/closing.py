"""Forgetting, in the kernel: what a CLOSE takes out of the book, so that a meter's size follows what is still asked about.

Rows that are kept move up over those that are not, in their order; slots, heap and leg counts are made to fit. One pass over all
that there is: so ranges are better closed seldom and large.
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, TIME
from ciyuan.gateway.asking import ask
from ciyuan.gateway.book import (
    CLOSED_END,
    CLOSED_FIRST,
    HEAP_SIZE,
    LEGS_COUNT,
    LEGS_REQUEST,
    LEGS_ROW,
    REQUEST,
    REQUEST_BITS,
    REQUEST_COUNT,
    STATUS,
    Matrix,
    MeterBook,
    Words,
)
from ciyuan.gateway.expiry import heapify
from ciyuan.gateway.lookup import index_all, seek
from ciyuan.gateway.messages import MeterCommand, MeterEvent, MeterRefusal, RequestState
from ciyuan.ledger.book import Book as LedgerBook
from ciyuan.ledger.messages import Command as LedgerCommand


@njit(cache=True)
def close(
    book: MeterBook, ledger: LedgerBook, row: Words, event: Words, asked: Matrix, answers: Matrix
) -> int:
    """Take a CLOSE row in, unless it is refused."""
    first, end, scalars = row[2], row[3], book.scalars
    if scalars[CLOSED_END] > 0:
        if first >= scalars[CLOSED_FIRST] and end <= scalars[CLOSED_END]:
            event[0] = MeterEvent.REPEATED
            return 0
        if first != scalars[CLOSED_END]:
            return MeterRefusal.CLOSE_NOT_NEXT
    requests = book.requests
    for place in range(scalars[REQUEST_COUNT]):
        key = requests[place, REQUEST]
        if key >= first and key < end and requests[place, STATUS] & CODE_MASK == RequestState.HELD:
            return MeterRefusal.REQUEST_HELD
    code, reason = LedgerCommand.CLOSE, MeterCommand.CLOSE
    fault = ask(ledger, asked, answers, code, reason, row[TIME], 4 * first, 4 * end, 0, 0, 0, 0)
    if fault != 0:
        return fault
    if scalars[CLOSED_END] == 0:
        scalars[CLOSED_FIRST] = first
    scalars[CLOSED_END] = end
    _forget(book, first, end)
    event[0] = MeterEvent.CLOSED
    return 0


@njit(cache=True)
def _forget(book: MeterBook, first: int, end: int) -> None:
    """Take the requests with keys from `first` to before `end`, which have ended, out of the book."""
    requests, deliveries, heap, scalars = book.requests, book.deliveries, book.heap, book.scalars
    moved, kept = (
        book.request_slots,
        0,
    )  # until keys are entered anew: by a request's old row, its new one + 1
    moved[:] = 0
    for place in range(scalars[REQUEST_COUNT]):
        key = requests[place, REQUEST]
        if key < first or key >= end:
            if kept < place:
                requests[kept, :] = requests[place, :]
                deliveries[kept, :] = deliveries[place, :]
            moved[place] = kept + 1
            kept += 1
    entries = 0
    for entry in range(scalars[HEAP_SIZE]):
        new = moved[heap[entry, 1]]
        if new > 0:
            heap[entries, 0], heap[entries, 1] = heap[entry, 0], new - 1
            entries += 1
    scalars[HEAP_SIZE] = entries
    heapify(book)
    requests[kept : scalars[REQUEST_COUNT], :] = 0
    deliveries[kept : scalars[REQUEST_COUNT], :] = 0
    scalars[REQUEST_COUNT] = kept
    book.request_slots[:] = 0
    index_all(requests, kept, REQUEST, book.request_slots, scalars[REQUEST_BITS])
    _forget_legs(book, first, end)


@njit(cache=True)
def _forget_legs(book: MeterBook, first: int, end: int) -> None:
    """Take what was told of the legs of these requests out, and say to the others where theirs are now."""
    counts, scalars = book.leg_counts, book.scalars
    moved = 0
    for place in range(scalars[LEGS_COUNT]):
        key = counts[place, LEGS_REQUEST]
        if key < first or key >= end:
            if moved < place:
                counts[moved, :] = counts[place, :]
            moved += 1
    if moved < scalars[LEGS_COUNT]:
        scalars[LEGS_COUNT] = moved
        index_legs(book)


@njit(cache=True)
def index_legs(book: MeterBook) -> None:
    """Say to each request in which row of the leg counts its own are."""
    for place in range(book.scalars[LEGS_COUNT]):
        key = book.leg_counts[place, LEGS_REQUEST]
        _, request = seek(book.requests, REQUEST, book.request_slots, book.scalars[REQUEST_BITS], key)
        book.deliveries[request, LEGS_ROW] = place + 1

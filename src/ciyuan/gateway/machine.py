"""The meter: what was held, delivered and charged, each exactly once.

A prepaid balance can only be kept from going below zero if the worst case is set aside before the first token is
delivered, and if what is set aside and what is charged are one record with the money itself. So a request lives
through two commands: HOLD asks the ledger to hold the most it can cost, and is refused if the customer has not got
it; DELIVER charges what it did cost and frees the rest in the same row of the ledger. What is never delivered is
voided, or ends by itself at its time.

A budget is a balance of another kind, and the same holds of it: so the limits of whoever spends are here and not
beside, and a HOLD is counted in all of them and held in the ledger in one step, or nowhere. What a list of three
prices cannot say, legs of it say; what was used of them is told before the DELIVER, which charges all in one row.
Requests that have ended are closed from time to time, so that the meter's size follows what is still asked about.

A request's states, and what each command does in them ("repeat" and the refusals change nothing):

| state | HOLD | DELIVER | VOID | its time comes |
|---|---|---|---|---|
| none | HELD | REQUEST_UNKNOWN | REQUEST_UNKNOWN | |
| HELD | repeat | SETTLED | VOIDED | EXPIRED |
| SETTLED | repeat | repeat | HOLD_SETTLED | |
| VOIDED | repeat | HOLD_VOIDED | repeat | |
| EXPIRED | repeat | HOLD_EXPIRED | HOLD_EXPIRED | |

Invariants:
- The price list of a request is the one in force when it was held; it is never chosen again.
- For each customer, micro-units charged x 10**6 + carry = the exact cost in pico-units of all that was delivered to
it.
- A charge is never more than its hold, so the ledger never refuses one for want of money.
- A request that is HELD here is a pending hold in the ledger, key 4 x request, unless someone else ended it there; it
  has no posting. One that is SETTLED has one posting, key 4 x request + 1, of exactly its charge.
- What a limit has counted is what is held and was charged, in its window, of the requests that it counted; a rate's
  bucket is never above the most that was ever set, nor below empty.
- No request with a closed key is known, and none is taken up.
- The state is a function of the rows applied and of what the ledger answered: no clock, no chance.

The rules are in docs/spec/meter.md; the plain twin is `plain.PlainMeter`.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import ROW_WORDS, TIME
from ciyuan.basics.state import state_hash
from ciyuan.gateway.book import (
    BLOCK,
    CHARGE,
    CLOCK,
    CLOSED_END,
    CLOSED_FIRST,
    HEAP_SIZE,
    LIMIT_COUNT,
    LIST_COUNT,
    PARTY_COUNT,
    REQUEST_COUNT,
    MeterBook,
)
from ciyuan.gateway.borrowing import Directory
from ciyuan.gateway.edge import checked_batch, checked_parts
from ciyuan.gateway.growth import empty_book, grown, spare
from ciyuan.gateway.keeping import book_of, parts_of
from ciyuan.gateway.kernel import meter_rows
from ciyuan.gateway.limits import LimitView, SpenderView, limit_view, spender_view
from ciyuan.ledger.book import Book
from ciyuan.ledger.machine import Ledger

FEW = 64
"""Rows up to which Python finds the latest time sooner than NumPy does."""


class Meter:
    """The meter over a ledger that others may use too, with keys that are not 4 x request, + 1 or + 2."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._book = empty_book()
        self._spare = 0
        self._asked = np.zeros((1, ROW_WORDS), np.int64)
        self._answers = np.empty((0, ROW_WORDS), np.int64)
        self._lent: MeterBook | None = None
        self._lent_ledger: Book | None = None
        self._meter = self._ledger = Directory()

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of commands; returns the (m, 8) events. Raises Malformed for any other shape or
        type.

        Row by row: each sees what the rows before it did, here and in the ledger, whose transfers show what was
        moved.
        """
        rows = checked_batch(rows)
        if len(rows) == 0:
            return np.empty((0, ROW_WORDS), np.int64)
        if (
            not rows.flags.writeable
        ):  # the kernel is compiled for arrays that can be written to, and for no others
            rows = rows.copy()
        self._make_room(rows)
        said, pending = 2 * len(rows), self._book.scalars[HEAP_SIZE]
        if pending and self._book.heap[0, 0] <= _latest(rows):
            said += int(pending)
        events = np.empty((said, ROW_WORDS), np.int64)
        return events[: meter_rows(self._meter.entries, self._ledger.entries, rows, events)]

    def _make_room(self, rows: NDArray[np.int64]) -> None:
        """Room for a batch in both books, and for what the ledger can say to one row: its answer, and every hold that expires."""
        many = len(rows)
        if many > self._spare:
            self._book = grown(self._book, rows)
            self._spare = spare(self._book)
        self._spare -= many
        self.ledger.reserve(many)
        book = self.ledger.book
        if book is not self._lent_ledger:
            self._lent_ledger, self._ledger = book, Directory(*book)
            if len(self._answers) <= len(book.heap):
                self._lent, self._answers = None, np.empty((len(book.heap) + 1, ROW_WORDS), np.int64)
        if self._book is not self._lent:
            self._lent, self._meter = self._book, Directory(*self._book, self._asked, self._answers)

    # --- what can be asked: views that cannot be written to, and show the meter as it stands until the next command ---

    @property
    def clock_ns(self) -> int:
        """Time of the latest row, in nanoseconds."""
        return int(self._book.scalars[CLOCK])

    @property
    def parties(self) -> NDArray[np.int64]:
        """(n, 8) by enrolment: role, number, account, carry in pico-units, micro-units charged, tokens in, cached, out."""
        return self._view(self._book.parties, PARTY_COUNT)

    @property
    def price_lists(self) -> NDArray[np.int64]:
        """(n, 8), list 1 first: supplier, grade, prices in, cached, out, valid_from_ns, batch hundredths, time of acceptance."""
        return self._view(self._book.price_lists, LIST_COUNT)

    @property
    def requests(self) -> NDArray[np.int64]:
        """(n, 8) by acceptance: key, parties, tokens in max, out max, timeout_ns, expires_ns, micro-units held, status word."""
        return self._view(self._book.requests, REQUEST_COUNT)

    @property
    def deliveries(self) -> NDArray[np.int64]:
        """(n, 4), one for each of `requests`: tokens in, cached, out, micro-units charged; zeros while not settled."""
        return self._view(self._book.deliveries, REQUEST_COUNT, CHARGE + 1)

    @property
    def has_legs(self) -> NDArray[np.bool_]:
        """(n,), one for each of `price_lists`: whether some leg has a price of its own, so that its deliveries cost more than the
        three counts of their events say."""
        return self._book.price_lists[: int(self._book.scalars[LIST_COUNT]), BLOCK] > 0

    @property
    def closed(self) -> tuple[int, int]:
        """The first of the closed request keys, and one past the last; (0, 0) if none are."""
        return int(self._book.scalars[CLOSED_FIRST]), int(self._book.scalars[CLOSED_END])

    @property
    def limits(self) -> NDArray[np.int64]:
        """(n, 8) by acceptance: number, spender, unit, window, most, offset in ns, when the window counted began, its use;
        of a rate the tick and the level of its bucket then. `limit` says what is used now.
        """
        return self._view(self._book.limits, LIMIT_COUNT)

    def limit(self, number: int, now_ns: int) -> LimitView | None:
        """A limit as it stands at a moment not before the clock; None if there is none of that number."""
        return limit_view(self._book, number, now_ns)

    def spender(self, number: int) -> SpenderView | None:
        """A spender and the limits on it; None if there is none of that number."""
        return spender_view(self._book, number)

    def _view(self, table: NDArray[np.int64], count: int, columns: int = ROW_WORDS) -> NDArray[np.int64]:
        view = table[: int(self._book.scalars[count]), :columns]
        view.flags.writeable = False
        return view

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state as the matrices that `gateway.edge` describes; the ledger's is apart."""
        return parts_of(self._book)

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take the state of a snapshot; the ledger is restored apart. Raises Malformed, changing nothing, if it is none."""
        self._book, self._spare = book_of(checked_parts(parts)), 0

    def state_hash(self) -> str:
        """The fingerprint of the snapshot."""
        return state_hash(self.snapshot())


def _latest(rows: NDArray[np.int64]) -> int:
    """The latest time of some rows, which need not be in order."""
    times = rows[:, TIME]
    return int(max(times.tolist()) if len(rows) <= FEW else times.max())

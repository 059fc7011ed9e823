"""The ledger as a machine over the compiled kernel.

Why a ledger of its own, and not numbers kept by each stage: money and receipts are moved by the gateway, by the exchange's
settlements and by deposits, and only if all of them go through one book can "it sums to zero" be a law rather than a hope. Why
two phases: what a request costs is known only when its last token is out, so its worst case is held and what it cost is posted.

Invariants, whatever the rows say and however they are batched:

1. Of every asset, debits equal credits, the posted ones and the pending ones apart.
2. A guarded account's debits, posted and pending, never exceed its posted credits.
3. A key is accepted once. Its repeat changes nothing; another content under it is refused, naming the field.
4. What has come to rest can be forgotten: a range of keys is closed, its rows make room, and none of its keys is accepted again.
5. A chain happens whole or not at all; a refused row leaves no trace but the clock's.
6. A hold ends once: posted, voided, or expired at its nanosecond.
7. The state is a function of the rows in their order; batches only group them.

`plain.PlainLedger` is the same machine in plain Python; docs/spec/ledger.md has the rules in numbered clauses.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import ROW_WORDS, TIME
from ciyuan.basics.state import state_hash
from ciyuan.ledger.book import (
    ACCOUNT_COUNT,
    CLOCK,
    CREDITS_POSTED,
    DEBITS_PENDING,
    DEBITS_POSTED,
    HEAP_EXPIRY,
    HEAP_SIZE,
    TRANSFER_COUNT,
    Book,
)
from ciyuan.ledger.edge import checked_batch, checked_parts, unknown_account
from ciyuan.ledger.growth import book_of, closed_ranges, empty_book, grown, parts_of
from ciyuan.ledger.kernel import apply_rows
from ciyuan.ledger.laws import check_books, check_closed
from ciyuan.ledger.messages import KEY, AccountView


class Ledger:
    """Accounts, transfers and holds; every command answered once, in order.

    Another kernel that moves money calls `kernel.apply_rows(ledger.book, rows, events)` itself, after `reserve(rows)` and with
    `events_room(rows, until_ns)` event rows. `reserve` may replace the arrays, so `book` is taken after it.
    """

    def __init__(self) -> None:
        self._book = empty_book()

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of commands; returns the (m, 8) events. Raises Malformed for any other shape or type."""
        checked_batch(rows)
        if len(rows) == 0:
            return np.empty((0, ROW_WORDS), dtype=np.int64)
        self.reserve(len(rows))
        events = np.empty((self.events_room(len(rows), int(rows[:, TIME].max())), ROW_WORDS), dtype=np.int64)
        return events[: apply_rows(self._book, rows, events)]

    # --- for other kernels ---

    @property
    def book(self) -> Book:
        """The live arrays. Only kernels write to them, and only through `apply_rows`."""
        return self._book

    def reserve(self, rows: int) -> None:
        """Make room for `rows` more command rows. Raises Malformed if the ledger is full (2**30 transfers that it remembers)."""
        self._book = grown(self._book, rows)

    def events_room(self, rows: int, until_ns: int) -> int:
        """How many events `rows` commands can say at most, if none is later than `until_ns`.

        Each row says one, a hold that it makes may expire within the batch, and so may the holds that are due by then.
        """
        heap, heap_size = self._book.heap, int(self._book.scalars[HEAP_SIZE])
        if heap_size == 0 or heap[0, HEAP_EXPIRY] > until_ns:
            return 2 * rows
        return 2 * rows + int(np.count_nonzero(heap[:heap_size, HEAP_EXPIRY] <= until_ns))

    # --- what can be asked ---

    @property
    def clock_ns(self) -> int:
        """Time of the latest row, in nanoseconds."""
        return int(self._book.scalars[CLOCK])

    @property
    def account_count(self) -> int:
        """Accounts opened; the next OPEN must carry this plus one."""
        return int(self._book.scalars[ACCOUNT_COUNT])

    @property
    def transfer_count(self) -> int:
        """Accepted TRANSFER, HOLD, POST and VOID rows, less those that were forgotten."""
        return int(self._book.scalars[TRANSFER_COUNT])

    @property
    def accounts(self) -> NDArray[np.int64]:
        """(n + 1, 8): asset, flags, debits pending, posted, credits pending, posted, kind word and time of opening; row 0 unused.

        A view that cannot be written to and shows the ledger as it stands until the next command.
        """
        return _read_only(self._book.accounts[: self.account_count + 1])

    @property
    def transfers(self) -> NDArray[np.int64]:
        """(n, 8): the accepted rows in order, less those that were forgotten; a view like `accounts`."""
        return _read_only(self._book.transfers[: self.transfer_count])

    @property
    def closed(self) -> NDArray[np.int64]:
        """(n, 2): the closed ranges of keys in order, first and one past the last; a view like `accounts`."""
        return _read_only(closed_ranges(self._book))

    def account(self, number: int) -> AccountView:
        """The account as it stands. Raises Malformed for a number that is not open."""
        return AccountView(*self._account_row(number)[:6])

    def available(self, number: int) -> int:
        """What the account can still be debited."""
        row = self._account_row(number)
        return row[CREDITS_POSTED] - row[DEBITS_POSTED] - row[DEBITS_PENDING]

    def posted(self, number: int) -> int:
        """The account's final balance: credits less debits."""
        row = self._account_row(number)
        return row[CREDITS_POSTED] - row[DEBITS_POSTED]

    def check(self) -> None:
        """Raise InvariantBroken if an asset does not sum to zero, a guarded account is overdrawn or a closed key is known."""
        check_books(self.accounts)
        check_closed(self.closed, self.transfers[:, KEY])

    def _account_row(self, number: int) -> list[int]:
        if not 0 < number <= self._book.scalars[ACCOUNT_COUNT]:
            raise unknown_account(number, self.account_count)
        row: list[int] = self._book.accounts[number].tolist()
        return row

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state: `accounts` (n, 8), `transfers` (n, 8), `holds` (n, 3: transfer, status, remaining), `closed` (n, 2),
        `clock` (1, 1).
        """
        return parts_of(self._book)

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take the state of a snapshot. Raises Malformed, and changes nothing, if `parts` are not one."""
        self._book = book_of(checked_parts(parts))

    def state_hash(self) -> str:
        """The fingerprint of the snapshot."""
        return state_hash(self.snapshot())


def _read_only(view: NDArray[np.int64]) -> NDArray[np.int64]:
    view.flags.writeable = False
    return view

"""The exchange as a machine: orders, the day's bells and the clearing house's word in; acceptances, trades, prices
and levels out.

Theory of operation. One compiled loop (`kernel.py`) takes commands as rows of eight integers, one after the other,
each done whole before the next is looked at: screened (§3.5), admitted (§5), accepted, then worked - it trades,
rests, waits, or what is left of it is cancelled - and every step is said as a row. Nothing is allocated within: the
book is a handful of flat matrices, made once for a `Room`, and what exceeds it is refused by name.

Prices between a day's limits are few, so each contract's sides are dense ladders: a level per tick, its orders a
linked list in time priority, and a bitset that finds the next occupied tick in a step or two. Admission is in the
same loop: an account's worst case is kept as its orders, fills and cancels change it, so whether one more order is
covered is a comparison.

An ended order is remembered until its contract's day is closed, so that its repeat is known for what it is. Of
earlier days only the highest id of each account in each contract is kept: an id at or under it is refused, so a stale
order never trades twice, and memory does not grow with the days (§3.6).

What is plain is fast, what is rare is right: the loop's express lane does what nearly all messages are; anything else
leaves it for functions that know every rule. The plain twin (`plain.PlainExchange`) knows them too, in other words;
the tests hold the two together after every command.

Invariants:

- lots ordered (as amended) = lots filled + lots left in the book + lots cancelled, of every order;
- in continuous trading no bid stands at or over an offer;
- a level's lots are the sum of what its orders show, and its orders stand in order of their numbers;
- every open order's price is within the day's limits;
- no trade has one account on both sides (§3.3), but for forced reduction of a gross account's hedging against
  speculation;
- long and short lots of every contract are equal, as far as they came by trades;
- a command that is refused or repeated changes nothing but the clock and its account's count of the second.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import ROW_WORDS, Row
from ciyuan.basics.state import state_hash
from ciyuan.exchange.book import A_REQUIREMENT, EVENTS_NEEDED, Book, Matrix, directory_of, empty_book
from ciyuan.exchange.contract import Contract, checked_contracts
from ciyuan.exchange.kernel import apply_rows
from ciyuan.exchange.restoring import open_at
from ciyuan.exchange.room import Room
from ciyuan.exchange.snapshot import book_of, parts_of
from ciyuan.exchange.view import BookView

EVENTS_AT_FIRST = 65_536
"""Rows of the buffer that events are written to, before a batch asks for more."""
COPIED_ROWS_MAX = 1_024
"""So few events are handed out as a copy, more as a view of the buffer, which is then not used again while the view is held."""
PAGE_BYTES = 4_096
"""The least that a system provides of memory."""
UNHELD_REFERENCES = 2
"""References to the buffer that `sys.getrefcount` counts when nobody holds a view of it: the machine's and the call's own."""


class Exchange:
    """All markets of a venue.

    `room` says how much it can hold. With `everyone`, every account that there is room for is known, permitted
    everything and unchecked until an ACCOUNT is heard of it: an exchange that stands alone. Raises Malformed for
    contracts that do not go together.
    """

    def __init__(
        self, contracts: Iterable[Contract], room: Room | None = None, *, everyone: bool = False
    ) -> None:
        self._contracts = checked_contracts(contracts)
        self._room, self._everyone = room or Room(), everyone
        self._take(empty_book(self._contracts, self._room, everyone=everyone))
        open_at(self._directory)
        self._views = {
            contract.number: BookView(contract, place, lambda: self._book)
            for place, contract in enumerate(self._contracts)
        }
        self._events = np.empty((EVENTS_AT_FIRST, ROW_WORDS), dtype=np.int64)
        self._row = np.empty((1, ROW_WORDS), dtype=np.int64)

    def _take(self, book: Book) -> None:
        """Work on a book from now on. The directory holds its addresses, so the two change together."""
        self._book = book
        self._directory = directory_of(book)

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply a batch of command rows, (n, 8) int64, in order. Returns its events, (m, 8) int64."""
        if rows.ndim != 2 or rows.shape[1] != ROW_WORDS or rows.dtype != np.int64:
            raise Malformed("batch for the exchange", found=f"{rows.dtype} {rows.shape}", expected="int64 (n, 8)",
                            remedy="Hand over rows of eight 64-bit integers.")  # fmt: skip
        if not rows.flags.c_contiguous:
            rows = np.ascontiguousarray(rows)
        events = self._buffer()
        done, said = apply_rows(self._directory, rows, 0, events)
        if done == len(rows):
            return events[:said].copy() if said <= COPIED_ROWS_MAX else events[:said]
        return self._apply_rest(rows, done, events[:said].copy())

    def apply_one(self, row: Sequence[int], out: list[Row]) -> None:
        """Apply one command row of eight plain ints; its events are appended to `out` in order."""
        self._row[0] = row
        out.extend(map(tuple, self.apply(self._row).tolist()))

    def _buffer(self) -> Matrix:
        """The buffer for events, or another one while somebody holds a view of it."""
        if sys.getrefcount(self._events) > UNHELD_REFERENCES:
            self._events = np.empty_like(self._events)
        return self._events

    def _apply_rest(self, rows: Matrix, done: int, first: Matrix) -> Matrix:
        """Apply rows from `done` on, for which the buffer was too small."""
        pieces = [first]
        while done < len(rows):
            wanted = int(self._book.scalars[EVENTS_NEEDED]) + 4 * (len(rows) - done)
            if wanted > len(self._events):
                self._events = np.empty((2 * wanted, ROW_WORDS), dtype=np.int64)
            done, said = apply_rows(self._directory, rows, done, self._events)
            pieces.append(self._events[:said].copy())
        return np.concatenate(pieces)

    def prefault(self) -> None:
        """Have the system provide the memory of the whole room now, so that no order waits for it later."""
        for matrix in self._book:
            words = matrix.reshape(-1)
            words[:: PAGE_BYTES // matrix.itemsize] += 0

    # --- what can be asked ---

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """The contracts, in order of number."""
        return self._contracts

    @property
    def book_arrays(self) -> Book:
        """The live arrays. Only the kernel writes to them."""
        return self._book

    def best_bid(self, contract: int) -> int:
        """The highest price bid, in ticks; 0 if none. Raises Malformed for a contract that is not listed."""
        return self.book(contract).best_bid

    def best_ask(self, contract: int) -> int:
        """The lowest price offered, in ticks; 0 if none. Raises Malformed for a contract that is not listed."""
        return self.book(contract).best_ask

    def last(self, contract: int) -> int:
        """The last trade's price in ticks; 0 before the first. Raises Malformed for a contract that is not listed."""
        return self.book(contract).last_ticks

    def limits(self, contract: int) -> tuple[int, int]:
        """(lower, upper) price limit in ticks. Raises Malformed for a contract that is not listed."""
        return self.book(contract).limits

    def requirement_micro(self, account: int) -> int:
        """An account's requirement (§5.1): its charges and what is reserved for its open spot buys, in micro-units."""
        if not 1 <= account <= self._room.accounts:
            raise Malformed("account", found=account, expected=f"1 to {self._room.accounts}",
                            remedy="Ask for an account that the exchange has room for.")  # fmt: skip
        return int(self._book.accounts[account, A_REQUIREMENT])

    def book(self, contract: int) -> BookView:
        """A view of one contract's market, which stays true as it changes. Raises Malformed for a contract not listed."""
        if contract not in self._views:
            raise Malformed("contract", found=contract, expected=f"one of {list(self._views)}",
                            remedy="Ask for a contract by its number.")  # fmt: skip
        return self._views[contract]

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state as named int64 matrices (their columns: `exchange.state`)."""
        return parts_of(self._book)

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take on the state of a snapshot. Raises Malformed, and then changes nothing."""
        self._take(book_of(self._contracts, self._room, self._everyone, parts))

    def state_hash(self) -> str:
        """The fingerprint of the whole state, 32 hexadecimal characters."""
        return state_hash(self.snapshot())

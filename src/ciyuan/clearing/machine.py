"""The clearing house as a machine over a register of flat matrices and compiled loops.

Theory of operation. What the clearing house does is `house.py`'s and its parts', once; how it keeps a million members is here.
Members, markets and positions are rows of integer matrices (`columns.py`, `register.py`). All shared parts see them through
views, and where something is done for every member or for every event, a compiled loop does it on the rows themselves:

| loop | does |
|---|---|
| `hearing` | orders, fills and cancels of futures, as many at a time as the exchange says |
| `marking` | marks, charges, running losses of all positions, one cache line each |
| `closing` | the rows of a settlement's ledger chain, margin and statements of all members |

What is rare (receipts, sessions, defaults, deliveries, anything wrong) is left to the shared code, in its place among the rest.
A loop stops before what is not its own, and has changed nothing for it.

Invariants, beside those of `house.py`:

- events and snapshots are those of `plain.PlainClearingHouse`, which hears the same, after every command;
- a market's open interest is the sum of its positions' long lots;
- a position's place in its member's slots is the one that its row names, and no two have the same row.
"""

import sys
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import ROW_WORDS
from ciyuan.clearing.books import Books
from ciyuan.clearing.house import House
from ciyuan.clearing.listening import RegisterOrders, bits_of
from ciyuan.clearing.loading import load, parts_of_register
from ciyuan.clearing.messages import ClearingTerms
from ciyuan.clearing.orders import Orders
from ciyuan.clearing.pages import Pages
from ciyuan.clearing.register import Register, RegisterBooks
from ciyuan.clearing.register_laws import check_register
from ciyuan.clearing.settlement import Settlement
from ciyuan.clearing.settling import RegisterSettlement
from ciyuan.clearing.teller import LedgerBooks
from ciyuan.exchange.contract import Contract

COPIED_ROWS_MAX = 1_024
"""So few events are handed out as a copy."""
UNHELD_REFERENCES = 2
"""References to the buffer that `sys.getrefcount` counts when nobody holds a view of it: the machine's and the call's own."""


class ClearingHouse(House):
    """The clearing house."""

    _books: RegisterBooks

    def __init__(
        self, ledger: LedgerBooks, contracts: Iterable[Contract], calendar: Calendar, terms: ClearingTerms
    ) -> None:
        super().__init__(RegisterBooks(ledger, contracts, calendar, terms))
        self._buffer: NDArray[np.int64] = np.empty((0, ROW_WORDS), dtype=np.int64)

    def _parts(self, books: Books) -> tuple[Orders, Settlement]:
        assert isinstance(books, RegisterBooks)  # noqa: S101 - this machine makes no others
        self._listener = RegisterOrders(books)
        return self._listener, RegisterSettlement(books)

    def _empty_books(self) -> RegisterBooks:
        old = self._books
        return RegisterBooks(old.teller.ledger, old.contracts, old.calendar, old.terms)

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of `ClearingCommand` rows; returns the (m, 8) events.

        Many are a view of a buffer, which is not used again while the view is held.
        """
        out = self._pages()
        for row in rows.tolist():
            self._commands.apply(row, out)
        return self._said(out)

    def _pages(self) -> Pages:
        """Empty pages over the buffer, or over another one while somebody holds a view of it."""
        if sys.getrefcount(self._buffer) > UNHELD_REFERENCES:
            self._buffer = np.empty_like(self._buffer)
        return Pages(self._buffer)

    def _said(self, pages: Pages) -> NDArray[np.int64]:
        """What pages have, and their buffer kept for the next ones."""
        events, self._buffer = pages.matrix(), pages.buffer
        return events.copy() if len(events) <= COPIED_ROWS_MAX else events

    def hear(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take in the exchange's events, (n, 8) int64, in order: what `on_event` does with each, many at a time.

        Returns what was said, (m, 8), and after how many of the rows each of it was said, (m,).
        """
        rows, pages, after, at = np.ascontiguousarray(rows), self._pages(), [], 0
        concerning = bits_of(self.hearers)
        while at < len(rows):
            at, places = self._listener.hear(rows, at, concerning, pages)
            after.append(places)
            if at < len(rows):
                self.on_event(rows[at].tolist(), pages)
                at += 1
                after.append(np.full(len(pages), at, dtype=np.int64))
        return self._said(pages), np.concatenate(after) if after else np.empty(0, dtype=np.int64)

    @property
    def register(self) -> Register:
        """The live matrices. Only the machine and its loops write to them."""
        return self._books.register

    def check(self) -> None:
        """Raise InvariantBroken if one of the machine's invariants does not hold."""
        super().check()
        check_register(self.register)

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state as named int64 matrices; what was derived (charges, requirements, margins) is left out."""
        if self._orders.half is not None:
            raise InvariantBroken("a trade has two sides", f"snapshot after one: {tuple(self._orders.half)}")
        return parts_of_register(self._books)

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take the state of a snapshot of a clearing house with the same contracts and terms, over a ledger restored with it.

        Raises Malformed, and changes nothing, if `parts` are not one.
        """
        books = self._empty_books()
        load(books, parts)
        self._take(books)

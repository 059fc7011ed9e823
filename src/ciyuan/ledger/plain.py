"""The ledger in plain Python: the twin that says what the kernel must do.

It favours being obvious over being fast: dictionaries and lists, every rule once, a failed chain restored from a copy of the
whole state, due holds found by looking at all. `Ledger` gives the same events and the same state hash after every command.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import CODE_MASK, KIND, REASON_SHIFT, ROW_WORDS, TIME, code_of, flags_of
from ciyuan.basics.state import state_hash
from ciyuan.ledger.edge import checked_batch, checked_parts, unknown_account
from ciyuan.ledger.laws import check_books, check_closed
from ciyuan.ledger.messages import (
    ACCOUNT_FLAGS,
    AMOUNT,
    ASSET,
    CREDIT,
    DEBIT,
    END_KEY,
    FIRST_KEY,
    KEY,
    PENDING_KEY,
    REFUSAL,
    TIMEOUT,
    AccountView,
    Command,
    Event,
    Flag,
    HoldStatus,
    Refusal,
)
from ciyuan.ledger.plain_books import Account, Books, Hold, PlainRow
from ciyuan.ledger.rules import is_within, refusal_of, resolves


class PlainLedger:
    """The ledger, one command at a time. See docs/spec/ledger.md for the rules and `Ledger` for the same interface, fast."""

    def __init__(self) -> None:
        self._books = Books()

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of commands; returns the (m, 8) events. Raises Malformed for any other shape or type."""
        commands: list[PlainRow] = [tuple(row) for row in checked_batch(rows).tolist()]
        events: list[PlainRow] = []
        start = 0
        while start < len(commands):
            end = _chain_end(commands, start)
            self._apply_chain(commands[start:end], end > len(commands), events)
            start = end
        return np.array(events, dtype=np.int64).reshape(-1, ROW_WORDS)

    def _apply_chain(self, chain: list[PlainRow], left_open: bool, events: list[PlainRow]) -> None:
        """All or none. A row alone is a chain of one."""
        if left_open:
            events += _refusals(chain, len(chain) - 1, Refusal.CHAIN_OPEN)
            return
        if chain[0][TIME] < self._books.clock_ns:
            events += _refusals(chain, 0, Refusal.TIME_BACKWARDS)
            return
        self._advance(chain[0][TIME], events)
        before = self._books.copy() if len(chain) > 1 else self._books
        said: list[PlainRow] = []
        for place, row in enumerate(chain):
            differs = row[TIME] != chain[0][TIME]
            refusal = Refusal.CHAIN_TIME_DIFFERS if differs else refusal_of(self._books, row)
            if not refusal and len(chain) > 1 and code_of(row[KIND]) == Command.CLOSE:
                refusal = Refusal.CLOSE_IN_CHAIN
            if refusal:
                self._books = before
                said = _refusals(chain, place, refusal)
                break
            said.append(self._commit(row))
        events += said

    def _advance(self, time_ns: int, events: list[PlainRow]) -> None:
        """Move the clock, and let expire what is due."""
        books = self._books
        books.clock_ns = time_ns
        for index in books.due(time_ns):
            hold, held = books.holds[index], books.transfers[index]
            debit, credit = books.sides(held)
            debit.debits_pending -= hold.remaining
            credit.credits_pending -= hold.remaining
            kind = held[KIND] >> REASON_SHIFT << REASON_SHIFT | Event.EXPIRED
            expires_ns = held[TIME] + held[TIMEOUT]
            events.append(
                (kind, expires_ns, held[KEY], held[DEBIT], held[CREDIT], hold.remaining, held[KEY], 0)
            )
            hold.remaining, hold.status = 0, HoldStatus.EXPIRED

    # --- what a row does that nothing forbids; each returns its event ---

    def _commit(self, row: PlainRow) -> PlainRow:
        if code_of(row[KIND]) == Command.TICK:
            return _said(Event.TICKED, row)
        if code_of(row[KIND]) == Command.OPEN:
            return self._commit_open(row)
        if code_of(row[KIND]) == Command.CLOSE:
            return self._commit_close(row)
        if row[KEY] in self._books.index_of:
            old = self._books.transfers[self._books.index_of[row[KEY]]]
            return (*_said(Event.REPEATED, row)[:DEBIT], *old[DEBIT:TIMEOUT], 0)
        self._books.index_of[row[KEY]] = len(self._books.transfers)
        return self._commit_resolution(row) if resolves(row) else self._commit_movement(row)

    def _commit_open(self, row: PlainRow) -> PlainRow:
        if row[KEY] in self._books.accounts:
            return _said(Event.REPEATED, row)
        account = Account(row[ASSET], row[ACCOUNT_FLAGS], opened_kind=row[KIND], opened_ns=row[TIME])
        self._books.accounts[row[KEY]] = account
        return _said(Event.OPENED, row)

    def _commit_close(self, row: PlainRow) -> PlainRow:
        keys = range(row[FIRST_KEY], row[END_KEY])
        if is_within(self._books, keys):
            return _said(Event.REPEATED, row)
        forgotten = self._books.close(keys)
        return (*_said(Event.CLOSED, row)[:AMOUNT], forgotten, *row[PENDING_KEY:])

    def _commit_movement(self, row: PlainRow) -> PlainRow:
        debit, credit = self._books.sides(row)
        self._books.transfers.append(row)
        if code_of(row[KIND]) == Command.TRANSFER:
            debit.debits_posted += row[AMOUNT]
            credit.credits_posted += row[AMOUNT]
            return _said(Event.TRANSFERRED, row)
        debit.debits_pending += row[AMOUNT]
        credit.credits_pending += row[AMOUNT]
        expires_ns = row[TIME] + row[TIMEOUT] if row[TIMEOUT] else None
        self._books.holds[len(self._books.transfers) - 1] = Hold(row[AMOUNT], expires_ns)
        return (*_said(Event.HELD, row)[:TIMEOUT], row[AMOUNT])

    def _commit_resolution(self, row: PlainRow) -> PlainRow:
        index = self._books.index_of[row[PENDING_KEY]]
        hold, held = self._books.holds[index], self._books.transfers[index]
        debit, credit = self._books.sides(held)
        row = (*row[:DEBIT], held[DEBIT], held[CREDIT], *row[AMOUNT:])
        self._books.transfers.append(row)
        kept = hold.remaining - row[AMOUNT] if flags_of(row[KIND]) & Flag.KEEP else 0
        freed = hold.remaining - kept
        debit.debits_pending -= freed
        credit.credits_pending -= freed
        debit.debits_posted += row[AMOUNT]
        credit.credits_posted += row[AMOUNT]
        voids = code_of(row[KIND]) == Command.VOID
        hold.remaining = kept
        if kept == 0:
            hold.status = HoldStatus.VOIDED if voids else HoldStatus.POSTED
        if voids:
            return (*_said(Event.VOIDED, row)[:AMOUNT], freed, *row[PENDING_KEY:])
        return (*_said(Event.POSTED, row)[:TIMEOUT], kept)

    # --- what can be asked ---

    @property
    def clock_ns(self) -> int:
        """Time of the latest row, in nanoseconds."""
        return self._books.clock_ns

    @property
    def account_count(self) -> int:
        """Accounts opened; the next OPEN must carry this plus one."""
        return len(self._books.accounts)

    @property
    def transfer_count(self) -> int:
        """Accepted TRANSFER, HOLD, POST and VOID rows, less those that were forgotten."""
        return len(self._books.transfers)

    @property
    def accounts(self) -> NDArray[np.int64]:
        """(n + 1, 8): asset, flags, the four sums, kind word and time of opening; row 0 is unused."""
        rows = [(0,) * ROW_WORDS, *(account.row() for account in self._books.accounts.values())]
        return np.array(rows, dtype=np.int64)

    @property
    def transfers(self) -> NDArray[np.int64]:
        """(n, 8): the accepted rows in order, less those that were forgotten."""
        return np.array(self._books.transfers, dtype=np.int64).reshape(-1, ROW_WORDS)

    @property
    def closed(self) -> NDArray[np.int64]:
        """(n, 2): the closed ranges of keys in order, first and one past the last."""
        ranges = [(keys.start, keys.stop) for keys in self._books.closed]
        return np.array(ranges, dtype=np.int64).reshape(-1, 2)

    def account(self, number: int) -> AccountView:
        """The account as it stands. Raises Malformed for a number that is not open."""
        if number not in self._books.accounts:
            raise unknown_account(number, self.account_count)
        return AccountView(*self._books.accounts[number].row()[:6])

    def available(self, number: int) -> int:
        """What the account can still be debited."""
        return self.account(number).available

    def posted(self, number: int) -> int:
        """The account's final balance: credits less debits."""
        return self.account(number).posted

    def check(self) -> None:
        """Raise InvariantBroken if an asset does not sum to zero, a guarded account is overdrawn or a closed key is known."""
        check_books(self.accounts)
        check_closed(self.closed, self.transfers[:, KEY])

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state: `accounts` (n, 8), `transfers` (n, 8), `holds` (n, 3: transfer, status, remaining), `closed` (n, 2),
        `clock` (1, 1).
        """
        holds = [(index, hold.status, hold.remaining) for index, hold in sorted(self._books.holds.items())]
        return {
            "accounts": self.accounts[1:].copy(),
            "transfers": self.transfers,
            "holds": np.array(holds, dtype=np.int64).reshape(-1, 3),
            "closed": self.closed,
            "clock": np.array([[self._books.clock_ns]], dtype=np.int64),
        }

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take the state of a snapshot. Raises Malformed, and changes nothing, if `parts` are not one."""
        checked = checked_parts(parts)
        books = Books(clock_ns=int(checked["clock"][0, 0]))
        books.accounts = {
            number: Account(*row) for number, row in enumerate(checked["accounts"].tolist(), start=1)
        }
        books.transfers = [tuple(row) for row in checked["transfers"].tolist()]
        books.closed = [range(first, end) for first, end in checked["closed"].tolist()]
        books.index_of = {row[KEY]: index for index, row in enumerate(books.transfers)}
        for index, status, remaining in checked["holds"].tolist():
            row = books.transfers[index]
            expires_ns = row[TIME] + row[TIMEOUT] if row[TIMEOUT] else None
            books.holds[index] = Hold(remaining, expires_ns, HoldStatus(status))
        self._books = books

    def state_hash(self) -> str:
        """The fingerprint of the snapshot."""
        return state_hash(self.snapshot())


def _chain_end(commands: list[PlainRow], start: int) -> int:
    """One past the last row of the chain that begins at `start`; past the batch's end if the chain is left open."""
    end = start
    while end < len(commands) and flags_of(commands[end][KIND]) & Flag.LINKED:
        end += 1
    return end + 1


def _refusals(chain: list[PlainRow], at: int, refusal: Refusal) -> list[PlainRow]:
    """The answers to a chain whose row `at` is refused."""
    reasons = [refusal if place == at else Refusal.CHAIN_FAILED for place in range(len(chain))]
    return [
        (*_said(Event.REFUSED, row)[:REFUSAL], reason) for row, reason in zip(chain, reasons, strict=True)
    ]


def _said(event: Event, row: PlainRow) -> PlainRow:
    """The row with the event's code."""
    return (row[KIND] & ~CODE_MASK | event, *row[TIME:])

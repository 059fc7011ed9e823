"""The ledger's compiled loop over flat int64 arrays: rows in, events out, nothing allocated.

`apply_rows(book, rows, events)` is the whole interface, to Python and to other kernels:

    said = apply_rows(book, rows, events)    # events[:said] are written; the last is the answer to the last row

`book` must have room for the rows and `events` for what they can say (`Ledger.reserve`, `Ledger.events_room`).

A row alone is a chain of one: every refusal undoes what its chain did, which for most is nothing. The heap of expiries hears of a
chain's holds once the chain stands, so that undoing never touches it.

What keeps it fast: an array handed to a function costs atomic reference counts, several times the work of a transfer. So the
arrays stay in the one loop; what judges takes plain integers; what moves is inlined as source (`inline="always"`, one exit each);
true functions that take arrays serve what is rare. Counts live in locals and go back to `scalars` at the end.
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, KIND, REASON_SHIFT, TIME
from ciyuan.ledger.book import (
    ACCOUNT_COUNT,
    ASSET,
    CLOCK,
    CREDITS_PENDING,
    CREDITS_POSTED,
    DEBITS_PENDING,
    DEBITS_POSTED,
    FLAGS,
    HEAP_EXPIRY,
    HEAP_SIZE,
    HEAP_TRANSFER,
    OPENED_KIND,
    OPENED_NS,
    SLOT_BITS,
    TRANSFER_COUNT,
    Book,
    Matrix,
    Slots,
    Words,
)
from ciyuan.ledger.closing import WITHIN, close_keys, closed_below, is_closed
from ciyuan.ledger.expiries import drop_top, push
from ciyuan.ledger.judges import (
    fault_of_accounts,
    fault_of_form,
    fault_of_movement,
    fault_of_number,
    fault_of_reopening,
    fault_of_repeat,
    fault_of_resolution,
)
from ciyuan.ledger.messages import (
    AMOUNT,
    CREDIT,
    DEBIT,
    KEY,
    PENDING_KEY,
    TIMEOUT,
    Command,
    Event,
    Flag,
    HoldStatus,
    Refusal,
)
from ciyuan.ledger.slots import seek

ANSWER = Event.OPENED - Command.OPEN
"""An event's code less its command's, OPEN to VOID."""


@njit(cache=True)
def apply_rows(book: Book, rows: Matrix, events: Matrix) -> int:
    """Apply the (n, 8) command `rows` to `book`, write what is said into `events`, return how many rows of it."""
    accounts, transfers, held, slots, heap, scalars = book
    account_count, count, heap_size = scalars[ACCOUNT_COUNT], scalars[TRANSFER_COUNT], scalars[HEAP_SIZE]
    clock, bits = scalars[CLOCK], scalars[SLOT_BITS]
    highest = closed_below(scalars)
    chain_start = chain_end = chain_said = chain_count = chain_accounts = chain_timed = 0
    said = r = 0
    while r < len(rows):
        kind, time, key, pending_key = rows[r, KIND], rows[r, TIME], rows[r, KEY], rows[r, PENDING_KEY]
        debit, credit, amount, timeout = rows[r, DEBIT], rows[r, CREDIT], rows[r, AMOUNT], rows[r, TIMEOUT]
        code, flags = kind & CODE_MASK, kind >> FLAG_SHIFT & FLAG_MASK
        fault, answer, moved, last, entry = 0, code + ANSWER, amount, 0, -1
        if r < chain_end:
            if time != clock:
                fault = Refusal.CHAIN_TIME_DIFFERS
        else:
            chain_start, chain_end = r, _chain_end(rows, r) if flags & Flag.LINKED else r + 1
            if chain_end > len(rows):
                fault = Refusal.CHAIN_OPEN
            elif time < clock:
                fault = Refusal.TIME_BACKWARDS
            else:
                clock = time
                if heap_size > 0 and heap[0, HEAP_EXPIRY] <= time:
                    said, heap_size = _expire(accounts, transfers, held, heap, heap_size, time, events, said)
            chain_said, chain_count, chain_accounts, chain_timed = said, count, account_count, 0

        if fault == 0:
            fault = fault_of_form(kind, code, flags, time, key, debit, credit, amount, pending_key, timeout)
        if fault != 0:
            pass
        elif code == Command.TICK:
            answer = Event.TICKED
        elif code == Command.CLOSE:
            chained = chain_end - chain_start > 1
            fault, moved, heap_size = close_keys(
                transfers, held, slots, heap, scalars, count, heap_size, key, debit, chained
            )
            answer = Event.CLOSED
            if moved == WITHIN:
                answer, moved = Event.REPEATED, 0
            count -= moved
            highest = closed_below(scalars)
        elif code == Command.OPEN and key > account_count:
            fault = fault_of_number(key, account_count)
            if fault == 0:
                account_count = key
                accounts[key, ASSET], accounts[key, FLAGS] = debit, credit
                accounts[key, OPENED_KIND], accounts[key, OPENED_NS] = kind, time
        elif code == Command.OPEN:
            answer = Event.REPEATED
            asset_differs, flags_differ = debit != accounts[key, ASSET], credit != accounts[key, FLAGS]
            fault = fault_of_reopening(kind ^ accounts[key, OPENED_KIND], asset_differs, flags_differ)
        else:
            slot, index = seek(transfers, slots, bits, key)
            if index >= 0:
                answer = Event.REPEATED
                if code >= Command.POST:
                    debit, credit = debit or transfers[index, DEBIT], credit or transfers[index, CREDIT]
                fault = fault_of_repeat(
                    kind ^ transfers[index, KIND],
                    debit != transfers[index, DEBIT],
                    credit != transfers[index, CREDIT],
                    amount != transfers[index, AMOUNT],
                    pending_key != transfers[index, PENDING_KEY],
                    timeout != transfers[index, TIMEOUT],
                )
            elif key < highest and is_closed(scalars, key):
                fault = Refusal.KEY_CLOSED
            elif code >= Command.POST:
                _, index = seek(transfers, slots, bits, pending_key)
                if index < 0:
                    fault = Refusal.PENDING_UNKNOWN
                    if pending_key < highest and is_closed(scalars, pending_key):
                        fault = Refusal.PENDING_CLOSED
                elif transfers[index, KIND] & CODE_MASK != Command.HOLD:
                    fault = Refusal.PENDING_NOT_A_HOLD
                else:
                    fault = fault_of_resolution(
                        debit, transfers[index, DEBIT], credit, transfers[index, CREDIT], amount, held[index]
                    )
                if fault == 0:
                    debit, credit, remaining = transfers[index, DEBIT], transfers[index, CREDIT], held[index]
                    last = remaining - amount if flags & Flag.KEEP else 0
                    ended = HoldStatus.POSTED if code == Command.POST else HoldStatus.VOIDED
                    held[index], held[count] = last or -ended, remaining
                    _move(accounts, debit, credit, last - remaining, amount)
                    moved, entry = amount if code == Command.POST else remaining, slot
            else:
                fault = fault_of_accounts(debit, credit, account_count)
                if fault == 0:
                    fault = fault_of_movement(
                        accounts[debit, ASSET] != accounts[credit, ASSET],
                        amount,
                        accounts[debit, DEBITS_PENDING] + accounts[debit, DEBITS_POSTED],
                        accounts[credit, CREDITS_PENDING] + accounts[credit, CREDITS_POSTED],
                        accounts[debit, FLAGS],
                        accounts[debit, CREDITS_POSTED],
                    )
                if fault == 0:
                    if code == Command.TRANSFER:
                        _move(accounts, debit, credit, 0, amount)
                    else:
                        _move(accounts, debit, credit, amount, 0)
                        held[count] = last = amount
                        chain_timed += timeout > 0
                    entry = slot

        if fault != 0:
            chain_end = min(chain_end, len(rows))
            _undo(accounts, transfers, held, slots, bits, chain_count, count)
            at = len(rows) - 1 if fault == Refusal.CHAIN_OPEN else r
            _refuse(rows, chain_start, chain_end, at, fault, events, chain_said)
            account_count, count = chain_accounts, chain_count
            said, r = chain_said + chain_end - chain_start, chain_end
            continue
        if entry >= 0:
            slots[entry] = count + 1
            _say(transfers, count, kind, time, key, debit, credit, amount, pending_key, timeout)
            count += 1
        _say(events, said, kind - code + answer, time, key, debit, credit, moved, pending_key, last)
        said += 1
        r += 1
        if r == chain_end and chain_timed > 0:
            for index in range(chain_count, count):
                if transfers[index, KIND] & CODE_MASK == Command.HOLD and transfers[index, TIMEOUT] > 0:
                    heap_size = push(heap, heap_size, time + transfers[index, TIMEOUT], index)
    scalars[ACCOUNT_COUNT], scalars[TRANSFER_COUNT], scalars[HEAP_SIZE] = account_count, count, heap_size
    scalars[CLOCK] = clock
    return said


# --- inlined as source: one exit each, so that no array is counted ---


@njit(cache=True, inline="always")
def _move(accounts: Matrix, debit: int, credit: int, pending: int, posted: int) -> None:
    accounts[debit, DEBITS_PENDING] += pending
    accounts[debit, DEBITS_POSTED] += posted
    accounts[credit, CREDITS_PENDING] += pending
    accounts[credit, CREDITS_POSTED] += posted


@njit(cache=True, inline="always")
def _say(
    rows: Matrix,
    at: int,
    kind: int,
    time: int,
    key: int,
    debit: int,
    credit: int,
    amount: int,
    pending_key: int,
    last: int,
) -> None:
    """Write one row."""
    rows[at, KIND] = kind
    rows[at, TIME] = time
    rows[at, KEY] = key
    rows[at, DEBIT] = debit
    rows[at, CREDIT] = credit
    rows[at, AMOUNT] = amount
    rows[at, PENDING_KEY] = pending_key
    rows[at, TIMEOUT] = last


# --- rare: true functions over arrays ---


@njit(cache=True)
def _chain_end(rows: Matrix, row: int) -> int:
    """One past the last row of the chain that starts at `row`; beyond the rows' end if it is left open."""
    while row < len(rows) and rows[row, KIND] >> FLAG_SHIFT & Flag.LINKED:
        row += 1
    return row + 1


@njit(cache=True)
def _expire(
    accounts: Matrix,
    transfers: Matrix,
    held: Words,
    heap: Matrix,
    heap_size: int,
    time: int,
    events: Matrix,
    said: int,
) -> tuple[int, int]:
    """End every hold that is due at `time`, first expiry first; returns the events' and the heap's new sizes."""
    while heap_size > 0 and heap[0, HEAP_EXPIRY] <= time:
        expiry_ns, index = heap[0, HEAP_EXPIRY], heap[0, HEAP_TRANSFER]
        heap_size = drop_top(heap, heap_size)
        amount = held[index]
        if amount > 0:
            kind, key = transfers[index, KIND], transfers[index, KEY]
            debit, credit = transfers[index, DEBIT], transfers[index, CREDIT]
            held[index] = -HoldStatus.EXPIRED
            _move(accounts, debit, credit, -amount, 0)
            kind = kind >> REASON_SHIFT << REASON_SHIFT | Event.EXPIRED
            _say(events, said, kind, expiry_ns, key, debit, credit, amount, key, 0)
            said += 1
    return said, heap_size


@njit(cache=True)
def _undo(
    accounts: Matrix,
    transfers: Matrix,
    held: Words,
    slots: Slots,
    bits: int,
    count_before: int,
    count_now: int,
) -> None:
    """Take back the latest transfers, last first: in that order a slot can simply be emptied again."""
    for index in range(count_now - 1, count_before - 1, -1):
        code, amount = transfers[index, KIND] & CODE_MASK, transfers[index, AMOUNT]
        debit, credit = transfers[index, DEBIT], transfers[index, CREDIT]
        if code == Command.TRANSFER:
            _move(accounts, debit, credit, 0, -amount)
        elif code == Command.HOLD:
            _move(accounts, debit, credit, -amount, 0)
        else:
            _, hold = seek(transfers, slots, bits, transfers[index, PENDING_KEY])
            freed = held[index] - max(held[hold], 0)
            _move(accounts, debit, credit, freed, -amount)
            held[hold] = held[index]
        slot, _ = seek(transfers, slots, bits, transfers[index, KEY])
        slots[slot] = 0


@njit(cache=True)
def _refuse(rows: Matrix, start: int, end: int, at: int, fault: int, events: Matrix, said: int) -> None:
    """Answer the chain from `start` to `end`, of which the row `at` has the `fault`."""
    for row in range(start, end):
        events[said + row - start] = rows[row]
        events[said + row - start, KIND] = rows[row, KIND] & ~CODE_MASK | Event.REFUSED
        events[said + row - start, TIMEOUT] = fault if row == at else Refusal.CHAIN_FAILED

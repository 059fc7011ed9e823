"""The meter's compiled loop over flat int64 arrays: rows in, events out, nothing allocated.

`meter_rows(book, ledger, rows, events, asked, answers)` is the whole interface. Row by row it moves the clock,
judges, puts one row to the ledger's own kernel where money moves, and answers; so a row sees all that the rows before
it did, in both books. `asked` is a (1, 8) matrix to write the ledger's row into, `answers` has room for what the
ledger can say to any one of them.

Each command is a function that writes nothing before all that can be refused has been. The order of its tests is the
order in which `MeterRefusal` is declared.
"""

from numba import njit

from ciyuan.basics.money import PICO_PER_MICRO
from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, KIND, REASON_MASK, REASON_SHIFT, TIME
from ciyuan.gateway.book import (
    ACCOUNT,
    BOOK_BITS,
    BOOK_KEY,
    CARRY,
    CHARGE,
    CHARGED,
    CLOCK,
    EXPIRES_NS,
    HEAP_SIZE,
    HELD_MICRO,
    IN_MAX,
    LAST_HOLD_NS,
    NUMBER,
    OUT_MAX,
    PARTIES,
    PARTY_BITS,
    PARTY_COUNT,
    PARTY_KEY,
    PRICE_CACHED,
    PRICE_IN,
    PRICE_OUT,
    REQUEST,
    REQUEST_BITS,
    REQUEST_COUNT,
    ROLE,
    STATUS,
    TIMEOUT_NS,
    USED_CACHED,
    USED_IN,
    USED_OUT,
    USED_TOKENS_CACHED,
    USED_TOKENS_IN,
    USED_TOKENS_OUT,
    Matrix,
    MeterBook,
    Words,
)
from ciyuan.gateway.expiry import drop_top, push
from ciyuan.gateway.judges import (
    fault_of_amount,
    fault_of_delivered_again,
    fault_of_delivery,
    fault_of_form,
    fault_of_held_again,
    fault_of_party,
    fault_of_tokens,
    fault_of_void,
    fault_of_who,
    refusal_of_ledger,
)
from ciyuan.gateway.lookup import list_at, party_row, seek
from ciyuan.gateway.messages import (
    AMOUNT,
    SUPPLIER_MAX,
    MeterCommand,
    MeterEvent,
    MeterRefusal,
    PartyRole,
    RequestState,
)
from ciyuan.gateway.pricing import cost_pico, price
from ciyuan.ledger.book import ACCOUNT_COUNT, ASSET, FLAGS
from ciyuan.ledger.book import CLOCK as LEDGER_CLOCK
from ciyuan.ledger.book import Book as LedgerBook
from ciyuan.ledger.kernel import apply_rows
from ciyuan.ledger.messages import AccountFlag
from ciyuan.ledger.messages import Command as LedgerCommand

BOOK_MASK = (1 << 32) - 1
"""Supplier and grade in a parties word: the key of a book."""


@njit(cache=True)
def meter_rows(
    book: MeterBook, ledger: LedgerBook, rows: Matrix, events: Matrix, asked: Matrix, answers: Matrix
) -> int:
    """Apply the (n, 8) command `rows`, write what is said into `events`, return how many rows of it."""
    said = 0
    for r in range(len(rows)):
        kind, time = rows[r, KIND], rows[r, TIME]
        code, fault = kind & CODE_MASK, 0
        if time < max(book.scalars[CLOCK], ledger.scalars[LEDGER_CLOCK]):
            fault = MeterRefusal.TIME_BACKWARDS
        else:
            book.scalars[CLOCK] = time
            if book.scalars[HEAP_SIZE] > 0 and book.heap[0, 0] <= time:
                said = _expire(book, ledger, time, events, said, asked, answers)
            fault = _judge_form(rows, r)
        event = events[said]
        event[:] = rows[r]
        event[AMOUNT] = 0
        if fault != 0:
            pass
        elif code == MeterCommand.HOLD:
            fault = _hold(book, ledger, rows[r], event, asked, answers)
        elif code == MeterCommand.DELIVER:
            fault = _deliver(book, ledger, rows[r], event, asked, answers)
        elif code == MeterCommand.VOID:
            fault = _void(book, ledger, rows[r], event, asked, answers)
        elif code == MeterCommand.PRICES:
            fault = price(book, rows[r], event)
        elif code == MeterCommand.ENROL:
            fault = _enrol(book, ledger, rows[r], event)
        else:
            event[KIND] = MeterEvent.TICKED
            _ask(ledger, asked, answers, LedgerCommand.TICK, 0, time, 0, 0, 0, 0, 0, 0)
        if fault != 0:
            event[KIND] = kind & ~CODE_MASK | MeterEvent.REFUSED
            event[AMOUNT] = fault
        said += 1
    return said


@njit(cache=True)
def _judge_form(rows: Matrix, r: int) -> int:
    kind = rows[r, KIND]
    flags, reason = kind >> FLAG_SHIFT & FLAG_MASK, kind >> REASON_SHIFT & REASON_MASK
    words = rows[r, 2], rows[r, 3], rows[r, 4], rows[r, 5], rows[r, 6], rows[r, 7]
    return fault_of_form(kind, kind & CODE_MASK, flags, reason, *words)


@njit(cache=True)
def _ask(
    ledger: LedgerBook,
    asked: Matrix,
    answers: Matrix,
    code: int,
    reason: int,
    time: int,
    key: int,
    debit: int,
    credit: int,
    amount: int,
    pending_key: int,
    timeout: int,
) -> int:
    """Put one row to the ledger; returns 0 if it was done, else the meter's refusal."""
    asked[0, 0] = code | reason << REASON_SHIFT
    asked[0, 1] = time
    asked[0, 2] = key
    asked[0, 3] = debit
    asked[0, 4] = credit
    asked[0, 5] = amount
    asked[0, 6] = pending_key
    asked[0, 7] = timeout
    said = apply_rows(ledger, asked, answers)
    return refusal_of_ledger(answers[said - 1, 0] & CODE_MASK, answers[said - 1, 7])


# --- what each command does, once its form is right ---


@njit(cache=True)
def _enrol(book: MeterBook, ledger: LedgerBook, row: Words, event: Words) -> int:
    number, account, role = row[2], row[3], row[4]
    fault = fault_of_party(role, number)
    if fault != 0:
        return fault
    slot, found = seek(
        book.parties, PARTY_KEY, book.party_slots, book.scalars[PARTY_BITS], role << 32 | number
    )
    if found >= 0:
        event[KIND] = MeterEvent.REPEATED
        return MeterRefusal.EXISTS_WITH_DIFFERENT_ACCOUNT if book.parties[found, ACCOUNT] != account else 0
    if account < 1 or account > ledger.scalars[ACCOUNT_COUNT]:
        return MeterRefusal.ACCOUNT_UNKNOWN
    if role == PartyRole.CUSTOMER and not ledger.accounts[account, FLAGS] & AccountFlag.NO_OVERDRAFT:
        return MeterRefusal.ACCOUNT_MAY_BE_OVERDRAWN
    place = book.scalars[PARTY_COUNT]
    book.parties[place, ROLE], book.parties[place, NUMBER], book.parties[place, ACCOUNT] = (
        role,
        number,
        account,
    )
    book.parties[place, PARTY_KEY] = role << 32 | number
    book.party_slots[slot] = place + 1
    book.scalars[PARTY_COUNT] = place + 1
    event[KIND] = MeterEvent.ENROLLED
    return 0


@njit(cache=True)
def _hold(
    book: MeterBook, ledger: LedgerBook, row: Words, event: Words, asked: Matrix, answers: Matrix
) -> int:
    time, key, parties, tokens_in, tokens_out, timeout = row[1], row[2], row[3], row[4], row[5], row[6]
    fault = fault_of_tokens(tokens_in, 0, tokens_out)
    if fault != 0:
        return fault
    if timeout < 0:
        return MeterRefusal.TIMEOUT_NEGATIVE
    requests, prices = book.requests, book.price_lists
    slot, place = seek(requests, REQUEST, book.request_slots, book.scalars[REQUEST_BITS], key)
    if place >= 0:
        event[KIND], event[AMOUNT] = MeterEvent.REPEATED, requests[place, HELD_MICRO]
        return fault_of_held_again(
            requests[place, PARTIES] != parties,
            requests[place, IN_MAX] != tokens_in,
            requests[place, OUT_MAX] != tokens_out,
            requests[place, TIMEOUT_NS] != timeout,
        )
    fault, debit, credit, owner, used = _find(book, ledger, parties, time)
    if fault != 0:
        return fault
    dearest, price_out = max(prices[used, PRICE_IN], prices[used, PRICE_CACHED]), prices[used, PRICE_OUT]
    fault = fault_of_amount(time, timeout, tokens_in, dearest, tokens_out, price_out)
    if fault != 0:
        return fault
    held = (tokens_in * dearest + tokens_out * price_out) // PICO_PER_MICRO + 1
    fault = _ask(
        ledger,
        asked,
        answers,
        LedgerCommand.HOLD,
        MeterCommand.HOLD,
        time,
        4 * key,
        debit,
        credit,
        held,
        0,
        timeout,
    )
    if fault != 0:
        return fault
    place = book.scalars[REQUEST_COUNT]
    request = requests[place]
    request[REQUEST], request[PARTIES], request[IN_MAX], request[OUT_MAX] = (
        key,
        parties,
        tokens_in,
        tokens_out,
    )
    request[TIMEOUT_NS], request[HELD_MICRO] = timeout, held
    request[STATUS] = RequestState.HELD | (used + 1) << REASON_SHIFT
    if timeout > 0:
        request[EXPIRES_NS] = time + timeout
        push(book, time + timeout, place)
    book.request_slots[slot] = place + 1
    book.scalars[REQUEST_COUNT] = place + 1
    book.books[owner, LAST_HOLD_NS] = time
    event[KIND], event[AMOUNT] = MeterEvent.HELD | (used + 1) << REASON_SHIFT, held
    return 0


@njit(cache=True)
def _find(book: MeterBook, ledger: LedgerBook, parties: int, time: int) -> tuple[int, int, int, int, int]:
    """The fault of a new hold's parties, or 0; the customer's and the supplier's account; the rows of their book and list."""
    customer = party_row(book, PartyRole.CUSTOMER, parties >> 32)
    supplier = party_row(book, PartyRole.SUPPLIER, parties >> 16 & SUPPLIER_MAX)
    _, owner = seek(book.books, BOOK_KEY, book.book_slots, book.scalars[BOOK_BITS], parties & BOOK_MASK)
    _, prices = list_at(book, owner, time)
    debit = credit = 0
    fault = fault_of_who(customer, supplier, owner, prices)
    if fault == 0:
        debit, credit = book.parties[customer, ACCOUNT], book.parties[supplier, ACCOUNT]
        if debit == credit:
            fault = MeterRefusal.ACCOUNTS_SAME
        elif ledger.accounts[debit, ASSET] != ledger.accounts[credit, ASSET]:
            fault = MeterRefusal.ASSETS_DIFFER
    return fault, debit, credit, owner, prices


@njit(cache=True)
def _deliver(
    book: MeterBook, ledger: LedgerBook, row: Words, event: Words, asked: Matrix, answers: Matrix
) -> int:
    time, key, parties, tokens_in, tokens_cached, tokens_out = row[1], row[2], row[3], row[4], row[5], row[6]
    flags = row[KIND] >> FLAG_SHIFT
    fault = fault_of_tokens(tokens_in, tokens_cached, tokens_out)
    if fault != 0:
        return fault
    requests, deliveries = book.requests, book.deliveries
    _, place = seek(requests, REQUEST, book.request_slots, book.scalars[REQUEST_BITS], key)
    if place < 0:
        return MeterRefusal.REQUEST_UNKNOWN
    status = requests[place, STATUS]
    state, number = status & CODE_MASK, status >> REASON_SHIFT
    if state == RequestState.SETTLED:
        event[KIND], event[AMOUNT] = row[KIND] & ~CODE_MASK | MeterEvent.REPEATED, deliveries[place, CHARGE]
        return fault_of_delivered_again(
            requests[place, PARTIES] != parties,
            deliveries[place, USED_TOKENS_IN] != tokens_in,
            deliveries[place, USED_TOKENS_CACHED] != tokens_cached,
            deliveries[place, USED_TOKENS_OUT] != tokens_out,
            flags != status >> FLAG_SHIFT & FLAG_MASK,
        )
    exceeds = tokens_in > requests[place, IN_MAX] or tokens_out > requests[place, OUT_MAX]
    fault = fault_of_delivery(requests[place, PARTIES] != parties, state, exceeds)
    if fault != 0:
        return fault
    cost = cost_pico(
        book.price_lists, number - 1, flags, tokens_in - tokens_cached, tokens_cached, tokens_out
    )
    customer = party_row(book, PartyRole.CUSTOMER, parties >> 32)
    supplier = party_row(book, PartyRole.SUPPLIER, parties >> 16 & SUPPLIER_MAX)
    rest = cost % PICO_PER_MICRO + book.parties[customer, CARRY]
    charge = cost // PICO_PER_MICRO + rest // PICO_PER_MICRO
    fault = _ask(
        ledger,
        asked,
        answers,
        LedgerCommand.POST,
        MeterCommand.DELIVER,
        time,
        4 * key + 1,
        0,
        0,
        charge,
        4 * key,
        0,
    )
    if fault != 0:
        return fault
    book.parties[customer, CARRY] = rest % PICO_PER_MICRO
    for party in (customer, supplier):
        book.parties[party, CHARGED] += charge
        book.parties[party, USED_IN] += tokens_in
        book.parties[party, USED_CACHED] += tokens_cached
        book.parties[party, USED_OUT] += tokens_out
    deliveries[place, USED_TOKENS_IN], deliveries[place, USED_TOKENS_CACHED] = tokens_in, tokens_cached
    deliveries[place, USED_TOKENS_OUT], deliveries[place, CHARGE] = tokens_out, charge
    requests[place, STATUS] = RequestState.SETTLED | flags << FLAG_SHIFT | number << REASON_SHIFT
    event[KIND], event[AMOUNT] = MeterEvent.SETTLED | flags << FLAG_SHIFT | number << REASON_SHIFT, charge
    return 0


@njit(cache=True)
def _void(
    book: MeterBook, ledger: LedgerBook, row: Words, event: Words, asked: Matrix, answers: Matrix
) -> int:
    time, key = row[1], row[2]
    _, place = seek(book.requests, REQUEST, book.request_slots, book.scalars[REQUEST_BITS], key)
    if place < 0:
        return MeterRefusal.REQUEST_UNKNOWN
    status = book.requests[place, STATUS]
    if status & CODE_MASK == RequestState.VOIDED:
        event[KIND], event[AMOUNT] = MeterEvent.REPEATED, book.requests[place, HELD_MICRO]
        return 0
    fault = fault_of_void(status & CODE_MASK)
    if fault == 0:
        fault = _ask(
            ledger,
            asked,
            answers,
            LedgerCommand.VOID,
            MeterCommand.VOID,
            time,
            4 * key + 2,
            0,
            0,
            0,
            4 * key,
            0,
        )
    if fault == 0:
        book.requests[place, STATUS] = RequestState.VOIDED | status >> REASON_SHIFT << REASON_SHIFT
        _tell_of(book, place, MeterEvent.VOIDED, time, event)
    return fault


@njit(cache=True)
def _expire(
    book: MeterBook, ledger: LedgerBook, time: int, events: Matrix, said: int, asked: Matrix, answers: Matrix
) -> int:
    """End every hold that is due at `time`, first expiry first, here and in the ledger; returns how many events there are."""
    before = said
    while book.scalars[HEAP_SIZE] > 0 and book.heap[0, 0] <= time:
        expires, place = book.heap[0, 0], book.heap[0, 1]
        drop_top(book)
        status = book.requests[place, STATUS]
        if status & CODE_MASK == RequestState.HELD:
            book.requests[place, STATUS] = RequestState.EXPIRED | status >> REASON_SHIFT << REASON_SHIFT
            _tell_of(book, place, MeterEvent.EXPIRED, expires, events[said])
            said += 1
    if said > before:
        _ask(ledger, asked, answers, LedgerCommand.TICK, 0, time, 0, 0, 0, 0, 0, 0)
    return said


# --- what the commands are made of ---


@njit(cache=True)
def _tell_of(book: MeterBook, place: int, code: int, time: int, event: Words) -> None:
    """Write the event of a hold that has ended otherwise than by delivery."""
    event[KIND], event[TIME] = code | book.requests[place, STATUS] >> REASON_SHIFT << REASON_SHIFT, time
    event[2:7] = book.requests[place, REQUEST : TIMEOUT_NS + 1]
    event[AMOUNT] = book.requests[place, HELD_MICRO]

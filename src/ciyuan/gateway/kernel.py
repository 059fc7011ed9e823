"""The meter's compiled loop over flat int64 arrays: rows in, events out, nothing allocated.

`meter_rows(meter, ledger, rows, events)` is the whole interface. Row by row it moves the clock, judges, puts one row to
the ledger's own kernel where money moves, and answers; so a row sees all that the rows before it did, in both books.
`asked` is a (1, 8) matrix to write the ledger's row into, `answers` has room for what the ledger can say to any one of
them.

Each command is a function that writes nothing before all that can be refused has been. The order of its tests is the
order in which `MeterRefusal` is declared.
"""

from numba import njit

from ciyuan.basics.money import PICO_PER_MICRO
from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, KIND, REASON_MASK, REASON_SHIFT, TIME
from ciyuan.gateway.asking import ask
from ciyuan.gateway.book import (
    ACCOUNT,
    BLOCK,
    BOOK_BITS,
    BOOK_KEY,
    CARRY,
    CHARGE,
    CHARGED,
    CLOCK,
    COUNTED,
    CUSTOMER,
    EXPIRES_NS,
    HEAP_SIZE,
    HELD_MICRO,
    HELD_NS,
    IN_MAX,
    LAST_HOLD_NS,
    LEGS_ROW,
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
    SPENDER,
    SPENDER_ROW,
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
from ciyuan.gateway.borrowing import ledger_at, meter_at, rows_at
from ciyuan.gateway.closing import close
from ciyuan.gateway.expiry import drop_top, push
from ciyuan.gateway.judges import (
    fault_of_amount,
    fault_of_delivered_again,
    fault_of_delivery,
    fault_of_form,
    fault_of_held_again,
    fault_of_party,
    fault_of_spender,
    fault_of_tokens,
    fault_of_void,
    fault_of_who,
)
from ciyuan.gateway.legs import cost_by_legs, excess_of_legs, price_leg, tell_leg, worst_prices
from ciyuan.gateway.lookup import is_closed, list_at, party_row, row_of_spender, seek
from ciyuan.gateway.messages import (
    AMOUNT,
    SPENDER_OF_HOLD,
    SUPPLIER_MAX,
    MeterCommand,
    MeterEvent,
    MeterRefusal,
    PartyRole,
    RequestState,
)
from ciyuan.gateway.pricing import cost_pico, price
from ciyuan.gateway.spending import add_spender, count_in, fault_of_limits, give_back, release, set_limit
from ciyuan.ledger.book import ACCOUNT_COUNT, ASSET, FLAGS
from ciyuan.ledger.book import CLOCK as LEDGER_CLOCK
from ciyuan.ledger.book import Book as LedgerBook
from ciyuan.ledger.messages import AccountFlag
from ciyuan.ledger.messages import Command as LedgerCommand

ASKED, ANSWERS = len(MeterBook._fields), len(MeterBook._fields) + 1
"""Entries of the meter's directory after those of its book."""
BOOK_MASK = (1 << 32) - 1
"""Supplier and grade in a parties word: the key of a book."""


@njit(cache=True)
def meter_rows(meter: Matrix, ledger: Matrix, rows: Matrix, events: Matrix) -> int:
    """Apply the (n, 8) command `rows`, write what is said into `events`, return how many rows of it.

    `meter` is the directory (`borrowing`) of the meter's book, and then of `asked` and `answers`; `ledger` that of the ledger's.
    """
    book, asked, answers = meter_at(meter), rows_at(meter, ASKED), rows_at(meter, ANSWERS)
    return _apply(book, ledger_at(ledger), rows, events, asked, answers)


@njit(cache=True)
def _apply(
    book: MeterBook, ledger: LedgerBook, rows: Matrix, events: Matrix, asked: Matrix, answers: Matrix
) -> int:
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
        elif code == MeterCommand.TICK:
            event[KIND] = MeterEvent.TICKED
            ask(ledger, asked, answers, LedgerCommand.TICK, 0, time, 0, 0, 0, 0, 0, 0)
        else:
            fault = _apply_rarer(book, ledger, code, rows[r], event, asked, answers)
        if fault != 0:
            by_limit = fault == MeterRefusal.RATE_LIMITED or fault == MeterRefusal.BUDGET_SPENT
            event[KIND] = (event[KIND] if by_limit else kind) & ~CODE_MASK | MeterEvent.REFUSED
            event[AMOUNT] = fault
        said += 1
    return said


@njit(cache=True)
def _apply_rarer(
    book: MeterBook, ledger: LedgerBook, code: int, row: Words, event: Words, asked: Matrix, answers: Matrix
) -> int:
    if code == MeterCommand.LEG_USED:
        return tell_leg(book, row, event)
    if code == MeterCommand.SPENDER:
        return add_spender(book, row, event)
    if code == MeterCommand.LIMIT:
        return set_limit(book, row, event)
    if code == MeterCommand.LEG_PRICE:
        return price_leg(book, row, event)
    return close(book, ledger, row, event, asked, answers)


@njit(cache=True)
def _judge_form(rows: Matrix, r: int) -> int:
    kind = rows[r, KIND]
    flags, reason = kind >> FLAG_SHIFT & FLAG_MASK, kind >> REASON_SHIFT & REASON_MASK
    words = rows[r, 2], rows[r, 3], rows[r, 4], rows[r, 5], rows[r, 6], rows[r, 7]
    return fault_of_form(kind, kind & CODE_MASK, flags, reason, *words)


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
    if is_closed(book.scalars, key):
        return MeterRefusal.REQUEST_CLOSED
    slot, place = seek(book.requests, REQUEST, book.request_slots, book.scalars[REQUEST_BITS], key)
    if place >= 0:
        return _held_again(book, place, row, event)
    spender = row_of_spender(book, row[SPENDER_OF_HOLD]) if row[SPENDER_OF_HOLD] != 0 else -1
    fault, debit, credit, owner, used = _find(book, ledger, parties, time)
    if fault == 0 and row[SPENDER_OF_HOLD] != 0:
        fault = fault_of_spender(spender, spender >= 0 and book.spenders[spender, CUSTOMER] != parties >> 32)
    if fault != 0:
        return fault
    prices = book.price_lists
    dearest, price_out, pieces = (
        max(prices[used, PRICE_IN], prices[used, PRICE_CACHED]),
        prices[used, PRICE_OUT],
        0,
    )
    if prices[used, BLOCK] != 0:
        dearest, price_out, pieces = worst_prices(book, used, tokens_in)
    fault = fault_of_amount(time, timeout, tokens_in, dearest, tokens_out, price_out, pieces)
    if fault != 0:
        return fault
    held = (tokens_in * dearest + tokens_out * price_out + pieces) // PICO_PER_MICRO + 1
    if spender >= 0:
        fault, limit = fault_of_limits(book, spender, time, held, tokens_in + tokens_out)
        if fault != 0:
            event[KIND] = limit << REASON_SHIFT
            return fault
    code, reason = LedgerCommand.HOLD, MeterCommand.HOLD
    fault = ask(ledger, asked, answers, code, reason, time, 4 * key, debit, credit, held, 0, timeout)
    if fault != 0:
        return fault
    book.request_slots[slot] = book.scalars[REQUEST_COUNT] + 1
    book.books[owner, LAST_HOLD_NS] = time
    _write_hold(book, row, held, used + 1, spender)
    event[KIND], event[AMOUNT] = MeterEvent.HELD | (used + 1) << REASON_SHIFT, held
    return 0


@njit(cache=True)
def _held_again(book: MeterBook, place: int, row: Words, event: Words) -> int:
    """The answer to a HOLD of a known request, in row `place`."""
    requests, spender = book.requests, book.deliveries[place, SPENDER_ROW] - 1
    event[KIND], event[AMOUNT] = MeterEvent.REPEATED, requests[place, HELD_MICRO]
    return fault_of_held_again(
        requests[place, PARTIES] != row[3],
        requests[place, IN_MAX] != row[4],
        requests[place, OUT_MAX] != row[5],
        requests[place, TIMEOUT_NS] != row[6],
        (book.spenders[spender, SPENDER] if spender >= 0 else 0) != row[SPENDER_OF_HOLD],
    )


@njit(cache=True)
def _write_hold(book: MeterBook, row: Words, held: int, number: int, spender: int) -> None:
    """Enter an accepted HOLD, rated by list `number`, and count it in the limits of its spender (row, or -1)."""
    place, time, timeout = book.scalars[REQUEST_COUNT], row[1], row[6]
    request, delivery = book.requests[place], book.deliveries[place]
    request[REQUEST], request[PARTIES], request[IN_MAX], request[OUT_MAX] = row[2], row[3], row[4], row[5]
    request[TIMEOUT_NS], request[HELD_MICRO] = timeout, held
    request[STATUS] = RequestState.HELD | number << REASON_SHIFT
    if timeout > 0:
        request[EXPIRES_NS] = time + timeout
        push(book, time + timeout, place)
    if spender >= 0:
        delivery[SPENDER_ROW], delivery[HELD_NS] = spender + 1, time
        delivery[COUNTED] = count_in(book, spender, time, held, row[4] + row[5])
    book.scalars[REQUEST_COUNT] = place + 1


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
    fault = fault_of_tokens(tokens_in, tokens_cached, tokens_out)
    if fault != 0:
        return fault
    if is_closed(book.scalars, key):
        return MeterRefusal.REQUEST_CLOSED
    requests = book.requests
    _, place = seek(requests, REQUEST, book.request_slots, book.scalars[REQUEST_BITS], key)
    if place < 0:
        return MeterRefusal.REQUEST_UNKNOWN
    status = requests[place, STATUS]
    state, at = status & CODE_MASK, (status >> REASON_SHIFT) - 1
    if state == RequestState.SETTLED:
        return _delivered_again(book, place, row, event)
    exceeds, legs_exceed = tokens_in > requests[place, IN_MAX] or tokens_out > requests[place, OUT_MAX], False
    if book.deliveries[place, LEGS_ROW] != 0:
        pieces, legs_exceed = excess_of_legs(book, place, at, tokens_in, tokens_cached, tokens_out)
        exceeds |= pieces
    fault = fault_of_delivery(requests[place, PARTIES] != parties, state, exceeds, legs_exceed)
    if fault != 0:
        return fault
    batch, uncached = row[KIND] >> FLAG_SHIFT, tokens_in - tokens_cached
    if book.price_lists[at, BLOCK] == 0 and book.deliveries[place, LEGS_ROW] == 0:
        cost = cost_pico(book.price_lists, at, batch, uncached, tokens_cached, tokens_out)
    else:
        cost = cost_by_legs(book, place, at, batch, tokens_in, tokens_cached, tokens_out)
    customer = party_row(book, PartyRole.CUSTOMER, parties >> 32)
    rest = cost % PICO_PER_MICRO + book.parties[customer, CARRY]
    charge = cost // PICO_PER_MICRO + rest // PICO_PER_MICRO
    code, reason = LedgerCommand.POST, MeterCommand.DELIVER
    fault = ask(ledger, asked, answers, code, reason, time, 4 * key + 1, 0, 0, charge, 4 * key, 0)
    if fault != 0:
        return fault
    book.parties[customer, CARRY] = rest % PICO_PER_MICRO
    _write_delivery(book, place, customer, row, charge)
    event[KIND], event[AMOUNT] = MeterEvent.SETTLED | requests[place, STATUS] & ~CODE_MASK, charge
    return 0


@njit(cache=True)
def _delivered_again(book: MeterBook, place: int, row: Words, event: Words) -> int:
    """The answer to a DELIVER of a settled request, in row `place`."""
    delivery = book.deliveries[place]
    event[KIND], event[AMOUNT] = row[KIND] & ~CODE_MASK | MeterEvent.REPEATED, delivery[CHARGE]
    return fault_of_delivered_again(
        book.requests[place, PARTIES] != row[3],
        delivery[USED_TOKENS_IN] != row[4],
        delivery[USED_TOKENS_CACHED] != row[5],
        delivery[USED_TOKENS_OUT] != row[6],
        row[KIND] >> FLAG_SHIFT != book.requests[place, STATUS] >> FLAG_SHIFT & FLAG_MASK,
    )


@njit(cache=True)
def _write_delivery(book: MeterBook, place: int, customer: int, row: Words, charge: int) -> None:
    """Enter what the request in row `place` used and cost, and give back to its limits what it did not use."""
    tokens_in, tokens_cached, tokens_out = row[4], row[5], row[6]
    supplier = party_row(book, PartyRole.SUPPLIER, row[3] >> 16 & SUPPLIER_MAX)
    for party in (customer, supplier):
        book.parties[party, CHARGED] += charge
        book.parties[party, USED_IN] += tokens_in
        book.parties[party, USED_CACHED] += tokens_cached
        book.parties[party, USED_OUT] += tokens_out
    request, delivery = book.requests[place], book.deliveries[place]
    delivery[USED_TOKENS_IN], delivery[USED_TOKENS_CACHED] = tokens_in, tokens_cached
    delivery[USED_TOKENS_OUT], delivery[CHARGE] = tokens_out, charge
    if delivery[COUNTED] != 0:
        tokens = request[IN_MAX] + request[OUT_MAX] - tokens_in - tokens_out
        give_back(book, place, row[TIME], request[HELD_MICRO] - charge, tokens, 0)
    flags = row[KIND] >> FLAG_SHIFT << FLAG_SHIFT
    request[STATUS] = RequestState.SETTLED | flags | request[STATUS] >> REASON_SHIFT << REASON_SHIFT


@njit(cache=True)
def _void(
    book: MeterBook, ledger: LedgerBook, row: Words, event: Words, asked: Matrix, answers: Matrix
) -> int:
    time, key = row[1], row[2]
    if is_closed(book.scalars, key):
        return MeterRefusal.REQUEST_CLOSED
    _, place = seek(book.requests, REQUEST, book.request_slots, book.scalars[REQUEST_BITS], key)
    if place < 0:
        return MeterRefusal.REQUEST_UNKNOWN
    status = book.requests[place, STATUS]
    if status & CODE_MASK == RequestState.VOIDED:
        event[KIND], event[AMOUNT] = MeterEvent.REPEATED, book.requests[place, HELD_MICRO]
        return 0
    fault = fault_of_void(status & CODE_MASK)
    if fault == 0:
        code, reason = LedgerCommand.VOID, MeterCommand.VOID
        fault = ask(ledger, asked, answers, code, reason, time, 4 * key + 2, 0, 0, 0, 4 * key, 0)
    if fault == 0:
        release(book, place, time)
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
            release(book, place, expires)
            book.requests[place, STATUS] = RequestState.EXPIRED | status >> REASON_SHIFT << REASON_SHIFT
            _tell_of(book, place, MeterEvent.EXPIRED, expires, events[said])
            said += 1
    if said > before:
        ask(ledger, asked, answers, LedgerCommand.TICK, 0, time, 0, 0, 0, 0, 0, 0)
    return said


# --- what the commands are made of ---


@njit(cache=True)
def _tell_of(book: MeterBook, place: int, code: int, time: int, event: Words) -> None:
    """Write the event of a hold that has ended otherwise than by delivery."""
    event[KIND], event[TIME] = code | book.requests[place, STATUS] >> REASON_SHIFT << REASON_SHIFT, time
    event[2:7] = book.requests[place, REQUEST : TIMEOUT_NS + 1]
    event[AMOUNT] = book.requests[place, HELD_MICRO]

"""The exchange's compiled loop over flat int64 matrices: command rows in, event rows out, nothing allocated, nothing
counted.

`apply_rows(directory, rows, start, events)` is the whole interface: it applies rows from `start` on and returns how
many rows are done and how many events were written. It stops before a row for which `events` might be too small
(`scalars[EVENTS_NEEDED]` says how many it wants), never within one. `directory` is where the book's matrices are
(`book.directory_of`): one array instead of ten, because each that Python hands over costs a sixth of a microsecond.

What keeps it fast: within, matrices are tables (`tables.py`), which cost nothing to hand on. The plain order - a
limit order of a net account in a future in continuous trading - has a lane of its own (`express.py`). And since a
batch tells what comes, the lines that a row will touch are asked for some rows ahead: of a hundred thousand orders
few are at hand.

Each row: form, time, what is due by then, the command itself, its answer if it is refused or repeated, then what
every command ends with (stops that were triggered, what an auction would come to, how long the books have stood as
they do).
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, REASON_MASK, REASON_SHIFT, TIME
from ciyuan.basics.rows import KIND as KIND_WORD
from ciyuan.exchange.amending import amend_order
from ciyuan.exchange.bells import end_due
from ciyuan.exchange.book import (
    ACCOUNT,
    ACCOUNT_TOP,
    AUCTIONS,
    BASE,
    BEST_BUY,
    BEST_BUY_STOP,
    BEST_SELL,
    BEST_SELL_STOP,
    BOTH_SINCE,
    CLOCK,
    EVENTS_NEEDED,
    HASH_MASK,
    KIND,
    LADDERS,
    LAST,
    LOCK_SIDE,
    NEXT,
    NEXT_DUE,
    OPEN_ORDERS,
    PARTS,
    PLACE_SHIFT,
    PREV,
    PRICE,
    TICKS,
    Book,
    Matrix,
    book_at,
)
from ciyuan.exchange.cancelling import cancel_order
from ciyuan.exchange.commands import apply_command, end_command, note_book
from ciyuan.exchange.messages import ExchangeCommand, ExchangeEvent, Refusal
from ciyuan.exchange.placing import place_order
from ciyuan.exchange.risk import position_of
from ciyuan.exchange.screening import fault_of_kind
from ciyuan.exchange.standing import home_of
from ciyuan.exchange.state import ICEBERG_PARTS_MAX, TIME_MAX_NS
from ciyuan.exchange.tables import fetch, table

ORDER, CANCEL, AMEND = int(ExchangeCommand.ORDER), int(ExchangeCommand.CANCEL), int(ExchangeCommand.AMEND)
REPEATED, REFUSED = int(ExchangeEvent.REPEATED), int(ExchangeEvent.REFUSED)
ANSWER_BITS = FLAG_MASK << FLAG_SHIFT | REASON_MASK << REASON_SHIFT
EVENTS_OF_A_PART, EVENTS_OF_A_ROW, EVENTS_OF_A_CONTRACT, EVENTS_OF_AN_ACCOUNT = 24, 64, 16, 8
"""No fill says more than so many rows, and each ends a part of an order, those of the row's own order among them. No row
says more than so many besides, and by contract, and (the rare ones) by account and contract.
"""
FAR_AHEAD, AHEAD, NEAR_AHEAD = 12, 8, 4
"""How many rows ahead the index, the order, and what lies around the order are asked for."""


@njit(cache=True)
def apply_rows(directory: Matrix, given_rows: Matrix, start: int, given_events: Matrix) -> tuple[int, int]:
    """Apply the (n, 8) command rows from `start` on; returns (rows done in all, events written)."""
    book, rows, events = book_at(directory), table(given_rows, 8), table(given_events, 8)
    scalars, total, said, at = book.scalars, len(rows), 0, start
    while at < total:
        if at + FAR_AHEAD < total:
            _look_ahead(book, rows, at)
        kind, time = rows[at, KIND_WORD], rows[at, TIME]
        code = kind & CODE_MASK
        rare = code != ORDER and code != CANCEL and code != AMEND
        needed = _events_needed(book, rare)
        if said + needed > len(events):
            scalars[EVENTS_NEEDED] = needed
            break
        fault, place = fault_of_kind(kind), -1
        if fault == 0 and time < scalars[CLOCK]:
            fault = Refusal.TIME_BACKWARDS
        elif fault == 0 and time > TIME_MAX_NS:
            fault = Refusal.VALUE_OUT_OF_RANGE
        if fault == 0:
            scalars[CLOCK] = time
            due = scalars[NEXT_DUE] <= time
            if due:
                said = end_due(book, events, said, time)
            if code == ORDER:
                said, fault, place, rare = place_order(book, events, said, time, rows, at)
            elif code == CANCEL:
                said, fault, place = cancel_order(book, events, said, time, rows, at)
            elif code == AMEND:
                said, fault, place, rare = amend_order(book, events, said, time, rows, at)
            else:
                said, fault = apply_command(book, events, said, time, rows, at)
            rare = rare or due
        if fault != 0:
            said = _answer(events, said, rows, at, fault)
        if rare or scalars[AUCTIONS] > 0 or (place >= 0 and _reaches_a_stop(book, place)):
            said = end_command(book, events, said, scalars[CLOCK])
        elif place >= 0 and _is_to_note(book, place):
            note_book(book, place, time)
        at += 1
    return at, said


@njit(cache=True, forceinline=True)
def _events_needed(book: Book, rare: bool) -> int:
    """More events than any one row can say now."""
    contracts = len(book.markets)
    parts = book.scalars[OPEN_ORDERS] + book.scalars[PARTS] + ICEBERG_PARTS_MAX + 2
    needed = EVENTS_OF_A_ROW + EVENTS_OF_A_CONTRACT * contracts + EVENTS_OF_A_PART * parts
    if rare:
        needed += EVENTS_OF_AN_ACCOUNT * contracts * (book.scalars[ACCOUNT_TOP] + 1)
    return needed


@njit(cache=True)
def _answer(events: Matrix, said: int, rows: Matrix, at: int, fault: int) -> int:
    """REFUSED with the fault, or REPEATED if there is none but the thing is done already."""
    events[said] = rows[at]
    events[said, KIND_WORD] = rows[at, KIND_WORD] & ANSWER_BITS | (REFUSED if fault > 0 else REPEATED)
    if fault > 0:
        events[said, 7] = fault
    return said + 1


@njit(cache=True, forceinline=True)
def _reaches_a_stop(book: Book, place: int) -> bool:
    """Whether the last price may have triggered a stop of a contract."""
    tick, stop = book.markets[place, LAST] - book.markets[place, BASE], book.markets[place, BEST_SELL_STOP]
    reached: bool = tick >= book.markets[place, BEST_BUY_STOP] or (stop >= 0 and tick <= stop)
    return reached


@njit(cache=True, forceinline=True)
def _is_to_note(book: Book, place: int) -> bool:
    """Whether it may have changed how long a book has stood as it does."""
    market = book.markets[place]
    one_side = market[BEST_BUY] < 0 or market[BEST_SELL] >= book.scalars[TICKS]
    to_note: bool = one_side or market[BOTH_SINCE] < 0 or market[LOCK_SIDE] != 0
    return to_note


@njit(cache=True, forceinline=True)
def _look_ahead(book: Book, rows: Matrix, at: int) -> None:
    """Ask for what the rows to come will touch. What is wrong about a row is not known yet, so nothing here may rely on it."""
    orders, heads, mask = book.orders, book.heads, book.scalars[HASH_MASK]
    fetch(heads, home_of(rows[at + FAR_AHEAD, 2], rows[at + FAR_AHEAD, 3], mask), 0)
    slot = heads[home_of(rows[at + AHEAD, 2], rows[at + AHEAD, 3], mask)] + 0
    fetch(orders, slot, 0)
    fetch(orders, slot, 8)
    at += NEAR_AHEAD
    slot = heads[home_of(rows[at, 2], rows[at, 3], mask)] + 0
    side, price, account, place = rows[at, KIND_WORD] >> FLAG_SHIFT & 1, rows[at, 5], rows[at, 2], -1
    if slot != 0:
        fetch(orders, orders[slot, NEXT], 0)
        fetch(orders, orders[slot, PREV], 0)
        side, price, account = orders[slot, KIND] & 1, orders[slot, PRICE], orders[slot, ACCOUNT]
        place = orders[slot, KIND] >> PLACE_SHIFT
    elif 0 < rows[at, 4] < len(book.places):
        place = book.places[rows[at, 4]]
    if place >= 0:
        level = (place * LADDERS + side) * book.scalars[TICKS] + price - book.markets[place, BASE]
        fetch(book.levels, level, 0)
        position = position_of(len(book.markets), account, place, 0)
        fetch(book.positions, position, 0)
        fetch(book.positions, position, 8)

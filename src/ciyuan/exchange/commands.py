"""The commands that are rare, each handed to the part that knows it, and what every command ends with. Compiled."""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, REASON_SHIFT
from ciyuan.exchange.bells import close_day, ring, ring_all
from ciyuan.exchange.book import (
    A_FLAGS,
    BASE,
    BEST_BUY,
    BEST_SELL,
    BOTH_SINCE,
    CANCELS,
    CONTRACT_KIND,
    LOCK_SIDE,
    LOCK_SINCE,
    LOCK_TICKS,
    LOWER,
    STATE,
    TICKS,
    UPPER,
    Book,
    Matrix,
    Words,
)
from ciyuan.exchange.contract import LIMIT_RATE_NOTICE_MAX_BP
from ciyuan.exchange.messages import (
    AccountFlag,
    CancelCause,
    ExchangeCommand,
    ExchangeEvent,
    Refusal,
    SessionState,
)
from ciyuan.exchange.reduction import give_notice, reduce
from ciyuan.exchange.risk import SPOT, settings_of
from ciyuan.exchange.saying import say
from ciyuan.exchange.screening import fault_of_unused
from ciyuan.exchange.standing import SPREAD
from ciyuan.exchange.stops import run_stops
from ciyuan.exchange.sweeping import cancel_all
from ciyuan.exchange.told import set_account, set_credit, set_kill, set_position, set_quota, set_risk
from ciyuan.exchange.uncross import say_indicatives

MASS_CANCELLED, SET = int(ExchangeEvent.MASS_CANCELLED), int(ExchangeEvent.SET)
MASS_CANCEL_CAUSE, DISCONNECT_CAUSE = int(CancelCause.MASS_CANCEL), int(CancelCause.DISCONNECT)
CLOSED, SUSPENDED = int(SessionState.CLOSED), int(SessionState.SUSPENDED)
STATE_MAX = int(SessionState.SETTLEMENT)
"""The last state that a SESSION may name: SUSPENDED is the exchange's to declare."""
ON_DISCONNECT = int(AccountFlag.CANCEL_ON_DISCONNECT)
NO_PLACE, ALL_PLACES = -2, -1


@njit(cache=True)
def place_of(book: Book, number: int, zero_means_all: bool) -> int:
    """The row of a contract's number; ALL_PLACES for 0 where that means all, NO_PLACE if it is not listed."""
    if number == 0 and zero_means_all:
        return ALL_PLACES
    if 0 < number < len(book.places) and book.places[number] >= 0:
        return book.places[number]
    return NO_PLACE


@njit(cache=True)
def apply_command(book: Book, events: Matrix, said: int, time: int, rows: Matrix, at: int) -> tuple[int, int]:
    """Do a command other than ORDER, CANCEL and AMEND: (events, fault or DONE_BEFORE or 0)."""
    row = rows[at]
    code = row[0] & CODE_MASK
    fault = fault_of_unused(code, row[2], row[3], row[4], row[5], row[6], row[7])
    if fault:
        return said, fault
    if code == ExchangeCommand.SESSION:
        return _session(book, events, said, time, row)
    if code == ExchangeCommand.CLOSE_DAY:
        place = place_of(book, row[2], True)
        if place == NO_PLACE:
            return said, Refusal.UNKNOWN_CONTRACT
        return close_day(book, events, said, time, place, row[4])
    if code == ExchangeCommand.MASS_CANCEL or code == ExchangeCommand.DISCONNECT:
        return _mass_cancel(book, events, said, time, row)
    if code == ExchangeCommand.NOTICE or code == ExchangeCommand.REDUCE:
        return _of_operator(book, events, said, time, row)
    fault = _told(book, row)
    return said if fault else _say_set(events, said, row), fault


@njit(cache=True)
def _say_set(events: Matrix, said: int, row: Words) -> int:
    """SET: the command's words, its code as the reason."""
    kind = SET | row[0] & 0xFF << FLAG_SHIFT | (row[0] & CODE_MASK) << REASON_SHIFT
    return say(events, said, kind, row[1], row[2], row[3], row[4], row[5], row[6], row[7])


@njit(cache=True)
def _session(book: Book, events: Matrix, said: int, time: int, row: Words) -> tuple[int, int]:
    place = place_of(book, row[2], True)
    if place == NO_PLACE:
        return said, Refusal.UNKNOWN_CONTRACT
    if not 1 <= row[3] <= STATE_MAX:
        return said, Refusal.UNKNOWN_STATE
    if place == ALL_PLACES:
        return ring_all(book, events, said, time, row)
    return ring(book, events, said, time, place, row[3], row[4])


@njit(cache=True)
def _mass_cancel(book: Book, events: Matrix, said: int, time: int, row: Words) -> tuple[int, int]:
    account, number, cause = row[2], row[3], MASS_CANCEL_CAUSE
    if settings_of(book, account) < 0:
        return said, Refusal.UNKNOWN_ACCOUNT
    place = place_of(book, number, True)
    if place == NO_PLACE:
        return said, Refusal.UNKNOWN_CONTRACT
    if place >= 0 and book.markets[place, CANCELS] == 0:
        return said, Refusal.WRONG_STATE
    done = left = 0
    asked = True
    if row[0] & CODE_MASK == ExchangeCommand.DISCONNECT:
        cause, asked = DISCONNECT_CAUSE, book.accounts[account, A_FLAGS] & ON_DISCONNECT != 0
    if asked:
        first, last = (0, len(book.markets)) if place == ALL_PLACES else (place, place + 1)
        for at in range(first, last):
            said, cancelled, standing = cancel_all(book, events, said, time, account, at, cause)
            done += cancelled
            left += standing
    return say(events, said, MASS_CANCELLED, time, account, number, done, left, cause, 0), 0


@njit(cache=True)
def _of_operator(book: Book, events: Matrix, said: int, time: int, row: Words) -> tuple[int, int]:
    """NOTICE and REDUCE."""
    place = place_of(book, row[2], False)
    if place < 0:
        return said, Refusal.UNKNOWN_CONTRACT
    market = book.markets[place]
    if row[0] & CODE_MASK == ExchangeCommand.REDUCE:
        if market[STATE] != SUSPENDED or market[LOCK_TICKS] == 0:
            return said, Refusal.WRONG_STATE
        return reduce(book, events, said, time, place), 0
    if market[STATE] != SUSPENDED and market[STATE] != CLOSED:
        return said, Refusal.WRONG_STATE
    outright = market[CONTRACT_KIND] != SPOT and market[CONTRACT_KIND] != SPREAD
    if not outright or not 0 <= row[3] <= LIMIT_RATE_NOTICE_MAX_BP:
        return said, Refusal.VALUE_OUT_OF_RANGE
    said = _say_set(events, said, row)
    return give_notice(book, events, said, time, place, row[3]), 0


@njit(cache=True)
def _told(book: Book, row: Words) -> int:
    """What the clearing house says, and TICK."""
    code = row[0] & CODE_MASK
    if code == ExchangeCommand.TICK:
        return 0
    if code == ExchangeCommand.ACCOUNT:
        return set_account(book, row)
    if code != ExchangeCommand.RISK and settings_of(book, row[2]) < 0:
        return Refusal.UNKNOWN_ACCOUNT
    if code == ExchangeCommand.KILL:
        return set_kill(book, row)
    number = row[2] if code == ExchangeCommand.RISK else row[3]
    place = place_of(book, number, code == ExchangeCommand.CREDIT)
    if place == NO_PLACE:
        return Refusal.UNKNOWN_CONTRACT
    if code == ExchangeCommand.CREDIT:
        return set_credit(book, row, place)
    if code == ExchangeCommand.RISK:
        return set_risk(book, row, place)
    if code == ExchangeCommand.QUOTA:
        return set_quota(book, row, place)
    return set_position(book, row, place)


# --- what every command ends with ---


@njit(cache=True)
def end_command(book: Book, events: Matrix, said: int, time: int) -> int:
    """Let the triggered stops enter, say what auctions would come to, and note how the books stand. Returns the events' count."""
    said = run_stops(book, events, said, time)
    said = say_indicatives(book, events, said, time)
    for place in range(len(book.markets)):
        note_book(book, place, time)
    return said


@njit(cache=True)
def note_book(book: Book, place: int, time: int) -> None:
    """Since when both sides of a book stand, or one of them at its limit alone (§4.4, §4.5)."""
    market, ticks = book.markets[place], book.scalars[TICKS]
    bought, sold = market[BEST_BUY] >= 0, market[BEST_SELL] < ticks
    if bought and sold:
        if market[BOTH_SINCE] < 0:
            market[BOTH_SINCE] = time
    else:
        market[BOTH_SINCE] = -1
    side = 0
    if market[CONTRACT_KIND] != SPOT and market[CONTRACT_KIND] != SPREAD:
        if bought and not sold and market[BASE] + market[BEST_BUY] == market[UPPER]:
            side = 1
        elif sold and not bought and market[BASE] + market[BEST_SELL] == market[LOWER]:
            side = -1
    if side != market[LOCK_SIDE]:
        market[LOCK_SIDE], market[LOCK_SINCE] = side, time if side else 0

"""SESSION and CLOSE_DAY, and the auctions of the circuit breaker that run out (§4.1, §4.6). Compiled."""

from numba import njit

from ciyuan.exchange.book import (
    BAND_MINUTE,
    BOTH_SINCE,
    CLOSING_NS,
    CONTRACT_KIND,
    CONTRACT_RATE,
    DAY,
    DAY_TRADES,
    DUE,
    FAR,
    FIRST_DAY,
    HIGH,
    INITIAL,
    LAST_DAY,
    LOCK_SIDE,
    LOCK_SINCE,
    LOW,
    LOWER,
    MINUTES,
    NEAR,
    NEXT_DUE,
    NUMBER,
    OPEN_TICKS,
    RATE_BP,
    REFERENCE,
    SETTLED_DAY,
    SETTLEMENT,
    STATE,
    SUSPEND,
    TICKS,
    TURNOVER,
    UPPER,
    VOLUME,
    Book,
    Matrix,
    Words,
)
from ciyuan.exchange.closing import close_contract, limits_at, limits_of_spread
from ciyuan.exchange.implied import sweep_spreads
from ciyuan.exchange.messages import ExchangeEvent, Refusal, SessionState
from ciyuan.exchange.saying import say
from ciyuan.exchange.session import FOLLOWS
from ciyuan.exchange.settlement import FIRST_DAY_LIMITS
from ciyuan.exchange.standing import SPREAD
from ciyuan.exchange.states import say_session, set_state
from ciyuan.exchange.stops import run_stops
from ciyuan.exchange.sweeping import empty_ladders
from ciyuan.exchange.told import DONE_BEFORE
from ciyuan.exchange.uncross import hold_auction

CLOSED, AUCTION_ENTRY, AUCTION_FREEZE, AUCTION_MATCH, CONTINUOUS, BREAK, CLOSING, IN_SETTLEMENT, SUSPENDED = (
    map(int, SessionState)
)
FOLLOW_BITS = (0, *(sum(1 << follower for follower in FOLLOWS[state]) for state in SessionState))
"""By state, the states that may follow it, as bits."""
REPEATED, REFUSED = int(ExchangeEvent.REPEATED), int(ExchangeEvent.REFUSED)


@njit(cache=True)
def open_books(book: Book) -> None:
    """Make a book that has only its listing ready: every contract closed, on its initial price, its ladders empty."""
    for spreads in range(2):
        for place in range(len(book.markets)):
            market = book.markets[place]
            if (market[CONTRACT_KIND] == SPREAD) != (spreads == 1):
                continue
            if spreads:
                price = book.markets[market[NEAR], INITIAL] - book.markets[market[FAR], INITIAL]
                lower, upper = limits_of_spread(book, place)
            else:
                price, market[RATE_BP] = market[INITIAL], market[CONTRACT_RATE] * FIRST_DAY_LIMITS
                lower, upper = limits_at(price, market[RATE_BP])
            market[REFERENCE] = market[SETTLEMENT] = price
            market[LOWER], market[UPPER] = lower, upper
            market[BOTH_SINCE] = market[CLOSING_NS] = market[BAND_MINUTE] = -1
            empty_ladders(book, place, lower)
            set_state(book, place, CLOSED)


# --- SESSION ---


@njit(cache=True)
def is_listed(market: Words, day: int) -> bool:
    """Whether a contract trades on a day."""
    listed: bool = market[FIRST_DAY] <= day <= market[LAST_DAY]
    return listed


@njit(cache=True)
def _answer(events: Matrix, said: int, row: Words, number: int, fault: int) -> int:
    """REFUSED with its fault, or REPEATED, of a row that was for every contract, by one of them."""
    code, last = (REFUSED, fault) if fault > 0 else (REPEATED, row[7])
    return say(events, said, code, row[1], number, row[3], row[4], row[5], row[6], last)


@njit(cache=True)
def ring_all(book: Book, events: Matrix, said: int, time: int, row: Words) -> tuple[int, int]:
    """SESSION for every contract listed on the day: (events, fault of the whole row or 0)."""
    heard = False
    for place in range(len(book.markets)):
        market = book.markets[place]
        if is_listed(market, row[4]):
            heard = True
            said, fault = ring(book, events, said, time, place, row[3], row[4])
            if fault:
                said = _answer(events, said, row, market[NUMBER], fault)
    return said, 0 if heard else Refusal.WRONG_DAY


@njit(cache=True)
def ring(
    book: Book, events: Matrix, said: int, time: int, place: int, state: int, day: int
) -> tuple[int, int]:
    """One contract enters a state: (events, fault, or DONE_BEFORE if it is in that state on that day already, or 0)."""
    market = book.markets[place]
    if state == market[STATE] and day == market[DAY] and day != 0:
        return said, DONE_BEFORE
    fault = _fault_of_bell(book, place, state, day)
    if fault:
        return said, fault
    if market[STATE] == CLOSED:
        _open_day(book, place, day)
        if market[SUSPEND]:
            market[SUSPEND] = 0
            state = SUSPENDED
    if state in (BREAK, CLOSING):
        while market[DUE]:  # the stops that an auction triggers may start another
            said = end_breaker(book, events, said, time, place)
    market[DUE] = 0
    return enter(book, events, said, time, place, state), 0


@njit(cache=True)
def _fault_of_bell(book: Book, place: int, state: int, day: int) -> int:
    market = book.markets[place]
    closed = market[STATE] == CLOSED
    if (day <= market[DAY] or not is_listed(market, day)) if closed else day != market[DAY]:
        return Refusal.WRONG_DAY
    if market[STATE] == SUSPENDED and state != CLOSED:
        return Refusal.SUSPENDED
    follows = FOLLOW_BITS[market[STATE]]
    if market[DUE]:
        follows |= 1 << BREAK | 1 << CLOSING
    if not follows >> state & 1:
        return Refusal.WRONG_STATE
    if state == CLOSED and market[SETTLED_DAY] != day:
        return Refusal.DAY_NOT_CLOSED
    if closed and not market[SUSPEND]:
        lower, upper = (
            limits_of_spread(book, place)
            if market[CONTRACT_KIND] == SPREAD
            else (market[LOWER], market[UPPER])
        )
        if upper - lower >= book.scalars[TICKS]:
            return Refusal.LADDER_FULL
    return 0


@njit(cache=True)
def _open_day(book: Book, place: int, day: int) -> None:
    """Begin a trading day on the last settlement price."""
    market = book.markets[place]
    market[DAY], market[REFERENCE] = day, market[SETTLEMENT]
    market[VOLUME] = market[TURNOVER] = market[DAY_TRADES] = 0
    market[OPEN_TICKS] = market[HIGH] = market[LOW] = 0
    market[BOTH_SINCE] = market[CLOSING_NS] = -1
    market[LOCK_SIDE] = market[LOCK_SINCE] = 0
    _forget_minutes(book, place)
    if market[CONTRACT_KIND] == SPREAD:
        market[LOWER], market[UPPER] = limits_of_spread(book, place)
        empty_ladders(book, place, market[LOWER])


@njit(cache=True)
def _forget_minutes(book: Book, place: int) -> None:
    for at in range(place * MINUTES, (place + 1) * MINUTES):
        book.minutes[at, :] = 0
    book.markets[place, BAND_MINUTE] = -1


@njit(cache=True)
def enter(book: Book, events: Matrix, said: int, time: int, place: int, state: int) -> int:
    """Enter a state, say so, and do what it brings. Returns the events' count."""
    market = book.markets[place]
    if state == CLOSING:
        market[CLOSING_NS] = time
    set_state(book, place, state)
    said = say_session(book, events, said, time, place)
    if state == AUCTION_MATCH and market[CONTRACT_KIND] != SPREAD:
        said = hold_auction(book, events, said, time, place)
    if state == CONTINUOUS:
        said = sweep_spreads(book, events, said, time, place)
        said = run_stops(book, events, said, time)
    return said


# --- the breaker's auctions ---


@njit(cache=True)
def end_breaker(book: Book, events: Matrix, said: int, time: int, place: int) -> int:
    """Hold the auction that the breaker started, and trade on (§4.6)."""
    book.markets[place, DUE] = 0
    _forget_minutes(book, place)
    said = enter(book, events, said, time, place, AUCTION_MATCH)
    return enter(book, events, said, time, place, CONTINUOUS)


@njit(cache=True)
def end_due(book: Book, events: Matrix, said: int, time: int) -> int:
    """End every breaker's auction that is due at a time, in order of time, then of contract."""
    while book.scalars[NEXT_DUE] <= time:
        due = book.scalars[NEXT_DUE]
        for place in range(len(book.markets)):
            if book.markets[place, DUE] == due:
                said = end_breaker(book, events, said, due, place)
                break
    return said


# --- CLOSE_DAY ---


@njit(cache=True)
def _due(market: Words, day: int) -> bool:
    due: bool = market[DAY] == day and market[SETTLED_DAY] != day
    return due


@njit(cache=True)
def close_day(book: Book, events: Matrix, said: int, time: int, asked: int, day: int) -> tuple[int, int]:
    """CLOSE_DAY of a place, or (-1) of all: (events, fault, or DONE_BEFORE if the day is closed already, or 0)."""
    first, last = (0, len(book.markets)) if asked < 0 else (asked, asked + 1)
    of_day = due = ready = 0
    for place in range(first, last):
        market = book.markets[place]
        of_day += market[DAY] == day and day != 0
        if day != 0 and _due(market, day):
            due += 1
            ready += market[STATE] == IN_SETTLEMENT or market[STATE] == SUSPENDED
    if of_day and not due:
        return said, DONE_BEFORE
    if not due:
        return said, Refusal.WRONG_DAY
    if not ready:
        return said, Refusal.WRONG_STATE
    before = said
    for spreads in range(2):
        for place in range(first, last):
            market = book.markets[place]
            if (market[CONTRACT_KIND] == SPREAD) != (spreads == 1) or not _due(market, day):
                continue
            if market[STATE] != IN_SETTLEMENT and market[STATE] != SUSPENDED:
                continue
            if spreads and (_due(book.markets[market[NEAR]], day) or _due(book.markets[market[FAR]], day)):
                continue
            said = close_contract(book, events, said, time, place)
    return said, 0 if said > before else Refusal.DAY_NOT_CLOSED

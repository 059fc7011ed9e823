"""A contract's session state in the kernel: entering one, and saying so. What follows from it is `bells.py`'s."""

from numba import njit

from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.exchange.book import (
    AUCTIONS,
    CANCELS,
    DAY,
    DUE,
    INDICATIVE_LOTS,
    INDICATIVE_SEEN,
    INDICATIVE_SURPLUS,
    INDICATIVE_TICKS,
    LOWER,
    NEXT_DUE,
    NUMBER,
    STATE,
    TAKES,
    UPPER,
    Book,
    Matrix,
)
from ciyuan.exchange.messages import ExchangeEvent, SessionState
from ciyuan.exchange.saying import say
from ciyuan.exchange.session import CANCELLING

AUCTION_ENTRY, AUCTION_FREEZE, CONTINUOUS = (
    int(SessionState.AUCTION_ENTRY),
    int(SessionState.AUCTION_FREEZE),
    int(SessionState.CONTINUOUS),
)
SESSION_CHANGED = int(ExchangeEvent.SESSION_CHANGED)
BREAKER_AUCTION_NS = 2 * NS_PER_MINUTE
"""How long the auction lasts that the circuit breaker starts (§4.6)."""
NOT_DUE = (1 << 63) - 1
TAKES_NOTHING, TAKES_AUCTION, TAKES_ALL = range(3)
"""What a state takes: no orders, those for an auction, all."""
CANCEL_STATES = tuple(int(state in CANCELLING) for state in range(len(SessionState) + 1))


@njit(cache=True)
def set_state(book: Book, place: int, state: int) -> None:
    """Enter a state, with what follows from it in the contract's row and the scalars."""
    market = book.markets[place]
    market[STATE] = state
    auction = state in (AUCTION_ENTRY, AUCTION_FREEZE)
    market[TAKES] = TAKES_ALL if state == CONTINUOUS else TAKES_AUCTION if auction else TAKES_NOTHING
    market[CANCELS] = CANCEL_STATES[state]
    if not auction:
        market[INDICATIVE_TICKS] = market[INDICATIVE_LOTS] = market[INDICATIVE_SURPLUS] = 0
    if state == AUCTION_ENTRY:
        market[INDICATIVE_TICKS] = market[INDICATIVE_LOTS] = market[INDICATIVE_SURPLUS] = 0
        market[INDICATIVE_SEEN] = -1
    count_auctions(book)


@njit(cache=True)
def count_auctions(book: Book) -> None:
    """Find AUCTIONS and NEXT_DUE anew."""
    due, auctions = NOT_DUE, 0
    for place in range(len(book.markets)):
        state = book.markets[place, STATE]
        auctions += state in (AUCTION_ENTRY, AUCTION_FREEZE)
        if book.markets[place, DUE]:
            due = min(due, book.markets[place, DUE])
    book.scalars[AUCTIONS], book.scalars[NEXT_DUE] = auctions, due


@njit(cache=True)
def say_session(book: Book, events: Matrix, said: int, time: int, place: int) -> int:
    """SESSION_CHANGED as the contract now is."""
    market = book.markets[place]
    return say(
        events, said, SESSION_CHANGED, time, market[NUMBER], market[STATE], market[DAY], market[LOWER], market[UPPER], market[DUE]
    )  # fmt: skip


@njit(cache=True)
def enter_breaker(book: Book, events: Matrix, said: int, time: int, place: int) -> int:
    """An auction instead of the trade that would have moved the price too far (§4.6)."""
    book.markets[place, DUE] = time + BREAKER_AUCTION_NS
    set_state(book, place, AUCTION_ENTRY)
    return say_session(book, events, said, time, place)

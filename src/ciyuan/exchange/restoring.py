"""A book made ready: a new one, or one from a snapshot, whose orders go to their places. Compiled."""

from numba import njit

from ciyuan.exchange.bells import open_books
from ciyuan.exchange.book import (
    ACCOUNT,
    ACCOUNT_TOP,
    BAND_MINUTE,
    EFFECT_SHIFT,
    END,
    FRESH,
    INDICATIVE_LOTS,
    INDICATIVE_SEEN,
    INDICATIVE_SURPLUS,
    INDICATIVE_TICKS,
    KIND,
    LEFT,
    LOWER,
    PLACE_SHIFT,
    PRICE,
    SEQUENCE,
    STATE,
    TAKES,
    Matrix,
    book_at,
)
from ciyuan.exchange.closing import set_position_limits
from ciyuan.exchange.risk import open_lots, recharge
from ciyuan.exchange.standing import count_open, remember, sit
from ciyuan.exchange.states import TAKES_AUCTION, set_state
from ciyuan.exchange.sweeping import empty_ladders
from ciyuan.exchange.tables import table


@njit(cache=True)
def open_at(directory: Matrix) -> None:
    """Make a book ready that has only its listing."""
    open_books(book_at(directory))


@njit(cache=True)
def place_orders(directory: Matrix, given_rows: Matrix) -> None:
    """Make a book whole whose figures are set: its orders are the given rows, in order of priority number."""
    book, rows = book_at(directory), table(given_rows, 16)
    orders, contracts = book.orders, len(book.markets)
    for place in range(contracts):
        market = book.markets[place]
        said = market[INDICATIVE_TICKS], market[INDICATIVE_LOTS], market[INDICATIVE_SURPLUS]
        empty_ladders(book, place, market[LOWER])
        set_state(book, place, market[STATE])
        market[INDICATIVE_TICKS], market[INDICATIVE_LOTS], market[INDICATIVE_SURPLUS] = said
        market[INDICATIVE_SEEN] = market[SEQUENCE] if market[TAKES] == TAKES_AUCTION else -1
        market[BAND_MINUTE] = -1
        set_position_limits(market)
        for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
            for hedge in range(2):
                position = (account * contracts + place) * 2 + hedge
                recharge(book.markets, book.accounts, book.positions, position, account, place)
    for at in range(len(rows)):
        slot = at + 1
        orders[slot] = rows[at]
        remember(book, slot)
        if orders[slot, END] == 0:
            kind = orders[slot, KIND]
            place, effect = kind >> PLACE_SHIFT, kind >> EFFECT_SHIFT & 7
            count_open(book, slot, 1)
            open_lots(
                book, place, orders[slot, ACCOUNT], kind & 1, effect, orders[slot, LEFT], orders[slot, PRICE]
            )
            sit(book, slot)
    book.scalars[FRESH] = len(rows) + 1

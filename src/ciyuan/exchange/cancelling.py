"""CANCEL (§3.6, §3.7). Compiled."""

from numba import njit

from ciyuan.basics.rows import CODE_MASK
from ciyuan.exchange.book import (
    CANCELLED_ORDERS,
    CANCELS,
    EFFECT_SHIFT,
    END,
    HASH_MASK,
    KIND,
    MESSAGES,
    PLACE_SHIFT,
    Book,
    Matrix,
)
from ciyuan.exchange.express import cancel_plain, is_plain
from ciyuan.exchange.messages import CancelCause, Refusal
from ciyuan.exchange.risk import position_of, settings_of
from ciyuan.exchange.saying import say_level
from ciyuan.exchange.screening import fault_of_unused
from ciyuan.exchange.standing import seek_order, take_out
from ciyuan.exchange.told import DONE_BEFORE

REQUEST = int(CancelCause.REQUEST)


@njit(cache=True, forceinline=True)
def cancel_order(
    book: Book, events: Matrix, said: int, time: int, rows: Matrix, at: int
) -> tuple[int, int, int]:
    """CANCEL of a row: (events, fault or DONE_BEFORE or 0, place of the order's contract or -1)."""
    account = rows[at, 2]
    fault = fault_of_unused(rows[at, 0] & CODE_MASK, 0, 0, rows[at, 4], rows[at, 5], rows[at, 6], rows[at, 7])
    if fault != 0:
        return said, fault, -1
    slot = seek_order(book.orders, book.heads, book.scalars[HASH_MASK], account, rows[at, 3])
    if slot == 0:
        return said, Refusal.UNKNOWN_ORDER if settings_of(book, account) >= 0 else Refusal.UNKNOWN_ACCOUNT, -1
    kind = book.orders[slot, KIND]
    place = kind >> PLACE_SHIFT
    if book.orders[slot, END] == REQUEST:
        return said, DONE_BEFORE, -1
    if book.markets[place, CANCELS] == 0:
        return said, Refusal.WRONG_STATE, -1
    if book.orders[slot, END] != 0:
        return said, Refusal.ORDER_NOT_OPEN, -1
    position = position_of(len(book.markets), account, place, kind >> EFFECT_SHIFT)
    book.positions[position, MESSAGES] += 1
    book.positions[position, CANCELLED_ORDERS] += 1
    if is_plain(book, slot):
        return cancel_plain(book, events, said, time, slot, REQUEST), 0, place
    said, level = take_out(book, events, said, time, slot, REQUEST)
    return say_level(book, events, said, time, level), 0, place

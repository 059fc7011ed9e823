"""Finding rows by key, in the kernel: the indexes of parties, books and requests, and the chains of price lists.

The indexes keep runs of keys together: the home slot is the key itself, its bits above the index's width hashed and
xor-ed over it, so that sequential keys never collide. A key that finds its home taken walks on by a stride hashed
from its higher bits, so that structured keys (a customer in the high bits, multiples of a power of two) spread out.
"""

from numba import njit

from ciyuan.gateway.book import (
    CLOSED_END,
    CLOSED_FIRST,
    LATEST,
    OLDER,
    PARTY_BITS,
    PARTY_KEY,
    SPENDER,
    SPENDER_BITS,
    VALID_FROM,
    Matrix,
    MeterBook,
    Slots,
    Words,
)

HOME_FACTOR, STRIDE_FACTOR = 0x369DEA0F31A53F85, 0x27BB2EE687B0B0FD
"""Odd multipliers; the hash takes the product's bits from 32 up."""


@njit(cache=True)
def seek(table: Matrix, column: int, slots: Slots, bits: int, key: int) -> tuple[int, int]:
    """The slot of a key and its row of `table`; or the free slot where it belongs and -1."""
    slot = (key ^ ((key >> bits) * HOME_FACTOR >> 32)) & (len(slots) - 1)
    place = slots[slot] - 1
    if place >= 0 and table[place, column] != key:
        stride = (key >> 6) * STRIDE_FACTOR >> 32 | 1
        while place >= 0 and table[place, column] != key:
            slot = (slot + stride) & (len(slots) - 1)
            place = slots[slot] - 1
    return slot, place


@njit(cache=True)
def index_all(table: Matrix, count: int, column: int, slots: Slots, bits: int) -> None:
    """Enter the first `count` rows of `table` into empty `slots`."""
    for place in range(count):
        slot, _ = seek(table, column, slots, bits, table[place, column])
        slots[slot] = place + 1


@njit(cache=True)
def party_row(book: MeterBook, role: int, number: int) -> int:
    """The row of a party, -1 if it is not enrolled."""
    _, place = seek(book.parties, PARTY_KEY, book.party_slots, book.scalars[PARTY_BITS], role << 32 | number)
    return place


@njit(cache=True)
def row_of_spender(book: MeterBook, number: int) -> int:
    """The row of a spender, -1 if there is none of that number."""
    _, place = seek(book.spenders, SPENDER, book.spender_slots, book.scalars[SPENDER_BITS], number)
    return place


@njit(cache=True)
def is_closed(scalars: Words, key: int) -> bool:
    """Whether a request's key is in the closed range."""
    return bool(key < scalars[CLOSED_END] and key >= scalars[CLOSED_FIRST])


@njit(cache=True)
def list_at(book: MeterBook, owner: int, moment: int) -> tuple[int, int]:
    """Of the lists of the book in row `owner` (-1: none): the earliest that begins after a moment, and the one in force then."""
    newer, place = -1, book.books[owner, LATEST] if owner >= 0 else -1
    while place >= 0 and book.price_lists[place, VALID_FROM] > moment:
        newer, place = place, book.price_lists[place, OLDER]
    return newer, place

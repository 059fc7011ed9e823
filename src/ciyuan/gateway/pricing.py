"""Price lists in the kernel: taking one in, and what a delivery costs by one.

The lists of one supplier and grade (its *book*) are chained from the latest `valid_from_ns` to the earliest, so the
list in force now is found at once, and one in force long ago in as many steps as lists began since.
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, KIND, REASON_SHIFT, TIME
from ciyuan.gateway.book import (
    ACCEPTED_NS,
    BOOK_BITS,
    BOOK_COUNT,
    BOOK_GRADE,
    BOOK_KEY,
    BOOK_SUPPLIER,
    GRADE,
    HUNDREDTHS,
    LAST_HOLD_NS,
    LATEST,
    LIST_COUNT,
    OLDER,
    PRICE_CACHED,
    PRICE_IN,
    PRICE_OUT,
    SUPPLIER,
    VALID_FROM,
    Matrix,
    MeterBook,
    Words,
)
from ciyuan.gateway.edge import NEVER_HELD
from ciyuan.gateway.judges import fault_of_priced_again, fault_of_prices
from ciyuan.gateway.lookup import list_at, party_row, seek
from ciyuan.gateway.messages import (
    AMOUNT,
    BATCH_HUNDREDTHS,
    PRICE_LISTS_MAX,
    MeterEvent,
    MeterRefusal,
    PartyRole,
)


@njit(cache=True)
def price(book: MeterBook, row: Words, event: Words) -> int:
    """Take a PRICES row in, unless it is refused."""
    supplier, grade, price_in, price_cached, price_out, valid_from = (
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
        row[7],
    )
    hundredths = row[KIND] >> REASON_SHIFT or BATCH_HUNDREDTHS
    fault = fault_of_prices(supplier, grade, price_in, price_cached, price_out)
    if fault != 0:
        return fault
    slot, owner = seek(book.books, BOOK_KEY, book.book_slots, book.scalars[BOOK_BITS], supplier << 16 | grade)
    newer, known = list_at(book, owner, valid_from)
    event[AMOUNT] = valid_from
    if known >= 0 and book.price_lists[known, VALID_FROM] == valid_from:
        event[KIND] = row[KIND] & ~CODE_MASK | MeterEvent.REPEATED
        return fault_of_priced_again(
            book.price_lists[known, PRICE_IN] != price_in,
            book.price_lists[known, PRICE_CACHED] != price_cached,
            book.price_lists[known, PRICE_OUT] != price_out,
            book.price_lists[known, HUNDREDTHS] != hundredths,
        )
    if party_row(book, PartyRole.SUPPLIER, supplier) < 0:
        return MeterRefusal.SUPPLIER_UNKNOWN
    if (
        owner >= 0
        and book.books[owner, LAST_HOLD_NS] != NEVER_HELD
        and valid_from <= book.books[owner, LAST_HOLD_NS]
    ):
        return MeterRefusal.PRICES_BACKDATED
    place = book.scalars[LIST_COUNT]
    if place >= PRICE_LISTS_MAX:
        return MeterRefusal.PRICE_LISTS_FULL
    if owner < 0:
        owner = _new_book(book, slot, supplier, grade)
    prices = book.price_lists[place]
    prices[SUPPLIER], prices[GRADE], prices[PRICE_IN], prices[PRICE_CACHED] = (
        supplier,
        grade,
        price_in,
        price_cached,
    )
    prices[PRICE_OUT], prices[VALID_FROM], prices[HUNDREDTHS], prices[ACCEPTED_NS] = (
        price_out,
        valid_from,
        hundredths,
        row[TIME],
    )
    prices[OLDER] = known
    if newer >= 0:
        book.price_lists[newer, OLDER] = place
    else:
        book.books[owner, LATEST] = place
    book.scalars[LIST_COUNT] = place + 1
    event[KIND] = MeterEvent.PRICED | hundredths << REASON_SHIFT
    return 0


@njit(cache=True)
def _new_book(book: MeterBook, slot: int, supplier: int, grade: int) -> int:
    place = int(book.scalars[BOOK_COUNT])
    book.books[place, BOOK_SUPPLIER], book.books[place, BOOK_GRADE] = supplier, grade
    book.books[place, LAST_HOLD_NS], book.books[place, LATEST] = NEVER_HELD, -1
    book.books[place, BOOK_KEY] = supplier << 16 | grade
    book.book_slots[slot] = place + 1
    book.scalars[BOOK_COUNT] = place + 1
    return place


@njit(cache=True)
def cost_pico(price_lists: Matrix, place: int, batch: int, uncached: int, cached: int, out: int) -> int:
    """Pico-units that so many tokens cost by a list; a batch price is the price x hundredths / 100, a half rounded up."""
    price_in, price_cached, price_out = (
        price_lists[place, PRICE_IN],
        price_lists[place, PRICE_CACHED],
        price_lists[place, PRICE_OUT],
    )
    if batch:
        hundredths = price_lists[place, HUNDREDTHS]
        price_in = (2 * price_in * hundredths + 100) // 200
        price_cached = (2 * price_cached * hundredths + 100) // 200
        price_out = (2 * price_out * hundredths + 100) // 200
    return int(uncached * price_in + cached * price_cached + out * price_out)

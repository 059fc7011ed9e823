"""The arrays that the meter's kernel works on. `growth` makes and enlarges them; the kernel itself never allocates.

| array | shape | holds |
|---|---|---|
| parties | (room, 9) | as in a snapshot (`edge`), and the index's key: role << 32 | number |
| price_lists | (room, 9) | as in a snapshot, list n in row n - 1, and the row of its book's next older or -1 |
| books | (room, 5) | as in a snapshot, the row of the list that begins last, and the index's key: supplier << 16 | grade |
| requests | (room, 8) | as in a snapshot |
| deliveries | (room, 4) | as in a snapshot |
| party_, book_, request_slots | (2^k,) int32 | hash indexes: 1 + row, by key; 0 is empty; at most half of each is used |
| heap | (room, 2) | binary heap of (expires_ns, request row); an entry whose request has ended stays until it surfaces |
| scalars | (9,) | counts, the clock and the sizes of the indexes, places below |
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.int64]
Words: TypeAlias = NDArray[np.int64]
Slots: TypeAlias = NDArray[np.int32]

CLOCK, PARTY_COUNT, LIST_COUNT, BOOK_COUNT, REQUEST_COUNT, HEAP_SIZE, PARTY_BITS, BOOK_BITS, REQUEST_BITS = (
    range(9)
)
"""Places in `scalars`. The BITS are the k of an index's 2^k slots."""
ROLE, NUMBER, ACCOUNT, CARRY, CHARGED, USED_IN, USED_CACHED, USED_OUT, PARTY_KEY = range(9)
"""Columns of the parties."""
SUPPLIER, GRADE, PRICE_IN, PRICE_CACHED, PRICE_OUT, VALID_FROM, HUNDREDTHS, ACCEPTED_NS, OLDER = range(9)
"""Columns of the price lists."""
BOOK_SUPPLIER, BOOK_GRADE, LAST_HOLD_NS, LATEST, BOOK_KEY = range(5)
"""Columns of the books."""
REQUEST, PARTIES, IN_MAX, OUT_MAX, TIMEOUT_NS, EXPIRES_NS, HELD_MICRO, STATUS = range(8)
"""Columns of the requests. STATUS packs the state, the BATCH flag and the list's number as a kind word packs its parts."""
USED_TOKENS_IN, USED_TOKENS_CACHED, USED_TOKENS_OUT, CHARGE = range(4)
"""Columns of the deliveries."""


class MeterBook(NamedTuple):
    """The arrays of one meter, as its kernel takes them. Growth replaces the tuple."""

    parties: Matrix
    price_lists: Matrix
    books: Matrix
    requests: Matrix
    deliveries: Matrix
    party_slots: Slots
    book_slots: Slots
    request_slots: Slots
    heap: Matrix
    scalars: Words

"""The arrays that the meter's kernel works on. `growth` makes and enlarges them; the kernel itself never allocates.

| array | shape | holds |
|---|---|---|
| parties | (room, 9) | as in a snapshot (`edge`), and the index's key: role << 32 | number |
| price_lists | (room, 10) | as in a snapshot, list n in row n - 1; its book's next older or -1; its block |
| books | (room, 5) | as in a snapshot, the row of the list that begins last, and the index's key: supplier << 16 | grade |
| requests | (room, 8) | as in a snapshot |
| deliveries | (room, 8) | as in a snapshot; the spender's row + 1, the limits that count it, its time, its legs' row + 1 |
| spenders | (room, 14) | as in a snapshot; the parent's row or -1, the depth, how many limits, and their rows |
| limits | (room, 9) | as in a snapshot, and when the window that is counted ends |
| leg_steps | (room, 22) | block n in rows 8 (n - 1) to 8 n - 1: a price list's legs, step by step, worked out |
| leg_counts | (room, 11) | a request's key and what was told of its legs |
| party_, book_, request_, spender_, limit_slots | (2^k,) int32 | hash indexes: 1 + row, by key; 0 is empty; half used at most |
| heap | (room, 2) | binary heap of (expires_ns, request row); an entry whose request has ended stays until it surfaces |
| scalars | (17,) | counts, the clock, the sizes of the indexes, the range that is closed; places below |
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
SPENDER_COUNT, LIMIT_COUNT, BLOCK_COUNT, LEGS_COUNT, SPENDER_BITS, LIMIT_BITS, CLOSED_FIRST, CLOSED_END = (
    range(9, 17)
)
"""Places in `scalars`. The BITS are the k of an index's 2^k slots; the closed range is empty if its end is 0."""
SCALARS = 17
ROLE, NUMBER, ACCOUNT, CARRY, CHARGED, USED_IN, USED_CACHED, USED_OUT, PARTY_KEY = range(9)
"""Columns of the parties."""
SUPPLIER, GRADE, PRICE_IN, PRICE_CACHED, PRICE_OUT, VALID_FROM, HUNDREDTHS, ACCEPTED_NS, OLDER, BLOCK = range(
    10
)
"""Columns of the price lists."""
BOOK_SUPPLIER, BOOK_GRADE, LAST_HOLD_NS, LATEST, BOOK_KEY = range(5)
"""Columns of the books."""
REQUEST, PARTIES, IN_MAX, OUT_MAX, TIMEOUT_NS, EXPIRES_NS, HELD_MICRO, STATUS = range(8)
"""Columns of the requests. STATUS packs the state, the BATCH flag and the list's number as a kind word packs its parts."""
USED_TOKENS_IN, USED_TOKENS_CACHED, USED_TOKENS_OUT, CHARGE, SPENDER_ROW, COUNTED, HELD_NS, LEGS_ROW = range(
    8
)
"""Columns of the deliveries. COUNTED has bit 8 x levels up the tree + place of each limit that counts the request."""
SPENDER, PARENT, CUSTOMER, PARENT_ROW, DEPTH, LIMITS_HERE, FIRST_LIMIT = range(7)
"""Columns of the spenders; the rows of the limits stand from FIRST_LIMIT on."""
LIMIT, LIMITED, UNIT, WINDOW, MOST, OFFSET_NS, BEGAN, USED, ENDS_NS = range(9)
"""Columns of the limits. A budget's window began at BEGAN (ns); a rate's level was USED at the tick BEGAN (`windows`)."""
STEPS_OF_BLOCK = 8
"""Rows of a block: the list as it begins, and its steps."""
LEG_PRICES = 0
ABOVE, DEAREST_IN, DEAREST_OUT, PIECES_PICO, PIECES_MOST, STEPS, SAID = 13, 14, 15, 16, 17, 20, 21
"""Columns of the leg steps: a price for each `usage.Leg`; above how many tokens the step begins; the dearest of input and of
output and all pieces, up to this step; how many pieces of each kind (3) and how many steps, in a block's first row; which legs
were said, as bits."""
LEGS_REQUEST, LEGS_TOLD = 0, 1
"""Columns of the leg counts; the ten legs that a DELIVER does not say stand from LEGS_TOLD on, in the order of `usage.Leg`."""


class MeterBook(NamedTuple):
    """The arrays of one meter, as its kernel takes them. Growth replaces the tuple."""

    parties: Matrix
    price_lists: Matrix
    books: Matrix
    requests: Matrix
    deliveries: Matrix
    spenders: Matrix
    limits: Matrix
    leg_steps: Matrix
    leg_counts: Matrix
    party_slots: Slots
    book_slots: Slots
    request_slots: Slots
    spender_slots: Slots
    limit_slots: Slots
    heap: Matrix
    scalars: Words

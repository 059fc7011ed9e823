"""The arrays that the ledger's kernel works on. `growth` makes and enlarges them; the kernel itself never allocates.

| array | shape | holds |
|---|---|---|
| accounts | (room, 8) | by account number; row 0 is unused; columns below |
| transfers | (room, 8) | accepted rows in order; a POST or VOID has its hold's accounts filled in |
| held | (room,) | by transfer. HOLD: what it still holds, then minus its `HoldStatus`. POST, VOID: what was held before |
| slots | (2^k,) int32 | hash index: 1 + transfer, by key; 0 is empty; at most half of it is used |
| heap | (room, 2) | binary heap of (expiry_ns, transfer); an entry whose hold has ended stays until it surfaces |
| scalars | (22,) | counts and the clock, places below; then CLOSED_RANGES_MAX ranges of closed keys: first, one past the last |
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ciyuan.ledger.messages import CLOSED_RANGES_MAX

Matrix: TypeAlias = NDArray[np.int64]
Words: TypeAlias = NDArray[np.int64]
Slots: TypeAlias = NDArray[np.int32]

ACCOUNT_COUNT, TRANSFER_COUNT, HEAP_SIZE, CLOCK, SLOT_BITS, CLOSED_COUNT = range(6)
"""Places in `scalars`. SLOT_BITS is the k of the index's 2^k slots."""
CLOSED = 6
SCALARS = CLOSED + 2 * CLOSED_RANGES_MAX
"""Where in `scalars` the closed ranges stand, in order and no two touching, those that are not used zero; and its length.

They are no array of their own because every array of a book costs another kernel's call, row by row, some nanoseconds.
"""
ASSET, FLAGS, DEBITS_PENDING, DEBITS_POSTED, CREDITS_PENDING, CREDITS_POSTED, OPENED_KIND, OPENED_NS = range(
    8
)
"""Columns of the accounts matrix."""
HEAP_EXPIRY, HEAP_TRANSFER = range(2)
"""Columns of the heap."""
RANGE_FIRST, RANGE_END = range(2)
"""Columns of the closed ranges."""


class Book(NamedTuple):
    """The arrays of one ledger, as every kernel takes them. Growth replaces the tuple: take it anew after `reserve`."""

    accounts: Matrix
    transfers: Matrix
    held: Words
    slots: Slots
    heap: Matrix
    scalars: Words

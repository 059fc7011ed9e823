"""The arrays that the ledger's kernel works on. `growth` makes and enlarges them; the kernel itself never allocates.

| array | shape | holds |
|---|---|---|
| accounts | (room, 8) | by account number; row 0 is unused; columns below |
| transfers | (room, 8) | accepted rows in order; a POST or VOID has its hold's accounts filled in |
| held | (room,) | by transfer. HOLD: what it still holds, then minus its `HoldStatus`. POST, VOID: what was held before |
| slots | (2^k,) int32 | hash index: 1 + transfer, by key; 0 is empty; at most half of it is used |
| heap | (room, 2) | binary heap of (expiry_ns, transfer); an entry whose hold has ended stays until it surfaces |
| scalars | (5,) | counts and the clock, places below |
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.int64]
Words: TypeAlias = NDArray[np.int64]
Slots: TypeAlias = NDArray[np.int32]

ACCOUNT_COUNT, TRANSFER_COUNT, HEAP_SIZE, CLOCK, SLOT_BITS = range(5)
"""Places in `scalars`. SLOT_BITS is the k of the index's 2^k slots."""
ASSET, FLAGS, DEBITS_PENDING, DEBITS_POSTED, CREDITS_PENDING, CREDITS_POSTED, OPENED_KIND, OPENED_NS = range(
    8
)
"""Columns of the accounts matrix."""
HEAP_EXPIRY, HEAP_TRANSFER = range(2)
"""Columns of the heap."""


class Book(NamedTuple):
    """The arrays of one ledger, as every kernel takes them. Growth replaces the tuple: take it anew after `reserve`."""

    accounts: Matrix
    transfers: Matrix
    held: Words
    slots: Slots
    heap: Matrix
    scalars: Words

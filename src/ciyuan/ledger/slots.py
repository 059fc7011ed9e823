"""The index of a ledger's keys: a hash of slots, compiled.

The hash keeps runs of keys together: the home slot is the key itself, its bits above the index's width hashed and xor-ed over it,
so that sequential keys never collide. A key that finds its home taken walks on by a stride hashed from all but its six lowest
bits: neighbours stay neighbours, and structured keys (an owner in the high bits, multiples of a power of two) spread out.

Keys are entered in the order of their transfers. Taken out in the opposite order, each leaves a slot that no walk needs any more.
"""

from numba import njit

from ciyuan.ledger.book import Matrix, Slots
from ciyuan.ledger.messages import KEY

HOME_FACTOR, STRIDE_FACTOR = 0x2545F4914F6CDD1D, 0x5851F42D4C957F2D
"""Odd multipliers; the hash takes the product's bits from 32 up."""


@njit(cache=True, inline="always")
def seek(transfers: Matrix, slots: Slots, bits: int, key: int) -> tuple[int, int]:
    """The slot of a key and its transfer; or the free slot where it belongs and -1. Inlined as source: no array is counted."""
    slot = (key ^ ((key >> bits) * HOME_FACTOR >> 32)) & (len(slots) - 1)
    index = slots[slot] - 1
    if index >= 0 and transfers[index, KEY] != key:
        stride = (key >> 6) * STRIDE_FACTOR >> 32 | 1
        while index >= 0 and transfers[index, KEY] != key:
            slot = (slot + stride) & (len(slots) - 1)
            index = slots[slot] - 1
    return slot, index


@njit(cache=True)
def index_all(transfers: Matrix, count: int, slots: Slots, bits: int) -> None:
    """Enter the first `count` transfers into empty `slots`."""
    for transfer in range(count):
        slot, _ = seek(transfers, slots, bits, transfers[transfer, KEY])
        slots[slot] = transfer + 1


@njit(cache=True)
def empty_all(transfers: Matrix, count: int, slots: Slots, bits: int) -> None:
    """Take all `count` transfers out of `slots`, last first. However many slots there are, it costs what the transfers cost."""
    for transfer in range(count - 1, -1, -1):
        slot, _ = seek(transfers, slots, bits, transfers[transfer, KEY])
        slots[slot] = 0

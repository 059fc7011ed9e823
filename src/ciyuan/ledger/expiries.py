"""The heap of a ledger's expiries, compiled: (expiry_ns, transfer) entries, the first to expire on top, of two at once the older.

An entry whose hold has ended stays until it surfaces, until the heap needs room (`growth`) or until keys are closed (`closing`).
"""

from numba import njit

from ciyuan.ledger.book import HEAP_EXPIRY, HEAP_TRANSFER, Matrix


@njit(cache=True, inline="always")
def push(heap: Matrix, heap_size: int, expiry_ns: int, transfer: int) -> int:
    """Add an entry, whose transfer is later than any in the heap; returns the new size. Inlined as source."""
    node, up = heap_size, (heap_size - 1) >> 1
    while node > 0 and heap[up, HEAP_EXPIRY] > expiry_ns:
        heap[node, HEAP_EXPIRY], heap[node, HEAP_TRANSFER] = heap[up, HEAP_EXPIRY], heap[up, HEAP_TRANSFER]
        node, up = up, (up - 1) >> 1
    heap[node, HEAP_EXPIRY], heap[node, HEAP_TRANSFER] = expiry_ns, transfer
    return heap_size + 1


@njit(cache=True)
def drop_top(heap: Matrix, heap_size: int) -> int:
    """Take the first entry out; returns the new size."""
    heap_size -= 1
    _sink(heap, heap_size, 0, heap[heap_size, HEAP_EXPIRY], heap[heap_size, HEAP_TRANSFER])
    return heap_size


@njit(cache=True)
def order_all(heap: Matrix, heap_size: int) -> None:
    """Make a heap of `heap_size` entries in any order."""
    for node in range((heap_size >> 1) - 1, -1, -1):
        _sink(heap, heap_size, node, heap[node, HEAP_EXPIRY], heap[node, HEAP_TRANSFER])


@njit(cache=True)
def _sink(heap: Matrix, heap_size: int, node: int, expiry_ns: int, transfer: int) -> None:
    """Put an entry at a node or, while one below is earlier, further down."""
    down = 2 * node + 1
    while down < heap_size:
        if down + 1 < heap_size and _is_before(
            heap, down + 1, heap[down, HEAP_EXPIRY], heap[down, HEAP_TRANSFER]
        ):
            down += 1
        if not _is_before(heap, down, expiry_ns, transfer):
            break
        heap[node, HEAP_EXPIRY], heap[node, HEAP_TRANSFER] = (
            heap[down, HEAP_EXPIRY],
            heap[down, HEAP_TRANSFER],
        )
        node, down = down, 2 * down + 1
    heap[node, HEAP_EXPIRY], heap[node, HEAP_TRANSFER] = expiry_ns, transfer


@njit(cache=True)
def _is_before(heap: Matrix, node: int, expiry_ns: int, transfer: int) -> bool:
    earlier: bool = heap[node, HEAP_EXPIRY] < expiry_ns
    return earlier or (heap[node, HEAP_EXPIRY] == expiry_ns and heap[node, HEAP_TRANSFER] < transfer)

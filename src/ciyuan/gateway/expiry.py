"""The heap of holds that end by themselves, in the kernel: a binary heap of (expires_ns, request row), first to end on top."""

from numba import njit

from ciyuan.gateway.book import HEAP_SIZE, Matrix, MeterBook


@njit(cache=True)
def push(book: MeterBook, expires: int, place: int) -> None:
    """Add an entry to the heap; its request is later than any in it."""
    heap, node = book.heap, book.scalars[HEAP_SIZE]
    book.scalars[HEAP_SIZE] = node + 1
    while node > 0 and heap[(node - 1) >> 1, 0] > expires:
        up = (node - 1) >> 1
        heap[node, 0], heap[node, 1] = heap[up, 0], heap[up, 1]
        node = up
    heap[node, 0], heap[node, 1] = expires, place


@njit(cache=True)
def drop_top(book: MeterBook) -> None:
    """Take the first entry out of the heap."""
    heap, size = book.heap, book.scalars[HEAP_SIZE] - 1
    book.scalars[HEAP_SIZE] = size
    _sink(heap, size, 0, heap[size, 0], heap[size, 1])


@njit(cache=True)
def heapify(book: MeterBook) -> None:
    """Make a heap of entries that are in no order."""
    heap, size = book.heap, book.scalars[HEAP_SIZE]
    for node in range(size // 2 - 1, -1, -1):
        _sink(heap, size, node, heap[node, 0], heap[node, 1])


@njit(cache=True)
def _sink(heap: Matrix, size: int, node: int, expires: int, place: int) -> None:
    """Put an entry at a node of a heap of `size`, or below it, where it belongs."""
    down = 2 * node + 1
    while down < size:
        if down + 1 < size and (heap[down + 1, 0], heap[down + 1, 1]) < (heap[down, 0], heap[down, 1]):
            down += 1
        if (expires, place) < (heap[down, 0], heap[down, 1]):
            break
        heap[node, 0], heap[node, 1] = heap[down, 0], heap[down, 1]
        node, down = down, 2 * down + 1
    heap[node, 0], heap[node, 1] = expires, place

"""The queues of the compiled scheduler. Waiting requests lie in skew heaps, joined by columns of the requests themselves, so that
a queue of any length takes no room of its own; what decodes lies in an array heap per replica, which can be searched."""

from numba import njit

from ciyuan.factory.scheduler_state import LAST_STEP, LEFT, RIGHT, Ints, Reals


@njit(cache=True)
def joined(req: Ints, when: Reals, column: int, one: int, other: int) -> int:
    """The root of two skew heaps in one, ordered by (`when[:, column]`, request); -1 is an empty heap."""
    if one < 0:
        return other
    if other < 0:
        return one
    if _before(when, column, other, one):
        one, other = other, one
    root = node = one
    while True:
        right = req[node, RIGHT]
        req[node, RIGHT] = req[node, LEFT]
        if right < 0:
            req[node, LEFT] = other
            return root
        if _before(when, column, other, right):
            right, other = other, right
        req[node, LEFT] = right
        node = right


@njit(cache=True)
def without_first(req: Ints, when: Reals, column: int, root: int) -> int:
    """The root of a skew heap without its first request, which is let go."""
    left, right = req[root, LEFT], req[root, RIGHT]
    req[root, LEFT] = req[root, RIGHT] = -1
    return joined(req, when, column, left, right)


@njit(cache=True)
def _before(when: Reals, column: int, one: int, other: int) -> bool:
    return when[one, column] < when[other, column] or (
        when[one, column] == when[other, column] and one < other
    )


@njit(cache=True)
def push_end(req: Ints, ends: Ints, replica: int, size: int, request: int) -> None:
    """Put a request into the replica's heap of `size` by its last step."""
    ends[replica, size] = request
    _up(req, ends, replica, size)


@njit(cache=True)
def drop_end(req: Ints, ends: Ints, replica: int, size: int, place: int) -> None:
    """Take what is at `place` out of the replica's heap of `size`."""
    last = size - 1
    ends[replica, place] = ends[replica, last]
    ends[replica, last] = -1
    if place < last:
        _up(req, ends, replica, place)
        _down(req, ends, replica, last, place)


@njit(cache=True)
def _sooner(req: Ints, one: int, other: int) -> bool:
    return req[one, LAST_STEP] < req[other, LAST_STEP] or (
        req[one, LAST_STEP] == req[other, LAST_STEP] and one < other
    )


@njit(cache=True)
def _up(req: Ints, ends: Ints, replica: int, place: int) -> None:
    while place > 0:
        parent = (place - 1) >> 1
        if not _sooner(req, ends[replica, place], ends[replica, parent]):
            return
        ends[replica, place], ends[replica, parent] = ends[replica, parent], ends[replica, place]
        place = parent


@njit(cache=True)
def _down(req: Ints, ends: Ints, replica: int, size: int, place: int) -> None:
    while True:
        least = place
        for child in (2 * place + 1, 2 * place + 2):
            if child < size and _sooner(req, ends[replica, child], ends[replica, least]):
                least = child
        if least == place:
            return
        ends[replica, place], ends[replica, least] = ends[replica, least], ends[replica, place]
        place = least

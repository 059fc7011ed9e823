"""Numbers of calls: each given once, by one process or several, over restarts, and later ones larger.

| bits | of a number (56) |
|---|---|
| 41 | milliseconds since 2026-01-01T00:00:00Z: until 2095 |
| 4 | the process among those that share a journal |
| 11 | a count within the millisecond |

A count that is full borrows from the next millisecond; a clock that goes back is waited for likewise: a number is always above
the one before it, and above `least`, the last one that the journal has seen of this process.
"""

from collections.abc import Callable

from ciyuan.basics.errors import Malformed

EPOCH_NS = 1_767_225_600 * 10**9
"""2026-01-01T00:00:00Z."""
COUNT_BITS, PROCESS_BITS = 11, 4
PROCESSES = 1 << PROCESS_BITS
_SHIFT = COUNT_BITS + PROCESS_BITS
_NS_PER_MS = 10**6


class Numbers:
    """Gives numbers to the calls of one process. `process` is 0 to 15; `clock` gives nanoseconds since 1970, UTC."""

    def __init__(self, clock: Callable[[], int], process: int = 0, least: int = 0) -> None:
        if not 0 <= process < PROCESSES:
            raise Malformed("gateway process", found=process, expected=f"0 to {PROCESSES - 1}",
                            remedy="Give each process that shares a journal a number of its own.")  # fmt: skip
        self._clock, self._process = clock, process
        self._slot = (least >> _SHIFT << COUNT_BITS) + (1 << COUNT_BITS) if least else 0

    def next(self) -> int:
        """A number that was never given."""
        now = (self._clock() - EPOCH_NS) // _NS_PER_MS << COUNT_BITS
        self._slot = slot = max(self._slot + 1, now)
        return slot >> COUNT_BITS << _SHIFT | self._process << COUNT_BITS | slot & (1 << COUNT_BITS) - 1


def number_at(time_ns: int) -> int:
    """The least number of a call that began at this time or later."""
    return max(0, (time_ns - EPOCH_NS) // _NS_PER_MS) << _SHIFT

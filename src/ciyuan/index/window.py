"""The fixing window (§8.3): which moments belong to it, in which partition, and until when a day may still be told of.

| moment | is |
|---|---|
| `open_ns(day)` | the first moment of the window |
| `close_ns(day)` | the first moment after it: from here on the day can be fixed |
| `fix_until_ns(day)` | the last moment at which it can be fixed |
| `closed_ns(day)` | the last moment at which a correction could come: after it the day's observations are dropped |
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_DAY
from ciyuan.index.messages import IndexRefusal, IndexTerms


class Window:
    """The window of every day. Raises Malformed if it is empty or cannot be cut into equal partitions."""

    def __init__(self, terms: IndexTerms, calendar: Calendar) -> None:
        self._calendar = calendar
        self._terms = terms
        midnight = calendar.start_ns(0)
        self._from = calendar.ns_at(0, terms.window_from) - midnight
        self._to = calendar.ns_at(0, terms.window_to) - midnight
        span = self._to - self._from
        if span <= 0 or span % terms.partitions:
            raise Malformed(
                "index terms, window",
                found=f"{terms.window_from} to {terms.window_to} in {terms.partitions} parts",
                expected="a span of time in equal parts",
                remedy="Mend the window or the number of partitions.",
            )
        self._partition_ns = span // terms.partitions

    def open_ns(self, day: int) -> int:
        """The first moment of a day's window."""
        return self._calendar.start_ns(day) + self._from

    def close_ns(self, day: int) -> int:
        """The first moment after a day's window."""
        return self._calendar.start_ns(day) + self._to

    def fix_until_ns(self, day: int) -> int:
        """The last moment at which a day can be fixed."""
        return self.close_ns(day) + self._terms.fix_within_ns

    def closed_ns(self, day: int) -> int:
        """The last moment at which a day could be corrected, however late it was fixed."""
        return self.fix_until_ns(day) + self._terms.correct_within_ns

    def day_of(self, time_ns: int) -> int:
        """The venue day of a moment."""
        return self._calendar.day_of(time_ns)

    def fault(self, time_ns: int, all_day: bool, clock_ns: int) -> int:
        """Why an observation of a moment is refused at `clock_ns`; 0 for nothing. `all_day`: it may lie outside the window."""
        day = self._calendar.day_of(time_ns)
        if not self._calendar.is_business(day):
            return IndexRefusal.NOT_A_BUSINESS_DAY
        if not all_day and not self.open_ns(day) <= time_ns < self.close_ns(day):
            return IndexRefusal.OUTSIDE_WINDOW
        return IndexRefusal.DAY_CLOSED if self.closed_ns(day) < clock_ns else 0

    def days(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The venue days of moments within 0 .. TIME_MAX, (n,)."""
        days: NDArray[np.int64] = (times + self._calendar.utc_offset_ns) // NS_PER_DAY
        return days

    def business(self, days: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which days are business days, (n,)."""
        return np.isin(days, [day for day in np.unique(days).tolist() if self._calendar.is_business(day)])

    def inside(self, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which moments lie in the window of their day, be it a business day or not, (n,)."""
        since = (times + self._calendar.utc_offset_ns) % NS_PER_DAY
        inside: NDArray[np.bool_] = (since >= self._from) & (since < self._to)
        return inside

    def wants_one(self, time_ns: int) -> bool:
        """Whether one moment lies in the window of a business day."""
        since = (time_ns + self._calendar.utc_offset_ns) % NS_PER_DAY
        return self._from <= since < self._to and self._calendar.is_business(self._calendar.day_of(time_ns))

    def partition(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The partition, 0 to `terms.partitions` - 1, of moments inside the window, (n,)."""
        since = (times + self._calendar.utc_offset_ns) % NS_PER_DAY
        partition: NDArray[np.int64] = (since - self._from) // self._partition_ns
        return partition

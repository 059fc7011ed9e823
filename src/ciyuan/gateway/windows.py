"""The windows of limits in the kernel: where a calendar's begin and end, and how a rate's bucket runs out.

A *budget* counts in the days, months or years of a clock that is some hours ahead of UTC; days are numbered from 1970-01-01, and
a day's month and year follow by the Gregorian calendar (the arithmetic of H. Hinnant, "chrono-Compatible Low-Level Date
Algorithms": years that begin in March, in eras of 400).

A *rate* is the generic cell rate algorithm (ITU-T I.371) as a leaky bucket, exact in integers. Time is counted in ticks, of which
a window has 60,000,000: a microsecond of a minute, 60 of an hour. One unit fills the bucket by 60,000,000, each tick empties it
by `most`, and it holds `most` x 60,000,000: so `most` units fit at once, and as many again a window later.
"""

from numba import njit

from ciyuan.basics.rows import INT64_MAX
from ciyuan.gateway.messages import LimitWindow

TICKS = 60_000_000
"""Ticks of a rate's window."""
DAY_NS = 86_400 * 10**9
ERA_DAYS, EPOCH_DAYS = 146_097, 719_468
"""Days of 400 years; days from 0000-03-01 to 1970-01-01."""


@njit(cache=True)
def tick_of(window: int, time: int) -> int:
    """The tick of a rate's window in which a time lies."""
    return time // (1_000 if window == LimitWindow.MINUTE else 60_000)


@njit(cache=True)
def level_at(used: int, began: int, most: int, tick: int) -> int:
    """The level of a bucket at a tick that was `used` at the tick `began`."""
    elapsed = tick - began
    if most == 0:
        return used
    return 0 if elapsed > used // most else used - elapsed * most


@njit(cache=True)
def borders(window: int, time: int, offset: int) -> tuple[int, int]:
    """When a budget's window that a time (0 or later) lies in began and ends, in ns; what is beyond int64 is its greatest."""
    if window == LimitWindow.EVER:
        return 0, INT64_MAX
    day = time // DAY_NS + (time % DAY_NS + offset) // DAY_NS
    if window == LimitWindow.DAY:
        return _moment(day, offset), _moment(day + 1, offset)
    year, month = _year_month(day)
    if window == LimitWindow.YEAR:
        return _moment(_day_of(year, 1), offset), _moment(_day_of(year + 1, 1), offset)
    following = _day_of(year + month // 12, month % 12 + 1)
    return _moment(_day_of(year, month), offset), _moment(following, offset)


@njit(cache=True)
def _moment(day: int, offset: int) -> int:
    """Midnight of a day, by a clock `offset` ahead of UTC; the greatest moment if it is beyond."""
    until = DAY_NS - offset  # from a day before, so that nothing on the way overflows
    if day - 1 > INT64_MAX // DAY_NS or (day - 1) * DAY_NS > INT64_MAX - until:
        return INT64_MAX
    return (day - 1) * DAY_NS + until


@njit(cache=True)
def _year_month(day: int) -> tuple[int, int]:
    """Year and month of a day."""
    day += EPOCH_DAYS
    of_era = day % ERA_DAYS
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    from_march = (5 * of_year + 2) // 153
    year = day // ERA_DAYS * 400 + year_of_era
    return (year, from_march + 3) if from_march < 10 else (year + 1, from_march - 9)


@njit(cache=True)
def _day_of(year: int, month: int) -> int:
    """The first day of a month."""
    year -= month <= 2
    from_march = month - 3 if month > 2 else month + 9
    of_era = year % 400
    of_year = (153 * from_march + 2) // 5
    return year // 400 * ERA_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - EPOCH_DAYS

"""The calendar: venue days, business days, contract months.

A *day* is the integer of days since 1970-01-01 in the venue's local time; a *month* is the integer yyyymm.

| expression | gives |
|---|---|
| `calendar.day_of(ns)` | the venue day of a moment |
| `calendar.ns_at(day, "15:00")` | the moment of a local time of day ("24:00" is the next midnight) |
| `calendar.business_days(first, last)` | the business days in between, both ends counted |
| `month_days(202610)` | (first day, last day) |

The venue's zone is a fixed offset from UTC: a market day that changes its length twice a year is a source of mistakes only.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_DAY, NS_PER_MINUTE

_EPOCH = date(1970, 1, 1)
_EPOCH_WEEKDAY = _EPOCH.weekday()
_SATURDAY = 5


def day_from_iso(text: str) -> int:
    """The day of a text such as "2026-10-01"."""
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise Malformed(
            "date", found=text, expected="a date as 2026-10-01", remedy="Write year, month, day."
        ) from None


def iso_of_day(day: int) -> str:
    """The text of a day, as "2026-10-01"."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def month_of(day: int) -> int:
    """The month (yyyymm) of a day."""
    found = _EPOCH + timedelta(days=day)
    return found.year * 100 + found.month


def next_month(month: int, ahead: int = 1) -> int:
    """The month `ahead` months after `month` (before it, if negative)."""
    year, index = divmod(month // 100 * 12 + month % 100 - 1 + ahead, 12)
    return year * 100 + index + 1


def month_days(month: int) -> tuple[int, int]:
    """The first and the last day of a month (yyyymm)."""
    try:
        first = date(month // 100, month % 100, 1)
    except ValueError:
        raise Malformed(
            "month", found=month, expected="yyyymm, as 202610", remedy="Give year and month."
        ) from None
    after = next_month(month)
    return (first - _EPOCH).days, (date(after // 100, after % 100, 1) - _EPOCH).days - 1


@dataclass(frozen=True, slots=True)
class Calendar:
    """A venue's calendar: its offset from UTC, and the weekdays on which it is closed (`holidays`)."""

    utc_offset_ns: int = 0
    holidays: frozenset[int] = frozenset()

    def day_of(self, time_ns: int) -> int:
        """The venue day of a moment."""
        return (time_ns + self.utc_offset_ns) // NS_PER_DAY

    def start_ns(self, day: int) -> int:
        """The moment at which a venue day begins (its midnight)."""
        return day * NS_PER_DAY - self.utc_offset_ns

    def ns_at(self, day: int, clock: str) -> int:
        """The moment of a local time of day such as "09:00" on a venue day."""
        hour, _, minute = clock.partition(":")
        if not (
            hour.isdecimal()
            and minute.isdecimal()
            and int(minute) < 60
            and int(hour) * 60 + int(minute) <= 1440
        ):
            raise Malformed(
                "time of day",
                found=clock,
                expected="hh:mm from 00:00 to 24:00",
                remedy='Write it like "09:00".',
            )
        return self.start_ns(day) + (int(hour) * 60 + int(minute)) * NS_PER_MINUTE

    def is_business(self, day: int) -> bool:
        """Whether the venue trades on a day: Monday to Friday, but for holidays."""
        return (day + _EPOCH_WEEKDAY) % 7 < _SATURDAY and day not in self.holidays

    def business_days(self, first: int, last: int) -> tuple[int, ...]:
        """The business days from `first` to `last`, both counted, in order."""
        return tuple(day for day in range(first, last + 1) if self.is_business(day))

    def next_business(self, day: int) -> int:
        """The first business day after `day`."""
        day += 1
        while not self.is_business(day):
            day += 1
        return day

    def previous_business(self, day: int) -> int:
        """The last business day before `day`."""
        day -= 1
        while not self.is_business(day):
            day -= 1
        return day

    def last_business_of_month(self, month: int) -> int:
        """The last business day of a month (rulebook §2.2: the last trading day)."""
        return self.business_days(*month_days(month))[-1]

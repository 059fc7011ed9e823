"""Spans of time that usage is asked for: a month, a day, or from one day to another, in days and hours since 1970-01-01.

| text | span |
|---|---|
| `2026-11` | the month |
| `2026-11-21` | the day |
| `2026` | the year |

Borders are UTC's, or those of an offset of whole hours (`+08:00`: a company in China). Hours are summed in UTC, so an offset of a
part of an hour cannot be had.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_SECOND, iso_from_ns
from ciyuan.services.door.registry_words import parse_offset
from ciyuan.services.door.usage_columns import HOURS_PER_DAY

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Span:
    """Days from `first` to before `end` (local dates), and how many hours their borders are ahead of UTC's."""

    first: date
    end: date
    offset_hours: int = 0

    @property
    def hours(self) -> tuple[int, int]:
        """The hours since 1970 UTC from which, and before which."""
        start, end = (
            (each - EPOCH).days * HOURS_PER_DAY - self.offset_hours for each in (self.first, self.end)
        )
        return start, end

    @property
    def bounds_ns(self) -> tuple[int, int]:
        """The nanoseconds from which, and before which."""
        start, end = self.hours
        return start * NS_PER_HOUR, end * NS_PER_HOUR

    @property
    def is_month(self) -> bool:
        """It is one whole calendar month."""
        return self.first.day == 1 and self.end == next_month(self.first)

    @property
    def name(self) -> str:
        """`2026-11` for a month, `2026-11-21` for a day, both ends otherwise."""
        if self.end == self.first + timedelta(days=1):
            return self.first.isoformat()
        if self.is_month:
            return month_name(self.first)
        return f"{self.first.isoformat()} to {(self.end - timedelta(days=1)).isoformat()}"

    def months(self) -> "list[Span]":
        """The months that it touches, each cut to it."""
        found, at = [], self.first
        while at < self.end:
            end = min(self.end, next_month(at))
            found.append(Span(at, end, self.offset_hours))
            at = end
        return found

    def day_of(self, hour: int) -> date:
        """The local day of an hour since 1970 UTC."""
        return EPOCH + timedelta(days=(hour + self.offset_hours) // HOURS_PER_DAY)


def parse_span(text: str, offset: str = "+00:00") -> Span:
    """The span of a year, month or day. Raises Malformed."""
    hours = offset_hours(offset)
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            day = date.fromisoformat(text)
            return Span(day, day + timedelta(days=1), hours)
        if re.fullmatch(r"\d{4}-\d{2}", text):
            first = date.fromisoformat(f"{text}-01")
            return Span(first, next_month(first), hours)
        if re.fullmatch(r"\d{4}", text):
            return Span(date(int(text), 1, 1), date(int(text) + 1, 1, 1), hours)
    except (ValueError, OverflowError):
        pass
    raise Malformed(
        "span of time",
        found=text,
        expected="a month, day or year of the calendar",
        remedy="Write it like 2026-11.",
    )


def between(first: Span, last: Span) -> Span:
    """From the beginning of one span to the end of another. Raises Malformed if that is before."""
    if last.end <= first.first:
        raise Malformed("span of time", found=f"{first.name} to {last.name}", expected="an end after the beginning",
                        remedy="Swap them.")  # fmt: skip
    return Span(first.first, last.end, first.offset_hours)


def month_of(time_ns: int, hours: int = 0) -> Span:
    """The calendar month of a moment."""
    day = Span(EPOCH, EPOCH, hours).day_of(time_ns // NS_PER_HOUR)
    first = day.replace(day=1)
    return Span(first, next_month(first), hours)


def month_before(span: Span) -> Span:
    """The month before a month."""
    end = span.first
    return Span((end - timedelta(days=1)).replace(day=1), end, span.offset_hours)


def next_month(day: date) -> date:
    """The first day of the next month."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def month_name(day: date) -> str:
    """`2026-11`."""
    return f"{day.year:04}-{day.month:02}"


def to_second(time_ns: int) -> str:
    """UTC text of a moment, its fraction of a second left out: how it is shown to people."""
    return iso_from_ns(time_ns - time_ns % NS_PER_SECOND)


def offset_hours(text: str) -> int:
    """Whole hours of an offset such as `+08:00`. Raises Malformed for a part of an hour."""
    hours, part = divmod(parse_offset(text), NS_PER_HOUR)
    if part or abs(hours) > 14:
        raise Malformed("offset from UTC", found=text, expected="whole hours from -14:00 to +14:00",
                        remedy="Usage is kept by the hour: take the nearest whole hour.")  # fmt: skip
    return hours

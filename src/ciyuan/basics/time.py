"""Time: integer nanoseconds since 1970-01-01T00:00:00Z, in UTC. No date without a zone.

| expression | gives | raises |
|---|---|---|
| `ns_from_iso("2026-10-01T00:00:00Z")` | int | Malformed without a zone |
| `iso_from_ns(ns)` | text in UTC, to the second, or to the nanosecond if there are any | |
| `ns_from_seconds("946.68059")` | exact int of a decimal text of seconds | Malformed |
"""

import re
from datetime import UTC, datetime

from ciyuan.basics.errors import Malformed

NS_PER_US = 10**3
NS_PER_MS = 10**6
NS_PER_SECOND = 10**9
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR

_SECONDS = re.compile(r"([+-]?)(\d+)(?:\.(\d{1,9}))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ns_from_iso(text: str) -> int:
    """Nanoseconds of an ISO 8601 date and time with a zone; microseconds at the finest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Malformed("date and time", found=text, expected='ISO 8601 with a zone, as "2026-10-01T09:00:00+08:00"',
                        remedy="Add the zone; Z is UTC.")  # fmt: skip
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * NS_PER_US


def iso_from_ns(time_ns: int) -> str:
    """UTC text of a moment, as "2026-10-01T01:00:00Z"; the fraction is shown only if there is one."""
    seconds, fraction = divmod(time_ns, NS_PER_SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}Z" if fraction else f"{text}Z"


def ns_from_seconds(text: str) -> int:
    """Exact nanoseconds of a decimal text of seconds, at most nine decimals."""
    found = _SECONDS.fullmatch(text)
    if found is None:
        raise Malformed(
            "seconds",
            found=text,
            expected="a decimal number with at most nine decimals",
            remedy='Write it like "12.5".',
        )
    sign, whole, fraction = found.groups()
    ns = int(whole) * NS_PER_SECOND + int((fraction or "").ljust(9, "0"))
    return -ns if sign == "-" else ns

"""The record: every version of every fixing, for ever, and what was known when (§8.6).

Each version says from when it was known. Asked as of a moment, the record answers as it would have answered then.
"""

from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar, month_days, next_month
from ciyuan.basics.money import div_half_up
from ciyuan.index.messages import RULE_WITHHOLD, Fixing, MonthMean

WIDTH = 12
"""Words of a version: the fields of `Fixing`; a value of 0 stands for None."""
MISSING_PARTS = 3
"""More than one in this many business days missing, and the month before stands in (§8.5)."""

Key = tuple[int, int, int]
"""Grade, leg, day."""


class Record:
    """The versions of all fixings, by (grade, leg, day)."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._versions: dict[Key, list[Fixing]] = {}

    def add(self, fixing: Fixing) -> None:
        """Add the next version."""
        self._versions.setdefault((fixing.grade, fixing.leg, fixing.day), []).append(fixing)

    def versions(self, grade: int, day: int, leg: int) -> tuple[Fixing, ...]:
        """All versions, published or withheld, the oldest first."""
        return tuple(self._versions.get((grade, leg, day), ()))

    def latest(self, grade: int, day: int, leg: int, as_known_at_ns: int | None = None) -> Fixing | None:
        """The latest version known at a moment (None: now), published or withheld; None before the first."""
        known = None
        for fixing in self._versions.get((grade, leg, day), ()):
            if as_known_at_ns is None or fixing.known_from_ns <= as_known_at_ns:
                known = fixing
        return known

    def month_mean(
        self, grade: int, month: int, leg: int, as_known_at_ns: int | None = None
    ) -> MonthMean | None:
        """The mean of a month's fixings over its business days (§2.2), with what §8.5 says of missing ones.

        A few missing: the mean of the others. More than a third: the mean of the month before, if no more than a third are
        missing there; else of the days that there are; else, with none at all, of the days of the month before. None if that
        has none.
        """
        values, missing = self._values(grade, month, leg, as_known_at_ns)
        if values and missing * MISSING_PARTS <= len(values) + missing:
            return _mean(values, 0, len(values), missing)
        before, gaps = self._values(grade, next_month(month, -1), leg, as_known_at_ns)
        enough = before and gaps * MISSING_PARTS <= len(before) + gaps
        standing_in = before if enough or not values else values
        return _mean(standing_in, RULE_WITHHOLD, len(values), missing) if standing_in else None

    def _values(self, grade: int, month: int, leg: int, as_known_at_ns: int | None) -> tuple[list[int], int]:
        """The fixings of a month's business days, and how many are missing."""
        days = self._calendar.business_days(*month_days(month))
        known = (self.latest(grade, day, leg, as_known_at_ns) for day in days)
        values = [fixing.value_micro for fixing in known if fixing and fixing.value_micro is not None]
        return values, len(days) - len(values)

    def matrix(self) -> NDArray[np.int64]:
        """Every version, (n, 12), by grade, leg, day and version."""
        rows = [
            [0 if word is None else int(word) for word in astuple(fixing)]
            for key in sorted(self._versions)
            for fixing in self._versions[key]
        ]
        return np.array(rows, dtype=np.int64).reshape(-1, WIDTH)

    def refill(self, rows: NDArray[np.int64]) -> None:
        """Inverse of `matrix`."""
        self._versions = {}
        for words in rows.tolist():
            grade, day, leg, version, value, level, sellers, observations, volume, raised, withheld, known = (
                words
            )
            self.add(
                Fixing(
                    grade,
                    day,
                    leg,
                    version,
                    value or None,
                    level,
                    sellers,
                    observations,
                    volume,
                    bool(raised),
                    withheld,
                    known,
                )
            )


def _mean(values: list[int], rule: int, days: int, missing: int) -> MonthMean:
    return MonthMean(div_half_up(sum(values), len(values)), rule, days, missing)

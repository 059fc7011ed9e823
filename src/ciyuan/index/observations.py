"""Observations as they are kept: matrices of rows by day, until the day can no longer be corrected.

A row is what OBSERVE says after its kind word: (time, grade, seller, price, volume, leg, source). The sum of a day's volumes,
each counted in every partition (as a list price's is), stays within 64 bits: what would take it beyond is refused.

Deliveries come in batches of thousands and spot trades one by one, so rows are looked at as columns, or a few of them one at a
time. Both ways say the same of every row (tests/index/test_observations.py).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import INT64_MAX, TIME
from ciyuan.index.messages import (
    GRADE,
    LEG,
    PRICE,
    SELLER,
    SOURCE,
    TIME_MAX,
    VOLUME,
    IndexRefusal,
    Leg,
    Source,
)
from ciyuan.index.window import Window

WIDTH = 7
_LEGS, _SOURCES = frozenset(Leg), frozenset(Source)
_VOLUME_AT = VOLUME - 1
_GRADE_AT, _LEG_AT, _SELLER_AT = GRADE - 1, LEG - 1, SELLER - 1


def running_clock(times: NDArray[np.int64], clock_ns: int) -> NDArray[np.int64]:
    """The clock after each of (n,) moments, none of which moves it back; a moment out of range does not move it."""
    usable = np.where((times < 0) | (times > TIME_MAX), 0, times)
    return np.maximum(np.maximum.accumulate(usable), clock_ns)


class Observations:
    """The observations of the days that are not closed."""

    def __init__(self, window: Window, partitions: int) -> None:
        self._window = window
        self._room = INT64_MAX // partitions
        self._days: dict[int, list[NDArray[np.int64]]] = {}
        self._volume: dict[int, int] = {}

    def admit_one(self, row: Sequence[int], clock_ns: int) -> int:
        """Keep an OBSERVE row if it can be kept when the clock stands at `clock_ns`. Returns its refusal, 0 for none."""
        fault = self._fault(row, clock_ns)
        if fault:
            return fault
        day = self._window.day_of(row[TIME])
        total = self._volume.get(day, 0) + row[VOLUME]
        if total > self._room:
            return IndexRefusal.DAY_FULL
        self._volume[day] = total
        self._keep(day, np.array([row[TIME:]], dtype=np.int64))
        return 0

    def _fault(self, row: Sequence[int], clock_ns: int) -> int:
        """The first refusal of a row that does not depend on what is kept; 0 for none."""
        _, time_ns, grade, seller, price, volume, leg, source = row
        if not 0 <= time_ns <= TIME_MAX:
            return IndexRefusal.TIME_OUT_OF_RANGE
        if grade < 1:
            return IndexRefusal.GRADE_NOT_POSITIVE
        if seller < 1:
            return IndexRefusal.SELLER_NOT_POSITIVE
        if leg not in _LEGS:
            return IndexRefusal.LEG_UNKNOWN
        if source not in _SOURCES:
            return IndexRefusal.SOURCE_UNKNOWN
        if price < 1:
            return IndexRefusal.PRICE_NOT_POSITIVE
        if volume < 1:
            return IndexRefusal.VOLUME_NOT_POSITIVE
        return self._window.fault(time_ns, source == Source.LIST, clock_ns)

    def admit_many(self, rows: NDArray[np.int64], clock_ns: int) -> tuple[NDArray[np.int64], int]:
        """The same of (n, 8) rows, n of 1 or more, as columns. Returns each row's refusal, 0 for none, and the clock after."""
        clock = running_clock(rows[:, TIME], clock_ns)
        faults = self._faults(rows, np.concatenate([[clock_ns], clock[:-1]]))
        taken = np.flatnonzero(faults == 0)
        days = self._window.days(rows[taken, TIME])
        for day in np.unique(days).tolist():
            places = taken[days == day]
            kept = self._within_room(day, rows[places, VOLUME])
            faults[places[~kept]] = IndexRefusal.DAY_FULL
            self._keep(day, rows[places[kept], TIME:])
        return faults, int(clock[-1])

    def _faults(self, rows: NDArray[np.int64], clock_before: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first refusal of each row that does not depend on what is kept, (n,); 0 for none."""
        times = np.clip(rows[:, TIME], 0, TIME_MAX)
        days = self._window.days(times)
        checks = (
            (IndexRefusal.TIME_OUT_OF_RANGE, times != rows[:, TIME]),
            (IndexRefusal.GRADE_NOT_POSITIVE, rows[:, GRADE] < 1),
            (IndexRefusal.SELLER_NOT_POSITIVE, rows[:, SELLER] < 1),
            (IndexRefusal.LEG_UNKNOWN, (rows[:, LEG] < min(Leg)) | (rows[:, LEG] > max(Leg))),
            (IndexRefusal.SOURCE_UNKNOWN, (rows[:, SOURCE] < min(Source)) | (rows[:, SOURCE] > max(Source))),
            (IndexRefusal.PRICE_NOT_POSITIVE, rows[:, PRICE] < 1),
            (IndexRefusal.VOLUME_NOT_POSITIVE, rows[:, VOLUME] < 1),
            (IndexRefusal.NOT_A_BUSINESS_DAY, ~self._window.business(days)),
            (IndexRefusal.OUTSIDE_WINDOW, (rows[:, SOURCE] != Source.LIST) & ~self._window.inside(times)),
            (IndexRefusal.DAY_CLOSED, self._is_closed(days, clock_before)),
        )
        faults = np.zeros(len(rows), dtype=np.int64)
        for refusal, wrong in reversed(checks):
            faults[wrong] = refusal
        return faults

    def _is_closed(self, days: NDArray[np.int64], clock_before: NDArray[np.int64]) -> NDArray[np.bool_]:
        known, place = np.unique(days, return_inverse=True)
        closed = np.array([self._window.closed_ns(day) for day in known.tolist()], dtype=np.int64)
        return closed[place] < clock_before

    def _within_room(self, day: int, volumes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of a day's new volumes still fit, in order, (n,)."""
        total = self._volume.get(day, 0)
        if int(volumes.max()) * len(volumes) <= self._room - total:
            self._volume[day] = total + int(volumes.sum())
            return np.ones(len(volumes), dtype=np.bool_)
        fits = []
        for volume in volumes.tolist():
            fits.append(volume <= self._room - total)
            total += volume if fits[-1] else 0
        self._volume[day] = total
        return np.array(fits, dtype=np.bool_)

    def _keep(self, day: int, rows: NDArray[np.int64]) -> None:
        if len(rows):
            self._days.setdefault(day, []).append(rows.copy())

    def of(self, day: int, grade: int, leg: int) -> NDArray[np.int64]:
        """The day's observations of a grade and leg, (n, 7), in the order in which they came."""
        if day not in self._days:
            return np.empty((0, WIDTH), dtype=np.int64)
        rows = self._day(day)
        found: NDArray[np.int64] = rows[(rows[:, _GRADE_AT] == grade) & (rows[:, _LEG_AT] == leg)]
        return found

    def has(self, day: int, grade: int, leg: int, seller: int) -> bool:
        """Whether a seller was observed."""
        return bool((self.of(day, grade, leg)[:, _SELLER_AT] == seller).any())

    def _day(self, day: int) -> NDArray[np.int64]:
        self._days[day] = [np.concatenate(self._days[day])]
        return self._days[day][0]

    def drop(self, is_closed: Callable[[int], bool]) -> None:
        """Drop the days that are closed."""
        for day in [day for day in self._days if is_closed(day)]:
            del self._days[day]
            self._volume.pop(day, None)

    def matrix(self) -> NDArray[np.int64]:
        """All that is kept, (n, 7): by day, then in the order in which it came."""
        empty = np.empty((0, WIDTH), dtype=np.int64)
        return np.concatenate([empty, *(self._day(day) for day in sorted(self._days))])

    def refill(self, rows: NDArray[np.int64]) -> None:
        """Inverse of `matrix`."""
        days = self._window.days(rows[:, 0])
        self._days = {day: [rows[days == day].copy()] for day in np.unique(days).tolist()}
        self._volume = {day: sum(kept[0][:, _VOLUME_AT].tolist()) for day, kept in self._days.items()}

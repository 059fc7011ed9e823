"""A day of the index as the tests write it: moments, observations and commands in few words."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.rows import ROW_WORDS, Row, code_of
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.index.machine import Index
from ciyuan.index.messages import IndexEvent, IndexTerms, Leg, Source, fix_row, observe_row

GRADE = 1
DAY = day_from_iso("2026-10-05")
SATURDAY = day_from_iso("2026-10-10")
HOLIDAY = day_from_iso("2026-10-14")
CALENDAR = Calendar(8 * NS_PER_HOUR, frozenset({HOLIDAY}))
TERMS = IndexTerms()
CENTI_PER_MTOK = 10**8


def new_index(terms: IndexTerms = TERMS) -> Index:
    return Index(terms, CALENDAR)


def at(clock: str, day: int = DAY) -> int:
    """The moment of a venue time of day."""
    return CALENDAR.ns_at(day, clock)


def seen(
    clock: str,
    seller: int,
    price: int,
    mtok: int = 1,
    source: Source = Source.DELIVERY,
    leg: Leg = Leg.STANDARD,
    grade: int = GRADE,
    day: int = DAY,
) -> Row:
    """An OBSERVE row."""
    return observe_row(at(clock, day), grade, seller, price, mtok * CENTI_PER_MTOK, leg, source)


def fix(clock: str = "16:00", day: int = DAY, leg: Leg = Leg.STANDARD, grade: int = GRADE) -> Row:
    """A FIX row."""
    return fix_row(at(clock, day), grade, day, leg)


def matrix(rows: Iterable[Row]) -> NDArray[np.int64]:
    return np.array(list(rows), dtype=np.int64).reshape(-1, ROW_WORDS)


def told(index: Index, *rows: Row) -> list[list[int]]:
    """The events of some commands, applied as one batch."""
    events: list[list[int]] = index.apply(matrix(rows)).tolist()
    return events


def refusals(index: Index, *rows: Row) -> list[int]:
    """The refusals of some commands."""
    return [event[7] for event in told(index, *rows) if code_of(event[0]) == IndexEvent.REFUSED]


def agreed(day: int = DAY, price: int = 1_000_000, leg: Leg = Leg.STANDARD, sellers: int = 3) -> list[Row]:
    """Deliveries of some sellers in two partitions at one price: enough for a fixing."""
    return [
        seen(clock, seller, price, day=day, leg=leg)
        for clock in ("15:01", "15:31")
        for seller in range(1, sellers + 1)
    ]


def published(index: Index, price: int, day: int) -> None:
    """Have a day fixed at a price."""
    told(index, *agreed(day, price), fix(day=day))

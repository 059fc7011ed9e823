"""A buyer's month in few words, for the desk's tests."""

from collections.abc import Mapping

import numpy as np

from ciyuan.basics.calendar import day_from_iso, month_days
from ciyuan.desk.exposure import exposure_of, use_of
from ciyuan.desk.messages import CENTI_PER_MTOK, Exposure

MONTH = 202610
FIRST, LAST = month_days(MONTH)
CUSTOMER = 7


def day(number: int) -> int:
    """A day of October 2026."""
    return FIRST + number - 1


def exposed(charges: Mapping[int, tuple[int, int]]) -> Exposure:
    """An exposure from day to (centitokens, charge in micro)."""
    days = np.array(list(charges), dtype=np.int64)
    used, charged = (np.array([pair[place] for pair in charges.values()], dtype=np.int64) for place in (0, 1))
    return exposure_of(use_of(np.full(len(days), CUSTOMER), days, used, charged), CUSTOMER, MONTH)


def in_mtok(charges: Mapping[int, tuple[int, int]]) -> Exposure:
    """An exposure from day of the month to (MTok, charge in micro)."""
    return exposed(
        {day(number): (mtok * CENTI_PER_MTOK, charge) for number, (mtok, charge) in charges.items()}
    )


def october(text: str) -> int:
    """The day of "2026-10-05"."""
    return day_from_iso(text)

"""One day's index fixing, pushed at: a seller shouts, a day is too thin, a fixing is corrected and both versions stay.

Run it from the project's folder:  .venv/bin/python examples/fix_a_day.py
The method is rulebook §8; what it resists, and what not, is said at the head of src/ciyuan/index/fixing.py.
"""

import numpy as np

from ciyuan.basics.calendar import Calendar, day_from_iso, iso_of_day
from ciyuan.basics.rows import Row, code_of, reason_of
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE, iso_from_ns
from ciyuan.index import (
    IndexEvent,
    IndexTerms,
    Leg,
    Level,
    Source,
    Withheld,
    correct_row,
    fix_row,
    observe_row,
)
from ciyuan.index.machine import Index
from ciyuan.index.messages import RULE_CORRECTION

GRADE = 1
CALENDAR = Calendar(8 * NS_PER_HOUR)
CENTI_PER_MTOK = 100 * 10**6
HONEST = {1: 930_000, 2: 950_000, 3: 955_000, 4: 960_000}  # seller: micro-USD per MTok
SHOUTER = 5


def deliveries(day: int, prices: dict[int, int], mtok: int) -> list[Row]:
    """A delivery of each seller in each five minutes of the window."""
    opens = CALENDAR.ns_at(day, "15:00")
    return [
        observe_row(
            opens + part * 5 * NS_PER_MINUTE,
            GRADE,
            seller,
            price,
            mtok * CENTI_PER_MTOK,
            Leg.STANDARD,
            Source.DELIVERY,
        )
        for part in range(12)
        for seller, price in prices.items()
    ]


def told(index: Index, rows: list[Row]) -> None:
    """Tell the index, and print what it says."""
    for event in index.apply(np.array(rows, dtype=np.int64)).tolist():
        code = IndexEvent(code_of(event[0]))
        if code is IndexEvent.FIXED:
            print(
                f"  {iso_of_day(event[3])} version {event[7]}: {event[5] / 1e6:.4f} USD per MTok, from {Level(event[6]).name}"
            )
        elif code is IndexEvent.FIX_EVIDENCE:
            print(f"    on {event[5]} sellers, {event[6]} observations, {event[7] // CENTI_PER_MTOK:,} MTok")
        elif code is IndexEvent.SET_ASIDE and reason_of(event[0]) == RULE_CORRECTION:
            print(f"    seller {event[4]} struck out")
        elif code is IndexEvent.SET_ASIDE:
            others = f"{event[6] / 1e6:.4f}"
            print(f"    seller {event[4]} set aside: {event[5] / 1e6:.4f} against the others' {others}")
        elif code is IndexEvent.WITHHELD:
            print(f"  {iso_of_day(event[3])} version {event[7]}: withheld, {Withheld(event[5]).name}")


def main() -> None:
    index = Index(IndexTerms(), CALENDAR)
    thursday, friday = day_from_iso("2026-10-08"), day_from_iso("2026-10-09")
    ends = CALENDAR.ns_at(thursday, "16:00")

    print("four sellers agree, a fifth sells a hundred times as much at twice the price")
    loud = deliveries(thursday, {SHOUTER: 1_900_000}, mtok=1_000)
    told(index, sorted(deliveries(thursday, HONEST, mtok=10) + loud, key=lambda row: row[1]))
    told(index, [fix_row(ends, GRADE, thursday, Leg.STANDARD)])

    print("within a day, seller 4's deliveries turn out to be mistaken: a correction is a new version")
    told(index, [correct_row(ends + 2 * NS_PER_HOUR, GRADE, thursday, Leg.STANDARD, struck=4)])
    for version in index.versions(GRADE, thursday, Leg.STANDARD):
        value = (version.value_micro or 0) / 1e6
        print(
            f"  on record: version {version.version}, {value:.4f}, known from {iso_from_ns(version.known_from_ns)}"
        )

    print("the next day only two sellers deliver")
    told(index, deliveries(friday, {1: 930_000, 2: 950_000}, mtok=10))
    told(index, [fix_row(CALENDAR.ns_at(friday, "16:00"), GRADE, friday, Leg.STANDARD)])
    mean = index.month_mean(GRADE, 202610, Leg.STANDARD)
    if mean is not None:
        rule = f", so by rule §{mean.rule / 10:.1f}" if mean.rule else ""
        print(
            f"the month's mean: {mean.mean_micro / 1e6:.4f}, of {mean.days} day; {mean.missing} are missing{rule}"
        )


if __name__ == "__main__":
    main()

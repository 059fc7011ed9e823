"""Versions, corrections, and what was known when (§8.6); the mean of a month (§2.2, §8.5)."""

import pytest

from ciyuan.basics.calendar import month_days
from ciyuan.basics.rows import Row, code_of, reason_of
from ciyuan.basics.time import NS_PER_DAY, NS_PER_MINUTE
from ciyuan.index.machine import Index
from ciyuan.index.messages import (
    RULE_CORRECTION,
    RULE_SCREEN,
    IndexEvent,
    Leg,
    MonthMean,
    Withheld,
    correct_row,
    relate_row,
)
from tests.index.readings import CALENDAR, DAY, GRADE, agreed, at, fix, new_index, published, seen, told

STANDARD = Leg.STANDARD
OCTOBER = CALENDAR.business_days(*month_days(202610))
SEPTEMBER = CALENDAR.business_days(*month_days(202609))


def codes(events: list[list[int]]) -> list[int]:
    return [code_of(event[0]) for event in events]


def correct(clock: str = "17:00", struck: int = 0) -> Row:
    return correct_row(at(clock), GRADE, DAY, STANDARD, struck)


def value(index: Index, as_known_at_ns: int | None = None) -> int | None:
    fixing = index.fixing(GRADE, DAY, STANDARD, as_known_at_ns)
    return fixing.value_micro if fixing else None


def test_a_day_is_fixed_once():
    index = new_index()
    told(index, *agreed(), fix())
    told(index, *[seen("15:59", seller, 1_100_000) for seller in (1, 2, 3)])
    events = told(index, fix("16:05"))
    assert codes(events) == [IndexEvent.REPEATED]
    assert events[0][2:] == [GRADE, DAY, STANDARD, 0, 0, 1]
    assert value(index) == 1_000_000


def test_a_withheld_day_is_repeated_too_and_mended_by_a_correction():
    index = new_index()
    told(index, fix())
    told(index, *agreed())
    assert codes(told(index, fix("16:30"))) == [IndexEvent.REPEATED]
    assert value(index) is None
    events = told(index, correct())
    assert codes(events) == [IndexEvent.FIXED, IndexEvent.FIX_EVIDENCE]
    assert events[0][5:] == [1_000_000, 1, 2]


def test_both_versions_are_kept_and_each_is_known_from_its_moment():
    index = new_index()
    told(index, *agreed(), fix())
    told(index, *[seen("15:59", seller, 1_100_000) for seller in (1, 2, 3)])
    assert codes(told(index, correct())) == [IndexEvent.FIXED, IndexEvent.FIX_EVIDENCE]
    assert [version.value_micro for version in index.versions(GRADE, DAY, STANDARD)] == [1_000_000, 1_033_333]
    assert [version.version for version in index.versions(GRADE, DAY, STANDARD)] == [1, 2]
    assert value(index) == 1_033_333
    assert value(index, at("17:00")) == 1_033_333
    assert value(index, at("17:00") - 1) == 1_000_000
    assert value(index, at("16:00")) == 1_000_000
    assert value(index, at("16:00") - 1) is None


def test_a_correction_that_finds_the_same_is_no_version():
    index = new_index()
    told(index, *agreed(), fix())
    events = told(index, correct())
    assert codes(events) == [IndexEvent.REPEATED]
    assert events[0][7] == 1
    assert len(index.versions(GRADE, DAY, STANDARD)) == 1


def test_a_correction_may_withdraw_a_fixing():
    """Two of the three sellers turn out to be one: then two are left, and the fixing should not have been published."""
    index = new_index()
    told(index, *agreed(), fix())
    events = told(index, relate_row(at("16:30"), 2, 3), correct())
    assert codes(events) == [IndexEvent.RELATED, IndexEvent.WITHHELD]
    assert events[1][5:] == [Withheld.TOO_FEW_SELLERS, 0, 2]
    assert value(index) is None
    assert value(index, at("16:59")) == 1_000_000


def test_a_seller_can_be_struck_out_by_name_and_stays_out():
    index = new_index()
    told(index, *agreed(sellers=3), *[seen(clock, 4, 1_100_000, mtok=9) for clock in ("15:01", "15:31")] * 3)
    told(index, *[seen(clock, 5, 1_100_000, mtok=9) for clock in ("15:01", "15:31")] * 3, fix())
    assert value(index) == 1_100_000
    events = told(index, correct(struck=5))
    assert codes(events) == [IndexEvent.FIXED, IndexEvent.FIX_EVIDENCE, IndexEvent.SET_ASIDE]
    assert events[2][4:] == [5, 0, 0, STANDARD]
    assert reason_of(events[2][0]) == RULE_CORRECTION
    assert value(index) == 1_000_000
    assert codes(told(index, correct("17:30"))) == [IndexEvent.REPEATED]


def test_related_sellers_that_are_set_aside_are_listed_each():
    dear = [seen("15:01", 7, 5_000_000), seen("15:31", 8, 5_000_000)]
    events = told(new_index(), relate_row(0, 7, 8), *agreed(sellers=4), *dear, fix())
    assert [event[4:7] for event in events if code_of(event[0]) == IndexEvent.SET_ASIDE] == [
        [7, 5_000_000, 1_000_000],
        [8, 5_000_000, 1_000_000],
    ]


def test_who_is_struck_out_is_not_listed_as_an_outlier_too():
    index = new_index()
    dear = [seen("15:01", 7, 5_000_000), seen("15:31", 8, 5_000_000)]
    told(index, relate_row(0, 7, 8), *agreed(sellers=4), *dear, *[seen("15:59", 7, 5_000_000)] * 3, fix())
    told(index, *[seen("15:59", seller, 1_000_000) for seller in (1, 2, 3)])
    events = told(index, correct(struck=7))
    listed = [
        (event[4], reason_of(event[0])) for event in events if code_of(event[0]) == IndexEvent.SET_ASIDE
    ]
    assert listed == [(8, RULE_SCREEN), (7, RULE_CORRECTION)]


def test_relations_are_stated_changed_and_ended():
    index = new_index()
    events = told(index, *[relate_row(1, 5, group) for group in (0, 9, 9, 4, 0, 0)])
    assert codes(events) == [
        IndexEvent.REPEATED, IndexEvent.RELATED, IndexEvent.REPEATED, IndexEvent.RELATED, IndexEvent.RELATED, IndexEvent.REPEATED,
    ]  # fmt: skip
    assert index.group_of(5) == 5
    told(index, relate_row(2, 5, 9))
    assert index.group_of(5) == 9
    assert index.group_of(9) == 9


def test_observations_are_dropped_when_their_day_is_closed_and_fixings_never():
    index = new_index()
    told(index, *agreed(), fix(), relate_row(at("16:00") + 2 * NS_PER_DAY, 1, 1))
    assert len(index.snapshot()["observations"]) == 6
    told(index, relate_row(at("16:00") + 2 * NS_PER_DAY + 1, 2, 2))
    assert not len(index.snapshot()["observations"])
    assert value(index) == 1_000_000


def test_what_was_struck_is_forgotten_with_its_day():
    index = new_index()
    told(index, *agreed(sellers=4), fix(), correct(struck=4))
    assert index.snapshot()["struck"].tolist() == [[DAY, GRADE, STANDARD, 4]]
    told(index, relate_row(at("16:00") + 3 * NS_PER_DAY, 1, 1))
    assert not len(index.snapshot()["struck"])


# --- the mean of a month ---


def month_of_fixings(october: int, september: int = 0) -> Index:
    """An index with that many fixings of each month: 2 USD plus a micro-dollar a day in September, 1 USD and so on in October."""
    index = new_index()
    for days, count, base in ((SEPTEMBER, september, 2_000_000), (OCTOBER, october, 1_000_000)):
        for place, day in enumerate(days[:count]):
            published(index, base + place, day)
    return index


def test_october_has_21_business_days_here():
    assert (len(OCTOBER), len(SEPTEMBER)) == (21, 22)


@pytest.mark.parametrize(
    ("october", "september", "mean"),
    [
        (21, 0, MonthMean(1_000_010, 0, 21, 0)),
        (20, 0, MonthMean(1_000_010, 0, 20, 1)),  # the mean of the others, 1,000,009.5
        (14, 22, MonthMean(1_000_007, 0, 14, 7)),  # a third missing, no more: 1,000,006.5
        (13, 22, MonthMean(2_000_011, 85, 13, 8)),  # more than a third: September's mean, 2,000,010.5
        (13, 15, MonthMean(2_000_007, 85, 13, 8)),  # September lacks 7 of 22, no more than a third
        (13, 14, MonthMean(1_000_006, 85, 13, 8)),  # September lacks 8 of 22: the days that there are
        (1, 0, MonthMean(1_000_000, 85, 1, 20)),
        (0, 22, MonthMean(2_000_011, 85, 0, 21)),
        (0, 1, MonthMean(2_000_000, 85, 0, 21)),
        (0, 0, None),
    ],
)
def test_a_missing_day_is_no_day_and_too_many_are_the_month_before(
    october: int, september: int, mean: MonthMean | None
):
    assert month_of_fixings(october, september).month_mean(GRADE, 202610, STANDARD) == mean


def test_the_mean_is_of_the_versions_known_at_a_moment():
    index = new_index()
    for day in OCTOBER[:14]:
        published(index, 1_000_000, day)
    last = OCTOBER[13]
    before = CALENDAR.ns_at(last, "16:00")
    told(index, *[seen("15:59", seller, 1_042_000, day=last) for seller in (1, 2, 3)])
    told(index, correct_row(before + NS_PER_MINUTE, GRADE, last, STANDARD))
    assert index.month_mean(GRADE, 202610, STANDARD) == MonthMean(1_001_000, 0, 14, 7)
    assert index.month_mean(GRADE, 202610, STANDARD, before) == MonthMean(1_000_000, 0, 14, 7)
    assert index.month_mean(GRADE, 202610, STANDARD, before - 1) == MonthMean(1_000_000, 85, 13, 8)
    assert index.month_mean(GRADE, 202610, Leg.INPUT) is None
    assert index.month_mean(2, 202610, STANDARD) is None


def test_a_withdrawn_day_is_missing():
    index = month_of_fixings(21)
    day = OCTOBER[-1]
    now = CALENDAR.ns_at(day, "17:00")
    told(index, relate_row(now, 2, 3), correct_row(now, GRADE, day, STANDARD))
    assert index.month_mean(GRADE, 202610, STANDARD) == MonthMean(1_000_010, 0, 20, 1)

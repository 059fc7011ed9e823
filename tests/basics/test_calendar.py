"""The calendar, compared with the standard library's dates."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.calendar import Calendar, day_from_iso, iso_of_day, month_days, month_of, next_month
from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND, iso_from_ns, ns_from_iso

dates = st.dates(date(1970, 1, 2), date(2199, 12, 31))
months = st.builds(lambda found: found.year * 100 + found.month, dates)
offsets_h = st.integers(-12, 14)

SHANGHAI = Calendar(8 * NS_PER_HOUR, frozenset({day_from_iso("2026-10-01"), day_from_iso("2026-10-02")}))


def day_number(when: date) -> int:
    return (when - date(1970, 1, 1)).days


@given(dates)
def test_a_day_and_its_text(when: date) -> None:
    day = day_from_iso(when.isoformat())
    assert day == day_number(when)
    assert iso_of_day(day) == when.isoformat()
    assert month_of(day) == when.year * 100 + when.month


@pytest.mark.parametrize("text", ["2026-13-01", "2026-02-29", "yesterday", "", "2026-10-01T00:00"])
def test_a_text_that_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="date"):
        day_from_iso(text)


@given(months)
def test_a_month_runs_from_its_first_day_to_the_next_months(month: int) -> None:
    first, last = month_days(month)
    assert month_of(first) == month_of(last) == month
    assert month_of(first - 1) == next_month(month, -1)
    assert month_of(last + 1) == next_month(month)
    assert month_days(next_month(month))[0] == last + 1


@given(months, st.integers(-500, 500), st.integers(-500, 500))
def test_months_add_up(month: int, a: int, b: int) -> None:
    assert next_month(next_month(month, a), b) == next_month(month, a + b)
    assert next_month(month, 12) == month + 100


@pytest.mark.parametrize("month", [202613, 202600, 26, 0, -1])
def test_a_number_that_is_no_month_is_refused(month: int) -> None:
    with pytest.raises(Malformed, match="yyyymm"):
        month_days(month)


@given(st.integers(0, 2**62), offsets_h)
def test_a_moment_belongs_to_the_local_day(time_ns: int, offset_h: int) -> None:
    calendar = Calendar(offset_h * NS_PER_HOUR)
    day = calendar.day_of(time_ns)
    assert calendar.start_ns(day) <= time_ns < calendar.start_ns(day + 1)
    local = datetime.fromtimestamp(time_ns // NS_PER_SECOND, timezone(timedelta(hours=offset_h)))
    assert day == day_number(local.date())


@given(st.integers(0, 60_000), st.integers(0, 23), st.integers(0, 59), offsets_h)
def test_a_local_time_of_day(day: int, hour: int, minute: int, offset_h: int) -> None:
    calendar = Calendar(offset_h * NS_PER_HOUR)
    moment = calendar.ns_at(day, f"{hour:02d}:{minute:02d}")
    assert calendar.day_of(moment) == day
    local = datetime.fromtimestamp(moment // NS_PER_SECOND, UTC) + timedelta(hours=offset_h)
    assert (local.hour, local.minute) == (hour, minute)


def test_the_fixing_window_of_a_known_day() -> None:
    day = day_from_iso("2026-10-08")
    assert iso_from_ns(SHANGHAI.ns_at(day, "15:00")) == "2026-10-08T07:00:00Z"
    assert SHANGHAI.ns_at(day, "24:00") == SHANGHAI.start_ns(day + 1)
    assert SHANGHAI.start_ns(day) == ns_from_iso("2026-10-08T00:00:00+08:00")


@pytest.mark.parametrize("clock", ["24:01", "25:00", "09:60", "9", "", "09-00", "-1:00", "09:00:00"])
def test_a_text_that_is_no_time_of_day_is_refused(clock: str) -> None:
    with pytest.raises(Malformed, match="time of day"):
        SHANGHAI.ns_at(0, clock)


@given(dates, st.integers(0, 60), st.sets(st.integers(0, 60)))
def test_business_days_are_weekdays_but_for_holidays(start: date, span: int, closed: set[int]) -> None:
    first = day_number(start)
    holidays = frozenset(first + offset for offset in closed)
    calendar = Calendar(holidays=holidays)
    expected = tuple(
        first + offset
        for offset in range(span + 1)
        if (start + timedelta(days=offset)).weekday() < 5 and first + offset not in holidays
    )
    assert calendar.business_days(first, first + span) == expected
    after = calendar.next_business(first)
    assert calendar.is_business(after)
    assert not any(calendar.is_business(day) for day in range(first + 1, after))


def test_october_2026() -> None:
    days = SHANGHAI.business_days(*month_days(202610))
    assert len(days) == 20
    assert iso_of_day(days[0]) == "2026-10-05"
    assert iso_of_day(SHANGHAI.last_business_of_month(202610)) == "2026-10-30"
    assert SHANGHAI.next_business(day_from_iso("2026-09-30")) == day_from_iso("2026-10-05")
    assert SHANGHAI.previous_business(day_from_iso("2026-10-05")) == day_from_iso("2026-09-30")


def test_a_day_of_24_hours() -> None:
    assert SHANGHAI.start_ns(1) - SHANGHAI.start_ns(0) == NS_PER_DAY

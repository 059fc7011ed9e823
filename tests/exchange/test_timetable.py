"""The trading day as rows: on which days bells ring, which day a night belongs to, and which bells cannot be."""

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.calendar import Calendar, day_from_iso, iso_of_day
from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK
from ciyuan.basics.time import NS_PER_HOUR, ns_from_iso
from ciyuan.exchange import Contract, ContractKind, ExchangeCommand, SessionState
from ciyuan.exchange.session import FOLLOWS
from ciyuan.exchange.timetable import NIGHT_BELLS, Bell, Timetable, day_rows

# The holidays of October 2026 in China; the Sunday before and the Saturday after were worked, but the exchanges were closed.
CHINA = Calendar(
    8 * NS_PER_HOUR, frozenset(range(day_from_iso("2026-10-01"), day_from_iso("2026-10-07") + 1))
)
MONDAY, FRIDAY = day_from_iso("2026-10-12"), day_from_iso("2026-10-09")


def data_bells(group: str) -> tuple[Bell, ...]:
    """A group of bells of the project's own calendar.toml."""
    table = tomllib.loads((files("ciyuan.data") / "calendar.toml").read_text(encoding="utf-8"))[group]
    return tuple(Bell(bell["clock"], SessionState[bell["state"].upper()]) for bell in table["bells"])


FUTURES, SPOT = data_bells("futures"), data_bells("spot")
DAY = Timetable(CHINA, FUTURES)
NIGHT = Timetable(CHINA, NIGHT_BELLS + FUTURES)
FIRST, LAST = day_from_iso("2026-09-29"), day_from_iso("2026-12-31")


def listed(number: int, kind: ContractKind = ContractKind.CASH_FUTURE, **given: int) -> Contract:
    legs = {"near": 1, "far": 2} if kind == ContractKind.SPREAD else {}
    days = {"first_day": FIRST, "last_day": LAST} | given
    month = 0 if kind == ContractKind.SPOT else 202612
    return Contract(number, f"C{number}", kind, 1, 1000, 1000, **days, month=month, limit_rate_bp=1000,
                    initial_price_ticks=950, max_lots_per_order=500, **legs)  # fmt: skip


def at(text: str) -> int:
    return ns_from_iso(f"{text}+08:00")


def told(timetable: Timetable, day: int) -> list[tuple[int, str]]:
    return [(moment, state.name) for moment, state in timetable.moments(day)]


def test_the_bells_of_a_day():
    assert told(DAY, MONDAY)[:4] == [
        (at("2026-10-12T08:55"), "AUCTION_ENTRY"),
        (at("2026-10-12T08:59"), "AUCTION_FREEZE"),
        (at("2026-10-12T09:00"), "AUCTION_MATCH"),
        (at("2026-10-12T09:00"), "CONTINUOUS"),
    ]
    assert told(DAY, MONDAY)[-1] == (at("2026-10-12T15:10"), "CLOSED")
    assert DAY.night_of(MONDAY) is None


def test_there_are_none_on_a_day_off():
    for day in ("2026-10-05", "2026-10-10", "2026-10-11"):
        assert NIGHT.moments(day_from_iso(day)) == ()
        assert NIGHT.night_of(day_from_iso(day)) is None
        assert NIGHT.rows(day_from_iso(day), [listed(1)]) == []


def test_mondays_night_is_fridays_evening_and_saturdays_first_hours():
    assert NIGHT.night_of(MONDAY) == FRIDAY
    assert told(NIGHT, MONDAY)[:6] == [
        (at("2026-10-09T20:55"), "AUCTION_ENTRY"),
        (at("2026-10-09T20:59"), "AUCTION_FREEZE"),
        (at("2026-10-09T21:00"), "AUCTION_MATCH"),
        (at("2026-10-09T21:00"), "CONTINUOUS"),
        (at("2026-10-10T02:30"), "BREAK"),
        (at("2026-10-12T08:55"), "AUCTION_ENTRY"),
    ]


def test_tuesdays_night_is_mondays_evening():
    tuesday = day_from_iso("2026-10-13")
    assert told(NIGHT, tuesday)[0] == (at("2026-10-12T20:55"), "AUCTION_ENTRY")
    assert told(NIGHT, tuesday)[4:6] == [
        (at("2026-10-13T02:30"), "BREAK"),
        (at("2026-10-13T08:55"), "AUCTION_ENTRY"),
    ]


def test_after_a_holiday_there_is_no_night():
    back = day_from_iso("2026-10-08")
    assert iso_of_day(CHINA.previous_business(back)) == "2026-09-30"
    assert NIGHT.night_of(back) is None
    assert told(NIGHT, back) == told(DAY, back)
    assert NIGHT.night_of(FRIDAY) == back
    assert NIGHT.night_of(day_from_iso("2026-09-30")) == day_from_iso("2026-09-29")


def test_a_holiday_on_a_weekend_is_a_holiday():
    calendar = Calendar(8 * NS_PER_HOUR, frozenset({day_from_iso("2026-10-10")}))
    assert Timetable(calendar, NIGHT.bells).night_of(MONDAY) is None
    assert Timetable(Calendar(), NIGHT.bells).night_of(MONDAY) == FRIDAY


def test_rows_are_sessions_and_the_close_after_settlement():
    rows = NIGHT.rows(MONDAY, [listed(1)])
    states = [SessionState(row[3]) for row in rows if row[0] == ExchangeCommand.SESSION]
    assert states == [state for _, state in NIGHT.moments(MONDAY)]
    assert {row[4] for row in rows} == {MONDAY}
    (place,) = [place for place, row in enumerate(rows) if row[0] == ExchangeCommand.CLOSE_DAY]
    assert rows[place - 1][:5] == (
        ExchangeCommand.SESSION, at("2026-10-12T15:05"), 1, SessionState.SETTLEMENT, MONDAY,
    )  # fmt: skip
    assert rows[place] == (ExchangeCommand.CLOSE_DAY, at("2026-10-12T15:05"), 1, 0, MONDAY, 0, 0, 0)


def test_outrights_come_before_spreads():
    rows = DAY.rows(MONDAY, [listed(3, ContractKind.SPREAD), listed(4), listed(2), listed(1)])
    assert [row[2] for row in rows[:4]] == [1, 2, 4, 3]
    settling = [row for row in rows if row[1] == at("2026-10-12T15:05")]
    assert [(row[0] & CODE_MASK, row[2]) for row in settling] == [
        *[(ExchangeCommand.SESSION, number) for number in (1, 2, 4, 3)],
        *[(ExchangeCommand.CLOSE_DAY, number) for number in (1, 2, 4, 3)],
    ]


def test_a_contract_hears_the_bells_of_its_own_days():
    over, due = listed(1, last_day=FRIDAY), listed(2, first_day=MONDAY)
    assert {row[2] for row in NIGHT.rows(FRIDAY, [over, due])} == {1}
    assert {row[2] for row in NIGHT.rows(MONDAY, [over, due])} == {2}
    assert NIGHT.rows(MONDAY, [due])[0][1] == at("2026-10-09T20:55"), "its first night is the evening before"


def test_two_timetables_ring_in_order_of_time():
    spot = listed(3, ContractKind.SPOT)
    rows = day_rows(MONDAY, [(NIGHT, [listed(1), listed(2)]), (Timetable(CHINA, SPOT), [spot])])
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    assert {row[2] for row in rows} == {1, 2, 3}
    assert rows[-1][1:4] == (at("2026-10-12T16:10"), 3, SessionState.CLOSED)


@given(st.sets(st.integers(0, 60)), st.booleans())
def test_days_follow_one_another_and_every_state_may_follow(closed: set[int], night: bool) -> None:
    calendar = Calendar(8 * NS_PER_HOUR, frozenset(FRIDAY + day for day in closed))
    timetable = Timetable(calendar, NIGHT.bells if night else FUTURES)
    before, now = SessionState.CLOSED, 0
    for day in calendar.business_days(FRIDAY, FRIDAY + 60):
        for moment, state in timetable.moments(day):
            assert moment >= now
            assert state in FOLLOWS[before]
            before, now = state, moment
        assert before == SessionState.CLOSED
        evening = timetable.night_of(day)
        if evening is not None:
            assert all((between + 3) % 7 in {5, 6} for between in range(evening + 1, day))


@pytest.mark.parametrize(
    ("bells", "found"),
    [
        ((), "bells: found 'none of the day'"),
        (NIGHT_BELLS, "bell 02:30, state: found 'break'"),
        (FUTURES[:-1], "bell 15:05, state: found 'settlement'"),
        (FUTURES[1:], "bell 08:59, state: found 'auction_freeze'"),
        (FUTURES[:4] + FUTURES[3:], "bell 09:00, state: found 'continuous'"),
        ((*FUTURES, *FUTURES), "bell 12, clock: found '08:55'"),
        ((*FUTURES, Bell("15:10", SessionState.CONTINUOUS)), "bell 15:10, state: found 'closed'"),
        ((Bell("08:00", SessionState.SUSPENDED), *FUTURES), "bell 08:00, state: found 'suspended'"),
        ((FUTURES[1], FUTURES[0], *FUTURES[2:]), "bell 2, clock: found '08:55'"),
        (FUTURES + NIGHT_BELLS, "bell 12, clock: found '20:55'"),
        ((*NIGHT_BELLS[:-1], Bell("09:30", SessionState.BREAK, night=True), *FUTURES), "bell 6, clock: found '08:55'"),
        ((Bell("15:00", SessionState.AUCTION_ENTRY, night=True), *NIGHT_BELLS[1:], *FUTURES), "bell 1, clock: found '15:00'"),
        ((Bell("8am", SessionState.AUCTION_ENTRY), *FUTURES[1:]), "time of day: found '8am'"),
        ((*NIGHT_BELLS, *FUTURES[9:]), "bell 15:05, state"),
    ],
)  # fmt: skip
def test_bells_that_cannot_be(bells, found):
    with pytest.raises(Malformed, match=found):
        Timetable(CHINA, bells)


def test_a_night_that_goes_on_into_the_auction_of_the_morning():
    """CONTINUOUS may be followed by AUCTION_ENTRY, so a night without a break at its end is possible."""
    timetable = Timetable(CHINA, NIGHT_BELLS[:-1] + FUTURES)
    assert told(timetable, MONDAY)[3:5] == [
        (at("2026-10-09T21:00"), "CONTINUOUS"),
        (at("2026-10-12T08:55"), "AUCTION_ENTRY"),
    ]

"""The day as steps without gaps, with its bells at their moments; and the rows that the venue's clock sends at them."""

from itertools import pairwise

import pytest

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.rows import code_of
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from ciyuan.exchange.messages import SessionState
from ciyuan.services.catalog_venue import session_bells
from ciyuan.simulation.clockwork import Clockwork
from ciyuan.simulation.month import TRADING_STATES
from ciyuan.simulation.schedule import Bell, Step, steps_of_day
from tests.simulation.small import small_world

CALENDAR = Calendar(8 * NS_PER_HOUR)
THURSDAY, SATURDAY = day_from_iso("2026-10-01"), day_from_iso("2026-10-03")
BELLS = session_bells()
SESSION, CLOSE_DAY, SAMPLE, FIX, SETTLE_DAY, FINALISE, DELIST, LAPSE, REVIEW = (
    301,
    305,
    608,
    502,
    402,
    609,
    404,
    607,
    407,
)


def steps(day: int, bells: tuple[Bell, ...] = BELLS, calendar: Calendar = CALENDAR) -> list[Step]:
    return list(steps_of_day(calendar, day, bells, TRADING_STATES))


@pytest.mark.parametrize(
    "offset_ns", [0, 8 * NS_PER_HOUR, -5 * NS_PER_HOUR, 5 * NS_PER_HOUR + 30 * NS_PER_MINUTE]
)
@pytest.mark.parametrize("day", [THURSDAY, SATURDAY])
def test_steps_cover_the_day_without_gaps(day, offset_ns):
    calendar = Calendar(offset_ns)
    found = steps(day, calendar=calendar)
    assert found[0].start_ns == calendar.start_ns(day)
    assert found[-1].end_ns == calendar.start_ns(day) + NS_PER_DAY
    for before, after in pairwise(found):
        assert before.end_ns == after.start_ns
    for step in found:
        assert 0 < step.end_ns - step.start_ns <= (NS_PER_MINUTE if step.trading else NS_PER_HOUR)
        assert step.day == day


def test_every_bell_rings_once_at_its_moment():
    rung = [(step.start_ns, bell) for step in steps(THURSDAY) for bell in step.bells]
    assert sorted(rung, key=repr) == sorted(
        ((CALENDAR.ns_at(THURSDAY, bell.clock), bell) for bell in BELLS), key=repr
    )
    assert [moment for moment, _ in rung] == sorted(moment for moment, _ in rung)


def test_bells_of_one_moment_ring_in_their_order():
    at_nine = next(step for step in steps(THURSDAY) if step.start_ns == CALENDAR.ns_at(THURSDAY, "09:00"))
    for group in ("futures", "spot"):
        states = [bell.state for bell in at_nine.bells if bell.group == group]
        assert states == [SessionState.AUCTION_MATCH, SessionState.CONTINUOUS]


def test_a_day_off_has_no_bells_and_no_trading():
    found = steps(SATURDAY)
    assert len(found) == 24
    assert not any(step.bells or step.trading for step in found)
    assert not any(step.trading for step in steps(THURSDAY, ()))


@pytest.mark.parametrize(
    ("clock", "trading"),
    [
        ("08:55", True),
        ("08:59", False),
        ("09:00", True),
        ("10:15", False),
        ("11:30", False),
        ("15:59", True),
        ("16:00", False),
    ],
)
def test_agents_act_while_anything_takes_orders(clock, trading):
    step = next(step for step in steps(THURSDAY) if step.start_ns == CALENDAR.ns_at(THURSDAY, clock))
    assert step.trading == trading


# --- the rows of the clock ---


def clockwork() -> tuple[Clockwork, Calendar]:
    world, _ = small_world()
    return Clockwork(world.calendar, world.contracts, world.grade.number), world.calendar


def rows_of_day(iso: str) -> list[tuple[str, int, tuple[int, ...]]]:
    """(time of day, code, words) of a day's clock rows."""
    clock, calendar = clockwork()
    day = day_from_iso(iso)
    found: list[tuple[str, int, tuple[int, ...]]] = []
    for step in steps_of_day(calendar, day, BELLS, TRADING_STATES):
        for row in clock.rows(step):
            assert row[1] == step.start_ns
            minute = (row[1] - calendar.start_ns(day)) // NS_PER_MINUTE
            found.append((f"{minute // 60:02}:{minute % 60:02}", code_of(row[0]), row[2:]))
    return found


def test_an_ordinary_day_has_sessions_closes_samples_fixings_and_a_settlement():
    found = rows_of_day("2026-10-01")
    day = day_from_iso("2026-10-01")
    codes = [code for _, code, _ in found]
    assert codes.count(SESSION) == 11 * 4
    assert [(clock, words[0]) for clock, code, words in found if code == CLOSE_DAY] == [
        ("15:05", 2), ("15:05", 3), ("15:05", 4), ("16:05", 1)
    ]  # fmt: skip
    assert [clock for clock, code, words in found if code == SAMPLE and words[0] == 1] == [
        f"15:{minute:02}" for minute in range(0, 60, 5)
    ]
    reviewed = ["09:00", "09:30", "10:00", "10:30", "11:00", "13:30", "14:00", "14:30"]
    assert [clock for clock, code, _ in found if code == REVIEW] == reviewed
    for future in (2, 3, 4):
        looks = [clock for clock, code, words in found if code == SAMPLE and words[0] == future]
        assert looks == reviewed, "makers are looked at when margin is"
    assert [(clock, words[:3]) for clock, code, words in found if code == FIX] == [
        ("16:00", (1, day, leg)) for leg in range(3)
    ]
    assert [(clock, words[0]) for clock, code, words in found if code == SETTLE_DAY] == [("16:10", day)]
    assert FINALISE not in codes


def test_a_contracts_last_day_ends_with_its_final_settlement():
    found = rows_of_day("2026-10-30")
    assert [code for clock, code, _ in found if clock == "16:10" and code != SESSION] == [
        SETTLE_DAY,
        FINALISE,
        DELIST,
    ]
    assert [words[:2] for _, code, words in found if code == FINALISE] == [(2, day_from_iso("2026-10-30"))]


def test_a_day_off_has_no_rows():
    assert rows_of_day("2026-10-03") == []
    assert rows_of_day("2026-10-05") == [], "a holiday of the small world"


def test_the_clock_knows_the_states_it_rang():
    clock, calendar = clockwork()
    assert set(clock.state.values()) == {SessionState.CLOSED}
    for step in steps_of_day(calendar, day_from_iso("2026-10-01"), BELLS, TRADING_STATES):
        clock.rows(step)
        if step.start_ns == calendar.ns_at(day_from_iso("2026-10-01"), "15:00"):
            assert clock.state == {1: SessionState.CONTINUOUS} | dict.fromkeys(
                (2, 3, 4), SessionState.CLOSING
            )
    assert set(clock.state.values()) == {SessionState.CLOSED}


def test_what_is_no_longer_listed_is_not_rung():
    """October's future has gone by November."""
    clock, calendar = clockwork()
    day = day_from_iso("2026-11-02")
    rung = {
        row[2]
        for step in steps_of_day(calendar, day, BELLS, TRADING_STATES)
        for row in clock.rows(step)
        if row[0] == SESSION
    }
    assert rung == {1, 3, 4}


def test_receipts_lapse_by_the_month_of_its_last_day():
    clock, _ = clockwork()
    assert clock.lapse(5, day_from_iso("2026-10-31")) == (LAPSE, 5, 1, 202610, 0, 0, 0, 0)

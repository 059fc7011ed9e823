"""Every refusal is reached, and of several faults the one declared first is named."""

import numpy as np
import pytest

from ciyuan.basics.rows import INT64_MAX, Row, code_of, kind_word
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR
from ciyuan.index.messages import (
    TIME_MAX,
    IndexCommand,
    IndexEvent,
    IndexRefusal,
    Leg,
    Source,
    correct_row,
    fix_row,
    observe_row,
    relate_row,
)
from tests.index.readings import (
    CENTI_PER_MTOK,
    DAY,
    GRADE,
    HOLIDAY,
    SATURDAY,
    agreed,
    at,
    fix,
    matrix,
    new_index,
    refusals,
    seen,
    told,
)

OPEN = at("15:00")
CLOSE = at("16:00")


def observation(time_ns: int, *words: int) -> Row:
    grade, seller, price, volume, leg, source = words
    return (int(IndexCommand.OBSERVE), time_ns, grade, seller, price, volume, leg, source)


OBSERVATIONS = {
    IndexRefusal.TIME_OUT_OF_RANGE: observation(TIME_MAX + 1, 1, 1, 1, 1, 0, 2),
    IndexRefusal.GRADE_NOT_POSITIVE: observation(OPEN, 0, 1, 1, 1, 0, 2),
    IndexRefusal.SELLER_NOT_POSITIVE: observation(OPEN, 1, 0, 1, 1, 0, 2),
    IndexRefusal.LEG_UNKNOWN: observation(OPEN, 1, 1, 1, 1, 3, 2),
    IndexRefusal.SOURCE_UNKNOWN: observation(OPEN, 1, 1, 1, 1, 0, 5),
    IndexRefusal.PRICE_NOT_POSITIVE: observation(OPEN, 1, 1, 0, 1, 0, 2),
    IndexRefusal.VOLUME_NOT_POSITIVE: observation(OPEN, 1, 1, 1, 0, 0, 2),
    IndexRefusal.NOT_A_BUSINESS_DAY: observation(at("15:30", SATURDAY), 1, 1, 1, 1, 0, 2),
    IndexRefusal.OUTSIDE_WINDOW: observation(CLOSE, 1, 1, 1, 1, 0, 2),
}
"""An OBSERVE row that a fresh index refuses, by refusal."""

COMMANDS = {
    IndexRefusal.UNKNOWN_COMMAND: (505, OPEN, 0, 0, 0, 0, 0, 0),
    IndexRefusal.FLAG_NOT_ALLOWED: (kind_word(IndexCommand.FIX, 1), OPEN, 0, 0, 0, 0, 0, 0),
    IndexRefusal.UNUSED_WORD_NOT_ZERO: (int(IndexCommand.FIX), OPEN, 1, DAY, 0, 0, 0, 1),
    IndexRefusal.TIME_OUT_OF_RANGE: fix_row(-1, GRADE, DAY, Leg.STANDARD),
    IndexRefusal.GRADE_NOT_POSITIVE: fix_row(CLOSE, 0, DAY, Leg.STANDARD),
    IndexRefusal.SELLER_NOT_POSITIVE: relate_row(OPEN, 0, 1),
    IndexRefusal.GROUP_NEGATIVE: relate_row(OPEN, 1, -1),
    IndexRefusal.LEG_UNKNOWN: (int(IndexCommand.FIX), CLOSE, 1, DAY, 3, 0, 0, 0),
    IndexRefusal.NOT_A_BUSINESS_DAY: fix("16:00", HOLIDAY),
    IndexRefusal.WINDOW_NOT_ENDED: fix_row(CLOSE - 1, GRADE, DAY, Leg.STANDARD),
    IndexRefusal.FIXING_TOO_LATE: fix_row(CLOSE + NS_PER_DAY + 1, GRADE, DAY, Leg.STANDARD),
    IndexRefusal.NOT_FIXED: correct_row(CLOSE, GRADE, DAY, Leg.STANDARD),
}
"""Another row that a fresh index refuses, by refusal."""

IN_A_STATE = {
    IndexRefusal.TIME_BACKWARDS,
    IndexRefusal.DAY_CLOSED,
    IndexRefusal.DAY_FULL,
    IndexRefusal.CORRECTION_TOO_LATE,
    IndexRefusal.SELLER_NOT_OBSERVED,
}
"""Reached by the tests below, which need something to have happened first."""


def test_every_refusal_is_reached():
    assert set(IndexRefusal) == set(OBSERVATIONS) | set(COMMANDS) | IN_A_STATE


@pytest.mark.parametrize(("refusal", "row"), [*OBSERVATIONS.items(), *COMMANDS.items()])
def test_a_refusal_names_the_fault_and_changes_nothing(refusal: IndexRefusal, row: Row):
    index = new_index()
    before = index.snapshot()
    events = told(index, row)
    assert [code_of(event[0]) for event in events] == [IndexEvent.REFUSED]
    assert events[0][1:7] == list(row[1:7])
    assert events[0][7] == refusal
    after = index.snapshot()
    assert all(np.array_equal(after[name], before[name]) for name in before if name != "clock")


def test_an_observation_with_flags_is_no_observation():
    row = (kind_word(IndexCommand.OBSERVE, reason=7), OPEN, 1, 1, 1, 1, 0, 2)
    assert refusals(new_index(), row) == [IndexRefusal.FLAG_NOT_ALLOWED]


@pytest.mark.parametrize(
    "row",
    [relate_row(CLOSE, 1, 2), fix(), correct_row(CLOSE, GRADE, DAY, Leg.STANDARD)],
    ids=("relate", "fix", "correct"),
)
def test_commands_come_in_order_of_time(row: Row):
    index = new_index()
    told(index, relate_row(CLOSE + 1, 5, 6))
    assert refusals(index, row) == [IndexRefusal.TIME_BACKWARDS]


def test_observations_may_come_late_until_the_day_is_closed():
    index = new_index()
    last_moment = CLOSE + 2 * NS_PER_DAY
    assert refusals(index, relate_row(last_moment, 5, 6), seen("15:30", 1, 1)) == []
    assert refusals(index, relate_row(last_moment + 1, 5, 7), seen("15:30", 1, 1)) == [
        IndexRefusal.DAY_CLOSED
    ]
    assert not len(index.snapshot()["observations"])


def test_a_later_row_of_the_same_batch_closes_a_day_for_those_after_it():
    row = observe_row(at("15:30", DAY + 3), GRADE, 1, 1, 1, Leg.STANDARD, Source.TRADE)
    assert refusals(new_index(), seen("15:30", 1, 1), row, seen("15:30", 1, 1)) == [IndexRefusal.DAY_CLOSED]


def test_the_volume_of_a_day_stays_within_64_bits():
    index = new_index()
    room = INT64_MAX // index.terms.partitions
    full = [observe_row(OPEN, GRADE, 1, 1, room - 1, Leg.STANDARD, Source.LIST)]
    more = [observe_row(OPEN, GRADE, 2, 1, volume, Leg.STANDARD, Source.LIST) for volume in (2, 1, 1)]
    events = told(index, *full, *more)
    assert [event[7] for event in events] == [IndexRefusal.DAY_FULL] * 2
    assert [event[5] for event in events] == [2, 1]
    assert index.snapshot()["observations"][:, 4].tolist() == [room - 1, 1]
    assert (
        refusals(index, observe_row(at("15:30", DAY + 1), GRADE, 1, 1, room, Leg.STANDARD, Source.TRADE))
        == []
    )


def test_volumes_that_overflow_together_are_refused_one_by_one():
    rows = [observe_row(OPEN, GRADE, 1, 1, INT64_MAX, Leg.STANDARD, Source.TRADE)] * 3
    index = new_index()
    assert refusals(index, *rows) == [IndexRefusal.DAY_FULL] * 3
    assert told(index, seen("15:01", 1, 1)) == []


def test_a_correction_comes_within_a_day_of_the_first_version():
    index = new_index()
    published_ns = CLOSE + NS_PER_HOUR
    told(index, *agreed(), fix_row(published_ns, GRADE, DAY, Leg.STANDARD))
    in_time = correct_row(published_ns + NS_PER_DAY, GRADE, DAY, Leg.STANDARD)
    assert [code_of(event[0]) for event in told(index, in_time)] == [IndexEvent.REPEATED]
    late = correct_row(published_ns + NS_PER_DAY + 1, GRADE, DAY, Leg.STANDARD)
    assert refusals(index, late) == [IndexRefusal.CORRECTION_TOO_LATE]


def test_only_a_seller_that_was_observed_can_be_struck_out():
    index = new_index()
    told(index, *agreed(), fix())
    assert refusals(index, correct_row(CLOSE, GRADE, DAY, Leg.STANDARD, 77)) == [
        IndexRefusal.SELLER_NOT_OBSERVED
    ]
    assert refusals(index, correct_row(CLOSE, GRADE, DAY, Leg.STANDARD, -1)) == [
        IndexRefusal.SELLER_NOT_POSITIVE
    ]


def test_of_several_faults_the_first_declared_is_named():
    """Faults are mended one after the other, the last declared first named last."""
    words = {"time": TIME_MAX + 1, "grade": 0, "seller": 0, "price": 0, "volume": 0, "leg": 9, "source": 9}
    mends = [
        (IndexRefusal.TIME_OUT_OF_RANGE, {"time": at("14:00", SATURDAY)}),
        (IndexRefusal.GRADE_NOT_POSITIVE, {"grade": 1}),
        (IndexRefusal.SELLER_NOT_POSITIVE, {"seller": 1}),
        (IndexRefusal.LEG_UNKNOWN, {"leg": 0}),
        (IndexRefusal.SOURCE_UNKNOWN, {"source": 1}),
        (IndexRefusal.PRICE_NOT_POSITIVE, {"price": 1}),
        (IndexRefusal.VOLUME_NOT_POSITIVE, {"volume": INT64_MAX}),
        (IndexRefusal.NOT_A_BUSINESS_DAY, {"time": at("14:00")}),
        (IndexRefusal.OUTSIDE_WINDOW, {"time": at("15:00")}),
        (IndexRefusal.DAY_CLOSED, {"time": at("15:00", DAY + 7)}),
        (IndexRefusal.DAY_FULL, {"volume": CENTI_PER_MTOK}),
    ]
    index = new_index()
    told(index, relate_row(at("15:00", DAY + 4), 1, 2))
    for refusal, mend in mends:
        order = ("time", "grade", "seller", "price", "volume", "leg", "source")
        assert refusals(index, observation(*(words[name] for name in order))) == [refusal]
        words |= mend
    assert [refusal for refusal, _ in mends] == sorted(refusal for refusal, _ in mends)


def test_of_several_faults_of_a_command_the_first_declared_is_named():
    index = new_index()
    told(index, *agreed(), fix())
    told(index, relate_row(CLOSE + 4 * NS_PER_DAY, 1, 2))
    now = CLOSE + 4 * NS_PER_DAY
    words = {
        "kind": kind_word(999, 1),
        "time": -1,
        "grade": 0,
        "day": SATURDAY,
        "leg": 9,
        "struck": -1,
        "unused": 5,
    }
    mends = [
        (IndexRefusal.UNKNOWN_COMMAND, {"kind": kind_word(IndexCommand.CORRECT, 1)}),
        (IndexRefusal.FLAG_NOT_ALLOWED, {"kind": kind_word(IndexCommand.CORRECT)}),
        (IndexRefusal.UNUSED_WORD_NOT_ZERO, {"unused": 0}),
        (IndexRefusal.TIME_OUT_OF_RANGE, {"time": 0}),
        (IndexRefusal.TIME_BACKWARDS, {"time": now}),
        (IndexRefusal.GRADE_NOT_POSITIVE, {"grade": GRADE}),
        (IndexRefusal.SELLER_NOT_POSITIVE, {"struck": 99}),
        (IndexRefusal.LEG_UNKNOWN, {"leg": 0}),
        (IndexRefusal.NOT_A_BUSINESS_DAY, {"day": DAY + 1}),
        (IndexRefusal.NOT_FIXED, {"day": DAY}),
        (IndexRefusal.CORRECTION_TOO_LATE, {}),
    ]
    for refusal, mend in mends:
        row = tuple(
            words[name] for name in ("kind", "time", "grade", "day", "leg", "struck", "unused", "unused")
        )
        assert index.apply(np.array([row], dtype=np.int64))[0, 7] == refusal
        words |= mend
    assert [refusal for refusal, _ in mends] == sorted(refusal for refusal, _ in mends)


def test_a_fix_is_refused_for_its_day_before_it_is_refused_for_its_hour():
    early = fix_row(at("15:59", SATURDAY), GRADE, SATURDAY, Leg.STANDARD)
    assert refusals(new_index(), early) == [IndexRefusal.NOT_A_BUSINESS_DAY]


def test_refused_observations_are_told_in_their_order_and_the_others_kept():
    index = new_index()
    rows = [seen("15:10", 1, 5), OBSERVATIONS[IndexRefusal.LEG_UNKNOWN], seen("15:11", 2, 5)]
    rows.append(OBSERVATIONS[IndexRefusal.PRICE_NOT_POSITIVE])
    assert refusals(index, *rows) == [IndexRefusal.LEG_UNKNOWN, IndexRefusal.PRICE_NOT_POSITIVE]
    assert index.snapshot()["observations"][:, 2].tolist() == [1, 2]
    assert index.apply(matrix([])).shape == (0, 8)

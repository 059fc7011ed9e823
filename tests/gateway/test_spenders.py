"""Spenders and their limits: what a hold must fit, what it leaves behind, and that neither twin ever lets more through."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import INT64_MAX, KIND, Row, reason_of
from ciyuan.gateway import (
    LimitUnit,
    LimitWindow,
    MeterEvent,
    MeterRefusal,
    deliver_row,
    hold_row,
    limit_row,
    spender_row,
    tick_row,
    void_row,
)
from ciyuan.gateway.messages import DEPTH_MAX, LIMITS_OF_SPENDER_MAX
from ciyuan.gateway.windows import TICKS
from tests.gateway.twins import Twins, a_market, code, list_row, refusal, who

R = MeterRefusal
MONEY, TOKENS, REQUESTS = LimitUnit
MINUTE, HOUR, DAY, MONTH, YEAR, EVER = LimitWindow
SECOND_NS = 10**9
HOUR_NS, DAY_NS = 3_600 * SECOND_NS, 86_400 * SECOND_NS
ORGANISATION, DEPARTMENT, ENGINEER, KEY = 10, 20, 30, 40
WHO = who(grade=2)
"""A grade at one micro-dollar a token, in or out."""


def ns(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * SECOND_NS  # type: ignore[misc, arg-type]


def a_company(*limits: Row) -> Twins:
    """An organisation, its department, an engineer and a key, each below the one before, of customer 1; and limits."""
    twins = a_market(10**12)
    twins.say(list_row(0, 1, grade=2, price_in=10**6, price_cached=10**6, price_out=10**6))
    tree = zip(
        (ORGANISATION, DEPARTMENT, ENGINEER, KEY), (0, ORGANISATION, DEPARTMENT, ENGINEER), strict=True
    )
    events = twins.say(*(spender_row(0, number, parent, 1) for number, parent in tree), *limits)
    assert {code(event) for event in events} <= {MeterEvent.SPENDER_ADDED, MeterEvent.LIMIT_SET}
    return twins


def hold(time_ns: int, request: int, tokens: int, spender: int = KEY, timeout_ns: int = 0) -> Row:
    return hold_row(time_ns, request, WHO, tokens, 0, timeout_ns, spender)


def used(twins: Twins, limit: int, now_ns: int | None = None) -> int:
    view = twins.fast.limit(limit, twins.fast.clock_ns if now_ns is None else now_ns)
    assert view is not None
    return view.used


def refused_by(twins: Twins, row: Row) -> tuple[MeterRefusal | None, int]:
    """The refusal of a row, and the number in its reason bits."""
    answer = twins.one(row)
    return refusal(answer), reason_of(answer[KIND]) if refusal(answer) else 0


# --- spenders ---


def test_spenders_are_a_tree_of_a_customers():
    twins = a_company()
    assert twins.refused(spender_row(0, 50, 49, 1)) == R.SPENDER_UNKNOWN
    assert twins.refused(spender_row(0, 50, KEY, 2)) == R.SPENDER_OF_ANOTHER_CUSTOMER
    assert twins.refused(spender_row(0, 50, 0, 4)) == R.CUSTOMER_UNKNOWN
    assert twins.refused(spender_row(0, 50, 0, 2)) is None
    assert code(twins.one(spender_row(1, 50, 0, 2))) == MeterEvent.REPEATED
    assert twins.refused(spender_row(1, 50, KEY, 2)) == R.EXISTS_WITH_DIFFERENT_PARENT
    assert twins.refused(spender_row(1, 50, 0, 1)) == R.EXISTS_WITH_DIFFERENT_CUSTOMER
    view = twins.fast.spender(KEY)
    assert view is not None
    assert (view.number, view.parent, view.customer, view.limits) == (KEY, ENGINEER, 1, ())
    assert twins.fast.spender(51) is None


def test_a_tree_is_eight_deep_at_most():
    twins = a_market()
    for depth in range(1, DEPTH_MAX + 1):
        assert twins.refused(spender_row(0, depth, depth - 1, 1)) is None
    assert twins.refused(spender_row(0, 9, DEPTH_MAX, 1)) == R.SPENDER_TOO_DEEP
    rows = [
        limit_row(0, depth * 10 + place, depth, REQUESTS, EVER, 5)
        for depth in range(1, 9)
        for place in range(8)
    ]
    assert {code(event) for event in twins.say(*rows)} == {MeterEvent.LIMIT_SET}
    twins.say(hold_row(1, 1, who(), 1, 1, 0, DEPTH_MAX))
    assert {used(twins, row[2]) for row in rows} == {1}
    assert twins.fast.snapshot()["spends"].tolist() == [[1, DEPTH_MAX, 1, -1]]  # all 64 bits
    twins.say(void_row(2, 1))
    assert {used(twins, row[2]) for row in rows} == {0}


def test_a_hold_is_of_a_spender_of_its_customer():
    twins = a_company(spender_row(0, 50, 0, 2))
    assert twins.refused(hold(1, 1, 5, spender=51)) == R.SPENDER_UNKNOWN
    assert twins.refused(hold(1, 1, 5, spender=-1)) == R.SPENDER_UNKNOWN
    assert twins.refused(hold(1, 1, 5, spender=50)) == R.SPENDER_OF_ANOTHER_CUSTOMER
    assert twins.refused(hold(1, 1, 5)) is None
    assert code(twins.one(hold(2, 1, 5))) == MeterEvent.REPEATED
    assert twins.refused(hold(2, 1, 5, spender=ENGINEER)) == R.EXISTS_WITH_DIFFERENT_SPENDER
    assert twins.refused(hold(2, 1, 5, spender=0)) == R.EXISTS_WITH_DIFFERENT_SPENDER


# --- limits ---


def test_a_limit_is_said_again_with_another_most_and_its_use_carries_on():
    twins = a_company(limit_row(0, 1, DEPARTMENT, TOKENS, DAY, 100))
    twins.say(hold(1, 1, 60))
    assert code(twins.one(limit_row(2, 1, DEPARTMENT, TOKENS, DAY, 100))) == MeterEvent.REPEATED
    assert code(twins.one(limit_row(2, 1, DEPARTMENT, TOKENS, DAY, 70))) == MeterEvent.LIMIT_SET
    assert refused_by(twins, hold(3, 2, 11)) == (R.BUDGET_SPENT, 1)
    assert refused_by(twins, hold(3, 2, 10)) == (None, 0)
    twins.say(limit_row(4, 1, DEPARTMENT, TOKENS, DAY, 20))
    view = twins.fast.limit(1, 4)
    assert view is not None
    assert (view.used, view.left, view.most) == (70, 0, 20)
    assert refused_by(twins, hold(5, 3, 0)) == (R.BUDGET_SPENT, 1)
    for row, word in (
        (limit_row(5, 1, ENGINEER, TOKENS, DAY, 100), R.EXISTS_WITH_DIFFERENT_SPENDER),
        (limit_row(5, 1, DEPARTMENT, MONEY, DAY, 100), R.EXISTS_WITH_DIFFERENT_UNIT),
        (limit_row(5, 1, DEPARTMENT, TOKENS, MONTH, 100), R.EXISTS_WITH_DIFFERENT_WINDOW),
        (limit_row(5, 1, DEPARTMENT, TOKENS, DAY, 100, HOUR_NS), R.EXISTS_WITH_DIFFERENT_OFFSET),
    ):
        assert twins.refused(row) == word


def test_limits_are_shown_as_they_were_set():
    twins = a_company(
        limit_row(0, 7, KEY, TOKENS, MONTH, 100, HOUR_NS), limit_row(5, 2, ENGINEER, MONEY, HOUR, 9)
    )
    assert twins.fast.limits.tolist() == [
        [7, KEY, TOKENS, MONTH, 100, HOUR_NS, -HOUR_NS, 0],
        [2, ENGINEER, MONEY, HOUR, 9, 0, 0, 0],
    ]
    assert not twins.fast.limits.flags.writeable


def test_one_spender_has_eight_limits_at_most():
    twins = a_company(*(limit_row(0, 1 + at, KEY, TOKENS, EVER, 100) for at in range(LIMITS_OF_SPENDER_MAX)))
    assert twins.refused(limit_row(0, 9, KEY, TOKENS, EVER, 100)) == R.LIMITS_FULL
    assert twins.refused(limit_row(0, 9, ENGINEER, TOKENS, EVER, 100)) is None
    view = twins.fast.spender(KEY)
    assert view is not None
    assert view.limits == tuple(range(1, 9))


def test_a_new_limit_counts_from_now_on_and_what_was_held_before_gives_it_nothing_back():
    twins = a_company(limit_row(0, 1, KEY, TOKENS, EVER, 100))
    twins.say(hold(1, 1, 60), limit_row(1, 2, KEY, TOKENS, EVER, 100), hold(1, 2, 30))
    assert (used(twins, 1), used(twins, 2)) == (90, 30)
    twins.say(void_row(2, 1))
    assert (used(twins, 1), used(twins, 2)) == (30, 30)


def test_a_hold_fits_every_limit_above_it_or_changes_none():
    limits = [limit_row(0, 1, ORGANISATION, TOKENS, EVER, 100), limit_row(0, 2, KEY, TOKENS, EVER, 500),
              limit_row(0, 3, ENGINEER, REQUESTS, MINUTE, 2)]  # fmt: skip
    twins = a_company(*limits)
    assert refused_by(twins, hold(1, 1, 101)) == (R.BUDGET_SPENT, 1)
    assert [used(twins, number) for number in (1, 2, 3)] == [0, 0, 0]
    assert refused_by(twins, hold(1, 1, 60)) == (None, 0)
    assert [used(twins, number) for number in (1, 2, 3)] == [60, 60, 1]
    assert refused_by(twins, hold(1, 2, 41, spender=DEPARTMENT)) == (R.BUDGET_SPENT, 1)
    assert refused_by(twins, hold(1, 2, 40, spender=DEPARTMENT)) == (None, 0)
    assert [used(twins, number) for number in (1, 2, 3)] == [100, 60, 1]
    assert refused_by(twins, hold(1, 3, 0)) == (None, 0)
    assert refused_by(twins, hold(1, 4, 1)) == (R.RATE_LIMITED, 3)  # before the budget that is spent too
    assert refused_by(twins, hold(1, 4, 1, spender=0)) == (None, 0)


def test_a_hold_that_the_ledger_refuses_counts_nowhere():
    twins = a_company(
        limit_row(0, 1, KEY, MONEY, EVER, INT64_MAX), limit_row(0, 2, KEY, TOKENS, HOUR, 10**11)
    )
    twins.say(list_row(0, 1, grade=3, price_in=10**12, price_cached=0, price_out=0))
    row = hold_row(1, 1, who(grade=3), 10**6 + 1, 0, 0, KEY)
    assert refused_by(twins, row) == (R.INSUFFICIENT_BALANCE, 0)
    assert (used(twins, 1), used(twins, 2)) == (0, 0)


@pytest.mark.parametrize(("unit", "held", "after"), [(MONEY, 151, 70), (TOKENS, 150, 70), (REQUESTS, 1, 1)])
@pytest.mark.parametrize("window", LimitWindow)
def test_what_was_held_and_not_used_is_given_back(unit, held, after, window):
    twins = a_company(limit_row(0, 1, ENGINEER, unit, window, 1_000))
    twins.say(hold_row(1, 1, WHO, 100, 50, 0, KEY))
    assert used(twins, 1) == held
    twins.say(deliver_row(1, 1, WHO, 40, 10, 30))
    assert used(twins, 1) == after
    twins.say(hold(1, 2, 100), void_row(1, 2), hold(1, 3, 100, timeout_ns=5), hold(1, 4, 7))
    twins.say(deliver_row(2, 4, WHO, 7, 0, 0), tick_row(6))
    again = {MONEY: 77, TOKENS: 77, REQUESTS: 2}[unit]
    assert used(twins, 1, 6) == again


# --- budgets ---


@pytest.mark.parametrize(
    ("window", "offset_hours", "before", "after"),
    [
        (DAY, 0, (2026, 11, 21, 23, 59, 59), (2026, 11, 22)),
        (DAY, 8, (2026, 11, 21, 15, 59, 59), (2026, 11, 21, 16)),
        (DAY, -14, (2026, 11, 22, 13, 59, 59), (2026, 11, 22, 14)),
        (MONTH, 0, (2028, 2, 29, 23, 59, 59), (2028, 3, 1)),
        (MONTH, 8, (2026, 12, 31, 15, 59, 59), (2026, 12, 31, 16)),
        (YEAR, 0, (2026, 12, 31, 23, 59, 59), (2027, 1, 1)),
        (YEAR, 14, (2027, 12, 31, 9, 59, 59), (2027, 12, 31, 10)),
    ],
)
def test_a_budget_begins_anew_at_its_border(window, offset_hours, before, after):
    first, then = ns(*before), ns(*after)
    twins = a_company(limit_row(0, 1, KEY, TOKENS, window, 100, offset_hours * HOUR_NS))
    twins.say(hold(first, 1, 70))
    view = twins.fast.limit(1, first)
    assert view is not None
    assert (view.used, view.resets_ns) == (70, then)
    assert (view.fits_at_ns(30), view.fits_at_ns(31), view.fits_at_ns(101)) == (first, then, None)
    assert refused_by(twins, hold(then - 1, 2, 31)) == (R.BUDGET_SPENT, 1)
    assert used(twins, 1, then) == 0
    assert refused_by(twins, hold(then, 2, 100)) == (None, 0)
    twins.say(deliver_row(then, 1, WHO, 10, 0, 0))  # of the window before: gives nothing back to this one
    assert used(twins, 1) == 100
    twins.say(void_row(then, 2))
    assert used(twins, 1) == 0


def test_what_is_given_back_before_a_new_window_is_used_goes_to_the_old_one():
    twins = a_company(limit_row(0, 1, KEY, TOKENS, DAY, 100))
    twins.say(hold(1, 1, 70), void_row(DAY_NS + 5, 1))
    assert used(twins, 1) == 0
    assert twins.fast.snapshot()["limits"][0, 6:].tolist() == [0, 0]
    assert refused_by(twins, hold(DAY_NS + 6, 2, 100)) == (None, 0)
    assert twins.fast.snapshot()["limits"][0, 6:].tolist() == [DAY_NS, 100]


def test_ever_never_ends():
    twins = a_company(limit_row(0, 1, KEY, TOKENS, EVER, 100))
    twins.say(hold(1, 1, 70))
    assert refused_by(twins, hold(INT64_MAX, 2, 31)) == (R.BUDGET_SPENT, 1)
    view = twins.fast.limit(1, INT64_MAX)
    assert view is not None
    assert (view.used, view.resets_ns, view.fits_at_ns(31)) == (70, None, None)
    assert twins.fast.limit(2, 0) is None


@pytest.mark.parametrize("window", [DAY, MONTH, YEAR])
@pytest.mark.parametrize("offset_hours", [-14, 0, 14])
def test_the_last_window_of_all_has_no_end(window, offset_hours):
    twins = a_company(limit_row(0, 1, KEY, TOKENS, window, 100, offset_hours * HOUR_NS))
    assert refused_by(twins, hold(INT64_MAX - 1, 1, 70)) == (None, 0)
    assert refused_by(twins, hold(INT64_MAX, 2, 31)) == (R.BUDGET_SPENT, 1)
    assert refused_by(twins, hold(INT64_MAX, 2, 30)) == (None, 0)


# --- rates ---


@pytest.mark.parametrize(("window", "window_ns"), [(MINUTE, 60 * SECOND_NS), (HOUR, HOUR_NS)])
def test_a_rate_lets_its_most_through_at_once_and_again_as_time_allows(window, window_ns):
    twins = a_company(limit_row(0, 1, KEY, TOKENS, window, 60))
    assert refused_by(twins, hold(0, 1, 61)) == (R.RATE_LIMITED, 1)
    assert refused_by(twins, hold(0, 1, 60)) == (None, 0)
    view = twins.fast.limit(1, 0)
    assert view is not None
    assert (view.used, view.left, view.resets_ns, view.fits_at_ns(1)) == (60, 0, window_ns, window_ns // 60)
    assert refused_by(twins, hold(window_ns // 60 - 1, 2, 1)) == (R.RATE_LIMITED, 1)
    assert refused_by(twins, hold(window_ns // 60, 2, 1)) == (None, 0)
    assert refused_by(twins, hold(window_ns // 2, 3, 30)) == (R.RATE_LIMITED, 1)
    assert refused_by(twins, hold(window_ns // 2, 3, 29)) == (None, 0)
    assert used(twins, 1, 10 * window_ns) == 0


def test_a_rate_gives_back_as_far_as_its_bucket_is_not_empty():
    twins = a_company(limit_row(0, 1, KEY, TOKENS, MINUTE, 60))
    twins.say(hold(0, 1, 50), hold(40 * SECOND_NS, 2, 20))
    assert used(twins, 1) == 30
    twins.say(void_row(40 * SECOND_NS, 1))
    assert used(twins, 1) == 0
    twins.say(void_row(41 * SECOND_NS, 2))
    assert refused_by(twins, hold(41 * SECOND_NS, 3, 61)) == (R.RATE_LIMITED, 1)
    assert refused_by(twins, hold(41 * SECOND_NS, 3, 60)) == (None, 0)


def test_a_rate_of_nothing_lets_nothing_through():
    twins = a_company(limit_row(0, 1, KEY, REQUESTS, HOUR, 0))
    assert refused_by(twins, hold(10**18, 1, 1)) == (R.RATE_LIMITED, 1)
    view = twins.fast.limit(1, 10**18)
    assert view is not None
    assert (view.resets_ns, view.fits_at_ns(1)) == (None, None)


def test_a_rate_that_is_changed_has_emptied_at_the_old_rate_until_then():
    twins = a_company(limit_row(0, 1, KEY, TOKENS, MINUTE, 60))
    twins.say(hold(0, 1, 60), limit_row(30 * SECOND_NS, 1, KEY, TOKENS, MINUTE, 120))
    assert used(twins, 1) == 30
    assert used(twins, 1, 35 * SECOND_NS) == 20
    twins.say(limit_row(35 * SECOND_NS, 1, KEY, TOKENS, MINUTE, 10))
    assert used(twins, 1) == 20
    view = twins.fast.limit(1, 35 * SECOND_NS)
    assert view is not None
    assert view.fits_at_ns(1) == 35 * SECOND_NS + 66 * SECOND_NS


# --- laws ---

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["hold", "hold", "hold", "deliver", "deliver", "void", "limit"]),
        st.integers(0, 120),
        st.sampled_from([0, 0, 1, SECOND_NS, 7 * SECOND_NS, 61 * SECOND_NS]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@given(MOVES, st.sampled_from(LimitUnit))
def test_use_is_what_is_held_and_charged_and_never_more_than_the_most(moves, unit):
    """Against a model that adds up all requests anew each time: budgets of EVER, on each spender of the tree."""
    tree = (ORGANISATION, DEPARTMENT, ENGINEER, KEY)
    most = {ORGANISATION: 400, DEPARTMENT: 300, ENGINEER: 250, KEY: 100}
    twins = a_company(*(limit_row(0, number, number, unit, EVER, most[number]) for number in tree))
    clock, counted, pending = 0, {}, {}
    for step, (move, number, later, place) in enumerate(moves, 1):
        clock += later
        if move == "hold":
            held = twins.one(hold(clock, step, number, tree[place]))
            if code(held) == MeterEvent.HELD:
                pending[step] = place, number
                counted[step] = (
                    place,
                    {LimitUnit.MONEY: held[7], LimitUnit.TOKENS: number, LimitUnit.REQUESTS: 1}[unit],
                )
        elif move == "deliver" and pending:
            request = sorted(pending)[number % len(pending)]
            place, tokens = pending.pop(request)
            charge = twins.one(deliver_row(clock, request, WHO, tokens // 2, 0, 0))[7]
            counted[request] = (
                place,
                {LimitUnit.MONEY: charge, LimitUnit.TOKENS: tokens // 2, LimitUnit.REQUESTS: 1}[unit],
            )
        elif move == "void" and pending:
            request = sorted(pending)[number % len(pending)]
            del pending[request], counted[request]
            twins.say(void_row(clock, request))
        for level, spender in enumerate(tree):
            below = sum(amount for place, amount in counted.values() if place >= level)
            assert used(twins, spender) == below <= most[spender]


@given(MOVES, st.sampled_from([MINUTE, HOUR]), st.integers(1, 150))
def test_over_any_time_from_empty_a_rate_lets_no_more_be_used_than_it_says(moves, window, most):
    twins = a_company(limit_row(0, 1, ENGINEER, TOKENS, window, most))
    clock, pending, tokens_used = 0, {}, 0
    window_ns = 60 * SECOND_NS if window == MINUTE else HOUR_NS
    for step, (move, number, later, _) in enumerate(moves, 1):
        clock += later
        if move == "hold" and code(twins.one(hold(clock, step, number))) == MeterEvent.HELD:
            pending[step] = number
        elif move == "deliver" and pending:
            request = sorted(pending)[number % len(pending)]
            amount = min(number, pending.pop(request))
            assert code(twins.one(deliver_row(clock, request, WHO, amount, 0, 0))) == MeterEvent.SETTLED
            tokens_used += amount
        held = sum(pending.values())
        assert (tokens_used + held) * window_ns <= most * (clock + window_ns + window_ns // TICKS)
        assert used(twins, 1) <= most

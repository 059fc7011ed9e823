"""The exam: honest suppliers stay, those below their grade are suspended with the reason, and come back by passing a window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway.route_exam import Counts, Exam, Reason
from ciyuan.gateway.route_offers import NO_SERVICE
from ciyuan.gateway.route_policy import RoutePolicy
from tests.gateway.routes import NOW, SERVICE

POLICY = RoutePolicy()
WINDOW, FULL, FEW = POLICY.exam_window_ns, POLICY.exam_answers_min, POLICY.probation_answers_min


def window(exam, start_ns, count, **bad):
    """Answers spread over a window, the first of them bad in the ways named; whether the standing changed, and when it ended."""
    changed = False
    for place in range(count):
        now_ns = start_ns + WINDOW * place // (count - 1)
        changed |= exam.ended(now_ns, failed=place < bad.get("failed", 0), late=place < bad.get("late", 0),
                              slow=place < bad.get("slow", 0))  # fmt: skip
    return changed, start_ns + WINDOW


def suspended():
    exam = Exam(SERVICE, POLICY)
    changed, now_ns = window(exam, NOW, FULL, failed=10)
    assert changed
    assert exam.reason is Reason.AVAILABILITY
    return exam, now_ns


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({}, Reason.NONE),
        ({"failed": 2}, Reason.NONE),
        ({"failed": 3}, Reason.AVAILABILITY),
        ({"late": 11}, Reason.NONE),
        ({"late": 12}, Reason.TTFT),
        ({"slow": 65}, Reason.NONE),
        ({"slow": 66}, Reason.SPEED),
        ({"failed": 3, "late": 90, "slow": 90}, Reason.AVAILABILITY),
        ({"late": 90, "slow": 90}, Reason.TTFT),
    ],
)
def test_a_window_is_judged_by_its_counts(bad, reason):
    exam = Exam(SERVICE, POLICY)
    changed, ended_ns = window(exam, NOW, FULL, **bad)
    assert (exam.reason, changed) == (reason, reason is not Reason.NONE)
    assert exam.verdict is not None
    assert exam.verdict[:2] == (NOW, ended_ns)
    assert exam.verdict.counts.requests == FULL
    assert exam.counts == Counts()


def test_a_window_goes_on_until_it_has_answers_enough():
    exam = Exam(SERVICE, POLICY)
    window(exam, NOW, FULL - 1, failed=50)
    assert (exam.reason, exam.verdict) == (Reason.NONE, None)
    assert exam.ended(NOW + 3 * WINDOW, failed=False)
    assert exam.reason is Reason.AVAILABILITY


def test_who_is_suspended_comes_back_by_a_window_without_a_fault_and_not_before():
    exam, now_ns = suspended()
    changed, now_ns = window(exam, now_ns + 1, FEW - 1)
    assert (changed, exam.reason) == (False, Reason.AVAILABILITY), "too few answers change nothing"
    assert exam.ended(now_ns, failed=False)
    assert exam.reason is Reason.NONE


def test_who_is_suspended_gets_no_allowance_for_chance():
    exam, now_ns = suspended()
    changed, now_ns = window(exam, now_ns + 1, FEW, failed=1)
    assert not changed
    changed, now_ns = window(exam, now_ns + 1, FEW, late=2)
    assert (changed, exam.reason) == (False, Reason.TTFT), "suspended still, for another reason"
    changed, _ = window(exam, now_ns + 1, FEW, late=1, slow=FEW // 2)
    assert changed
    assert exam.reason is Reason.NONE


def test_what_a_grade_does_not_ask_for_fails_nobody():
    exam = Exam(NO_SERVICE, POLICY)
    changed, _ = window(exam, NOW, FULL, failed=FULL, late=FULL, slow=FULL)
    assert not changed
    assert exam.verdict is not None


def test_what_cannot_be_told_is_not_counted():
    exam = Exam(SERVICE, POLICY)
    exam.ended(NOW, failed=False, late=None, slow=None)
    exam.ended(NOW, failed=True, late=True)
    exam.ended(NOW, failed=False, slow=True)
    assert exam.counts == Counts(3, 1, 1, 1, 1, 1)


def played(chance, seed, windows=60):
    """How many of so many windows are failed by a supplier each of whose requests is bad by such chances."""
    drawn = np.random.default_rng(seed)
    failed = 0
    for _ in range(windows):
        exam = Exam(SERVICE, POLICY)
        for place in range(400):
            bad = {name: drawn.random() < share for name, share in chance.items()}
            exam.ended(NOW + place * 10 * NS_PER_SECOND, **bad)
        failed += exam.reason is not Reason.NONE
    return failed


def test_an_honest_supplier_at_its_very_bounds_is_hardly_ever_suspended():
    assert played({"failed": 0.005, "late": 0.05, "slow": 0.5}, seed=11, windows=200) <= 5


@pytest.mark.parametrize("chance", [{"failed": 0.05, "late": 0.0, "slow": 0.0}, {"failed": 0.0, "late": 0.15, "slow": 0.0},
                                    {"failed": 0.0, "late": 0.0, "slow": 0.7}])  # fmt: skip
def test_one_below_its_grade_is_found_in_a_window(chance):
    assert played(chance, seed=12) >= 55


@given(
    st.lists(
        st.tuples(
            st.booleans(), st.none() | st.booleans(), st.none() | st.booleans(), st.integers(0, WINDOW // 40)
        ),
        max_size=300,
    )
)
def test_a_standing_kept_goes_on_as_if_nothing_had_been(steps):
    exam, now_ns = Exam(SERVICE, POLICY), NOW
    for place, (failed, late, slow, passed_ns) in enumerate(steps):
        now_ns += passed_ns
        before = exam.reason
        verdict = exam.verdict
        changed = exam.ended(now_ns, failed=failed, late=late, slow=slow)
        assert changed is ((before is Reason.NONE) is not (exam.reason is Reason.NONE))
        assert exam.reason is before or exam.verdict is not verdict, "only a verdict changes a standing"
        if place % 7 == 0:
            other = Exam(SERVICE, POLICY)
            other.restore(exam.snapshot())
            assert other.snapshot() == exam.snapshot()
            other.verdict, exam = exam.verdict, other


@pytest.mark.parametrize("state", [(), (0, 0), (9, 0, 0, 0, 0, 0, 0, 0), (0, 0, 1, 2, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0, 1, 2),
                                   (0, 0, 1, 0, 1, -1, 0, 0)])  # fmt: skip
def test_a_state_that_is_none_is_refused(state):
    with pytest.raises(Malformed, match="state of an exam"):
        Exam(SERVICE, POLICY).restore(state)

"""A pool never sends more than its supplier takes, and second attempts stay within their budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.gateway.route_limits import SAVED_ATTEMPTS_MAX, UNLIMITED, AttemptBudget, Pool
from ciyuan.gateway.route_offers import Limits
from tests.gateway.routes import NOW

STEPS = st.lists(st.tuples(st.integers(0, 90 * NS_PER_SECOND), st.integers(0, 500)), max_size=120)


def windows_within(times_and_counts, most):
    """Whether in no minute is more than twice the limit: a bucket of a minute's worth, and what fills it meanwhile."""
    for start, _ in times_and_counts:
        within = sum(count for at, count in times_and_counts if start <= at < start + NS_PER_MINUTE)
        if within > 2 * most:
            return False
    return True


@given(STEPS, st.integers(1, 60))
def test_requests_a_minute_are_a_bucket_of_a_minutes_worth(steps, most):
    pool, now_ns, sent = Pool(Limits(requests_per_minute=most)), NOW, []
    for passed_ns, _ in steps:
        now_ns += passed_ns
        if pool.opens_at_ns(0) <= now_ns:
            pool.take(0, now_ns)
            sent.append((now_ns, 1))
    assert windows_within(sent, most)
    assert not steps or sent, "a full bucket lets one go"


@given(STEPS, st.integers(1, 2_000))
def test_tokens_a_minute_likewise_and_a_larger_request_waits_for_a_full_bucket(steps, most):
    pool, now_ns, sent = Pool(Limits(tokens_per_minute=most)), NOW, []
    for passed_ns, tokens in steps:
        now_ns += passed_ns
        if pool.opens_at_ns(tokens) <= now_ns:
            pool.take(tokens, now_ns)
            sent.append((now_ns, min(tokens, most)))
    assert windows_within(sent, most)


def test_a_bucket_opens_when_it_says():
    pool = Pool(Limits(requests_per_minute=2, tokens_per_minute=600))
    for _ in range(2):
        assert pool.opens_at_ns(300) <= NOW
        pool.take(300, NOW)
    assert pool.opens_at_ns(1) == NOW + 30 * NS_PER_SECOND
    assert pool.opens_at_ns(400) == NOW + 40 * NS_PER_SECOND
    assert pool.opens_at_ns(10**6) == NOW + 60 * NS_PER_SECOND, "when it is full"


def test_what_was_not_used_is_given_back_and_what_was_used_more_is_taken():
    pool = Pool(Limits(tokens_per_minute=600))
    pool.take(600, NOW)
    assert pool.opens_at_ns(300) == NOW + 30 * NS_PER_SECOND
    pool.give_back(600, 300)
    assert pool.opens_at_ns(300) == NOW
    pool.take(300, NOW)
    pool.give_back(300, None)
    assert pool.opens_at_ns(60) == NOW + 6 * NS_PER_SECOND
    pool.take(0, NOW)
    pool.give_back(0, 600)
    assert pool.opens_at_ns(60) == NOW + 66 * NS_PER_SECOND


def test_requests_at_once_are_those_taken_and_not_given_back():
    pool = Pool(Limits(concurrent=2))
    assert pool.concurrent_max == 2
    pool.take(5, NOW)
    pool.take(5, NOW)
    assert pool.in_flight == 2
    pool.give_back(5, 5)
    pool.give_back(5, 5)
    with pytest.raises(InvariantBroken, match="not in flight"):
        pool.give_back(5, 5)


def test_several_doors_take_their_part_and_one_at_least():
    pool = Pool(Limits(10, 60, 600), processes=4)
    assert pool.concurrent_max == 2
    pool.take(150, NOW)
    assert pool.opens_at_ns(150) == NOW + 60 * NS_PER_SECOND
    assert Pool(Limits(concurrent=3), processes=4).concurrent_max == 1
    assert Pool(Limits(), processes=4).concurrent_max == UNLIMITED


def test_other_limits_keep_what_is_in_flight_and_what_was_used():
    pool = Pool(Limits(concurrent=5, requests_per_minute=1))
    pool.take(0, NOW)
    pool.set(Limits(concurrent=1, requests_per_minute=2))
    assert (pool.in_flight, pool.concurrent_max) == (1, 1)
    assert pool.opens_at_ns(0) == NOW + 30 * NS_PER_SECOND
    pool.set(Limits())
    assert pool.opens_at_ns(10**6) == 0


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3 * NS_PER_SECOND)), max_size=400),
    st.integers(1, 10_000),
    st.integers(0, 3),
)
def test_attempts_granted_are_a_share_a_floor_and_what_was_saved(steps, share_bp, per_s_min):
    budget, now_ns, requests, granted = AttemptBudget(share_bp, per_s_min), NOW, 0, 0
    budget.take(NOW)  # begins the floor's time
    for asked, passed_ns in steps:
        now_ns += passed_ns
        if asked:
            granted += budget.take(now_ns)
        else:
            budget.request()
            requests += 1
    floor = per_s_min * (now_ns - NOW) / NS_PER_SECOND
    assert granted <= SAVED_ATTEMPTS_MAX + requests * share_bp / 10_000 + floor


def test_an_outage_is_not_doubled():
    budget = AttemptBudget(2_000, 0)
    granted = 0
    for _ in range(10_000):
        budget.request()
        granted += budget.take(NOW)
    assert 2_000 <= granted <= 2_000 + SAVED_ATTEMPTS_MAX


def test_without_a_share_there_is_no_second_attempt():
    budget = AttemptBudget(0, 10)
    budget.request()
    assert not budget.take(NOW)
    assert not budget.take(NOW + NS_PER_MINUTE)

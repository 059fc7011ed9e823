"""The watch says that a service is below its grade when it is, and lets it try again when it could not know any better."""

import numpy as np
import pytest

from ciyuan.basics.time import NS_PER_MS, NS_PER_SECOND
from ciyuan.gateway.route_offers import NO_SERVICE
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.route_watch import OUTPUT_TOKENS_MIN, SAMPLES_MIN, ServiceWatch
from tests.gateway.routes import NOW, SERVICE

HALF_LIFE = RoutePolicy().half_life_ns
FAST, LATE = 300 * NS_PER_MS, 6_000 * NS_PER_MS


def watch(service=SERVICE):
    return ServiceWatch(service, HALF_LIFE)


def test_late_first_tokens_put_it_below_and_good_ones_back():
    seen = watch()
    for _ in range(SAMPLES_MIN - 1):
        assert seen.first_token(LATE, NOW) is True
        assert seen.below_until_ns == 0, "too few to judge by"
    seen.first_token(LATE, NOW)
    assert seen.below_until_ns > NOW
    for _ in range(200):
        assert seen.first_token(FAST, NOW) is False
    assert seen.below_until_ns == 0


def test_slow_answers_put_it_below():
    seen = watch()
    for _ in range(SAMPLES_MIN):
        assert seen.streamed(39, NS_PER_SECOND, NOW) is True
    assert seen.below_until_ns > NOW
    assert watch().streamed(40, NS_PER_SECOND, NOW) is False, "at the bound it is fast enough, exactly"


def test_short_answers_say_nothing_of_speed():
    seen = watch()
    assert seen.streamed(OUTPUT_TOKENS_MIN - 1, NS_PER_SECOND, NOW) is None
    assert seen.streamed(100, 0, NOW) is None
    assert seen.speed_median is None


def test_a_grade_that_asks_nothing_judges_nothing_and_measures_all_the_same():
    seen = watch(NO_SERVICE)
    for _ in range(50):
        assert seen.first_token(LATE, NOW) is None
        assert seen.streamed(50, NS_PER_SECOND, NOW) is None
    assert (seen.below_until_ns, seen.ttft.quantile(), seen.ttft.mean, seen.speed_median) == (
        0,
        LATE,
        LATE,
        50,
    )


@pytest.mark.parametrize("samples", [SAMPLES_MIN, 4 * SAMPLES_MIN, 16 * SAMPLES_MIN])
def test_it_is_tried_again_when_its_samples_would_be_too_few(samples):
    seen = watch()
    for _ in range(samples):
        seen.first_token(LATE, NOW)
    again_ns = seen.below_until_ns
    half_lives = (again_ns - NOW) // HALF_LIFE
    assert samples >> half_lives < SAMPLES_MIN <= samples >> half_lives - 1
    seen.first_token(FAST, again_ns)
    assert seen.below_until_ns == 0


def test_old_samples_weigh_little():
    seen = watch()
    for minute in range(30):
        for _ in range(20):
            seen.first_token(LATE if minute < 2 else FAST, NOW + minute * HALF_LIFE)
    assert seen.below_until_ns == 0


def test_an_honest_service_at_its_bounds_is_seldom_below():
    """Two standard deviations: at the very bound about one judgement in twenty goes wrong, and mends by itself."""
    drawn = np.random.default_rng(5)
    below = judged = 0
    for _ in range(40):
        seen = watch()
        for place in range(200):
            seen.first_token(LATE if drawn.random() < 0.05 else FAST, NOW + place * NS_PER_SECOND)
            judged += 1
            below += seen.below_until_ns > 0
    assert below < 0.12 * judged

"""At one speed for each user, the most requests in service are found; each change of software is measured by that."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_ladder import interactive, ladder, steady
from ciyuan.factory.scheduler_terms import Batching, Cluster, Disaggregation
from tests.factory.scheduler_worlds import STEP, engine, even
from tests.factory.test_scheduler_capacity import uneven


def test_the_middle_of_a_loop_of_equal_requests_is_a_steady_state():
    """Of 16 sequences that are never read beside others, each step makes 16 tokens."""
    outcome = simulate(even(3200, 0.0, 1, 101), Cluster(engine(batching=Batching.CONTINUOUS), concurrency=16))
    found = steady(outcome)
    step_s = float(STEP.seconds(16, 16 * 51))
    assert found.tokens_per_s_per_user == pytest.approx(1 / step_s, rel=0.01)
    assert found.output_tokens_per_s == pytest.approx(16 / step_s, rel=0.02)


def test_one_more_in_service_is_too_slow():
    cluster, trace = Cluster(engine()), uneven(600)
    found = interactive("chunked", trace, cluster, 40.0)
    assert found.tokens_per_s_per_user >= 40.0
    more = simulate(trace, Cluster(engine(), concurrency=round(found.concurrency * 1.1) + 1))
    assert steady(more).tokens_per_s_per_user < 40.0


def test_a_first_token_may_be_asked_for_too():
    trace, cluster = uneven(600), Cluster(engine(batching=Batching.STATIC))
    free, bound = interactive("", trace, cluster, 30.0), interactive("", trace, cluster, 30.0, 4.0)
    assert bound.ttft_s <= 4.0 < free.ttft_s
    assert bound.concurrency < free.concurrency


def test_what_is_slower_alone_makes_nothing():
    assert interactive("", even(100, 0.0, 10, 50), Cluster(engine()), 1e6).concurrency == 0


def test_each_change_is_on_top_of_the_last():
    clusters = {
        "static": Cluster(engine(batching=Batching.STATIC)),
        "chunked": Cluster(engine()),
        "drafted": Cluster(engine(tokens_per_step=1.9, positions=2)),
    }
    static, chunked, drafted = ladder(uneven(600), clusters, 40.0)
    made = [rung.output_tokens_per_s_per_gpu for rung in (static, chunked, drafted)]
    assert made == sorted(made)
    assert chunked.ttft_s < 0.2 * static.ttft_s


def test_gpus_of_both_sides_are_counted():
    trace = uneven(400)
    both = interactive("", trace, Cluster(engine(), decode=Disaggregation(engine(), 1)), 30.0)
    run = simulate(trace, Cluster(engine(), decode=Disaggregation(engine(), 1), concurrency=both.concurrency))
    assert both.output_tokens_per_s_per_gpu == pytest.approx(steady(run).output_tokens_per_s / 16)


@pytest.mark.parametrize("speed", [0.0, -1.0, np.nan])
def test_a_speed_is_above_nothing(speed: float):
    with pytest.raises(Malformed, match="speed"):
        interactive("", uneven(100), Cluster(engine()), speed)


def test_a_loop_needs_requests():
    with pytest.raises(Malformed, match="10 or more"):
        steady(simulate(even(5, 1.0, 5, 5), Cluster(engine())))

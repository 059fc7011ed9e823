"""The highest rate that keeps the promises is found, and each optimisation stands on those before it."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_capacity import capacity, compared, kept_least, policies
from ciyuan.factory.scheduler_terms import (
    Batching,
    Cluster,
    Disaggregation,
    Order,
    Routing,
    Slo,
    TierTerms,
)
from ciyuan.factory.scheduler_trace import Trace, trace_of
from tests.factory.scheduler_worlds import engine, even

PROMISED = (TierTerms(Slo(1.5, 0.06)),)


def uneven(requests: int = 1500) -> Trace:
    dice = np.random.default_rng(5)
    prompts = np.clip(dice.lognormal(6.3, 1.0, requests), 1, 15_000).astype(int)
    outputs = np.clip(dice.exponential(150, requests), 1, 1000).astype(int)
    return trace_of(np.cumsum(dice.exponential(1.0, requests)), prompts, outputs)


def test_just_above_the_capacity_the_promise_breaks():
    trace, cluster = uneven(), Cluster(engine(), tiers=PROMISED)
    found = capacity(trace, cluster, 0.95, 0.02)
    assert found.run is not None
    assert kept_least(simulate(trace.at_rate(found.requests_per_s), cluster)) >= 0.95
    assert kept_least(simulate(trace.at_rate(found.requests_per_s * 1.25), cluster)) < 0.95
    assert found.output_tokens_per_s == pytest.approx(found.run.output_tokens_per_s)
    assert found.output_tokens_per_s_per_gpu == pytest.approx(found.output_tokens_per_s / 8, rel=0.01)


def test_a_promise_that_nothing_keeps_has_no_capacity():
    found = capacity(even(5, 1.0, 100, 10), Cluster(engine(), tiers=(TierTerms(Slo(1e-9)),)))
    assert (found.requests_per_s, found.run) == (0.0, None)


def test_a_promise_that_nothing_breaks_is_no_promise():
    with pytest.raises(Malformed, match="promises"):
        capacity(even(5, 1.0, 100, 10), Cluster(engine()))


def test_a_closed_loop_has_no_capacity():
    with pytest.raises(Malformed, match="closed loop"):
        capacity(even(5, 1.0, 100, 10), Cluster(engine(), tiers=PROMISED, concurrency=2))


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_is_a_share(share: float):
    with pytest.raises(Malformed, match="share"):
        capacity(even(5, 1.0, 100, 10), Cluster(engine(), tiers=PROMISED), share)


def test_what_a_cluster_has_is_stacked_in_order():
    whole = Cluster(
        engine(tokens_per_step=2.0, positions=3), replicas=2, order=Order.TIER_AGED, routing=Routing.PREFIX_AFFINITY,
        decode=Disaggregation(engine(tokens_per_step=2.0, positions=3), 1),
    )  # fmt: skip
    stack = policies(whole)
    assert list(stack) == [
        "static batching", "continuous batching", "chunked prefill", "routing: least-requests", "prefix cache",
        "routing: prefix-affinity", "order: tier-aged", "speculative decoding", "prefill and decode apart",
    ]  # fmt: skip
    assert stack["static batching"].engine.batching is Batching.STATIC
    assert stack["prefill and decode apart"] == whole
    assert list(policies(Cluster(engine(prefix_cache=False)))) == list(stack)[:3]


def test_batching_between_steps_makes_more_of_the_same_hardware():
    stack = policies(Cluster(engine(prefix_cache=False), tiers=PROMISED))
    static, continuous, chunked = compared(uneven(), stack, 0.9, 0.05)
    assert static.requests_per_s < continuous.requests_per_s < chunked.requests_per_s
    assert chunked.policy == "chunked prefill"

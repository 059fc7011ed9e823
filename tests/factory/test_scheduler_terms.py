"""Terms that cannot be kept are refused when they are given, and each order is the key that it says."""

from math import inf

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler_terms import (
    Autoscaling,
    Batching,
    Cluster,
    Disaggregation,
    Order,
    QueueRule,
    Slo,
    TierTerms,
)
from tests.factory.scheduler_worlds import engine

TWO = (TierTerms(Slo(0.5)), TierTerms(Slo(5.0)))


@pytest.mark.parametrize(
    ("terms", "what"),
    [
        ({"context_tokens_max": 0}, "context_tokens_max"),
        ({"sequences_max": 0}, "sequences_max"),
        ({"step_tokens_max": 0}, "step_tokens_max"),
        ({"memory_reserve_share": 1.0}, "memory_reserve_share"),
        ({"swap_s_per_token": inf}, "swap_s_per_token"),
        ({"tokens_per_step": 2.0}, "tokens_per_step"),
        ({"tokens_per_step": 0.5}, "tokens_per_step"),
        ({"positions": 0, "tokens_per_step": 0}, "tokens_per_step"),
    ],
)
def test_an_engine_that_cannot_be(terms: dict, what: str):
    with pytest.raises(Malformed, match=what):
        engine(**terms)


@pytest.mark.parametrize(
    ("terms", "what"),
    [
        ({"replicas": 0}, "replicas"),
        ({"tiers": ()}, "tiers"),
        ({"concurrency": 0}, "concurrency"),
        ({"ageing_s": inf}, "ageing_s"),
        ({"affinity_slack": -1}, "affinity_slack"),
        ({"order": Order.DEADLINE}, "deadline"),
        ({"engine": engine(batching=Batching.STATIC), "decode": Disaggregation(engine(), 1)}, "static"),
    ],
)
def test_a_cluster_that_cannot_be(terms: dict, what: str):
    with pytest.raises(Malformed, match=what):
        Cluster(**{"engine": engine(), **terms})


@pytest.mark.parametrize(
    "made",
    [
        lambda: Slo(0.0),
        lambda: TierTerms(sequences_share=0.0),
        lambda: TierTerms(queue_max=-1),
        lambda: Autoscaling(0, 1, 1.0),
        lambda: Autoscaling(3, 2, 1.0),
        lambda: Autoscaling(1, 2, 0.0),
        lambda: Autoscaling(1, 2, 1.0, start_up_s=-1.0),
        lambda: Disaggregation(engine(), 0),
        lambda: Disaggregation(engine(), 1, latency_s=-1.0),
    ],
)
def test_other_terms_that_cannot_be(made):
    with pytest.raises(Malformed):
        made()


@pytest.mark.parametrize(
    ("order", "rule"),
    [
        (Order.FCFS, QueueRule(1, 0, 0, (0, 0))),
        (Order.SHORTEST_PROMPT, QueueRule(0, 1, 0, (0, 0))),
        (Order.SHORTEST_PROMPT_AGED, QueueRule(1, 0.02, 0, (0, 0))),
        (Order.SHORTEST_OUTPUT, QueueRule(0, 0, 1, (0, 0))),
        (Order.TIER_STRICT, QueueRule(1, 0, 0, (0, 0), strict=True)),
        (Order.TIER_AGED, QueueRule(1, 0, 0, (0, 20))),
        (Order.DEADLINE, QueueRule(1, 0, 0, (0.5, 5.0))),
    ],
)
def test_an_order_is_a_key(order: Order, rule: QueueRule):
    assert Cluster(engine(), tiers=TWO, order=order, ageing_s=20.0).rule == rule

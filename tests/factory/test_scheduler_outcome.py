"""Figures of a run are sums and percentiles of its columns."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings

from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_outcome import percentiles, summary
from ciyuan.factory.scheduler_terms import Cluster, Slo, TierTerms
from ciyuan.factory.scheduler_trace import Trace
from tests.factory.scheduler_worlds import clusters, engine, even, traces


def test_percentiles_pass_over_what_never_happened():
    found = percentiles(np.array([1.0, 2.0, 3.0, np.nan]))
    assert found.p50_s == 2.0
    assert found.p99_s == pytest.approx(2.98)
    assert isnan(percentiles(np.array([np.nan])).p95_s)


@settings(max_examples=60, deadline=None)
@given(traces(), clusters())
def test_the_parts_are_the_whole(trace: Trace, cluster: Cluster):
    found = summary(simulate(trace, cluster))
    assert (
        found.served + found.refused_too_large + found.refused_queue_full == found.requests == trace.requests
    )
    for name in ("requests", "served"):
        assert sum(getattr(tier, name) for tier in found.tiers) == getattr(found, name)
    good = sum(tier.goodput_output_tokens_per_s for tier in found.tiers)
    assert good == pytest.approx(found.goodput_output_tokens_per_s)
    assert 0 <= found.goodput_output_tokens_per_s <= found.output_tokens_per_s * (1 + 1e-12)
    assert 0 <= found.utilisation <= 1 + 1e-9
    assert found.cached_share >= 0
    assert found.sequences_mean <= cluster.engine.step.sequences_max or cluster.decode is not None


def test_waits_add_up_and_rates_are_over_the_span():
    trace = even(10, 2.0, 1000, 11)
    outcome = simulate(trace, Cluster(engine(), tiers=(TierTerms(Slo(5.0, 1.0)),)))
    np.testing.assert_allclose(outcome.e2e_s, outcome.ttft_s + 10 * outcome.tpot_s)
    found = summary(outcome)
    assert found.output_tokens_per_s == pytest.approx(110 / outcome.span_s)
    assert found.input_tokens_per_s == pytest.approx(10_000 / outcome.span_s)
    assert found.gpu_hours == pytest.approx(8 * outcome.span_s / 3600)
    assert found.output_tokens_per_s_per_gpu == pytest.approx(found.output_tokens_per_s / 8)
    assert found.kept_share == 1.0


def test_nobody_served_is_no_speed():
    found = summary(simulate(even(3, 1.0, 1000, 10), Cluster(engine(context_tokens_max=100))))
    assert (found.served, found.refused_too_large, found.output_tokens_per_s, found.span_s) == (
        0,
        3,
        0.0,
        0.0,
    )

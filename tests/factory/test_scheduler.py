"""What always holds of a simulated cluster, and what queueing theory says of the simple ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_outcome import QUEUE_FULL, TOO_LARGE, summary
from ciyuan.factory.scheduler_terms import (
    Autoscaling,
    Batching,
    Cluster,
    Disaggregation,
    Order,
    Preemption,
    Routing,
    Slo,
    TierTerms,
)
from ciyuan.factory.scheduler_trace import Trace, trace_of
from tests.factory.scheduler_worlds import STEP, clusters, engine, even, traces

TWO_TIERS = (TierTerms(), TierTerms())


@settings(max_examples=150, deadline=None)
@given(traces(), clusters())
def test_every_request_is_answered_in_order_and_memory_is_kept(trace: Trace, cluster: Cluster):
    outcome = simulate(trace, cluster)
    served = outcome.served
    assert np.all(np.isfinite(outcome.finish_s[served]))
    assert np.all(np.isnan(outcome.finish_s[~served]))
    assert np.all(outcome.admitted_s[served] >= outcome.arrival_s[served])
    assert np.all(outcome.first_s[served] > outcome.admitted_s[served])
    assert np.all(outcome.finish_s[served] >= outcome.first_s[served])
    engines = [cluster.engine] * cluster.most_replicas
    if cluster.decode:
        engines += [cluster.decode.engine] * cluster.decode.replicas
    most = np.array([one.step.context_tokens_max for one in engines])
    assert np.all(outcome.held_tokens_max <= most)
    assert np.all(outcome.busy_s <= outcome.on_s + 1e-9)
    tokens = trace.input_tokens + trace.output_tokens + 1
    too_large = np.any(
        tokens[:, None] + 2 * np.array([one.tokens_per_step for one in engines]) > most + 1e-9, axis=1
    )
    np.testing.assert_array_equal(outcome.answer == TOO_LARGE, too_large)


@settings(max_examples=60, deadline=None)
@given(traces(), clusters())
def test_every_prompt_token_is_read_or_found_once_where_nobody_gives_way(trace: Trace, cluster: Cluster):
    outcome = simulate(trace, cluster)
    served = outcome.served
    if not outcome.preemptions.any():
        # A prompt that is found whole still has its last token read, for the first one of the answer.
        whole = np.sum(outcome.cached_tokens[served] == trace.input_tokens[served])
        read = trace.input_tokens[served].sum() - outcome.cached_tokens[served].sum() + whole
        assert outcome.prompt_tokens.sum() == read


@settings(max_examples=60, deadline=None)
@given(traces(), clusters())
def test_the_same_inputs_give_the_same_outcome(trace: Trace, cluster: Cluster):
    one, other = simulate(trace, cluster), simulate(trace, cluster)
    assert one.finish_s.tobytes() == other.finish_s.tobytes()
    assert one.steps.tobytes() == other.steps.tobytes()


@given(st.integers(1, 2000), st.integers(2, 500))
def test_a_request_alone_takes_its_steps(tokens_in: int, tokens_out: int):
    outcome = simulate(even(1, 1.0, tokens_in, tokens_out), Cluster(engine(step_tokens_max=4096)))
    attended = tokens_in * (tokens_in + 1) / 2
    first = float(STEP.seconds(0, 0, tokens_in, attended))
    after = float(STEP.seconds(1, np.arange(tokens_in + 1, tokens_in + tokens_out)).sum())
    assert outcome.first_s[0] == pytest.approx(first, rel=1e-9)
    assert outcome.finish_s[0] == pytest.approx(first + after, rel=1e-8)


def poisson(requests: int, rate: float, tokens_in: int, seed: int = 3) -> Trace:
    gaps = np.random.default_rng(seed).exponential(1 / rate, requests)
    return trace_of(np.cumsum(gaps), np.full(requests, tokens_in), np.ones(requests))


def test_equal_prompts_one_at_a_time_are_an_m_d_1_queue():
    """Waiting of M/D/1: load / (2 (1 - load)) service times (Pollaczek, Khinchine)."""
    service_s = float(STEP.seconds(0, 0, 500, 500 * 501 / 2))
    for load in (0.3, 0.6, 0.8):
        outcome = simulate(poisson(60_000, load / service_s, 500), Cluster(engine(sequences_max=1)))
        expected = load / (2 * (1 - load)) * service_s
        assert outcome.queue_s.mean() == pytest.approx(expected, rel=0.06)
        assert summary(outcome).utilisation == pytest.approx(load, rel=0.02)


def test_littles_law_in_a_closed_loop():
    """Requests in service = rate x time in service; the mean of what decodes = decode rate x time decoding."""
    trace = even(3000, 0.1, 700, 120)
    outcome = simulate(trace, Cluster(engine(), concurrency=32))
    steady = slice(200, 2800)
    rate = 2600 / (outcome.finish_s[steady].max() - outcome.finish_s[steady].min())
    assert rate * outcome.e2e_s[steady].mean() == pytest.approx(32, rel=0.02)
    decoding = (outcome.finish_s - outcome.first_s).sum()
    assert outcome.sequence_s.sum() == pytest.approx(decoding, rel=1e-9)


def test_a_closed_loop_has_never_more_in_service_than_its_concurrency():
    outcome = simulate(even(200, 0.0, 300, 40), Cluster(engine(), concurrency=7))
    starts, ends = np.sort(outcome.arrival_s), np.sort(outcome.finish_s)
    in_service = np.arange(1, 201) - np.searchsorted(ends, starts, side="right")
    assert in_service.max() == 7


def test_in_a_prefix_cache_without_limit_each_block_is_read_once():
    hashes = [[1, 2, 3], [1, 2, 4], [1, 2, 3], [5]]
    trace = trace_of([0, 10, 20, 30], [30, 25, 30, 4], [2] * 4, None, hashes, 10)
    outcome = simulate(trace, Cluster(engine()))
    assert outcome.cached_tokens.tolist() == [0, 20, 30, 0]
    assert outcome.prompt_tokens.sum() == 30 + 5 + 1 + 4
    assert outcome.ttft_s[2] < outcome.ttft_s[1] < outcome.ttft_s[0]


def test_blocks_in_use_stay_and_the_oldest_spare_one_goes():
    hashes = [[1], [2], [3], [1], [2]]
    trace = trace_of([0, 1, 2, 3, 4], [10] * 5, [2] * 5, None, hashes, 10)
    outcome = simulate(trace, Cluster(engine(context_tokens_max=26, memory_reserve_share=0.0)))
    assert outcome.cached_tokens.tolist() == [0, 0, 0, 0, 0]
    roomy = simulate(trace, Cluster(engine(context_tokens_max=62, memory_reserve_share=0.0)))
    assert roomy.cached_tokens.tolist() == [0, 0, 0, 10, 10]


def test_a_strict_tier_is_served_before_those_that_came_earlier():
    trace = trace_of(np.arange(20) * 1e-4, [800] * 20, [50] * 20, [1] * 19 + [0])
    few = engine(sequences_max=2)
    fair = simulate(trace, Cluster(few, tiers=TWO_TIERS))
    strict = simulate(trace, Cluster(few, tiers=TWO_TIERS, order=Order.TIER_STRICT))
    assert fair.first_s.argmax() == 19
    assert strict.queue_s[19] < np.sort(strict.queue_s)[4]


def test_a_higher_tier_takes_the_memory_of_a_lower():
    trace = trace_of([0.0, 0.0, 0.1], [400, 400, 600], [200] * 3, [1, 1, 0])
    small = engine(context_tokens_max=1300)
    waits = simulate(trace, Cluster(small, tiers=TWO_TIERS, order=Order.TIER_STRICT))
    takes = simulate(
        trace, Cluster(small, tiers=TWO_TIERS, order=Order.TIER_STRICT, preempt_lower_tiers=True)
    )
    assert takes.preemptions.sum() > 0
    assert takes.preemptions[2] == 0
    assert takes.ttft_s[2] < waits.ttft_s[2]


def test_a_ration_leaves_places_for_others():
    trace = trace_of([0.0] * 8 + [0.05], [300] * 9, [400] * 9, [1] * 8 + [0])
    small = engine(sequences_max=8)
    free = simulate(trace, Cluster(small, tiers=TWO_TIERS))
    rationed = simulate(trace, Cluster(small, tiers=(TierTerms(), TierTerms(sequences_share=0.5))))
    assert rationed.queue_s[8] < 0.05 < free.queue_s[8]


def test_a_full_queue_refuses():
    trace = trace_of([0.0] * 10, [300] * 10, [400] * 10)
    outcome = simulate(trace, Cluster(engine(sequences_max=1), tiers=(TierTerms(queue_max=3),)))
    assert (outcome.answer == QUEUE_FULL).sum() == 7
    assert summary(outcome).refused_queue_full == 7


@pytest.mark.parametrize("preemption", Preemption)
def test_who_gives_way_still_gets_every_token(preemption: Preemption):
    small = engine(
        context_tokens_max=1200, preemption=preemption, swap_s_per_token=1e-6, memory_reserve_share=0.0
    )
    outcome = simulate(even(12, 0.0, 200, 300), Cluster(small))
    assert outcome.preemptions.sum() > 0
    assert outcome.served.all()
    reread = summary(outcome).reread_tokens
    assert (reread > 0) == (preemption is Preemption.RECOMPUTE)


def test_chunked_prefill_keeps_decoding_going_while_a_long_prompt_is_read():
    trace = trace_of([0.0, 0.5], [100, 60_000], [45, 2])
    whole = simulate(trace, Cluster(engine(batching=Batching.CONTINUOUS)))
    chunked = simulate(trace, Cluster(engine(batching=Batching.CHUNKED)))
    assert whole.finish_s[0] > whole.first_s[1]
    assert chunked.e2e_s[0] < whole.e2e_s[0]


def test_speculation_makes_tokens_in_fewer_steps():
    trace = even(1, 1.0, 100, 401)
    plain = simulate(trace, Cluster(engine()))
    drafted = simulate(trace, Cluster(engine(tokens_per_step=2.5, positions=4)))
    assert plain.steps[0] - 1 == 400
    assert drafted.steps[0] - 1 == 160
    assert 1 < plain.tpot_s[0] / drafted.tpot_s[0] < 2.5


def test_what_is_handed_over_arrives_after_the_transfer_and_ends_elsewhere():
    decode = Disaggregation(engine(), replicas=1, transfer_s_per_token=1e-4, latency_s=0.01)
    outcome = simulate(even(1, 1.0, 1000, 2), Cluster(engine(step_tokens_max=4096), decode=decode))
    one_step = float(STEP.seconds(1, 1001))
    assert outcome.finish_s[0] - outcome.first_s[0] == pytest.approx(0.01 + 1001e-4 + one_step)
    assert outcome.replica.tolist() == [1]


def test_apart_decoding_is_not_disturbed_by_prompts():
    trace = even(200, 0.2, 6000, 150)
    together = simulate(trace, Cluster(engine(), replicas=2))
    apart = simulate(trace, Cluster(engine(), decode=Disaggregation(engine(), 1)))
    assert np.percentile(apart.tpot_s, 99) < np.percentile(together.tpot_s, 99)


def test_replicas_follow_the_load_and_are_paid_from_the_call():
    busy = np.concatenate([np.arange(10) * 20.0, 200 + np.arange(2000) * 0.05, 300 + np.arange(10) * 100.0])
    trace = trace_of(busy, [800] * len(busy), [150] * len(busy))
    growth = Autoscaling(1, 6, requests_per_replica=12, interval_s=5, start_up_s=30, scale_down_after_s=60)
    few = engine(sequences_max=16)
    scaled = simulate(trace, Cluster(few, autoscaling=growth))
    fixed, one = simulate(trace, Cluster(few, replicas=6)), simulate(trace, Cluster(few))
    assert scaled.on_s[0] == pytest.approx(fixed.on_s[0], rel=0.05)
    assert 0 < scaled.on_s[1] < 0.7 * fixed.on_s[1]
    assert summary(scaled).gpu_hours < 0.6 * summary(fixed).gpu_hours
    assert fixed.ttft_s.mean() < scaled.ttft_s.mean() < one.ttft_s.mean()
    started = scaled.replica > 0
    assert scaled.admitted_s[started].min() >= 200 + growth.start_up_s


@pytest.mark.parametrize("routing", Routing)
def test_load_is_spread_over_replicas(routing: Routing):
    outcome = simulate(even(400, 0.05, 800, 100), Cluster(engine(), replicas=4, routing=routing))
    share = np.bincount(outcome.replica, minlength=4) / 400
    assert share.min() > 0.15


def test_affinity_sends_a_conversation_where_it_was():
    row = [(talk, k) for k in range(6) for talk in range(37)]
    hashes = [[(talk, block) for block in range(4 * (turn + 1))] for talk, turn in [(t, k) for t, k in row]]
    lengths = [len(chain) * 16 for chain in hashes]
    trace = trace_of(np.arange(len(row)) * 0.2, lengths, [20] * len(row), None, hashes, 16)
    found = {
        routing: simulate(trace, Cluster(engine(), replicas=4, routing=routing)).cached_tokens.sum()
        for routing in (Routing.ROUND_ROBIN, Routing.PREFIX_AFFINITY)
    }
    assert found[Routing.PREFIX_AFFINITY] > 1.5 * found[Routing.ROUND_ROBIN]


def test_promises_are_counted_by_tier():
    trace = trace_of(np.arange(100) * 0.5, [500] * 100, [50] * 100, [0, 1] * 50)
    tiers = (TierTerms(Slo(1e-6, 1.0)), TierTerms(Slo(10.0, 1.0)))
    found = summary(simulate(trace, Cluster(engine(), tiers=tiers)))
    assert [tier.kept for tier in found.tiers] == [0, 50]
    assert found.kept_share == 0.5
    assert found.goodput_output_tokens_per_s == pytest.approx(found.output_tokens_per_s / 2)


def test_a_tier_without_terms_is_refused():
    trace = replace(even(3, 1.0, 5, 5), tier=np.array([0, 1, 2]))
    with pytest.raises(Malformed, match="tiers of the cluster"):
        simulate(trace, Cluster(engine(), tiers=TWO_TIERS))


def test_prompts_wait_outside_until_a_step_has_room_for_them():
    """With places and memory for all, an upper tier is still read next, not after all who came before."""
    trace = trace_of([*[0.0] * 10, 0.01], [6000] * 11, [5] * 11, [1] * 10 + [0])
    strict = simulate(trace, Cluster(engine(), tiers=TWO_TIERS, order=Order.TIER_STRICT))
    assert np.argsort(strict.first_s)[1] == 10

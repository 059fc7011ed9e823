"""Engines, traces and clusters that the scheduler's tests share: made by hand, and generated."""

from dataclasses import replace
from math import sqrt

import numpy as np
from hypothesis import strategies as st

from ciyuan.factory.scheduler_outcome import Outcome
from ciyuan.factory.scheduler_terms import (
    Autoscaling,
    Batching,
    Cluster,
    Disaggregation,
    EngineTerms,
    Eviction,
    Order,
    Preemption,
    Routing,
    Slo,
    TierTerms,
)
from ciyuan.factory.scheduler_trace import Trace, trace_of
from ciyuan.factory.step import StepTime

STEP = StepTime(
    gpus=8, weights_s=8e-3, experts_s=2e-3, expert_miss=0.97, context_s=2.1e-8, decode_s=3e-5, attention_s=5e-9,
    prefill_s=3e-5, prefill_attention_s=1e-9, transfer_s=1e-6, sequence_s=2e-5, fixed_s=4e-3, context_tokens_max=1_500_000,
    sequences_max=256,
)  # fmt: skip
"""Eight GPUs with a model of a few hundred billion weights: 15 ms of weights and overhead a step, 30 us a prompt token."""

ODD = 1e-3 / sqrt(2)
"""Added to generated times, so that no arrival falls on a boundary between steps by the choice of round numbers."""


def engine(**terms) -> EngineTerms:
    """An engine on STEP, with `context_tokens_max` and `sequences_max` among the terms that may be given."""
    step = {name: terms.pop(name) for name in ("context_tokens_max", "sequences_max") if name in terms}
    return EngineTerms(replace(STEP, **step), **terms)


def even(requests: int, gap_s: float, tokens_in: int, tokens_out: int) -> Trace:
    """Equal requests at equal gaps."""
    return trace_of(np.arange(requests) * gap_s, [tokens_in] * requests, [tokens_out] * requests)


@st.composite
def traces(draw, tiers: int = 3) -> Trace:
    """Up to 25 requests with small prompts of blocks of 8 tokens, many of which share a beginning."""
    requests = draw(st.integers(1, 25))
    gaps = draw(st.lists(st.sampled_from([0.0, 0.003, 0.02, 0.1, 1.0]), min_size=requests, max_size=requests))
    arrival_s = np.cumsum(gaps) + ODD * np.arange(requests) ** 0.5
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(1, 60),
                st.integers(1, 120),
                st.integers(0, tiers - 1),
                st.integers(0, 3),
                st.integers(0, 8),
            ),
            min_size=requests,
            max_size=requests,
        )
    )
    hashes = [
        [(stem, place) if place < shared else (row, place) for place in range(-(-tokens // 8))]
        for row, (tokens, _, _, stem, shared) in enumerate(rows)
    ]
    # The last block of a prompt is partial, so it is another block than the whole one at its place.
    for row, (tokens, *_) in enumerate(rows):
        if tokens % 8:
            hashes[row][-1] = (*hashes[row][-1], tokens % 8)
    told = hashes if draw(st.booleans()) else None
    return trace_of(arrival_s, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], told, 8)


@st.composite
def engines(draw, batching: Batching | None = None) -> EngineTerms:
    """Engines with little memory and few places, so that all that may go wrong does."""
    positions = draw(st.sampled_from([1, 1, 2, 4]))
    return engine(
        context_tokens_max=draw(st.sampled_from([130, 200, 300, 1000, 10_000])),
        sequences_max=draw(st.integers(1, 12)),
        batching=batching or draw(st.sampled_from(Batching)),
        step_tokens_max=draw(st.sampled_from([1, 7, 16, 64, 512])),
        prefix_cache=draw(st.booleans()),
        eviction=draw(st.sampled_from(Eviction)),
        reserve_output=draw(st.booleans()),
        memory_reserve_share=draw(st.sampled_from([0.0, 0.01, 0.2])),
        preemption=draw(st.sampled_from(Preemption)),
        swap_s_per_token=1.3e-5,
        tokens_per_step=draw(st.floats(1.0, positions)) if positions > 1 else 1.0,
        positions=positions,
    )


@st.composite
def clusters(draw, tiers: int = 3) -> Cluster:
    """Every feature in every combination that is legal."""
    apart = draw(st.integers(0, 3)) == 0
    batching = draw(st.sampled_from([Batching.CONTINUOUS, Batching.CHUNKED])) if apart else None
    decode = None
    if apart:
        decode = Disaggregation(draw(engines()), draw(st.integers(1, 2)), 2.3e-6, 0.0031)
    autoscaling = None
    if draw(st.integers(0, 3)) == 0:
        autoscaling = Autoscaling(
            1, draw(st.integers(1, 3)), 2.0, 0.51, 0.23, draw(st.sampled_from([0.0, 1.1]))
        )
    terms = st.builds(
        TierTerms,
        st.builds(Slo, st.sampled_from([0.1, 0.5, 2.0]), st.just(0.03)),
        st.sampled_from([0.3, 1.0]),
        st.sampled_from([None, None, 0, 2]),
    )
    return Cluster(
        draw(engines(batching)),
        replicas=draw(st.integers(1, 3)),
        order=draw(st.sampled_from(Order)),
        tiers=tuple(draw(st.lists(terms, min_size=tiers, max_size=tiers))),
        ageing_s=0.37,
        preempt_lower_tiers=draw(st.booleans()),
        routing=draw(st.sampled_from(Routing)),
        affinity_slack=draw(st.integers(0, 3)),
        decode=decode,
        autoscaling=autoscaling,
        concurrency=draw(st.sampled_from([None, None, 1, 4])),
    )


COUNTS = (
    "cached_tokens",
    "preemptions",
    "replica",
    "answer",
    "steps",
    "prompt_tokens",
    "held_tokens_max",
    "gpus",
)
TIMES = ("arrival_s", "admitted_s", "first_s", "finish_s")
SUMS = ("busy_s", "on_s", "sequence_s")


def check_same(one: Outcome, other: Outcome, relative: float) -> None:
    """Two outcomes agree: whole numbers to the last, times to `relative` (0: to the bit), sums of times to 1e-9."""
    for name in COUNTS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in TIMES:
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=relative, atol=0, err_msg=name
        )
    for name in SUMS:
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=max(relative, 1e-9), atol=1e-12, err_msg=name
        )

"""What became of a trace: columns per request, sums per replica, and what they say of promises kept."""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from ciyuan.factory.scheduler_terms import Cluster, Slo
from ciyuan.factory.scheduler_trace import Trace

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SECONDS_PER_HOUR = 3600.0
SERVED, TOO_LARGE, QUEUE_FULL = range(3)
"""`Outcome.answer`: served; larger than a replica's memory; its tier's queue was full."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What happened to `n` requests on `r` replicas, prefill replicas first.

    (n,): `arrival_s`, `admitted_s` (first taken out of a queue), `first_s`, `finish_s`, seconds, NaN where it never came to it;
    `cached_tokens` of prompts found in a cache (each time it was read), `preemptions`, `replica` that finished it (-1: none),
    `answer`. (r,): `busy_s` of computing, `on_s` of being paid for, `sequence_s` (the integral of decoding sequences over busy
    time), `steps`, `prompt_tokens` read (again too), `held_tokens_max` of KV, `gpus`.
    """

    trace: Trace
    cluster: Cluster
    arrival_s: Reals
    admitted_s: Reals
    first_s: Reals
    finish_s: Reals
    cached_tokens: Ints
    preemptions: Ints
    replica: Ints
    answer: Ints
    busy_s: Reals
    on_s: Reals
    sequence_s: Reals
    steps: Ints
    prompt_tokens: Ints
    held_tokens_max: Reals
    gpus: Ints

    @property
    def served(self) -> Flags:
        """(n,) Whether a request got all its tokens."""
        served: Flags = self.answer == SERVED
        return served

    @property
    def queue_s(self) -> Reals:
        """(n,) Seconds before a replica began with it."""
        return self.admitted_s - self.arrival_s

    @property
    def ttft_s(self) -> Reals:
        """(n,) Seconds to the first token."""
        return self.first_s - self.arrival_s

    @property
    def tpot_s(self) -> Reals:
        """(n,) Mean seconds a token after the first; 0 for requests of one token."""
        return (self.finish_s - self.first_s) / np.maximum(self.trace.output_tokens - 1, 1)

    @property
    def e2e_s(self) -> Reals:
        """(n,) Seconds to the last token."""
        return self.finish_s - self.arrival_s

    @property
    def span_s(self) -> float:
        """Seconds from the first arrival to the last token."""
        return (
            float(np.nanmax(self.finish_s, initial=0.0) - np.nanmin(self.arrival_s))
            if self.served.any()
            else 0.0
        )

    @property
    def kept(self) -> Flags:
        """(n,) Whether a request was served within its tier's promise."""
        return self.within(tuple(tier.slo for tier in self.cluster.tiers))

    def within(self, slos: tuple[Slo, ...]) -> Flags:
        """(n,) Whether each request was served within the promise of its tier."""
        ttft_s = np.array([slo.ttft_s for slo in slos])[self.trace.tier]
        tpot_s = np.array([slo.tpot_s for slo in slos])[self.trace.tier]
        kept: Flags = self.served & (self.ttft_s <= ttft_s) & (self.tpot_s <= tpot_s)
        return kept


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of the served requests' seconds; NaN where none was served."""

    p50_s: float
    p95_s: float
    p99_s: float


def percentiles(seconds: Reals) -> Percentiles:
    """The three percentiles of what is not NaN."""
    known = seconds[~np.isnan(seconds)]
    return Percentiles(
        *(float(np.percentile(known, p)) if len(known) else float("nan") for p in (50, 95, 99))
    )


@dataclass(frozen=True, slots=True)
class TierSummary:
    """One tier: how many came, were served, were served as promised; the tokens these got, per second; their waits."""

    tier: int
    requests: int
    served: int
    kept: int
    kept_share: float
    goodput_requests_per_s: float
    goodput_output_tokens_per_s: float
    queue: Percentiles
    ttft: Percentiles
    tpot: Percentiles
    e2e: Percentiles


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in figures. Rates are over `span_s`, first arrival to last token.

    `gpu_hours` are paid ones, `utilisation` the share of them in which a replica computed; `output_tokens_per_s_per_gpu` is per
    paid GPU; `reread_tokens` were read again after a preemption; `sequences_mean` decode at once on a replica that computes.
    """

    requests: int
    served: int
    refused_too_large: int
    refused_queue_full: int
    kept_share: float
    span_s: float
    gpu_hours: float
    utilisation: float
    output_tokens_per_s: float
    input_tokens_per_s: float
    output_tokens_per_s_per_gpu: float
    goodput_requests_per_s: float
    goodput_output_tokens_per_s: float
    cached_share: float
    reread_tokens: int
    preemptions: int
    steps: int
    sequences_mean: float
    queue: Percentiles
    ttft: Percentiles
    tpot: Percentiles
    e2e: Percentiles
    tiers: tuple[TierSummary, ...]


def summary(outcome: Outcome) -> Summary:
    """The figures of a run."""
    trace, served, kept, span_s = outcome.trace, outcome.served, outcome.kept, outcome.span_s or inf
    gpu_s = float(np.sum(outcome.on_s * outcome.gpus))
    paid_s = float(np.sum(outcome.on_s))
    output = int(trace.output_tokens[served].sum())
    prompts = int(trace.input_tokens[served].sum())
    cached = int(outcome.cached_tokens[served].sum())
    busy_s = float(np.sum(outcome.busy_s))
    return Summary(
        requests=trace.requests,
        served=int(served.sum()),
        refused_too_large=int(np.sum(outcome.answer == TOO_LARGE)),
        refused_queue_full=int(np.sum(outcome.answer == QUEUE_FULL)),
        kept_share=float(kept.mean()),
        span_s=outcome.span_s,
        gpu_hours=gpu_s / SECONDS_PER_HOUR,
        utilisation=busy_s / paid_s if paid_s else 0.0,
        output_tokens_per_s=output / span_s,
        input_tokens_per_s=prompts / span_s,
        output_tokens_per_s_per_gpu=output / gpu_s if gpu_s else 0.0,
        goodput_requests_per_s=int(kept.sum()) / span_s,
        goodput_output_tokens_per_s=int(trace.output_tokens[kept].sum()) / span_s,
        cached_share=cached / prompts if prompts else 0.0,
        reread_tokens=max(0, int(outcome.prompt_tokens.sum()) + cached - prompts),
        preemptions=int(outcome.preemptions.sum()),
        steps=int(outcome.steps.sum()),
        sequences_mean=float(np.sum(outcome.sequence_s)) / busy_s if busy_s else 0.0,
        queue=percentiles(outcome.queue_s),
        ttft=percentiles(outcome.ttft_s),
        tpot=percentiles(outcome.tpot_s),
        e2e=percentiles(outcome.e2e_s),
        tiers=tuple(_tier(outcome, tier, kept, span_s) for tier in range(len(outcome.cluster.tiers))),
    )


def _tier(outcome: Outcome, tier: int, kept: Flags, span_s: float) -> TierSummary:
    of = outcome.trace.tier == tier
    good = kept & of
    return TierSummary(
        tier=tier,
        requests=int(of.sum()),
        served=int((outcome.served & of).sum()),
        kept=int(good.sum()),
        kept_share=float(good.sum() / of.sum()) if of.any() else float("nan"),
        goodput_requests_per_s=int(good.sum()) / span_s,
        goodput_output_tokens_per_s=int(outcome.trace.output_tokens[good].sum()) / span_s,
        queue=percentiles(outcome.queue_s[of]),
        ttft=percentiles(outcome.ttft_s[of]),
        tpot=percentiles(outcome.tpot_s[of]),
        e2e=percentiles(outcome.e2e_s[of]),
    )

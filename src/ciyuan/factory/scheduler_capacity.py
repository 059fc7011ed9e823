"""How much a cluster can serve while it keeps its promises: the highest rate of a trace, and what each policy adds.

`capacity` stretches the trace's time: the same requests in the same rhythm, faster, until in some tier fewer than `share_min`
of them are served as promised. The share falls with the rate but for small steps back, so the bracket is halved in logarithms;
the rate is a property of this trace and this length, not a limit for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_outcome import Outcome, Summary, summary
from ciyuan.factory.scheduler_terms import Batching, Cluster, EngineTerms, Order, Routing
from ciyuan.factory.scheduler_trace import Trace

DOUBLINGS_MAX = 40


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest rate at which a policy keeps its promises, and the run at that rate; `run` is None where it never does."""

    policy: str
    requests_per_s: float
    output_tokens_per_s: float
    output_tokens_per_s_per_gpu: float
    run: Summary | None


def kept_least(outcome: Outcome) -> float:
    """The smallest share of requests served as promised, of the tiers that have any."""
    kept, tier = outcome.kept, outcome.trace.tier
    return min(float(kept[tier == number].mean()) for number in np.unique(tier))


def capacity(
    trace: Trace, cluster: Cluster, share_min: float = 0.99, tolerance: float = 0.01, policy: str = ""
) -> Capacity:
    """The highest mean rate, to `tolerance` of it, at which each tier has `share_min` of its requests served as promised.

    Raises Malformed for promises that no load could break, a closed loop, or a share or tolerance out of (0, 1].
    """
    if not 0 < share_min <= 1 or not 0 < tolerance <= 1:
        raise Malformed("capacity", found=(share_min, tolerance), expected="a share and a tolerance above 0, to 1",
                        remedy="Give them as 0.99 and 0.01.")  # fmt: skip
    if cluster.concurrency is not None:
        raise Malformed("capacity", found=f"a closed loop of {cluster.concurrency}", expected="arrivals of the trace's own",
                        remedy="Leave concurrency out: a closed loop is never overloaded.")  # fmt: skip
    low, high, best = _bracket(trace, cluster, share_min)
    while best is not None and high / low > 1 + tolerance:
        rate = (low * high) ** 0.5
        outcome = simulate(trace.at_rate(rate), cluster)
        if kept_least(outcome) >= share_min:
            low, best = rate, outcome
        else:
            high = rate
    if best is None:
        return Capacity(policy, 0.0, 0.0, 0.0, None)
    run = summary(best)
    return Capacity(policy, low, run.output_tokens_per_s, run.output_tokens_per_s_per_gpu, run)


def _bracket(trace: Trace, cluster: Cluster, share_min: float) -> tuple[float, float, Outcome | None]:
    """(a rate that holds, one twice as high that does not, the run at the first); no run where none holds."""
    rate = trace.requests_per_s if trace.span_s > 0 else 1.0
    outcome = simulate(trace.at_rate(rate), cluster)
    if kept_least(outcome) >= share_min:
        for _ in range(DOUBLINGS_MAX):
            held, outcome = outcome, simulate(trace.at_rate(rate * 2), cluster)
            if kept_least(outcome) < share_min:
                return rate, rate * 2, held
            rate *= 2
        raise Malformed("promises", found=f"kept at {rate:g} requests/s", expected="promises that a load can break",
                        remedy="Give the tiers a time to first token, or a longer trace.")  # fmt: skip
    for _ in range(DOUBLINGS_MAX):
        rate /= 2
        outcome = simulate(trace.at_rate(rate), cluster)
        if kept_least(outcome) >= share_min:
            return rate, rate * 2, outcome
    return rate, rate * 2, None


def policies(cluster: Cluster) -> dict[str, Cluster]:
    """The optimisations of a cluster one by one, each on top of those before; the first is the naive baseline.

    Only what the cluster itself has is stacked: no prefix cache where it has none, no speculation, no hand-over.
    """
    engine = cluster.engine
    plain = replace(engine, prefix_cache=False, tokens_per_step=1.0, positions=1)
    start = replace(cluster, decode=None, order=Order.FCFS, routing=Routing.ROUND_ROBIN, autoscaling=None,
                    preempt_lower_tiers=False, replicas=cluster.most_replicas)  # fmt: skip

    def with_engine(one: Cluster, terms: EngineTerms) -> Cluster:
        return replace(one, engine=terms)

    stack = {
        "static batching": with_engine(start, replace(plain, batching=Batching.STATIC)),
        "continuous batching": with_engine(start, replace(plain, batching=Batching.CONTINUOUS)),
        "chunked prefill": with_engine(start, replace(plain, batching=Batching.CHUNKED)),
    }
    last = stack["chunked prefill"]
    if cluster.most_replicas > 1 and cluster.routing is not Routing.ROUND_ROBIN:
        balanced = Routing.LEAST_REQUESTS if cluster.routing is Routing.PREFIX_AFFINITY else cluster.routing
        last = stack[f"routing: {balanced}"] = replace(last, routing=balanced)
    if engine.prefix_cache:
        last = stack["prefix cache"] = with_engine(last, replace(last.engine, prefix_cache=True))
        if cluster.routing is Routing.PREFIX_AFFINITY:
            last = stack["routing: prefix-affinity"] = replace(last, routing=Routing.PREFIX_AFFINITY)
    if cluster.order is not Order.FCFS or cluster.preempt_lower_tiers:
        last = stack[f"order: {cluster.order}"] = replace(
            last, order=cluster.order, preempt_lower_tiers=cluster.preempt_lower_tiers
        )
    if engine.positions > 1:
        last = stack["speculative decoding"] = with_engine(
            last, replace(last.engine, tokens_per_step=engine.tokens_per_step, positions=engine.positions)
        )
    if cluster.decode is not None:
        stack["prefill and decode apart"] = replace(last, decode=cluster.decode, replicas=cluster.replicas)
    return stack


def compared(
    trace: Trace, clusters: Mapping[str, Cluster], share_min: float = 0.99, tolerance: float = 0.01
) -> tuple[Capacity, ...]:
    """The capacity of each policy, in their order."""
    return tuple(
        capacity(trace, cluster, share_min, tolerance, policy) for policy, cluster in clusters.items()
    )

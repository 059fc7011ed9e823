"""The same hardware at the same speed for each user: how many tokens more after each change of software.

`interactive` keeps more and more requests in service (a closed loop) while the median user still gets the speed asked for. That
compares what users cannot tell apart; at a given number of requests in service, or with a promise of the first token too
(`scheduler_capacity`), the same changes bring other factors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_outcome import Outcome
from ciyuan.factory.scheduler_terms import Cluster
from ciyuan.factory.scheduler_trace import Trace

WARM_SHARE = 0.2
"""Requests at either end of the trace that are not counted: the loop fills and empties."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One state of the software: requests in service, output tokens/s per GPU and per user (median), median seconds to the first
    token. All zero where one request alone is slower than asked for."""

    name: str
    concurrency: int
    output_tokens_per_s_per_gpu: float
    tokens_per_s_per_user: float
    ttft_s: float


@dataclass(frozen=True, slots=True)
class Steady:
    """The middle of a closed loop: output tokens/s of all replicas; a user's tokens/s and seconds to first token, medians."""

    output_tokens_per_s: float
    tokens_per_s_per_user: float
    ttft_s: float


def steady(outcome: Outcome) -> Steady:
    """What a closed loop does between filling and emptying. Raises Malformed for fewer than 10 served requests."""
    served = np.flatnonzero(outcome.served)
    if len(served) < 10:
        raise Malformed("closed loop", found=f"{len(served)} served requests", expected="10 or more",
                        remedy="Give a longer trace.")  # fmt: skip
    finish = np.sort(outcome.finish_s[served])
    since, until = np.quantile(finish, (WARM_SHARE, 1 - WARM_SHARE))
    mine = served[(outcome.finish_s[served] > since) & (outcome.finish_s[served] <= until)]
    many = mine[outcome.trace.output_tokens[mine] > 1]
    return Steady(
        float(outcome.trace.output_tokens[mine].sum() / (until - since)),
        float(1.0 / np.median(outcome.tpot_s[many])) if len(many) else float("inf"),
        float(np.median(outcome.ttft_s[mine])),
    )


def interactive(name: str, trace: Trace, cluster: Cluster, speed: float, ttft_s_max: float = inf) -> Rung:
    """The most requests in service, up to a sixth of the trace, at which the median user gets `speed` tokens/s, the first of them
    within `ttft_s_max`.

    Raises Malformed for a speed that is not above 0.
    """
    if not speed > 0:
        raise Malformed(
            "speed", found=speed, expected="tokens/s per user above 0", remedy="Give a speed as 40."
        )
    gpus = cluster.engine.step.gpus * cluster.replicas
    if cluster.decode is not None:
        gpus += cluster.decode.engine.step.gpus * cluster.decode.replicas

    def run(concurrency: int) -> Steady:
        return steady(simulate(trace, replace(cluster, concurrency=concurrency)))

    def holds(found: Steady) -> bool:
        return found.tokens_per_s_per_user >= speed and found.ttft_s <= ttft_s_max

    best, low, high = run(1), 1, max(2, trace.requests // 6)
    if not holds(best):
        return Rung(name, 0, 0.0, 0.0, 0.0)
    top = run(high)
    if holds(top):
        low, best = high, top
    while high - low > max(1, low // 50):
        middle = round((low * high) ** 0.5) if high > 2 * low else (low + high) // 2
        found = run(middle)
        if holds(found):
            low, best = middle, found
        else:
            high = middle
    return Rung(name, low, best.output_tokens_per_s / gpus, best.tokens_per_s_per_user, best.ttft_s)


def ladder(
    trace: Trace, clusters: Mapping[str, Cluster], speed: float, ttft_s_max: float = inf
) -> tuple[Rung, ...]:
    """`interactive` of each state of the software, in their order."""
    return tuple(interactive(name, trace, cluster, speed, ttft_s_max) for name, cluster in clusters.items())

"""What the compiled scheduler holds: flat matrices, and the names of their columns.

A request is a row of `req` (int64) and of `when` (float64), a replica a row of `rep` and `clock`, a tier a row of `tiers`. Memory
and context are counted in parts of a token (`TOKEN_PARTS` to one), so that they never drift. A request waits in at most one of
the heaps, so the two children of a heap's node are columns of the request.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ciyuan.factory.scheduler_terms import (
    TOKEN_PARTS,
    Batching,
    Cluster,
    EngineTerms,
    Eviction,
    Preemption,
    Routing,
)
from ciyuan.factory.scheduler_trace import Trace

Ints = NDArray[np.int64]
Smalls = NDArray[np.int32]
Reals = NDArray[np.float64]

# --- columns of a request ---
(INPUT, OUTPUT, TIER, BLOCK, BLOCKS, STATUS, MADE, READ, GOAL, HELD_BLOCKS, PRIVATE, CACHED, PREEMPTED, REPLICA, FROM_STEP,
 LAST_STEP, CONTEXT, ADMISSION, READY, LEFT, RIGHT) = range(21)  # fmt: skip
REQUEST_COLUMNS = 21
ARRIVAL, KEY, ADMITTED, FIRST, FINISH, HANDED = range(6)
WHEN_COLUMNS = 6
NOT_READY, HANDED_OVER, SWAPPED_OUT = range(3)
"""READY: the context must be read, comes from a prefill replica, or from the host."""
WAITING, READING, DECODING, MOVING, DONE, REFUSED_SIZE, REFUSED_FULL = range(7)
"""STATUS. READING is being read, MOVING between prefill and decode; the last two are refusals."""

# --- columns of a replica ---
(POOL, RUNNING, PLACES, CONTEXT_PARTS, HELD, SPARE, STEPS, HEAD, READERS, PLANNED, KIND, UNFINISHED, PROMPT_LOAD, STATE, TAKEN,
 HELD_MAX, STEP_COUNT, PROMPT_TOKENS, ADMISSIONS) = range(19)  # fmt: skip
REPLICA_COLUMNS = 19
NOW, EVENT, STALL, READY_S, ON_SINCE, ON_S, BUSY_S, PLACE_S = range(8)
CLOCK_COLUMNS = 8
NOTHING, WAKE, DECODE, MIXED, PROMPTS = range(5)
"""KIND of what is planned: nothing, to wake at an arrival, steps of decoding alone, a step of both, a step of prompts alone."""
OFF, ON, DRAINING = range(3)
"""STATE of a replica; one that is ON takes requests from READY_S."""

# --- columns of a pool (its engine's terms) ---
(PLACES_MAX, CAPACITY, ADMIT_BELOW, BUDGET, POSITIONS, PARTS, GROWTH, MODE, CACHES, EVICTS_REUSED_LAST, RESERVES, SWAPS,
 FIRST_REPLICA, STOP_REPLICA) = range(14)  # fmt: skip
(WEIGHTS, EXPERTS, MISS, PER_CONTEXT, PER_DECODE, PER_ATTENTION, PER_PROMPT, PER_ATTENDED, PER_MOVED,
 PER_SEQUENCE, FIXED, SWAP) = range(12)  # fmt: skip
STATIC, CONTINUOUS, CHUNKED = range(3)
MODES = {Batching.STATIC: STATIC, Batching.CONTINUOUS: CONTINUOUS, Batching.CHUNKED: CHUNKED}

# --- columns of a block in a replica's cache ---
PREVIOUS, NEXT, REFERENCES, SIZE, USES = range(5)

# --- columns of a tier ---
TIER_PLACES_MAX, QUEUE_MAX = range(2)
NO_LIMIT = 1 << 62

# --- scalars ---
(RELEASED, ENDED, MOVING_ROOT, TURN, ROUTES, STRICT, TAKES_LOWER, SLACK, EXACT_STEPS, BLOCK_TOKENS,
 CLOSED) = range(11)  # fmt: skip
SCALARS = 11
(LATENCY_S, TRANSFER_S, INTERVAL_S, START_UP_S, DOWN_AFTER_S, PER_REPLICA, REPLICAS_MIN, NEXT_TICK,
 FEWER_SINCE, ARRIVAL_WEIGHT) = range(10)  # fmt: skip
TIMES = 10
BY_TURN, BY_REQUESTS, BY_TOKENS, BY_PREFIX = range(4)
ROUTINGS = {
    Routing.ROUND_ROBIN: BY_TURN,
    Routing.LEAST_REQUESTS: BY_REQUESTS,
    Routing.LEAST_TOKENS: BY_TOKENS,
    Routing.PREFIX_AFFINITY: BY_PREFIX,
}
"""ROUTES."""
EXACT_STEPS_DEFAULT = 8
"""Steps of a jump that are added one by one before the rest is added in closed form (`scheduler_clock`)."""


class State(NamedTuple):
    """All of a simulation. `running[r, t]` and `waiting[r, t]` count tier t's sequences and queue at replica r, `roots[r, t]` is
    the queue's first request or -1; `ends[r]` is a heap of what decodes, `readers[r]` a ring of what is read."""

    req: Ints
    when: Reals
    rep: Ints
    clock: Reals
    pool: Ints
    cost: Reals
    tiers: Ints
    running: Ints
    waiting: Ints
    roots: Ints
    ends: Ints
    readers: Ints
    cache: Smalls
    blocks: Ints
    seen: Ints
    scalars: Ints
    times: Reals


def opened(trace: Trace, cluster: Cluster, exact_steps: int = EXACT_STEPS_DEFAULT) -> State:
    """The state before the first arrival: every replica empty, those above the least number off."""
    pools = [(cluster.engine, cluster.most_replicas)]
    if cluster.decode is not None:
        pools.append((cluster.decode.engine, cluster.decode.replicas))
    replicas, tiers = sum(count for _, count in pools), len(cluster.tiers)
    places = max(engine.step.sequences_max for engine, _ in pools)
    caches = cluster.engine.prefix_cache and len(trace.blocks) > 0
    state = State(
        req=_requests(trace),
        when=np.full((trace.requests, WHEN_COLUMNS), np.nan),
        rep=np.zeros((replicas, REPLICA_COLUMNS), dtype=np.int64),
        clock=np.zeros((replicas, CLOCK_COLUMNS)),
        pool=np.array(_pool_rows(pools, caches), dtype=np.int64),
        cost=np.array([_costs(engine) for engine, _ in pools]),
        tiers=_tier_rows(cluster, places),
        running=np.zeros((replicas, tiers), dtype=np.int64),
        waiting=np.zeros((replicas, tiers), dtype=np.int64),
        roots=np.full((replicas, tiers), -1, dtype=np.int64),
        ends=np.full((replicas, places), -1, dtype=np.int64),
        readers=np.full((replicas, places), -1, dtype=np.int64),
        cache=_caches(pools[0][1] if caches else 0, trace.block_count),
        blocks=trace.blocks.astype(np.int64),
        seen=np.full(trace.block_count, -1, dtype=np.int64),
        scalars=np.zeros(SCALARS, dtype=np.int64),
        times=np.zeros(TIMES),
    )
    _open_requests(state, trace, cluster)
    _open_scalars(state, trace, cluster, exact_steps)
    for pool, (first, stop) in enumerate(state.pool[:, [FIRST_REPLICA, STOP_REPLICA]]):
        state.rep[first:stop, POOL] = pool
        on = stop - first if pool or cluster.autoscaling is None else cluster.autoscaling.replicas_min
        state.rep[first : first + on, STATE] = ON
    state.clock[:, EVENT] = np.inf
    state.clock[:, [NOW, READY_S, ON_SINCE]] = 0.0 if cluster.concurrency else trace.arrival_s[0]
    return state


def _requests(trace: Trace) -> Ints:
    req = np.zeros((trace.requests, REQUEST_COLUMNS), dtype=np.int64)
    req[:, INPUT], req[:, OUTPUT], req[:, TIER] = trace.input_tokens, trace.output_tokens, trace.tier
    req[:, BLOCK], req[:, BLOCKS] = trace.block_from[:-1], np.diff(trace.block_from)
    req[:, [LEFT, RIGHT, REPLICA]] = -1
    return req


def _open_requests(state: State, trace: Trace, cluster: Cluster) -> None:
    """Arrival times; the keys follow when a request arrives, since in a closed loop nobody knows the time before."""
    if cluster.concurrency is None:
        state.when[:, ARRIVAL] = trace.arrival_s
    else:
        state.when[: cluster.concurrency, ARRIVAL] = 0.0
    rule = cluster.rule
    waits = np.asarray(rule.tier_wait_s)[trace.tier]
    state.when[:, KEY] = (
        rule.prompt_weight * trace.input_tokens + rule.output_weight * trace.output_tokens + waits
    )
    state.times[ARRIVAL_WEIGHT] = rule.arrival_weight


def _open_scalars(state: State, trace: Trace, cluster: Cluster, exact_steps: int) -> None:
    scalars, times, growth = state.scalars, state.times, cluster.autoscaling
    scalars[RELEASED] = (
        trace.requests if cluster.concurrency is None else min(cluster.concurrency, trace.requests)
    )
    scalars[MOVING_ROOT] = -1
    scalars[ROUTES] = ROUTINGS[cluster.routing]
    scalars[STRICT], scalars[TAKES_LOWER] = cluster.rule.strict, cluster.preempt_lower_tiers
    scalars[SLACK], scalars[EXACT_STEPS] = cluster.affinity_slack, exact_steps
    scalars[BLOCK_TOKENS], scalars[CLOSED] = trace.block_tokens, cluster.concurrency is not None
    if cluster.decode is not None:
        times[LATENCY_S], times[TRANSFER_S] = cluster.decode.latency_s, cluster.decode.transfer_s_per_token
    times[NEXT_TICK] = times[FEWER_SINCE] = np.inf
    if growth is not None:
        times[INTERVAL_S], times[START_UP_S] = growth.interval_s, growth.start_up_s
        times[DOWN_AFTER_S], times[PER_REPLICA] = growth.scale_down_after_s, growth.requests_per_replica
        times[REPLICAS_MIN] = growth.replicas_min
        times[NEXT_TICK] = (0.0 if cluster.concurrency else float(trace.arrival_s[0])) + growth.interval_s


def _pool_rows(pools: list[tuple[EngineTerms, int]], caches: bool) -> list[list[int]]:
    rows, first = [], 0
    for pool, (engine, count) in enumerate(pools):
        capacity = engine.step.context_tokens_max * TOKEN_PARTS
        reserves = engine.reserve_output or engine.batching is Batching.STATIC
        rows.append([
            engine.step.sequences_max, capacity, int(capacity * (1.0 - engine.memory_reserve_share)),
            engine.step_tokens_max, engine.positions, engine.tokens_per_step_parts,
            0 if reserves else engine.tokens_per_step_parts, MODES[engine.batching], int(caches and pool == 0),
            int(engine.eviction is Eviction.REUSED_LAST), int(reserves), int(engine.preemption is Preemption.SWAP),
            first, first + count,
        ])  # fmt: skip
        first += count
    return rows


def _costs(engine: EngineTerms) -> list[float]:
    step = engine.step
    return [step.weights_s, step.experts_s, step.expert_miss, step.context_s, step.decode_s, step.attention_s, step.prefill_s,
            step.prefill_attention_s, step.transfer_s, step.sequence_s, step.fixed_s, engine.swap_s_per_token]  # fmt: skip


def _tier_rows(cluster: Cluster, places: int) -> Ints:
    rows = [
        (max(1, int(tier.sequences_share * places)), NO_LIMIT if tier.queue_max is None else tier.queue_max)
        for tier in cluster.tiers
    ]
    return np.array(rows, dtype=np.int64)


def _caches(replicas: int, blocks: int) -> Smalls:
    """(replicas, blocks + 2, 5); the last two rows of each are the ends of its two lists of blocks that nobody uses."""
    cache = np.zeros((max(replicas, 1), (blocks if replicas else 0) + 2, 5), dtype=np.int32)
    for end in (-2, -1):
        cache[:, end, [PREVIOUS, NEXT]] = cache.shape[1] + end
    return cache

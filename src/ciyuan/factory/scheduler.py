"""A serving cluster under a trace, from event to event: `simulate(trace, cluster) -> Outcome`.

Deterministic: the same trace and terms give the same outcome, to the bit. Two implementations: `simulate` runs the compiled loop
of `scheduler_kernel`; `scheduler_plain.simulate_plainly` looks at every step, and tests compare them request by request.

Invariants
- Every request is served or refused; every served one gets exactly its tokens; arrival <= admission <= first token <= last token.
- The KV in use of a replica never exceeds its `context_tokens_max`, spare blocks of the cache included.
- A replica that has something it may admit and room for it does not stand idle.
- A block that someone uses is not evicted.
"""

import numpy as np

from ciyuan.basics.errors import Malformed, require
from ciyuan.factory.scheduler_kernel import run
from ciyuan.factory.scheduler_outcome import QUEUE_FULL, SERVED, TOO_LARGE, Outcome
from ciyuan.factory.scheduler_state import (
    ADMITTED,
    ARRIVAL,
    BUSY_S,
    CACHED,
    DONE,
    EXACT_STEPS_DEFAULT,
    FINISH,
    FIRST,
    HELD_MAX,
    ON_S,
    PLACE_S,
    POOL,
    PREEMPTED,
    PROMPT_TOKENS,
    REFUSED_FULL,
    REFUSED_SIZE,
    REPLICA,
    STATUS,
    STEP_COUNT,
    opened,
)
from ciyuan.factory.scheduler_terms import TOKEN_PARTS, Cluster
from ciyuan.factory.scheduler_trace import Trace

ANSWERS = {DONE: SERVED, REFUSED_SIZE: TOO_LARGE, REFUSED_FULL: QUEUE_FULL}
STEP_BY_STEP = 1 << 60
"""`exact_steps` with which every step is added by itself, as the plain twin does."""


def check_fit(trace: Trace, cluster: Cluster) -> None:
    """Refuse a trace that these terms do not speak of. Raises Malformed."""
    if trace.tiers > len(cluster.tiers):
        raise Malformed("tiers of the cluster", found=len(cluster.tiers), expected=f"{trace.tiers}, as in the trace",
                        remedy="Give terms for each tier.")  # fmt: skip


def simulate(trace: Trace, cluster: Cluster, exact_steps: int = EXACT_STEPS_DEFAULT) -> Outcome:
    """Serve a trace.

    `exact_steps` of a jump are added one by one, the rest in closed form (within 1e-8 of the sum; `STEP_BY_STEP`: all of them).
    Raises Malformed for a trace with tiers that the cluster has no terms for.
    """
    check_fit(trace, cluster)
    state = opened(trace, cluster, exact_steps)
    require(run(state), "a scheduler's work is conserved", "requests are left, but nothing can happen")
    status = state.req[:, STATUS]
    answer = np.full(trace.requests, SERVED, dtype=np.int64)
    for compiled, told in ANSWERS.items():
        answer[status == compiled] = told
    gpus = [cluster.engine.step.gpus, cluster.decode.engine.step.gpus if cluster.decode else 0]
    return Outcome(
        trace=trace,
        cluster=cluster,
        arrival_s=state.when[:, ARRIVAL],
        admitted_s=state.when[:, ADMITTED],
        first_s=state.when[:, FIRST],
        finish_s=state.when[:, FINISH],
        cached_tokens=state.req[:, CACHED],
        preemptions=state.req[:, PREEMPTED],
        replica=np.where(answer == SERVED, state.req[:, REPLICA], -1),
        answer=answer,
        busy_s=state.clock[:, BUSY_S],
        on_s=state.clock[:, ON_S],
        sequence_s=state.clock[:, PLACE_S],
        steps=state.rep[:, STEP_COUNT],
        prompt_tokens=state.rep[:, PROMPT_TOKENS],
        held_tokens_max=state.rep[:, HELD_MAX] / TOKEN_PARTS,
        gpus=np.array(gpus, dtype=np.int64)[state.rep[:, POOL]],
    )

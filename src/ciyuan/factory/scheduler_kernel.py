"""The compiled loop of the whole cluster: from event to event, never step by step.

What can happen next is one of four things: an arrival, a prompt that has moved to a decode replica, a tick of the autoscaler, or
the end of what a replica has planned; at equal times in this order. A replica that decodes is interrupted by an arrival at its
next boundary between steps, and by nothing else: nothing else can change whom it would admit (`scheduler_plain` looks at every
boundary, and tests compare).
"""

from math import ceil, inf

from numba import njit

from ciyuan.factory.scheduler_clock import steps_until
from ciyuan.factory.scheduler_heaps import without_first
from ciyuan.factory.scheduler_replica import enqueue, plan, settle
from ciyuan.factory.scheduler_state import (
    ARRIVAL,
    ARRIVAL_WEIGHT,
    BLOCK,
    BLOCKS,
    BY_PREFIX,
    BY_REQUESTS,
    BY_TOKENS,
    BY_TURN,
    CAPACITY,
    CLOSED,
    CONTEXT_PARTS,
    DECODE,
    DOWN_AFTER_S,
    DRAINING,
    ENDED,
    EVENT,
    EXACT_STEPS,
    FEWER_SINCE,
    FIRST_REPLICA,
    HANDED,
    INPUT,
    INTERVAL_S,
    KEY,
    KIND,
    MODE,
    MOVING_ROOT,
    NEXT_TICK,
    NOTHING,
    NOW,
    OFF,
    ON,
    ON_S,
    ON_SINCE,
    OUTPUT,
    PARTS,
    PER_REPLICA,
    PLACES,
    PLANNED,
    POOL,
    POSITIONS,
    PROMPT_LOAD,
    QUEUE_MAX,
    READY_S,
    REFUSED_FULL,
    REFUSED_SIZE,
    RELEASED,
    REPLICAS_MIN,
    ROUTES,
    SLACK,
    STALL,
    START_UP_S,
    STATE,
    STATIC,
    STATUS,
    STOP_REPLICA,
    TIER,
    TURN,
    UNFINISHED,
    WAKE,
    State,
)
from ciyuan.factory.scheduler_terms import TOKEN_PARTS


@njit(cache=True)
def run(state: State) -> bool:
    """Serve every request of the state; False if something is left and nothing can happen (a broken invariant)."""
    requests, arrived = state.req.shape[0], 0
    while state.scalars[ENDED] < requests:
        replica = _soonest(state)
        event_s = state.clock[replica, EVENT]
        arrival_s = state.when[arrived, ARRIVAL] if arrived < state.scalars[RELEASED] else inf
        moving = state.scalars[MOVING_ROOT]
        handed_s = state.when[moving, HANDED] if moving >= 0 else inf
        tick_s = state.times[NEXT_TICK]
        if arrival_s <= min(handed_s, tick_s, event_s) and arrival_s < inf:
            _arrive(state, arrived, arrival_s)
            arrived += 1
        elif handed_s <= min(tick_s, event_s) and handed_s < inf:
            state.scalars[MOVING_ROOT] = without_first(state.req, state.when, HANDED, moving)
            _send(state, moving, _routed(state, 1, moving, handed_s), handed_s)
        elif tick_s <= event_s and tick_s < inf:
            _tick(state, tick_s)
        elif event_s < inf:
            _settle(state, replica, event_s)
        else:
            return False
    _close(state)
    return True


@njit(cache=True)
def _soonest(state: State) -> int:
    best = 0
    for replica in range(1, state.clock.shape[0]):
        if state.clock[replica, EVENT] < state.clock[best, EVENT]:
            best = replica
    return best


@njit(cache=True)
def _settle(state: State, replica: int, now: float) -> None:
    ended = state.scalars[ENDED]
    settle(state, replica)
    if state.scalars[CLOSED] == 1:
        for _ in range(state.scalars[ENDED] - ended):
            _release(state, now)
    if state.rep[replica, STATE] == DRAINING and state.rep[replica, UNFINISHED] == 0:
        _switch_off(state, replica, now)
    plan(state, replica)


@njit(cache=True)
def _release(state: State, now: float) -> None:
    """In a closed loop, the next request comes when one has ended."""
    released = state.scalars[RELEASED]
    if released < state.req.shape[0]:
        state.when[released, ARRIVAL] = now
        state.scalars[RELEASED] += 1


# --- arrivals ---
@njit(cache=True)
def _arrive(state: State, request: int, now: float) -> None:
    state.when[request, KEY] += state.times[ARRIVAL_WEIGHT] * now
    if not _can_ever_fit(state, request):
        _refuse(state, request, REFUSED_SIZE, now)
        return
    replica = _routed(state, 0, request, now)
    tier = state.req[request, TIER]
    if state.waiting[replica, tier] >= state.tiers[tier, QUEUE_MAX]:
        _refuse(state, request, REFUSED_FULL, now)
    else:
        _send(state, request, replica, now)


@njit(cache=True)
def _can_ever_fit(state: State, request: int) -> bool:
    """Whether a request alone fits each pool, with the overshoot of its last step."""
    for pool in range(state.pool.shape[0]):
        tokens = state.req[request, INPUT] + state.req[request, OUTPUT] + 1
        if tokens * TOKEN_PARTS + 2 * state.pool[pool, PARTS] > state.pool[pool, CAPACITY]:
            return False
    return True


@njit(cache=True)
def _refuse(state: State, request: int, why: int, now: float) -> None:
    state.req[request, STATUS] = why
    state.scalars[ENDED] += 1
    if state.scalars[CLOSED] == 1:
        _release(state, now)


@njit(cache=True)
def _send(state: State, request: int, replica: int, now: float) -> None:
    """Put a request into a replica's queue, and have the replica look at it at its next boundary."""
    rep, clock = state.rep, state.clock
    enqueue(state, replica, request)
    rep[replica, UNFINISHED] += 1
    rep[replica, PROMPT_LOAD] += state.req[request, INPUT]
    if rep[replica, KIND] == NOTHING:
        rep[replica, KIND], clock[replica, EVENT] = WAKE, now
    elif rep[replica, KIND] == DECODE and rep[replica, PLANNED] > 1 and clock[replica, EVENT] > now:
        _cut(state, replica, now)


@njit(cache=True)
def _cut(state: State, replica: int, now: float) -> None:
    """End what is planned at the first boundary from now on."""
    rep, clock, pool = state.rep, state.clock, state.pool[state.rep[replica, POOL]]
    if pool[MODE] == STATIC:
        return
    start = clock[replica, NOW] + clock[replica, STALL]
    cost, positions, places = state.cost[rep[replica, POOL]], pool[POSITIONS], rep[replica, PLACES]
    rep[replica, PLANNED], clock[replica, EVENT] = steps_until(
        cost, positions, places, rep[replica, CONTEXT_PARTS], pool[PARTS] * places, start,
        rep[replica, PLANNED], state.scalars[EXACT_STEPS], clock[replica, EVENT], now,
    )  # fmt: skip


# --- routing ---
@njit(cache=True)
def _takes(state: State, replica: int, now: float) -> bool:
    return state.rep[replica, STATE] == ON and state.clock[replica, READY_S] <= now


@njit(cache=True)
def _routed(state: State, pool: int, request: int, now: float) -> int:
    """The replica of a pool that a request goes to. What was handed over goes to the least loaded."""
    first, stop = state.pool[pool, FIRST_REPLICA], state.pool[pool, STOP_REPLICA]
    how = state.scalars[ROUTES] if pool == 0 else BY_REQUESTS
    if how == BY_TURN:
        turn = state.scalars[TURN]
        while not _takes(state, first + turn % (stop - first), now):
            turn += 1
        state.scalars[TURN] = turn + 1
        return first + turn % (stop - first)
    column = PROMPT_LOAD if how == BY_TOKENS else UNFINISHED
    least = -1
    for replica in range(first, stop):
        if _takes(state, replica, now) and (
            least < 0 or state.rep[replica, column] < state.rep[least, column]
        ):
            least = replica
    return _affine(state, request, least, now) if how == BY_PREFIX else least


@njit(cache=True)
def _affine(state: State, request: int, least: int, now: float) -> int:
    """The replica that was last sent the longest beginning of this prompt, unless it is too loaded; the router's own memory."""
    first, count, chosen = state.req[request, BLOCK], state.req[request, BLOCKS], least
    for place in range(count):
        replica = state.seen[state.blocks[first + place]]
        if replica < 0:
            break
        if _takes(state, replica, now) and (
            state.rep[replica, UNFINISHED] <= state.rep[least, UNFINISHED] + state.scalars[SLACK]
        ):
            chosen = replica
    for place in range(count):
        state.seen[state.blocks[first + place]] = chosen
    return chosen


# --- autoscaling ---
@njit(cache=True)
def _tick(state: State, now: float) -> None:
    """Call as many replicas as the load needs; drain one that has not been needed for long."""
    rep, clock, times = state.rep, state.clock, state.times
    times[NEXT_TICK] = now + times[INTERVAL_S]
    stop, load, alive = state.pool[0, STOP_REPLICA], 0, 0
    for replica in range(stop):
        load += rep[replica, UNFINISHED]
        alive += rep[replica, STATE] == ON
    wanted = min(max(ceil(load / times[PER_REPLICA]), int(times[REPLICAS_MIN])), stop)
    if wanted >= alive:
        times[FEWER_SINCE] = inf
        for state_wanted in (DRAINING, OFF):
            for replica in range(stop):
                if alive < wanted and rep[replica, STATE] == state_wanted:
                    if state_wanted == OFF:
                        clock[replica, ON_SINCE], clock[replica, READY_S] = now, now + times[START_UP_S]
                        clock[replica, NOW] = now
                    rep[replica, STATE] = ON
                    alive += 1
        return
    if times[FEWER_SINCE] == inf:
        times[FEWER_SINCE] = now
    if now - times[FEWER_SINCE] >= times[DOWN_AFTER_S]:
        _drain_one(state, stop, now)


@njit(cache=True)
def _drain_one(state: State, stop: int, now: float) -> None:
    """Drain the replica that was called last; never the only one that takes requests."""
    last, taking = -1, 0
    for replica in range(stop):
        if state.rep[replica, STATE] == ON:
            taking += _takes(state, replica, now)
            if last < 0 or state.clock[replica, ON_SINCE] >= state.clock[last, ON_SINCE]:
                last = replica
    if taking == 1 and _takes(state, last, now):
        return
    state.rep[last, STATE] = DRAINING
    if state.rep[last, UNFINISHED] == 0:
        _switch_off(state, last, now)


@njit(cache=True)
def _switch_off(state: State, replica: int, now: float) -> None:
    state.rep[replica, STATE] = OFF
    state.clock[replica, ON_S] += now - state.clock[replica, ON_SINCE]


@njit(cache=True)
def _close(state: State) -> None:
    """Add the time of what is still on, to the last thing that happened anywhere."""
    end = 0.0
    for replica in range(state.clock.shape[0]):
        end = max(end, state.clock[replica, NOW])
    for replica in range(state.clock.shape[0]):
        if state.rep[replica, STATE] != OFF:
            state.clock[replica, ON_S] += max(0.0, end - state.clock[replica, ON_SINCE])
            state.rep[replica, STATE] = OFF

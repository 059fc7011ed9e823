"""One replica of the compiled scheduler: who is admitted, who gives way, what is planned, and what has happened when it is done.

    plan(r)    at a boundary between steps: make room, admit, and choose either one step that reads prompts or as many steps of
               decoding as end nothing; `clock[r, EVENT]` is when they are over
    settle(r)  at that time: tokens made, sequences ended, prompts read

`scheduler_plain` says the same step by step.
"""

from math import inf

from numba import njit

from ciyuan.factory.scheduler_cache import evict, found, hold, let_go, publish
from ciyuan.factory.scheduler_clock import after_steps, mixed_s
from ciyuan.factory.scheduler_heaps import drop_end, joined, push_end, without_first
from ciyuan.factory.scheduler_state import (
    ADMISSION,
    ADMISSIONS,
    ADMIT_BELOW,
    ADMITTED,
    BUDGET,
    BUSY_S,
    CACHED,
    CACHES,
    CAPACITY,
    CHUNKED,
    CONTEXT,
    CONTEXT_PARTS,
    DECODE,
    DECODING,
    DONE,
    ENDED,
    EVENT,
    EXACT_STEPS,
    FINISH,
    FIRST,
    FROM_STEP,
    GOAL,
    GROWTH,
    HANDED,
    HANDED_OVER,
    HEAD,
    HELD,
    HELD_MAX,
    INPUT,
    KEY,
    KIND,
    LAST_STEP,
    LATENCY_S,
    MADE,
    MIXED,
    MODE,
    MOVING,
    MOVING_ROOT,
    NOT_READY,
    NOTHING,
    NOW,
    OUTPUT,
    PARTS,
    PLACE_S,
    PLACES,
    PLACES_MAX,
    PLANNED,
    POOL,
    POSITIONS,
    PREEMPTED,
    PRIVATE,
    PROMPT_LOAD,
    PROMPT_TOKENS,
    PROMPTS,
    READ,
    READERS,
    READING,
    READY,
    REPLICA,
    RESERVES,
    RUNNING,
    STALL,
    STATIC,
    STATUS,
    STEP_COUNT,
    STEPS,
    STRICT,
    SWAP,
    SWAPPED_OUT,
    SWAPS,
    TAKEN,
    TAKES_LOWER,
    TIER,
    TIER_PLACES_MAX,
    TRANSFER_S,
    UNFINISHED,
    WAITING,
    State,
)
from ciyuan.factory.scheduler_terms import TOKEN_PARTS


# --- the queue ---
@njit(cache=True)
def enqueue(state: State, replica: int, request: int) -> None:
    """Let a request wait at a replica."""
    tier = state.req[request, TIER]
    root = state.roots[replica, tier]
    state.roots[replica, tier] = joined(state.req, state.when, KEY, root, request)
    state.waiting[replica, tier] += 1
    state.req[request, STATUS] = WAITING


@njit(cache=True)
def _next(state: State, replica: int) -> int:
    """The request whose turn it is, of the tiers that have a place left in their ration; -1 if there is none."""
    best = -1
    for tier in range(state.roots.shape[1]):
        root = state.roots[replica, tier]
        if root < 0 or state.running[replica, tier] >= state.tiers[tier, TIER_PLACES_MAX]:
            continue
        if best < 0 or (
            state.scalars[STRICT] == 0
            and (
                state.when[root, KEY] < state.when[best, KEY]
                or (state.when[root, KEY] == state.when[best, KEY] and root < best)
            )
        ):
            best = root
    return best


# --- admission ---
@njit(cache=True)
def _admit(state: State, replica: int) -> None:
    while True:
        request = _next(state, replica)
        if request < 0 or (state.req[request, READY] == NOT_READY and _reads_enough(state, replica)):
            return
        count, tokens, spare = 0, 0, 0
        if state.req[request, READY] == NOT_READY and state.pool[state.rep[replica, POOL], CACHES] == 1:
            count, tokens, spare = found(state, replica, request)
        private = _private_parts(state, replica, request, tokens)
        if not _fits(state, replica, private + spare, 0, 0) and not _room_taken(
            state, replica, request, private + spare
        ):
            return
        _enter(state, replica, request, count, tokens, private)


@njit(cache=True)
def _reads_enough(state: State, replica: int) -> bool:
    """Whether what is being read fills the next step, so that a further prompt would only wait inside. A static batch never."""
    if state.pool[state.rep[replica, POOL], MODE] == STATIC:
        return False
    left = 0
    for place in range(state.rep[replica, READERS]):
        request = state.readers[replica, (state.rep[replica, HEAD] + place) % state.readers.shape[1]]
        left += state.req[request, GOAL] - state.req[request, READ]
    return left >= _prompt_budget(state, replica)


@njit(cache=True)
def _private_parts(state: State, replica: int, request: int, cached: int) -> int:
    """Memory that a request takes for itself on admission: its context without what is cached, and the token that comes next."""
    req, pool = state.req, state.pool[state.rep[replica, POOL]]
    parts = (req[request, INPUT] + req[request, MADE] - cached + 1) * TOKEN_PARTS
    if pool[RESERVES] == 1:
        parts += _steps_left(req[request, OUTPUT] - req[request, MADE], pool[PARTS]) * pool[PARTS]
    return parts


@njit(cache=True)
def _steps_left(tokens: int, parts: int) -> int:
    return (tokens * TOKEN_PARTS + parts - 1) // parts


@njit(cache=True)
def _fits(state: State, replica: int, parts: int, freed: int, places_freed: int) -> bool:
    """Whether a request of so many parts may enter, were so many parts and places given back."""
    rep, pool = state.rep[replica], state.pool[state.rep[replica, POOL]]
    present = rep[RUNNING] + rep[READERS]
    if present - places_freed >= pool[PLACES_MAX]:
        return False
    limit = pool[ADMIT_BELOW] if present > places_freed else pool[CAPACITY]
    growth = pool[GROWTH] * (rep[RUNNING] + 1)
    return rep[HELD] - freed + parts + growth <= limit or (
        present == places_freed and rep[HELD] - freed + parts <= limit
    )


@njit(cache=True)
def _enter(state: State, replica: int, request: int, count: int, tokens: int, private: int) -> None:
    req, rep, when, clock = state.req, state.rep, state.when, state.clock
    tier = req[request, TIER]
    state.roots[replica, tier] = without_first(req, when, KEY, state.roots[replica, tier])
    state.waiting[replica, tier] -= 1
    state.running[replica, tier] += 1
    rep[replica, ADMISSIONS] += 1
    req[request, ADMISSION], req[request, REPLICA] = rep[replica, ADMISSIONS], replica
    req[request, PRIVATE] = private
    rep[replica, HELD] += private
    if when[request, ADMITTED] != when[request, ADMITTED]:
        when[request, ADMITTED] = clock[replica, NOW]
    if req[request, READY] != NOT_READY:
        if req[request, READY] == SWAPPED_OUT:
            context = req[request, INPUT] + req[request, MADE]
            clock[replica, STALL] += context * state.cost[rep[replica, POOL], SWAP]
        _join(state, replica, request)
    else:
        if count > 0:
            hold(state, replica, request, count)
        req[request, CACHED] += tokens
        req[request, GOAL] = req[request, INPUT] + req[request, MADE]
        req[request, READ] = min(tokens, req[request, GOAL] - 1)
        place = (rep[replica, HEAD] + rep[replica, READERS]) % state.readers.shape[1]
        state.readers[replica, place] = request
        rep[replica, READERS] += 1
        req[request, STATUS] = READING
    evict(state, replica)
    rep[replica, HELD_MAX] = max(rep[replica, HELD_MAX], rep[replica, HELD])


@njit(cache=True)
def _join(state: State, replica: int, request: int) -> None:
    """A request whose context is there begins to decode."""
    req, rep = state.req, state.rep
    parts = state.pool[rep[replica, POOL], PARTS]
    req[request, STATUS], req[request, FROM_STEP] = DECODING, rep[replica, STEPS]
    left = req[request, OUTPUT] - req[request, MADE]
    req[request, LAST_STEP] = rep[replica, STEPS] + _steps_left(left, parts)
    req[request, CONTEXT] = (req[request, INPUT] + req[request, MADE]) * TOKEN_PARTS
    rep[replica, CONTEXT_PARTS] += req[request, CONTEXT]
    push_end(req, state.ends, replica, rep[replica, RUNNING], request)
    rep[replica, RUNNING] += 1
    rep[replica, PLACES] += 1


# --- giving way ---
@njit(cache=True)
def _worse(state: State, one: int, other: int) -> bool:
    """Whether `one` gives way before `other`: the lower tier, then the one admitted last."""
    req = state.req
    return other < 0 or (
        req[one, TIER] > req[other, TIER]
        or (req[one, TIER] == req[other, TIER] and req[one, ADMISSION] > req[other, ADMISSION])
    )


@njit(cache=True)
def _worst(state: State, replica: int) -> tuple[int, int, bool]:
    """(request, place, whether it decodes) of what gives way first; the place is in the heap or, from its head, in the ring."""
    worst, at, decodes = -1, -1, False
    for place in range(state.rep[replica, RUNNING]):
        if _worse(state, state.ends[replica, place], worst):
            worst, at, decodes = state.ends[replica, place], place, True
    for place in range(state.rep[replica, READERS]):
        request = state.readers[replica, (state.rep[replica, HEAD] + place) % state.readers.shape[1]]
        if _worse(state, request, worst):
            worst, at, decodes = request, place, False
    return worst, at, decodes


@njit(cache=True)
def _room_taken(state: State, replica: int, request: int, parts: int) -> bool:
    """Take the memory of lower tiers for a request, if allowed and enough; whether it now fits. A static batch gives none."""
    if state.scalars[TAKES_LOWER] == 0 or state.pool[state.rep[replica, POOL], MODE] == STATIC:
        return False
    req, rep, freed, places = state.req, state.rep, 0, 0
    growth, tier = state.pool[rep[replica, POOL], GROWTH], req[request, TIER]
    for place in range(rep[replica, RUNNING]):
        other = state.ends[replica, place]
        if req[other, TIER] > tier:
            freed += req[other, PRIVATE] + growth * (rep[replica, STEPS] - req[other, FROM_STEP])
            places += 1
    for place in range(rep[replica, READERS]):
        other = state.readers[replica, (rep[replica, HEAD] + place) % state.readers.shape[1]]
        if req[other, TIER] > tier:
            freed += req[other, PRIVATE]
            places += 1
    if places == 0 or not _fits(state, replica, parts, freed, places):
        return False
    while not _fits(state, replica, parts, 0, 0):
        _preempt(state, replica)
    return True


@njit(cache=True)
def _preempt(state: State, replica: int) -> None:
    """Send the worst back to the queue, with what it has made."""
    req, rep, pool = state.req, state.rep, state.pool[state.rep[replica, POOL]]
    request, place, decodes = _worst(state, replica)
    rep[replica, HELD] -= req[request, PRIVATE]
    req[request, READY] = NOT_READY
    if decodes:
        steps = rep[replica, STEPS] - req[request, FROM_STEP]
        req[request, MADE] += steps * pool[PARTS] // TOKEN_PARTS
        drop_end(req, state.ends, replica, rep[replica, RUNNING], place)
        rep[replica, RUNNING] -= 1
        _leave(state, replica, request, steps)
        if pool[SWAPS] == 1:
            req[request, READY] = SWAPPED_OUT
            context = req[request, INPUT] + req[request, MADE]
            state.clock[replica, STALL] += context * state.cost[rep[replica, POOL], SWAP]
    else:
        _drop_reader(state, replica, place)
    let_go(state, replica, request)
    req[request, PREEMPTED] += 1
    state.running[replica, req[request, TIER]] -= 1
    enqueue(state, replica, request)


@njit(cache=True)
def _leave(state: State, replica: int, request: int, steps: int) -> None:
    """Take what a request's decoding has added out of the replica's sums."""
    rep, pool = state.rep, state.pool[state.rep[replica, POOL]]
    rep[replica, HELD] -= steps * pool[GROWTH]
    if pool[MODE] != STATIC:
        rep[replica, PLACES] -= 1
        rep[replica, CONTEXT_PARTS] -= state.req[request, CONTEXT] + steps * pool[PARTS]


@njit(cache=True)
def _drop_reader(state: State, replica: int, place: int) -> None:
    readers, rep, room = state.readers, state.rep, state.readers.shape[1]
    for at in range(place, rep[replica, READERS] - 1):
        here, after = (rep[replica, HEAD] + at) % room, (rep[replica, HEAD] + at + 1) % room
        readers[replica, here] = readers[replica, after]
    rep[replica, READERS] -= 1


# --- planning ---
@njit(cache=True)
def plan(state: State, replica: int) -> None:
    """Choose what the replica does next, from `clock[replica, NOW]`."""
    rep, pool, gave_way = state.rep, state.pool[state.rep[replica, POOL]], False
    if pool[MODE] == STATIC:
        if rep[replica, RUNNING] == 0 and rep[replica, READERS] == 0:
            rep[replica, PLACES] = rep[replica, CONTEXT_PARTS] = 0
            _admit(state, replica)
    else:
        while rep[replica, HELD] + pool[GROWTH] * rep[replica, RUNNING] > pool[CAPACITY]:
            _preempt(state, replica)
            gave_way = True
        if not gave_way:
            _admit(state, replica)
    budget = _prompt_budget(state, replica)
    if rep[replica, READERS] > 0 and budget > 0:
        _plan_reading(state, replica, budget)
    elif rep[replica, RUNNING] > 0:
        _plan_decoding(state, replica, gave_way)
    else:
        rep[replica, KIND], rep[replica, PLANNED], state.clock[replica, EVENT] = NOTHING, 0, inf


@njit(cache=True)
def _prompt_budget(state: State, replica: int) -> int:
    pool = state.pool[state.rep[replica, POOL]]
    if pool[MODE] == CHUNKED:
        return pool[BUDGET] - pool[POSITIONS] * state.rep[replica, RUNNING]
    return pool[BUDGET]


@njit(cache=True)
def _plan_reading(state: State, replica: int, budget: int) -> None:
    req, rep, mode = state.req, state.rep, state.pool[state.rep[replica, POOL], MODE]
    prompt, attended = 0, 0.0
    for place in range(rep[replica, READERS]):
        request = state.readers[replica, (rep[replica, HEAD] + place) % state.readers.shape[1]]
        take = req[request, GOAL] - req[request, READ]
        if mode == CHUNKED:
            take = min(take, budget - prompt)
        elif mode != STATIC and place > 0 and prompt + take > budget:
            break
        prompt += take
        attended += take * req[request, READ] + take * (take + 1) / 2.0
        if mode == CHUNKED and prompt == budget:
            break
    rep[replica, TAKEN], rep[replica, PLANNED] = prompt, 1
    rep[replica, KIND] = MIXED if mode == CHUNKED else PROMPTS
    places = rep[replica, PLACES] if mode == CHUNKED else 0
    context = rep[replica, CONTEXT_PARTS] if mode == CHUNKED else 0
    cost, positions = state.cost[rep[replica, POOL]], state.pool[rep[replica, POOL], POSITIONS]
    took_s = mixed_s(cost, positions, places, context, prompt, attended)
    state.clock[replica, EVENT] = _started(state, replica) + took_s


@njit(cache=True)
def _plan_decoding(state: State, replica: int, gave_way: bool) -> None:
    """As many steps as end nothing and fit; one where a sequence has just given way, since nobody was admitted then."""
    rep, pool = state.rep, state.pool[state.rep[replica, POOL]]
    steps = state.req[state.ends[replica, 0], LAST_STEP] - rep[replica, STEPS]
    if pool[GROWTH] > 0:
        room = pool[CAPACITY] - rep[replica, HELD]
        steps = 1 if gave_way else min(steps, room // (pool[GROWTH] * rep[replica, RUNNING]))
    rep[replica, KIND], rep[replica, PLANNED] = DECODE, steps
    cost, places, exact = state.cost[rep[replica, POOL]], rep[replica, PLACES], state.scalars[EXACT_STEPS]
    state.clock[replica, EVENT] = after_steps(
        cost,
        pool[POSITIONS],
        places,
        rep[replica, CONTEXT_PARTS],
        pool[PARTS] * places,
        _started(state, replica),
        steps,
        exact,
    )


@njit(cache=True)
def _started(state: State, replica: int) -> float:
    return state.clock[replica, NOW] + state.clock[replica, STALL]


# --- settling ---
@njit(cache=True)
def settle(state: State, replica: int) -> None:
    """What the planned steps have done, at their end; the replica is then to be planned again."""
    rep, clock, pool = state.rep, state.clock, state.pool[state.rep[replica, POOL]]
    kind, steps, now = rep[replica, KIND], rep[replica, PLANNED], clock[replica, EVENT]
    took_s = now - clock[replica, NOW]
    clock[replica, NOW] = now
    if kind >= DECODE:
        clock[replica, BUSY_S] += took_s
        clock[replica, PLACE_S] += took_s * rep[replica, RUNNING]
        clock[replica, STALL] = 0.0
        rep[replica, STEP_COUNT] += steps
    if kind in (DECODE, MIXED):
        rep[replica, STEPS] += steps
        rep[replica, CONTEXT_PARTS] += steps * pool[PARTS] * rep[replica, PLACES]
        rep[replica, HELD] += steps * pool[GROWTH] * rep[replica, RUNNING]
        evict(state, replica)
        rep[replica, HELD_MAX] = max(rep[replica, HELD_MAX], rep[replica, HELD])
        _end_decoded(state, replica, now)
    if kind in (MIXED, PROMPTS):
        _take_prompts(state, replica, now)


@njit(cache=True)
def _end_decoded(state: State, replica: int, now: float) -> None:
    req, rep = state.req, state.rep
    while rep[replica, RUNNING] > 0 and req[state.ends[replica, 0], LAST_STEP] <= rep[replica, STEPS]:
        request = state.ends[replica, 0]
        drop_end(req, state.ends, replica, rep[replica, RUNNING], 0)
        rep[replica, RUNNING] -= 1
        _leave(state, replica, request, rep[replica, STEPS] - req[request, FROM_STEP])
        _end(state, replica, request, now)


@njit(cache=True)
def _end(state: State, replica: int, request: int, now: float) -> None:
    """A request has all its tokens."""
    req = state.req
    req[request, MADE], req[request, STATUS] = req[request, OUTPUT], DONE
    state.when[request, FINISH] = now
    _give_back(state, replica, request)
    state.scalars[ENDED] += 1


@njit(cache=True)
def _give_back(state: State, replica: int, request: int) -> None:
    """A request leaves a replica for good: its memory and its place in the counts."""
    req, rep = state.req, state.rep
    rep[replica, HELD] -= req[request, PRIVATE]
    let_go(state, replica, request)
    state.running[replica, req[request, TIER]] -= 1
    rep[replica, UNFINISHED] -= 1
    rep[replica, PROMPT_LOAD] -= req[request, INPUT]


@njit(cache=True)
def _take_prompts(state: State, replica: int, now: float) -> None:
    """Deal what was read to the readers, in order; whose prompt is whole makes its next token."""
    req, rep = state.req, state.rep
    left = rep[replica, TAKEN]
    rep[replica, PROMPT_TOKENS] += left
    while left > 0:
        request = state.readers[replica, rep[replica, HEAD]]
        take = min(left, req[request, GOAL] - req[request, READ])
        req[request, READ] += take
        left -= take
        if req[request, READ] < req[request, GOAL]:
            return
        rep[replica, HEAD] = (rep[replica, HEAD] + 1) % state.readers.shape[1]
        rep[replica, READERS] -= 1
        _read_out(state, replica, request, now)


@njit(cache=True)
def _read_out(state: State, replica: int, request: int, now: float) -> None:
    req, when, pool = state.req, state.when, state.rep[replica, POOL]
    if state.pool[pool, CACHES] == 1:
        publish(state, replica, request)
    req[request, MADE] += 1
    if when[request, FIRST] != when[request, FIRST]:
        when[request, FIRST] = now
    if req[request, MADE] == req[request, OUTPUT]:
        _end(state, replica, request, now)
    elif pool == 0 and state.pool.shape[0] > 1:
        _give_back(state, replica, request)
        req[request, STATUS], req[request, READY] = MOVING, HANDED_OVER
        context = req[request, INPUT] + req[request, MADE]
        when[request, HANDED] = now + (state.times[LATENCY_S] + context * state.times[TRANSFER_S])
        state.scalars[MOVING_ROOT] = joined(req, when, HANDED, state.scalars[MOVING_ROOT], request)
    else:
        _join(state, replica, request)

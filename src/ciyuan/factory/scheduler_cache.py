"""The prefix cache of a replica: compiled. Blocks by number, counted references, and two lists of those that nobody uses.

A block is *held* while a request in service uses it, *spare* when none does: it stays until its room is wanted. `HELD` and
`SPARE` of the replica count both in parts; what requests hold alone is in `HELD` too. A chain is let go from its end, so that
the end of a prompt goes before its beginning: a block never outlives the one before it for the worse.
"""

from numba import njit

from ciyuan.factory.scheduler_state import (
    BLOCK,
    BLOCK_TOKENS,
    BLOCKS,
    CAPACITY,
    EVICTS_REUSED_LAST,
    HELD,
    HELD_BLOCKS,
    INPUT,
    NEXT,
    POOL,
    PREVIOUS,
    PRIVATE,
    REFERENCES,
    SIZE,
    SPARE,
    USES,
    Smalls,
    State,
)
from ciyuan.factory.scheduler_terms import TOKEN_PARTS


@njit(cache=True)
def found(state: State, replica: int, request: int) -> tuple[int, int, int]:
    """(blocks, tokens, parts) that a prompt's beginning has in the cache; the parts are those of spare blocks."""
    first, count, tokens, spare = state.req[request, BLOCK], 0, 0, 0
    for place in range(state.req[request, BLOCKS]):
        block = state.blocks[first + place]
        size = state.cache[replica, block, SIZE]
        if size == 0:
            break
        count += 1
        tokens += size
        if state.cache[replica, block, REFERENCES] == 0:
            spare += size * TOKEN_PARTS
    return count, tokens, spare


@njit(cache=True)
def hold(state: State, replica: int, request: int, count: int) -> None:
    """Let a request use the first `count` blocks of its prompt, which are there."""
    first = state.req[request, BLOCK]
    for place in range(count):
        _use(state, replica, state.blocks[first + place])
    state.req[request, HELD_BLOCKS] = count


@njit(cache=True)
def _use(state: State, replica: int, block: int) -> None:
    cache = state.cache
    if cache[replica, block, REFERENCES] == 0:
        _unlink(cache, replica, block)
        parts = cache[replica, block, SIZE] * TOKEN_PARTS
        state.rep[replica, SPARE] -= parts
        state.rep[replica, HELD] += parts
    cache[replica, block, REFERENCES] += 1
    cache[replica, block, USES] += 1


@njit(cache=True)
def publish(state: State, replica: int, request: int) -> None:
    """Make a prompt that has been read known to others, block by block; what another has made known meanwhile is shared."""
    req, cache = state.req, state.cache
    first, tokens, whole = req[request, BLOCK], req[request, INPUT], state.scalars[BLOCK_TOKENS]
    for place in range(req[request, HELD_BLOCKS], req[request, BLOCKS]):
        block = state.blocks[first + place]
        size = min(whole, tokens - place * whole)
        req[request, PRIVATE] -= size * TOKEN_PARTS
        if cache[replica, block, SIZE] == 0:
            cache[replica, block, SIZE] = size
            cache[replica, block, REFERENCES] = 1
            cache[replica, block, USES] = 1
        else:
            state.rep[replica, HELD] -= size * TOKEN_PARTS
            _use(state, replica, block)
    req[request, HELD_BLOCKS] = req[request, BLOCKS]


@njit(cache=True)
def let_go(state: State, replica: int, request: int) -> None:
    """End a request's use of its blocks, the last first."""
    req, rep, cache = state.req, state.rep, state.cache
    first = req[request, BLOCK]
    for place in range(req[request, HELD_BLOCKS] - 1, -1, -1):
        block = state.blocks[first + place]
        cache[replica, block, REFERENCES] -= 1
        if cache[replica, block, REFERENCES] == 0:
            parts = cache[replica, block, SIZE] * TOKEN_PARTS
            rep[replica, HELD] -= parts
            rep[replica, SPARE] += parts
            reused = (
                state.pool[rep[replica, POOL], EVICTS_REUSED_LAST] == 1 and cache[replica, block, USES] > 1
            )
            _link(cache, replica, block, reused)
    req[request, HELD_BLOCKS] = 0


@njit(cache=True)
def evict(state: State, replica: int) -> None:
    """Drop spare blocks until what is left fits."""
    rep, cache = state.rep, state.cache
    capacity = state.pool[rep[replica, POOL], CAPACITY]
    while rep[replica, HELD] + rep[replica, SPARE] > capacity and rep[replica, SPARE] > 0:
        plain, reused = cache.shape[1] - 2, cache.shape[1] - 1
        block = cache[replica, plain, NEXT]
        if block == plain:
            block = cache[replica, reused, NEXT]
        _unlink(cache, replica, block)
        rep[replica, SPARE] -= cache[replica, block, SIZE] * TOKEN_PARTS
        cache[replica, block, SIZE] = 0


@njit(cache=True)
def _link(cache: Smalls, replica: int, block: int, reused: bool) -> None:
    end = cache.shape[1] - 1 if reused else cache.shape[1] - 2
    last = cache[replica, end, PREVIOUS]
    cache[replica, last, NEXT] = block
    cache[replica, block, PREVIOUS] = last
    cache[replica, block, NEXT] = end
    cache[replica, end, PREVIOUS] = block


@njit(cache=True)
def _unlink(cache: Smalls, replica: int, block: int) -> None:
    before, after = cache[replica, block, PREVIOUS], cache[replica, block, NEXT]
    cache[replica, before, NEXT] = after
    cache[replica, after, PREVIOUS] = before

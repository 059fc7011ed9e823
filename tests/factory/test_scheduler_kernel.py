"""When all is served nothing is left: no memory held, no block referenced, no one counted; spare blocks fit."""

import numpy as np
from hypothesis import given, settings

from ciyuan.factory.scheduler_kernel import run
from ciyuan.factory.scheduler_state import (
    CAPACITY,
    CONTEXT_PARTS,
    HELD,
    MODE,
    NEXT,
    POOL,
    PROMPT_LOAD,
    READERS,
    REFERENCES,
    RUNNING,
    SIZE,
    SPARE,
    STATIC,
    UNFINISHED,
    State,
    opened,
)
from ciyuan.factory.scheduler_terms import TOKEN_PARTS, Cluster
from ciyuan.factory.scheduler_trace import Trace
from tests.factory.scheduler_worlds import clusters, traces


def listed(state: State, replica: int) -> list[int]:
    """The blocks on a replica's two lists of spare ones."""
    found: list[int] = []
    for end in (state.cache.shape[1] - 2, state.cache.shape[1] - 1):
        block = int(state.cache[replica, end, NEXT])
        while block != end:
            found.append(block)
            block = int(state.cache[replica, block, NEXT])
    return found


@settings(max_examples=150, deadline=None)
@given(traces(), clusters())
def test_nothing_is_left(trace: Trace, cluster: Cluster):
    state = opened(trace, cluster)
    assert run(state)
    for column in (HELD, RUNNING, READERS, UNFINISHED, PROMPT_LOAD):
        assert not state.rep[:, column].any()
    dynamic = state.pool[state.rep[:, POOL], MODE] != STATIC
    assert not state.rep[dynamic, CONTEXT_PARTS].any()
    assert not state.running.any()
    assert not state.waiting.any()
    assert np.all(state.roots == -1)
    assert np.all(state.rep[:, SPARE] <= state.pool[state.rep[:, POOL], CAPACITY])
    blocks = state.cache[:, :-2]
    assert not blocks[..., REFERENCES].any()
    for replica in range(len(blocks)):
        present = np.flatnonzero(blocks[replica, :, SIZE])
        assert sorted(listed(state, replica)) == present.tolist()
        assert state.rep[replica, SPARE] == blocks[replica, :, SIZE].sum() * TOKEN_PARTS

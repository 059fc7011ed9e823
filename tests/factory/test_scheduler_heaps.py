"""Both heaps give what sorting gives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.factory.scheduler_heaps import drop_end, joined, push_end, without_first
from ciyuan.factory.scheduler_state import KEY, LAST_STEP, LEFT, REQUEST_COLUMNS, RIGHT, WHEN_COLUMNS

keys = st.lists(st.integers(0, 9), min_size=1, max_size=40)


def tables(count: int) -> tuple[np.ndarray, np.ndarray]:
    req = np.zeros((count, REQUEST_COLUMNS), dtype=np.int64)
    req[:, [LEFT, RIGHT]] = -1
    return req, np.zeros((count, WHEN_COLUMNS))


@given(keys, st.lists(st.booleans(), max_size=40))
def test_waiting_requests_come_out_by_key_then_number(order: list[int], pops: list[bool]):
    """Some are taken out between the pushes; equal keys come in the order of their numbers."""
    req, when = tables(len(order))
    when[:, KEY] = order
    root, inside = -1, []
    for request, key in enumerate(order):
        root = joined(req, when, KEY, root, request)
        inside.append((key, request))
        if request < len(pops) and pops[request]:
            assert root == min(inside)[1]
            inside.remove(min(inside))
            root = without_first(req, when, KEY, root)
    for _, request in sorted(inside):
        assert root == request
        root = without_first(req, when, KEY, root)
    assert root == -1


@given(keys, st.data())
def test_what_decodes_comes_out_by_its_last_step_and_from_any_place(order: list[int], data: st.DataObject):
    req, _ = tables(len(order))
    req[:, LAST_STEP] = order
    ends = np.full((1, len(order)), -1, dtype=np.int64)
    for request in range(len(order)):
        push_end(req, ends, 0, request, request)
    left = {(key, request) for request, key in enumerate(order)}
    for size in range(len(order), 0, -1):
        assert ends[0, 0] == min(left)[1]
        place = data.draw(st.integers(0, size - 1))
        request = int(ends[0, place])
        drop_end(req, ends, 0, size, place)
        left.remove((order[request], request))
    assert not left

"""The heap of expiries: whatever order they come in, they leave in the order of their nanoseconds, and of their age at one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.ledger import Event, hold_row, tick_row
from ciyuan.ledger.expiries import drop_top, order_all, push
from ciyuan.ledger.machine import Ledger
from tests.ledger.flows import POOR, WORLD, matrix, opened

expiries = st.lists(st.integers(0, 12), max_size=40)


def emptied(heap: np.ndarray, heap_size: int) -> list[tuple[int, int]]:
    entries = []
    while heap_size:
        entries.append((int(heap[0, 0]), int(heap[0, 1])))
        heap_size = drop_top(heap, heap_size)
    return entries


@given(times=expiries)
def test_entries_leave_by_expiry_and_then_by_age(times: list[int]):
    heap = np.zeros((40, 2), dtype=np.int64)
    for transfer, expiry_ns in enumerate(times):
        assert push(heap, transfer, expiry_ns, transfer) == transfer + 1
    assert emptied(heap, len(times)) == sorted((expiry_ns, at) for at, expiry_ns in enumerate(times))


@given(times=expiries, dice=st.randoms(use_true_random=False))
def test_entries_in_any_order_become_a_heap(times: list[int], dice: object):
    entries = [(expiry_ns, transfer) for transfer, expiry_ns in enumerate(times)]
    dice.shuffle(entries)  # type: ignore[attr-defined]
    heap = np.array([*entries, (0, 0)], dtype=np.int64).reshape(-1, 2)
    order_all(heap, len(entries))
    assert emptied(heap, len(entries)) == sorted(entries)


def test_many_holds_expire_in_the_order_of_their_nanoseconds():
    ledger = opened(Ledger())
    dice = np.random.default_rng(2)
    timeouts = dice.integers(1, 400, 2_000).tolist()
    ledger.apply(matrix(hold_row(1, key, WORLD, POOR, 1, timeout) for key, timeout in enumerate(timeouts, 1)))
    said = [event for now in (50, 51, 300, 500) for event in ledger.apply(matrix([tick_row(now)])).tolist()]
    expired = [(event[1], event[2]) for event in said if event[0] & 0xFFFF == Event.EXPIRED]
    assert expired == sorted((timeout + 1, key) for key, timeout in enumerate(timeouts, 1))

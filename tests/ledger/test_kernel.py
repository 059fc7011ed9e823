"""The compiled loop where the twins' comparison does not reach: its hash, its heap, and other kernels that call it."""

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from ciyuan.ledger import Event, hold_row, open_row, post_row, tick_row, transfer_row, void_row
from ciyuan.ledger.book import SLOT_BITS, Book, Matrix
from ciyuan.ledger.kernel import HOME_FACTOR, STRIDE_FACTOR, apply_rows
from ciyuan.ledger.machine import Ledger
from tests.ledger.flows import POOR, WORLD, codes, matrix, opened

N = 20_000
COUNT = np.arange(1, N + 1, dtype=np.int64)
KEYS = {
    "sequential": COUNT,
    "sequential from far": COUNT + 1_790_000_000_000_000_000,
    "the meter's": 4 * (COUNT // 2 + 1) + COUNT % 2,
    "an owner in the high bits, few each": (COUNT // 20 << 32) + COUNT % 20 + 1,
    "an owner in the high bits, many each": (COUNT // 2_000 << 32) + COUNT % 2_000 + 1,
    "an owner in the low bits": (COUNT << 16) + 7,
    "multiples of 64": COUNT << 6,
    "multiples of 2^40": COUNT << 40,
    "random": np.random.default_rng(1).permutation(2**20)[:N].astype(np.int64) * 6_700_417 + 1,
}


def probes(keys: NDArray[np.int64], bits: int) -> float:
    """Slots looked at per key, on average, when the keys are entered in order: the kernel's hash, said once more."""
    taken: set[int] = set()
    looked = 0
    for key in keys.tolist():
        slot = (key ^ (_wrapped((key >> bits) * HOME_FACTOR) >> 32)) & (1 << bits) - 1
        looked += 1
        while slot in taken:
            slot = (slot + (_wrapped((key >> 6) * STRIDE_FACTOR) >> 32 | 1)) & (1 << bits) - 1
            looked += 1
        taken.add(slot)
    return looked / len(keys)


def _wrapped(value: int) -> int:
    """As a signed 64-bit integer."""
    return (value + 2**63) % 2**64 - 2**63


def filled(keys: NDArray[np.int64]) -> Ledger:
    ledger = opened(Ledger())
    rows = np.zeros((N, 8), dtype=np.int64)
    rows[:] = transfer_row(1, 1, WORLD, POOR, 1)
    rows[:, 2] = keys
    assert set((ledger.apply(rows)[:, 0] & 0xFFFF).tolist()) == {Event.TRANSFERRED}
    return ledger


@pytest.mark.parametrize("name", KEYS)
def test_structured_keys_are_found_and_stay_near_home(name: str):
    keys = KEYS[name]
    ledger = filled(keys)
    again = ledger.transfers[3:].copy()
    assert set((ledger.apply(again)[:, 0] & 0xFFFF).tolist()) == {Event.REPEATED}
    again[:, 5] = 2
    assert set((ledger.apply(again)[:, 0] & 0xFFFF).tolist()) == {Event.REFUSED}
    assert np.count_nonzero(ledger.book.slots) == N + 3
    assert probes(keys, int(ledger.book.scalars[SLOT_BITS])) < 2.5


def test_sequential_keys_never_collide():
    assert probes(KEYS["sequential"], 16) == 1
    assert probes(KEYS["the meter's"], 17) == 1


def test_failed_chains_leave_the_index_as_it_was():
    ledger = filled(KEYS["random"])
    slots = ledger.book.slots.copy()
    chain = [transfer_row(1, 10**12 + 64 * k, WORLD, POOR, 1, linked=True) for k in range(500)]
    events = ledger.apply(matrix([*chain, transfer_row(1, 1, WORLD, WORLD, 1)]))
    assert set(codes(events.tolist())) == {Event.REFUSED}
    assert np.array_equal(ledger.book.slots, slots)
    assert ledger.transfer_count == N + 3


def test_many_holds_expire_in_the_order_of_their_nanoseconds():
    ledger = opened(Ledger())
    dice = np.random.default_rng(2)
    timeouts = dice.integers(1, 400, 2_000).tolist()
    ledger.apply(matrix(hold_row(1, key, WORLD, POOR, 1, timeout) for key, timeout in enumerate(timeouts, 1)))
    said = [event for now in (50, 51, 300, 500) for event in ledger.apply(matrix([tick_row(now)])).tolist()]
    expired = [(event[1], event[2]) for event in said if event[0] & 0xFFFF == Event.EXPIRED]
    assert expired == sorted((timeout + 1, key) for key, timeout in enumerate(timeouts, 1))


@njit
def settle_each(book: Book, rows: Matrix, row: Matrix, events: Matrix) -> int:
    """Another kernel: one row at a time through the ledger, counting what was not refused."""
    accepted = 0
    for place in range(len(rows)):
        row[0] = rows[place]
        said = apply_rows(book, row, events)
        accepted += events[said - 1, 0] & 0xFFFF != Event.REFUSED
    return accepted


def test_another_kernel_can_call_it_row_by_row():
    flow = [
        hold_row(1, 4, WORLD, POOR, 100, 20),
        hold_row(1, 8, WORLD, POOR, 100, 5),
        post_row(2, 5, 4, 60),
        transfer_row(3, 12, POOR, WORLD, 61),
        void_row(9, 10, 8),
        open_row(9, 7, 1),
    ]
    called, direct = opened(Ledger()), opened(Ledger())
    rows = matrix(flow)
    called.reserve(len(rows))
    events = np.empty((called.events_room(len(rows), 9), 8), dtype=np.int64)
    assert settle_each(called.book, rows, np.empty((1, 8), dtype=np.int64), events) == 4
    direct.apply(rows)
    assert called.state_hash() == direct.state_hash()

"""The hash of keys: whatever their structure they are found, stay near their home, and leave nothing behind when taken out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ciyuan.ledger import Event, transfer_row
from ciyuan.ledger.book import SLOT_BITS
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.slots import HOME_FACTOR, STRIDE_FACTOR, empty_all, index_all
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
    """Slots looked at per key, on average, when the keys are entered in order: the hash, said once more."""
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


@pytest.mark.parametrize("name", KEYS)
def test_what_is_taken_out_leaves_nothing_and_can_be_entered_again(name: str):
    book = filled(KEYS[name]).book
    bits, before = int(book.scalars[SLOT_BITS]), book.slots.copy()
    empty_all(book.transfers, N + 3, book.slots, bits)
    assert not book.slots.any()
    index_all(book.transfers, N + 3, book.slots, bits)
    assert np.array_equal(book.slots, before)

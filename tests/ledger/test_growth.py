"""Room: more of it, without a change that anyone can see."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.ledger import (
    Event,
    close_row,
    growth,
    hold_row,
    open_row,
    post_row,
    tick_row,
    transfer_row,
    void_row,
)
from ciyuan.ledger.book import HEAP_SIZE, SLOT_BITS
from ciyuan.ledger.growth import FIRST_ROOM, empty_book, grown
from ciyuan.ledger.machine import Ledger
from tests.ledger.flows import FUNDED, POOR, RICH, WORLD, codes, matrix, opened, say


def test_a_book_that_has_the_room_is_left_alone():
    book = empty_book()
    assert grown(book, FIRST_ROOM - 1) is book
    larger = grown(book, FIRST_ROOM + 1)
    assert len(larger.transfers) == len(larger.held) == len(larger.accounts) == 2 * FIRST_ROOM
    assert len(larger.slots) == 1 << int(larger.scalars[SLOT_BITS]) == 4 * FIRST_ROOM


def test_growing_changes_no_state():
    small, large = opened(Ledger()), opened(Ledger())
    large.reserve(100_000)
    rows = [hold_row(1, key, WORLD, POOR, key, key) for key in range(1, 3_001)]
    for start in range(0, 3_000, 100):
        small.apply(matrix(rows[start : start + 100]))
    large.apply(matrix(rows))
    assert small.state_hash() == large.state_hash()
    assert [event[2] for event in say(small, tick_row(1_001))] == [*range(1, 1_001), 0]


def test_accounts_have_no_limit_but_memory():
    ledger = Ledger()
    rows = matrix(open_row(0, number, 1) for number in range(1, 5_001))
    assert set(codes(ledger.apply(rows).tolist())) == {Event.OPENED}
    assert ledger.account_count == 5_000
    assert ledger.accounts[5_000, 0] == 1


def test_the_heap_forgets_holds_that_have_ended():
    ledger = opened(Ledger())
    for key in range(1, 40_001, 100):
        rows = [hold_row(1, 2 * k, WORLD, POOR, 1, 10**9) for k in range(key, key + 100)]
        rows += [void_row(1, 2 * k + 1, 2 * k) for k in range(key, key + 100)]
        ledger.apply(matrix(rows))
    assert len(ledger.book.heap) <= 4 * FIRST_ROOM
    assert int(ledger.book.scalars[HEAP_SIZE]) <= 4 * FIRST_ROOM


def test_after_forgetting_holds_still_expire_in_order():
    ledger = opened(Ledger())
    dice = np.random.default_rng(3)
    timeouts = dice.integers(1, 50, 3_000).tolist()
    say(ledger, *(hold_row(1, key, WORLD, POOR, 1, timeout) for key, timeout in enumerate(timeouts, 1)))
    say(ledger, *(void_row(1, 10_000 + key, key) for key in range(1, 3_001, 3)))
    ledger.reserve(2_000)
    left = [(timeout + 1, key) for key, timeout in enumerate(timeouts, 1) if key % 3 != 1]
    events = say(ledger, tick_row(60))[:-1]
    assert [(event[1], event[2]) for event in events] == sorted(left)


def test_a_full_ledger_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(growth, "TRANSFERS_MAX", 2_000)
    ledger = opened(Ledger())
    before = ledger.state_hash()
    with pytest.raises(Malformed, match="at most 2000 transfers"):
        ledger.apply(matrix(transfer_row(1, key, RICH, POOR, 1) for key in range(1, 2_001)))
    assert ledger.state_hash() == before
    assert ledger.posted(RICH) == FUNDED


def test_a_ledger_whose_keys_are_closed_stops_growing():
    """Two million rows in rounds of 10,000: holds and their posts, of which the round before the last is closed."""
    ledger = opened(Ledger())
    half = np.arange(5_000, dtype=np.int64)
    rows = np.zeros((10_000, 8), dtype=np.int64)
    rows[:5_000] = hold_row(0, 1, WORLD, POOR, 9, 10**6)
    rows[5_000:] = post_row(0, 1, 1, 4)
    sizes = set()
    for turn in range(200):
        keys = 10_000 * turn + 2 * half + 1
        rows[:, 1], rows[:5_000, 2], rows[5_000:, 2], rows[5_000:, 6] = turn, keys, keys + 1, keys
        assert (ledger.apply(rows)[:, 0] & 0xFFFF).tolist() == [Event.HELD] * 5_000 + [Event.POSTED] * 5_000
        if turn > 1:
            first = 10_000 * (turn - 2) + 1
            (event,) = say(ledger, close_row(turn, first, first + 10_000))
            assert (Event(event[0]), event[5]) == (Event.CLOSED, 10_000)
            sizes.add(tuple(array.nbytes for array in ledger.book))
    assert len(sizes) == 1
    assert ledger.transfer_count == 20_003
    assert len(ledger.book.transfers) == 2**15
    assert ledger.closed.tolist() == [[1, 1_980_001]]
    assert ledger.posted(POOR) == 4 * 1_000_000
    ledger.check()


def test_closing_costs_what_the_rows_cost_and_not_what_there_is_room_for():
    """Slots of keys that are not known are left alone: among a million, what a stranger put there is still there."""
    ledger = opened(Ledger())
    ledger.reserve(500_000)
    say(ledger, *(transfer_row(1, key, RICH, POOR, 1) for key in range(1, 100)))
    ledger.book.slots[2**19 + 7] = 99
    say(ledger, close_row(1, 1, 50))
    assert np.flatnonzero(ledger.book.slots).tolist().count(2**19 + 7) == 1
    assert np.count_nonzero(ledger.book.slots) == 1 + ledger.transfer_count

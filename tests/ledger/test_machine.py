"""The two ledgers against each other, over flows in which everything collides, and the laws that hold whatever comes."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX, Row, code_of
from ciyuan.ledger import (
    Command,
    Event,
    Flag,
    Refusal,
    close_row,
    hold_row,
    open_row,
    post_row,
    tick_row,
    transfer_row,
    void_row,
)
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.plain import PlainLedger
from tests.ledger import flows
from tests.ledger.flows import FUNDED, GUARD, POOR, RICH, WORLD, matrix, opened, say


def twins() -> tuple[Ledger, PlainLedger]:
    ledger, plain = Ledger(), PlainLedger()
    opened(ledger)
    opened(plain)
    return ledger, plain


def check_same(ledger: Ledger, plain: PlainLedger, batch: NDArray[np.int64]) -> NDArray[np.int64]:
    events = ledger.apply(batch)
    assert events.tolist() == plain.apply(batch).tolist()
    assert ledger.state_hash() == plain.state_hash()
    ledger.check()
    return events


# --- the twins ---


@given(flow=flows.rows(), cuts=st.lists(st.integers(1, 6), max_size=12))
def test_the_twins_agree_after_every_batch_wherever_it_is_cut(flow: list[Row], cuts: list[int]):
    ledger, plain = twins()
    start = 0
    for size in [*cuts, *(1 for _ in flow)]:
        check_same(ledger, plain, matrix(flow[start : start + size]))
        start += size
    assert start >= len(flow)


@given(flow=flows.rows())
def test_the_twins_agree_after_every_command(flow: list[Row]):
    ledger, plain = twins()
    for chain in flows.chains(flow):
        check_same(ledger, plain, matrix(chain))
    assert ledger.snapshot().keys() == plain.snapshot().keys()


@given(flow=flows.rows())
def test_batches_only_group(flow: list[Row]):
    flow = [*flow, tick_row(flow[-1][1])]
    whole, single = opened(Ledger()), opened(Ledger())
    events = whole.apply(matrix(flow)).tolist()
    assert events == [event for chain in flows.chains(flow) for event in single.apply(matrix(chain)).tolist()]
    assert whole.state_hash() == single.state_hash()


@given(before=flows.rows(), after=flows.rows())
def test_a_snapshot_at_any_point_has_the_same_future(before: list[Row], after: list[Row]):
    ledger, _ = twins()
    ledger.apply(matrix(before))
    restored, twin = Ledger(), PlainLedger()
    restored.apply(matrix([open_row(0, 1, 5)]))
    restored.restore(ledger.snapshot())
    twin.restore(ledger.snapshot())
    assert restored.state_hash() == ledger.state_hash() == twin.state_hash()
    later = matrix((row[0], row[1] + ledger.clock_ns, *row[2:]) for row in after)
    events = check_same(restored, twin, later)
    assert events.tolist() == ledger.apply(later).tolist()
    assert restored.state_hash() == ledger.state_hash()


@pytest.mark.parametrize("seed", range(3))
def test_the_twins_agree_over_a_long_life(seed: int):
    """Growth of every array, many holds that expire, many that are resolved: 6,000 rows."""
    dice = np.random.default_rng(seed)
    ledger, plain = twins()
    n = 6_000
    codes = dice.choice(
        [Command.TRANSFER, Command.HOLD, Command.POST, Command.VOID], n, p=[0.3, 0.4, 0.2, 0.1]
    )
    rows = np.zeros((n, 8), dtype=np.int64)
    rows[:, 0] = codes | (dice.random(n) < 0.05).astype(np.int64) << 16
    rows[:, 1] = np.cumsum(dice.integers(0, 3, n))
    rows[:, 2] = dice.integers(1, n, n)
    moves = codes <= Command.HOLD
    rows[moves, 3:5] = dice.integers(1, 5, (moves.sum(), 2))
    rows[codes != Command.VOID, 5] = dice.integers(1, 20, (codes != Command.VOID).sum())
    rows[~moves, 6] = dice.integers(1, n, (~moves).sum())
    rows[codes == Command.HOLD, 7] = dice.integers(1, 900, (codes == Command.HOLD).sum())
    for start in range(500, n, 250):
        width = start // 40
        first = (start // 250 - 2) * width // 3 + 1
        rows[start, 0], rows[start - 1, 0], rows[start, 2:] = Command.CLOSE, rows[start - 1, 0] & 0xFFFF, 0
        rows[start, 2:4] = first, first + width // 3 + (start // 250) % 2
    said = [check_same(ledger, plain, rows[start : start + 500]) for start in range(0, n, 500)]
    seen = {Event(code) for code in np.unique(np.concatenate(said)[:, 0] & 0xFFFF).tolist()}
    assert seen >= set(Event) - {Event.OPENED, Event.TICKED, Event.REPEATED}


# --- laws ---


@given(flow=flows.rows())
def test_no_guarded_account_is_ever_overdrawn_and_all_sums_to_zero(flow: list[Row]):
    ledger = opened(Ledger())
    for chain in flows.chains(flow):
        ledger.apply(matrix(chain))
        ledger.check()
        assert all(ledger.available(number) >= 0 for number in (RICH, POOR, GUARD))
        assert sum(ledger.posted(number) for number in (WORLD, RICH, POOR, GUARD)) == sum(
            -ledger.posted(number) for number in range(7, ledger.account_count + 1)
        )


@given(flow=flows.rows())
def test_the_events_alone_tell_the_balances(flow: list[Row]):
    ledger = Ledger()
    events = np.concatenate([ledger.apply(matrix(flows.opening())), ledger.apply(matrix(flow))]).tolist()
    accounts: dict[int, list[int]] = {}
    held: dict[int, int] = {}
    for kind, _, key, debit, credit, amount, pending_key, last in events:
        code = code_of(kind)
        pending = posted = 0
        if code == Event.OPENED:
            accounts[key] = [debit, credit, 0, 0, 0, 0]
        elif code == Event.TRANSFERRED:
            posted = amount
        elif code == Event.HELD:
            held[key] = pending = last
        elif code == Event.POSTED:
            pending, posted = last - held[pending_key], amount
            held[pending_key] = last
        elif code in (Event.VOIDED, Event.EXPIRED):
            pending = -held.pop(pending_key)
            assert pending == -amount
        if pending or posted:
            accounts[debit][2] += pending
            accounts[debit][3] += posted
            accounts[credit][4] += pending
            accounts[credit][5] += posted
    assert list(accounts.values()) == ledger.accounts[1:, :6].tolist()


@given(flow=flows.rows())
def test_saying_it_all_again_changes_nothing(flow: list[Row]):
    """What was accepted and is not closed, presented anew, is a repeat; nothing that was accepted once is accepted again."""
    ledger = opened(Ledger())
    first = ledger.apply(matrix(flow)).tolist()
    accepted = {event[2] for event in first if Event.TRANSFERRED <= code_of(event[0]) <= Event.VOIDED}
    transfers = ledger.transfers.tolist()
    late = ledger.clock_ns
    alone = [(*row[:1], late, *row[2:]) for row in transfers if not row[0] >> 16 & Flag.LINKED]
    again = ledger.apply(matrix(alone)).tolist()
    assert [code_of(event[0]) for event in again if code_of(event[0]) != Event.EXPIRED] == [
        Event.REPEATED
    ] * len(alone)
    assert ledger.transfers.tolist() == transfers
    assert accepted <= {row[2] for row in transfers} | {key for keys in ranges(ledger) for key in keys}
    assert len({row[2] for row in transfers}) == len(transfers)


# --- what closing changes, and what it does not ---


def ranges(ledger: flows.AnyLedger) -> list[range]:
    return [range(first, end) for first, end in ledger.closed.tolist()]


@given(flow=flows.rows())
def test_closing_forgets_the_rows_of_the_range_and_nothing_else(flow: list[Row]):
    ledger = opened(Ledger())
    for chain in flows.chains(flow):
        if code_of(chain[-1][0]) == Command.CLOSE:
            ledger.apply(matrix([tick_row(max(chain[-1][1], ledger.clock_ns))]))
        accounts, transfers, clock_ns = ledger.accounts.tolist(), ledger.transfers.tolist(), ledger.clock_ns
        event = ledger.apply(matrix(chain)).tolist()[-1]
        if code_of(event[0]) == Event.CLOSED:
            keys = range(event[2], event[3])
            assert (ledger.accounts.tolist(), ledger.clock_ns) == (accounts, clock_ns)
            assert ledger.transfers.tolist() == [row for row in transfers if row[2] not in keys]
            assert event[5] == len(transfers) - ledger.transfer_count


@given(before=flows.rows(), after=flows.rows(), first=st.integers(1, 40), keys=st.integers(1, 40))
def test_who_has_no_business_with_closed_keys_does_not_notice(
    before: list[Row], after: list[Row], first: int, keys: int
):
    """Two ledgers with one history, of which one closes a range: rows that name no key of it have the same answers."""
    plain = [row for row in before if code_of(row[0]) != Command.CLOSE]
    closing, other = opened(Ledger()), opened(Ledger())
    closing.apply(matrix(plain))
    other.apply(matrix(plain))
    late = other.clock_ns
    (event,) = [
        e for e in say(closing, close_row(late, first, first + keys)) if code_of(e[0]) != Event.EXPIRED
    ]
    say(other, tick_row(late))
    closed = range(first, first + keys) if code_of(event[0]) == Event.CLOSED else range(0)
    apart = [
        (row[0] & ~(Flag.LINKED << 16), row[1] + late, *row[2:])
        for row in after
        if code_of(row[0]) != Command.CLOSE and row[2] not in closed and row[6] not in closed
    ]
    assert closing.apply(matrix(apart)).tolist() == other.apply(matrix(apart)).tolist()
    assert closing.accounts.tolist() == other.accounts.tolist()


@given(flow=flows.rows())
def test_no_row_with_a_closed_key_is_ever_accepted(flow: list[Row]):
    ledger = opened(Ledger())
    for chain in flows.chains(flow):
        closed = ranges(ledger)
        events = ledger.apply(matrix(chain)).tolist()
        for event in events[-len(chain) :]:
            code = code_of(event[0])
            if Event.TRANSFERRED <= code <= Event.VOIDED:
                assert not any(event[2] in keys or event[6] in keys for keys in closed)


# --- every refusal, reached ---

SETUP = [
    transfer_row(1, 1, RICH, POOR, 10),
    hold_row(1, 2, RICH, POOR, 10),
    hold_row(1, 3, RICH, POOR, 10),
    hold_row(1, 4, RICH, POOR, 10),
    hold_row(1, 5, RICH, POOR, 10, 4),
    post_row(2, 6, 3, 10),
    void_row(2, 7, 4),
    tick_row(10),
    transfer_row(10, 30, RICH, POOR, 1),
    *(close_row(10, key, key + 1) for key in range(30, 46, 2)),
]
UNKNOWN_KIND: Row = (199, 10, 20, 0, 0, 0, 0, 0)
FILL = INT64_MAX - 2 * FUNDED
CASES: dict[Refusal, list[Row]] = {
    Refusal.CHAIN_OPEN: [transfer_row(10, 20, RICH, POOR, 1, linked=True)],
    Refusal.CHAIN_FAILED: [transfer_row(10, 20, RICH, POOR, 1, linked=True), UNKNOWN_KIND],
    Refusal.CHAIN_TIME_DIFFERS: [transfer_row(10, 20, RICH, POOR, 1, linked=True), tick_row(11)],
    Refusal.TIME_BACKWARDS: [tick_row(9)],
    Refusal.KIND_UNKNOWN: [UNKNOWN_KIND],
    Refusal.FLAG_NOT_ALLOWED: [(Command.TRANSFER | Flag.KEEP << 16, 10, 20, RICH, POOR, 1, 0, 0)],
    Refusal.UNUSED_WORD_NOT_ZERO: [(Command.TRANSFER, 10, 20, RICH, POOR, 1, 0, 5)],
    Refusal.KEY_NOT_POSITIVE: [transfer_row(10, 0, RICH, POOR, 1)],
    Refusal.PENDING_KEY_NOT_POSITIVE: [post_row(10, 20, 0, 1)],
    Refusal.AMOUNT_NOT_POSITIVE: [transfer_row(10, 20, RICH, POOR, 0)],
    Refusal.TIMEOUT_NEGATIVE: [hold_row(10, 20, RICH, POOR, 1, -1)],
    Refusal.TIMEOUT_OVERFLOW: [hold_row(10, 20, RICH, POOR, 1, INT64_MAX - 9)],
    Refusal.ASSET_NOT_POSITIVE: [open_row(10, 7, 0)],
    Refusal.ACCOUNT_FLAG_UNKNOWN: [open_row(10, 7, 1, 2)],
    Refusal.EXISTS_WITH_DIFFERENT_KIND: [hold_row(10, 1, RICH, POOR, 10)],
    Refusal.EXISTS_WITH_DIFFERENT_FLAGS: [transfer_row(10, 1, RICH, POOR, 10, linked=True), tick_row(10)],
    Refusal.EXISTS_WITH_DIFFERENT_REASON: [transfer_row(10, 1, RICH, POOR, 10, reason=1)],
    Refusal.EXISTS_WITH_DIFFERENT_ASSET: [open_row(10, RICH, 2, 1)],
    Refusal.EXISTS_WITH_DIFFERENT_ACCOUNT_FLAGS: [open_row(10, RICH, 1, 0)],
    Refusal.EXISTS_WITH_DIFFERENT_DEBIT: [transfer_row(10, 1, GUARD, POOR, 10)],
    Refusal.EXISTS_WITH_DIFFERENT_CREDIT: [transfer_row(10, 1, RICH, GUARD, 10)],
    Refusal.EXISTS_WITH_DIFFERENT_AMOUNT: [transfer_row(10, 1, RICH, POOR, 11)],
    Refusal.EXISTS_WITH_DIFFERENT_PENDING_KEY: [post_row(10, 6, 2, 10)],
    Refusal.EXISTS_WITH_DIFFERENT_TIMEOUT: [hold_row(10, 2, RICH, POOR, 10, 1)],
    Refusal.ACCOUNT_OUT_OF_ORDER: [open_row(10, 8, 1)],
    Refusal.PENDING_UNKNOWN: [post_row(10, 20, 99, 1)],
    Refusal.PENDING_NOT_A_HOLD: [void_row(10, 20, 1)],
    Refusal.PENDING_HAS_DIFFERENT_DEBIT: [(Command.VOID, 10, 20, GUARD, 0, 0, 2, 0)],
    Refusal.PENDING_HAS_DIFFERENT_CREDIT: [(Command.POST, 10, 20, RICH, GUARD, 1, 2, 0)],
    Refusal.PENDING_ALREADY_POSTED: [post_row(10, 20, 3, 1)],
    Refusal.PENDING_ALREADY_VOIDED: [void_row(10, 20, 4)],
    Refusal.PENDING_ALREADY_EXPIRED: [post_row(10, 20, 5, 1)],
    Refusal.AMOUNT_OVER_REMAINING: [post_row(10, 20, 2, 11)],
    Refusal.DEBIT_UNKNOWN: [transfer_row(10, 20, 7, POOR, 1)],
    Refusal.CREDIT_UNKNOWN: [transfer_row(10, 20, RICH, 0, 1)],
    Refusal.ACCOUNTS_SAME: [transfer_row(10, 20, RICH, RICH, 1)],
    Refusal.ASSETS_DIFFER: [transfer_row(10, 20, RICH, flows.HOLDER, 1)],
    Refusal.DEBITS_OVERFLOW: [transfer_row(10, 20, WORLD, POOR, FILL + 1)],
    Refusal.CREDITS_OVERFLOW: [
        transfer_row(10, 20, WORLD, POOR, FILL),
        hold_row(10, 21, GUARD, POOR, 2 * FUNDED),
    ],
    Refusal.OVERDRAWN: [transfer_row(10, 20, RICH, GUARD, FUNDED - 30)],
    Refusal.KEY_CLOSED: [transfer_row(10, 30, RICH, POOR, 1)],
    Refusal.PENDING_CLOSED: [void_row(10, 20, 30)],
    Refusal.RANGE_EMPTY: [close_row(10, 20, 20)],
    Refusal.RANGE_OVERLAPS: [close_row(10, 29, 31)],
    Refusal.RANGES_FULL: [close_row(10, 46, 50)],
    Refusal.PENDING_IN_RANGE: [close_row(10, 1, 30)],
    Refusal.CLOSE_IN_CHAIN: [transfer_row(10, 20, RICH, POOR, 1, linked=True), close_row(10, 29, 30)],
}


def test_every_refusal_has_a_case():
    assert set(CASES) == set(Refusal)


@pytest.mark.parametrize("refusal", Refusal)
@pytest.mark.parametrize("make", [Ledger, PlainLedger])
def test_every_refusal_is_reached(make: type[Ledger] | type[PlainLedger], refusal: Refusal):
    ledger = opened(make())
    assert flows.refusals(say(ledger, *SETUP)) == []
    before = ledger.accounts.tolist()
    assert refusal in flows.refusals(say(ledger, *CASES[refusal]))
    if len(CASES[refusal]) == 1:
        assert ledger.accounts.tolist() == before
        assert flows.codes(say(ledger, transfer_row(10, 20, RICH, POOR, 1))) == [Event.TRANSFERRED]


# --- the machine itself ---


def test_what_is_not_rows_is_malformed():
    ledger = Ledger()
    with pytest.raises(Malformed, match=r"float64.*\(n, 8\) int64"):
        ledger.apply(np.zeros((1, 8)))  # type: ignore[arg-type]
    with pytest.raises(Malformed, match="C-contiguous"):
        ledger.apply(np.zeros((2, 16), dtype=np.int64)[:, ::2])
    assert ledger.apply(np.zeros((0, 8), dtype=np.int64)).shape == (0, 8)


def test_balances_can_be_asked_and_unknown_accounts_cannot():
    ledger = opened(Ledger())
    say(ledger, hold_row(1, 1, RICH, POOR, 100), transfer_row(1, 2, RICH, GUARD, 50))
    assert (ledger.posted(RICH), ledger.available(RICH)) == (FUNDED - 50, FUNDED - 150)
    assert ledger.account(RICH).debits_pending == 100
    assert ledger.account(POOR).credits_pending == 100
    for number in (0, -1, 7):
        with pytest.raises(Malformed, match="1 to 6"):
            ledger.available(number)


def test_views_cannot_be_written_to():
    ledger = opened(Ledger())
    assert len(ledger.transfers) == ledger.transfer_count == 3
    for view in (ledger.accounts, ledger.transfers):
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 1


def test_a_snapshot_is_independent_of_the_ledger():
    ledger = opened(Ledger())
    parts = ledger.snapshot()
    before = ledger.state_hash()
    say(ledger, transfer_row(1, 1, RICH, POOR, 1))
    ledger.restore(parts)
    assert ledger.state_hash() == before


def test_events_room_counts_what_may_expire():
    ledger = opened(Ledger())
    say(ledger, *(hold_row(1, key, RICH, POOR, 1, key) for key in range(1, 11)))
    assert ledger.events_room(1, 1) == 2
    assert ledger.events_room(1, 6) == 2 + 5
    events = say(ledger, tick_row(6))
    assert flows.codes(events) == [Event.EXPIRED] * 5 + [Event.TICKED]
    assert [event[1] for event in events] == [2, 3, 4, 5, 6, 6]


def test_a_second_start_compiles_nothing():
    say(Ledger(), tick_row(1))
    code = (
        "import numpy as np; from ciyuan.ledger.machine import Ledger; from ciyuan.ledger import kernel, tick_row;"
        "Ledger().apply(np.array([tick_row(1)])); print(sum(kernel.apply_rows.stats.cache_misses.values()))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "0"

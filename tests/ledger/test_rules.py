"""The order of refusals: of all that is wrong with a row at once, the one declared first is named, by both ledgers.

Each fault is stated here once more, by itself and without looking at any other. Over thousands of random rows, the answer must be
the least of the faults that are there; so every pair of faults that can meet is a test of their order.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from ciyuan.basics.rows import INT64_MAX, Row, code_of, flags_of, reason_of
from ciyuan.ledger import (
    Command,
    Event,
    Flag,
    Refusal,
    close_row,
    hold_row,
    post_row,
    tick_row,
    transfer_row,
    void_row,
)
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.plain import PlainLedger
from tests.ledger import flows
from tests.ledger.flows import GUARD, HOLDER, ISSUANCE, POOR, RICH, WORLD, opened, say

Fault = Callable[[Row], bool]

STANDING = [
    transfer_row(1, 11, RICH, POOR, 10),
    hold_row(1, 12, RICH, POOR, 10, 10**6),
    hold_row(1, 13, RICH, POOR, 10),
    hold_row(1, 14, RICH, POOR, 10),
    hold_row(1, 15, RICH, POOR, 10, 1),
    post_row(2, 16, 13, 10),
    void_row(2, 17, 14),
    transfer_row(2, 18, ISSUANCE, HOLDER, INT64_MAX - 2 * flows.FUNDED),
    hold_row(2, 21, RICH, POOR, 10),
    hold_row(2, 22, RICH, POOR, 10),
    post_row(3, 19, 22, 0),
    void_row(3, 23, 21),
    tick_row(5),
    *(close_row(5, first, end) for first, end in [(21, 25), *((key, key + 1) for key in range(31, 45, 2))]),
]
NOW = 5
CLOSED = [(row[2], row[3]) for row in STANDING if row[0] == Command.CLOSE]
"""As many ranges as can be."""
BY_KEY: dict[int, Row] = {
    row[2]: (*row[:3], RICH, POOR, *row[5:]) if row[2] in (16, 17, 19) else row
    for row in [*flows.opening(), *STANDING]
    if row[2] and row[0] != Command.CLOSE and not 21 <= row[2] < 25
}
OPENED: dict[int, Row] = {row[2]: row for row in flows.opening() if row[0] == Command.OPEN}
MONEY_ACCOUNTS, ACCOUNTS = {WORLD, RICH, POOR, GUARD}, set(OPENED)
UNUSED = {
    Command.OPEN: (5, 6, 7),
    Command.TRANSFER: (6, 7),
    Command.HOLD: (6,),
    Command.POST: (7,),
    Command.VOID: (5, 7),
    Command.TICK: (2, 3, 4, 5, 6, 7),
    Command.CLOSE: (4, 5, 6, 7),
}


def _is(row: Row, *kinds: Command) -> bool:
    return code_of(row[0]) in kinds


def _known(row: Row) -> Row | None:
    """What stands under the row's key, in the row's own space of keys."""
    if _is(row, Command.TICK, Command.CLOSE) or row[2] <= 0:
        return None
    if _is(row, Command.OPEN):
        return OPENED.get(row[2])
    return BY_KEY.get(row[2]) if row[2] > HOLDER else None


def _differs(word: int, *kinds: Command, optional: bool = False) -> Fault:
    """Under its key the row has another `word`; `optional`: a POST or VOID may leave it 0."""

    def fault(row: Row) -> bool:
        known = _known(row)
        left_out = optional and row[word] == 0 and _is(row, Command.POST, Command.VOID)
        return known is not None and _is(row, *kinds) and not left_out and row[word] != known[word]

    return fault


def _kind_differs(part: Callable[[int], int]) -> Fault:
    def fault(row: Row) -> bool:
        known = _known(row)
        return known is not None and part(row[0]) != part(known[0])

    return fault


def _pending(row: Row, *keys: int) -> bool:
    return _is(row, Command.POST, Command.VOID) and row[6] in keys


def _closed(key: int) -> bool:
    return any(first <= key < end for first, end in CLOSED)


def _closes(row: Row) -> bool:
    """Whether the row closes keys of which not all are closed."""
    within = any(first <= row[2] < row[3] <= end for first, end in CLOSED)
    return _is(row, Command.CLOSE) and row[2] < row[3] and not within


def _two_sides(row: Row) -> bool:
    return {row[3], row[4]} <= ACCOUNTS


MOVES = (Command.TRANSFER, Command.HOLD)
KEYED = (*MOVES, Command.POST, Command.VOID)
DEBITED = {WORLD: 2 * flows.FUNDED, RICH: 30, ISSUANCE: INT64_MAX - flows.FUNDED}
CREDITED = {RICH: flows.FUNDED, GUARD: flows.FUNDED, POOR: 30, HOLDER: INT64_MAX - flows.FUNDED}
COVERED = {RICH: flows.FUNDED - 30, GUARD: flows.FUNDED, POOR: 20, HOLDER: INT64_MAX - flows.FUNDED}
"""What accounts were debited and credited (pending too), and what the guarded ones can still be debited, after STANDING."""

FORM: dict[Refusal, Fault] = {
    Refusal.TIME_BACKWARDS: lambda row: row[1] < NOW,
    Refusal.KIND_UNKNOWN: lambda row: not 0 <= row[0] < 1 << 40 or code_of(row[0]) not in UNUSED,
    Refusal.FLAG_NOT_ALLOWED: lambda row: bool(
        flags_of(row[0]) & ~(Flag.LINKED | (Flag.KEEP if _is(row, Command.POST) else 0))
    ),
    Refusal.UNUSED_WORD_NOT_ZERO: lambda row: any(
        row[word] for kind, words in UNUSED.items() if _is(row, kind) for word in words
    ),
    Refusal.KEY_NOT_POSITIVE: lambda row: not _is(row, Command.TICK) and row[2] <= 0,
    Refusal.PENDING_KEY_NOT_POSITIVE: lambda row: _is(row, Command.POST, Command.VOID) and row[6] <= 0,
    Refusal.AMOUNT_NOT_POSITIVE: lambda row: (
        (_is(row, *MOVES) and row[5] <= 0)
        or (_is(row, Command.POST) and row[5] < (1 if flags_of(row[0]) & Flag.KEEP else 0))
    ),
    Refusal.TIMEOUT_NEGATIVE: lambda row: _is(row, Command.HOLD) and row[7] < 0,
    Refusal.TIMEOUT_OVERFLOW: lambda row: _is(row, Command.HOLD) and row[1] + row[7] > INT64_MAX,
    Refusal.ASSET_NOT_POSITIVE: lambda row: _is(row, Command.OPEN) and row[3] <= 0,
    Refusal.ACCOUNT_FLAG_UNKNOWN: lambda row: _is(row, Command.OPEN) and row[4] not in (0, 1),
    Refusal.EXISTS_WITH_DIFFERENT_KIND: _kind_differs(code_of),
    Refusal.EXISTS_WITH_DIFFERENT_FLAGS: _kind_differs(flags_of),
    Refusal.EXISTS_WITH_DIFFERENT_REASON: _kind_differs(reason_of),
    Refusal.EXISTS_WITH_DIFFERENT_ASSET: _differs(3, Command.OPEN),
    Refusal.EXISTS_WITH_DIFFERENT_ACCOUNT_FLAGS: _differs(4, Command.OPEN),
    Refusal.EXISTS_WITH_DIFFERENT_DEBIT: _differs(3, *KEYED, optional=True),
    Refusal.EXISTS_WITH_DIFFERENT_CREDIT: _differs(4, *KEYED, optional=True),
    Refusal.EXISTS_WITH_DIFFERENT_AMOUNT: _differs(5, *KEYED),
    Refusal.EXISTS_WITH_DIFFERENT_PENDING_KEY: _differs(6, *KEYED),
    Refusal.EXISTS_WITH_DIFFERENT_TIMEOUT: _differs(7, *KEYED),
}
"""Faults of the row as it stands, and against what stands under its key."""
FRESH: dict[Refusal, Fault] = {
    Refusal.ACCOUNT_OUT_OF_ORDER: lambda row: _is(row, Command.OPEN) and row[2] > HOLDER + 1,
    Refusal.PENDING_UNKNOWN: lambda row: (
        _is(row, Command.POST, Command.VOID) and row[6] not in BY_KEY and not _closed(row[6])
    ),
    Refusal.PENDING_NOT_A_HOLD: lambda row: _pending(row, 11, 16, 17, 18, 19),
    Refusal.PENDING_HAS_DIFFERENT_DEBIT: lambda row: (
        _pending(row, 12, 13, 14, 15) and row[3] not in (0, RICH)
    ),
    Refusal.PENDING_HAS_DIFFERENT_CREDIT: lambda row: (
        _pending(row, 12, 13, 14, 15) and row[4] not in (0, POOR)
    ),
    Refusal.PENDING_ALREADY_POSTED: lambda row: _pending(row, 13),
    Refusal.PENDING_ALREADY_VOIDED: lambda row: _pending(row, 14),
    Refusal.PENDING_ALREADY_EXPIRED: lambda row: _pending(row, 15),
    Refusal.AMOUNT_OVER_REMAINING: lambda row: _is(row, Command.POST) and _pending(row, 12) and row[5] > 10,
    Refusal.DEBIT_UNKNOWN: lambda row: _is(row, *MOVES) and row[3] not in ACCOUNTS,
    Refusal.CREDIT_UNKNOWN: lambda row: _is(row, *MOVES) and row[4] not in ACCOUNTS,
    Refusal.ACCOUNTS_SAME: lambda row: _is(row, *MOVES) and row[3] == row[4],
    Refusal.ASSETS_DIFFER: lambda row: (
        _is(row, *MOVES) and _two_sides(row) and (row[3] in MONEY_ACCOUNTS) != (row[4] in MONEY_ACCOUNTS)
    ),
    Refusal.DEBITS_OVERFLOW: lambda row: _is(row, *MOVES) and DEBITED.get(row[3], 0) + row[5] > INT64_MAX,
    Refusal.CREDITS_OVERFLOW: lambda row: _is(row, *MOVES) and CREDITED.get(row[4], 0) + row[5] > INT64_MAX,
    Refusal.OVERDRAWN: lambda row: _is(row, *MOVES) and row[5] > COVERED.get(row[3], INT64_MAX),
}
"""Faults of a row whose key is free. A repeat has none of them: what it asks was done when it could be. Nor has one whose key
is closed: what was done under it is not asked any more."""
CLOSING: dict[Refusal, Fault] = {
    Refusal.KEY_CLOSED: lambda row: _is(row, *KEYED) and _closed(row[2]),
    Refusal.PENDING_CLOSED: lambda row: _is(row, Command.POST, Command.VOID) and _closed(row[6]),
    Refusal.RANGE_EMPTY: lambda row: _is(row, Command.CLOSE) and row[3] <= row[2],
    Refusal.RANGE_OVERLAPS: lambda row: (
        _closes(row) and any(first < row[3] and row[2] < end for first, end in CLOSED)
    ),
    Refusal.RANGES_FULL: lambda row: (
        _closes(row) and not any(first <= row[3] and row[2] <= end for first, end in CLOSED)
    ),
    Refusal.PENDING_IN_RANGE: lambda row: _closes(row) and row[2] <= 12 < row[3],
}
"""Faults of closed keys, and of what would close some. A repeat has none of them."""


def faults_of(row: Row) -> set[Refusal]:
    faults = {refusal for refusal, fault in FORM.items() if fault(row)}
    late = {refusal for refusal, fault in CLOSING.items() if fault(row)}
    if faults or (_known(row) is None and Refusal.KEY_CLOSED not in late):
        faults |= {refusal for refusal, fault in FRESH.items() if fault(row)}
    return faults | late if faults or _known(row) is None else faults


def random_rows(seed: int, n: int) -> list[Row]:
    """Rows each word of which is mostly sound: two faults at once are common, ten are not. Every third alters a known row."""
    dice = np.random.default_rng(seed)
    kinds = [*Command, *KEYED, *KEYED, *MOVES, 199, Command.HOLD - 2**62, Command.POST | 1 << 41]

    def words(sound: list[int], odd: list[int], share: float = 0.25) -> list[int]:
        picked: list[int] = np.where(
            dice.random(n) < share, dice.choice(odd, n), dice.choice(sound, n)
        ).tolist()
        return picked

    columns = [
        words([NOW, NOW + 1], [NOW - 1], 0.03),
        words([20], [*range(1, 9), *range(11, 20), *range(21, 25), 0, -1], 0.5),
        words([RICH, RICH, GUARD, WORLD, 0], [0, -1, POOR, ISSUANCE, HOLDER, 9]),
        words([POOR, POOR, WORLD, RICH, 0], [0, -1, 1, HOLDER, 9, 2]),
        words([1, 10, 0, 900], [-1, 0, 11, 990, flows.FUNDED + 1, INT64_MAX, INT64_MAX - 20]),
        words([0, 0, 12], [-1, 0, 13, 14, 15, 11, 16, 99, 12, 22, 24], 0.5),
        words([0], [-1, 7, 10**6, INT64_MAX - NOW, INT64_MAX]),
    ]
    kind = (
        dice.choice(kinds, n)
        | (dice.choice([0, 0, 0, 0, 0, 2, 4], n) << 16)
        | (dice.choice([0, 0, 0, 1], n) << 24)
    )
    rows = list(zip(kind.tolist(), *columns, strict=True))
    known = [*OPENED.values(), *BY_KEY.values(), *[BY_KEY[16]] * 6, *_closing_rows()]
    for place in range(0, n, 3):
        old, altered = known[dice.integers(len(known))], dice.random(8) < 0.2
        row = [new if change else word for new, word, change in zip(rows[place], old, altered, strict=True)]
        rows[place] = (row[0], NOW, *row[2:])
    return rows


def _closing_rows() -> list[Row]:
    """Ranges that can be closed, are closed, or cannot be; and rows whose keys are closed."""
    ranges = [
        (20, 21),
        (25, 31),
        (23, 24),
        (10, 21),
        (10, 23),
        (13, 20),
        (9, 20),
        (24, 33),
        (50, 60),
        (10, 10),
    ]
    return [
        *(close_row(NOW, first, end) for first, end in ranges),
        hold_row(NOW, 22, RICH, POOR, 10),
        (Command.VOID, NOW, 23, RICH, POOR, 0, 21, 0),
        post_row(NOW, 20, 22, 1),
    ]


def check_order(ledger: Ledger | PlainLedger, rows: list[Row]) -> list[set[Refusal]]:
    """The faults of every row that was refused; each was refused for the least of them. Leaves the ledger as it was."""
    opened(ledger)
    say(ledger, *STANDING)
    standing = ledger.snapshot()
    seen = []
    for row in rows:
        event = say(ledger, row)[-1]
        faults = faults_of(row)
        named = Refusal(event[7]) if code_of(event[0]) == Event.REFUSED else None
        assert named == min(faults, default=None), f"{row}: {named!r} of {sorted(faults)}"
        if named is None or ledger.clock_ns != NOW:
            ledger.restore(standing)
        seen.append(faults)
    return seen


@pytest.mark.parametrize("make", [Ledger, PlainLedger])
def test_the_first_declared_of_all_faults_is_named(make: type[Ledger] | type[PlainLedger]):
    seen = check_order(make(), random_rows(1, 20_000))
    met = {(first, other) for faults in seen for first in faults for other in faults if first < other}
    assert len(met) > 450
    assert {min(faults) for faults in seen if faults} == set(FORM) | set(FRESH) | set(CLOSING)
    assert any(not faults for faults in seen)


def test_a_chain_comes_before_its_rows():
    backwards, unknown = tick_row(4), (199, NOW, 20, 0, 0, 0, 0, 0)
    for make in (Ledger, PlainLedger):
        ledger = opened(make())
        say(ledger, *STANDING)
        link = Flag.LINKED << 16
        linked_unknown = (199 | link, *unknown[1:])
        linked_backwards = (Command.TICK | link, *backwards[1:])
        assert flows.refusals(say(ledger, linked_backwards)) == [Refusal.CHAIN_OPEN]
        assert flows.refusals(say(ledger, linked_unknown)) == [Refusal.CHAIN_OPEN]
        open_chain = say(ledger, linked_unknown, linked_backwards)
        assert flows.refusals(open_chain) == [Refusal.CHAIN_FAILED, Refusal.CHAIN_OPEN]
        first = (Command.TICK | link, NOW, 0, 0, 0, 0, 0, 0)
        assert flows.refusals(say(ledger, first, backwards)) == [
            Refusal.CHAIN_FAILED,
            Refusal.CHAIN_TIME_DIFFERS,
        ]
        assert (
            flows.refusals(say(ledger, first, (199, NOW + 1, *unknown[2:])))[1] == Refusal.CHAIN_TIME_DIFFERS
        )
        assert flows.refusals(say(ledger, linked_unknown, unknown)) == [
            Refusal.KIND_UNKNOWN,
            Refusal.CHAIN_FAILED,
        ]


def test_that_a_close_is_chained_is_its_last_fault():
    link = Flag.LINKED << 16
    first: Row = (Command.TICK | link, NOW, 0, 0, 0, 0, 0, 0)
    for make in (Ledger, PlainLedger):
        ledger = opened(make())
        say(ledger, *STANDING)
        for row in _closing_rows()[:10]:
            fault = min(faults_of(row), default=Refusal.CLOSE_IN_CHAIN)
            assert flows.refusals(say(ledger, first, row)) == [Refusal.CHAIN_FAILED, fault]
            linked = (row[0] | link, *row[1:])
            assert flows.refusals(say(ledger, linked, tick_row(NOW)))[0] == Refusal.FLAG_NOT_ALLOWED
            assert flows.refusals(say(ledger, linked)) == [Refusal.CHAIN_OPEN]


def test_refusals_are_numbered_without_gaps():
    assert [refusal.value for refusal in Refusal] == list(range(1, len(Refusal) + 1))
    assert all(first < second for first, second in pairwise(Refusal))

"""The order of refusals: of all that is wrong with a row at once, the one declared first is named, by both ledgers.

Each fault is stated here once more, by itself and without looking at any other. Over thousands of random rows, the answer must be
the least of the faults that are there; so every pair of faults that can meet is a test of their order.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from ciyuan.basics.rows import INT64_MAX, Row, code_of, flags_of, reason_of
from ciyuan.ledger import Command, Event, Flag, Refusal, hold_row, post_row, tick_row, transfer_row, void_row
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
    tick_row(5),
]
NOW = 5
BY_KEY: dict[int, Row] = {
    row[2]: (*row[:3], RICH, POOR, *row[5:]) if row[2] in (16, 17) else row
    for row in [*flows.opening(), *STANDING]
    if row[2]
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
}


def _is(row: Row, *kinds: Command) -> bool:
    return code_of(row[0]) in kinds


def _known(row: Row) -> Row | None:
    """What stands under the row's key, in the row's own space of keys."""
    if _is(row, Command.TICK) or row[2] <= 0:
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
    Refusal.PENDING_UNKNOWN: lambda row: _is(row, Command.POST, Command.VOID) and row[6] not in BY_KEY,
    Refusal.PENDING_NOT_A_HOLD: lambda row: _pending(row, 11, 16, 17, 18),
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
"""Faults of a row whose key is free. A repeat has none of them: what it asks was done when it could be."""


def faults_of(row: Row) -> set[Refusal]:
    faults = {refusal for refusal, fault in FORM.items() if fault(row)}
    if _known(row) is None or faults:
        faults |= {refusal for refusal, fault in FRESH.items() if fault(row)}
    return faults


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
        words([20], [*range(1, 9), *range(11, 19), 0, -1], 0.5),
        words([RICH, RICH, GUARD, WORLD, 0], [0, -1, POOR, ISSUANCE, HOLDER, 9]),
        words([POOR, POOR, WORLD, RICH, 0], [0, -1, 1, HOLDER, 9, 2]),
        words([1, 10, 0, 900], [-1, 0, 11, 990, flows.FUNDED + 1, INT64_MAX, INT64_MAX - 20]),
        words([0, 0, 12], [-1, 0, 13, 14, 15, 11, 16, 99, 12], 0.5),
        words([0], [-1, 7, 10**6, INT64_MAX - NOW, INT64_MAX]),
    ]
    kind = (
        dice.choice(kinds, n)
        | (dice.choice([0, 0, 0, 0, 0, 2, 4], n) << 16)
        | (dice.choice([0, 0, 0, 1], n) << 24)
    )
    rows = list(zip(kind.tolist(), *columns, strict=True))
    known = [*OPENED.values(), *BY_KEY.values(), *[BY_KEY[16]] * 6]
    for place in range(0, n, 3):
        old, altered = known[dice.integers(len(known))], dice.random(8) < 0.2
        row = [new if change else word for new, word, change in zip(rows[place], old, altered, strict=True)]
        rows[place] = (row[0], NOW, *row[2:])
    return rows


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
    assert len(met) > 400
    assert {min(faults) for faults in seen if faults} == set(FORM) | set(FRESH)
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


def test_refusals_are_numbered_without_gaps():
    assert [refusal.value for refusal in Refusal] == list(range(1, len(Refusal) + 1))
    assert all(first < second for first, second in pairwise(Refusal))

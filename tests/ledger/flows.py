"""Command flows for the ledger's tests: few keys, accounts and amounts, so that everything that can collide does."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ciyuan.basics.rows import INT64_MAX, Row
from ciyuan.ledger import (
    AccountFlag,
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

AnyLedger = Ledger | PlainLedger
L = TypeVar("L", bound=AnyLedger)
MONEY, RECEIPTS = 1, 101
WORLD, RICH, POOR, GUARD, ISSUANCE, HOLDER = 1, 2, 3, 4, 5, 6
"""Accounts of `opened`: WORLD and ISSUANCE may be overdrawn, the others may not."""
FUNDED = 1_000


def matrix(rows: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    """Rows as a batch."""
    return np.array(list(rows), dtype=np.int64).reshape(-1, 8)


def say(ledger: AnyLedger, *rows: Row) -> list[list[int]]:
    """Apply rows as one batch; the events as lists."""
    answer: list[list[int]] = ledger.apply(matrix(rows)).tolist()
    return answer


def codes(events: list[list[int]]) -> list[Event]:
    """The events' codes."""
    return [Event(event[0] & 0xFFFF) for event in events]


def refusals(events: list[list[int]]) -> list[Refusal]:
    """Why, of the events that are refusals."""
    return [Refusal(event[7]) for event in events if event[0] & 0xFFFF == Event.REFUSED]


def opening() -> list[Row]:
    """Six accounts in two assets; RICH, GUARD and HOLDER start with FUNDED, POOR with nothing."""
    guarded = AccountFlag.NO_OVERDRAFT
    return [
        open_row(0, WORLD, MONEY),
        open_row(0, RICH, MONEY, guarded),
        open_row(0, POOR, MONEY, guarded),
        open_row(0, GUARD, MONEY, guarded),
        open_row(0, ISSUANCE, RECEIPTS),
        open_row(0, HOLDER, RECEIPTS, guarded),
        transfer_row(0, 2**50 + 1, WORLD, RICH, FUNDED),
        transfer_row(0, 2**50 + 2, WORLD, GUARD, FUNDED),
        transfer_row(0, 2**50 + 3, ISSUANCE, HOLDER, FUNDED),
    ]


def opened(ledger: L) -> L:
    """The ledger with the accounts of `opening`."""
    assert Event.REFUSED not in codes(say(ledger, *opening()))
    return ledger


_SPOILS = (0, -1, 1, 2, 7, 99, INT64_MAX)
_AMOUNTS = (1, 5, 5, 40, 40, 300, 900, INT64_MAX - 2 * FUNDED)
_TIMEOUTS = (0, 1, 2, 3, 5, 8, 13, 0)
_ACTIONS = (
    *("transfer", "hold", "hold", "hold", "post", "post", "post", "void", "again", "again"),
    *("altered", "altered", "spoiled", "open", "tick", "close", "close"),
)
_steps = st.tuples(st.sampled_from(_ACTIONS), *[st.integers(0, 7)] * 5)


def rows(least: int = 25) -> st.SearchStrategy[list[Row]]:
    """At least so many commands: movements and holds, posts and voids of holds made before, chains, and rows presented again,
    whole, with a word altered, or spoiled from the start. Time stands still more often than it runs, and sometimes goes back."""
    return st.lists(_steps, min_size=least, max_size=least + 20).map(_flow)


def _flow(steps: list[tuple[str, int, int, int, int, int]]) -> list[Row]:
    flow: list[Row] = []
    now, accounts = 0, HOLDER
    for action, a, b, c, d, e in steps:
        linked = bool(flow) and bool(flow[-1][0] >> 16 & Flag.LINKED)
        if not linked or a == b:
            now += (0, 0, 0, 0, 1, 1, 2, a)[e]
        accounts += action == "open" and a < 6
        row = _row(action, (a, b, c, d), now - (a == b == e), len(flow) + 1, accounts, flow)
        links = action != "again" and (c + d + e) % 6 == 0
        flow.append((row[0] | (Flag.LINKED if links else 0) << 16, *row[1:]))
    return flow


def _row(
    action: str, dice: tuple[int, int, int, int], now: int, key: int, accounts: int, flow: list[Row]
) -> Row:
    a, b, c, d = dice
    holds = [row for row in flow if row[0] & 0xFFFF == Command.HOLD]
    if action == "open":
        return open_row(now, accounts, MONEY if b else RECEIPTS, c % 2)
    if action == "tick":
        return tick_row(now)
    if action in ("post", "void") and holds:
        held = holds[-1 - a % len(holds)]
        if action == "void":
            return void_row(now, key, held[2])
        return post_row(now, key, held[2], min(held[5], _AMOUNTS[b]) - c % 2, keep=d % 2 == 0)
    if action == "close":
        return _closing(now, a, b, key, flow)
    if action in ("again", "altered") and flow:
        old = list(flow[-1 - (a * 8 + b) % len(flow)])
        old[1] = now
        e = (a + b + c) % 8
        if action == "altered":
            old[0] ^= (c == 0) << 24
            old[2 + d % 6] = (_SPOILS[e] if e < 7 else old[2 + d % 6] - 1) if c else old[2 + d % 6]
        return _as_row(old)
    debit, credit = _sides(a, b)
    moved = (now, key, debit, credit, _AMOUNTS[c])
    fresh = hold_row(*moved, _TIMEOUTS[d]) if action == "hold" else transfer_row(*moved, reason=d // 6)
    if action != "spoiled":
        return fresh
    spoiled = list(fresh)
    word = (0, 2, 3, 4, 5, 6, 7, 0)[a]
    spoiled[word] = (199, fresh[0] | 4 << 16, fresh[0] | 1 << 41)[b % 3] if word == 0 else _SPOILS[b % 7]
    return _as_row(spoiled)


def _closing(now: int, a: int, b: int, key: int, flow: list[Row]) -> Row:
    """A range of the last keys or of any before, often one that begins where one ended or ends where one began."""
    before = [row for row in flow if row[0] & 0xFFFF == Command.CLOSE and 0 < row[2] < row[3] < 2**50]
    first = 1 + (a * 8 + b) % key if b < 6 else 2**50 + 1 + a % 4
    if before and a % 3 == 1:
        first = before[-1][3]
    if before and a % 3 == 2:
        return close_row(now, max(before[-1][2] - b, 1), before[-1][2])
    return close_row(now, first, first + (1, 1, 2, 3, 5, 9, 2, 1)[b], reason=a // 7)


def _sides(a: int, b: int) -> tuple[int, int]:
    """Mostly two accounts in money, sometimes two in receipts, rarely one of each or twice the same."""
    if a == 7:
        return (HOLDER, ISSUANCE) if b else (HOLDER, RICH)
    debit = (WORLD, RICH, RICH, GUARD, GUARD, GUARD, POOR)[a]
    credit = (POOR, GUARD, RICH, WORLD, POOR, GUARD, RICH, POOR)[b]
    return debit, credit if credit != debit or b == 5 else WORLD


def _as_row(words: list[int]) -> Row:
    a, b, c, d, e, f, g, h = words
    return (a, b, c, d, e, f, g, h)


def chains(flow: list[Row]) -> list[list[Row]]:
    """The flow cut where no chain is: single rows and whole chains."""
    cut: list[list[Row]] = [[]]
    for row in flow:
        cut[-1].append(row)
        if not row[0] >> 16 & Flag.LINKED:
            cut.append([])
    return [chain for chain in cut if chain]

"""What may enter a ledger: batches of the right shape, snapshots that are snapshots. Both twins ask here.

What a *row* says is never malformed: a row that cannot be done is refused, by an event. Only what is not rows at all is.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.rows import CODE_MASK, INT64_MAX, KIND, ROW_WORDS, TIME
from ciyuan.ledger.book import ASSET, CREDITS_PENDING, CREDITS_POSTED, DEBITS_PENDING, DEBITS_POSTED
from ciyuan.ledger.laws import check_books, check_closed
from ciyuan.ledger.messages import AMOUNT, CREDIT, DEBIT, KEY, TIMEOUT, Command, HoldStatus

PART_WIDTHS = {"accounts": ROW_WORDS, "transfers": ROW_WORDS, "holds": 3, "closed": 2, "clock": 1}
REMEDY = "Take the snapshot again; this one was not made by a ledger or has been changed since."


def checked_batch(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The batch itself if it is a C-contiguous (n, 8) int64 matrix, else raises Malformed."""
    if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != ROW_WORDS or not rows.flags.c_contiguous:
        raise Malformed(
            "a ledger batch",
            found=f"{rows.dtype} {rows.shape}",
            expected="a C-contiguous (n, 8) int64 matrix",
            remedy="Make it with np.ascontiguousarray(rows, dtype=np.int64).reshape(-1, 8).",
        )
    return rows


def unknown_account(number: int, account_count: int) -> Malformed:
    """The error for a question about an account that is not open."""
    return Malformed(
        "an account number",
        found=number,
        expected=f"1 to {account_count}, the accounts that are open",
        remedy="Open it with an OPEN row first.",
    )


def checked_parts(parts: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """The parts of a snapshot, C-contiguous, if a ledger could have made them; else raises Malformed."""
    if set(parts) != set(PART_WIDTHS):
        raise _not_a_snapshot("names", sorted(parts), f"{sorted(PART_WIDTHS)}")
    for name, width in PART_WIDTHS.items():
        part = parts[name]
        if part.dtype != np.int64 or part.ndim != 2 or part.shape[1] != width:
            raise _not_a_snapshot(name, f"{part.dtype} {part.shape}", f"an (n, {width}) int64 matrix")
    checked = {name: np.ascontiguousarray(parts[name]) for name in PART_WIDTHS}
    if checked["clock"].shape != (1, 1) or checked["clock"][0, 0] < 0:
        raise _not_a_snapshot("clock", checked["clock"].tolist(), "one time, 0 or later")
    _check_accounts(checked["accounts"])
    _check_transfers(checked["transfers"], checked["accounts"], int(checked["clock"][0, 0]))
    _check_closed(checked["closed"], checked["transfers"])
    _check_holds(checked["holds"], checked["transfers"])
    _check_sums(checked)
    return checked


def _check_accounts(accounts: NDArray[np.int64]) -> None:
    try:
        check_books(accounts)
    except InvariantBroken as broken:
        raise _not_a_snapshot("accounts", broken.detail, f"that {broken.law}") from broken


def _check_transfers(transfers: NDArray[np.int64], accounts: NDArray[np.int64], clock_ns: int) -> None:
    codes, keys, times = transfers[:, KIND] & CODE_MASK, transfers[:, KEY], transfers[:, TIME]
    sides, timeouts = transfers[:, DEBIT : CREDIT + 1], transfers[:, TIMEOUT]
    laws = {
        "kinds from TRANSFER to VOID": np.all((codes >= Command.TRANSFER) & (codes <= Command.VOID)),
        "keys of 1 or more, each once": np.all(keys > 0) and len(np.unique(keys)) == len(keys),
        "times in order, none after the clock": np.all(np.diff(times, prepend=0) >= 0)
        and np.all(times <= clock_ns),
        "accounts that are open": np.all((sides >= 1) & (sides <= len(accounts))),
        "amounts of 0 or more": np.all(transfers[:, AMOUNT] >= 0),
        "timeouts within the age of the clock": np.all((timeouts >= 0) & (timeouts <= INT64_MAX - times)),
    }
    for law, kept in laws.items():
        if not kept:
            raise _not_a_snapshot("transfers", "rows that break it", law)
    assets = accounts[sides - 1, ASSET]
    if not np.array_equal(assets[:, 0], assets[:, 1]):
        raise _not_a_snapshot("transfers", "rows that break it", "two accounts of one asset")


def _check_closed(closed: NDArray[np.int64], transfers: NDArray[np.int64]) -> None:
    try:
        check_closed(closed, transfers[:, KEY])
    except InvariantBroken as broken:
        raise _not_a_snapshot("closed", broken.detail, f"that {broken.law}") from broken


def _check_holds(holds: NDArray[np.int64], transfers: NDArray[np.int64]) -> None:
    index, status, remaining = holds.T
    held = np.flatnonzero((transfers[:, KIND] & CODE_MASK) == Command.HOLD)
    if not np.array_equal(index, held):
        raise _not_a_snapshot(
            "holds", f"{len(holds)} rows", f"one row for each of the {len(held)} HOLD transfers, in order"
        )
    known = (status >= HoldStatus.PENDING) & (status <= HoldStatus.EXPIRED)
    pending = status == HoldStatus.PENDING
    fits = np.where(pending, (remaining > 0) & (remaining <= transfers[held, AMOUNT]), remaining == 0)
    if not np.all(known & fits):
        raise _not_a_snapshot(
            "holds", "rows that break it", "a known status, and a remainder exactly while pending"
        )


def _check_sums(parts: Mapping[str, NDArray[np.int64]]) -> None:
    """An account's sums are what its transfers posted and its holds still hold. What was forgotten was posted, too."""
    transfers, holds, accounts = parts["transfers"], parts["holds"], parts["accounts"]
    held = transfers[holds[:, 0]].copy()
    held[:, AMOUNT] = holds[:, 2]
    posting = transfers[(transfers[:, KIND] & CODE_MASK) != Command.HOLD]
    pending = accounts[:, [DEBITS_PENDING, CREDITS_PENDING]] - _sums(held, len(accounts))
    posted = accounts[:, [DEBITS_POSTED, CREDITS_POSTED]] - _sums(posting, len(accounts))
    forgotten = len(parts["closed"]) > 0
    if np.any(pending) or np.any(posted < 0 if forgotten else posted):
        raise _not_a_snapshot(
            "accounts", "sums that differ", "the sums of the transfers and of what is still held"
        )


def _sums(rows: NDArray[np.int64], account_count: int) -> NDArray[np.int64]:
    """(account_count, 2): what the rows debit and what they credit."""
    sums = np.zeros((account_count + 1, 2), dtype=np.int64)
    np.add.at(sums[:, 0], rows[:, DEBIT], rows[:, AMOUNT])
    np.add.at(sums[:, 1], rows[:, CREDIT], rows[:, AMOUNT])
    return sums[1:]


def _not_a_snapshot(part: str, found: object, expected: str) -> Malformed:
    return Malformed(f"ledger snapshot, {part}", found=found, expected=expected, remedy=REMEDY)

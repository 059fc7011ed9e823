"""The laws of a ledger's accounts and of its closed keys, checked over the whole matrices.

| law | says |
|---|---|
| sums to zero | of every asset, debits equal credits, the posted ones and the pending ones apart |
| not negative | no sum of an account is below zero, none beyond int64 |
| not overdrawn | a guarded account's debits, posted and pending, are covered by its posted credits |
| closed keys | the closed ranges are few, in order and apart, and no row is known by a key of theirs |
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import INT64_MAX
from ciyuan.ledger.book import ASSET, CREDITS_POSTED, DEBITS_PENDING, FLAGS
from ciyuan.ledger.messages import CLOSED_RANGES_MAX, AccountFlag


def check_books(accounts: NDArray[np.int64]) -> None:
    """Raise InvariantBroken if the (n + 1, 8) accounts matrix (row 0 unused) breaks a law. Sums are exact, beyond int64 too."""
    totals: dict[int, list[int]] = {}
    for number, account in enumerate(accounts.tolist()):
        sums = account[DEBITS_PENDING : CREDITS_POSTED + 1]
        _check_account(number, account[FLAGS], sums)
        total = totals.setdefault(account[ASSET], [0, 0, 0, 0])
        for place, amount in enumerate(sums):
            total[place] += amount
    for asset, (debits_pending, debits_posted, credits_pending, credits_posted) in totals.items():
        if debits_posted != credits_posted or debits_pending != credits_pending:
            detail = f"asset {asset}: posted {debits_posted} | {credits_posted}, pending {debits_pending} | {credits_pending}"
            raise InvariantBroken("every asset's ledger sums to zero", detail)


def check_closed(closed: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
    """Raise InvariantBroken if the (n, 2) `closed` ranges break a law, or one of the (m,) `keys` of known rows is closed."""
    ends = closed.ravel()
    if len(closed) > CLOSED_RANGES_MAX or np.any(ends < 1) or np.any(ends[1:] <= ends[:-1]):
        raise InvariantBroken(
            f"at most {CLOSED_RANGES_MAX} closed ranges, in order and apart", f"ranges {closed.tolist()}"
        )
    known = keys[np.searchsorted(ends, keys, side="right") % 2 == 1]
    if len(known):
        raise InvariantBroken("what is closed is forgotten", f"rows are known by {known[:3].tolist()}")


def _check_account(number: int, flags: int, sums: list[int]) -> None:
    debited, credited = sums[0] + sums[1], sums[2] + sums[3]
    if min(sums) < 0 or max(debited, credited) > INT64_MAX:
        raise InvariantBroken("an account's sums are amounts", f"account {number}: {sums}")
    if flags & AccountFlag.NO_OVERDRAFT and debited > sums[3]:
        raise InvariantBroken(
            "a guarded account is never overdrawn", f"account {number}: debits {debited}, credits {sums[3]}"
        )

"""Credits of the ladder (§6.3): what the margins of opposite positions are lowered by, from an explicit table.

| the table's row | pairs |
|---|---|
| a grade with itself | all two months of it, the nearest to each other first, then the nearer ones |
| two grades | the same month of both, the nearer months first |

Of each pair in turn, as many lots as are long in one and short in the other, and are in no pair yet, get back
`rate_bp` of the margins of both. Only futures of one kind and lot are paired, and none in its delivery month or later: what is
delivered soon follows nothing but its own fixings. A credit is never more than what the ladder asks for the same lots.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import month_of
from ciyuan.clearing.margin import BP
from ciyuan.clearing.terms import SpreadCredit
from ciyuan.exchange.contract import Contract

Ints = NDArray[np.int64]
Pair = tuple[int, int, int]
"""The places of two contracts, and the rate of their credit in basis points."""
MONTHS = 12


def pairs_of(contracts: Sequence[Contract], table: Sequence[SpreadCredit], day: int) -> list[Pair]:
    """The pairs of these futures on a trading day, in the order in which lots are matched."""
    pairs: list[Pair] = []
    for row in table:
        found = [
            (_apart(first, second), min(first.month, second.month), place, other)
            for (place, first), (other, second) in combinations(enumerate(contracts), 2)
            if _is_paired(first, second, row) and min(first.month, second.month) > month_of(day)
        ]
        pairs += [(place, other, row.rate_bp) for _, _, place, other in sorted(found)]
    return pairs


def _apart(first: Contract, second: Contract) -> int:
    """Months between two contracts' months."""
    years, months = divmod(abs(_count(first.month) - _count(second.month)), MONTHS)
    return years * MONTHS + months


def _count(month: int) -> int:
    return month // 100 * MONTHS + month % 100


def _is_paired(first: Contract, second: Contract, row: SpreadCredit) -> bool:
    alike = first.kind == second.kind and first.lot_mtok == second.lot_mtok
    if row.grade == row.other_grade:
        return alike and first.grade == second.grade == row.grade
    return (
        alike and {first.grade, second.grade} == {row.grade, row.other_grade} and first.month == second.month
    )


def credits_micro(lots: Ints, margin_lot_micro: Ints, pairs: Sequence[Pair]) -> Ints:
    """Each account's credit in micro-units, (accounts,), for net lots (accounts, contracts) at the margins of a lot
    (contracts,).
    """
    left, credit = lots.copy(), np.zeros(len(lots), dtype=np.int64)
    for one, other, rate_bp in pairs:
        first, second = left[:, one], left[:, other]
        opposite = np.sign(first) * np.sign(second) < 0
        matched = np.where(opposite, np.minimum(np.abs(first), np.abs(second)), 0)
        credit += matched * int(int(margin_lot_micro[one] + margin_lot_micro[other]) * rate_bp // BP)
        left[:, one], left[:, other] = first - np.sign(first) * matched, second - np.sign(second) * matched
    return credit

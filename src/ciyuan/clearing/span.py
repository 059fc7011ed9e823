"""SPAN risk arrays of futures: sixteen scenarios, and the worst of them for a portfolio. For comparison; not what is asked (§6).

SPAN (Standard Portfolio Analysis of Risk, CME, 1988) margins a *combined commodity*: everything on one underlying, here the
months of one grade. What a long lot loses in each scenario is its *risk array*; a loss is positive (CME, "Components of SPAN").

| scenario | price, parts of the scan range | volatility | counts |
|---|---|---|---|
| 1, 2 | 0 | up, down | whole |
| 3, 4 and 5, 6 | + 1/3 and - 1/3 | up, down | whole |
| 7, 8 and 9, 10 | + 2/3 and - 2/3 | up, down | whole |
| 11, 12 and 13, 14 | + 3/3 and - 3/3 | up, down | whole |
| 15 and 16 | + and - the extreme move | unchanged | in part |

The scan range of a contract is its margin by the ladder (CME sets it to the maintenance margin). The extreme move is a parameter
of each SPAN file: a multiple of the scan range, of which a fraction is covered. The classical pair is twice and 35%, so 0.7 of
the range (McMillan, "Options as a Strategic Investment", chapter 34: a range of 10,000 and an extreme move of 7,000). It is meant
for options far from the money; of a future it is never the worst. Volatility moves no future.

Scan risk nets months against each other lot by lot as if they moved as one; SPAN adds a spread charge for that, which is not
here: scenario margin (§6.2) knows how far months moved apart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_half_up
from ciyuan.clearing.margin import BP

Ints = NDArray[np.int64]

THIRDS = (0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3)
"""Moves of the price in scenarios 1 to 14, in thirds of the scan range."""
SCENARIOS = len(THIRDS) + 2
RANGE_MAX = 2**50


@dataclass(frozen=True, slots=True)
class Extreme:
    """Scenarios 15 and 16: 1 to 10 times the scan range, of which `covered_bp` counts; Malformed outside."""

    multiple: int = 2
    covered_bp: int = 3_500

    def __post_init__(self) -> None:
        if not (1 <= self.multiple <= 10 and 0 <= self.covered_bp <= BP):
            raise Malformed("extreme move", found=(self.multiple, self.covered_bp), expected="1 to 10 times, 0 to 10,000 bp",
                            remedy="See the parameters of the SPAN file.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScanRisk:
    """The worst of the sixteen for a portfolio: micro-dollars, not below zero; its scenario, from 1, the first of equals; and all
    sixteen losses.
    """

    risk_micro: int
    scenario: int
    losses_micro: tuple[int, ...]


CLASSICAL = Extreme()
"""Twice the scan range, 35% covered."""


def risk_array_micro(scan_range_micro: int, extreme: Extreme = CLASSICAL) -> Ints:
    """What one long lot of a future loses in each scenario, (16,) int64 micro-dollars, each size rounded half up.

    Raises Malformed for a scan range that is not between 1 and `RANGE_MAX`.
    """
    if not 1 <= scan_range_micro <= RANGE_MAX:
        raise Malformed("scan range", found=scan_range_micro, expected=f"1 to {RANGE_MAX:,} micro-dollars a lot",
                        remedy="Give the margin of a lot by the ladder.")  # fmt: skip
    far = div_half_up(scan_range_micro * extreme.multiple * extreme.covered_bp, BP)
    thirds = [div_half_up(scan_range_micro * size, 3) for size in range(4)]
    losses = [thirds[-third] if third < 0 else -thirds[third] for third in THIRDS]
    return np.array([*losses, -far, far], dtype=np.int64)


def scan_risk(lots: Ints, arrays_micro: Ints) -> ScanRisk:
    """Scan risk of `lots` (k,) int64 in the contracts of one combined commodity, by their `arrays_micro` (k, 16) int64.

    Raises Malformed for shapes that do not fit each other.
    """
    if arrays_micro.shape != (len(lots), SCENARIOS):
        raise Malformed("risk arrays", found=arrays_micro.shape, expected=f"({len(lots)}, {SCENARIOS})",
                        remedy="Give one array for each contract of the combined commodity.")  # fmt: skip
    held, columns = lots.tolist(), arrays_micro.T.tolist()
    losses = tuple(sum(x * loss for x, loss in zip(held, column, strict=True)) for column in columns)
    worst = max(losses)
    return ScanRisk(max(0, worst), losses.index(worst) + 1, losses)

"""The hedge: how many lots to buy for what will be used.

The minimum-variance ratio of a price p to a reference f is cov(dp, df) / var(df) over paired changes (Ederington, "The Hedging
Performance of the New Futures Markets", Journal of Finance 34(1), 1979): the slope of the price's changes on the reference's.
Rounding to whole lots is exact: the float ratio is taken at its own binary value.
"""

from fractions import Fraction
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_half_up
from ciyuan.desk.messages import CENTI_PER_MTOK, Basis, Finding, HedgePlan, HedgeRatio

POINTS_MIN = 10
"""Paired changes below which no ratio is estimated: of ten the slope's standard error is a third of sd(unexplained) / sd(df)."""
PLAIN_RATIO = 1.0
ROUNDING = 1e-9
"""Moves that differ by less than this share of the level are rounding, not moves."""


def lots_to_hedge(exposure_mtok: float | Fraction, lot_mtok: int, ratio: float = PLAIN_RATIO) -> int:
    """Whole lots nearest to `exposure_mtok` times `ratio`, a half up. Raises Malformed for anything negative or not finite."""
    for name, value, least in (("exposure", exposure_mtok, 0), ("lot", lot_mtok, 1), ("ratio", ratio, 0)):
        if not (isfinite(value) and value >= least):
            raise Malformed(f"hedge, {name}", found=value, expected=f"a number of {least} or more",
                            remedy="A buyer hedges by buying; give sizes without a sign.")  # fmt: skip
    return _half_up(Fraction(exposure_mtok) * Fraction(ratio) / lot_mtok)


def hedge_ratio(
    price: NDArray[np.float64], reference: NDArray[np.float64], points_min: int = POINTS_MIN
) -> HedgeRatio:
    """The minimum-variance ratio of a price series to the index or future that is to hedge it.

    Both (n,), one entry a day in order, any unit that is the same for both; nan where a day has none. A change is from one entry
    to the next and counts if both series have both. Raises Malformed for different lengths and for infinities.
    """
    if (
        price.shape != reference.shape
        or price.ndim != 1
        or np.isinf(price).any()
        or np.isinf(reference).any()
    ):
        raise Malformed("price series", found=f"{price.shape} and {reference.shape}", expected="two (n,) series, finite or nan",
                        remedy="Align the two by day.")  # fmt: skip
    changes, moves = np.diff(price), np.diff(reference)
    known = ~np.isnan(changes) & ~np.isnan(moves)
    changes, moves = changes[known], moves[known]
    points = len(changes)
    if points < max(points_min, 2):
        return HedgeRatio(PLAIN_RATIO, points, None, Finding.TOO_FEW_POINTS)
    spread, swing = changes - changes.mean(), moves - moves.mean()
    if np.ptp(moves) <= ROUNDING * np.nanmax(np.abs(reference)):
        return HedgeRatio(PLAIN_RATIO, points, None, Finding.INDEX_STOOD_STILL)
    together, own = float(spread @ swing), float(spread @ spread)
    ratio = together / float(swing @ swing)
    return HedgeRatio(ratio, points, together * ratio / own if own > 0 else None, None)


def ratio_of(basis: Basis, points_min: int = POINTS_MIN) -> HedgeRatio:
    """The ratio of a customer's price to the fixings, over the days on which both are known."""
    price, fixing = (
        column[basis.known].astype(np.float64) for column in (basis.price_micro, basis.fixing_micro)
    )
    return hedge_ratio(price, fixing, points_min)


def plan_hedge(exposure_centitokens: int, lot_mtok: int, ratio: HedgeRatio) -> HedgePlan:
    """The hedge of an exposure in whole lots, and what it leaves open. Raises Malformed for a negative exposure or lot."""
    findings = [] if ratio.finding is None else [ratio.finding]
    share = ratio.ratio
    if share < 0:
        findings.append(Finding.NEGATIVE_RATIO)
        share = 0.0
    lots = lots_to_hedge(Fraction(exposure_centitokens, CENTI_PER_MTOK), lot_mtok, share)
    target = _half_up(exposure_centitokens * Fraction(share))
    if not exposure_centitokens:
        findings.append(Finding.NO_USAGE)
    elif not lots and share > 0:
        findings.append(Finding.UNDER_HALF_A_LOT)
    return HedgePlan(exposure_centitokens, lot_mtok, ratio, target, lots, tuple(findings))


def _half_up(value: Fraction) -> int:
    return div_half_up(value.numerator, value.denominator)

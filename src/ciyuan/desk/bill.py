"""The bill with and without the hedge, by day, and whether the hedge made it steadier.

A future on the mean of a month's fixings earns on each fixed day one part in B of (fixing - locked price), B being the number of
fixed days: that is the hedge of that day's purchases, and is how its profit is put to days here. The variation that clearing
pays is another series: on each day it marks the whole position, so it comes early and moves much more. Both sum to the same.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.money import div_half_up
from ciyuan.desk.messages import CENTI_PER_MTOK, DayBills, Exposure, FuturesResult

DAYS_MIN = 2
"""Days below which nothing is said of variance."""


def day_bills(exposure: Exposure, fixings: Mapping[int, int], futures: FuturesResult) -> DayBills:
    """The month's bills by day. What rounding leaves over, of all days together, is put to the last one."""
    days = exposure.days.tolist()
    earned = _earned(days, fixings, futures)
    fees = spread(futures.fees_micro, [1 if part is not None else 0 for part in earned])
    hedge = [part or 0 for part in earned]
    hedge[-1] += futures.variation_micro - sum(hedge)
    net = np.array(hedge, dtype=np.int64) - np.array(fees, dtype=np.int64)
    return DayBills(
        exposure.days, exposure.charge_micro, net, exposure.charge_micro - net, _locked(exposure, futures)
    )


def _earned(days: Sequence[int], fixings: Mapping[int, int], futures: FuturesResult) -> list[int | None]:
    """What the futures earned on each day; None on days that earn nothing because they have no fixing.

    If the settlement did not stand on the month's own fixings (rule 85), or there are none, the days share alike.
    """
    fixed = [day for day in days if day in fixings]
    if futures.rule or not fixed:
        return list(spread(futures.variation_micro, [1] * len(days)))
    held, cost = futures.net_mtok, futures.cost_micro
    earned: list[int | None] = []
    so_far = told = 0
    for day in days:
        if day not in fixings:
            earned.append(None)
            continue
        so_far += held * fixings[day] - cost
        earned.append(div_half_up(so_far, len(fixed)) - told)
        told += earned[-1] or 0
    return earned


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts in proportion to weights of 0 or more, not all 0; the parts sum to it exactly."""
    whole, so_far, told = sum(weights), 0, 0
    parts = []
    for weight in weights:
        so_far += weight
        parts.append(div_half_up(total * so_far, whole) - told)
        told += parts[-1]
    return parts


def _locked(exposure: Exposure, futures: FuturesResult) -> NDArray[np.int64] | None:
    """Each day's use at the locked price, half up."""
    held, cost = futures.net_mtok, futures.cost_micro
    if not held:
        return None
    cost, held = (cost, held) if held > 0 else (-cost, -held)
    used = exposure.centitokens.tolist()
    return np.array([div_half_up(tokens * cost, held * CENTI_PER_MTOK) for tokens in used], dtype=np.int64)


def bill_variance_reduction(bills: DayBills) -> float | None:
    """1 - var(hedged) / var(unhedged) over the days; None if the unhedged bill does not vary."""
    if len(bills.days) < DAYS_MIN or not np.ptp(bills.unhedged_micro):
        return None
    return 1.0 - float(np.var(bills.hedged_micro) / np.var(bills.unhedged_micro))


def price_variance_reduction(bills: DayBills) -> float | None:
    """1 - sum of (hedged - locked)^2 / sum of (unhedged - locked)^2; None without a locked price, or if no day is off it."""
    if bills.locked_micro is None:
        return None
    before = (bills.unhedged_micro - bills.locked_micro).astype(np.float64)
    after = (bills.hedged_micro - bills.locked_micro).astype(np.float64)
    return 1.0 - float(after @ after) / float(before @ before) if before.any() else None

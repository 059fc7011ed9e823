"""Who hedges how much before the month: planned use in lots, and the cash that the margin asks for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.money import MICRO
from ciyuan.desk.hedge import lots_to_hedge
from ciyuan.simulation.chance import stream
from ciyuan.simulation.scenario import Scenario

PLAN_ERROR = 0.06
"""Standard deviation of a buyer's plan against what it will use, as a share."""
CASH_PER_LOT_MICRO = 700 * MICRO
"""Cash a hedger keeps per lot: two thirds of a lot's value, over twice the delivery month's margin."""
LEAST_CASH_MICRO = 20_000 * MICRO


@dataclass(frozen=True, slots=True)
class HedgePlan:
    """`planned_mtok`: a hedging buyer's plan for the month. `targets`: participant -> contract -> signed lots.
    `cash_micro`: per hedger.
    """

    planned_mtok: Mapping[int, int]
    targets: Mapping[int, Mapping[int, int]]
    cash_micro: Mapping[int, int]


def plan_hedges(scenario: Scenario, buyers: tuple[int, ...], factories: tuple[int, ...], use_mtok: NDArray[np.float64],
                contract: int, lot_mtok: int) -> HedgePlan:  # fmt: skip
    """The first buyers hedge their plan (their use of the month, `use_mtok` (buyers,), known with an error); the
    factories sell as much in equal parts.
    """
    luck = stream(scenario.seed, "plans")
    hedging = buyers[: round(len(buyers) * scenario.hedging_buyers_share)]
    errors = luck.normal(1.0, PLAN_ERROR, len(buyers))
    planned = {
        buyer: int(use_mtok[place] * errors[place])
        for place, buyer in enumerate(hedging)
        if use_mtok[place] > 0
    }
    lots = {buyer: lots_to_hedge(mtok, lot_mtok, scenario.hedge_ratio) for buyer, mtok in planned.items()}
    total = sum(lots.values())
    signed = dict(lots)
    for place, factory in enumerate(factories):
        signed[factory] = -(total // len(factories) + (place < total % len(factories)))
    targets = {account: {contract: size} for account, size in signed.items()}
    cash = {
        account: max(LEAST_CASH_MICRO, abs(size) * CASH_PER_LOT_MICRO) for account, size in signed.items()
    }
    return HedgePlan(planned, targets, cash)

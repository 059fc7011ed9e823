"""The report: what a customer's hedge did, taken apart so that it adds up to the micro-unit.

With V the use and Q the hedged amount in MTok, S the settlement price, C the cost of the trades at their prices:

| amount | is | what it means |
|---|---|---|
| locked | C | the hedged amount at the prices at which it was bought |
| volume | V S - Q S | used beyond what was hedged, or short of it, at the index |
| basis | charges - V S | paid above the index |
| settlement | Q S - C - variation | what the settlement price says the futures brought, less what was paid |
| fees | fees | |

They sum to charges - variation + fees, the hedged month, for any S. V S is rounded once, half up, and enters twice with opposite
signs; every other term is exact.
"""

from collections.abc import Mapping

from ciyuan.basics.money import div_half_up
from ciyuan.desk.basis import basis_of
from ciyuan.desk.bill import bill_variance_reduction, day_bills, price_variance_reduction
from ciyuan.desk.messages import (
    CENTI_PER_MTOK,
    NO_FUTURES,
    Decomposition,
    Exposure,
    Finding,
    FuturesResult,
    HedgeReport,
    per_mtok,
)


def decompose(exposure: Exposure, futures: FuturesResult, settlement_micro: int) -> Decomposition:
    """The hedged month taken apart at a settlement price per MTok."""
    at_index = div_half_up(exposure.total_centitokens * settlement_micro, CENTI_PER_MTOK)
    hedged_at_index = futures.net_mtok * settlement_micro
    return Decomposition(
        locked_micro=futures.cost_micro,
        volume_micro=at_index - hedged_at_index,
        basis_micro=exposure.total_charge_micro - at_index,
        settlement_micro=hedged_at_index - futures.cost_micro - futures.variation_micro,
        fees_micro=futures.fees_micro,
    )


def hedge_report(
    exposure: Exposure,
    fixings: Mapping[int, int],
    futures: FuturesResult = NO_FUTURES,
    mean_micro: int | None = None,
    business_days: int | None = None,
) -> HedgeReport:
    """The report on a customer's month.

    `fixings`: the month's fixings of the standard token, day to micro per MTok. `mean_micro` is the month's mean fixing, which
    stands in where the futures have no final settlement. `business_days`: how many fixings there should be; None: not checked.
    """
    settlement = futures.final_micro if futures.final_micro is not None else mean_micro
    used, unhedged = exposure.total_centitokens, exposure.total_charge_micro
    hedged = unhedged - futures.variation_micro + futures.fees_micro
    in_month = {day: value for day, value in fixings.items() if exposure.days[0] <= day <= exposure.days[-1]}
    bills = day_bills(exposure, in_month, futures)
    return HedgeReport(
        exposure=exposure,
        futures=futures,
        unhedged_micro=unhedged,
        hedged_micro=hedged,
        unhedged_price_micro=exposure.price_micro,
        hedged_price_micro=per_mtok(hedged, used) if used else None,
        bills=bills,
        basis=basis_of(exposure, in_month),
        bill_variance_reduction=bill_variance_reduction(bills),
        price_variance_reduction=price_variance_reduction(bills),
        decomposition=None if settlement is None else decompose(exposure, futures, settlement),
        findings=_findings(exposure, len(in_month), business_days, futures, settlement),
    )


def _findings(
    exposure: Exposure, fixed: int, business_days: int | None, futures: FuturesResult, settlement: int | None
) -> tuple[Finding, ...]:
    checks = (
        (Finding.NO_USAGE, not exposure.total_centitokens),
        (Finding.NO_FUTURES, not futures.trades),
        (Finding.NOT_SETTLED, bool(futures.net_mtok) and futures.final_micro is None),
        (Finding.FIXINGS_MISSING, business_days is not None and fixed < business_days),
        (Finding.NO_INDEX, settlement is None),
    )
    return tuple(finding for finding, holds in checks if holds)

"""A buyer's month with and without a hedge, from plain numbers: how many lots, what they did, and why the bill is what it is.

Run it from the project's folder:  .venv/bin/python examples/hedge_a_bill.py
Nothing is simulated: the use, the prices and the fixings below are made up. The report's terms are in docs/spec/desk.md.
"""

import numpy as np

from ciyuan.basics.calendar import Calendar, month_days
from ciyuan.basics.money import format_micro
from ciyuan.desk.exposure import exposure_of, use_of
from ciyuan.desk.hedge import hedge_ratio, plan_hedge
from ciyuan.desk.messages import CENTI_PER_MTOK, FuturesResult, FuturesTrade
from ciyuan.desk.report import hedge_report

MONTH, BUYER, LOT_MTOK = 202610, 1, 1_000
PLANNED_MTOK = 12_400
FUTURE_MICRO = 930_000  # the month's future, in micro-USD per MTok, when the hedge is put on
FEES_MICRO = 1_200_000


def main() -> None:
    first, last = month_days(MONTH)
    days = np.arange(first, last + 1)
    business = Calendar().business_days(first, last)
    # The index climbs from 0.92 to 1.04; the buyer's supplier asks 2% more, and the buyer uses 400 MTok a day, 450 from the 16th.
    index = {day: 920_000 + 4_000 * (day - first) for day in days.tolist()}
    fixings = {day: index[day] for day in business}
    used = np.where(days < first + 15, 400, 450) * CENTI_PER_MTOK
    charges = np.array(
        [
            int(tokens) * index[day] * 102 // 100 // CENTI_PER_MTOK
            for day, tokens in zip(days.tolist(), used, strict=True)
        ]
    )
    exposure = exposure_of(use_of(np.full(len(days), BUYER), days, used, charges), BUYER, MONTH)

    price = np.array([index[day] * 1.02 for day in business])
    ratio = hedge_ratio(price, np.array([float(fixings[day]) for day in business]), points_min=5)
    print(
        f"minimum-variance ratio: {ratio.ratio:.3f} from {ratio.points} days"
        if ratio.finding is None
        else ratio.finding.value
    )
    plan = plan_hedge(PLANNED_MTOK * CENTI_PER_MTOK, LOT_MTOK, ratio)
    budget = format_micro(plan.budget_micro(FUTURE_MICRO), 2)
    print(f"planned {PLANNED_MTOK:,} MTok, {budget} USD at {FUTURE_MICRO / 1e6:.3f}: buy {plan.lots} lots")

    final = round(sum(fixings.values()) / len(fixings))
    bought = FuturesTrade(FUTURE_MICRO, plan.lots * LOT_MTOK)
    futures = FuturesResult((bought,), (final - FUTURE_MICRO) * bought.mtok, FEES_MICRO, final)
    report = hedge_report(exposure, fixings, futures, business_days=len(business))
    print(
        f"used {exposure.total_centitokens // CENTI_PER_MTOK:,} MTok; the future settled at {final / 1e6:.6f}"
    )
    print(f"{'without the hedge':<26}{format_micro(report.unhedged_micro, 2):>14} USD")
    print(f"{'with the hedge':<26}{format_micro(report.hedged_micro, 2):>14} USD")
    parts = report.decomposition
    if parts is not None:
        print("the month with the hedge is, to the micro-dollar")
        for name, amount in (
            ("hedged use, as locked", parts.locked_micro),
            ("use beyond the hedge", parts.volume_micro),
            ("paid above the index", parts.basis_micro),
            ("settlement apart", parts.settlement_micro),
            ("fees", parts.fees_micro),
            ("together", parts.total_micro),
        ):
            print(f"  {name:<24}{format_micro(amount):>18}")


if __name__ == "__main__":
    main()

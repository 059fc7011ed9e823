"""Simulated daily prices of the catalogue's futures, as a file that `what-if` and `backtest` read."""

import csv
from pathlib import Path

from ciyuan.basics.calendar import iso_of_day
from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO
from ciyuan.services.catalog_venue import calendar, contracts
from ciyuan.simulation.price_paths import PathTerms, month_paths


def write_simulated(
    out: Path, days: int, seed: int, launch_days: tuple[int, ...], volatility_year: float
) -> tuple[str, ...]:
    """Write so many business days that end with the day before the listing; returns the codes. Malformed for a launch outside."""
    wrong = [day for day in launch_days if not 1 <= day < days]
    if wrong:
        raise Malformed("launch", found=wrong[0], expected=f"a day from 1 to {days - 1}",
                        remedy="Days are counted from the first price, which is 0.")  # fmt: skip
    futures = [contract for contract in contracts() if contract.month]
    first = futures[0]
    start = first.initial_price_ticks * first.tick_micro / MICRO
    prices = month_paths(seed, days, len(futures), PathTerms(start, volatility_year, launch_days=launch_days))
    venue, day, dates = calendar(), first.first_day, []
    for _ in range(days):
        day = venue.previous_business(day)
        dates.append(iso_of_day(day))
    codes = tuple(contract.code for contract in futures)
    with out.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("date", *codes))
        for on, row in zip(reversed(dates), prices.tolist(), strict=True):
            writer.writerow((on, *(f"{price:.6f}" for price in row)))
    return codes
